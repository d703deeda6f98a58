"""Curves as several artefacts draw them: sweeps of sigma, lines with their spread."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from posenc.reporting import style

PSNR = "PSNR (dB)"
SIGMA_AXES = {"gaussian": "sigma (cycles per unit length)", "positional": "sigma (exponent)"}
TUNING: dict[str, Any] = {"marker": "o", "linestyle": "--", "markerfacecolor": "white"}


def level_lines(axes: Axes, scores: pd.DataFrame, encodings: list[str], colours: dict[str, str]) -> None:
    """Encodings without a sigma as level lines at their mean."""
    for name in encodings:
        for value in scores.loc[scores["encoding"] == name, "mean"]:
            axes.axhline(value, color=colours[name], linestyle=style.encoding_line(name))


def sweep_lines(axes: Axes, scores: pd.DataFrame, colour: str) -> None:
    """One encoding's sweep: report pictures with spread and chosen sigma, tuning pictures dashed."""
    tuning, report = (scores[scores["set"] == name].sort_values("sigma") for name in ("tuning", "report"))
    axes.plot(tuning["sigma"], tuning["mean"], color=colour, **TUNING)
    line_with_spread(axes, "sigma", report, color=colour, marker="o")
    chosen = report[report["chosen"]]
    axes.plot(chosen["sigma"], chosen["mean"], color=colour, marker="*", markersize=11, linestyle="")


def sweep_key(level: list[str], colours: dict[str, str]) -> list[Artist]:
    """The legend of the sweeps; the panels' titles tell their colours, so their lines stand in grey."""
    return [
        Line2D([], [], color="0.2", label="tuning pictures", **TUNING),
        Line2D([], [], color="0.2", marker="o", label="report pictures"),
        Patch(color="0.2", alpha=0.15, linewidth=0, label="± 1 std, levels removed"),
        Line2D([], [], color="0.2", marker="*", markersize=9, linestyle="", label="chosen sigma"),
        *(Line2D([], [], color=colours[name], linestyle=style.encoding_line(name), label=name) for name in level),
    ]


def line_with_spread(axes: Axes, x: str, scores: pd.DataFrame, **look: Any) -> None:
    """The means over column x, with a band of one standard deviation to each side where there is one."""
    axes.plot(scores[x], scores["mean"], **look)
    if "std" in scores:
        low, high = scores["mean"] - scores["std"], scores["mean"] + scores["std"]
        axes.fill_between(scores[x], low, high, color=look["color"], alpha=0.15, linewidth=0)


def number(axes: Axes, values: Iterable[float], most: int = 8) -> None:
    """Ticks at these x values, at most `most` of them with a number."""
    ticks = sorted(set(values))
    every = -(-len(ticks) // most)
    axes.set_xticks(ticks, [f"{tick:g}" if i % every == 0 else "" for i, tick in enumerate(ticks)])
    axes.set_xticks([], minor=True)
