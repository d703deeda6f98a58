"""Kills, faults and two runs at once: what is finished stays, and the same command ends with the same."""

import os
import signal
import subprocess
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import psutil
import pytest
from faults import forks_of, jobs_of, left_after_2_s, started, wait_until
from project import change_config, copy_project, snakemake, with_driver

FITS = "results/smoke/fits"
# Three experiments of eleven fits, which is enough to be interrupted twice.
RECORDS = tuple(f"results/smoke/records/{name}.parquet" for name in ("image_text", "image_scales", "image_families"))


class Story(NamedTuple):
    """One folder through two kills and a second run, to its end."""

    folder: Path
    second: subprocess.CompletedProcess[str]  # while the first was at work
    first_went_on: bool
    orphans: dict[str, list[psutil.Process]]  # processes 2 s after a kill, by kind of kill
    kept: dict[str, dict[Path, int]]  # finished values and their inodes when killed, by kind of kill
    last: subprocess.CompletedProcess[str]


def values_in(folder: Path) -> dict[Path, int]:
    return {path.relative_to(folder): path.stat().st_ino for path in folder.glob(f"{FITS}/**/values.csv")}


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    folder = copy_project(tmp_path_factory.mktemp("killed") / "posenc")
    change_config(folder, {"preset": "smoke"})
    orphans, kept = {}, {}

    run = started(folder, *RECORDS)
    wait_until(lambda: len(values_in(folder)) >= 2, run)
    os.killpg(run.pid, signal.SIGSTOP)
    second = snakemake(folder, *RECORDS)
    before = len(values_in(folder))
    os.killpg(run.pid, signal.SIGCONT)
    wait_until(lambda: len(values_in(folder)) > before and jobs_of(folder, "fit.py"), run)
    first_went_on = run.poll() is None
    wait_until(lambda: len(forks_of(folder)) > 1, run)  # a run of so many jobs has a server, and jobs are its forks
    kept["all"] = values_in(folder)
    os.killpg(run.pid, signal.SIGKILL)
    run.wait()
    orphans["all"] = left_after_2_s(folder)

    run = started(folder, *RECORDS)
    before = len(values_in(folder))
    wait_until(lambda: len(values_in(folder)) > before and jobs_of(folder, "fit.py"), run)
    kept["Snakemake alone"] = values_in(folder)
    run.kill()
    run.wait()
    orphans["Snakemake alone"] = left_after_2_s(folder)

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
    assert left_after_2_s(folder) == []


@pytest.mark.parametrize("kind", ["all", "Snakemake alone"])
def test_what_was_finished_is_kept(kind: str, story: Story) -> None:
    # A fit whose end Snakemake had not noted yet is run again: at most one per core.
    now = values_in(story.folder)
    again = [path for path, inode in story.kept[kind].items() if now[path] != inode]
    assert len(story.kept[kind]) >= 2
    assert len(again) <= (os.cpu_count() or 1)


def test_the_same_command_ends_with_the_same_records(story: Story, finished: Path) -> None:
    assert story.last.returncode == 0, story.last.stderr
    assert len(values_in(story.folder)) == 11
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
    assert "2 jobs failed, 2 of 5 done" in failed.stderr
    assert not (folder / RECORDS[1]).exists()
