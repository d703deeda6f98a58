"""Snakemake started from a process that has its libraries imported already: of a dry run that is a third.

For what only plans, or is refused. Runs that do work are started as people start them (`project.snakemake`).
"""

import importlib
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path

PATIENCE_S = 1800  # with any run; the machine may have other things to do
# Imported once: the slowest of what Snakemake and the plan import. Not Snakemake itself, which notes on import in which
# folder it is; nor anything of this project, which comes from the folder that a run is of.
READY = ("filelock", "nbformat", "numpy", "pandas", "PIL.Image", "psutil", "pydantic", "requests", "sqlmodel", "yaml")


class Starter:
    """A process that forks for every run that it is asked for, and ends with this one."""

    def __init__(self) -> None:
        self.requests, other_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        words = [sys.executable, __file__, str(other_end.fileno())]
        self.process = subprocess.Popen(words, pass_fds=[other_end.fileno()])
        other_end.close()

    def run(
        self, arguments: tuple[str, ...], folder: Path, environment: Mapping[str, str]
    ) -> subprocess.CompletedProcess[str]:
        """What `python -m snakemake` with these arguments does and says."""
        request = {"arguments": arguments, "folder": str(folder), "environment": dict(environment)}
        with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
            answer, ended = os.pipe()
            socket.send_fds(self.requests, [json.dumps(request).encode()], [out.fileno(), err.fileno(), ended])
            os.close(ended)
            with open(answer) as answered:
                code = int(answered.read())
            out.seek(0)
            err.seek(0)
            return subprocess.CompletedProcess(["snakemake", *arguments], code, out.read(), err.read())


@cache
def starter() -> Starter:
    """The one of this process."""
    return Starter()


def serve(requests: socket.socket) -> None:
    """Fork for each request; only the forks come back from here, when they have become what was asked for."""
    for name in READY:
        importlib.import_module(name)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        message, handles, *_ = socket.recv_fds(requests, 2**20, 3)
        if not message:
            os._exit(0)
        if os.fork() == 0:
            break
        for handle in handles:
            os.close(handle)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    requests.close()
    out, err, answer = handles
    if run := os.fork():
        _, status = os.waitpid(run, 0)
        os.write(answer, str(os.waitstatus_to_exitcode(status)).encode())
        os._exit(0)
    os.close(answer)
    signal.alarm(PATIENCE_S)
    request = json.loads(message)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for handle, place in ((nothing, 0), (out, 1), (err, 2)):
        os.dup2(handle, place)
        os.close(handle)
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    sys.path[0] = request["folder"]
    sys.argv = ["", *request["arguments"]]


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))
    runpy.run_module("snakemake", run_name="__main__", alter_sys=True)
