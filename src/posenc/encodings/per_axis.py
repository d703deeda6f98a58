"""One encoding of one coordinate for each axis."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from posenc.encodings.base import Encoding


class PerAxis(Encoding):
    """[gamma_1(v_1), ..., gamma_d(v_d)]: encodings of one coordinate each, their features side by side, axis by axis.

    No encoding of the config: it is what a network with an encoding for each axis is given.
    """

    def __init__(self, encodings: Sequence[Encoding]) -> None:
        if any(encoding.in_dim != 1 for encoding in encodings):
            raise ValueError("an encoding for each axis takes one coordinate")
        super().__init__(len(encodings), sum(encoding.out_dim for encoding in encodings))
        self.widths = [encoding.out_dim for encoding in encodings]  # features of each axis
        self.encodings = nn.ModuleList(encodings)

    def of_axis(self, axis: int) -> Encoding:
        encoding = self.encodings[axis]
        assert isinstance(encoding, Encoding)
        return encoding

    def axis_columns(self) -> list[Tensor]:
        return list(torch.arange(self.out_dim).split(self.widths))

    def frequencies(self) -> Tensor | None:
        """Block-diagonal `(m, d)`: a frequency of one axis is zero along the others."""
        found = [self.of_axis(axis).frequencies() for axis in range(self.in_dim)]
        known = [frequencies for frequencies in found if frequencies is not None]
        return torch.block_diag(*known) if len(known) == len(found) else None

    def bandwidth(self) -> float | None:
        """That of one axis: the zeros of the blocks say nothing of it."""
        return self.of_axis(0).bandwidth()

    def closed_rank(self, samples: int) -> float | None:
        return self.of_axis(0).closed_rank(samples)

    def closed_similarity(self, displacements: Tensor) -> Tensor | None:
        return self.of_axis(0).closed_similarity(displacements)

    def forward(self, coordinates: Tensor) -> Tensor:
        return torch.cat([self.encodings[k](coordinates[..., k : k + 1]) for k in range(self.in_dim)], dim=-1)
