"""The smoke run through a real Slurm of one node: kills, a requeued job, a drained node, and GPUs that are only counted."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import psutil
import pytest
import yaml
from cluster import Cluster, started_cluster, why_not
from project import ROOT, change_config, command, copy_project, copy_run, dry_run, environment, refit

from posenc.plan.slurm import waiting_message

pytestmark = pytest.mark.skipif(why_not() is not None, reason=str(why_not()))

SLURM = ("--workflow-profile", "profiles/slurm")
FITS = "results/smoke/fits"
PATIENCE_S = 240
DRAINED = "Nodes required for job are DOWN, DRAINED or reserved"


class Fit(NamedTuple):
    """A fit at work on the node."""

    process: psutil.Process
    job: str
    gpu: str | None


class Story(NamedTuple):
    """One folder through three runs, of which the first two are stopped, to its end."""

    folder: Path
    pair: list[Fit]  # the first two fits at work at the same time
    queue: dict[str, dict[str, str]]  # Slurm's jobs at that moment
    details: str  # of one of them
    retry: dict[str, str]  # the job that came after a fit was killed
    drained: list[str]  # states while the node was drained and its running jobs had ended
    stopped: int  # exit status of the first run
    left: dict[str, dict[str, str]]  # jobs in the queue after it
    orphans: dict[str, dict[str, str]]  # jobs in the queue after the second run was killed
    finished_alone: dict[Path, int]  # values that came after that, and when
    cancelled: dict[str, dict[str, str]]  # the orphans when the third run was at work
    requeued: str
    last: int  # exit status of the third run
    logs: list[str]


class Run:
    """A run in the background, with its output."""

    def __init__(self, folder: Path, cluster: Cluster, *arguments: str) -> None:
        self.log = folder / f"run{len(list(folder.glob('run*.log')))}.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                command(*arguments, *SLURM), cwd=folder, env=environment(**cluster.environment), stdout=log, stderr=log
            )

    def wait_until(self, true: Callable[[], object]) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not true():
            assert self.process.poll() is None, f"the run has ended: {self.log.read_text()[-4000:]}"
            assert time.monotonic() < deadline, f"waited too long: {self.log.read_text()[-4000:]}"
            time.sleep(0.05)

    def end(self, sent: signal.Signals | None = None) -> int:
        if sent:
            self.process.send_signal(sent)
        return self.process.wait(PATIENCE_S)


def fits_at_work(folder: Path) -> list[Fit]:
    found = []
    for process in psutil.process_iter():
        try:
            words = process.cmdline()
            if any(word.startswith(f"{folder}/.snakemake/scripts") and word.endswith("fit.py") for word in words):
                given = process.environ()
                found.append(Fit(process, given["SLURM_JOB_ID"], given.get("CUDA_VISIBLE_DEVICES")))
        except psutil.Error:
            pass  # it has just ended
    return found


def values_in(folder: Path) -> dict[Path, int]:
    """Finished values, and when they were written."""
    return {path.relative_to(folder): path.stat().st_mtime_ns for path in folder.glob(f"{FITS}/**/values.csv")}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with started_cluster(tmp_path_factory.mktemp("slurm")) as running:
        yield running


@pytest.fixture(scope="module")
def story(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Story:
    folder = copy_project(tmp_path_factory.mktemp("cluster") / "posenc")
    # GPUs that do not exist can be held, not used.
    change_config(folder, {"preset": "smoke", "device": "cpu"})
    arguments = ("all", "--set-resources", "fit:gpu=1")

    def states(numbers: dict[str, dict[str, str]]) -> dict[str, dict[str, str]]:
        return {number: job for number, job in cluster.jobs(folder, "all").items() if number in numbers}

    run = Run(folder, cluster, *arguments)
    run.wait_until(lambda: len(fits_at_work(folder)) == 2)
    pair, queue = fits_at_work(folder), cluster.jobs(folder)
    details = cluster.details(pair[0].job)
    pair[0].process.kill()
    killed = queue[pair[0].job]["what"]
    cluster.node("drain")

    def retry() -> list[dict[str, str]]:
        jobs = cluster.jobs(folder)
        return [job for number, job in jobs.items() if job["what"] == killed and number != pair[0].job]

    run.wait_until(retry)
    run.wait_until(lambda: DRAINED in run.log.read_text())
    run.wait_until(lambda: not cluster.jobs(folder, "RUNNING,COMPLETING"))
    retried, drained = retry()[0], [job["state"] for job in cluster.jobs(folder).values()]
    stopped = run.end(signal.SIGINT)
    run.wait_until
    left = cluster.jobs(folder)
    cluster.node("resume")

    second = Run(folder, cluster, *arguments)
    second.wait_until(lambda: fits_at_work(folder))
    second.end(signal.SIGKILL)
    before, orphans = values_in(folder), cluster.jobs(folder)
    deadline = time.monotonic() + PATIENCE_S
    while not values_in(folder).keys() - before.keys():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    finished_alone = {path: when for path, when in values_in(folder).items() if path not in before}

    third = Run(folder, cluster, *arguments)
    third.wait_until(lambda: [fit for fit in fits_at_work(folder) if fit.job not in orphans])
    cancelled = states(orphans)
    requeued = next(fit.job for fit in fits_at_work(folder) if fit.job not in orphans)
    cluster.ask("scontrol", "requeue", requeued)
    last = third.end()
    logs = [each.log.read_text() for each in (run, second, third)]
    return Story(
        folder, pair, queue, details, retried, drained, stopped, left, orphans, finished_alone, cancelled,
        cluster.details(requeued), last, logs,
    )  # fmt: skip


def test_x(story: Story) -> None:
    print(story)
    print("\n=====\n".join(story.logs))
