"""An encoding for each axis of a domain."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from posenc.encodings.base import Encoding


class PerAxis(Encoding):
    """One encoding of one coordinate per axis, their features side by side, axis by axis.

    For networks that take each axis by itself, as those of Kronecker codes do. Bandwidth and closed forms are of one
    axis: the first encoding's. It has no name, for an experiment names the encoding of an axis.
    """

    encodings: Sequence[Encoding]

    def __init__(self, encodings: Sequence[Encoding]) -> None:
        if not encodings or any(encoding.in_dim != 1 for encoding in encodings):
            raise ValueError("PerAxis: give an encoding of one dimension for each axis")
        super().__init__(len(encodings), sum(encoding.out_dim for encoding in encodings))
        self.encodings = nn.ModuleList(encodings)  # type: ignore[assignment]

    def forward(self, coordinates: Tensor) -> Tensor:
        axes = coordinates.split(1, dim=-1)
        return torch.cat([encoding(axis) for encoding, axis in zip(self.encodings, axes, strict=True)], dim=-1)

    def axis_columns(self) -> list[Tensor]:
        return list(torch.arange(self.out_dim).split([encoding.out_dim for encoding in self.encodings]))

    def frequencies(self) -> Tensor | None:
        blocks = [encoding.frequencies() for encoding in self.encodings]
        return None if any(block is None for block in blocks) else torch.block_diag(*blocks)

    def bandwidth(self) -> float | None:
        return self.encodings[0].bandwidth()

    def closed_rank(self, samples: int) -> float | None:
        return self.encodings[0].closed_rank(samples)

    def closed_similarity(self, displacements: Tensor) -> Tensor | None:
        return self.encodings[0].closed_similarity(displacements)
