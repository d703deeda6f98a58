"""Slurm's side of a run: jobs that an earlier run left in the queue, why jobs wait, and whose word ends a job."""

import re
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, NamedTuple

from snakemake.logging import logger
from snakemake.persistence import PersistenceBase

# The executor names the jobs of a run by a UUID, after a prefix where the profile gives one.
NAME = re.compile(r"(\S+_)?[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
# Jobs wait for these without anything being wrong.
USUAL = {"None", "Priority", "Resources", "Dependency", "BeginTime", "Prolog"}
QUERY_S = 60  # until a query is given up
CANCEL_S = 300  # until cancelled jobs must have left the queue; sites give jobs up to minutes to end


class QueuedJob(NamedTuple):
    number: str
    state: str
    reason: str


def begin(workflow: Any) -> None:
    """What a run does about Slurm before its first job."""
    folder = Path.cwd()
    end_jobs_of_earlier_runs(folder)
    if workflow.executor_plugin.name == "slurm":
        # As often as the executor itself looks after its jobs.
        tell_why_jobs_wait(folder, workflow.executor_settings.init_seconds_before_status_checks)


def queued_jobs(folder: Path) -> list[QueuedJob]:
    """Jobs that Snakemake has sent to Slurm from a folder, and that have not ended."""
    listed = subprocess.run(
        ["squeue", "--me", "--noheader", "--format=%i|%T|%r|%j|%Z"],
        capture_output=True, text=True, check=True, timeout=QUERY_S,
    )  # fmt: skip
    rows = [line.strip().split("|", 4) for line in listed.stdout.splitlines()]
    return [QueuedJob(*row[:3]) for row in rows if NAME.fullmatch(row[3]) and Path(row[4]) == folder]


def end_jobs_of_earlier_runs(folder: Path) -> None:
    """Cancel Slurm jobs whose Snakemake was killed, and wait until they are gone: they would write into this run.

    To be called under the folder's lock, where no other run can be at work.
    """
    if not shutil.which("squeue") or not (folder / ".snakemake" / "slurm_logs").is_dir():
        return
    try:
        left = queued_jobs(folder)
        if not left:
            return
        logger.warning(f"posenc: cancelling {len(left)} Slurm jobs that an earlier run in this folder left behind")
        subprocess.run(["scancel", *(job.number for job in left)], check=True, timeout=QUERY_S)
        deadline = time.monotonic() + CANCEL_S
        while left := queued_jobs(folder):
            if time.monotonic() > deadline:
                numbers = " ".join(job.number for job in left)
                sys.exit(f"posenc: Slurm jobs of an earlier run do not end: {numbers}; see `scontrol show job`")
            time.sleep(1)
    except (subprocess.SubprocessError, OSError) as error:
        sys.exit(f"posenc: cannot ask Slurm for jobs that an earlier run in this folder left behind: {said(error)}")


def tell_why_jobs_wait(folder: Path, seconds: float) -> None:
    """Look at the queue now and then, and say each reason to wait that will not pass by itself, once."""

    def watch() -> None:
        told: set[str] = set()
        while True:
            time.sleep(seconds)
            try:
                waiting = [job for job in queued_jobs(folder) if job.state == "PENDING"]
            except (subprocess.SubprocessError, OSError):
                continue  # the executor asks as well, and says what is wrong
            reasons = {job.reason for job in waiting} - USUAL
            for reason in sorted(reasons - told):
                logger.warning(waiting_message(len(waiting), reason))
            told = reasons

    threading.Thread(target=watch, daemon=True, name="watch Slurm's queue").start()


def waiting_message(count: int, reason: str) -> str:
    return (
        f"posenc: {count} Slurm {'job waits' if count == 1 else 'jobs wait'}: {reason}\n"
        "  They start once Slurm lets them; `sinfo -R` lists nodes out of service. Or stop here with Ctrl-C, which\n"
        "  cancels them: the same command continues from what is finished."
    )


def said(error: Exception) -> str:
    """What a Slurm command complained of."""
    return (getattr(error, "stderr", None) or str(error)).strip()


def leave_marks_to_the_run(workflow: Any) -> None:
    """Keep Snakemake's process on a node from declaring its outputs complete.

    It removes their marks as incomplete, but only the run's own process writes down what they were made from. Were that
    one killed in between, the outputs would pass for finished, and no later change of settings would fit them again.
    """
    if workflow.remote_exec:

        async def finished(self: Any, job: Any) -> None:
            pass

        PersistenceBase.finished = finished
