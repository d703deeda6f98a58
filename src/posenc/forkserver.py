"""A process that has imported what jobs need and forks one for each: importing takes most jobs longer than their work.

A job's script (`posenc.jobs.job`) hands over its arguments, environment, folder and output streams through a socket,
waits, and ends as the fork did. Whoever dies takes along what hangs on it: a server without its run, a fork without its
server or without its script. Where no server answers, which may be at any time, a job works in its own process.

Linux alone: elsewhere libraries do not survive a fork. Jobs of one thread alone: how many threads there are is settled
when a library is imported.
"""

import atexit
import ctypes
import gc
import importlib
import json
import os
import runpy
import secrets
import signal
import socket
import subprocess
import sys
import threading
import traceback
from contextlib import suppress
from typing import Any

from posenc.jobs import SERVER, address, is_same_user

IMPORTED = (
    "matplotlib.pyplot", "pandas", "pyarrow.parquet", "safetensors.torch", "scipy.ndimage", "scipy.stats", "seaborn",
    "skimage.data", "skimage.transform", "snakemake.script", "torch",
)  # fmt: skip
FEWEST_JOBS = 10  # for fewer, its own imports do not pay
# A fork lacks the threads of its parent; so there may be none, of pyarrow's memory allocator either.
NO_THREADS = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "JE_ARROW_MALLOC_CONF": "background_thread:false",
}
_PR_SET_PDEATHSIG = 1  # of prctl.h


def begin(workflow: Any, gpus: int) -> None:
    """Start the server of a run that has work for it. It answers once it has imported everything; it ends with the run.

    Not where jobs run elsewhere or in environments of their own; nor for fits on GPUs, which are few and long.
    """
    os.environ.pop(SERVER, None)  # of a run that this one is a job of
    own = workflow.local_exec and not workflow.deployment_settings.deployment_method
    if sys.platform != "linux" or not own or gpus or sum(1 for _ in workflow.dag.needrun_jobs()) < FEWEST_JOBS:
        return
    os.environ[SERVER] = secrets.token_hex(16)
    server = subprocess.Popen(
        # -P: nothing in the working folder is taken for a library.
        [sys.executable, "-P", "-m", __name__, str(os.getpid())], env=os.environ | NO_THREADS, stdin=subprocess.DEVNULL
    )  # fmt: skip

    def stop() -> None:
        server.kill()  # a signal that it could answer might meet it where Python swallows exceptions
        server.wait()

    atexit.register(stop)


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the run and its jobs
    die_with(int(sys.argv[1]))
    gc.disable()
    for name in IMPORTED:
        importlib.import_module(name)
    gc.freeze()
    if len(os.listdir("/proc/self/task")) > 1:
        sys.exit("posenc: a library starts threads when it is imported, so each job imports for itself")
    script = next_script()
    # From here on in a fork.
    gc.enable()
    with suppress(ConnectionError):  # the script is gone, and with it who waits for this
        work_for(script)
    os._exit(0)  # what the server's libraries registered for their end is the server's


def die_with(parent: int) -> None:
    """Have the kernel kill this process when its parent dies."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it was faster
        os._exit(1)


def next_script() -> socket.socket:
    """Fork whenever a script connects; returns in the fork."""
    server = os.getpid()
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(address(os.environ[SERVER]))
        door.listen(128)
        while True:
            try:
                script, _ = door.accept()
            finally:
                take_note_of_ended_forks()
            try:
                child = os.fork()
            except OSError:  # for want of memory: the script works in its own process
                child = -1
            if child == 0:
                die_with(server)
                signal.signal(signal.SIGINT, signal.default_int_handler)
                return script
            script.close()


def take_note_of_ended_forks() -> None:
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def work_for(script: socket.socket) -> None:
    """Run a script as if by itself, and tell it how that ended."""
    if not is_same_user(script):
        return
    asked, streams = received(script)
    if asked.get("python") != sys.executable:  # of another environment
        return
    for number, stream in zip((1, 2), streams, strict=True):
        os.dup2(stream, number)
        os.close(stream)
    script.sendall(b"+")
    threading.Thread(target=end_without, args=[script], daemon=True).start()
    os.environ.clear()
    os.environ.update(asked["environment"])
    del os.environ[SERVER]
    os.chdir(asked["folder"])
    sys.argv = asked["arguments"]
    sys.path.insert(0, os.path.dirname(sys.argv[0]))
    status = status_of(sys.argv[0])
    sys.stdout.flush()
    sys.stderr.flush()
    script.sendall(bytes([status]))


def received(script: socket.socket) -> tuple[dict[str, Any], list[int]]:
    """What a script asks for, and its output streams; nothing where it was killed meanwhile."""
    size, streams, _, _ = socket.recv_fds(script, 8, 2)
    with script.makefile("rb") as sent:
        text = sent.read(int.from_bytes(size))
    return json.loads(text) if text and len(text) == int.from_bytes(size) else {}, streams


def end_without(script: socket.socket) -> None:
    """Wait for the script's end, as it says nothing more, and die: at once, but for a call that holds Python's lock."""
    script.recv(1)
    os.kill(os.getpid(), signal.SIGKILL)


def status_of(path: str) -> int:
    """Run a script; its exit status, and on the error stream what Python itself says of such an end."""
    try:
        runpy.run_path(path, run_name="__main__")
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            return (end.code or 0) & 255
        print(end.code, file=sys.stderr)
        return 1
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


if __name__ == "__main__":
    main()
