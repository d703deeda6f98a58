"""What a network is given: features of points, or on a grid those of its axes where they depend on one axis each."""

from typing import NamedTuple

from torch import Tensor


class AxisFeatures(NamedTuple):
    """The features of a grid that depend on one of its axes alone."""

    values: Tensor  # (coordinates on the axis, columns)
    columns: Tensor  # (columns,) their places among all features


class Blend(NamedTuple):
    """Scattered points, each the weighted sum of the corners of the cell of a virtual grid that it lies in."""

    axes: list[AxisFeatures]  # of the virtual grid
    corners: Tensor  # (n, 2**d) int64, numbers of grid points, last axis slowest
    weights: Tensor  # (n, 2**d), each row of sum 1


# `(n, width)` of any points, or one entry per axis of a grid, in coordinate order.
Features = Tensor | list[AxisFeatures]
