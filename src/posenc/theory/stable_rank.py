"""Stable rank of encoded points: the sum of the squared singular values of their features over the largest.

It is trace(K) / lambda_max(K) of the Gram matrix K, so no singular value decomposition is needed: the trace is a sum,
the largest eigenvalue comes from a small K itself or from products of a large one with vectors (Lanczos). Where the
features have a structure - a stationary kernel, copies of one function, a grid - those products are Fourier transforms
or go axis by axis, and neither K nor the features are ever made.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import torch
from scipy import fft
from scipy.sparse.linalg import LinearOperator, eigsh
from torch import Tensor

from posenc.encodings.base import Encoding, FourierEncoding
from posenc.encodings.per_axis import PerAxis
from posenc.encodings.shifted import Profile
from posenc.problems.grid import Grid

Vector = np.ndarray
Features = Encoding | Callable[[Tensor], Tensor]

BYTES_KEPT = 1 << 30  # larger features are computed again for every product
BYTES_PER_SLAB = 1 << 26  # of features at once; computing them takes a few times that
DENSE = 1024  # Gram matrices up to this size are made
SMALL = 128  # and up to this size decomposed as they are
LANCZOS_VECTORS = 64
# Residual of the largest eigenvalue, relative to it; of a symmetric matrix it bounds the eigenvalue's error.
TOLERANCE = 1e-6
LONGEST_LINE = 1 << 22  # cells of a grid that points and centres share, at most
FINEST = 4096  # cells between two centres, at most
FOURIER_COST = (
    40  # a cell's part in a product by Fourier transforms, in entries of a product by the features themselves
)


@dataclass(frozen=True)
class Gram:
    """A Gram matrix of features, of points (A A^T) or of features (A^T A): both have the same eigenvalues but zeros."""

    size: int
    trace: float
    times: Callable[[Vector], Vector]


@torch.no_grad()
def stable_rank(features: Features, points: Tensor | Grid, *, dtype: torch.dtype = torch.float64) -> float:
    """Stable rank of the features of points `(n, d)`, or of those of a grid; features are computed in `dtype`.

    Points on a line that are equispaced up to the rounding of their own dtype are taken as equispaced, in float64.
    """
    return rank_of(gram_of(features, points, dtype))


def rank_of_product(ranks: Sequence[float]) -> float:
    """Stable rank of a Kronecker product of codes, from those of its factors: singular values multiply."""
    return math.prod(ranks)


def kronecker_rank(encoding: PerAxis, grid: Grid) -> float:
    """Stable rank on a grid of the Kronecker product of an encoding per axis, which is never made."""
    axes = zip(encoding.encodings, grid.axes, strict=True)
    return rank_of_product([stable_rank(along, axis[:, None]) for along, axis in axes])


def rank_of(gram: Gram) -> float:
    """Trace over largest eigenvalue."""
    if gram.trace == 0:
        raise ValueError("stable rank: all features are zero at these points")
    return gram.trace / largest_eigenvalue(gram)


def largest_eigenvalue(gram: Gram) -> float:
    """The largest eigenvalue, from products with vectors; always the same, for the first vector is."""
    if gram.size <= SMALL:
        columns = [gram.times(unit) for unit in np.eye(gram.size)]
        return float(np.linalg.eigvalsh(np.stack(columns, axis=1))[-1])
    operator = LinearOperator((gram.size, gram.size), matvec=gram.times, dtype=np.float64)
    start = np.random.default_rng(0).standard_normal(gram.size)
    (value,) = eigsh(operator, k=1, which="LA", v0=start, ncv=LANCZOS_VECTORS, tol=TOLERANCE, return_eigenvectors=False)
    return float(value)


def gram_of(features: Features, points: Tensor | Grid, dtype: torch.dtype = torch.float64) -> Gram:
    """The Gram matrix by the cheapest of the ways below."""
    if isinstance(points, Grid):
        if isinstance(features, Encoding) and points.dimensions > 1 and features.axis_columns() is not None:
            return gram_over_axes(features, points, dtype)
        points = points.points()
    line = Line.through(points)
    if line and isinstance(features, FourierEncoding):
        return stationary_gram(features, line, dtype)
    if line and isinstance(features, Profile) and (shared := shared_grid(features, line)) is not None:
        return convolution_gram(features, line, shared)
    return matrix_gram(features, points, dtype)


# Any features


def matrix_gram(features: Features, points: Tensor, dtype: torch.dtype = torch.float64) -> Gram:
    """From the features `(n, m)` themselves, kept where they fit into memory, else slab by slab for every product."""
    width = features(points[:1].to(dtype)).shape[-1]
    row = width * torch.finfo(dtype).bits // 8
    slabs = points.split(max(1, BYTES_PER_SLAB // row))
    if width <= DENSE < len(points):
        parts = (features(slab.to(dtype)) for slab in slabs)
        return dense_gram(sum((part.T @ part for part in parts), torch.zeros(width, width, dtype=dtype)))
    if len(points) * row > BYTES_KEPT:
        return recomputed_gram(features, slabs, width, dtype)
    matrix = torch.empty(len(points), width, dtype=dtype)
    for part, slab in zip(matrix.split(len(slabs[0])), slabs, strict=True):
        part.copy_(features(slab.to(dtype)))
    wide = matrix if len(points) <= width else matrix.T
    if len(wide) <= DENSE:
        return dense_gram(wide @ wide.T)

    def times(vector: Vector) -> Vector:
        return as_array(wide @ (wide.T @ torch.from_numpy(vector).to(dtype)))

    return Gram(len(wide), squares(matrix), times)


def dense_gram(matrix: Tensor) -> Gram:
    """A Gram matrix that is there."""
    entries = as_array(matrix)
    return Gram(len(entries), float(entries.trace()), lambda vector: entries @ vector)


def recomputed_gram(features: Features, slabs: Sequence[Tensor], width: int, dtype: torch.dtype) -> Gram:
    """A^T A `(m, m)`, whose products need the features once."""

    def times(vector: Vector) -> Vector:
        given, total = torch.from_numpy(vector).to(dtype), torch.zeros(width, dtype=dtype)
        for slab in slabs:
            part = features(slab.to(dtype))
            total += part.T @ (part @ given)
        return as_array(total)

    return Gram(width, math.fsum(squares(features(slab.to(dtype))) for slab in slabs), times)


# Equispaced points on a line


@dataclass(frozen=True)
class Line:
    """Points start + i step, i = 0 ... count - 1, each up to `slack`."""

    start: float
    step: float
    count: int
    slack: float

    @classmethod
    def through(cls, points: Tensor) -> "Line | None":
        """The line of points `(n, 1)` that rise in equal steps up to the rounding of their dtype; else None."""
        if points.shape[-1] != 1 or len(points) < 2:
            return None
        places = points[:, 0].double()
        start, end = float(places[0]), float(places[-1])
        line = cls(start, (end - start) / (len(places) - 1), len(places), torch.finfo(points.dtype).eps)
        return line if line.step > 0 and float((places - line.places()).abs().max()) <= line.slack else None

    def places(self) -> Tensor:
        return self.start + self.step * torch.arange(self.count, dtype=torch.float64)


def stationary_gram(encoding: FourierEncoding, line: Line, dtype: torch.dtype = torch.float64) -> Gram:
    """A A^T `(n, n)` of features whose inner products depend on differences alone."""
    # The inner product at k = i fine + j steps is that of points i fine steps ahead and j steps back: one small product
    # of matrices gives the whole row.
    fine = math.isqrt(line.count - 1) + 1
    ahead, back = (torch.arange(fine, dtype=dtype)[:, None] * (line.step * steps) for steps in (fine, -1))
    return toeplitz_gram((encoding(ahead) @ encoding(back).T).flatten()[: line.count])


def toeplitz_gram(row: Tensor) -> Gram:
    """The symmetric Toeplitz matrix `(n, n)` with this first row `(n,)`: a stationary kernel on a line."""
    count = len(row)
    length = fft.next_fast_len(2 * count - 1, real=True)
    # The row and its mirror image around a circle, on which the product is a convolution.
    circle = torch.cat([row, row.new_zeros(length - 2 * count + 1), row[1:].flip(0)])
    spectrum = fft.rfft(as_array(circle))

    def times(vector: Vector) -> Vector:
        return fft.irfft(spectrum * fft.rfft(vector, length), length)[:count]

    return Gram(count, count * float(row[0]), times)


def shared_grid(encoding: Profile, line: Line) -> tuple[int, int] | None:
    """How many cells of a common grid lie between points and between centres; None if convolutions there do not pay."""
    if encoding.in_dim > 1 or min(line.count, encoding.centres) <= DENSE:
        return None
    longest = min(LONGEST_LINE, line.count * encoding.centres // FOURIER_COST)
    for finest in (2**k for k in range(FINEST.bit_length())):
        cells = Fraction(line.step * encoding.centres).limit_denominator(finest)
        off = abs(line.step - cells / encoding.centres) * (line.count - 1)
        if cells > 0 and off <= line.slack:
            length = (line.count - 1) * cells.numerator + (encoding.centres - 1) * cells.denominator
            return (cells.numerator, cells.denominator) if length < longest else None
    return None


def convolution_gram(encoding: Profile, line: Line, shared: tuple[int, int]) -> Gram:
    """The smaller of A A^T and A^T A, A_ij = phi(u_i - t_j): products with A are convolutions on the common grid."""
    stride, gap = shared
    reach = (encoding.centres - 1) * gap
    cells = torch.arange(-reach, (line.count - 1) * stride + 1, dtype=torch.float64)
    profile = (encoding.profile(line.start + cells / (encoding.centres * gap)) / encoding.norm).numpy()
    length = fft.next_fast_len(len(profile), real=True)
    spectrum = fft.rfft(profile, length)
    centres, points = slice(0, reach + 1, gap), slice(reach, len(profile), stride)

    def at_points(of_centres: Vector, spectrum: Vector = spectrum) -> Vector:
        placed = np.zeros(length)
        placed[centres] = of_centres
        return fft.irfft(spectrum * fft.rfft(placed), length)[points]

    def at_centres(of_points: Vector) -> Vector:
        placed = np.zeros(length)
        placed[points] = of_points
        return fft.irfft(spectrum.conj() * fft.rfft(placed), length)[centres]

    total = float(at_points(np.ones(encoding.centres), fft.rfft(profile**2, length)).sum())
    if line.count <= encoding.centres:
        return Gram(line.count, total, lambda vector: at_points(at_centres(vector)))
    return Gram(encoding.centres, total, lambda vector: at_centres(at_points(vector)))


# Grids


def gram_over_axes(encoding: Encoding, grid: Grid, dtype: torch.dtype = torch.float64) -> Gram:
    """A^T A `(m, m)` on a grid, of features that depend on one axis each: products go axis by axis.

    The product of two axes' features, summed over the grid, is one of sums over each axis.
    """
    along, places = axis_features(encoding, grid, dtype)
    beside = [len(grid) / len(features) for features in along]  # points of the grid per coordinate of the axis

    def times(vector: Vector) -> Vector:
        given, product = torch.from_numpy(vector).to(dtype), torch.zeros(encoding.out_dim, dtype=dtype)
        values = [features @ given[columns] for features, columns in zip(along, places, strict=True)]
        means = [value.mean() for value in values]
        for axis, (features, columns) in enumerate(zip(along, places, strict=True)):
            others = sum(means[:axis]) + sum(means[axis + 1 :])
            product[columns] = beside[axis] * (features.T @ (values[axis] + others))
        return as_array(product)

    trace = math.fsum(count * squares(features) for count, features in zip(beside, along, strict=True))
    return Gram(encoding.out_dim, trace, times)


def axis_features(encoding: Encoding, grid: Grid, dtype: torch.dtype) -> tuple[list[Tensor], list[Tensor]]:
    """The features `(n_k, m_k)` of each axis' coordinates that depend on it alone, and their columns `(m_k,)`."""
    columns = encoding.axis_columns()
    assert columns is not None
    along = []
    for axis, (coordinates, own) in enumerate(zip(grid.axes, columns, strict=True)):
        points = torch.zeros(len(coordinates), grid.dimensions, dtype=dtype)
        points[:, axis] = coordinates
        along.append(encoding(points)[:, own].to(dtype))
    return along, columns


# Formulas


def circle_rank(profile: Callable[[Tensor], Tensor], samples: int, centres: int = 1 << 16) -> float:
    """Stable rank of `samples` equispaced points on a circle whose features are one function at very many centres.

    The Gram matrix is circulant; its eigenvalues are the squares of the function's Fourier coefficients, those that the
    points cannot tell apart added up. `profile` gives the function at displacements in [-1/2, 1/2). There are `centres`
    or a few more, so that they divide by `samples`; in the limit of many samples and centres this is ||phi||^2 / max
    |phi_hat|^2 (Zheng et al. 2021).
    """
    count = samples * math.ceil(centres / samples)
    places = torch.arange(count, dtype=torch.float64) / count
    coefficients = torch.fft.fft(profile(places - (places + 0.5).floor()))
    eigenvalues = coefficients.abs().square().reshape(-1, samples).sum(0)
    return float(eigenvalues.sum() / eigenvalues.max())


def gaussian_circle_rank(sigma: float, samples: int) -> float:
    """N / sum_k exp(-k^2 / (4 (sigma N)^2)), k over all integers: `circle_rank` of a narrow Gaussian profile, exactly.

    This is what min(N, 1 / (2 sqrt(pi) sigma)) has a knee for; where the two meet, it is 0.92 of either.
    """
    spread = sigma * samples
    k = torch.arange(1, math.ceil(13 * spread) + 1, dtype=torch.float64)  # beyond, terms are below 1e-18
    return samples / (1 + 2 * float((-k.square() / (4 * spread**2)).exp().sum()))


def squares(features: Tensor) -> float:
    """The sum of the squared entries."""
    return float(features.double().square().sum())


def as_array(vector: Tensor) -> Vector:
    return vector.double().numpy()
