"""Runs that are struck: started as a terminal does, watched, killed; what still lives of them, and what they leave."""

import os
import random
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import psutil
from project import command, environment

PATIENCE_S = 120
# Whom kill -9 takes: one of the jobs, Snakemake, or the whole process group.
KINDS = ("job", "Snakemake", "both")
# In runs with enough jobs to have one, also the fork server or one of its forks.
KINDS_OF_LONG_RUNS = (*KINDS, "fork")
# A run of three short fits.
THREE_FITS = {
    "preset": "smoke",
    "experiments": {"image_scales": {"encodings": {"gaussian": {"sigma": {"of_nyquist": [0.05, 0.1, 0.2]}}}}},
}
THREE_FITS_RECORDS = "results/smoke/records/image_scales.parquet"

# ---- runs and their processes


def started(folder: Path, *targets: str) -> subprocess.Popen[bytes]:
    """A run in a process group of its own, as a terminal starts it; what it says is added to run.log."""
    with (folder / "run.log").open("ab") as log:
        return subprocess.Popen(
            command(*targets), cwd=folder, env=environment(), stdout=log, stderr=log, start_new_session=True
        )


def jobs_of(folder: Path, script: str = "") -> list[psutil.Process]:
    """Processes that run a script of this folder's workflow."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or []
        if any(word.startswith(f"{folder}/.snakemake/scripts") and word.endswith(script) for word in words):
            found.append(process)
    return found


def forks_of(folder: Path) -> list[psutil.Process]:
    """The fork server of a run in this folder, and its forks."""
    return [process for process, words in worked_in(folder) if "posenc.forkserver" in words]


def processes_in(folder: Path) -> list[psutil.Process]:
    """Processes that work in this folder or below. A zombie works nowhere."""
    return [process for process, _ in worked_in(folder)]


def worked_in(folder: Path) -> Iterator[tuple[psutil.Process, list[str]]]:
    """Processes that work in this folder or below, each with its command line; one may end at any moment."""
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if (place := process.cwd()) and Path(place).is_relative_to(folder):
                yield process, process.cmdline()


def left_after_2_s(folder: Path) -> list[psutil.Process]:
    """Processes that still work in a folder 2 s after all should have ended. A test that fails must not leave them."""
    deadline = time.monotonic() + 2
    while (left := processes_in(folder)) and time.monotonic() < deadline:
        time.sleep(0.05)
    for process in left:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    return left


def wait_until(true: Callable[[], object], run: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not true():
        assert run.poll() is None, "the run has ended"
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.02)


def processor_seconds(run: subprocess.Popen[bytes]) -> float:
    """Processor time of a run and its descendants so far: a clock that other work on the machine hardly moves."""
    total = 0.0
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(run.pid)
        for part in (process, *process.children(recursive=True)):
            with suppress(psutil.NoSuchProcess):
                used = part.cpu_times()
                total += used.user + used.system + used.children_user + used.children_system
    return total


# ---- kills


def struck(kind: str, run: subprocess.Popen[bytes], folder: Path, moment: float, chance: random.Random) -> bool:
    """kill -9 once a run has used `moment` seconds of processor time. False where it ended before, and nothing was hit.

    kind: of `KINDS_OF_LONG_RUNS`. A job is one by chance, or the next one where there is none at that moment.
    """
    while run.poll() is None:
        if processor_seconds(run) >= moment and killed(kind, run, folder, chance):
            return True
        time.sleep(0.05)  # each look at all processes costs some milliseconds
    return False


def killed(kind: str, run: subprocess.Popen[bytes], folder: Path, chance: random.Random) -> bool:
    """Whether there was something of this kind to kill."""
    if kind == "Snakemake":
        run.kill()
    elif kind == "both":
        os.killpg(run.pid, signal.SIGKILL)
    else:
        with suppress(psutil.NoSuchProcess):
            if found := jobs_of(folder) if kind == "job" else forks_of(folder):
                chance.choice(found).kill()
                return True
        return False
    return True


# ---- what a run leaves


class Undisturbed(NamedTuple):
    """A run that nothing happened to."""

    folder: Path
    results: dict[str, bytes]
    seconds: float  # of processor time


def undisturbed(folder: Path, *targets: str) -> Undisturbed:
    run = started(folder, *targets)
    _, status, used = os.wait4(run.pid, 0)
    run.returncode = os.waitstatus_to_exitcode(status)
    assert run.returncode == 0, (folder / "run.log").read_text()[-4000:]
    return Undisturbed(folder, results_of(folder), used.ru_utime + used.ru_stime)


def results_of(folder: Path) -> dict[str, bytes]:
    """Contents of all files below results/ and reports/ by path; of those that tell of the run, the path alone."""
    files = [path for place in ("results", "reports") for path in (folder / place).rglob("*") if path.is_file()]
    names = {path.relative_to(folder).as_posix(): path for path in sorted(files)}
    return {name: b"" if tells_of_the_run(name) else path.read_bytes() for name, path in names.items()}


def tells_of_the_run(name: str) -> bool:
    """Times, hosts, durations stand in logs, provenance, summaries of records, and what is drawn from them."""
    about = (".log", "/provenance.json")
    summary = name.endswith(".json") and any(f"/{place}/" in name for place in ("records", "theory"))
    return name.startswith("reports/") or name.endswith(about) or summary


def mistakable(results: Mapping[str, bytes], right: Mapping[str, bytes]) -> list[str]:
    """Files that could be read as results and are none. Hidden ones are read by nothing."""
    return [
        name for name, content in results.items() if right.get(name) != content and not Path(name).name.startswith(".")
    ]
