"""The best amplitudes of Fourier features by the theory's own account (Tancik et al. 2020, appendix A.1, Figure 5)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from posenc.theory.kernels import composed_row
from posenc.theory.spectra import circulant_spectrum


@dataclass(frozen=True)
class Ensemble:
    """Random signals on 2 n points, of which every second one is trained on, reduced to what their error needs.

    By Parseval the mean squared error of a linear, shift-invariant prediction is a sum over frequencies, in which the
    signals enter through three numbers per frequency, averaged over the ensemble: so its size costs nothing.
    """

    train: Tensor  # (n,) mean |FFT of the training values|^2
    test: Tensor  # (n,) mean |FFT of the test values|^2
    cross: Tensor  # (n,) complex, mean conj(FFT of the training values) * FFT of the test values

    @staticmethod
    def of(signals: Tensor) -> "Ensemble":
        """Of `(signals, 2 n)` values."""
        train, test = (torch.fft.fft(signals.double()[:, first::2]) for first in (0, 1))
        return Ensemble(train.abs().square().mean(0), test.abs().square().mean(0), (train.conj() * test).mean(0))


def predicted_test_error(amplitudes: Tensor, ensemble: Ensemble, *, depth: int, width: int, time: float) -> Tensor:
    """Mean squared test error at learning rate x steps = `time` from a network that starts at zero output.

    Frequencies are 1, 2, ..., as many as amplitudes. Test points lie half a step from the training points, so the
    kernel between the two is circulant as well: everything is a product of Fourier transforms.
    """
    count = len(ensemble.train)
    here = torch.arange(count, dtype=torch.float64) / count
    frequencies = torch.arange(1, len(amplitudes) + 1, dtype=torch.float64)
    offsets = torch.cat([here, here + 0.5 / count])
    rows = composed_row(amplitudes, frequencies, offsets, depth=depth, width=width).split(count)
    spectrum = circulant_spectrum(rows[0])
    gain = torch.fft.fft(rows[1]) * growth(spectrum, time)
    error = ensemble.test - 2 * (gain.conj() * ensemble.cross).real + gain.abs().square() * ensemble.train
    return error.sum() / count**2


def growth(spectrum: Tensor, time: float) -> Tensor:
    """(1 - exp(-lambda t)) / lambda, and t where lambda is 0."""
    flat = spectrum.abs() <= spectrum.abs().max() * 1e-14
    safe = torch.where(flat, 1.0, spectrum)
    return torch.where(flat, time, -torch.expm1(-safe * time) / safe)


def optimised_amplitudes(
    ensemble: Ensemble, count: int, *, depth: int, width: int, time: float, steps: int, rate: float, seed: int
) -> tuple[Tensor, list[float]]:
    """Amplitudes `(count,)` of the frequencies 1, 2, ..., count that minimise the predicted error, by Adam.

    The start is the basic encoding plus |N(0, 1)| / 1000. Returns them divided by their norm, and the error before
    each step. Their signs mean nothing: the kernel depends on squares.
    """
    generator = torch.Generator().manual_seed(seed)
    noise = 1e-3 * torch.randn(count, generator=generator, dtype=torch.float64).abs()
    amplitudes = (torch.eye(count, dtype=torch.float64)[0] + noise).requires_grad_()
    optimizer = torch.optim.Adam([amplitudes], lr=rate)
    errors = []
    for _ in range(steps):
        optimizer.zero_grad()
        error = predicted_test_error(amplitudes, ensemble, depth=depth, width=width, time=time)
        error.backward()
        optimizer.step()
        errors.append(float(error.detach()))
    found = amplitudes.detach()
    return found.abs() / found.norm(), errors


def best_exponent(exponents: Sequence[float], errors: Sequence[float]) -> float:
    """The exponent with the smallest error."""
    if any(math.isnan(error) for error in errors):
        raise ValueError("an error is not a number")
    return min(zip(errors, exponents, strict=True))[1]
