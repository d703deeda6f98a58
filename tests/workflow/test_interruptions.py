"""Kills, faults and two runs at once: what is finished stays, and the same command ends with the same."""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import psutil
import pytest
from project import change_config, command, copy_project, environment, snakemake, with_driver

FITS = "results/smoke/fits"
# Two experiments of seven fits, which is enough to be interrupted twice.
RECORDS = ("results/smoke/records/image_text.parquet", "results/smoke/records/image_scales.parquet")
PATIENCE_S = 120


class Story(NamedTuple):
    """One folder through two kills and a second run, to its end."""

    folder: Path
    second: subprocess.CompletedProcess[str]  # while the first was at work
    first_went_on: bool
    orphans: dict[str, list[psutil.Process]]  # job processes 2 s after a kill, by kind of kill
    kept: dict[str, dict[Path, int]]  # finished values and their inodes when killed, by kind of kill
    last: subprocess.CompletedProcess[str]


def jobs_of(folder: Path, script: str = "") -> list[psutil.Process]:
    """Processes that run a script of this folder's workflow."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or []
        if any(word.startswith(f"{folder}/.snakemake/scripts") and word.endswith(script) for word in words):
            found.append(process)
    return found


def values_in(folder: Path) -> dict[Path, int]:
    return {path.relative_to(folder): path.stat().st_ino for path in folder.glob(f"{FITS}/**/values.csv")}


def wait_until(true: Callable[[], object], run: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not true():
        assert run.poll() is None, "the run has ended"
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.05)


def started(folder: Path, *targets: str) -> subprocess.Popen[bytes]:
    """A run in a process group of its own, as a terminal starts it."""
    with (folder / "run.log").open("ab") as log:
        return subprocess.Popen(
            command(*targets), cwd=folder, env=environment(), stdout=log, stderr=log, start_new_session=True
        )


def left_after_2_s(processes: list[psutil.Process]) -> list[psutil.Process]:
    _, alive = psutil.wait_procs(processes, timeout=2)
    left = [process for process in alive if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]
    for process in left:  # a test that fails must not leave them running
        process.kill()
    return left


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    folder = copy_project(tmp_path_factory.mktemp("killed") / "posenc")
    change_config(folder, {"preset": "smoke"})
    orphans, kept = {}, {}

    run = started(folder, *RECORDS)
    wait_until(lambda: len(values_in(folder)) >= 2, run)
    second = snakemake(folder, *RECORDS)
    first_went_on = run.poll() is None
    wait_until(lambda: jobs_of(folder, "fit.py"), run)
    jobs = jobs_of(folder)
    kept["all"] = values_in(folder)
    os.killpg(run.pid, signal.SIGKILL)
    run.wait()
    orphans["all"] = left_after_2_s(jobs)

    run = started(folder, *RECORDS)
    before = len(values_in(folder))
    wait_until(lambda: len(values_in(folder)) > before and jobs_of(folder, "fit.py"), run)
    jobs = jobs_of(folder)
    kept["Snakemake alone"] = values_in(folder)
    run.kill()
    run.wait()
    orphans["Snakemake alone"] = left_after_2_s(jobs)

    return Story(folder, second, first_went_on, orphans, kept, snakemake(folder, *RECORDS))


def test_a_second_run_in_the_same_folder_ends_with_a_message(story: Story) -> None:
    assert story.second.returncode != 0
    assert "posenc: another run is at work in this folder" in story.second.stderr
    assert "Traceback" not in story.second.stderr
    assert story.first_went_on


@pytest.mark.parametrize("kind", ["all", "Snakemake alone"])
def test_no_job_outlives_its_run(kind: str, story: Story) -> None:
    assert story.orphans[kind] == []


def test_a_long_fit_ends_with_its_run(tmp_path: Path) -> None:
    folder = copy_project(tmp_path / "posenc")
    change_config(folder, {"preset": "smoke", "experiments": {"image_scales": {"training": {"steps": 10**7}}}})
    run = started(folder, RECORDS[1])
    logs = "results/smoke/logs/fit/image_scales/**/*.log"
    wait_until(lambda: any("step 101 of" in log.read_text() for log in folder.glob(logs)), run)
    fits = jobs_of(folder, "fit.py")
    run.kill()
    run.wait()
    assert fits
    assert left_after_2_s(fits) == []


@pytest.mark.parametrize("kind", ["all", "Snakemake alone"])
def test_what_was_finished_is_kept(kind: str, story: Story) -> None:
    # A fit whose end Snakemake had not noted yet is run again: at most one per core.
    now = values_in(story.folder)
    again = [path for path, inode in story.kept[kind].items() if now[path] != inode]
    assert len(story.kept[kind]) >= 2
    assert len(again) <= (os.cpu_count() or 1)


def test_the_same_command_ends_with_the_same_records(story: Story, finished: Path) -> None:
    assert story.last.returncode == 0, story.last.stderr
    assert len(values_in(story.folder)) == 7
    for path in values_in(story.folder):
        assert (story.folder / path).read_text() == (finished / path).read_text()  # every digit
    for records in RECORDS:
        found, expected = (pd.read_parquet(folder / records) for folder in (story.folder, finished))
        pd.testing.assert_frame_equal(found, expected, check_exact=True)


@pytest.mark.skipif(any(Path("/dev").glob("nvidia[0-9]*")), reason="needs a machine without CUDA")
def test_a_fault_is_said_with_its_reason(tmp_path: Path) -> None:
    """A driver that shows a GPU which torch cannot use."""
    folder = copy_project(tmp_path / "posenc")
    path = with_driver(tmp_path / "bin", 1)
    failed = snakemake(folder, RECORDS[1], "--config", "preset=smoke", "device=cuda", PATH=path)
    assert failed.returncode != 0
    assert "torch sees no CUDA device; use device: auto or cpu" in failed.stderr
    assert "2 jobs failed, 1 of 4 done" in failed.stderr
    assert not (folder / RECORDS[1]).exists()
