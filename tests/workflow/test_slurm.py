"""The smoke run through a real Slurm of one node: kills, a requeued job, a drained node, GPUs that are only counted."""

import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple, TypeVar

import pandas as pd
import psutil
import pytest
from cluster import Cluster, started_cluster, why_not
from project import change_config, command, copy_project, copy_run, dry_run, environment

pytestmark = pytest.mark.skipif(why_not() is not None, reason=str(why_not()))

PATIENCE_S = 900
DRAINED = "Nodes required for job are DOWN, DRAINED or reserved"
T = TypeVar("T")
# What the story makes: ten fits, and all steps from signals to figures.
EXPERIMENTS = ("image_features", "image_families", "image_scales")
TARGETS = ("fourier_features_figure_6", "fourier_features_figure_9", "fourier_features_figure_10")
JOBS = {"fit": 10, "measure_encodings": 3, "collect": 3} | dict.fromkeys(TARGETS, 1)
Jobs = dict[str, dict[str, str]]  # by number, as `Cluster.jobs` gives them


class Fit(NamedTuple):
    """A fit at work on the node."""

    process: psutil.Process
    job: str
    gpus: str | None
    parent: psutil.Process
    watched: psutil.Process  # ends with this one


class Story(NamedTuple):
    """One folder through three runs, of which the first two are stopped, to its end."""

    folder: Path
    logs: list[str]
    # The first run: a fit is killed, and the node drained.
    pair: list[Fit]  # at work at the same time
    queue: Jobs  # at that moment
    details: str  # of one of the two
    first_try: dict[str, str]
    second_try: dict[str, str]
    drained: Jobs  # when the jobs at work had ended
    stopped: int  # exit status after Ctrl-C
    left: Jobs
    # The second run: it is killed.
    orphans: Jobs
    ended_alone: dict[Path, int]  # values that came without their run, and when
    # The third run: a fit is requeued.
    orphans_later: Jobs
    requeued: str
    status: int
    of_the_user: str  # state of a job that the user sent off from the same folder


class Run:
    """A run in the background, with its output."""

    def __init__(self, folder: Path, cluster: Cluster, *arguments: str) -> None:
        self.log = folder / f"run{len(list(folder.glob('run*.log')))}.log"
        words = command(
            "--workflow-profile", "profiles/slurm", "--slurm-init-seconds-before-status-checks=1", *arguments
        )
        settings = cluster.environment | {"PYTHONPATH": f"{cluster.environment['PYTHONPATH']}:{folder}/src"}
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                words, cwd=folder, env=environment(**settings), stdout=log, stderr=log, preexec_fn=heed_ctrl_c
            )

    def wait_for(self, find: Callable[[], T]) -> T:
        """What is found as soon as there is something, while the run is at work."""

        def found() -> T:
            assert self.process.poll() is None, f"the run has ended: {self.log.read_text()[-4000:]}"
            return find()

        return wait_for(found, self.log)

    def end(self, sent: signal.Signals | None = None) -> int:
        if sent:
            self.process.send_signal(sent)
        return self.process.wait(PATIENCE_S)


def heed_ctrl_c() -> None:
    """Also where the tests run in the background, which a shell does with Ctrl-C ignored."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def wait_for(find: Callable[[], T], log: Path) -> T:
    deadline = time.monotonic() + PATIENCE_S
    while not (found := find()):
        assert time.monotonic() < deadline, f"waited too long; the log ends: {log.read_text()[-4000:]}"
        time.sleep(0.05)
    return found


def fits_at_work(folder: Path) -> list[Fit]:
    """The youngest first, which has the longest to go."""
    found = []
    for process in psutil.process_iter():
        try:
            words = process.cmdline()
            if any(word.startswith(f"{folder}/.snakemake/scripts") and word.endswith("fit.py") for word in words):
                given = process.environ()
                near = psutil.Process(process.ppid()), psutil.Process(int(given["POSENC_RUN"]))
                found.append(Fit(process, given["SLURM_JOB_ID"], given.get("CUDA_VISIBLE_DEVICES"), *near))
        except psutil.Error:  # it has just ended
            pass
    return sorted(found, key=lambda fit: -fit.process.create_time())


def values_in(folder: Path) -> dict[Path, int]:
    """Values of finished fits, and when they were written."""
    found = folder.glob("results/smoke/fits/**/values.csv")
    return {path.relative_to(folder): path.stat().st_mtime_ns for path in found}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with started_cluster(tmp_path_factory.mktemp("slurm")) as running:
        yield running


@pytest.fixture(scope="module")
def story(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Story:
    folder = copy_project(tmp_path_factory.mktemp("cluster") / "posenc")
    # Fits hold GPUs, but there are none to compute on.
    change_config(folder, {"preset": "smoke", "device": "cpu"})
    arguments = ("--set-resources", "fit:gpu=1", "--", *TARGETS)

    first = Run(folder, cluster, *arguments)
    pair = first.wait_for(lambda: found if len(found := fits_at_work(folder)) == 2 else [])
    queue, killed = cluster.jobs(folder), pair[0]
    details = cluster.details(killed.job)
    first_try = queue[killed.job]
    killed.process.kill()
    cluster.node("drain")

    def tries() -> list[dict[str, str]]:
        found = cluster.jobs(folder)
        return [job for number, job in found.items() if job["what"] == first_try["what"] and number != killed.job]

    (second_try,) = first.wait_for(tries)
    first.wait_for(lambda: DRAINED in first.log.read_text())
    first.wait_for(lambda: not cluster.jobs(folder, "RUNNING,COMPLETING"))
    drained = cluster.jobs(folder)
    stopped = first.end(signal.SIGINT)
    left = cluster.jobs(folder)
    cluster.node("resume")

    before = values_in(folder)
    second = Run(folder, cluster, *arguments)
    second.wait_for(lambda: fits_at_work(folder))
    second.end(signal.SIGKILL)
    orphans = cluster.jobs(folder)
    wait_for(lambda: orphans.keys() & cluster.jobs(folder, "COMPLETED"), second.log)
    ended_alone = {path: when for path, when in values_in(folder).items() if path not in before}

    own = cluster.ask(
        "sbatch", "--parsable", "--mem=10", "--output=/dev/null", f"--chdir={folder}", "--wrap=sleep 3000"
    )
    third = Run(folder, cluster, *arguments)

    def of_third() -> list[str]:
        return [fit.job for fit in fits_at_work(folder) if fit.job not in orphans]

    requeued = third.wait_for(of_third)[0]
    cluster.ask("scontrol", "requeue", requeued)
    orphans_later = {number: job for number, job in cluster.jobs(folder, "all").items() if number in orphans}
    status = third.end()
    own_state = cluster.jobs(folder)[own.strip()]["state"]
    cluster.ask("scancel", own.strip())
    logs = [run.log.read_text() for run in (first, second, third)]
    return Story(
        folder, logs, pair, queue, details, first_try, second_try, drained, stopped, left,
        orphans, ended_alone, orphans_later, cluster.details(requeued), status, own_state,
    )  # fmt: skip


def test_the_smoke_run_ends_well(story: Story, finished: Path) -> None:
    assert story.status == 0, story.logs[2][-4000:]
    places = [{path.relative_to(folder / "reports") for path in folder.glob("reports/smoke/**/*") if path.is_file()}
              for folder in (story.folder, finished)]  # fmt: skip
    assert set() != places[0] < places[1]
    assert dry_run(story.folder, *TARGETS) == {}


@pytest.mark.skipif(any(Path("/dev").glob("nvidia[0-9]*")), reason="needs a machine without CUDA")
def test_the_records_are_those_of_a_run_on_one_machine(story: Story, finished: Path) -> None:
    assert len(values_in(story.folder)) == JOBS["fit"]
    for path in values_in(story.folder):
        assert (story.folder / path).read_text() == (finished / path).read_text()  # every digit
    for name in EXPERIMENTS:
        records = Path(f"results/smoke/records/{name}.parquet")
        found, expected = (pd.read_parquet(folder / records) for folder in (story.folder, finished))
        pd.testing.assert_frame_equal(found, expected, check_exact=True)


def test_each_fit_gets_a_gpu_of_its_own(story: Story) -> None:
    assert {fit.gpus for fit in story.pair} == {"0", "1"}
    assert "TresPerJob=gres:gpu:1" in story.details
    # There are processors for four.
    fits = [job for job in story.queue.values() if job["what"].startswith("rule_fit")]
    assert sorted(job["state"] for job in fits)[-3:] == ["PENDING", "RUNNING", "RUNNING"]
    assert {job["reason"] for job in fits if job["state"] == "PENDING"} <= {"Resources", "Priority"}


def test_a_fit_ends_with_its_own_job(story: Story) -> None:
    # Snakemake's process on the node, not the one on the login node, which is not there to be looked at.
    assert [fit.watched for fit in story.pair] == [fit.parent for fit in story.pair]


def test_a_killed_fit_is_sent_again_with_more_memory_and_time(story: Story) -> None:
    assert int(story.second_try["memory"].strip("M")) == 2 * int(story.first_try["memory"].strip("M")) > 0
    assert (story.first_try["limit"], story.second_try["limit"]) == ("2:00:00", "4:00:00")
    assert "posenc: failed: fit " in story.logs[0]


def test_a_drained_node_is_said_and_stopping_leaves_nothing_behind(story: Story) -> None:
    assert {job["state"] for job in story.drained.values()} == {"PENDING"}
    assert re.search(rf"posenc: \d+ Slurm jobs waiting: {DRAINED}", story.logs[0])
    assert "the same command continues from what is finished" in story.logs[0]
    assert story.stopped != 0
    assert re.search(r"posenc: stopped: \d+ of 21 jobs done .* run the same command to continue", story.logs[0])
    assert "Traceback" not in story.logs[0]
    assert story.left == {}


def test_jobs_of_a_killed_run_are_cancelled_by_the_next(story: Story) -> None:
    said = re.search(r"posenc: cancelling (\d+) Slurm jobs that an earlier run", story.logs[2])
    assert said and int(said[1]) == sum(job["state"] == "CANCELLED" for job in story.orphans_later.values()) > 2
    assert {job["state"] for job in story.orphans_later.values()} == {"CANCELLED", "COMPLETED"}


def test_a_job_of_the_users_own_is_not_touched(story: Story) -> None:
    assert story.of_the_user == "RUNNING"


def test_what_ended_without_its_run_is_not_taken_for_finished(story: Story, tmp_path: Path) -> None:
    now = values_in(story.folder)
    assert story.ended_alone
    assert [path for path, when in story.ended_alone.items() if now[path] == when] == []
    # So it is known of every fit what it was made from.
    folder = copy_run(story.folder, tmp_path / "posenc")
    steps = {"training": {"steps": 21}}
    change_config(folder, {"experiments": dict.fromkeys(EXPERIMENTS, steps)})
    fitted = {rule: count for rule, count in JOBS.items() if rule != "measure_encodings"}  # steps do not touch those
    assert dry_run(folder, *TARGETS) == fitted


def test_a_requeued_fit_comes_to_its_end(story: Story) -> None:
    assert "Restarts=1" in story.requeued
    assert "JobState=COMPLETED" in story.requeued


def test_the_display_says_submitted_and_lists_no_jobs(story: Story) -> None:
    assert "; submitted: " in story.logs[2]
    assert "; running: " not in story.logs[2]
    assert "has been submitted with SLURM" not in story.logs[2]


def test_device_cuda_asks_slurm_for_a_gpu(cluster: Cluster, finished: Path, tmp_path: Path) -> None:
    folder = copy_run(finished, tmp_path / "posenc")
    change_config(folder, {"device": "cuda"})
    next(folder.glob("results/smoke/fits/image_scales/**/values.csv")).unlink()
    cluster.node("drain")
    run = Run(folder, cluster, "fits")
    (number,) = run.wait_for(lambda: cluster.jobs(folder))
    details = cluster.details(number)
    run.end(signal.SIGINT)
    cluster.node("resume")
    assert "TresPerJob=gres:gpu:1" in details
