"""One combination: an encoding and a network, fitted to each of its signals."""

import datetime
import hashlib
import logging
import platform
import resource
import socket
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from posenc.files import write_arrays, write_json
from posenc.signals.stored import read_signals
from posenc.training.checkpoints import Checkpoint, Progress
from posenc.training.devices import choose_device, choose_precision, device_facts, keep_freed_memory
from posenc.training.outputs import write_values, write_weights
from posenc.training.stack import build, draws, fit_stack, load_class

log = logging.getLogger(__name__)


def fit_combination(
    combination: Mapping[str, Any],
    signals: Mapping[str, str],
    outputs: Mapping[str, str],
    device: str = "auto",
    checkpoint: Mapping[str, Any] | None = None,
    facts: Mapping[str, Any] | None = None,
) -> None:
    """Fit every signal of a combination and write `values`, `arrays`, `weights` and `provenance`.

    combination: the planner's dict with `encoding`, `network` and `problem` (each `use`: module:class, and its
    parameters), `training`, `seed` and `sets`, the signal sets to fit. signals: paths of `values` (.npz) and `rows`
    (.json). `arrays` keeps the last prediction of every pixel of the report signals, as float16. checkpoint: `path`,
    `code` (digest) and `seconds` between two savings. facts go to the provenance as they are.
    """
    started = time.monotonic()
    keep_freed_memory()
    target = choose_device(device)
    precision = choose_precision(combination["training"]["precision"], target)
    pictures, rows = read_signals(signals["values"], signals["rows"])
    wanted = [index for index, row in enumerate(rows) if row["set"] in combination["sets"]]
    about = device_facts(target)
    saved = None
    if checkpoint:
        identity = [combination, checkpoint["code"], digest_of(signals), precision, about, torch.__version__]
        saved = Checkpoint(checkpoint["path"], identity, checkpoint["seconds"])
    progress = Progress(saved)

    def fit(chosen: Sequence[int]) -> None:
        batch = torch.from_numpy(pictures[list(chosen)]).to(target, torch.float32) / 255
        progress.finish(fit_stack(combination, batch, [rows[index] for index in chosen], precision, progress))

    left = [index for index in wanted if rows[index]["name"] not in progress.done]
    # Stacking pays on a GPU; on a CPU one network after the other stays in the cache.
    at_once = signals_that_fit(combination, pictures[wanted[:1]], target, precision) if target.type == "cuda" else 1
    at_once = fit_in_stacks(left, at_once, fit)

    fitted = progress.fitted
    encoding = build(
        combination["encoding"], load_class(combination["problem"]).dimensions, generator=draws(combination)
    )
    write_values(outputs["values"], fitted.values)
    write_arrays(outputs["arrays"], {name: pixels.numpy() for name, pixels in fitted.predictions.items()})
    kept = {f"encoding.{name}": tensor for name, tensor in encoding.state_dict().items()}
    write_weights(outputs["weights"], fitted.weights | kept)
    write_json(
        outputs["provenance"],
        {
            **about,
            **(facts or {}),
            "precision": precision,
            "bandwidth": encoding.bandwidth(),
            "out_dim": encoding.out_dim,
            "parameters": sum(tensor.numel() for tensor in fitted.weights.values()) // len(wanted),
            "fits": len(wanted),
            "signals_at_once": min(at_once, len(wanted)),
            "diverged": len({row["signal"] for row in fitted.values if row["status"] == "diverged"}),
            "seconds": progress.seconds_before + time.monotonic() - started,
            "resumed": progress.resumed,
            "peak_memory": peak_memory(),
            "peak_device_memory": torch.cuda.max_memory_allocated() if target.type == "cuda" else None,
            "finished": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "host": socket.gethostname(),
            "python": platform.python_version(),
            "torch": torch.__version__,
        },
    )
    progress.forget()


def fit_in_stacks(signals: Sequence[int], at_once: int, fit: Callable[[Sequence[int]], None]) -> int:
    """Fit signals so many at once, or half as many where memory does not suffice; how many it was in the end.

    Raises RuntimeError where not even one fits into the memory.
    """
    left = list(signals)
    while left:
        chosen, too_large = left[:at_once], ""
        try:
            fit(chosen)
            left = left[len(chosen) :]
        except torch.OutOfMemoryError as error:
            too_large = str(error)  # acted on below: until then the exception holds what filled the memory
        if too_large and len(chosen) == 1:
            raise RuntimeError(
                "one picture alone does not fit into the device's memory; lower signals.size, features or width, or use"
                f" device: cpu ({too_large})"
            )
        if too_large:
            torch.cuda.empty_cache()
            at_once = (len(chosen) + 1) // 2
            log.warning("out of memory with %d signals at once; going on with %d", len(chosen), at_once)
    return at_once


def signals_that_fit(combination: Mapping[str, Any], picture: np.ndarray, device: torch.device, precision: str) -> int:
    """How many signals may be stacked in nine tenths of the free memory of a CUDA device: one update of one tells."""
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    brief = {**combination, "training": {**combination["training"], "steps": 1}}
    batch = torch.from_numpy(picture).to(device, torch.float32) / 255
    fit_stack(brief, batch, [{"name": "trial", "set": ""}], precision, Progress())
    one = torch.cuda.max_memory_allocated() - before
    torch.cuda.empty_cache()
    return max(1, int(0.9 * torch.cuda.mem_get_info()[0] / one))


def digest_of(signals: Mapping[str, str]) -> dict[str, str]:
    """What the signals' files hold, by name."""
    return {name: hashlib.sha256(Path(path).read_bytes()).hexdigest() for name, path in sorted(signals.items())}


def peak_memory() -> int:
    """Largest resident size of this process so far, in bytes."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
