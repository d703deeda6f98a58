"""Which device a fit runs on, and in which precision."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch


def choose_device(wanted: str) -> torch.device:
    """The device for `auto`, `cpu` or `cuda`; `auto` takes CUDA where there is one."""
    if wanted == "cuda" and not torch.cuda.is_available():
        raise RuntimeError("device: cuda was asked for, but torch sees no CUDA device; use device: auto or cpu")
    if wanted == "auto":
        wanted = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(wanted)


def choose_precision(wanted: str, device: torch.device) -> str:
    """`float32`, `tf32` or `bf16` for the matrix products; master weights, phases and scores are always float32.

    `auto` takes bf16 where the device has units for it.
    """
    if wanted == "auto":
        return "bf16" if has_bf16_units(device) else "float32"
    if wanted == "tf32" and device.type == "cpu":
        raise RuntimeError("precision: tf32 exists on CUDA devices only; use precision: auto, float32 or bf16")
    if wanted in ("tf32", "bf16") and device.type == "cuda" and not has_bf16_units(device):
        name = torch.cuda.get_device_name(device)
        raise RuntimeError(f"precision: {name} has no units for {wanted}; use precision: auto or float32")
    return wanted


def has_bf16_units(device: torch.device) -> bool:
    """Whether the device multiplies bfloat16 matrices in hardware."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device)[0] >= 8
    cpu = torch.cpu
    return any(
        getattr(cpu, probe, lambda: False)() for probe in ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    )


@contextmanager
def matrix_products(precision: str, device: torch.device) -> Iterator[None]:
    """A context in which matrix products run in `precision`, backward passes included."""
    products: Any = torch.autocast(device.type, torch.bfloat16) if precision == "bf16" else nullcontext()
    outside = torch.backends.cuda.matmul.allow_tf32
    # One switch for the whole process: left on, it would lower the precision of the scores, too.
    torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"
    try:
        with products:
            yield
    finally:
        torch.backends.cuda.matmul.allow_tf32 = outside


def device_facts(device: torch.device) -> dict[str, Any]:
    """What the provenance says of the device."""
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        return {"device": "cuda", "device_name": properties.name, "device_memory": properties.total_memory}
    return {"device": "cpu", "device_name": cpu_name(), "threads": torch.get_num_threads(), "cores": os.cpu_count()}


def cpu_name() -> str:
    try:
        with open("/proc/cpuinfo") as info:
            return next(line.split(":", 1)[1].strip() for line in info if line.startswith("model name"))
    except (OSError, StopIteration):
        return "unknown CPU"
