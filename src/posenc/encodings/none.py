"""No encoding."""

import torch
from torch import Tensor

from posenc.encodings.base import Encoding


class NoEncoding(Encoding):
    """gamma(v) = v: raw coordinates in [0, 1), neither centred nor scaled (Tancik et al. 2020, code; "no mapping")."""

    name = "none"

    def __init__(self, in_dim: int) -> None:
        super().__init__(in_dim, in_dim)

    def axis_columns(self) -> list[Tensor]:
        return list(torch.arange(self.in_dim).split(1))

    def forward(self, coordinates: Tensor) -> Tensor:
        return coordinates.to(torch.promote_types(coordinates.dtype, torch.float32))
