"""Scattered points as weighted sums of the points of a virtual grid, for networks that take the axes apart."""

import itertools

import torch
from torch import Tensor

from posenc.encodings.base import Encoding
from posenc.encodings.per_axis import PerAxis
from posenc.networks.inputs import AxisFeatures, Blend


def blend(encoding: PerAxis, points: Tensor, grid: int) -> Blend:
    """Points `(n, d)` in [0, 1]**d, each by the 2**d corners of its cell of a virtual grid (Zheng et al. 2022).

    The grid has `grid` points per axis, both ends included, or where that is 0 as many as the axis has features. Along
    an axis the weights a make a_0 psi(x_0) + a_1 psi(x_1) as similar to both neighbours as psi(x) is,

        D(x_0, x_0) a_0 + D(x_0, x_1) a_1 = D(x_0, x)
        D(x_0, x_1) a_0 + D(x_1, x_1) a_1 = D(x_1, x),

    and are divided by their sum; those of a corner are multiplied over the axes. In float64, kept as float32.
    """
    if not bool(((points >= 0) & (points <= 1)).all()):
        raise ValueError("points cannot be blended outside the virtual grid; give coordinates in [0, 1]")
    counts = [grid or along.out_dim for along in encoding.encodings]
    if min(counts) < 2:
        raise ValueError(f"a virtual grid of {min(counts)} points has no cells; raise grid or features to 2 or more")
    axes = [grid_features(encoding, axis, count, points.device) for axis, count in enumerate(counts)]
    along = [neighbours(encoding.encodings[axis], points[:, axis], count) for axis, count in enumerate(counts)]
    strides = [1, *itertools.accumulate(counts[:-1], int.__mul__)]  # last axis slowest
    corners = torch.zeros(len(points), 1, dtype=torch.int64, device=points.device)
    weights = torch.ones(len(points), 1, dtype=torch.float64, device=points.device)
    for (first, pair), stride in zip(along, strides, strict=True):
        places = stride * torch.stack([first, first + 1], dim=1)
        corners = (corners[:, None] + places[:, :, None]).flatten(1)
        weights = (weights[:, None] * pair[:, :, None]).flatten(1)
    return Blend(axes, corners, weights.float())


def grid_features(encoding: PerAxis, axis: int, count: int, device: torch.device) -> AxisFeatures:
    """Features of `count` equispaced coordinates of an axis, from 0 to 1."""
    coordinates = torch.linspace(0, 1, count, dtype=torch.float64).float().to(device)
    return AxisFeatures(encoding.encodings[axis](coordinates[:, None]), encoding.axis_columns()[axis].to(device))


def neighbours(encoding: Encoding, coordinates: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The grid point `(n,)` at or below each coordinate `(n,)`, and the weights `(n, 2)` of it and the next."""
    places = coordinates.double() * (count - 1)
    first = places.floor().clamp(0, count - 2)
    x, left, right = coordinates.double(), first / (count - 1), (first + 1) / (count - 1)
    d00, d01, d11 = (similarity(encoding, *pair) for pair in ((left, left), (left, right), (right, right)))
    d0x, d1x = similarity(encoding, left, x), similarity(encoding, right, x)
    determinant = d00 * d11 - d01 * d01
    pair = torch.stack([d11 * d0x - d01 * d1x, d00 * d1x - d01 * d0x], dim=1) / determinant[:, None]
    weights = pair / pair.sum(dim=1, keepdim=True)
    if not bool(weights.isfinite().all()):
        raise ValueError(
            f"points cannot be blended on a grid of {count} points per axis: the encoding does not tell neighbours"
            " apart, or is not similar to any; change grid or sigma"
        )
    return first.long(), weights


def similarity(encoding: Encoding, a: Tensor, b: Tensor) -> Tensor:
    """D(a, b) of coordinates `(n,)` each, in float64: by the encoding's formula, or else its features' products."""
    closed = encoding.closed_similarity(b - a)
    if closed is not None:
        return closed
    return (encoding(a[:, None]).double() * encoding(b[:, None]).double()).sum(dim=-1)
