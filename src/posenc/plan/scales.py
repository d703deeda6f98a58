"""Numbers as the planner writes them, and scales stated relative to the training grid."""

import math
from collections.abc import Callable, Mapping
from typing import Any

# From a frequency in cycles per unit length to sigma, by the unit an encoding declares.
SIGMA_OF_FREQUENCY: dict[str, Callable[[float], float]] = {
    "cycles": lambda frequency: frequency,
    "exponent": lambda frequency: math.log2(1 + frequency),
    # 1 / (2 sqrt(pi) sigma) = sqrt(2 pi) frequency (Zheng et al. 2021).
    "length": lambda frequency: 1 / (2 * math.sqrt(2) * math.pi * frequency),
}


def nyquist_per_sample(attributes: Mapping[str, Any], parameters: Mapping[str, Any]) -> float | None:
    """The Nyquist frequency of a problem's observed points, in cycles per unit length for each sample of the side.

    A problem states it (`nyquist`), or names the parameter that says how many samples apart its points are (`spacing`).
    None where it draws its points anywhere.
    """
    if "spacing" in attributes:
        return 0.5 / float(parameters[attributes["spacing"]])
    return attributes.get("nyquist")


def sigma_of_nyquist(fraction: float, nyquist: float, unit: str) -> float:
    """Sigma whose (highest) frequency is `fraction` of the training Nyquist (cycles), to four significant digits.

    A length is that of the Gaussian profile with the stable rank of Gaussian random features of that frequency.
    """
    return float(f"{SIGMA_OF_FREQUENCY[unit](fraction * nyquist):.4g}")


def number(value: float | int) -> str:
    """A number as it stands in paths and labels: the shortest text that reads back the same, without a trailing .0."""
    return repr(value).removesuffix(".0")
