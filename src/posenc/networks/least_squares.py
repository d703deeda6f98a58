"""Minimum-norm least squares, for networks that are linear in their weights."""

import torch
from torch import Tensor


def minimum_norm(matrix: Tensor, targets: Tensor) -> Tensor:
    """The `(p, k)` of least norm among those that come closest to `matrix @ solution = targets`, in float64.

    matrix `(n, p)`, targets `(n, k)`. Features, weights and predictions are float32, so singular values below its
    rounding, max(n, p) eps of the largest, count as zero: the cutoff that LAPACK's solvers, and with them the authors'
    `torch.linalg.lstsq`, have for float32. A QR factorisation leaves a small square problem without squaring its
    condition, as a Gram matrix would.
    """
    matrix, targets = matrix.double(), targets.double()
    cutoff = max(matrix.shape) * torch.finfo(torch.float32).eps
    wide = matrix.shape[1] > matrix.shape[0]
    q, r = torch.linalg.qr(matrix.T if wide else matrix)
    inverse = torch.linalg.pinv(r, rtol=cutoff)
    return q @ (inverse.T @ targets) if wide else inverse @ (q.T @ targets)
