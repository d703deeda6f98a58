"""kill -9 of a job, of Snakemake, of both, all over a run: the same command then ends with the same, to every digit."""

import random
import shutil
import subprocess
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import pytest
from faults import (
    KINDS,
    PATIENCE_S,
    THREE_FITS,
    THREE_FITS_RECORDS,
    Undisturbed,
    left_after_2_s,
    mistakable,
    results_of,
    started,
    struck,
)
from project import change_config, copy_project, snakemake

SEED = 9
MOMENTS = 20


class Case(NamedTuple):
    """Whom kill -9 takes, and when: after which part of the processor time of an undisturbed run."""

    kind: str
    moment: float


def cases(count: int, seed: int) -> dict[str, Case]:
    """One moment by chance in each of `count` equal parts of a run, the kinds in turn; named by all that they are."""
    chance = random.Random(seed)
    moments = [round((part + chance.random()) / count, 3) for part in range(count)]
    found = [Case(KINDS[part % len(KINDS)], moment) for part, moment in enumerate(moments)]
    return {f"{case.kind} at {case.moment:.3f}": case for case in found}


CASES = cases(MOMENTS, SEED)


class Outcome(NamedTuple):
    """A run that was struck, and the same command after it."""

    code: int
    said: str
    orphans: list[psutil.Process]
    left: dict[str, bytes]
    again: subprocess.CompletedProcess[str]
    results: dict[str, bytes]


def outcome(folder: Path, name: str, whole: float) -> Outcome:
    moment, chance = CASES[name].moment * whole, random.Random(name)
    while True:
        change_config(copy_project(folder), THREE_FITS)
        run = started(folder, THREE_FITS_RECORDS)
        if struck(CASES[name].kind, run, folder, moment, chance):
            break
        # Over before its moment came: no two runs use quite the same time. A little earlier, then.
        shutil.rmtree(folder)
        moment *= 0.95
    code = run.wait(PATIENCE_S)
    orphans = left_after_2_s(folder)
    left = results_of(folder)
    again = snakemake(folder, THREE_FITS_RECORDS)
    return Outcome(code, (folder / "run.log").read_text(), orphans, left, again, results_of(folder))


@pytest.fixture(scope="module")
def found(
    side_by_side: Callable[..., dict[str, Future[Any]]],
    three_fits: Undisturbed,
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, Future[Outcome]]:
    return side_by_side(lambda name: outcome(tmp_path_factory.mktemp("struck") / "posenc", name, three_fits.seconds))


def test_the_moments_spread_over_a_run_for_every_kind() -> None:
    for kind in KINDS:
        moments = [case.moment for case in CASES.values() if case.kind == kind]
        assert len(moments) >= MOMENTS // len(KINDS)
        assert min(moments) < 0.2
        assert max(moments) > 0.8


@pytest.mark.parametrize("case", CASES)
def test_the_same_command_ends_with_the_same(
    case: str, found: dict[str, Future[Outcome]], three_fits: Undisturbed
) -> None:
    after = found[case].result()
    assert after.again.returncode == 0, after.again.stderr
    # The same files, too: nothing is left over.
    assert after.results.keys() == three_fits.results.keys()
    assert [name for name in after.results if after.results[name] != three_fits.results[name]] == []


@pytest.mark.parametrize("case", CASES)
def test_nothing_is_left_that_could_be_taken_for_a_result(
    case: str, found: dict[str, Future[Outcome]], three_fits: Undisturbed
) -> None:
    assert mistakable(found[case].result().left, three_fits.results) == []


@pytest.mark.parametrize("case", CASES)
def test_no_process_stays(case: str, found: dict[str, Future[Outcome]]) -> None:
    assert found[case].result().orphans == []


@pytest.mark.parametrize("case", [name for name, case in CASES.items() if case.kind == "job"])
def test_a_killed_job_is_reported_and_the_others_go_on(case: str, found: dict[str, Future[Outcome]]) -> None:
    after = found[case].result()
    assert after.code > 0
    assert "posenc: failed: 1 job failed" in after.said
    assert "run the same command to continue" in after.said
    assert "Traceback" not in after.said
    if "posenc: failed: fit" in after.said:
        assert sum(name.endswith("values.csv") for name in after.left) == 2
