"""Numbers as the planner writes them, and scales stated relative to the training grid."""

import math
from collections.abc import Callable

# From a frequency in cycles per unit length to sigma, by the unit an encoding declares.
SIGMA_OF_FREQUENCY: dict[str, Callable[[float], float]] = {
    "cycles": lambda frequency: frequency,
    "exponent": lambda frequency: math.log2(1 + frequency),
}


def training_nyquist(size: int) -> float:
    """Nyquist frequency of every second pixel of a picture of side `size`, in cycles per unit length."""
    return size / 4


def sigma_of_nyquist(fraction: float, size: int, unit: str) -> float:
    """Sigma whose (highest) frequency is `fraction` of the training Nyquist, to four significant digits."""
    return float(f"{SIGMA_OF_FREQUENCY[unit](fraction * training_nyquist(size)):.4g}")


def number(value: float | int) -> str:
    """A number as it stands in paths and labels: the shortest text that reads back the same, without a trailing .0."""
    return repr(value).removesuffix(".0")
