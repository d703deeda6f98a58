"""One look for all figures: sizes that fit a two-column page, colours the colour-blind can tell apart.

Figures are made without pyplot: no window system, no global state; the canvas (Agg, PDF) comes with saving.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.typing import LineStyleType

COLUMN_WIDTH = 3.4  # inches, one column of a two-column page
TEXT_WIDTH = 7.0  # inches, both columns
SMALL = 6.5  # points: numbers in tiles, notes

_PALETTE = sns.color_palette("colorblind").as_hex()
# One colour per encoding in every figure of every paper.
ENCODING_COLOURS = {
    "none": _PALETTE[7],
    "basic": _PALETTE[1],
    "positional": _PALETTE[2],
    "gaussian": _PALETTE[0],
}
_SPARE_COLOURS = [colour for colour in _PALETTE if colour not in ENCODING_COLOURS.values()]
# Lines differ in black and white too.
_ENCODING_LINES: dict[str, LineStyleType] = {"none": ":", "basic": "-.", "positional": "--"}
MARKERS = ["o", "s", "^", "D", "v", "P"]


def encoding_colours(names: Iterable[str]) -> dict[str, str]:
    """A colour per encoding: its own where it has one, else a spare one, given out by name."""
    others = sorted(set(names) - set(ENCODING_COLOURS))
    spare = {name: _SPARE_COLOURS[i % len(_SPARE_COLOURS)] for i, name in enumerate(others)}
    return {name: ENCODING_COLOURS.get(name) or spare[name] for name in names}


def encoding_line(name: str) -> LineStyleType:
    """The line of an encoding that keeps its line in every figure."""
    return _ENCODING_LINES.get(name, "-")


def parameters() -> dict[str, Any]:
    """The matplotlib settings of this style; DejaVu Sans comes with matplotlib, so letters are alike anywhere."""
    return {
        **sns.axes_style("ticks"),
        "font.family": "DejaVu Sans",
        "mathtext.fontset": "dejavusans",
        "font.size": 8,
        "axes.titlesize": 8,
        "axes.labelsize": 8,
        "xtick.labelsize": 7,
        "ytick.labelsize": 7,
        "legend.fontsize": 7,
        "legend.frameon": False,
        "axes.linewidth": 0.6,
        "axes.grid": True,
        "axes.axisbelow": True,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "grid.linewidth": 0.4,
        "grid.color": "0.9",
        "xtick.major.width": 0.6,
        "ytick.major.width": 0.6,
        "xtick.major.size": 3,
        "ytick.major.size": 3,
        "lines.linewidth": 1.3,
        "lines.markersize": 3.5,
        "pdf.fonttype": 42,  # TrueType, which journals ask for
    }


@contextmanager
def applied() -> Iterator[None]:
    """Draw and save inside this."""
    with mpl.rc_context(parameters()):  # type: ignore[arg-type]  # keys are literals there
        yield


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of this many inches whose panels arrange themselves."""
    return Figure(figsize=(width, height), layout="constrained")


def ordered_colours(count: int) -> list[str]:
    """Colours from dark to light for the values of an ordered setting, such as depth."""
    return sns.color_palette("viridis", count + 1).as_hex()[:count]
