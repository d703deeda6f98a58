"""Shapes: Table 4 and Figure 16.

Scores are IoU of points uniform in the bounding box and of points near the surface. Means and deviations run over
report meshes, after the mean over seeds.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from posenc.papers.material import Column, Figure, Material, Table
from posenc.papers.reconstructions import first_signals
from posenc.papers.scores import (
    ENCODINGS,
    chosen_sigma,
    divergence_notes,
    encoding_order,
    is_of_diverged_fit,
    metric_rows,
    signal_means,
    summary,
    with_variants_named,
)
from posenc.reporting import style, tiles

EXPERIMENT = "shapes"
SPLITS = {"uniform": "uniform points", "boundary": "boundary points"}
FORMATS = {"mean": ".3f", "std": ".3f", "sigma": ".4g", "n": ".0f"}
MOST_SHOWN = 4  # meshes in Figure 16, as published


def table_4(material: Material) -> Table:
    """IoU of uniform and of boundary points: published, this run, and a reference run if there is one."""
    published = material.published["table_4"]
    records = with_variants_named(material.records(EXPERIMENT))
    runs = {material.run_title: records}
    reference = material.reference(EXPERIMENT)
    if reference is not None:
        runs[material.reference_title([EXPERIMENT])] = with_variants_named(reference)
    rows = encoding_order({*ENCODINGS, *(name for found in runs.values() for name in found["encoding"])})
    columns: dict[Column, pd.Series] = {}
    formats: dict[Column, str] = {}
    for split, heading in SPLITS.items():
        frames = {"published": pd.DataFrame(published[split], dtype=float).T}
        frames |= {title: chosen_summary(found, split) for title, found in runs.items()}
        for title, frame in frames.items():
            for statistic, spec in FORMATS.items():
                if statistic in frame:
                    columns[heading, title, statistic] = frame[statistic].reindex(rows)
                    formats[heading, title, statistic] = spec
    sigmas = ", ".join(f"{name} {sigma}" for name, sigma in published["sigma"].items() if isinstance(sigma, int))
    notes = [
        "IoU: points that are inside both over points that are inside either; mean and std (divisor n) over the n"
        " report meshes, seeds averaged first.",
        "Boundary points lie about 0.01 from the surface, in units of the cube that holds the mesh.",
        "sigma: gaussian in cycles per unit length, positional an exponent; chosen on the tuning meshes by the IoU of"
        " boundary points.",
        f"published: {published['source']}, one seed, 3 meshes. Its sigma, from the authors' code: {sigmas}.",
        *run_notes(records, material.preset),
    ]
    return Table(pd.DataFrame(columns, index=pd.Index(rows, name="encoding")), formats, notes)


def chosen_summary(records: pd.DataFrame, split: str) -> pd.DataFrame:
    """mean, std, sigma, n per encoding (the index): report set, chosen sigma, reported step."""
    rows = metric_rows(records[records["chosen"] & records["final"]], "iou", [split])
    frame = summary(signal_means(rows, ["encoding"]), ["encoding"]).set_index("encoding")
    return frame.assign(sigma=[chosen_sigma(records, name) for name in frame.index])


def run_notes(records: pd.DataFrame, preset: str) -> list[str]:
    """What this run lacks: encodings, chosen sigmas, fits that diverged."""
    chosen = records[records["chosen"]]
    absent = [name for name in ENCODINGS if name not in set(records["encoding"])]
    unchosen = [name for name in encoding_order(records["encoding"]) if name not in set(chosen["encoding"])]
    notes = [f"{EXPERIMENT}: not fitted at preset {preset}: {', '.join(absent)}."] if absent else []
    notes += [f"{EXPERIMENT}: no sigma could be chosen for {', '.join(unchosen)}."] if unchosen else []
    return [*notes, *divergence_notes(chosen, EXPERIMENT)]


def figure_16(material: Material) -> Figure:
    """Normal maps of report meshes beside those of their fits, each encoding at its chosen sigma; in each its IoU."""
    records = with_variants_named(material.records(EXPERIMENT))
    signals = first_signals(records, MOST_SHOWN)
    truths = {name: arrays["normals"] for name, arrays in material.signals(EXPERIMENT).items()}
    maps = material.measures("shape_normals")
    plotted = fits_shown(records, signals)
    encodings = encoding_order(plotted["encoding"])
    with style.applied():
        grid = tiles.TileGrid(
            len(signals), 1 + len(encodings), style.TEXT_WIDTH, left=1.2 * tiles.LINE, above=1.3 * tiles.LINE
        )
        for row, signal in enumerate(signals):
            cells = [grid.tile(row, column) for column in range(1 + len(encodings))]
            tiles.show(cells[0], tiles.coloured_normals(truths[signal]))
            tiles.label_left(cells[0], signal)
            for axes, encoding in zip(cells[1:], encodings, strict=True):
                draw(axes, plotted[(plotted["signal"] == signal) & (plotted["encoding"] == encoding)], maps)
            if row == 0:
                for axes, title in zip(cells, ["truth", *encodings], strict=True):
                    tiles.title_above(axes, title)
    return Figure(grid.figure, plotted, divergence_notes(records[records["chosen"]], EXPERIMENT))


def fits_shown(records: pd.DataFrame, signals: list[str]) -> pd.DataFrame:
    """A row per encoding and signal: the fit at the chosen sigma, of the first seed; `iou` near the surface."""
    chosen = records[records["chosen"] & records["signal"].isin(signals)]
    rows = chosen[chosen["final"] & (chosen["metric"] == "iou") & (chosen["split"] == "boundary")]
    rows = rows.assign(diverged=is_of_diverged_fit(chosen)).sort_values("seed", kind="stable")
    first = rows.drop_duplicates(["encoding", "signal"])
    first = first.assign(
        iou=first["value"].mask(first["diverged"]), status=np.where(first["diverged"], "diverged", "ok")
    )
    columns = ["signal", "encoding", "sigma", "seed", "combination", "split", "iou", "status"]
    return first[columns].reset_index(drop=True)


def draw(axes: Axes, fit: pd.DataFrame, maps: dict[str, np.ndarray]) -> None:
    """The normal map of the one fit with its IoU, or the word that it diverged."""
    if fit["status"].item() == "diverged":
        tiles.show_missing(axes, "diverged")
        return
    tiles.show(axes, tiles.coloured_normals(maps[f"{fit['combination'].item()}/{fit['signal'].item()}"]))
    tiles.score_inside(axes, f"{fit['iou'].item():.3f}")
