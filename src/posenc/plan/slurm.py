"""Slurm's side of a run: jobs that an earlier run left in the queue, why jobs wait, and who calls outputs complete."""

import atexit
import logging
import re
import shutil
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

log = logging.getLogger("snakemake.logging")  # a run's own: on its screen and in its log file

# The executor names the jobs of a run by a UUID, after a prefix where the profile gives one.
NAME = re.compile(r"(\S+_)?[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
# Jobs wait for these without anything being wrong.
USUAL = {"None", "Priority", "Resources", "Dependency", "BeginTime", "Prolog"}
QUERY_S = 60  # until a query is given up
CANCEL_S = 300  # until cancelled jobs must have left the queue; sites give jobs up to minutes to end


class QueuedJob(NamedTuple):
    """A job as squeue lists it."""

    number: str
    state: str
    reason: str


def begin(workflow: Any) -> None:
    """What a run does about Slurm before its first job."""
    folder, sends_jobs = Path.cwd(), workflow.executor_plugin.name == "slurm"
    try:
        end_jobs_of_earlier_runs(folder)
    except (subprocess.SubprocessError, OSError) as error:
        said = (getattr(error, "stderr", None) or str(error)).strip()
        message = f"posenc: Slurm does not say whether jobs of an earlier run in this folder are still there: {said}"
        if sends_jobs:
            sys.exit(message)
        log.warning(f"{message}\n  If so, they write into this run.")
    if sends_jobs:
        atexit.register(cancel_what_is_left, folder)
        # As often as the executor itself looks after its jobs.
        tell_why_jobs_wait(folder, workflow.executor_settings.init_seconds_before_status_checks)


def queued_jobs(folder: Path) -> list[QueuedJob]:
    """Jobs that Snakemake has sent to Slurm from a folder, and that have not ended."""
    query = ["squeue", "--me", "--noheader", "--format=%i|%T|%r|%j|%Z"]
    listed = subprocess.run(query, capture_output=True, text=True, check=True, timeout=QUERY_S).stdout
    rows = [line.strip().split("|", 4) for line in listed.splitlines()]
    return [QueuedJob(*row[:3]) for row in rows if NAME.fullmatch(row[3]) and Path(row[4]) == folder]


def end_jobs_of_earlier_runs(folder: Path) -> None:
    """Cancel Slurm jobs whose Snakemake was killed, and wait until they are gone: they would write into this run.

    To be called under the folder's lock, where no other run can be at work. Raises what a failed query raises.
    """
    if not shutil.which("squeue") or not (folder / ".snakemake" / "slurm_logs").is_dir():
        return
    left = queued_jobs(folder)
    if not left:
        return
    log.warning(f"posenc: cancelling {slurm_jobs(len(left))} that an earlier run in this folder left behind")
    cancel(left)
    deadline = time.monotonic() + CANCEL_S
    while left := queued_jobs(folder):
        if time.monotonic() > deadline:
            numbers = ",".join(job.number for job in left)
            sys.exit(f"posenc: jobs of an earlier run in this folder do not end; see `squeue --jobs {numbers}`")
        time.sleep(1)


def cancel_what_is_left(folder: Path) -> None:
    """Cancel what a run leaves in the queue at its end: stopped while it sends a job, it does not yet know of that one.

    Where this fails, the next run in the folder does it.
    """
    with suppress(subprocess.SubprocessError, OSError):
        if left := queued_jobs(folder):
            cancel(left)


def cancel(jobs: list[QueuedJob]) -> None:
    """Ask Slurm to end jobs. Its exit status says little: a job may have ended by itself."""
    subprocess.run(["scancel", *(job.number for job in jobs)], capture_output=True, timeout=QUERY_S)


def tell_why_jobs_wait(folder: Path, seconds: float) -> None:
    """Look at the queue now and then, and say why jobs wait where that will not pass by itself: each reason once."""

    def watch() -> None:
        told: set[str] = set()
        while True:
            time.sleep(seconds)
            try:
                waiting = [job for job in queued_jobs(folder) if job.state == "PENDING"]
            except (subprocess.SubprocessError, OSError):
                continue  # the executor asks as well, and says what is wrong
            found = unusual_reasons(waiting)
            for new in sorted(found.keys() - told):
                log.warning(waiting_message(len(waiting), found[new]))
            told = told | found.keys() if found else set()

    threading.Thread(target=watch, daemon=True, name="watch Slurm's queue").start()


def unusual_reasons(waiting: list[QueuedJob]) -> dict[str, str]:
    """Reasons to wait that are worth a word, by their kind: without the list of nodes that may follow, and changes."""
    return {job.reason.split(",")[0]: job.reason for job in waiting if job.reason not in USUAL}


def waiting_message(count: int, reason: str) -> str:
    return (
        f"posenc: {slurm_jobs(count)} waiting: {reason}\n"
        "  They start once Slurm lets them; `sinfo -R` lists nodes out of service. Or stop here with Ctrl-C, which\n"
        "  cancels them: the same command continues from what is finished."
    )


def slurm_jobs(count: int) -> str:
    return "1 Slurm job" if count == 1 else f"{count} Slurm jobs"


def leave_marks_to_the_run(workflow: Any, persistence: type) -> None:
    """Keep Snakemake's process on a node from declaring its outputs complete.

    It removes their marks as incomplete, but only the run's own process writes down what they were made from. Were that
    one killed in between, the outputs would pass for finished, and no later change of settings would fit them again.
    persistence: Snakemake's class that does both.
    """
    if workflow.remote_exec:

        async def finished(self: Any, job: Any) -> None:
            pass

        persistence.finished = finished  # type: ignore[attr-defined]
