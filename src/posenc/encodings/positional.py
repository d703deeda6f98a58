"""Positional encoding: log-spaced frequencies on each axis."""

import math
from typing import Literal

import torch
from torch import Tensor

from posenc.encodings.base import FourierEncoding
from posenc.parameters import EvenCount, Positive


class Positional(FourierEncoding):
    """Sines and cosines of log-spaced frequencies, the same on every axis (Tancik et al. 2020).

    `features` is the number of features over all axes, so each axis has m = features // (2 d) frequencies (what does
    not divide is dropped: 512 features in 3D become 510). Three definitions circulate; `variant` chooses:

    - `code` (default; behind every published table): 2**linspace(0, sigma, m) - 1, from 0 to 2**sigma - 1;
    - `table_2` (Table 2 of the paper): 2**(sigma X), X on linspace(0, 1), from 1 to 2**sigma;
    - `section_6` (section 6.1): sigma**(j / m), j = 0..m - 1, from 1 to below sigma. Here sigma is the base, in cycles
      per unit length, not an exponent.

    `rotated` turns every frequency by 45 degrees about z and then by 45 degrees about x, as good as turning the signal
    (Table 7); in two dimensions there is only the first turn, in one dimension none.
    """

    name = "positional"
    sigma_unit = "exponent"
    features_per_axis = 2

    def __init__(
        self,
        in_dim: int,
        *,
        sigma: Positive,
        features: EvenCount = 512,
        variant: Literal["code", "table_2", "section_6"] = "code",
        rotated: bool = False,
        normalised: bool = False,
    ) -> None:
        per_axis = features // (2 * in_dim)
        if per_axis < 1:
            raise ValueError(f"positional: {features} features are too few for {in_dim} axes (at least {2 * in_dim})")
        band = axis_frequencies(sigma, per_axis, variant)
        along_axes = torch.kron(torch.eye(in_dim), band[:, None])
        super().__init__(turned(along_axes) if rotated else along_axes, normalised)


def axis_frequencies(sigma: float, count: int, variant: str) -> Tensor:
    """The `(count,)` frequencies of one axis, in cycles per unit length."""
    exponents = torch.linspace(0, 1, count, dtype=torch.float64)
    if variant == "code":
        band = 2 ** (sigma * exponents) - 1
    elif variant == "table_2":
        band = 2 ** (sigma * exponents)
    else:
        band = sigma ** (torch.arange(count, dtype=torch.float64) / count)
    return band.float()


def turned(frequencies: Tensor) -> Tensor:
    """Frequencies `(m, d)` turned by 45 degrees in the plane of the first two axes, then in that of the next two."""
    axes = list(frequencies.double().unbind(1))
    half = math.sqrt(0.5)
    for i, j in [(0, 1), (1, 2)][: len(axes) - 1]:
        axes[i], axes[j] = half * (axes[i] - axes[j]), half * (axes[i] + axes[j])
    return torch.stack(axes, dim=1).to(frequencies.dtype)
