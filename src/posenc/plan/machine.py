"""What fits need of a machine, and whether this one has it."""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from posenc.gpus import GpuError, visible_gpus
from posenc.plan.combinations import networks_of
from posenc.plan.layers import ConfigError
from posenc.plan.registry import Part, parts
from posenc.plan.scales import nyquist_per_sample

MEGABYTE = 1_000_000
# Measured: Python with torch, and on top what CUDA's libraries take of the host's memory.
PROCESS_MB, CUDA_MB = 600, 2500
# Measured: a cluster's job also holds two processes of Snakemake.
SNAKEMAKE_MB = 300
# As in posenc.training.loop, which would import torch here.
POINTS_PER_SLAB = 1 << 16
# A weight, its gradient and Adam's two moments in float32, and copies of two of them on the way.
BYTES_PER_WEIGHT = 24
MOST_OUTPUTS = 3
# A layer smaller than this gains nothing from a second thread.
NUMBERS_PER_THREAD = 4096 * 128


def gpus_here(device: str, environment: Mapping[str, str]) -> int:
    """How many GPUs fits of this process may use. Raises ConfigError where the environment names one that is not there.

    The driver is asked only where there is a sign of one, since its answer takes a while.
    """
    if device == "cpu":
        return 0
    try:
        return len(visible_gpus(environment))
    except GpuError as error:
        raise ConfigError(str(error)) from None


def check_device(device: str, precision: str, gpus: int, asked: int | None, slots: int) -> list[str]:
    """Notes on how fits will run on this machine. Raises ConfigError where they cannot run as they are told to.

    asked: GPUs that the command line or the profile counts, each for one fit.
    """
    if device == "cuda" and not gpus:
        raise ConfigError(
            "device = 'cuda': this machine shows no GPU (see nvidia-smi and CUDA_VISIBLE_DEVICES); use auto"
        )
    if precision == "tf32" and not gpus:
        raise ConfigError("precision = 'tf32': only GPUs have it, and fits run on the CPU here; use auto or float32")
    notes = []
    if precision == "bf16" and not gpus and not has_bf16_units():
        notes.append("precision bf16: this processor has no units for it; fits will be slower than in float32")
    if gpus and asked is not None and asked > gpus * slots:
        notes.append(
            f"{asked} fits on GPUs at once were asked for; {gpus} GPU{'s' if gpus > 1 else ''} with slots_per_gpu"
            f" {slots} take {gpus * slots}: the others wait for their turn"
        )
    return notes


def has_bf16_units(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether the kernel lists units for bfloat16 matrices. Torch would say, too, but costs seconds to import."""
    try:
        flags = cpuinfo.read_text().split()
    except OSError:
        return False
    return bool({"avx512_bf16", "amx_bf16"} & set(flags))


def free_memory_mb() -> int:
    """Memory that jobs may take together: what is free now, within the limit of a container."""
    free = psutil.virtual_memory().available
    folder = Path("/sys/fs/cgroup")
    with suppress(OSError, ValueError):  # no such limit
        free = min(free, int((folder / "memory.max").read_text()) - int((folder / "memory.current").read_text()))
    return max(1, free // MEGABYTE)


def points_of(problem: Part, parameters: Mapping[str, Any], size: int) -> tuple[int, int]:
    """How many points the networks are asked for at an update, and on the whole signal.

    A problem either draws a `batch` of points (of rays, with `samples` each) or observes a grid.
    """
    dimensions = problem.attributes["dimensions"]
    if "batch" in parameters:
        drawn = parameters["batch"] * parameters.get("samples", 1)
        return drawn, drawn
    per_sample = nyquist_per_sample(problem.attributes, parameters)
    assert per_sample is not None  # what observes a grid has one
    return int(2 * per_sample * size) ** dimensions, size**dimensions


def code_weights(spec: Mapping[str, Any], axes: int) -> int:
    """Weights of a first layer on the product of so many axes' features; 0 for a network that has them side by side."""
    each_axis = {part.use for part in parts("networks").values() if part.attributes.get("each_axis")}
    products = [
        (network["width"] if network["depth"] > 1 else MOST_OUTPUTS) * member.get("features", 2) ** axes
        for network, member in zip(networks_of(spec), spec["members"], strict=True)
        if network.get("use") in each_axis
    ]
    return max(products, default=0)


def check_codes(codes: Mapping[str, int], free_mb: int) -> None:
    """Raises ConfigError where the weights of a product of codes, by experiment, do not fit into the free memory."""
    for experiment, weights in codes.items():
        if (needed := BYTES_PER_WEIGHT * weights // MEGABYTE) > free_mb:
            raise ConfigError(
                f"experiments.{experiment}: the product of its axes' features takes {weights:.1e} weights, or"
                f" {needed / 1000:.0f} GB with gradients and moments, where {free_mb / 1000:.0f} GB are free; lower"
                " features of its encodings or width of its network"
            )


def fit_memory_mb(spec: Mapping[str, Any], observed: int, shown: int, axes: int, on_gpu: bool) -> int:
    """Host memory of one fit: of the observed points the features, their bf16 copy, and what the layers keep for the
    backward pass; a slab of the whole signal on its way through the network in float32; and the weights of a product
    of codes.

    spec: of the combination; observed and shown: as `points_of`; axes: how many the problem has.
    """
    networks = networks_of(spec)
    features = max(member.get("features", 0) for member in spec["members"])
    width = max(network.get("width", 1) for network in networks)
    layers = max(network.get("depth", 1) * network.get("width", 1) for network in networks)
    trained = observed * (6 * features + 10 * layers)
    slab = min(shown, POINTS_PER_SLAB) * 4 * (features + 2 * width)
    code = BYTES_PER_WEIGHT * code_weights(spec, axes)
    return PROCESS_MB + CUDA_MB * on_gpu + (trained + slab + code) // MEGABYTE


def threads_per_fit(spec: Mapping[str, Any], observed: int, cores: int, fits: int) -> int:
    """One, since fits side by side use the cores best; more where there are fewer fits than cores, and large ones."""
    large = observed * max(network.get("width", 1) for network in networks_of(spec)) >= NUMBERS_PER_THREAD
    return max(1, cores // fits) if large else 1
