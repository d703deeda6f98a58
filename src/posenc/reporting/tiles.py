"""Pictures side by side: square tiles on an exact grid, so that rows and columns line up to the point."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from posenc.reporting.style import SMALL

LINE = 0.16  # inches a line of text needs
GAP = 0.05  # inches between tiles


class TileGrid:
    """A figure with room for rows x columns square tiles."""

    def __init__(
        self, rows: int, columns: int, width: float, left: float = 0.0, above: float = 0.0, below: float = 0.0
    ) -> None:
        """Make an empty figure; all in inches.

        `width` of the figure; `left` free beside the rows, `above` over the first row, `below` under each.
        """
        self.side = (width - left - GAP * (columns - 1)) / columns
        self.width = width
        self.height = above + rows * (self.side + below) + GAP * (rows - 1)
        self.left, self.above, self.below = left, above, below
        self.figure = Figure(figsize=(self.width, self.height))

    def tile(self, row: int, column: int, span: int = 1) -> Axes:
        """Empty axes over span x span cells, of which this is the upper left one."""
        side = span * self.side + (span - 1) * GAP
        x = self.left + column * (self.side + GAP)
        y = self.height - self.above - row * (self.side + self.below + GAP) - side
        box = (x / self.width, y / self.height, side / self.width, side / self.height)
        axes = self.figure.add_axes(box, xticks=[], yticks=[])
        axes.grid(False)
        for spine in axes.spines.values():
            spine.set_visible(False)
        return axes


def show(axes: Axes, picture: np.ndarray) -> None:
    """Show (H, W, 3), or (H, W) and (H, W, 1) in grey, clipped to [0, 1] for the eye only."""
    axes.imshow(np.clip(picture, 0.0, 1.0), interpolation="nearest", cmap="gray", vmin=0, vmax=1)


def coloured_normals(normals: np.ndarray) -> np.ndarray:
    """(H, W, 3) colours of unit normals, from -1 as 0 to 1 as 1 on each axis; white where there is none."""
    seen = normals.any(axis=-1, keepdims=True)
    colours: np.ndarray = np.where(seen, 0.5 * normals.astype(np.float32) + 0.5, 1.0)
    return colours


def show_missing(axes: Axes, reason: str) -> None:
    """A grey tile that says why there is no picture."""
    axes.set_facecolor("0.87")
    axes.text(0.5, 0.5, reason, ha="center", va="center", color="0.3", transform=axes.transAxes)


def score_inside(axes: Axes, text: str) -> None:
    """Print a score into the lower left corner, readable on any picture."""
    box = {"boxstyle": "square,pad=0.25", "facecolor": "black", "alpha": 0.65, "linewidth": 0}
    axes.text(0.035, 0.035, text, color="white", fontsize=SMALL, bbox=box, transform=axes.transAxes)


def title_above(axes: Axes, text: str) -> None:
    """A heading centred over a tile."""
    axes.set_title(text, pad=3)


def label_left(axes: Axes, text: str) -> None:
    """A row label along the left edge of a tile."""
    axes.set_ylabel(text, fontsize=7, labelpad=3)


def line_below(axes: Axes, text: str, bold: bool = False) -> None:
    """A line of text centred under a tile."""
    axes.set_xlabel(text, fontsize=7, labelpad=2, fontweight="bold" if bold else "normal")
