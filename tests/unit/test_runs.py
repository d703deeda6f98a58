"""What a run says before its jobs."""

from types import SimpleNamespace
from typing import Any

import pytest

from posenc.plan import runs
from posenc.plan.runs import say_what_jobs_counts


@pytest.mark.parametrize(
    ("jobs", "cores", "local", "said"),
    [(1, 8, True, "say --cores 1"), (8, 8, True, ""), (None, 8, True, ""), (100, 8, False, "")],
)
def test_j_that_bounds_nothing_is_said(
    jobs: int | None, cores: int, local: bool, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    resources = SimpleNamespace(nodes=jobs, cores=cores)
    say_what_jobs_counts(SimpleNamespace(local_exec=local, resource_settings=resources))
    shown = capsys.readouterr().err
    assert said in shown and bool(said) == bool(shown)


@pytest.mark.parametrize(
    ("about", "done"),
    [
        ({"executor_plugin": "local"}, ["lock", "then", "look"]),
        ({"executor_plugin": "dryrun", "dryrun": True}, ["look"]),
        ({"executor_plugin": "touch", "touch": True}, ["look"]),
        ({"executor_plugin": None}, ["look"]),  # --summary and the like
    ],
)
def test_only_what_runs_jobs_takes_the_lock_and_before_it_looks(
    about: dict[str, Any], done: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    happened: list[str] = []
    monkeypatch.setattr(runs, "one_run_at_a_time", lambda: happened.append("lock"))
    known = {"dryrun": False, "touch": False} | about
    workflow = SimpleNamespace(_build_dag=lambda: happened.append("look"), **known)
    runs.begin_alone(workflow, lambda of: happened.append("then"))
    workflow._build_dag()
    assert happened == done
