"""Adam, by torch's own fused kernel."""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor


class Adam:
    """Adam as the papers use it: betas 0.9 and 0.999, epsilon 1e-8; `weight_decay` times a weight adds to its gradient.

    The kernel is the one behind `torch.optim.Adam(fused=True)`, with equal results to the bit. That class would import
    torch's compiler at its first step, which costs every job a second.
    """

    def __init__(self, parameters: Iterable[Tensor], weight_decay: float = 0.0) -> None:
        self.parameters = list(parameters)
        self.weight_decay = weight_decay
        self.means = [torch.zeros_like(parameter) for parameter in self.parameters]
        self.squares = [torch.zeros_like(parameter) for parameter in self.parameters]
        self.count = torch.zeros((), device=self.parameters[0].device)  # of updates, the same for all

    def zero_grad(self) -> None:
        for parameter in self.parameters:
            parameter.grad = None

    @torch.no_grad()
    def step(self, learning_rate: float) -> None:
        """Update the parameters in place by their gradients."""
        self.count += 1
        torch._fused_adam_(
            self.parameters,
            [parameter.grad for parameter in self.parameters if parameter.grad is not None],
            self.means,
            self.squares,
            [],
            [self.count] * len(self.parameters),
            lr=learning_rate,
            beta1=0.9,
            beta2=0.999,
            weight_decay=self.weight_decay,
            eps=1e-8,
            amsgrad=False,
            maximize=False,
        )

    def state(self) -> dict[str, Tensor]:
        """What the next step depends on beside parameters and gradients, by name."""
        lists = {"mean": self.means, "square": self.squares, "count": [self.count]}
        return {f"{name}.{index}": tensor for name, found in lists.items() for index, tensor in enumerate(found)}

    def put_back(self, state: Mapping[str, Tensor]) -> None:
        """Go on from a `state`. Raises KeyError where it is of other parameters."""
        for name, tensor in self.state().items():
            tensor.copy_(state[name])
