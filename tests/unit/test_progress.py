"""The progress display of runs: its arithmetic with a clock of its own, and what a real run shows."""

import logging
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from snakemake.settings.types import OutputSettings
from snakemake_interface_logger_plugins.common import LogEvent

from snakemake_logger_plugin_posenc import LogHandler, lines
from snakemake_logger_plugin_posenc.estimate import Progress

SOURCES = Path(__file__).resolve().parents[2] / "src"
SNAKEFILE = """
rule all:
    input: expand("out/{i}.txt", i=range(6))

rule fit:
    output: "out/{i}.txt"
    log: "logs/{i}.log"
    message: "fit number {wildcards.i}"
    shell: "(seq 30; sleep .1; test {wildcards.i} != %s; touch {output}) > {log} 2>&1"
"""


def run_of_fits(progress: Progress, count: int, seconds: float, at_once: int = 1) -> float:
    """Run `count` jobs of rule `fit` from time 0 on, `at_once` side by side; the time when the last ends."""
    now = 0.0
    for first in range(0, count, at_once):
        for job in range(first, first + at_once):
            progress.started(job, "fit", now)
        now += seconds
        for job in range(first, first + at_once):
            progress.finished(job, now)
    return now


def test_time_left_is_jobs_left_times_their_mean_duration() -> None:
    progress = Progress({"fit": 10})
    now = run_of_fits(progress, 4, seconds=10)
    assert (progress.done, progress.total) == (4, 10)
    assert progress.remaining(now) == pytest.approx(60)


def test_time_left_shrinks_while_a_job_runs() -> None:
    progress = Progress({"fit": 10})
    now = run_of_fits(progress, 4, seconds=10)
    progress.started(4, "fit", now)
    assert progress.remaining(now + 3) == pytest.approx(57)
    assert progress.remaining(now + 25) == pytest.approx(50)  # overdue: the five others are still to come


def test_time_left_is_divided_by_the_concurrency_observed() -> None:
    progress = Progress({"fit": 10})
    now = run_of_fits(progress, 4, seconds=10, at_once=2)
    assert progress.concurrency() == pytest.approx(2)
    assert progress.remaining(now) == pytest.approx(30)


def test_one_job_left_is_not_shared_between_workers() -> None:
    progress = Progress({"fit": 5})
    now = run_of_fits(progress, 4, seconds=10, at_once=2)
    progress.started(4, "fit", now)
    assert progress.remaining(now) == pytest.approx(10)


def test_nothing_is_promised_before_a_rule_with_many_jobs_has_a_finished_one() -> None:
    progress = Progress({"data": 1, "fit": 20, "collect": 1})
    progress.started(0, "data", 0.0)
    assert progress.remaining(1.0) is None
    progress.finished(0, 2.0)
    assert progress.remaining(2.0) is None
    progress.started(1, "fit", 2.0)
    progress.finished(1, 6.0)
    # 19 fits of 4 s, and one `collect`, unknown as yet, with the mean of all: 3 s
    assert progress.remaining(6.0) == pytest.approx(19 * 4 + 3)


def test_failed_jobs_are_neither_done_nor_left_and_a_retry_counts_again() -> None:
    progress = Progress({"fit": 4})
    now = run_of_fits(progress, 2, seconds=10)
    progress.started(2, "fit", now)
    progress.failed(2, "fit", now)
    assert (progress.done, list(progress.failures)) == (2, [2])
    assert progress.remaining(now) == pytest.approx(10)
    progress.started(2, "fit", now)
    assert progress.failures == {}
    assert progress.remaining(now) == pytest.approx(20)


def test_nothing_is_promised_when_jobs_were_added_and_nothing_is_left_at_the_end() -> None:
    progress = Progress({"fit": 2})
    now = run_of_fits(progress, 1, seconds=10)
    progress.total = 5
    assert progress.remaining(now) is None
    assert Progress({}).remaining(0.0) == 0.0


def test_words_for_times() -> None:
    assert [lines.duration(s) for s in (0.4, 59.6, 112, 7500)] == [
        "0 s",
        "1 min 0 s",
        "1 min 52 s",
        "2 h 5 min",
    ]
    assert [lines.time_left(s) for s in (None, 3, 12, 170, 3590)] == [
        "estimating time left",
        "a few seconds left",
        "about 10 s left",
        "about 3 min left",
        "about 1 h 0 min left",
    ]


def test_status_line() -> None:
    assert lines.status(37, 96, 0, 112, 170, ["fit image_natural gaussian"]) == (
        "37/96 jobs (38 %), 1 min 52 s elapsed, about 3 min left; running: fit image_natural gaussian"
    )
    assert lines.status(3, 9, 1, 5, None, ["a", "b", "c", "d"]) == (
        "3/9 jobs (33 %), 1 failed, 5 s elapsed, estimating time left; running: a, b and 2 more"
    )


def test_a_fault_of_the_display_loses_no_message(capsys: pytest.CaptureFixture[str]) -> None:
    handler = LogHandler(OutputSettings(), None)
    record = logging.LogRecord("snakemake", logging.INFO, "", 0, "Job stats: as Snakemake says it", None, None)
    record.__dict__.update(event=LogEvent.RUN_INFO, stats=None)
    handler.handle(record)
    shown = capsys.readouterr().err
    assert "posenc: cannot show progress" in shown
    assert "Job stats: as Snakemake says it" in shown
    handler.close()


def snakemake(folder: Path, *options: str, failing: int | None = None) -> subprocess.CompletedProcess[str]:
    """Run six tenth-of-a-second jobs without a terminal; job `failing` fails."""
    (folder / "Snakefile").write_text(SNAKEFILE % failing)
    # A fixed hash seed: Snakemake lists some reasons in the order of a set.
    environment = os.environ | {"PYTHONPATH": str(SOURCES), "PYTHONHASHSEED": "0"}
    command = [sys.executable, "-m", "snakemake", "--cores", "2", *options]
    return subprocess.run(
        command, check=False, cwd=folder, env=environment, capture_output=True, text=True, timeout=120
    )


def test_a_run_shows_plan_progress_and_end(tmp_path: Path) -> None:
    run = snakemake(tmp_path, "--logger", "posenc")
    shown = run.stderr.splitlines()
    assert run.returncode == 0, run.stderr
    assert shown[0] == "posenc: 7 jobs to do: 6 fit, 1 all"
    assert re.fullmatch(r"posenc: 1/7 jobs \(14 %\), \d+ s elapsed, .* left(; running: fit .*)?", shown[1])
    assert re.fullmatch(r"posenc: done: 7 jobs in \d+ s", shown[-1])
    assert len(shown) < 6  # no block per job
    assert "\033" not in run.stderr and "\r" not in run.stderr

    again = snakemake(tmp_path, "--logger", "posenc")
    assert "Nothing to be done" in again.stderr


def test_a_failed_job_is_reported_with_the_end_of_its_log(tmp_path: Path) -> None:
    run = snakemake(tmp_path, "--logger", "posenc", "--keep-going", failing=3)
    assert run.returncode == 1
    report = ["posenc: failed: fit number 3", "  rule: fit i=3", "  output: out/3.txt", "  log: logs/3.log"]
    report += [f"  | {number}" for number in range(11, 31)]
    assert "\n".join(report) + "\n" in run.stderr
    assert "returned non-zero exit status 1" in run.stderr
    end = r"posenc: failed: 1 job failed, 5 of 7 done in \d+ s; run the same command to continue"
    assert re.fullmatch(end, run.stderr.splitlines()[-2])
    assert run.stderr.splitlines()[-1] == "  failed: fit number 3"


@pytest.mark.parametrize("options", [("--dry-run",), ("--summary",), ("--dry-run", "--quiet", "rules")])
def test_all_but_runs_is_shown_as_snakemake_shows_it(tmp_path: Path, options: tuple[str, ...]) -> None:
    default = snakemake(tmp_path, *options)
    ours = snakemake(tmp_path, *options, "--logger", "posenc")
    assert default.returncode == ours.returncode == 0
    assert without_times(ours.stdout) == without_times(default.stdout) != ""
    assert without_times(ours.stderr) == without_times(default.stderr)


def without_times(text: str) -> str:
    return re.sub(r"(?m)^\[.*\d{4}\]$|^  (Date|Workflow ID|Command): .*$", "", text)
