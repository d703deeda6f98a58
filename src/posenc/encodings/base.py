"""What every encoding offers, and the sine-cosine form that the Fourier ones share."""

import functools
import math
from typing import ClassVar

import torch
from torch import Tensor, nn


class Encoding(nn.Module):
    """A map from coordinates `(..., d)` to features `(..., out_dim)`.

    Subclasses set `name` (as written in the config) and, if they have a scale, `sigma_unit`: "cycles" (cycles per
    unit length) or "exponent" (frequencies reach 2**sigma); and `features_per_axis` if they need so many at least.
    """

    name: ClassVar[str]
    sigma_unit: ClassVar[str] = ""
    features_per_axis: ClassVar[int] = 0

    def __init__(self, in_dim: int, out_dim: int) -> None:
        super().__init__()
        self.in_dim = in_dim
        self.out_dim = out_dim

    def axis_columns(self) -> list[Tensor] | None:
        """For each axis the columns of the features that depend on it alone; None where some depend on several.

        With them a network's first layer separates on a grid.
        """
        return None

    def frequencies(self) -> Tensor | None:
        """Frequencies `(m, d)` in cycles per unit length, or None where the encoding has none."""
        return None

    def drift(self) -> Tensor | None:
        """How far training has moved the frequencies, relative to their start; None where they stay."""
        return None

    def bandwidth(self) -> float | None:
        """Root-mean-square frequency per axis, in cycles per unit length; the same as sigma for Gaussian features."""
        frequencies = self.frequencies()
        return None if frequencies is None else float(frequencies.double().square().mean().sqrt())

    def closed_rank(self, samples: int) -> float | None:
        """Stable rank of so many equispaced points of one axis, of infinitely many features; None without a formula."""
        return None

    def closed_similarity(self, displacements: Tensor) -> Tensor | None:
        """D of displacements along one axis, D(0) = 1, of infinitely many features; None without a formula."""
        return None


class FourierEncoding(Encoding):
    """gamma(v) = [sin(2 pi B v), cos(2 pi B v)], all sines first (Tancik et al. 2020, eq. 5, a_j = 1).

    `B` is `(m, d)` in cycles per unit length and stays fixed; it is a buffer, so it is saved with the weights.
    Coordinates lie in [0, 1); the argument factor is 2 pi. Computed in the input's dtype, float32 at least: a phase in
    bfloat16 would be wrong by whole cycles. `normalised` features are divided by the root of the number of frequencies,
    ||a||, so that their squares sum to one (the authors' code for shapes and in one dimension).
    """

    B: Tensor

    def __init__(self, frequencies: Tensor, normalised: bool = False) -> None:
        rows, in_dim = frequencies.shape
        super().__init__(in_dim, 2 * rows)
        self.register_buffer("B", frequencies)
        self.amplitude = rows**-0.5 if normalised else 1.0

    def frequencies(self) -> Tensor:
        return self.B

    def axis_columns(self) -> list[Tensor] | None:
        along = self.B != 0
        if bool((along.sum(dim=1) > 1).any()):
            return None
        axis = along.int().argmax(dim=1)  # a row of zeros is a constant, which any axis can have
        rows = [torch.nonzero(axis == k).flatten() for k in range(self.in_dim)]
        return [torch.cat([found, found + len(self.B)]) for found in rows]

    def forward(self, coordinates: Tensor) -> Tensor:
        phases = (2 * math.pi) * phase_turns(coordinates, self.B)
        features = torch.cat([phases.sin(), phases.cos()], dim=-1)
        return features if self.amplitude == 1.0 else features * self.amplitude


def phase_turns(coordinates: Tensor, frequencies: Tensor) -> Tensor:
    """B v, in turns: coordinates `(..., d)` and frequencies `(m, d)` to `(..., m)`, in float32 at least."""
    dtype = torch.promote_types(coordinates.dtype, torch.float32)
    # Summed axis by axis: autocast and TF32 would reach into a matrix product.
    axes = zip(coordinates.to(dtype).unbind(-1), frequencies.to(dtype).unbind(-1), strict=True)
    return functools.reduce(torch.add, (coordinate[..., None] * frequency for coordinate, frequency in axes))
