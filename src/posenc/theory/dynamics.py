"""Training by gradient descent as kernel regression: what a network of fixed tangent kernel would give.

The loss is half the sum of squares of the residuals, as the authors train their 1D networks; with a mean the kernel
would have to be divided by the number of targets. In the eigenbasis of the kernel the residual along eigenvector i
is multiplied by exp(-t lambda_i), t being learning rate times steps (Tancik et al. 2020, eq. 4), or in discrete steps
by (1 - rate lambda_i)^steps, which is stable for a rate below 2 / lambda_max.
"""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class KernelRegression:
    """Gradient descent on `.5 ||A f - b||^2` where f moves by the kernel; A is the identity unless given.

    eigenvalues `(n,)` and eigenvectors `(n, n)` are those of A K A^T, which has the nonzero spectrum of K A^T A
    (Tancik et al. 2020, appendix D). `elsewhere` `(m, n)` is K* A^T, the kernel between places asked and observed.
    """

    eigenvalues: Tensor
    eigenvectors: Tensor
    elsewhere: Tensor

    def residuals(self, start: Tensor, rate: float, steps: Tensor, *, discrete: bool = False) -> Tensor:
        """Residuals A f - b after so many steps, `(signals, times, n)`, from those at the start `(signals, n)`."""
        times = steps.double()[:, None]
        decay = (1 - rate * self.eigenvalues) ** times if discrete else torch.exp(-rate * times * self.eigenvalues)
        parts = start.double() @ self.eigenvectors
        return (parts[:, None] * decay) @ self.eigenvectors.T

    def outputs(self, initial: Tensor, start: Tensor, rate: float, steps: Tensor, *, discrete: bool = False) -> Tensor:
        """f elsewhere after so many steps, `(signals, times, m)`.

        initial: f there before training `(signals, m)`. start: residuals at the start `(signals, n)`. Where the paper
        has the inverse of the kernel, here is (1 - decay) / lambda, which has a limit where lambda is 0.
        """
        times = steps.double()[:, None]
        if discrete:
            learnt = 1 - (1 - rate * self.eigenvalues) ** times
        else:
            learnt = -torch.expm1(-rate * times * self.eigenvalues)
        flat = self.eigenvalues <= 1e-14 * self.eigenvalues.max()
        grown = torch.where(flat, rate * times, learnt / torch.where(flat, 1.0, self.eigenvalues))
        parts = (start.double() @ self.eigenvectors)[:, None] * grown
        return initial.double()[:, None] - parts @ (self.elsewhere @ self.eigenvectors).T


def kernel_regression(observed: Tensor, elsewhere: Tensor, operator: Tensor | None = None) -> KernelRegression:
    """From the kernel at the observed places `(n, n)` and between others and them `(m, n)`; operator A `(r, n)`."""
    observed, elsewhere = observed.double(), elsewhere.double()
    if operator is not None:
        operator = operator.double()
        observed, elsewhere = operator @ observed @ operator.T, elsewhere @ operator.T
    eigenvalues, eigenvectors = torch.linalg.eigh((observed + observed.T) / 2)
    return KernelRegression(eigenvalues.clamp(min=0), eigenvectors, elsewhere)


def largest_stable_rate(eigenvalues: Tensor) -> float:
    """The learning rate from which on gradient descent diverges."""
    return 2 / float(eigenvalues.max())


def mean_squares(residuals: Tensor) -> Tensor:
    """Mean squared error over the last axis."""
    return residuals.square().mean(-1)


def residual_magnitudes(residuals: Tensor, bins: list[int]) -> Tensor:
    """|FFT| of residuals `(..., n)` on equispaced points at some frequencies, `(..., len(bins))`, not normalised."""
    return torch.fft.fft(residuals.double()).abs()[..., bins]


def published_construction(
    regression: KernelRegression, outputs: Tensor, residuals: Tensor, rate: float, steps: Tensor
) -> tuple[Tensor, Tensor]:
    """The dashed "theory" curves of Figures 3 and 12 as the authors' notebook makes them; they are no predictions.

    But for `none`: the notebook leaves that encoding's test points uncentred, which is a mistake, and we do not.
    At each logged step i the solver starts from what the *trained network* gives at that step, not at step 0, and goes
    on for rate * i; its loss being a mean, the kernel is divided by the number n of training points, so it goes on for
    1 / n of that time. So the curve is the observed one, moved a little.

    outputs `(signals, times, m)` of the network elsewhere and its residuals `(signals, times, n)`, at `steps`
    `(times,)`. Returns outputs elsewhere and residuals in the same shapes.
    """
    slower = rate / residuals.shape[-1]
    moved, left = [], []
    for i in range(len(steps)):
        here = steps[i : i + 1]
        moved.append(regression.outputs(outputs[:, i], residuals[:, i], slower, here))
        left.append(regression.residuals(residuals[:, i], slower, here))
    return torch.cat(moved, dim=1), torch.cat(left, dim=1)
