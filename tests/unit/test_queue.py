"""What a run asks of Slurm's queue, with stand-ins for its commands."""

import logging
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from posenc.plan import slurm
from posenc.plan.slurm import QueuedJob

NAME = "0f0c1b73-969b-4758-8176-5b71e80e1f8d"
DOWN = "ReqNodeNotAvail, UnavailableNodes:n[3-5]"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder from which jobs were sent off before."""
    (tmp_path / ".snakemake" / "slurm_logs").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def squeue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Puts commands on the path: an `squeue` that runs these lines of shell, and a `scancel` that empties the queue."""
    programs = tmp_path / "bin"
    programs.mkdir()
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")

    def install(lines: str) -> None:
        for name, text in {
            "squeue": lines,
            "scancel": f'echo "$@" >{tmp_path}/cancelled; rm -f {tmp_path}/queue',
        }.items():
            (programs / name).write_text(f"#!/bin/sh\n{text}\n")
            (programs / name).chmod(0o755)

    return install


def run_by(executor: str) -> SimpleNamespace:
    settings = SimpleNamespace(init_seconds_before_status_checks=1000)
    return SimpleNamespace(executor_plugin=SimpleNamespace(name=executor), executor_settings=settings)


def queue(folder: Path, *rows: str) -> str:
    (folder / "queue").write_text("".join(f"{row}\n" for row in rows))
    return f"cat {folder}/queue 2>/dev/null || true"


def test_jobs_are_known_by_their_folder_and_the_executors_kind_of_name(
    folder: Path, squeue: Callable[[str], None]
) -> None:
    rows = (f"7|PENDING|{DOWN}|posenc_{NAME}|{folder}", f"8|RUNNING|None|{NAME}|{folder}")
    others = (
        f"9|RUNNING|None|{NAME}|{folder}/deeper",
        f"10|RUNNING|None|my own job|{folder}",
        "11|RUNNING|None|a|b|c|d",
    )
    squeue(queue(folder, *rows, *others))
    assert slurm.queued_jobs(folder) == [QueuedJob("7", "PENDING", DOWN), QueuedJob("8", "RUNNING", "None")]


def test_jobs_left_behind_are_cancelled(
    folder: Path, squeue: Callable[[str], None], caplog: pytest.LogCaptureFixture
) -> None:
    squeue(queue(folder, f"7|RUNNING|None|{NAME}|{folder}", f"8|RUNNING|None|mine|{folder}"))
    slurm.begin(run_by("local"))
    assert (folder / "cancelled").read_text() == "7\n"
    assert caplog.messages == ["posenc: cancelling 1 Slurm job that an earlier run in this folder left behind"]


def test_what_a_run_leaves_in_the_queue_is_cancelled_at_its_end(folder: Path, squeue: Callable[[str], None]) -> None:
    squeue(queue(folder, f"7|PENDING|None|{NAME}|{folder}", f"8|RUNNING|None|mine|{folder}"))
    slurm.cancel_what_is_left(folder)
    assert (folder / "cancelled").read_text() == "7\n"
    squeue("exit 1")
    slurm.cancel_what_is_left(folder)  # the next run will


def test_where_nothing_was_ever_sent_off_slurm_is_not_asked(tmp_path: Path, squeue: Callable[[str], None]) -> None:
    squeue(f"touch {tmp_path}/asked")
    slurm.end_jobs_of_earlier_runs(tmp_path)
    assert not (tmp_path / "asked").exists()


def test_a_queue_that_cannot_be_read_stops_a_run_on_the_cluster_alone(
    folder: Path, squeue: Callable[[str], None], caplog: pytest.LogCaptureFixture
) -> None:
    squeue("echo 'squeue: error: no controller' >&2; exit 1")
    with pytest.raises(SystemExit, match=r"posenc: Slurm does not say .* squeue: error: no controller$"):
        slurm.begin(run_by("slurm"))
    slurm.begin(run_by("local"))
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "no controller" in caplog.text and "they write into this run" in caplog.text


def test_jobs_that_do_not_end_stop_the_run(
    folder: Path, squeue: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    squeue(f"echo '7|COMPLETING|None|{NAME}|{folder}'")
    monkeypatch.setattr(slurm, "CANCEL_S", -1)
    with pytest.raises(SystemExit, match=r"posenc: jobs of an earlier run in this folder do not end; .* --jobs 7`"):
        slurm.begin(run_by("local"))


def test_one_message_per_kind_of_reason() -> None:
    waiting = [
        QueuedJob(str(i), "PENDING", reason) for i, reason in enumerate(("Priority", "Resources", DOWN, "QOSLimit"))
    ]
    assert slurm.unusual_reasons(waiting) == {"ReqNodeNotAvail": DOWN, "QOSLimit": "QOSLimit"}
    message = slurm.waiting_message(4, DOWN)
    assert message.startswith(f"posenc: 4 Slurm jobs waiting: {DOWN}\n")
