"""Fourier features that are trained with the weights."""

import math

import torch
from torch import Tensor, nn

from posenc.encodings.base import Encoding, phase_turns
from posenc.parameters import EvenCount, Positive


class TrainedGaussian(Encoding):
    """[a sin(2 pi B v), a cos(2 pi B v)] with amplitudes and frequencies that are trained (Tancik et al. 2020, A.3).

    a_j starts at 1 and B as the draw that `gaussian` makes from the same generator, N(0, sigma**2), sigma in cycles per
    unit length; both then follow the gradient as the weights do. The paper gives no code for its Figure 8.
    """

    name = "gaussian_trained"
    sigma_unit = "cycles"

    start: Tensor

    def __init__(self, in_dim: int, *, sigma: Positive, features: EvenCount = 512, generator: torch.Generator) -> None:
        super().__init__(in_dim, features)
        start = sigma * torch.randn(features // 2, in_dim, generator=generator)
        self.register_buffer("start", start)
        self.B = nn.Parameter(start.clone())
        self.amplitudes = nn.Parameter(torch.ones(features // 2))

    def frequencies(self) -> Tensor:
        return self.B.detach()

    def forward(self, coordinates: Tensor) -> Tensor:
        phases = (2 * math.pi) * phase_turns(coordinates, self.B)
        return torch.cat([self.amplitudes * phases.sin(), self.amplitudes * phases.cos()], dim=-1)

    def drift(self) -> Tensor:
        """How far the frequencies have moved: ||B - B_0|| / ||B_0||."""
        return ((self.B - self.start).norm() / self.start.norm()).detach()
