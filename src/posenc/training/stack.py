"""Fits side by side: one network per signal, each trained and scored on its own signal."""

import importlib
import inspect
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from posenc.training.adam import Adam
from posenc.training.checkpoints import Progress
from posenc.training.loop import Schedule, encode, predict, train
from posenc.training.values import Fitted, Records


def fit_stack(
    combination: Mapping[str, Any],
    pictures: Tensor,
    rows: list[dict[str, str]],
    precision: str,
    progress: Progress,
) -> Fitted:
    """Fit some signals side by side, from where an earlier process left them if it did."""
    device = pictures.device
    settings = combination["training"]
    generator = draws(combination)
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
    schedule = Schedule(settings["steps"], settings["learning_rate"], settings["log_every"])
    optimizer = Adam(network.parameters(), schedule.learning_rate)
    records = Records(rows)
    done = progress.resume(network, optimizer, records)

    observed = problem.splits["train"]
    features = encode(encoding, observed.grid, device)
    steps = range(done + 1, schedule.steps + 1)
    for step, losses in train(network, optimizer, features, observed.targets, problem.loss, steps, precision):
        if schedule.is_logged(step):
            records.add("loss", "train", step, losses)
            for split in problem.curve_splits:
                shown = predict(network, encoding, problem.splits[split].grid, device)
                records.add("psnr", split, step, problem.psnr(shown, problem.splits[split].targets))
            records.report(step, schedule.steps)
        progress.offer(network, optimizer, records, step)

    everywhere = problem.splits["all"]
    predicted = predict(network, encoding, everywhere.grid, device)
    records.add("psnr", "all", schedule.steps, problem.psnr(predicted, everywhere.targets))
    pixels = predicted.reshape(len(rows), *problem.picture_shape).half().cpu()
    return Fitted(
        records.values,
        {row["name"]: pixels[i] for i, row in enumerate(rows) if row["set"] == "report"},
        {
            f"{row['name']}.{name}": tensor.cpu()
            for i, row in enumerate(rows)
            for name, tensor in network.state_of(i).items()
        },
    )


def draws(combination: Mapping[str, Any]) -> torch.Generator:
    """Where a fit's random numbers come from: on the CPU, so that every device starts from the same; encoding first."""
    return torch.Generator().manual_seed(combination["seed"])


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
