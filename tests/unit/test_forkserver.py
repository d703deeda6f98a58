"""Jobs as forks of one process that has imported what they need: the same outside, and nothing survives alone."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from posenc import forkserver
from posenc.jobs import SERVER

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forks are for Linux alone")

RUN = """
import os, sys
from types import SimpleNamespace
from posenc import forkserver
dag, deployment = SimpleNamespace(needrun_jobs=lambda: range(100)), SimpleNamespace(deployment_method=set())
forkserver.begin(SimpleNamespace(local_exec=True, deployment_settings=deployment, dag=dag), 0)
print(os.environ["POSENC_SERVER"], flush=True)
input()
"""
HEAD = "import os, sys, time\nfrom posenc.jobs import job\nprint('before')\nwith job('log'):\n    "
PATIENCE_S = 60


class Run:
    """A process with a server, in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "seaborn.py").write_text("raise ImportError('the working folder holds no libraries')")
        self.process = subprocess.Popen(
            [sys.executable, "-c", RUN], cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout
        self.name = self.process.stdout.readline().strip()
        until(lambda: f"@posenc-{self.name}" in Path("/proc/net/unix").read_text())
        (self.server,) = psutil.Process(self.process.pid).children()

    def script(self, work: str, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        path = self.folder / "script.py"
        path.write_text(HEAD + work)
        (self.folder / "log").unlink(missing_ok=True)
        given = {SERVER: self.name, "OMP_NUM_THREADS": "1"} | environment
        return subprocess.Popen(
            [sys.executable, str(path), *arguments], cwd=self.folder, env=os.environ | given, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def fork(self) -> psutil.Process:
        """The one at work, by its log file, which is the first thing that it writes."""
        path = self.folder / "log"
        until(lambda: path.exists() and path.read_text().endswith("\n"))
        return psutil.Process(int(path.read_text().split()[1]))


def until(true: Any) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.02)


def gone(process: psutil.Process) -> bool:
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    found = Run(tmp_path_factory.mktemp("run"))
    yield found
    found.process.communicate("\n", timeout=PATIENCE_S)
    assert gone(found.server)


def test_a_script_ends_in_a_fork_of_the_server(run: Run) -> None:
    work = "print(os.getppid(), *sys.argv[1:], os.environ['SAID'], 'torch' in sys.modules, os.getcwd())"
    script = run.script(work, "argument", SAID="so", PYTHONUNBUFFERED="")
    # The script itself ends where its work would begin; the fork begins anew.
    said = f"before\nbefore\n{run.server.pid} argument so True {run.folder}\n"
    assert script.communicate(timeout=PATIENCE_S) == (said, "")
    assert script.returncode == 0


def test_forks_are_of_a_process_with_one_thread(run: Run) -> None:
    assert run.server.num_threads() == 1


@pytest.mark.parametrize(
    ("work", "status", "said"),
    [
        ("sys.exit()", 0, ""),
        ("sys.exit(3)", 3, ""),
        ("sys.exit('no use')", 1, "no use\n"),
        ("raise ValueError('no use')", 1, "ValueError: no use (details in log)\n"),
        ("os.kill(os.getpid(), 9)", 137, ""),
    ],
)
def test_a_script_ends_as_its_fork_does(work: str, status: int, said: str, run: Run) -> None:
    script = run.script(work)
    assert script.communicate(timeout=PATIENCE_S)[1] == said
    assert script.returncode == status


def test_what_no_job_catches_is_shown(run: Run) -> None:
    script = run.script("pass\nsurprise")
    assert script.communicate(timeout=PATIENCE_S)[1].endswith("NameError: name 'surprise' is not defined\n")
    assert script.returncode == 1


def test_a_fork_ends_with_its_script(run: Run) -> None:
    script = run.script("time.sleep(600)")
    fork = run.fork()
    script.kill()
    script.communicate()
    until(lambda: gone(fork))


def test_who_is_interrupted_may_tidy_up(run: Run) -> None:
    work = "try:\n        time.sleep(600)\n    finally:\n        time.sleep(0.5)\n        open('tidied', 'w').close()"
    script = run.script(work)
    for process in (run.fork(), script):  # as Ctrl-C does with all that run in a terminal
        process.send_signal(signal.SIGINT)
    script.communicate(timeout=PATIENCE_S)
    assert script.returncode != 0
    assert (run.folder / "tidied").exists()


@pytest.mark.parametrize("given", [{"OMP_NUM_THREADS": "2"}, {SERVER: "none of this name"}])
def test_others_work_in_their_own_process(given: dict[str, str], run: Run) -> None:
    script = run.script("print(os.getpid())", **given)
    assert script.communicate(timeout=PATIENCE_S)[0] == f"before\n{script.pid}\n"


@pytest.mark.parametrize("killed", ["run", "server"])
def test_a_kill_takes_along_what_hangs_on_it(killed: str, tmp_path: Path) -> None:
    run = Run(tmp_path)
    script = run.script("time.sleep(600)")
    fork = run.fork()
    run.server.kill() if killed == "server" else run.process.kill()
    until(lambda: gone(run.server) and gone(fork))
    # Killed, as shells say it; and the next one works by itself.
    script.communicate(timeout=PATIENCE_S)
    assert script.returncode == 137
    later = run.script("print(os.getpid())")
    assert later.communicate(timeout=PATIENCE_S)[0] == f"before\n{later.pid}\n"
    run.process.kill()
    run.process.wait()


@pytest.mark.parametrize("changes", [{"jobs": 9}, {"local_exec": False}, {"gpus": 1}, {"deployment_method": {"conda"}}])
def test_small_runs_clusters_gpus_and_environments_have_no_server(
    changes: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subprocess, "Popen", lambda *arguments, **settings: pytest.fail("a server was started"))
    about: dict[str, Any] = {"jobs": 100, "local_exec": True, "gpus": 0, "deployment_method": set()} | changes
    workflow = SimpleNamespace(
        local_exec=about["local_exec"],
        deployment_settings=SimpleNamespace(deployment_method=about["deployment_method"]),
        dag=SimpleNamespace(needrun_jobs=lambda: iter(range(about["jobs"]))),
    )
    forkserver.begin(workflow, about["gpus"])
