"""Gaussian random Fourier features."""

import torch

from posenc.encodings.base import FourierEncoding
from posenc.parameters import EvenCount, Positive


class Gaussian(FourierEncoding):
    """Random Fourier features, B ~ N(0, sigma**2) entry by entry (Tancik et al. 2020, section 6.1, "Gaussian").

    `features` counts sines and cosines, so B has features / 2 rows; sigma is in cycles per unit length. The draw comes
    from `generator` alone and is the same for every signal of a fit.
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
