"""CT and MRI: Tables 5 and 6, Figures 17 and 18, and the sweeps of sigma behind them.

Scores are PSNR in dB over the whole picture or volume, predictions clipped to [0, 1]. Means and deviations run over
report signals, after the mean over seeds. Beside the four encodings stands the authors' baseline without a network, the
voxel grid; it comes from experiments of its own and from the authors' notebooks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from posenc.papers.curves import PSNR, SIGMA_AXES, level_lines, number, sweep_key, sweep_lines
from posenc.papers.material import Column, Figure, Material, Table
from posenc.papers.reconstructions import draw_scored, first_signals, reconstructions, without_pictures
from posenc.papers.scores import (
    ENCODINGS,
    base_encoding,
    chosen_summary,
    divergence_notes,
    encoding_order,
    framed,
    psnr_rows,
    signal_means,
    source_summary,
    with_variants_named,
    without_levels,
)
from posenc.reporting import style, tiles

VOXELS = "voxel grid"
LABEL_LETTERS = 20  # that fit beside a tile


class Data(NamedTuple):
    """A kind of signal of a table: its heading there, and where its numbers stand."""

    label: str
    published: str  # group and key: "table_5.shepp"
    notebook: str  # the same, of the authors' notebook; "" where its output is not known
    experiment: str

    @property
    def voxels(self) -> str:
        return f"{self.experiment}_voxels"


CT = [
    Data("Shepp", "table_5.shepp", "ct_notebook.shepp", "ct_shepp"),
    Data("ATLAS", "table_5.atlas", "", "ct_brain"),
]
MRI = [Data("ATLAS", "table_6.atlas", "mri_notebook.atlas", "mri_brain")]


# Tables


def table_5(material: Material) -> Table:
    """2D CT: PSNR on phantoms and on slices of brains."""
    return table(
        material,
        CT,
        "published: {source}, one seed, 8 pictures of 512 x 512, 20 angles; the ATLAS slices are of one scan.",
    )


def table_6(material: Material) -> Table:
    """3D MRI: PSNR on volumes of brains."""
    return table(material, MRI, "published: {source}, one seed, 6 volumes of 96 x 96 x 96.")


def table(material: Material, data: Sequence[Data], origin: str) -> Table:
    """Published numbers, the authors' notebooks', this run's, and a reference run's where there is one."""
    runs = {kind.experiment: run_summaries(material, kind) for kind in data}
    fitted = {name for run in runs.values() for frame in run.values() for name in frame.index}
    rows = [*encoding_order({*ENCODINGS, *fitted} - {VOXELS}), VOXELS]
    columns: dict[Column, pd.Series] = {}
    formats: dict[Column, str] = {}
    for kind in data:
        frames = {"published": pd.DataFrame(looked_up(material.published, kind.published), dtype=float).T}
        if kind.notebook:
            outputs = looked_up(material.published, kind.notebook).items()
            means = {name.replace("_", " "): value for name, value in outputs if isinstance(value, float)}
            frames["published, notebook"] = pd.DataFrame({"mean": means})
        for title, frame in (frames | runs[kind.experiment]).items():
            for statistic, spec in {"mean": ".2f", "std": ".2f", "sigma": ".4g", "n": ".0f"}.items():
                if statistic in frame:
                    columns[kind.label, title, statistic] = frame[statistic].reindex(rows)
                    formats[kind.label, title, statistic] = spec
    group = material.published[data[0].published.split(".")[0]]
    sigmas = "; ".join(
        f"{kind.label} {', '.join(f'{name} {sigma}' for name, sigma in group['sigma'][key].items())}"
        for kind in data
        for key in [kind.published.split(".")[1]]
    )
    notes = [
        "PSNR in dB over the whole signal, predictions clipped to [0, 1]; mean and std (divisor n) over the n report"
        " signals, seeds averaged first.",
        "sigma: gaussian in cycles per unit length, positional an exponent; chosen on the tuning signals.",
        f"{VOXELS}: no network, every pixel or voxel is a parameter; in the authors' notebooks, not in the paper.",
        f"{origin.format(source=group['source'])} Its sigma: {sigmas}.",
        *(note for kind in data for note in run_notes(material, kind)),
    ]
    return Table(framed(columns, rows), formats, notes)


def looked_up(published: Mapping[str, Any], path: str) -> Mapping[str, Any]:
    """The entry at group.key."""
    group, key = path.split(".")
    found: Mapping[str, Any] = published[group][key]
    return found


def run_summaries(material: Material, kind: Data) -> dict[str, pd.DataFrame]:
    """Heading -> mean, std, sigma, n per row: of this run, and of the reference run where there is one."""
    runs = {material.run_title: with_voxels(material.records(kind.experiment), material.records(kind.voxels))}
    committed = material.reference(kind.experiment)
    if committed is not None:
        runs[material.reference_title([kind.experiment])] = with_voxels(committed, material.reference(kind.voxels))
    return runs


def with_voxels(records: pd.DataFrame, voxels: pd.DataFrame | None) -> pd.DataFrame:
    """The summary of an experiment's encodings, and of the voxel grid as a further row."""
    frames = [chosen_summary(with_variants_named(records), "all")]
    if voxels is not None:
        frames.append(chosen_summary(voxels.assign(encoding=VOXELS), "all"))
    return pd.concat(frames)


def run_notes(material: Material, kind: Data) -> list[str]:
    """What this run lacks: chosen sigmas, fits that diverged."""
    records = with_variants_named(material.records(kind.experiment))
    chosen = records[records["chosen"]]
    unchosen = [name for name in encoding_order(records["encoding"]) if name not in set(chosen["encoding"])]
    lacking = [f"{kind.experiment}: no sigma could be chosen for {', '.join(unchosen)}."] if unchosen else []
    return [
        *lacking,
        *divergence_notes(chosen, kind.experiment),
        *divergence_notes(material.records(kind.voxels).assign(encoding=VOXELS), kind.voxels),
    ]


# Figures


def figure_17(material: Material) -> Figure:
    """2D CT: a phantom and a slice, their reconstructions, and the errors."""
    return compared(material, CT)


def figure_18(material: Material) -> Figure:
    """3D MRI: the middle slice of a volume, its reconstructions, and the errors."""
    return compared(material, MRI)


def compared(material: Material, data: Sequence[Data]) -> Figure:
    """Per kind of signal a row of reconstructions with their PSNR, and below it their absolute errors at one scale."""
    shown = pd.concat([reconstructed(material, kind) for kind in data], ignore_index=True)
    truths = {}
    for kind in data:
        (signal,) = shown.loc[shown["experiment"] == kind.experiment, "signal"].unique()
        truths[kind.experiment] = (signal, flat(material.truths(kind.experiment)[signal]))
    errors = [
        None if picture is None else np.abs(np.clip(picture, 0, 1) - truths[experiment][1])
        for experiment, picture in zip(shown["experiment"], shown["picture"], strict=True)
    ]
    drawn = [error for error in errors if error is not None]
    top = float(np.quantile(np.concatenate([error.ravel() for error in drawn]), 0.995)) if drawn else 1.0
    encodings = [*encoding_order(set(shown["encoding"]) - {VOXELS}), VOXELS]
    with style.applied():
        size = (2 * len(data), 1 + len(encodings), style.TEXT_WIDTH)
        grid = tiles.TileGrid(*size, left=1.2 * tiles.LINE, above=1.3 * tiles.LINE, below=0.3 * tiles.LINE)
        for index, kind in enumerate(data):
            signal, truth = truths[kind.experiment]
            first = grid.tile(2 * index, 0)
            tiles.show(first, truth)
            tiles.label_left(first, signal if len(signal) <= LABEL_LETTERS else f"…{signal[1 - LABEL_LETTERS :]}")
            colour_bar(grid, 2 * index + 1, top)
            if index == 0:
                tiles.title_above(first, "truth")
            for column, encoding in enumerate(encodings, start=1):
                fit = shown[(shown["experiment"] == kind.experiment) & (shown["encoding"] == encoding)]
                above, below = grid.tile(2 * index, column), grid.tile(2 * index + 1, column)
                draw_scored(above, fit)
                if index == 0:
                    tiles.title_above(above, encoding)
                for row in fit.index:
                    show_error(below, errors[row], top)
    notes = [
        f"Absolute errors: one scale, from 0 to {top:.2g}, the 99.5 % quantile of all; larger ones look like it.",
        "Volumes are shown in the middle slice across their first axis." if data is MRI else "",
        *(note for kind in data for note in run_notes(material, kind)),
    ]
    plotted = without_pictures(shown).assign(mean_error=[np.nan if e is None else float(e.mean()) for e in errors])
    return Figure(grid.figure, plotted, [note for note in notes if note])


def reconstructed(material: Material, kind: Data) -> pd.DataFrame:
    """The first report signal by every encoding at its chosen sigma, and by the voxel grid."""
    records, voxels = material.records(kind.experiment), material.records(kind.voxels)
    signals = first_signals(records, 1)
    chosen = with_variants_named(records[records["chosen"]])
    fits = reconstructions(material, kind.experiment, chosen, signals, "all")
    of_voxels = reconstructions(material, kind.voxels, voxels.assign(encoding=VOXELS), signals, "all")
    every = pd.concat([fits, of_voxels.assign(experiment=kind.experiment)])
    pictures: list[Any] = [None if picture is None else flat(picture) for picture in every["picture"]]
    return every.assign(picture=pictures)


def flat(values: np.ndarray) -> np.ndarray:
    """A picture `(H, W)`: of a volume the middle slice across its first axis, its last axis upwards."""
    return values[..., 0] if values.ndim == 3 else np.rot90(values[len(values) // 2, ..., 0])


def show_error(axes: Axes, error: np.ndarray | None, top: float) -> None:
    """An error map, or nothing where there is no reconstruction."""
    if error is None:
        axes.set_axis_off()
    else:
        axes.imshow(error, vmin=0, vmax=top, cmap="magma", interpolation="nearest")


def colour_bar(grid: tiles.TileGrid, row: int, top: float) -> None:
    """The scale of the error maps of a row, in the cell below the truth."""
    cell = grid.tile(row, 0)
    cell.set_axis_off()
    bar = cell.inset_axes((0.62, 0.1, 0.1, 0.8))
    scale = mpl.cm.ScalarMappable(mpl.colors.Normalize(0, top), "magma")
    made = grid.figure.colorbar(scale, cax=bar)
    bar.yaxis.set_ticks_position("left")
    bar.yaxis.set_label_position("left")
    made.set_label("absolute error", fontsize=7)
    made.ax.tick_params(labelsize=style.SMALL)
    made.outline.set_visible(False)


def figure_tomography_sweeps(material: Material) -> Figure:
    """PSNR against sigma: a row per experiment, a column per encoding, and the published readings in their own."""
    records = {kind.experiment: with_variants_named(material.records(kind.experiment)) for kind in (*CT, *MRI)}
    by = ["experiment", "encoding", "sigma", "chosen", "set"]
    rows = pd.concat(psnr_rows(found[found["final"]], ["all"], ["tuning", "report"]) for found in records.values())
    means = signal_means(rows, by)
    # Signals differ by far more than scales do: the spread is that around each signal's own level.
    spread = source_summary(without_levels(means, ["experiment", "encoding", "set", "signal"]), by)["std"]
    plotted = source_summary(means, by).assign(std=spread)
    swept = encoding_order(plotted.loc[plotted["sigma"].notna(), "encoding"])
    level = encoding_order(plotted.loc[plotted["sigma"].isna(), "encoding"])
    colours = style.encoding_colours([*swept, *level])
    readings = published_sweeps(material.published)
    with style.applied():
        figure = style.new_figure(style.TEXT_WIDTH, 0.8 + 1.6 * len(records))
        panels = figure.subplots(len(records), len(swept) + 1, squeeze=False)
        for row, experiment in zip(panels, records, strict=True):
            found = plotted[plotted["experiment"] == experiment]
            for axes, encoding in zip(row, swept, strict=False):
                axes.sharey(row[0])
                line = found[found["encoding"] == encoding]
                level_lines(axes, found[found["set"] == "report"], level, colours)
                sweep_lines(axes, line, colours[encoding])
                number(axes, line["sigma"])
                axes.set(title=encoding, xlabel=SIGMA_AXES.get(base_encoding(encoding), "sigma"))
            row[0].set_ylabel(f"{experiment}\n{PSNR}")
            published = readings[readings["experiment"] == experiment]
            row[-1].set_visible(not published.empty)
            for read in published["encoding"].unique():
                look: dict[str, Any] = {"marker": "o", "markerfacecolor": "none", "linestyle": ""}
                row[-1].plot(published["sigma"], published["published"], color=colours.get(read, "0.2"), **look)
                row[-1].set(title=f"{read}, published", xlabel=SIGMA_AXES[read])
                number(row[-1], published["sigma"])
        figure.legend(handles=sweep_key(level, colours), loc="outside upper center", ncols=4 + len(level))
    notes = [
        "Published: readings of the authors' notebooks at the paper's size, about 3 % uncertain, on their own scale.",
        *(note for experiment, found in records.items() for note in divergence_notes(found, experiment)),
    ]
    return Figure(figure, pd.concat([plotted, readings], ignore_index=True), notes)


def published_sweeps(published: Mapping[str, Any]) -> pd.DataFrame:
    """experiment, encoding, sigma, published: the readings that are known."""
    sweeps = [
        ("ct_shepp", "positional", published["ct_notebook"]["positional_sweep"]),
        ("mri_brain", "gaussian", published["mri_notebook"]["gaussian_sweep"]),
    ]
    rows = [
        {"experiment": experiment, "encoding": encoding, "sigma": float(key.removeprefix("sigma_")), "published": value}
        for experiment, encoding, readings in sweeps
        for key, value in readings.items()
        if key.startswith("sigma_")
    ]
    return pd.DataFrame(rows)
