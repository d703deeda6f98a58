"""A run and its jobs: one run per folder at a time, and what its jobs find in their environment."""

import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

_held: list[FileLock] = []


def tell_jobs(package: str) -> None:
    """Leave in the environment where the package lies, and the process without which no job may go on."""
    inherited = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [package, inherited]))
    os.environ["POSENC_RUN"] = str(os.getpid())


def one_run_at_a_time(folder: Path = Path(".snakemake")) -> None:
    """Take the folder's lock for the life of this process, or end with a message.

    The kernel releases it on any death, kill -9 included; Snakemake's own lock would stay and block the next run.
    """
    folder.mkdir(exist_ok=True)
    lock = FileLock(folder / "posenc.lock")
    try:
        lock.acquire(timeout=1)
    except Timeout:
        sys.exit("posenc: another run is at work in this folder; wait for it, or stop it first")
    _held.append(lock)


def begin_alone(workflow: Any, then: Callable[[Any], None]) -> None:
    """Have a run take the folder's lock, and do `then(workflow)`, before it looks at what files there are.

    Snakemake's `onstart` comes too late: by then it has planned with files that another run, or jobs that an earlier
    one left on a cluster, were about to write or remove. What only looks, such as a dry run, takes no lock.
    """
    look = workflow._build_dag

    def look_alone() -> None:
        if workflow.executor_plugin is not None and not workflow.dryrun and not workflow.touch:
            one_run_at_a_time()
            then(workflow)
        look()

    workflow._build_dag = look_alone


def end_if_unwritable(folders: Iterable[str]) -> None:
    """End with one message, before any job, where nothing can be written in these folders or in what will hold them."""
    faults = {folder: fault for folder in folders if (fault := writing_fault(Path(folder)))}
    if faults:
        sys.exit(
            "posenc: nothing was started, because these folders cannot be written:\n"
            + "".join(f"  {folder}: {fault}\n" for folder, fault in faults.items())
            + "make them writable, or free some space there; then run the same command again"
        )


def writing_fault(folder: Path) -> str | None:
    """Why a file cannot be made and filled there. Tried, since root passes permission bits; it never has a name."""
    existing = next(place for place in (folder, *folder.parents) if place.exists())
    try:
        with tempfile.TemporaryFile(dir=existing, buffering=0) as file:
            file.write(bytes(4096))
    except OSError as error:
        return error.strerror
    return None


def say_what_jobs_counts(workflow: Any) -> None:
    """A note where `-j` was meant for this machine: with the profile's `cores: all` it bounds none but a cluster's."""
    asked, cores = workflow.resource_settings.nodes, workflow.resource_settings.cores
    if workflow.local_exec and asked is not None and asked != cores:
        print(
            f"posenc: -j {asked} bounds jobs on a cluster; on this machine {cores} cores are at work: to change that,"
            f" say --cores {asked}",
            file=sys.stderr,
        )


def bring_dates_back(files: Iterable[str]) -> None:
    """Give the present date to files of this folder that are dated ahead of the clock; end with a message for others.

    Snakemake throws away what a job made from a file that is dated later. Nothing else hangs on dates: whether a file
    has changed is told by its content.
    """
    for path in files:
        if not os.path.lexists(path) or (date := os.lstat(path).st_mtime) <= time.time():
            continue
        if not Path(path).absolute().is_relative_to(Path.cwd()):
            sys.exit(
                f"posenc: nothing was started, because {path} is dated {minute(date)}, and this machine's clock stands "
                f"at {minute(time.time())}: set the clock, or give such files the present date with `touch`"
            )
        os.utime(path, follow_symlinks=False)


def minute(seconds: float) -> str:
    return datetime.fromtimestamp(seconds).strftime("%Y-%m-%d %H:%M")
