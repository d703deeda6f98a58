"""One run per folder at a time, by a lock that dies with its holder."""

import sys
from pathlib import Path

from filelock import FileLock, Timeout

_held: list[FileLock] = []


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
