"""One combination: an encoding and a network, or several that differ in stacked axes, fitted to each of its signals."""

import datetime
import functools
import hashlib
import logging
import platform
import resource
import socket
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch

from posenc.files import write_arrays, write_json
from posenc.memory import keep_freed_memory
from posenc.signals.stored import read_signals
from posenc.training.checkpoints import Checkpoint, Progress
from posenc.training.devices import choose_device, choose_precision, device_facts
from posenc.training.outputs import write_values, write_weights
from posenc.training.stack import draws, encoding_of, fit_stack, is_trained, load_class

log = logging.getLogger(__name__)


def fit_combination(
    combination: Mapping[str, Any],
    signals: Mapping[str, str],
    outputs: Mapping[str, str],
    device: str = "auto",
    checkpoint: Mapping[str, Any] | None = None,
    facts: Mapping[str, Any] | None = None,
    slots: int = 1,
) -> None:
    """Fit every signal of every member of a combination and write `values`, `arrays`, `weights` and `provenance`.

    combination: the planner's dict with `members` (encodings, which may carry a `seed` and parameters of `problem` and
    `network` for themselves), `network` and `problem` (each `use`: module:class, and its parameters), `training`,
    `seed` and `sets`, the signal sets to fit. signals: paths of `values` (.npz), `rows` (.json) and maybe `theory`
    (.npz). `arrays` keeps what the problem shows of the report signals. checkpoint: `path`, `code` (digest) and
    `seconds` between two savings.
    facts go to the provenance as they are. slots: fits that share the GPU.
    """
    started = time.monotonic()
    keep_freed_memory()
    target = choose_device(device)
    precision = choose_precision(combination["training"]["precision"], target)
    arrays, rows = read_signals(signals["values"], signals["rows"])
    theory = read_theory(signals.get("theory"))
    wanted = [index for index, row in enumerate(rows) if row["set"] in combination["sets"]]
    about = device_facts(target)
    saved = None
    if checkpoint:
        identity = [combination, checkpoint["code"], digest_of(signals), precision, about, torch.__version__]
        saved = Checkpoint(checkpoint["path"], identity, checkpoint["seconds"])
    progress = Progress(saved)

    def of(chosen: Sequence[int]) -> dict[str, torch.Tensor]:
        return {name: torch.from_numpy(array[list(chosen)]).to(target) for name, array in arrays.items()}

    def fit(member: int, chosen: Sequence[int]) -> None:
        chosen_rows = [rows[index] for index in chosen]
        progress.finish(fit_stack(combination, member, of(chosen), chosen_rows, precision, progress, theory))

    problem = load_class(combination["problem"])
    # Stacking pays on a GPU. On a CPU one network after the other stays in the cache, but where there are only so few
    # points that calls take most of the time, a problem says how many networks share them.
    stacks = target.type == "cuda" and problem.together
    side_by_side = 1 if target.type == "cuda" else getattr(problem, "side_by_side_on_cpu", 1)
    at_once, members = 1, []
    for member in range(len(combination["members"])):
        encoding = encoding_of(combination, member, problem.dimensions, draws(combination, member), theory)
        left = [index for index in wanted if (member, rows[index]["name"]) not in progress.done]
        most = 1 if is_trained(encoding) else side_by_side
        if stacks and len(left) > 1 and not is_trained(encoding):
            # A state that was saved can be gone on from in a stack of its size alone.
            most = progress.under_way(member) or signals_that_fit(
                combination, member, of(left[:1]), precision, theory, slots
            )
        at_once = max(at_once, fit_in_stacks(left, most, functools.partial(fit, member)))
        members.append((encoding, {"bandwidth": encoding.bandwidth(), "out_dim": encoding.out_dim}))

    fitted, count = progress.fitted, len(combination["members"])
    write_values(outputs["values"], fitted.values)
    # Sorted: what a checkpoint kept comes back in another order.
    write_arrays(outputs["arrays"], {name: kept.numpy() for name, kept in sorted(fitted.predictions.items())})
    kept = {
        f"{f'{member}/' if count > 1 else ''}encoding.{name}": tensor
        for member, (encoding, _) in enumerate(members)
        for name, tensor in encoding.named_buffers()
    }
    write_weights(outputs["weights"], fitted.weights | kept)
    write_json(
        outputs["provenance"],
        {
            **about,
            **(facts or {}),
            "precision": precision,
            "members": [found for _, found in members],
            # None where the problem keeps no weights.
            "parameters": sum(tensor.numel() for tensor in fitted.weights.values()) // (len(wanted) * count) or None,
            "fits": len(wanted) * count,
            "signals_at_once": min(at_once, len(wanted)),
            "diverged": len({(row["member"], row["signal"]) for row in fitted.values if row["status"] == "diverged"}),
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


def read_theory(path: str | None) -> dict[str, torch.Tensor] | None:
    """The arrays of a theory study, for encodings that are made from one."""
    if path is None:
        return None
    with np.load(path, allow_pickle=False) as archive:
        return {name: torch.from_numpy(archive[name]) for name in archive.files}


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
                "one signal alone does not fit into the device's memory; lower signals.size, features or width, or use"
                f" device: cpu ({too_large})"
            )
        if too_large:
            torch.cuda.empty_cache()
            at_once = (len(chosen) + 1) // 2
            log.warning("out of memory with %d signals at once; going on with %d", len(chosen), at_once)
    return at_once


def signals_that_fit(
    combination: Mapping[str, Any],
    member: int,
    arrays: Mapping[str, torch.Tensor],
    precision: str,
    theory: Mapping[str, torch.Tensor] | None,
    slots: int,
) -> int:
    """How many signals may be stacked in nine tenths of a slot's share of the free memory of a CUDA device.

    One update of one signal tells. Where not even that fits, it is one: its fit then says so.
    """
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    brief = {**combination, "training": {**combination["training"], "steps": 1}}
    with suppress(torch.OutOfMemoryError):
        fit_stack(brief, member, arrays, [{"name": "trial", "set": ""}], precision, Progress(), theory)
    one = torch.cuda.max_memory_allocated() - before
    torch.cuda.empty_cache()
    return max(1, int(0.9 / slots * torch.cuda.mem_get_info()[0] / one))


def digest_of(signals: Mapping[str, str]) -> dict[str, str]:
    """What the signals' files hold, by name."""
    return {name: hashlib.sha256(Path(path).read_bytes()).hexdigest() for name, path in sorted(signals.items())}


def peak_memory() -> int:
    """Largest resident size of this process so far, in bytes."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
