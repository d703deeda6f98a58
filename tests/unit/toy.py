"""Parts that no experiment uses, each for a side of the engine's contract that the project's own need not show."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from posenc.encodings.base import Encoding
from posenc.problems.grid import Grid
from posenc.problems.score import Predict, Score
from posenc.theory.study import Found, Inputs


class DrawnPoints:
    """Curves `values` (signals, n, 1), asked at other places at every step, and scored in two parts of other sets."""

    name = "drawn"
    output = "linear"
    dimensions, channels = 2, 1
    nyquist = 0.5
    chosen_by = ("error", "test")
    fixed = False
    together = True
    keeps_start = True

    def __init__(self, arrays: Mapping[str, Tensor], *, seed: int, batch: int = 5, scale: float = 1.0) -> None:
        self.values, self.scale = arrays["values"].float(), arrays["scale"].float() * scale
        self.seed, self.batch = seed, batch
        self.asked: dict[int, Tensor] = {}

    def inputs(self, step: int) -> Tensor:
        draws = torch.Generator().manual_seed(1000 * self.seed + step)
        self.drawn = torch.rand(self.batch, self.dimensions, generator=draws)
        return self.drawn

    def target(self, points: Tensor) -> Tensor:
        """(signals, n, 1): a plane through each signal's mean."""
        mean = self.values.flatten(1).mean(dim=1)
        return (mean * self.scale)[:, None, None] + points.sum(dim=1)[None, :, None]

    def loss(self, values: Tensor, step: int) -> Tensor:
        return (values - self.target(self.drawn)).square().mean(dim=(1, 2))  # of the places that this step drew

    def scores(self, predict: Predict, last: bool) -> Iterator[Score]:
        for item, which in (("left", "tuning"), ("right", "")):
            points = torch.full((3, 2), 0.25 if item == "left" else 0.75)
            error = (predict(points) - self.target(points)).abs().flatten(1).mean(dim=1)
            yield Score("error", "test", error, item, which)

    def shown(self, predict: Predict) -> dict[str, Tensor]:
        values = predict(Grid((torch.arange(4) / 4, torch.arange(3) / 3)))
        return {"": values.reshape(-1, 3, 4), "mean": values.mean(dim=(1, 2))}


class Trained(Encoding):
    """Coordinates times amplitudes that are trained with the weights, from a study's where there is one."""

    name = "trained"

    def __init__(self, in_dim: int, *, theory: Mapping[str, Tensor] | None = None) -> None:
        super().__init__(in_dim, in_dim)
        start = theory["amplitudes"].float() if theory else torch.ones(in_dim)
        self.amplitudes = nn.Parameter(start)

    def forward(self, coordinates: Tensor) -> Tensor:
        return coordinates * self.amplitudes


def counted(inputs: Inputs) -> Found:
    """A study that says what it was given."""
    rows: list[dict[str, Any]] = [
        {"metric": "signals", "value": float(len(rows)), "item": name, "condition": rows[0].get("condition")}
        for name, (_, rows) in inputs.signals.items()
    ]
    rows += [
        {"metric": "mean", "value": float(fit.arrays["a"].mean()), "encoding": fit.settings["encoding"], "seed": 7}
        for fits in inputs.fits.values()
        for fit in fits
    ]
    sums = {name: arrays["values"].sum(axis=1) for name, (arrays, _) in inputs.signals.items()}
    return Found(rows, sums | {"parameters": np.array(inputs.parameters["numbers"], dtype=np.float64)})


def bare(inputs: Inputs) -> Found:
    """A study of its parameters alone."""
    return Found([{"metric": "sum", "value": float(sum(inputs.parameters["numbers"]))}])


class Surface:
    """Surfaces `values` (signals, H, W, 1), learnt at every point of their grid or at points drawn beside it."""

    name = "surface"
    output = "linear"
    dimensions, channels = 2, 1
    fixed = True
    together = True

    def __init__(
        self, arrays: Mapping[str, Tensor], *, scattered: bool = False, layer_ranks: bool = False, scale: float = 1.0
    ) -> None:
        self.values = scale * arrays["values"].float().flatten(1, 2)
        height, width = arrays["values"].shape[1:3]
        self.grid = Grid((torch.arange(width) / width, torch.arange(height) / height))
        shifts = 0.5 / width * torch.rand(len(self.grid), 2, generator=torch.Generator().manual_seed(0))
        self.where = self.grid.points() + shifts if scattered else self.grid
        self.layer_ranks = layer_ranks

    def inputs(self, step: int) -> Grid | Tensor:
        return self.where

    def targets(self) -> Tensor:
        return self.values

    def loss(self, values: Tensor, step: int) -> Tensor:
        return (values - self.values).square().mean(dim=(1, 2))

    def scores(self, predict: Predict, last: bool) -> Iterator[Score]:
        yield Score("error", "train", (predict(self.where) - self.values).square().mean(dim=(1, 2)))

    def shown(self, predict: Predict) -> dict[str, Tensor]:
        return {"": predict(self.grid)[..., 0]}
