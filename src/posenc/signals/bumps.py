"""One narrow bump at many places of a line (Tancik et al. 2020, Figure 14; appendix C and code)."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from posenc.signals.sets import Entry, Proposal
from posenc.signals.stored import Signal

LICENCE = "drawn by this project"
WIDTH = 0.05  # standard deviation in radians, the line being one turn


def propose(settings: Any, folder: Path | None) -> Proposal:
    """As many bumps as report signals; `condition` is the angle of the centre, from -pi to below pi."""
    entries: list[Entry] = []
    for place in range(settings.report):
        angle = 2 * math.pi * centre(place, settings.report, settings.size) / settings.size - math.pi
        name = f"place_{place:02d}"
        entries.append({"name": name, "source": name, "path": "", "condition": f"{angle:.4f}"})
    return Proposal("drawn", [], entries)


def centre(place: int, places: int, points: int) -> int:
    """The point on which a bump stands."""
    return place * points // places


def load_signal(asked: Mapping[str, str], spec: Mapping[str, Any]) -> Signal:
    """`values` `(size,)` float32: height 1, wrapped around the ends."""
    points = spec["size"]
    place = int(asked["name"].removeprefix("place_"))
    middle = points // 2
    angles = 2 * math.pi * (np.arange(points) - middle) / points
    bump = np.exp(-(angles**2) / (2 * WIDTH**2))
    rolled = np.roll(bump, centre(place, len(spec["signals"]), points) - middle)
    return Signal({"values": rolled.astype(np.float32)}, LICENCE, "")
