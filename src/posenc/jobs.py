"""What every workflow script does around its one call: a log file, and an end when Snakemake is gone."""

import atexit
import errno
import gc
import json
import logging
import os
import signal
import socket
import struct
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeGuard

import psutil

SECONDS_BETWEEN_LOOKS = 0.2
SERVER = "POSENC_SERVER"  # the variable that names the run's fork server to its jobs; forks have none


@contextmanager
def job(log_path: str) -> Iterator[None]:
    """Send logging, and the traceback of a failure, to the job's log file. In a fork of the run's, where it has any."""
    end_as_fork()
    end_with(os.environ.get("POSENC_RUN"))
    # Importing torch or pandas makes objects by the hundred thousand, which Python would look through for cycles again
    # and again, and once more at its end: half a second of every job.
    gc.set_threshold(100_000)
    atexit.register(gc.freeze)
    try:
        log_to(log_path)
    except OSError as error:
        sys.exit(reason(error))
    try:
        yield
    except Exception as error:
        logging.error(reason(error), exc_info=not is_full(error))
        sys.exit(reason(error) if is_full(error) else f"{reason(error)} (details in {log_path})")


def end_as_fork() -> None:
    """Have a fork of `posenc.forkserver` run this script, and end as it does; return where there is none to ask."""
    if SERVER not in os.environ or os.environ.get("OMP_NUM_THREADS") != "1":
        return
    asked = {
        "python": sys.executable,
        "arguments": sys.argv,
        "environment": dict(os.environ),
        "folder": os.getcwd(),
    }
    sent = json.dumps(asked).encode()
    sys.stdout.flush()
    with socket.socket(socket.AF_UNIX) as server:
        try:
            server.connect(address(os.environ[SERVER]))
            if not is_same_user(server):
                return
            socket.send_fds(server, [len(sent).to_bytes(8)], [1, 2])
            server.sendall(sent)
            taken = server.recv(1)
        except OSError:
            return
        if taken:
            try:
                status = server.recv(1)
            except KeyboardInterrupt:  # the fork was interrupted, too, and is not to be killed while it tidies up
                server.recv(1)
                raise
            # Without a status a signal ended it, most likely this one; that is said as shells say it.
            sys.exit(status[0] if status else 128 + signal.SIGKILL)


def address(server: str) -> str:
    """Of a socket that has no file and is gone with its process, as Linux has them."""
    return f"\0posenc-{server}"


def is_same_user(connection: socket.socket) -> bool:
    """Whether the other end is this user's: anybody may connect to such a socket."""
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    _, user, _ = struct.unpack("3i", credentials)
    return bool(user == os.getuid())


def reason(error: Exception) -> str:
    """What a person is told of a failure."""
    if is_full(error):
        where = f": {error.filename}" if error.filename else ""
        return f"{error.strerror}{where}; free some space there, then run the same command again"
    return f"{type(error).__name__}: {error}"


def is_full(error: Exception) -> TypeGuard[OSError]:
    """Whether it says that a disk or a quota is used up."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)


def log_to(path: str) -> None:
    """Begin the log file, and send logging and warnings there. A disk that is full shows here, before the work."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    try:
        Path(path).write_text(f"process {os.getpid()} on {socket.gethostname()}\n")
    except OSError as error:
        error.filename = path
        raise
    logging.basicConfig(
        handlers=[LogFile(path)], level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", force=True
    )
    logging.captureWarnings(True)


class LogFile(logging.FileHandler):
    """A line that cannot be written is lost, and the job goes on: where a disk is full, its outputs will say so."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        if not isinstance(sys.exception(), OSError):
            super().handleError(record)


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
