"""What every workflow script does around its one call: a log file, and an end when Snakemake is gone."""

import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

SECONDS_BETWEEN_LOOKS = 0.2


@contextmanager
def job(log_path: str) -> Iterator[None]:
    """Send logging, and the traceback of a failure, to the job's log file."""
    end_with(os.environ.get("POSENC_RUN"))
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


def end_with(run: str | None) -> None:
    """Kill this process as soon as the process numbered `run` is gone, so that no orphan writes into a later run.

    The number comes from the Snakefile: a search among the ancestors would find none where Snakemake died while this
    process was still starting. Outside a workflow there is no number, and nothing to end with.
    """
    if run is None:
        return

    def watch() -> None:
        with suppress(psutil.NoSuchProcess):
            process = psutil.Process(int(run))
            while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                time.sleep(SECONDS_BETWEEN_LOOKS)
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=watch, daemon=True, name="watch snakemake").start()
