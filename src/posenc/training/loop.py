"""Full-batch training of a stack of networks, one per signal."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from posenc.encodings.base import Encoding
from posenc.networks.inputs import AxisFeatures, Features
from posenc.problems.grid import Grid
from posenc.training.adam import Adam
from posenc.training.devices import matrix_products

POINTS_PER_SLAB = 1 << 16


@dataclass(frozen=True)
class Schedule:
    """Adam's settings and when to look: after updates 1, 1 + log_every, 1 + 2 log_every, … and the last.

    The authors' code looks at those steps, too, and reports the last of the regular ones (1976 of 2000).
    """

    steps: int
    learning_rate: float
    log_every: int

    def is_logged(self, step: int) -> bool:
        return (step - 1) % self.log_every == 0 or step == self.steps


def train(
    network: nn.Module,
    optimizer: Adam,
    features: Features,
    targets: Tensor,
    loss: Callable[[Tensor, Tensor], Tensor],
    steps: range,
    precision: str,
) -> Iterator[tuple[int, Tensor]]:
    """Train in place; after each update yield its step and the losses `(stack,)` before it.

    features: of all points, shared by the stack; targets: `(stack, n, channels)`. Networks of a stack do not influence
    each other: their losses are added, and Adam works entry by entry. A loss that is not a number stays in its own
    network. Nothing here waits for the device.
    """
    if precision == "bf16" and isinstance(features, Tensor):
        features = features.bfloat16()
    for step in steps:
        optimizer.zero_grad()
        with matrix_products(precision, targets.device):
            losses = loss(network(features), targets)
            losses.sum().backward()
        optimizer.step()
        yield step, losses.detach()


def encode(encoding: Encoding, grid: Grid, device: torch.device) -> Features:
    """Features of a grid's points, in float32: axis by axis where the encoding allows it."""
    columns = encoding.axis_columns() if grid.dimensions > 1 else None
    if columns is None:
        features: Tensor = encoding(grid.points().to(device))
        return features
    by_axis = []
    for axis, (coordinates, places) in enumerate(zip(grid.axes, columns, strict=True)):
        points = torch.zeros(len(coordinates), grid.dimensions, device=device)
        points[:, axis] = coordinates.to(device)
        by_axis.append(AxisFeatures(encoding(points)[:, places], places.to(device)))
    return by_axis


@torch.no_grad()
def predict(network: nn.Module, encoding: Encoding, grid: Grid, device: torch.device) -> Tensor:
    """Values `(stack, n, channels)` on a grid in float32, slab by slab: beside them, memory does not grow with n."""
    done, values = 0, torch.empty(0)
    for slab in grid.slabs(POINTS_PER_SLAB):
        shown = network(encode(encoding, slab, device))
        if not done:  # all at once: a piece per slab would lie in the way of the next slab's features
            values = shown.new_empty(len(shown), len(grid), shown.shape[-1])
        values[:, done : done + len(slab)] = shown
        done += len(slab)
    return values
