"""A Slurm cluster of one node with two GPUs, for tests: its daemons on loopback, all its files in one folder.

The GPUs are names for /dev/null: Slurm counts them and gives them out, and nothing can be computed on them.
"""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

DAEMONS = ("munged", "slurmctld", "slurmd")
CPUS, GPUS, MEMORY_MB = 4, 2, 16_000
READY_S = 60
SLURM_CONF = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
SlurmUser=root
AuthType=auth/munge
# A requeued job starts again when its old credential has run out.
AuthInfo=socket={folder}/munge.socket,cred_expire=20
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
GresTypes=gpu
# The node has what is said here, whatever the machine has.
SlurmdParameters=config_overrides
SchedulerParameters=sched_interval=1,bf_interval=1
MessageTimeout=60
KillWait=2
# Ended jobs are still known at the end of a slow test.
MinJobAge=3600
NodeName=node NodeHostname={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory={memory} Gres=gpu:{gpus} State=UNKNOWN
PartitionName=main Nodes=node Default=YES MaxTime=INFINITE State=UP
"""
# The executor waits 10 s longer after each look at its jobs that finds none finished: too long for tests.
SHORT_PAUSES = """
import sys

if "--workflow-profile" in sys.orig_argv:
    import asyncio
    from snakemake_interface_executor_plugins.executors.remote import RemoteExecutor

    async def sleep(self):
        await asyncio.sleep(1)

    RemoteExecutor.sleep = sleep
"""


def why_not() -> str | None:
    """The reason why no cluster can be started here."""
    missing = [name for name in (*DAEMONS, "sbatch", "srun") if not daemon(name)]
    if missing:
        return f"needs Slurm (apt-get install slurm-wlm munge): no {', '.join(missing)}"
    return "needs root to start Slurm's daemons" if os.getuid() else None


def daemon(name: str) -> str | None:
    return shutil.which(name, path=os.environ["PATH"] + ":/usr/sbin:/sbin")


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [opened.getsockname()[1] for opened in sockets]
    for opened in sockets:
        opened.close()
    return ports


def configure(folder: Path) -> None:
    for name in ("state", "spool", "bin", "python"):
        (folder / name).mkdir()
    (folder / "munge.key").write_bytes(os.urandom(128))
    (folder / "munge.key").chmod(0o400)
    host = socket.gethostname().split(".")[0]
    known = {"folder": folder, "host": host, "ports": free_ports(2), "cpus": CPUS, "gpus": GPUS, "memory": MEMORY_MB}
    (folder / "slurm.conf").write_text(SLURM_CONF.format(**known))
    for number in range(GPUS):
        (folder / f"gpu{number}").symlink_to("/dev/null")
    (folder / "gres.conf").write_text(f"AutoDetect=off\nNodeName=node Name=gpu File={folder}/gpu[0-{GPUS - 1}]\n")
    # On a node the executor takes SLURM_CONF out of the environment of its `srun`, as all that starts with SLURM_.
    (folder / "bin/srun").write_text(f'#!/bin/sh\nSLURM_CONF={folder}/slurm.conf exec {daemon("srun")} "$@"\n')
    (folder / "bin/srun").chmod(0o755)
    (folder / "python/sitecustomize.py").write_text(SHORT_PAUSES)


class Cluster:
    """A running cluster; `environment` is what a Snakemake that uses it needs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {
            "SLURM_CONF": str(folder / "slurm.conf"),
            "PATH": f"{folder}/bin:{os.environ['PATH']}",
            "PYTHONPATH": str(folder / "python"),
        }

    def ask(self, *command: str) -> str:
        environment = os.environ | self.environment
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=60).stdout

    def jobs(self, folder: Path, states: str = "PENDING,RUNNING,COMPLETING") -> dict[str, dict[str, str]]:
        """Jobs that were sent from a folder, by number: state, reason, memory, time limit and what it is."""
        fields = ("number", "state", "reason", "memory", "limit", "what", "folder")
        listed = self.ask("squeue", "--noheader", f"--states={states}", "--format=%i|%T|%r|%m|%l|%k|%Z")
        found = [dict(zip(fields, line.split("|"), strict=True)) for line in listed.splitlines()]
        return {job["number"]: job for job in found if job["folder"] == str(folder)}

    def details(self, number: str) -> str:
        return self.ask("scontrol", "--details", "show", "job", number)

    def node(self, state: str) -> None:
        self.ask("scontrol", "update", "nodename=node", f"state={state}", "reason=test")


@contextmanager
def started_cluster(folder: Path) -> Iterator[Cluster]:
    configure(folder)
    cluster = Cluster(folder)
    running: list[subprocess.Popen[bytes]] = []

    def start(name: str, *options: str) -> None:
        with (folder / f"{name}.log").open("wb") as log:
            running.append(
                subprocess.Popen(
                    [str(daemon(name)), *options], env=os.environ | cluster.environment, stdout=log, stderr=log
                )
            )

    files = {"socket": "socket", "key-file": "key", "pid-file": "pid", "log-file": "messages", "seed-file": "seed"}
    try:
        start("munged", "--foreground", "--force", *(f"--{key}={folder}/munge.{name}" for key, name in files.items()))
        wait(lambda: (folder / "munge.socket").exists(), folder)
        start("slurmctld", "-D")
        start("slurmd", "-D")
        wait(lambda: cluster.ask("sinfo", "--noheader", "--format=%T").strip() == "idle", folder)
        yield cluster
        cluster.ask("scancel", "--me")
        wait(lambda: not cluster.ask("squeue", "--noheader"), folder)
    finally:
        for process in reversed(running):
            process.terminate()
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def wait(true: Callable[[], object], folder: Path) -> None:
    """Until it is true, or the cluster's logs say why not."""
    deadline = time.monotonic() + READY_S
    while True:
        try:
            if true():
                return
        except subprocess.CalledProcessError:
            pass  # the controller does not answer yet
        assert time.monotonic() < deadline, "\n".join(path.read_text()[-2000:] for path in folder.glob("*.log"))
        time.sleep(0.1)
