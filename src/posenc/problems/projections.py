"""Computed tomography: learn a picture from a few of its parallel projections (Tancik et al. 2020, appendix E.3)."""

import math
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from posenc.parameters import Count
from posenc.problems.grid import Grid, half_open
from posenc.problems.score import Predict, Score, psnr


class Projections:
    """Pictures `values` `(signals, size, size, 1)` in [0, 1], of which `angles` projections are observed.

    At every update the networks are asked for all pixels, at half-open coordinates (x, y) in [0, 1)**2, and what they
    give is projected as the data was (`ParallelBeams`). Scored is the picture itself, split `all`: PSNR with peak 1,
    the prediction clipped to [0, 1], as in the authors' code. The paper has 20 angles for 512 pixels.
    """

    name = "projections"
    takes = ("phantoms", "brain_slices")  # kinds of signals
    output = "sigmoid"
    dimensions = 2
    channels = 1
    nyquist = 0.5  # of the pixels, all of which are asked for, in cycles per unit length, for each pixel of the side
    chosen_by = ("psnr", "all")
    fixed = True
    together = True

    def __init__(self, arrays: Mapping[str, Tensor], *, angles: Count) -> None:
        pictures = arrays["values"]
        height, width, channels = pictures.shape[1:]
        if height != width or channels != 1:
            raise ValueError(
                f"pictures of {height} x {width} x {channels}: projections take square ones of one channel"
            )
        self.picture_shape = (height, width, 1)
        self.pictures = pictures.flatten(2).flatten(1)
        self.grid = Grid((half_open(width), half_open(height)))
        self.beams = ParallelBeams(width, angles, pictures.device)
        self.observed = self.beams.project(self.pictures)

    def inputs(self, step: int) -> Grid:
        return self.grid

    def loss(self, values: Tensor, step: int) -> Tensor:
        """Half the mean squared error of each signal's projections, `(signals,)`."""
        return 0.5 * (self.beams.project(values.flatten(1)) - self.observed).square().mean(dim=(1, 2))

    def scores(self, predict: Predict, last: bool) -> Iterator[Score]:
        """PSNR of each whole picture."""
        yield Score("psnr", "all", psnr(predict(self.grid).flatten(1).clamp(0, 1), self.pictures))

    def shown(self, predict: Predict) -> dict[str, Tensor]:
        """The predicted picture `(signals, size, size, 1)`, as float16."""
        predicted = predict(self.grid)
        return {"": predicted.reshape(len(predicted), *self.picture_shape).half()}


class ParallelBeams:
    """Projections of square pictures of `size` pixels at equispaced angles in [0, pi), pi itself excluded.

    As the authors' code (Tancik et al. 2020): for each angle the grid of pixels is turned about the picture's centre,
    the picture is sampled there at the nearest pixel, zero outside, and a projection is the mean over the rows of the
    turned grid, one value per column. The sources say only "about the centre"; here it is the middle between the first
    and the last pixel, (size - 1) / 2. Every sample is one pixel, so all is one sparse matrix, kept with its transpose:
    on a CPU both products add up in a fixed order.
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

    A grid is turned by the angle counterclockwise as seen (rows run downwards), as `skimage.transform.radon` does;
    pixels are counted row by row.
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
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        return _multiplied(ctx.transposed, gradient), None, None


def _multiplied(matrix: Tensor, values: Tensor) -> Tensor:
    with torch.autocast(values.device.type, enabled=False):
        return (matrix @ values.float().t().contiguous()).t()


def _compressed(matrix: Tensor, device: torch.device | None) -> Tensor:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that this layout is in beta state
        return matrix.to_sparse_csr().to(device)
