"""Which GPUs this process may use, and a lease on one of them.

Snakemake counts GPUs but gives no numbers. So each job takes a file lock that stands for one device, before torch is
imported, and shows itself that device alone. The kernel releases the lock on any death, kill -9 included.
"""

import getpass
import logging
import os
import random
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path

from filelock import FileLock, Timeout

log = logging.getLogger(__name__)

SECONDS_BETWEEN_TRIES = 0.5
# Set by schedulers that hand out devices themselves.
SCHEDULER_JOBS = ("SLURM_JOB_ID", "PBS_JOBID", "LSB_JOBID", "JOB_ID")


class GpuError(RuntimeError):
    """What was asked of GPUs is not there; its text is the whole message."""


@dataclass(frozen=True)
class Gpu:
    """A device as the driver knows it; part of a device (MIG) has no number of its own."""

    index: int | None
    uuid: str
    name: str


def gpus_of_driver() -> list[Gpu]:
    """All devices of this machine, in the driver's order; none without a driver."""
    if not shutil.which("nvidia-smi"):
        return []
    query = ["nvidia-smi", "--query-gpu=index,uuid,name", "--format=csv,noheader"]
    try:
        answer = subprocess.run(query, capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return []
    if answer.returncode != 0:
        return []
    cells = ([cell.strip() for cell in line.split(",", 2)] for line in answer.stdout.splitlines() if line.strip())
    return [Gpu(int(index), uuid, name) for index, uuid, name in cells]


def visible_gpus(environment: Mapping[str, str]) -> list[Gpu]:
    """The devices that CUDA_VISIBLE_DEVICES leaves, in its order; all of them where it is not set.

    Its entries are numbers in the driver's order, UUIDs or their beginnings, and MIG names; "", "-1" and "NoDevFiles"
    hide all. Raises GpuError for an entry that names no device: CUDA itself would silently stop reading there.
    """
    if given_none(environment):
        return []
    mask = environment.get("CUDA_VISIBLE_DEVICES")
    gpus = gpus_of_driver()
    if mask is None or not gpus:
        return gpus
    entries = [entry.strip() for entry in mask.split(",")]
    if entries[0] in ("", "-1", "NoDevFiles"):
        return []
    return [named(entry, gpus, mask) for entry in entries]


def given_none(environment: Mapping[str, str]) -> bool:
    """Whether this is a job that Slurm gave no GPU. Its node may show some all the same: they are other jobs'."""
    return "SLURM_JOB_ID" in environment and "CUDA_VISIBLE_DEVICES" not in environment


def named(entry: str, gpus: Sequence[Gpu], mask: str) -> Gpu:
    if entry.startswith("MIG-"):
        return Gpu(None, entry, "part of a GPU")
    by_number = [gpu for gpu in gpus if str(gpu.index) == entry]
    by_uuid = [gpu for gpu in gpus if entry.startswith("GPU-") and gpu.uuid.startswith(entry)]
    found = by_number or by_uuid
    if len(found) != 1:
        there = ", ".join(f"{gpu.index} ({gpu.uuid})" for gpu in gpus)
        raise GpuError(f"CUDA_VISIBLE_DEVICES={mask}: {entry!r} names no GPU of this machine; there are {there}")
    return found[0]


@contextmanager
def own_gpu(device: str, slots_per_gpu: int = 1, folder: Path | None = None) -> Iterator[Gpu | None]:
    """Hold a device of one's own and hide the others from CUDA; None where there is none, or `device` is cpu.

    Each device can be held `slots_per_gpu` times; where all are held, wait. A scheduler's job that was given one device
    already has it to itself and takes no lease. To be called before torch is imported. Raises GpuError as
    `visible_gpus` does.
    """
    gpus = [] if device == "cpu" else visible_gpus(os.environ)
    if not gpus:
        with cuda_shown("") if given_none(os.environ) else nullcontext():
            yield None
        return
    if len(gpus) == 1 and any(name in os.environ for name in SCHEDULER_JOBS):
        yield gpus[0]
        return
    gpu, lock = take_one(gpus, slots_per_gpu, folder or lease_folder())
    try:
        with cuda_shown(gpu.uuid):  # whatever order CUDA counts in
            yield gpu
    finally:
        lock.release()


@contextmanager
def cuda_shown(devices: str) -> Iterator[None]:
    """Let CUDA see these devices alone."""
    before = os.environ.get("CUDA_VISIBLE_DEVICES")
    os.environ["CUDA_VISIBLE_DEVICES"] = devices
    try:
        yield
    finally:
        if before is None:
            del os.environ["CUDA_VISIBLE_DEVICES"]
        else:
            os.environ["CUDA_VISIBLE_DEVICES"] = before


def take_one(gpus: Sequence[Gpu], slots_per_gpu: int, folder: Path) -> tuple[Gpu, FileLock]:
    """A device and the lock that stands for it; the least shared devices first."""
    folder.mkdir(parents=True, exist_ok=True)
    said = False
    while True:
        for slot in range(slots_per_gpu):
            for gpu in random.sample(list(gpus), len(gpus)):  # or all would try for the same one
                lock = FileLock(folder / f"{gpu.uuid}.{slot}.lock".replace("/", "_"))
                try:
                    lock.acquire(blocking=False)
                except Timeout:
                    continue
                return gpu, lock
        if not said:
            log.info("waiting for a free GPU of %d", len(gpus))
            said = True
        time.sleep(SECONDS_BETWEEN_TRIES * random.uniform(0.5, 1.5))


def lease_folder() -> Path:
    """On this machine's own disk, for all runs of this user."""
    return Path(tempfile.gettempdir()) / f"posenc-gpus-{getpass.getuser()}"


def gpu_facts(gpu: Gpu | None) -> dict[str, object]:
    """What the provenance says of the device that was held."""
    return {"gpu": None if gpu is None else asdict(gpu)}
