"""No encoding."""

import torch
from torch import Tensor

from posenc.encodings.base import Encoding


class NoEncoding(Encoding):
    """gamma(v) = scale v + shift (Tancik et al. 2020, code; "no mapping").

    Raw coordinates in [0, 1) for pictures, projections and volumes; 2 v - 1 for shapes, v - 1/2 in one dimension.
    """

    name = "none"

    def __init__(self, in_dim: int, *, scale: float = 1.0, shift: float = 0.0) -> None:
        super().__init__(in_dim, in_dim)
        self.scale, self.shift = scale, shift

    def axis_columns(self) -> list[Tensor]:
        return list(torch.arange(self.in_dim).split(1))

    def forward(self, coordinates: Tensor) -> Tensor:
        return coordinates.to(torch.promote_types(coordinates.dtype, torch.float32)) * self.scale + self.shift
