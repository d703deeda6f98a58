"""One combination: an encoding and a network, fitted to each of its signals."""

import datetime
import importlib
import inspect
import logging
import platform
import resource
import socket
import sys
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from posenc.files import write_arrays, write_json
from posenc.signals.stored import read_signals
from posenc.training.devices import choose_device, choose_precision, device_facts
from posenc.training.loop import Schedule, predict, train
from posenc.training.outputs import write_values, write_weights

log = logging.getLogger(__name__)


def fit_combination(
    combination: Mapping[str, Any], signals: Mapping[str, str], outputs: Mapping[str, str], device: str = "auto"
) -> None:
    """Fit every signal of a combination and write `values`, `arrays`, `weights` and `provenance`.

    combination: the planner's dict with `encoding`, `network` and `problem` (each `use`: module:class, and its
    parameters), `training`, `seed` and `sets`, the signal sets to fit. signals: paths of `values` (.npz) and `rows`
    (.json). `arrays` keeps the last prediction of every pixel of the report signals, as float16.
    """
    started = time.monotonic()
    settings = combination["training"]
    target = choose_device(device)
    precision = choose_precision(settings["precision"], target)
    pictures, rows = read_signals(signals["values"], signals["rows"])
    fitted = [index for index, row in enumerate(rows) if row["set"] in combination["sets"]]

    values: list[dict[str, Any]] = []
    predictions: dict[str, np.ndarray] = {}
    weights: dict[str, Tensor] = {}
    # Stacking pays on a GPU; on a CPU one network after the other stays in the cache.
    for chunk in [fitted] if target.type == "cuda" else [[index] for index in fitted]:
        batch = torch.from_numpy(pictures[chunk]).to(target, torch.float32) / 255
        result = fit_stack(combination, batch, [rows[index] for index in chunk], precision)
        values += result["values"]
        predictions |= result["predictions"]
        weights |= result["weights"]
        encoding, parameters = result["encoding"], result["parameters"]
    weights |= {f"encoding.{name}": tensor for name, tensor in encoding.state_dict().items()}

    write_values(outputs["values"], values)
    write_arrays(outputs["arrays"], predictions)
    write_weights(outputs["weights"], weights)
    write_json(
        outputs["provenance"],
        {
            **device_facts(target),
            "precision": precision,
            "bandwidth": encoding.bandwidth(),
            "out_dim": encoding.out_dim,
            "parameters": parameters,
            "fits": len(fitted),
            "diverged": len({row["signal"] for row in values if row["status"] == "diverged"}),
            "seconds": time.monotonic() - started,
            "peak_memory": peak_memory(),
            "peak_device_memory": torch.cuda.max_memory_allocated() if target.type == "cuda" else None,
            "finished": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "host": socket.gethostname(),
            "python": platform.python_version(),
            "torch": torch.__version__,
        },
    )


def fit_stack(
    combination: Mapping[str, Any], pictures: Tensor, rows: list[dict[str, str]], precision: str
) -> dict[str, Any]:
    """Fit some signals side by side; their values, predictions and weights, each by signal."""
    device = pictures.device
    settings = combination["training"]
    # Drawn on the CPU, so that every device starts from the same numbers. Encoding first, then weights.
    generator = torch.Generator().manual_seed(combination["seed"])
    problem = load_class(combination["problem"])(pictures)
    encoding = build(combination["encoding"], problem.dimensions, generator=generator).to(device)
    network = build(
        combination["network"],
        encoding.out_dim,
        problem.channels,
        output=problem.output,
        stack=len(rows),
        generator=generator,
    ).to(device)

    features = {name: encoding(problem.splits[name].grid.points().to(device)) for name in problem.curve_splits}
    schedule = Schedule(settings["steps"], settings["learning_rate"], settings["log_every"])
    records = Records(rows)
    for step, losses in train(
        network, features["train"], problem.splits["train"].targets, problem.loss, schedule, precision
    ):
        records.add("loss", "train", step, losses)
        for split, encoded in features.items():
            scores = problem.psnr(predict(network, lambda slab: slab, encoded), problem.splits[split].targets)
            records.add("psnr", split, step, scores)
        records.report(step, schedule.steps)

    everywhere = problem.splits["all"]
    predicted = predict(network, encoding, everywhere.grid.points().to(device))
    records.add("psnr", "all", schedule.steps, problem.psnr(predicted, everywhere.targets))
    pixels = predicted.reshape(len(rows), *problem.picture_shape).half().cpu().numpy()
    return {
        "values": records.values,
        "predictions": {row["name"]: pixels[i] for i, row in enumerate(rows) if row["set"] == "report"},
        "weights": {
            f"{row['name']}.{name}": tensor
            for i, row in enumerate(rows)
            for name, tensor in network.state_of(i).items()
        },
        "encoding": encoding,
        "parameters": sum(parameter.numel() for parameter in network.parameters()) // len(rows),
    }


class Records:
    """Values of a stack's signals as rows; once a signal's loss is not finite, the rest of its rows say `diverged`."""

    def __init__(self, rows: list[dict[str, str]]) -> None:
        self.rows = rows
        self.values: list[dict[str, Any]] = []
        self.diverged = [False] * len(rows)
        self.latest: dict[str, list[float]] = {}

    def add(self, metric: str, split: str, step: int, numbers: Tensor) -> None:
        """One number `(signals,)` per signal. A PSNR may be infinite (an exact fit); a loss or a NaN may not."""
        self.latest[f"{metric} {split}"] = listed = numbers.tolist()
        for index, (row, value) in enumerate(zip(self.rows, listed, strict=True)):
            self.diverged[index] |= value != value or (metric == "loss" and value == float("inf"))
            self.values.append(
                {
                    "signal": row["name"],
                    "set": row["set"],
                    "split": split,
                    "metric": metric,
                    "step": step,
                    "value": value,
                    "status": "diverged" if self.diverged[index] else "ok",
                }
            )

    def report(self, step: int, steps: int) -> None:
        """One line per signal in the job's log."""
        for index, row in enumerate(self.rows):
            numbers = ", ".join(f"{name} {listed[index]:.5g}" for name, listed in self.latest.items())
            log.info("%s: step %d of %d: %s", row["name"], step, steps, numbers)


def load_class(part: Mapping[str, Any]) -> Any:
    """The class that a part of a combination names as `module:class`."""
    module, name = part["use"].split(":")
    return getattr(importlib.import_module(module), name)


def build(part: Mapping[str, Any], *dimensions: int, **offered: Any) -> Any:
    """An encoding or a network from its part of the combination; of what is offered it gets what it asks for."""
    cls = load_class(part)
    accepted = inspect.signature(cls).parameters
    parameters = {name: value for name, value in part.items() if name != "use"}
    return cls(*dimensions, **parameters, **{name: value for name, value in offered.items() if name in accepted})


def peak_memory() -> int:
    """Largest resident size of this process so far, in bytes."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
