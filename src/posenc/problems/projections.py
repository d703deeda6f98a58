"""Computed tomography: learn a picture from a few of its parallel projections (Tancik et al. 2020, appendix E.3)."""

import math
import warnings
from typing import Any

import torch
from torch import Tensor


class ParallelBeams:
    """Projections of square pictures of `size` pixels at equispaced angles in [0, pi), pi itself excluded.

    As the authors' code (Tancik et al. 2020): for each angle the grid of pixels is turned about the picture's centre, the
    picture is sampled there at the nearest pixel, zero outside, and a projection is the mean over the rows of the turned
    grid, one value per column. The sources say only "about the centre"; here it is the middle between the first and the
    last pixel, (size - 1) / 2. Every sample is one pixel, so all is one sparse matrix, kept with its transpose: both
    products add up in a fixed order, on every device.
    """

    def __init__(self, size: int, angles: int, device: torch.device | None = None) -> None:
        self.size = size
        self.angles = angles
        pixels = nearest_pixels(size, angles)
        inside = pixels >= 0
        rows = torch.arange(angles * size).repeat_interleave(size)[inside.flatten()]
        matrix = torch.sparse_coo_tensor(
            torch.stack([rows, pixels[inside]]),
            torch.full((len(rows),), 1 / size),
            (angles * size, size * size),
            check_invariants=False,
        ).coalesce()  # two samples of a column may share a pixel: added up
        self.matrix = _compressed(matrix, device)
        self.transposed = _compressed(matrix.t().coalesce(), device)

    def project(self, pictures: Tensor) -> Tensor:
        """`(stack, size * size)` pixels, row by row, to `(stack, angles, size)`."""
        projected: Tensor = _Product.apply(pictures, self.matrix, self.transposed)
        return projected.unflatten(-1, (self.angles, self.size))

    def adjoint(self, projections: Tensor) -> Tensor:
        """`(stack, angles, size)` to `(stack, size * size)`: the transpose of `project`."""
        spread: Tensor = _Product.apply(projections.flatten(1), self.transposed, self.matrix)
        return spread


def nearest_pixels(size: int, angles: int) -> Tensor:
    """`(angles, columns, rows)`: the pixel that each point of a turned grid falls on, -1 outside the picture.

    A grid is turned by the angle counterclockwise as seen (rows run downwards), as `skimage.transform.radon` does; pixels are
    counted row by row.
    """
    across = torch.arange(size, dtype=torch.float64) - (size - 1) / 2
    theta = torch.arange(angles, dtype=torch.float64) * (math.pi / angles)
    cosine, sine = theta.cos()[:, None, None], theta.sin()[:, None, None]
    x, y = across[None, :, None], across[None, None, :]
    column, row = (
        (turned + (size - 1) / 2).round().long() for turned in (cosine * x + sine * y, cosine * y - sine * x)
    )
    inside = (column >= 0) & (column < size) & (row >= 0) & (row < size)
    return torch.where(inside, row * size + column, -1)


class _Product(torch.autograd.Function):
    """`(stack, n)` rows times a sparse matrix; the gradient is the product with its transpose.

    Both run in float32 whatever products of the network run in.
    """

    @staticmethod
    def forward(ctx: Any, values: Tensor, matrix: Tensor, transposed: Tensor) -> Tensor:
        ctx.transposed = transposed
        return _multiplied(matrix, values)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:  # type: ignore[override]
        return _multiplied(ctx.transposed, gradient), None, None


def _multiplied(matrix: Tensor, values: Tensor) -> Tensor:
    with torch.autocast(values.device.type, enabled=False):
        return (matrix @ values.float().t().contiguous()).t()


def _compressed(matrix: Tensor, device: torch.device | None) -> Tensor:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that this layout is in beta state
        return matrix.to_sparse_csr().to(device)
