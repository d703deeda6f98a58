"""Plane waves at many angles: cos(2 pi (a x + b y)) (Tancik et al. 2020, Figure 11; appendix A.5 and code)."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from posenc.signals.pictures import SignalError
from posenc.signals.sets import Entry, Proposal
from posenc.signals.stored import Signal

LICENCE = "drawn by this project"


def propose(settings: Any, folder: Path | None) -> Proposal:
    """A wave per radius and angle; `condition` is the angle in degrees.

    The source is the wave itself: (a, b) and (-a, -b), as at 0 and 180 degrees, are the same picture.

    settings: radii (cycles per unit length) and angles (how many, from 0 to 180 degrees, both included).
    """
    for name, meaning in (("radii", "cycles per unit length"), ("angles", "how many, from 0 to 180 degrees")):
        if getattr(settings, name) is None:
            raise SignalError(f"sinusoids need {name} ({meaning}); give signals.{name}")
    angles = [180 * index / (settings.angles - 1) for index in range(settings.angles)]
    waves = [
        Entry(name=f"radius_{radius}_angle_{index:02d}", source=wave(radius, angle), path="", condition=f"{angle:g}")
        for radius in settings.radii
        for index, angle in enumerate(angles)
    ]
    return Proposal("drawn", [], waves)


def wave(radius: int, degrees: float) -> str:
    """The name of a picture: its frequencies, the first that is not 0 taken positive."""
    a, b = frequency(radius, degrees)
    a, b = max((a, b), (-a, -b))
    return f"wave_{a}_{b}"


def frequency(radius: int, degrees: float) -> tuple[int, int]:
    """(a, b), whole cycles along x and y: round(r sin t) and round(r cos t), as the authors' code."""
    angle = math.radians(degrees)
    return round(radius * math.sin(angle)), round(radius * math.cos(angle))


def load_signal(asked: Mapping[str, str], spec: Mapping[str, Any]) -> Signal:
    """(size, size, 1) float32 in [-1, 1] on the half-open grid."""
    radius = int(asked["name"].split("_")[1])
    a, b = frequency(radius, float(asked["condition"]))
    x = np.arange(spec["size"]) / spec["size"]
    wave = np.cos(2 * np.pi * (a * x[None, :] + b * x[:, None]))
    return Signal({"values": wave[:, :, None].astype(np.float32)}, LICENCE, "")
