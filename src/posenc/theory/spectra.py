"""Spectra of kernels, and how far a kernel is from depending on differences alone."""

import torch
from torch import Tensor


def circulant(row: Tensor) -> Tensor:
    """The circulant matrix `(n, n)` with entry row[(i - j) mod n]: a stationary kernel on a full period."""
    places = torch.arange(len(row))
    return row[(places[:, None] - places) % len(row)]


def circulant_spectrum(row: Tensor) -> Tensor:
    """Eigenvalues `(n,)` of a symmetric circulant matrix by frequency (0, 1, ..., -1), from its first row.

    Frequency k's eigenvectors are the cosine and sine of k cycles, so k and n - k share an eigenvalue.
    """
    return torch.fft.fft(row.double()).real


def matrix_spectrum(matrix: Tensor) -> Tensor:
    """Eigenvalues `(n,)` of a symmetric matrix, falling."""
    return torch.linalg.eigvalsh(matrix.double()).flip(0)


def shift_deviation(matrix: Tensor) -> float:
    """The largest change of an entry when both points move by the same number of steps, over the largest entry.

    0 for a stationary kernel on equispaced points. Points are not wrapped around.
    """
    size = len(matrix)
    ranges = [float(torch.diagonal(matrix, place).max() - torch.diagonal(matrix, place).min()) for place in range(size)]
    return max(ranges) / float(matrix.abs().max())


def condition_number(eigenvalues: Tensor) -> float:
    """Largest over smallest eigenvalue in magnitude; infinite where the smallest is zero up to rounding of float64."""
    sizes = eigenvalues.abs()
    rounding = len(eigenvalues) * torch.finfo(torch.float64).eps * float(sizes.max())
    smallest = float(sizes.min())
    return float("inf") if smallest <= rounding else float(sizes.max()) / smallest


def log_log_slope(spectrum: Tensor, last: int) -> float:
    """Least-squares slope of log lambda_k against log k for k = 1..last: how fast a spectrum falls."""
    k = torch.arange(1, last + 1, dtype=torch.float64).log()
    level = spectrum[1 : last + 1].double().log()
    k = k - k.mean()
    return float((k * level).sum() / k.square().sum())


def half_width(spectrum: Tensor, level: float) -> int:
    """The largest frequency up to which a spectrum stays above `level` of its value at 0."""
    above = spectrum[: len(spectrum) // 2 + 1] > level * spectrum[0]
    below = torch.nonzero(~above).flatten()
    return (int(below[0]) if len(below) else len(above)) - 1
