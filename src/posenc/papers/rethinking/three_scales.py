"""Reconstructions with too large, a fitting and too small a sigma: rows and pictures (R-F12 and R-F13)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from posenc.papers.material import Figure, Material
from posenc.papers.reconstructions import draw, first_signals, reconstructions, score, without_pictures
from posenc.papers.scores import divergence_notes, encoding_order, late, psnr_rows
from posenc.reporting import style, tiles

ROWS, PICTURES = "row_reconstructions", "picture_reconstructions"
SHOWN_ROWS = 3
SHOWN_PICTURES = 2


def figure_rows(material: Material) -> Figure:
    """Rows of pictures and what linear models rebuild of them, a column per sigma."""
    records = material.records(ROWS)
    signals, truths = first_signals(records, SHOWN_ROWS), material.truths(ROWS)
    fits = shown_fits(records)
    scores = late(psnr_rows(records, ["train", "all"]))
    by = ["combination", "member", "signal", "split"]
    psnr = scores.groupby(by)["value"].mean()
    plotted = []
    with style.applied():
        figure = style.new_figure(style.TEXT_WIDTH, 0.4 + 1.15 * len(signals))
        panels = figure.subplots(len(signals), 1 + len(fits), sharex=True, sharey=True, squeeze=False)
        for line_of_panels, signal in zip(panels, signals, strict=True):
            truth = truths[signal]
            places = np.arange(len(truth)) / len(truth)
            line_of_panels[0].plot(places, truth, color="black", linewidth=0.7)
            line_of_panels[0].set_ylabel(signal.replace("_row_", "\nrow "), fontsize=style.SMALL)
            plotted.append(pd.DataFrame({"signal": signal, "curve": "truth", "x": places, "value": truth}))
            for axes, (_, fit) in zip(line_of_panels[1:], fits.iterrows(), strict=True):
                key = (fit["combination"], fit["member"], signal)
                if (*key, "all") not in psnr.index:
                    tiles.show_missing(axes, "diverged")
                    continue
                values = material.predictions(ROWS, fit["combination"], fit["member"])[signal]
                axes.plot(places, truth, color="0.7", linewidth=0.7)
                axes.plot(
                    places, values, color=style.encoding_colours([fit["encoding"]])[fit["encoding"]], linewidth=0.7
                )
                tiles.score_inside(axes, f"{psnr[*key, 'train']:.1f} / {psnr[*key, 'all']:.1f} dB")
                plotted.append(pd.DataFrame({"signal": signal, "curve": fit["title"], "x": places, "value": values}))
        panels[0, 0].set_ylim(-0.15, 1.15)  # spikes may go further
        for axes, title in zip(panels[0], ["truth", *fits["title"]], strict=True):
            axes.set_title(title)
        for axes in panels[-1]:
            axes.set_xlabel("x")
    published = material.published[ROWS]
    notes = [
        "Printed: PSNR of the observed points, mean over the last 100 updates, and of all points after the last one,"
        " the observed ones included. Grey: the truth. What goes beyond the panels is cut off.",
        f"published: {published['source']}, {published['unit']}: {three(published, ['train', 'all'])}.",
        *published["notes"],
        *divergence_notes(records, ROWS),
    ]
    return Figure(figure, pd.concat(plotted, ignore_index=True), notes)


def shown_fits(records: pd.DataFrame) -> pd.DataFrame:
    """combination, member, encoding, sigma, title: one fit per encoding and sigma, from large to small, first seed."""
    first = records.sort_values("seed", kind="stable").drop_duplicates(["encoding", "sigma"])
    order = encoding_order(first["encoding"])
    first = first.assign(place=first["encoding"].map(order.index)).sort_values(
        ["place", "sigma"], ascending=[True, False]
    )
    several = len(order) > 1
    titles = [
        (f"{encoding}, " if several else "") + f"σ = {sigma:.4g}"
        for encoding, sigma in zip(first["encoding"], first["sigma"], strict=True)
    ]
    return first.assign(title=titles)[["combination", "member", "encoding", "sigma", "title"]]


def three(published: Mapping[str, Any], names: list[str]) -> str:
    """The published numbers at the three sigmas, in words."""
    return "; ".join(
        f"σ = {found['sigma']:g} " + ", ".join(f"{name} {numbers(found[name])}" for name in names)
        for size in ("large", "middle", "small")
        for found in [published[size]]
    )


def numbers(value: float | list[float]) -> str:
    return " / ".join(f"{number:g}" for number in value) if isinstance(value, list) else f"{value:g}"


def figure_pictures(material: Material) -> Figure:
    """Pictures and what networks rebuild of them, a column per sigma, with the PSNR of held-out pixels."""
    records = material.records(PICTURES)
    signals, truths = first_signals(records, SHOWN_PICTURES), material.truths(PICTURES)
    shown = reconstructions(material, PICTURES, records, signals, "test")
    fits = shown_fits(records)
    with style.applied():
        size = (len(signals), 1 + len(fits), style.TEXT_WIDTH)
        grid = tiles.TileGrid(*size, left=1.2 * tiles.LINE, above=1.3 * tiles.LINE, below=1.1 * tiles.LINE)
        for row, signal in enumerate(signals):
            cells = [grid.tile(row, column) for column in range(1 + len(fits))]
            tiles.show(cells[0], truths[signal])
            tiles.label_left(cells[0], signal)
            for axes, (_, fit) in zip(cells[1:], fits.iterrows(), strict=True):
                one = shown[
                    (shown["combination"] == fit["combination"])
                    & (shown["sigma"] == fit["sigma"])
                    & (shown["signal"] == signal)
                ]
                draw(axes, one)
                tiles.line_below(axes, score(one))
            if row == 0:
                for axes, title in zip(cells, ["truth", *fits["title"]], strict=True):
                    tiles.title_above(axes, title)
    published = material.published[PICTURES]
    notes = [
        f"published: {published['source']}, {published['unit']}: {three(published, ['test'])}.",
        *published["notes"],
        *divergence_notes(records, PICTURES),
    ]
    return Figure(grid.figure, without_pictures(shown), notes)
