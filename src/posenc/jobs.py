"""What every workflow script does around its one call: a log file, and an end when Snakemake is gone."""

import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

SECONDS_BETWEEN_LOOKS = 0.2


@contextmanager
def job(log_path: str) -> Iterator[None]:
    """Send logging, and the traceback of a failure, to the job's log file."""
    end_with(snakemake_process())
    Path(log_path).parent.mkdir(parents=True, exist_ok=True)
    logging.basicConfig(
        filename=log_path, filemode="w", level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", force=True
    )
    logging.captureWarnings(True)
    try:
        yield
    except Exception as error:
        logging.exception("failed")
        sys.exit(f"{type(error).__name__}: {error} (details in {log_path})")


def snakemake_process() -> psutil.Process | None:
    """The nearest ancestor that is a Snakemake, if any."""
    for ancestor in psutil.Process().parents():
        try:
            if any("snakemake" in Path(argument).name for argument in ancestor.cmdline()[:3]):
                return ancestor
        except psutil.Error:
            continue
    return None


def end_with(process: psutil.Process | None) -> None:
    """Kill this process as soon as `process` is gone, so that no orphan writes into a later run."""
    if process is None:
        return

    def watch() -> None:
        while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
            time.sleep(SECONDS_BETWEEN_LOOKS)
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=watch, daemon=True, name="watch snakemake").start()
