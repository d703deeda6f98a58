"""Plain gradient descent."""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor


class SGD:
    """Gradient descent without momentum, in place; as `Adam` here, without torch's compiler."""

    def __init__(self, parameters: Iterable[Tensor]) -> None:
        self.parameters = list(parameters)

    def zero_grad(self) -> None:
        for parameter in self.parameters:
            parameter.grad = None

    @torch.no_grad()
    def step(self, learning_rate: float) -> None:
        gradients = [parameter.grad for parameter in self.parameters if parameter.grad is not None]
        torch._foreach_add_(self.parameters, gradients, alpha=-learning_rate)

    def state(self) -> dict[str, Tensor]:
        """Nothing: the next step depends on parameters and gradients alone."""
        return {}

    def put_back(self, state: Mapping[str, Tensor]) -> None:
        """Go on from a `state`."""
