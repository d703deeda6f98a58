"""What a network is given: features of points, or on a grid those of its axes where they depend on one axis each."""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor


class AxisFeatures(NamedTuple):
    """The features of a grid that depend on one of its axes alone."""

    values: Tensor  # (coordinates on the axis, columns)
    columns: Tensor  # (columns,) their places among all features


@dataclass(frozen=True, eq=False)
class Blend:
    """Scattered points, each the weighted sum of the corners of the cell of a virtual grid that it lies in."""

    axes: list[AxisFeatures]  # of the virtual grid
    corners: Tensor  # (n, 2**d) int64, numbers of grid points, last axis slowest
    weights: Tensor  # (n, 2**d), each row of sum 1

    @cached_property
    def from_the_grid(self) -> tuple[Tensor, Tensor, Tensor]:
        """The same from the grid's side: of each of its points the scattered ones that it is a corner for.

        Their numbers and weights `(n 2**d,)`, one grid point's after the other's, and where each one's begin.
        """
        points = math.prod(len(values) for values, _ in self.axes)
        corners = self.corners.flatten()
        order = corners.argsort(stable=True)
        counts = torch.bincount(corners, minlength=points)
        return order // self.corners.shape[1], self.weights.flatten()[order], counts.cumsum(0) - counts


# `(n, width)` of any points, or one entry per axis of a grid, in coordinate order.
Features = Tensor | list[AxisFeatures]
