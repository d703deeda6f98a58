"""Random functions on a line whose spectra fall by a power law (Tancik et al. 2020, sections 4 and 5, code)."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from posenc.signals.pictures import SignalError
from posenc.signals.sets import Entry, Proposal
from posenc.signals.stored import Signal

LICENCE = "drawn by this project"

_SEED = 2020


def propose(settings: Any, folder: Path | None) -> Proposal:
    """So many functions per exponent alpha, which is the `condition`; functions of one draw share their source.

    settings: size (points of a period), alpha (a list of exponents), tuning and report (how many of each).
    """
    if not settings.alpha:
        raise SignalError("functions need alpha, the exponents by which their spectra fall: say alpha: [1]")

    def entries(first: int, count: int) -> list[Entry]:
        return [
            {"name": name(alpha, index), "source": f"draw_{index:03d}", "path": "", "condition": f"alpha={alpha:g}"}
            for alpha in settings.alpha
            for index in range(first, first + count)
        ]

    return Proposal("drawn", entries(0, settings.tuning), entries(settings.tuning, settings.report))


def name(alpha: float, index: int) -> str:
    """Of a function: alpha_1.5_draw_003."""
    return f"alpha_{alpha:g}_draw_{index:03d}"


def drawn_as(name: str) -> tuple[float, int]:
    """(alpha, index) of the function with this name."""
    _, alpha, _, index = name.split("_")
    return float(alpha), int(index)


def load_signal(asked: Mapping[str, str], spec: Mapping[str, Any]) -> Signal:
    """`values` `(size,)` float32 in [-0.5, 0.5].

    Each is stretched by its own range, as in Figures 3 and 12, or, with `scaled: jointly`, by the range of all
    functions of its alpha in the set, as in Figures 4 and 5. `band_limited` as of `random_function`.
    """
    alpha, index = drawn_as(asked["name"])
    drawn = [drawn_as(row["name"]) for row in spec["signals"]] if spec.get("scaled") == "jointly" else [(alpha, index)]
    indices = sorted(number for other, number in drawn if other == alpha)
    values = ensemble(tuple(indices), alpha, spec["size"], bool(spec.get("band_limited", False)))
    return Signal({"values": values[indices.index(index)].astype(np.float32)}, LICENCE, "")


@cache
def ensemble(indices: tuple[int, ...], alpha: float, points: int, band_limited: bool) -> np.ndarray:
    """Functions `(len(indices), points)` of one alpha, stretched together."""
    return scaled(np.stack([random_function(index, alpha, points, band_limited) for index in indices]))


def scaled(functions: np.ndarray) -> np.ndarray:
    """Functions stretched to [-0.5, 0.5] by the range of all of them."""
    stretched: np.ndarray = (functions - functions.min()) / (functions.max() - functions.min()) - 0.5
    return stretched


def random_function(index: int, alpha: float, points: int, band_limited: bool = False, stream: int = 0) -> np.ndarray:
    """`(points,)` values of one period: the real part of a falling spectrum of complex normal numbers.

    The numbers depend on index, points and stream alone, so equal indices are pairs over alphas. A band limit leaves
    the frequencies 0 to points / 4 - 1, one-sided, as the authors' code of Figures 3 and 12 does.
    """
    rng = np.random.default_rng([_SEED, stream, index])
    spectrum = rng.standard_normal((points, 2)) @ np.array([1, 1j]) * spectral_decay(points, alpha)
    if band_limited:
        spectrum[points // 4 :] = 0
    return np.fft.ifft(spectrum).real


def spectral_decay(points: int, alpha: float) -> np.ndarray:
    """(1 + |k|)^-alpha of the frequencies 0, 1, ..., -1, `(points,)`."""
    k = np.arange(points)
    decay: np.ndarray = (1.0 + np.minimum(k, points - k)) ** -alpha
    return decay
