"""Disks that are full or cannot be written: said in so many words, and nothing half-written is taken for a result."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from faults import THREE_FITS, THREE_FITS_RECORDS, Undisturbed, mistakable, results_of
from project import change_config, command, copy_project, copy_run, environment, snakemake

PAGE = 4096


class Case(NamedTuple):
    """Which folder lies on a disk of its own, what part of a run's files finds space there, and what is said."""

    place: str
    room: float
    said: str


FULL = "No space left on device"
CASES = {
    "results, no space for pictures": Case("results", 0.05, f"{FULL}: results/signals/"),
    "results, no space for fits": Case("results", 0.4, f"{FULL}: results/smoke/fits/"),
    "results, no space for records": Case("results", 0.9, f"{FULL}: results/smoke/records/"),
    # With Snakemake's notes on the same disk, it is they or results that find no space.
    "everything, no space at all": Case(".", 0, FULL),
    "everything, space for a seventh": Case(".", 0.15, FULL),
    "everything, space for a third": Case(".", 0.3, FULL),
    "everything, space for most": Case(".", 0.9, FULL),
}


def pages(folder: Path) -> int:
    """Pages that the files of a folder take; a disk in memory counts folders not at all."""
    return sum(-(-path.lstat().st_size // PAGE) for path in folder.rglob("*") if path.is_file())


@contextmanager
def disk(folder: Path, options: str) -> Iterator[None]:
    """A disk in memory at a folder, or at an existing one the same folder once more (`bind`)."""
    folder.mkdir(parents=True, exist_ok=True)
    source = ("--bind", folder) if options == "bind" else ("-t", "tmpfs", "-o", options, "tmpfs")
    mounted = subprocess.run(["mount", *source, folder], capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"mounting is not permitted here: {mounted.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", folder], check=True)


def remount(folder: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", folder], check=True)


# ---- full disks


class Outcome(NamedTuple):
    """A run without space, and the same command when there is some."""

    full: subprocess.CompletedProcess[str]
    left: dict[str, bytes]
    again: subprocess.CompletedProcess[str]
    results: dict[str, bytes]


@pytest.fixture(scope="module")
def found(
    side_by_side: Callable[..., dict[str, Future[Any]]],
    three_fits: Undisturbed,
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, Future[Outcome]]:
    def outcome(name: str) -> Outcome:
        folder, case = tmp_path_factory.mktemp("full") / "posenc", CASES[name]
        place = folder / case.place
        with disk(place, "size=100m"):
            change_config(copy_project(folder), THREE_FITS)
            needed = pages(three_fits.folder / case.place) - pages(place)
            remount(place, f"size={(pages(place) + int(case.room * needed)) * PAGE}")
            full = snakemake(folder, THREE_FITS_RECORDS)
            left = results_of(folder)
            remount(place, "size=100m")
            again = snakemake(folder, THREE_FITS_RECORDS)
            return Outcome(full, left, again, results_of(folder))

    return side_by_side(outcome)


@pytest.mark.parametrize("case", CASES)
def test_a_full_disk_is_said(case: str, found: dict[str, Future[Outcome]]) -> None:
    full = found[case].result().full
    assert full.returncode != 0
    assert CASES[case].said in full.stderr
    assert "free some" in full.stderr
    assert "Traceback" not in full.stderr


@pytest.mark.parametrize("case", CASES)
def test_nothing_half_written_is_taken_for_a_result(
    case: str, found: dict[str, Future[Outcome]], three_fits: Undisturbed
) -> None:
    after = found[case].result()
    assert mistakable(after.left, three_fits.results) == []
    assert after.again.returncode == 0, after.again.stderr
    assert after.results == three_fits.results


# ---- folders that cannot be written


def without_rights(*arguments: str) -> list[str]:
    """A Snakemake command under which permission bits hold for root, too."""
    if os.geteuid() != 0:
        return command(*arguments)
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        pytest.skip("root passes permission bits, and setpriv, which takes that right away, is not there")
    return [setpriv, "--bounding-set=-dac_override", *command(*arguments)]


@pytest.fixture
def one_job_left(three_fits: Undisturbed, tmp_path: Path) -> Path:
    folder = copy_run(three_fits.folder, tmp_path / "posenc")
    shutil.rmtree((folder / THREE_FITS_RECORDS).parent)
    (folder / "reports" / "smoke").mkdir(parents=True)
    return folder


def assert_refused(run: subprocess.CompletedProcess[str], *said: str) -> None:
    assert run.returncode != 0
    assert "posenc: nothing was started, because these folders cannot be written:\n" in run.stderr
    for line in said:
        assert f"\n  {line}\n" in run.stderr
    assert run.stderr.count("cannot be written") == 1
    assert "failed" not in run.stderr
    assert "Traceback" not in run.stderr


@pytest.mark.parametrize("place", ["results", "reports", ".snakemake"])
def test_a_read_only_disk_is_said_before_any_job(place: str, one_job_left: Path) -> None:
    with disk(one_job_left / place, "bind"):
        remount(one_job_left / place, "bind,ro")
        run = snakemake(one_job_left, THREE_FITS_RECORDS)
    named = place if place == ".snakemake" else f"{place}/smoke"
    assert_refused(run, f"{named}: Read-only file system")
    assert not (one_job_left / THREE_FITS_RECORDS).exists()


def test_folders_of_others_are_said_before_any_job(one_job_left: Path) -> None:
    closed = [one_job_left / "results" / "smoke", one_job_left / "reports" / "smoke"]
    for folder in closed:
        folder.chmod(0o555)
    run = subprocess.run(
        without_rights(THREE_FITS_RECORDS), cwd=one_job_left, env=environment(), capture_output=True, text=True
    )
    assert_refused(run, "results/smoke: Permission denied", "reports/smoke: Permission denied")
    for folder in closed:
        folder.chmod(0o755)
    assert snakemake(one_job_left, THREE_FITS_RECORDS).returncode == 0
