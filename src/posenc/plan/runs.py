"""A run and its jobs: one run per folder at a time, and what its jobs find in their environment."""

import os
import sys
from pathlib import Path

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
