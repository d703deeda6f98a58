"""Which points of a sampled signal are learnt from, and which are scored.

Values are `(signals, ..., y, x, channels)`, one sample per point of the half-open grid over [0, 1)**d; points run as
those of a `Grid`, x fastest.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from posenc.problems.grid import Grid, half_open
from posenc.problems.score import Predict


@dataclass(frozen=True)
class Split:
    """Points that are scored together, with the true values `(signals, n, channels)` there.

    The networks are asked `where`; if that is more than the split's points, `picked` `(n,)` tells which answers count.
    """

    where: Grid | Tensor
    targets: Tensor
    picked: Tensor | None = None

    def values(self, predict: Predict) -> Tensor:
        """What the networks give at the points, `(signals, n, channels)`."""
        answers = predict(self.where)
        return answers if self.picked is None else answers[:, self.picked]


def on_grid(values: Tensor, samples: slice) -> Split:
    """These samples along every axis."""
    lengths = values.shape[1:-1]
    chosen = values[(slice(None), *[samples] * len(lengths))]
    return Split(Grid(tuple(half_open(length)[samples] for length in reversed(lengths))), chosen.flatten(1, -2))


def off_grid(values: Tensor, samples: slice, everywhere: Split) -> Split:
    """All points but those of `on_grid`: no grid, so they are picked from the answers everywhere."""
    lengths = values.shape[1:-1]
    left = torch.ones(lengths, dtype=torch.bool, device=values.device)
    left[(samples,) * len(lengths)] = False
    (picked,) = left.flatten().nonzero(as_tuple=True)
    return Split(everywhere.where, everywhere.targets[:, picked], picked)


def at_random(values: Tensor, one_in: int, seed: int) -> dict[str, Split]:
    """`train`, one point in so many, drawn from a seed and the same for all signals; `test`, the others; `all`.

    All are points `(n, d)`, not grids, also where they are all there are: what answers them is what was trained.
    """
    whole = on_grid(values, slice(None))
    assert isinstance(whole.where, Grid)
    points, count = whole.where.points(), len(whole.where)
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
    train, test = (part.sort().values for part in order.tensor_split([count // one_in]))
    splits = {
        name: Split(points[chosen], whole.targets[:, chosen.to(values.device)])
        for name, chosen in (("train", train), ("test", test))
    }
    return splits | {"all": Split(points, whole.targets)}
