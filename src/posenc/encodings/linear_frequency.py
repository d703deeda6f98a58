"""Linearly spaced frequencies on each axis."""

import torch

from posenc.encodings.base import FourierEncoding
from posenc.parameters import EvenCount, Positive


class LinearFrequency(FourierEncoding):
    """Sines and cosines of b = linspace(1, 2**sigma, m), the same on every axis (Zheng et al. 2022, code, "LinF").

    `features` is the number of features over all axes, so m = features // (2 d) (what does not divide is dropped).
    Their "LogF" is `positional`, variant table_2.
    """

    name = "linear_frequency"
    sigma_unit = "exponent"
    features_per_axis = 2

    def __init__(self, in_dim: int, *, sigma: Positive, features: EvenCount = 512, normalised: bool = False) -> None:
        count = features // (2 * in_dim)
        if count < 1:
            raise ValueError(
                f"linear_frequency: {features} features are too few for {in_dim} axes (at least {2 * in_dim})"
            )
        band = torch.linspace(1, 2**sigma, count, dtype=torch.float64).float()
        super().__init__(torch.kron(torch.eye(in_dim), band[:, None]), normalised)
