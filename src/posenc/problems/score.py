"""What every problem says of a prediction."""

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor

from posenc.problems.grid import Grid

# Asks the networks at a grid or at points `(n, d)`: values `(stack, n, channels)` in float32, without gradients.
Predict = Callable[[Grid | Tensor], Tensor]


class Score(NamedTuple):
    """One number per signal."""

    metric: str
    split: str
    values: Tensor  # (stack,)
    item: str = ""  # a part of the signal that is scored by itself, such as a view
    set: str = ""  # of the part, where it is not the signal's own: views that choose sigma beside views that report


def psnr(values: Tensor, targets: Tensor) -> Tensor:
    """Peak signal-to-noise ratio of each signal in dB, `(stack,)`: peak 1, over all that follows the first axis."""
    return -10 * (values.double() - targets.double()).square().flatten(1).mean(dim=1).log10()
