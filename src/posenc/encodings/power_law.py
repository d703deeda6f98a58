"""Harmonics with amplitudes that fall by a power law."""

import torch
from torch import Tensor

from posenc.encodings.weighted import WeightedFourier
from posenc.parameters import EvenCount, NonNegative


class PowerLaw(WeightedFourier):
    """Whole frequencies b_j = 1, 2, ..., m on each axis with amplitudes a_j = 1 / j^p (Tancik et al. 2020, section 4).

    `features` counts sines and cosines over all axes, so m = features // (2 d); they are divided by ||a||, so that all
    exponents p give a kernel of the same peak. `exponent` .inf keeps b = 1 alone, the normalised basic encoding, and
    the rest as zeros: the initialisation of a network depends on how many inputs it has.
    """

    name = "power_law"
    features_per_axis = 2

    def __init__(self, in_dim: int, *, exponent: NonNegative, features: EvenCount) -> None:
        count = features // (2 * in_dim)
        if count < 1:
            raise ValueError(f"power_law: {features} features are too few for {in_dim} axes (at least {2 * in_dim})")
        harmonics = torch.arange(1, count + 1, dtype=torch.float64)
        super().__init__(
            torch.kron(torch.eye(in_dim), harmonics[:, None].float()), amplitudes(exponent, harmonics, in_dim)
        )


def amplitudes(exponent: float, harmonics: Tensor, in_dim: int) -> Tensor:
    """1 / b^p of every row, `(in_dim * len(harmonics),)` in float64."""
    return (harmonics**-exponent).repeat(in_dim)
