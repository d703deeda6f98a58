"""Memorisation and generalisation while networks train, and the stable rank of their layers (R-F1 and R-F2).

Scores are PSNR in dB on observed (train) and on the points between (test). Means run over signals, after seeds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd
from matplotlib.typing import LineStyleType

from posenc.papers.curves import PSNR
from posenc.papers.material import Column, Figure, Material, Table
from posenc.papers.scores import (
    before_late,
    divergence_notes,
    encoding_order,
    framed,
    late,
    metric_rows,
    psnr_rows,
    signal_means,
    source_summary,
    summary,
    with_variants_named,
)
from posenc.reporting import style

EXPERIMENTS = {"rows": "row_training", "noise": "noise_training"}
NAMES = {"rows": "rows of pictures", "noise": "white noise"}
SPLITS: dict[str, LineStyleType] = {"train": "-", "test": "--"}
PUBLISHED_ENCODINGS = ["none", "basic", "gaussian", "shifted_gaussian"]


def records_of(material: Material) -> dict[str, pd.DataFrame]:
    """Kind of signals -> records of its experiment."""
    return {kind: with_variants_named(material.records(name)) for kind, name in EXPERIMENTS.items()}


def lost_fits(material: Material) -> list[str]:
    return [note for kind, found in records_of(material).items() for note in divergence_notes(found, EXPERIMENTS[kind])]


def figure_memorisation(material: Material) -> Figure:
    """PSNR against the step, a panel per encoding: rows of pictures and white noise, observed points and others."""
    by = ["signals", "encoding", "split", "step"]
    rows = pd.concat(psnr_rows(found, SPLITS).assign(signals=kind) for kind, found in records_of(material).items())
    plotted = summary(signal_means(rows, by), by)
    encodings = encoding_order(plotted["encoding"])
    colours = dict(zip(NAMES, style.ordered_colours(len(NAMES)), strict=True))
    with style.applied():
        figure = style.new_figure(style.TEXT_WIDTH, 2.5)
        panels = figure.subplots(1, len(encodings), sharey=True, squeeze=False)[0]
        for axes, encoding in zip(panels, encodings, strict=True):
            for kind, name in NAMES.items():
                for split, line in SPLITS.items():
                    found = plotted[
                        (plotted["encoding"] == encoding) & (plotted["signals"] == kind) & (plotted["split"] == split)
                    ]
                    label = f"{name}, {split}"
                    axes.plot(found["step"], found["mean"], color=colours[kind], linestyle=line, label=label)
            axes.set(title=encoding, xlabel="step")
        panels[0].set_ylabel(PSNR)
        figure.legend(handles=panels[0].get_lines(), loc="outside upper center", ncols=4)
    notes = ["gaussian: random Fourier features; shifted_gaussian: the paper's Gaussian.", *lost_fits(material)]
    return Figure(figure, plotted, notes)


def table_memorisation(material: Material) -> Table:
    """Time averages and final values of PSNR, the published ones beside this run's."""
    averages, finals = material.published["memorisation"], material.published["memorisation_final"]
    runs = {"time average": score_summary(material, final=False), "final": score_summary(material, final=True)}
    encodings = encoding_order([*PUBLISHED_ENCODINGS, *(key[0] for run in runs.values() for key in run.index)])
    keys = [(encoding, kind, split) for encoding in encodings for kind in NAMES for split in SPLITS]
    labels = [f"{encoding}, {NAMES[kind]}, {split}" for encoding, kind, split in keys]
    columns: dict[Column, pd.Series] = {}
    for statistic in ("mean", "std"):
        values = [
            averages.get(encoding, {}).get(f"{kind}_{split}", {}).get(statistic) for encoding, kind, split in keys
        ]
        columns["time average", "published", statistic] = pd.Series(values, labels, dtype=float)
    readings = [finals.get(encoding, {}).get(f"{kind}_{split}") for encoding, kind, split in keys]
    for heading, run in runs.items():
        if heading == "final":
            columns[heading, "published (readings)", "value"] = pd.Series(readings, labels, dtype=float)
        for statistic in ("mean", "std", "n"):
            own = run[statistic].reindex(pd.MultiIndex.from_tuples(keys))
            columns[heading, material.run_title, statistic] = own.set_axis(labels)
    formats = {column: ".0f" if column[-1] == "n" else ".2f" for column in columns}
    notes = [
        "PSNR in dB. Time average: over all scored updates but those of the last 100, as the authors print it; final:"
        " mean over the scored ones of the last 100 updates. A time average depends on the number of updates.",
        "This run: mean over n signals, seeds averaged first; std over the pictures or draws that they come from.",
        f"published: {averages['source']}, {averages['unit']}. Readings: {finals['source']}, {finals['unit']}.",
        rows_note(averages),
        *averages["notes"],
        *lost_fits(material),
    ]
    frame = framed(columns, labels)
    frame.index.name = "encoding, signals, points"
    return Table(frame, formats, notes)


def rows_note(averages: Mapping[str, Any]) -> str:
    """What is published of single rows, and the seconds of a run."""
    scores = "; ".join(
        f"{name} {', '.join(f'{v:.2f}' for v in found)}" for name, found in averages["rows_test"].items()
    )
    seconds = ", ".join(
        f"{name} {averages[name]['seconds']['least']:g} to {averages[name]['seconds']['most']:g} s"
        for name in PUBLISHED_ENCODINGS
    )
    rows = ", ".join(map(str, averages["rows"]))
    return f"published, test of rows {rows}: {scores}. A run took {seconds}."


def score_summary(material: Material, final: bool) -> pd.DataFrame:
    """mean, std, n by (encoding, kind of signals, split): over the last updates, or over all the others."""
    by = ["encoding", "signals", "split"]
    rows = pd.concat(psnr_rows(found, SPLITS).assign(signals=kind) for kind, found in records_of(material).items())
    rows = late(rows) if final else before_late(rows)
    return source_summary(signal_means(rows, by), by).set_index(by)


def figure_layer_ranks(material: Material) -> Figure:
    """Stable rank of the input and of each hidden layer against the step: a row per signals, a column per encoding."""
    by = ["signals", "encoding", "item", "step"]
    rows = pd.concat(
        metric_rows(found, "stable_rank", ["train"]).assign(signals=kind)
        for kind, found in records_of(material).items()
    )
    plotted = summary(signal_means(rows, by), by)
    encodings, layers = encoding_order(plotted["encoding"]), in_order(plotted["item"])
    colours = {"input": "0.2"} | dict(zip(layers[1:], style.ordered_colours(len(layers) - 1), strict=True))
    published = material.published["layer_ranks"]
    with style.applied():
        figure = style.new_figure(style.TEXT_WIDTH, 3.8)
        panels = figure.subplots(len(NAMES), len(encodings), sharex=True, sharey="col", squeeze=False)
        for line_of_panels, (kind, name) in zip(panels, NAMES.items(), strict=True):
            for axes, encoding in zip(line_of_panels, encodings, strict=True):
                here = plotted[(plotted["signals"] == kind) & (plotted["encoding"] == encoding)]
                for layer in layers:
                    found = here[here["item"] == layer]
                    line = "--" if layer == "input" else "-"
                    axes.plot(found["step"], found["mean"], color=colours[layer], linestyle=line, label=layer)
            line_of_panels[0].set_ylabel(f"{name}\nstable rank")
        for axes, encoding in zip(panels[0], encodings, strict=True):
            axes.set_title(encoding)
        for axes in panels[-1]:
            axes.set_xlabel("step")
        figure.legend(handles=panels[0, 0].get_lines(), loc="outside upper center", ncols=len(layers))
    read = "; ".join(
        f"{encoding} {', '.join(f'{value:g}' for value in published[encoding][kind])} ({NAMES[kind]})"
        for encoding in PUBLISHED_ENCODINGS
        for kind in NAMES
    )
    notes = [
        "On the observed points; layers are hidden layers after their activation.",
        f"Published readings ({published['source']}), {published['unit']}: {read}.",
        *published["notes"],
        *lost_fits(material),
    ]
    return Figure(figure, plotted, notes)


def in_order(layers: Iterable[str]) -> list[str]:
    """Input first, then the layers by number."""
    return sorted(set(layers), key=lambda name: -1 if name == "input" else int(name.split()[1]))
