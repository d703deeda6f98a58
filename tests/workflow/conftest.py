"""What tests of the command line share: one finished smoke run, and many short runs side by side."""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from faults import THREE_FITS, THREE_FITS_RECORDS, Undisturbed, undisturbed
from filelock import FileLock
from project import change_config, copy_project, snakemake


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project in which the smoke preset has run. To be looked at only: tests work in copies of it.

    The first of the processes that share the tests makes it, for all of them.
    """
    place = tmp_path_factory.getbasetemp()
    place = place.parent if "PYTEST_XDIST_WORKER" in os.environ else place
    folder, failure = place / "finished" / "posenc", place / "finished.txt"
    with FileLock(place / "finished.lock"):
        if not failure.exists():
            change_config(copy_project(folder), {"preset": "smoke"})
            run = snakemake(folder)
            failure.write_text(run.stderr[-4000:] if run.returncode else "")
    assert failure.read_text() == ""
    return folder


@pytest.fixture(scope="session")
def three_fits(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    """A run of three fits and the collecting of their records. Its folder is to be looked at only, too."""
    folder = copy_project(tmp_path_factory.mktemp("undisturbed") / "posenc")
    change_config(folder, THREE_FITS)
    return undisturbed(folder, THREE_FITS_RECORDS)


@pytest.fixture(scope="module")
def side_by_side(request: pytest.FixtureRequest) -> Iterator[Callable[[Callable[[str], Any]], dict[str, Future[Any]]]]:
    """Work out what is asked of each `case` of this module, as many at a time as there are cores.

    Call it with a function of a case's name; it gives a future per case. Cases that are not selected are left out.
    """
    items = [item for item in request.session.items if item.path == request.path and hasattr(item, "callspec")]
    cases = dict.fromkeys(item.callspec.params["case"] for item in items if "case" in item.callspec.params)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        yield lambda work: {case: pool.submit(work, case) for case in cases}
