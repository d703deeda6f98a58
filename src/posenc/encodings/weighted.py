"""Sine-cosine features with an amplitude per frequency, which the encodings of the 1D studies share."""

import torch
from torch import Tensor

from posenc.encodings.base import FourierEncoding


class WeightedFourier(FourierEncoding):
    """gamma(v) = [a sin(2 pi B v), a cos(2 pi B v)] / ||a||, all sines first (Tancik et al. 2020, eq. 5 and code).

    The amplitudes `a` `(m,)` are kept divided by their norm, so |gamma(v)| = 1. A frequency of amplitude 0 keeps its
    two features, as zeros.
    """

    a: Tensor

    def __init__(self, frequencies: Tensor, amplitudes: Tensor) -> None:
        super().__init__(frequencies)
        self.register_buffer("a", (amplitudes.double() / amplitudes.double().norm()).float())

    def bandwidth(self) -> float:
        """Root of the mean square frequency per axis, weighted by the squared amplitudes, in cycles per unit length."""
        squares = self.a.double().square()
        return float((squares[:, None] * self.B.double().square()).sum(0).mean().sqrt())

    def forward(self, coordinates: Tensor) -> Tensor:
        features = super().forward(coordinates)
        return features * torch.cat([self.a, self.a]).to(features.dtype)
