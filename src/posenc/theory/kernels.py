"""Neural tangent kernels of fully connected ReLU networks, as functions of the inner products of their inputs."""

import math
from typing import Literal

import torch
from torch import Tensor

from posenc.encodings.base import Encoding

Parameterisation = Literal["standard", "ntk"]


def tangent_kernel(
    between: Tensor,
    left: Tensor,
    right: Tensor,
    *,
    dimensions: int,
    depth: int,
    width: int = 1,
    parameterisation: Parameterisation = "standard",
) -> Tensor:
    """Theta(x, x') of a ReLU network of `depth` dense layers, from <x, x'>, <x, x> and <x', x'> (same shapes, float64).

    `dimensions` is the length of x. Weights are N(0, 1 / fan_in) - not He's -, biases zero but trained.

    - `standard`: the network as it is trained; the kernel grows with `width`.
    - `ntk`: weights N(0, 1) times 1 / sqrt(fan_in), biases not trained; `width` plays no part.

    The recursion is that of neural-tangents 0.2.2, with which the authors computed theirs (Tancik et al. 2020,
    section 3 and code); the arc-cosine kernels are those of Cho and Saul 2009.
    """
    both, first, second = (product.double() / dimensions for product in (between, left, right))
    kernel = torch.zeros_like(both)
    for layer in range(1, depth + 1):
        if parameterisation == "standard":
            fan_in = dimensions if layer == 1 else width
            kernel = kernel + fan_in * both + 1
        else:
            kernel = kernel + both
        if layer < depth:
            norms = (first * second).sqrt()
            cosine = _cosine(both, norms)
            angle = _angle(cosine)
            both = norms * (_sine(cosine) + (math.pi - angle) * cosine) / (2 * math.pi)
            kernel = kernel * (math.pi - angle) / (2 * math.pi)
            first, second = first / 2, second / 2
    return kernel


def kernel_matrix(
    left: Tensor, right: Tensor, *, depth: int, width: int = 1, parameterisation: Parameterisation = "standard"
) -> Tensor:
    """Theta `(n, m)` between inputs `(n, d)` and `(m, d)`; settings as of `tangent_kernel`."""
    left, right = left.double(), right.double()
    between = left @ right.T
    return tangent_kernel(
        between,
        left.square().sum(-1)[:, None].expand_as(between),
        right.square().sum(-1).expand_as(between),
        dimensions=left.shape[-1],
        depth=depth,
        width=width,
        parameterisation=parameterisation,
    )


def encoded_kernel(encoding: Encoding, left: Tensor, right: Tensor, *, depth: int, width: int) -> Tensor:
    """Theta `(n, m)` between coordinates `(n, d)` and `(m, d)` of a network behind an encoding."""
    return kernel_matrix(encoding(left.double()), encoding(right.double()), depth=depth, width=width)


def fourier_kernel(amplitudes: Tensor, frequencies: Tensor, offsets: Tensor) -> Tensor:
    """h(delta) = sum a_j^2 cos(2 pi b_j delta) / sum a_j^2 `(n,)` of 1D features divided by ||a||.

    amplitudes and frequencies `(m,)`, in cycles per unit length; h(0) = 1, so a composed kernel's peak is the same
    for all amplitudes (Tancik et al. 2020, eq. 6).
    """
    squares = amplitudes.double().square()
    return torch.cos(2 * math.pi * offsets.double()[:, None] * frequencies.double()) @ (squares / squares.sum())


def composed_row(
    amplitudes: Tensor,
    frequencies: Tensor,
    offsets: Tensor,
    *,
    depth: int,
    width: int = 1,
    parameterisation: Parameterisation = "standard",
    squared_norm: float = 1.0,
) -> Tensor:
    """h_NTK(h_gamma(delta)) `(n,)`: the tangent kernel behind 1D Fourier features, which depends on the offset alone.

    The features, as many as 2 m, are scaled to `squared_norm`; frequencies with amplitude 0 count, because the
    standard deviation of the first weights depends on the number of features.
    """
    between = squared_norm * fourier_kernel(amplitudes, frequencies, offsets)
    norm = torch.full_like(between, squared_norm)
    return tangent_kernel(
        between,
        norm,
        norm,
        dimensions=2 * len(amplitudes),
        depth=depth,
        width=width,
        parameterisation=parameterisation,
    )


def power_law_amplitudes(exponent: float, frequencies: Tensor) -> Tensor:
    """a_j = 1 / b_j^p; p infinite keeps b = 1 alone, the basic encoding."""
    return frequencies.double() ** -exponent


def _cosine(product: Tensor, norms: Tensor) -> Tensor:
    """Cosine of the angle between two inputs; 0 where one of them is zero and the angle is undefined.

    Within rounding of 1 or -1 it is taken for that: an arccos there would blow 1e-16 up to an angle of 1e-8.
    """
    known = norms > 0
    cosine = torch.where(known, product / torch.where(known, norms, 1.0), 0.0)
    return torch.where(1 - cosine.abs() < 1e-14, cosine.sign(), cosine)


def _angle(cosine: Tensor) -> Tensor:
    """arccos, with gradient 0 instead of infinity at its ends.

    There the offset is 0 or the features are opposite whatever the amplitudes, so nothing is lost.
    """
    inside = cosine.abs() < 1
    ends = torch.where(cosine > 0, 0.0, math.pi)
    return torch.where(inside, torch.where(inside, cosine, 0.0).acos(), ends)


def _sine(cosine: Tensor) -> Tensor:
    """The sine that belongs to a cosine of an angle in [0, pi], gradient as `_angle`."""
    inside = cosine.abs() < 1
    return torch.where(inside, (1 - torch.where(inside, cosine, 0.0).square()).sqrt(), 0.0)
