"""Coordinates on a regular grid."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Grid:
    """The product of one coordinate axis per dimension, in coordinate order (x, y, ...).

    Points run with the last axis slowest, as pixels of a picture stored row by row.
    """

    axes: tuple[Tensor, ...]

    def __len__(self) -> int:
        return math.prod(len(axis) for axis in self.axes)

    @property
    def dimensions(self) -> int:
        return len(self.axes)

    def slabs(self, points: int) -> Iterator["Grid"]:
        """The grid in pieces along its last axis, each of about `points` points but one coordinate at least."""
        beside = len(self) // len(self.axes[-1])
        for piece in self.axes[-1].split(max(1, points // beside)):
            yield Grid((*self.axes[:-1], piece))

    def points(self) -> Tensor:
        """All points, `(n, d)`."""
        mesh = torch.meshgrid(*reversed(self.axes), indexing="ij")
        return torch.stack([coordinate.reshape(-1) for coordinate in reversed(mesh)], dim=-1)


def half_open(count: int) -> Tensor:
    """`count` equispaced coordinates in [0, 1), the end excluded (float32)."""
    return (torch.arange(count, dtype=torch.float64) / count).float()
