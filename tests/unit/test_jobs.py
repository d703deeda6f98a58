"""The frame of a job: its log, its end on failure, and its end with the run that started it."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

SLEEPER = (
    "import sys, time; from posenc.jobs import job\nwith job(sys.argv[1]): print('in', flush=True); time.sleep(60)"
)


def job(code: str, log: Path, **environment: str) -> subprocess.Popen[str]:
    inherited = {key: value for key, value in os.environ.items() if key != "POSENC_RUN"}
    return subprocess.Popen(
        [sys.executable, "-c", code, str(log)],
        env=inherited | environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def test_a_failure_is_one_line_and_its_traceback_in_the_log(tmp_path: Path) -> None:
    log = tmp_path / "deep" / "fit.log"
    code = (
        "import logging, sys; from posenc.jobs import job\n"
        "with job(sys.argv[1]): logging.info('step 1'); raise ValueError('of no use')"
    )
    failed = job(code, log)
    out, err = failed.communicate(timeout=30)
    assert (failed.returncode, out, err) == (1, "", f"ValueError: of no use (details in {log})\n")
    assert log.read_text().startswith(f"process {failed.pid} on ")
    assert "INFO step 1" in log.read_text()
    assert "Traceback" in log.read_text()


def test_a_full_disk_is_one_line_that_says_what_to_do(tmp_path: Path) -> None:
    log = tmp_path / "fit.log"
    code = (
        "import errno, os, sys; from posenc.jobs import job\n"
        "with job(sys.argv[1]): raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), 'values.csv')"
    )
    failed = job(code, log)
    out, err = failed.communicate(timeout=30)
    said = "No space left on device: values.csv; free some space there, then run the same command again\n"
    assert (failed.returncode, out, err) == (1, "", said)
    assert log.read_text().endswith(f"ERROR {said}")
    assert "Traceback" not in log.read_text()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_job_on_a_full_disk_does_not_begin(tmp_path: Path) -> None:
    log = tmp_path / "fit.log"
    log.symlink_to("/dev/full")
    failed = job("import sys; from posenc.jobs import job\nwith job(sys.argv[1]): print('in')", log)
    out, err = failed.communicate(timeout=30)
    assert (failed.returncode, out) == (1, "")
    assert err == f"No space left on device: {log}; free some space there, then run the same command again\n"


def test_a_log_that_finds_no_more_space_does_not_end_its_job(tmp_path: Path) -> None:
    log = tmp_path / "fit.log"
    code = (
        "import logging, resource, sys; from posenc.jobs import job\n"
        "with job(sys.argv[1]):\n"
        "    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "    logging.info('x' * 2000); print('done')"
    )
    process = job(code, log)
    assert process.communicate(timeout=30) == ("done\n", "")
    assert process.returncode == 0
    assert log.stat().st_size == 1000


def test_without_a_run_a_job_stays(tmp_path: Path) -> None:
    with job(SLEEPER, tmp_path / "log") as process:
        assert process.stdout
        assert process.stdout.readline() == "in\n"
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.6)
        process.kill()


def test_a_job_ends_when_its_run_does(tmp_path: Path) -> None:
    run = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    with job(SLEEPER, tmp_path / "log", POSENC_RUN=str(run.pid)) as process:
        assert process.stdout
        assert process.stdout.readline() == "in\n"
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.6)
        run.kill()  # not waited for: a zombie is gone, too
        assert process.wait(2) == -9
    run.wait()


def test_a_job_whose_run_died_before_it_began_ends_at_once(tmp_path: Path) -> None:
    run = subprocess.Popen([sys.executable, "-c", ""])
    run.wait()
    started = time.monotonic()
    with job(SLEEPER, tmp_path / "log", POSENC_RUN=str(run.pid)) as process:
        assert process.wait(30) == -9
    assert time.monotonic() - started < 30
