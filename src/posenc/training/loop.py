"""Training of a stack of networks, one per signal."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from posenc.encodings.base import Encoding
from posenc.encodings.per_axis import PerAxis
from posenc.networks.inputs import AxisFeatures, Blend, Features
from posenc.problems.grid import Grid
from posenc.training.blending import blend
from posenc.training.devices import matrix_products

POINTS_PER_SLAB = 1 << 16
Losses = Callable[[], Tensor]  # `(stack,)`, to be asked for before the next update


class Optimizer(Protocol):
    """What `Adam` and `SGD` have in common."""

    def zero_grad(self) -> None: ...

    def step(self, learning_rate: float) -> None: ...

    def state(self) -> dict[str, Tensor]: ...

    def put_back(self, state: Mapping[str, Tensor]) -> None: ...


@dataclass(frozen=True)
class Schedule:
    """Step sizes, and when to look: after updates 1, 1 + log_every, 1 + 2 log_every, … and the last.

    The authors' code looks at those steps, too, and reports the last of the regular ones (1976 of 2000).
    """

    steps: int
    learning_rate: float
    log_every: int
    decay_steps: int | None = None

    def is_logged(self, step: int) -> bool:
        return (step - 1) % self.log_every == 0 or step == self.steps

    def rate(self, step: int) -> float:
        """The learning rate of an update; the first is update 1, with the full rate."""
        return self.learning_rate * (0.1 ** ((step - 1) / self.decay_steps) if self.decay_steps else 1.0)


def train(
    values_at: Callable[[int], Tensor],
    loss: Callable[[Tensor, int], Tensor],
    optimizer: Optimizer,
    schedule: Schedule,
    steps: range,
    precision: str,
    device: torch.device,
) -> Iterator[tuple[int, Losses]]:
    """Train in place; after each update yield its step and the losses before it.

    values_at: the networks' values at the places of a step; loss: of these values. Networks of a stack do not influence
    each other: their losses are added, and the optimizers work entry by entry. A loss that is not a number stays in its
    own network. Nothing here waits for the device, but for what a problem draws at each update.
    """
    for step in steps:
        optimizer.zero_grad()
        with matrix_products(precision, device):
            losses = loss(values_at(step), step)
            losses.sum().backward()
        optimizer.step(schedule.rate(step))
        yield step, losses.detach


class Differentiable(Protocol):
    """A loss that is the same function at every step and needs no autograd."""

    def differentiate(self) -> None:
        """Leave its gradients in the parameters."""

    def losses(self) -> Tensor:
        """Its values `(stack,)` where it was differentiated last."""


def train_by_gradients(
    loss: Differentiable, optimizer: Optimizer, schedule: Schedule, steps: range
) -> Iterator[tuple[int, Losses]]:
    """As `train`, of a loss that differentiates itself."""
    for step in steps:
        loss.differentiate()
        optimizer.step(schedule.rate(step))
        yield step, loss.losses


def encode(encoding: Encoding, where: Grid | Tensor, device: torch.device, grid: int = 0) -> Features | Blend:
    """Features of points, or of a grid's points: axis by axis where the encoding allows it. In float32 at least.

    What has an encoding for each axis never sees single points: they are blended on a virtual grid of `grid` per axis.
    """
    apart = isinstance(encoding, PerAxis)
    if isinstance(encoding, PerAxis) and isinstance(where, Tensor):
        return blend(encoding, where.to(device), grid)
    columns = encoding.axis_columns() if isinstance(where, Grid) and (where.dimensions > 1 or apart) else None
    if columns is None or isinstance(where, Tensor):
        points = where if isinstance(where, Tensor) else where.points()
        features: Tensor = encoding(points.to(device))
        return features
    by_axis = []
    for axis, (coordinates, places) in enumerate(zip(where.axes, columns, strict=True)):
        points = torch.zeros(len(coordinates), where.dimensions, device=device)
        points[:, axis] = coordinates.to(device)
        by_axis.append(AxisFeatures(encoding(points)[:, places], places.to(device)))
    return by_axis


def lowered(features: Features | Blend, precision: str) -> Features | Blend:
    """Features as the matrix products take them: those of points in half the memory, where that is the precision."""
    return features.bfloat16() if precision == "bf16" and isinstance(features, Tensor) else features


@torch.no_grad()
def predict(network: nn.Module, encoding: Encoding, where: Grid | Tensor, device: torch.device) -> Tensor:
    """Values `(stack, n, channels)` in float32, slab by slab: beside them, memory does not grow with n."""
    done, values = 0, torch.empty(0)
    for slab in where.split(POINTS_PER_SLAB) if isinstance(where, Tensor) else where.slabs(POINTS_PER_SLAB):
        shown = network(encode(encoding, slab, device, getattr(network, "grid", 0)))
        if not done:  # all at once: a piece per slab would lie in the way of the next slab's features
            values = shown.new_empty(len(shown), len(where), shown.shape[-1])
        values[:, done : done + len(slab)] = shown
        done += len(slab)
    return values
