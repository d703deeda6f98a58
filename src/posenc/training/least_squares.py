"""Least squares in place of descent, for networks with a closed form."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from posenc.networks.inputs import Blend, Features
from posenc.training.loop import Losses


class LeastSquares:
    """Stands where an optimizer does. It takes no steps and keeps nothing: `solved` is all there is to do."""

    def __init__(self, parameters: Iterable[Tensor]) -> None:
        pass

    def zero_grad(self) -> None:
        pass

    def step(self, learning_rate: float) -> None:
        pass

    def state(self) -> dict[str, Tensor]:
        return {}

    def put_back(self, state: Mapping[str, Tensor]) -> None:
        """Nothing to put back."""


def solved(network: Any, features: Features | Blend, problem: Any) -> Iterator[tuple[int, Losses]]:
    """As `train`, of the one update that gives the weights of least squares: its step and the losses before it."""
    with torch.no_grad():
        losses = problem.loss(network(features), 1)
    network.solve(features, problem.targets())
    yield 1, losses.detach
