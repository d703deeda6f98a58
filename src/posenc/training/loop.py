"""Full-batch training of a stack of networks, one per signal."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

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
    features: Tensor,
    targets: Tensor,
    loss: Callable[[Tensor, Tensor], Tensor],
    schedule: Schedule,
    precision: str,
) -> Iterator[tuple[int, Tensor]]:
    """Train in place; after each logged update yield the step and the losses `(stack,)` before that update.

    features: `(n, width)` float32, shared by the stack; targets: `(stack, n, channels)`. Networks of a stack do not
    influence each other: their losses are added, and Adam works entry by entry. A loss that is not a number stays in
    its own network.
    """
    device = features.device
    optimizer = torch.optim.Adam(network.parameters(), schedule.learning_rate, betas=(0.9, 0.999), eps=1e-8, fused=True)
    if precision == "bf16":
        features = features.bfloat16()
    for step in range(1, schedule.steps + 1):
        optimizer.zero_grad(set_to_none=True)
        with matrix_products(precision, device):
            losses = loss(network(features), targets)
            losses.sum().backward()
        optimizer.step()
        if schedule.is_logged(step):
            yield step, losses.detach()


@torch.no_grad()
def predict(network: nn.Module, encode: Callable[[Tensor], Tensor], points: Tensor) -> Tensor:
    """Values `(stack, n, channels)` at points `(n, d)`, in float32, in slabs so that memory does not grow with n."""
    return torch.cat([network(encode(slab)) for slab in points.split(POINTS_PER_SLAB)], dim=1)
