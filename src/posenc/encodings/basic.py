"""One frequency per axis."""

import math

import torch
from torch import Tensor

from posenc.encodings.base import FourierEncoding


class Basic(FourierEncoding):
    """gamma(v) = [sin(2 pi v), cos(2 pi v)]: B is the identity (Tancik et al. 2020, section 6.1, "basic")."""

    name = "basic"

    def __init__(self, in_dim: int, *, normalised: bool = False) -> None:
        super().__init__(torch.eye(in_dim), normalised)

    def closed_rank(self, samples: int) -> float:
        return 1.0 if samples < 3 else 2.0  # two points are half a period apart: one column is zero

    def closed_similarity(self, displacements: Tensor) -> Tensor:
        return torch.cos(2 * math.pi * displacements)
