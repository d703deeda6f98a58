"""What a run says before its jobs."""

from types import SimpleNamespace

import pytest

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
