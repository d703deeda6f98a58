"""Gaussian random Fourier features."""

import math

import torch
from torch import Tensor

from posenc.encodings.base import FourierEncoding, bounded_rank
from posenc.parameters import EvenCount, Positive


class Gaussian(FourierEncoding):
    """Random Fourier features, B ~ N(0, sigma**2) entry by entry (Tancik et al. 2020, section 6.1, "Gaussian").

    `features` counts sines and cosines, so B has features / 2 rows; sigma is in cycles per unit length. The draw comes
    from `generator` alone and is the same for every signal of a fit.

    Of infinitely many features the stable rank is min(N, sqrt(2 pi) sigma) and D = exp(-2 pi^2 sigma^2 delta^2) (Zheng
    et al. 2021); one draw of finitely many has a lower rank.
    """

    name = "gaussian"
    sigma_unit = "cycles"

    def __init__(
        self,
        in_dim: int,
        *,
        sigma: Positive,
        features: EvenCount = 512,
        normalised: bool = False,
        generator: torch.Generator,
    ) -> None:
        super().__init__(sigma * torch.randn(features // 2, in_dim, generator=generator), normalised)
        self.sigma = sigma

    def closed_rank(self, samples: int) -> float:
        return bounded_rank(math.sqrt(2 * math.pi) * self.sigma, samples)

    def closed_similarity(self, displacements: Tensor) -> Tensor:
        return (-2 * (math.pi * self.sigma * displacements).square()).exp()
