"""Image regression: Table 3, Figures 6, 10 and 15, the sweeps of sigma and the learning curves.

Scores are PSNR in dB of unclipped predictions. Experiments `image_natural` and `image_text` report the test
split (the offset quarter of the pixels), as Table 3 does; `image_features` and `image_scales` all pixels, as
Figures 6 and 10 do. Means and deviations run over report pictures, after the mean over seeds.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from posenc.papers.curves import PSNR, SIGMA_AXES, level_lines, line_with_spread, number, sweep_key, sweep_lines
from posenc.papers.material import Column, Figure, Material, Table
from posenc.papers.reconstructions import draw, draw_scored, first_signals, reconstructions, score, without_pictures
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
    summary,
    with_variants_named,
    without_levels,
)
from posenc.reporting import style, tiles

EXPERIMENTS = {"Natural": "image_natural", "Text": "image_text"}
TITLE_LETTERS = 84  # that fit over panels side by side, as wide as the text


def image_records(material: Material) -> dict[str, pd.DataFrame]:
    """Label of the set of pictures -> records of its experiment, variants of an encoding told apart."""
    return {label: with_variants_named(material.records(name)) for label, name in EXPERIMENTS.items()}


# Tables


def table_3(material: Material) -> Table:
    """PSNR on natural and text pictures: published, this run, and a reference run if there is one."""
    published = material.published["table_3"]
    runs = run_summaries(material)
    rows = all_encodings(runs)
    columns: dict[Column, pd.Series] = {}
    formats: dict[Column, str] = {}
    for label, experiment in EXPERIMENTS.items():
        frames = {"published": pd.DataFrame(published[label.lower()], dtype=float).T}
        frames |= {title: run[experiment] for title, run in runs.items() if experiment in run}
        for title, frame in frames.items():
            for statistic, spec in {"mean": ".2f", "std": ".2f", "sigma": ".4g", "n": ".0f"}.items():
                if statistic in frame:
                    columns[label, title, statistic] = frame[statistic].reindex(rows)
                    formats[label, title, statistic] = spec
    sigmas = ", ".join(
        f"{label} ({', '.join(f'{name} {sigma}' for name, sigma in chosen.items() if sigma is not None)})"
        for label, chosen in published["sigma"].items()
        if isinstance(chosen, dict)
    )
    notes = [
        "PSNR in dB over the offset quarter of the pixels; mean and std (divisor n) over the n report "
        "pictures, seeds averaged first.",
        "sigma: gaussian in cycles per unit length, positional an exponent; chosen on the tuning pictures.",
        f"published: {published['source']}, one seed, 16 pictures of 512 x 512 per set. Its sigma: {sigmas}.",
        *run_notes(material),
    ]
    return Table(framed(columns, rows), formats, notes)


def run_summaries(material: Material) -> dict[str, dict[str, pd.DataFrame]]:
    """Heading -> experiment -> `chosen_summary`: of this run, and of the reference run where there is one."""
    records = image_records(material)
    runs = {material.run_title: {EXPERIMENTS[label]: chosen_summary(found) for label, found in records.items()}}
    committed = {name: material.reference(name) for name in EXPERIMENTS.values()}
    found = {name: records for name, records in committed.items() if records is not None}
    if found:
        title = material.reference_title(list(found))
        runs[title] = {name: chosen_summary(with_variants_named(records)) for name, records in found.items()}
    return runs


def all_encodings(runs: Mapping[str, Mapping[str, pd.DataFrame]]) -> list[str]:
    """The rows of a table: the four published encodings, and any other that was fitted."""
    fitted = {name for run in runs.values() for frame in run.values() for name in frame.index}
    return encoding_order({*ENCODINGS, *fitted})


def run_notes(material: Material) -> list[str]:
    """Where reference numbers are from, and what this run lacks: encodings, chosen sigmas, fits that diverged."""
    notes = []
    committed = [name for name in EXPERIMENTS.values() if material.reference(name) is not None]
    if committed:
        notes.append(f"{material.reference_title(committed)}: an earlier run of this workflow, kept with it.")
    for label, records in image_records(material).items():
        experiment, chosen = EXPERIMENTS[label], records[records["chosen"]]
        fitted = encoding_order(records["encoding"])
        absent = [name for name in ENCODINGS if name not in map(base_encoding, fitted)]
        unchosen = [name for name in fitted if name not in set(chosen["encoding"])]
        if absent:
            notes.append(f"{experiment}: not fitted at preset {material.preset}: {', '.join(absent)}.")
        if unchosen:
            notes.append(f"{experiment}: no sigma could be chosen for {', '.join(unchosen)}.")
        notes += divergence_notes(chosen, experiment)
    return notes


# Curves


def figure_sweeps(material: Material) -> Figure:
    """Test PSNR against sigma: a row per set of pictures, a column per encoding, sigma in the encoding's unit."""
    records = image_records(material)
    by = ["pictures", "encoding", "sigma", "chosen", "set"]
    rows = pd.concat(
        psnr_rows(found[found["final"]], ["test"], ["tuning", "report"]).assign(pictures=label)
        for label, found in records.items()
    )
    means = signal_means(rows, by)
    # Pictures differ by far more than scales do: the spread is that around each picture's own level.
    spread = source_summary(without_levels(means, ["pictures", "encoding", "set", "signal"]), by)["std"]
    plotted = source_summary(means, by).assign(std=spread)
    swept = encoding_order(plotted.loc[plotted["sigma"].notna(), "encoding"])
    level = encoding_order(plotted.loc[plotted["sigma"].isna(), "encoding"])
    colours = style.encoding_colours([*swept, *level])
    with style.applied():
        figure = style.new_figure(style.TEXT_WIDTH, 0.8 + 1.7 * len(records))
        panels = figure.subplots(len(records), len(swept), sharey="row", sharex="col", squeeze=False)
        for row, label in zip(panels, records, strict=True):
            of_set = plotted[plotted["pictures"] == label]
            for axes, encoding in zip(row, swept, strict=True):
                level_lines(axes, of_set[of_set["set"] == "report"], level, colours)
                sweep_lines(axes, of_set[of_set["encoding"] == encoding], colours[encoding])
            row[0].set_ylabel(f"{label}\ntest {PSNR}")
        for column, encoding in zip(panels.T, swept, strict=True):
            if base_encoding(encoding) == "gaussian":  # a frequency; other sigmas are exponents or lengths
                column[-1].set_xscale("log", base=2)
            number(column[-1], plotted.loc[plotted["encoding"] == encoding, "sigma"])
            column[-1].set_xlabel(SIGMA_AXES.get(base_encoding(encoding), "sigma"))
            column[0].set_title(encoding)
        figure.legend(handles=sweep_key(level, colours), loc="outside upper center", ncols=4 + len(level))
    notes = [note for label, found in records.items() for note in divergence_notes(found, EXPERIMENTS[label])]
    return Figure(figure, plotted, notes)


def figure_curves(material: Material) -> Figure:
    """Train and test PSNR against the step, each encoding at its chosen sigma, mean over report pictures."""
    chosen = {label: found[found["chosen"]] for label, found in image_records(material).items()}
    by = ["pictures", "encoding", "sigma", "split", "step"]
    splits = {"train": "train (pixels fitted)", "test": "test (offset quarter)"}
    rows = pd.concat(psnr_rows(found, splits).assign(pictures=label) for label, found in chosen.items())
    plotted = summary(signal_means(rows, by), by)
    encodings = encoding_order(plotted["encoding"])
    colours = style.encoding_colours(encodings)
    with style.applied():
        figure = style.new_figure(style.TEXT_WIDTH, 0.8 + 1.6 * len(chosen))
        panels = figure.subplots(len(chosen), len(splits), sharex=True, sharey="row", squeeze=False)
        for row, label in zip(panels, chosen, strict=True):
            for axes, split in zip(row, splits, strict=True):
                panel = plotted[(plotted["pictures"] == label) & (plotted["split"] == split)]
                for name in encodings:
                    line = panel[panel["encoding"] == name]
                    look = {"color": colours[name], "linestyle": style.encoding_line(name), "label": name}
                    axes.plot(line["step"], line["mean"], **look)
            row[0].set_ylabel(f"{label}\n{PSNR}")
        for column, title in zip(panels.T, splits.values(), strict=True):
            column[0].set_title(title)
            column[-1].set_xlabel("step")
        figure.legend(handles=panels[0, 0].get_lines(), loc="outside upper center", ncols=len(encodings))
    notes = [note for label, found in chosen.items() for note in divergence_notes(found, EXPERIMENTS[label])]
    return Figure(figure, plotted, notes)


def figure_6(material: Material) -> Figure:
    """PSNR over all pixels against the number of frequencies, per depth; published readings in their own panel."""
    records = material.records("image_features")
    reference = material.reference("image_features")
    frames = {material.run_title: frequency_scores(records)}
    if reference is not None:
        frames[material.reference_title(["image_features"])] = frequency_scores(reference)
    frames["published (readings)"] = published_frequencies(material.published["figure_6"])
    # Numbers of different origin get columns of their own, as everywhere.
    by = ["depth", "frequencies"]
    plotted = pd.concat([frame.set_index(by).add_prefix(f"{name}: ") for name, frame in frames.items()], axis=1)
    depths = sorted({depth for frame in frames.values() for depth in frame["depth"]})
    colours = dict(zip(depths, style.ordered_colours(len(depths)), strict=True))
    markers = {depth: style.MARKERS[i % len(style.MARKERS)] for i, depth in enumerate(depths)}
    with style.applied():
        figure = style.new_figure(style.TEXT_WIDTH, 2.5)
        for axes, (name, frame) in zip(figure.subplots(1, len(frames)), frames.items(), strict=True):
            for depth, line in frame.groupby("depth"):
                look = {"color": colours[depth], "marker": markers[depth], "label": f"depth {depth}"}
                if name.startswith("published"):  # single readings: hollow, and joined by nothing
                    look |= {"linestyle": "", "markerfacecolor": "none", "markersize": 5}
                line_with_spread(axes, "frequencies", line, **look)
            axes.set_xscale("log", base=2)
            number(axes, frame["frequencies"])
            title = textwrap.fill(name, TITLE_LETTERS // len(frames))
            axes.set(title=title, xlabel="frequencies m", ylabel=f"{PSNR}, all pixels")
            axes.legend(loc="lower right")
    return Figure(figure, plotted.sort_index().reset_index(), divergence_notes(records, "image_features"))


def frequency_scores(records: pd.DataFrame) -> pd.DataFrame:
    """depth, frequencies, mean, std, n over report pictures: all pixels, at the reported step.

    Records count features, the sines and cosines; the paper counts frequencies, half as many.
    """
    rows = psnr_rows(records[records["final"]], ["all"])
    by = ["depth", "frequencies"]
    return summary(signal_means(rows.assign(frequencies=(rows["features"] // 2).astype(int)), by), by)


def published_frequencies(published: Mapping[str, Any]) -> pd.DataFrame:
    """depth, frequencies, mean of the readings of Figure 6, given as {depth_2: {frequencies_8: 17.6, …}, …}."""
    rows = [
        {"depth": int(depth.removeprefix("depth_")), "frequencies": int(m.removeprefix("frequencies_")), "mean": value}
        for depth, readings in published.items()
        if depth.startswith("depth_")
        for m, value in readings.items()
        if value is not None  # not known
    ]
    return pd.DataFrame(rows)


# Pictures


def figure_10(material: Material) -> Figure:
    """One report picture rebuilt with gaussian features over a sweep of sigma; PSNR of all pixels under each."""
    records = material.records("image_scales")
    signal = first_signals(records, 1)[0]
    sweep = records[records["encoding"] == "gaussian"]
    shown = reconstructions(material, "image_scales", sweep, [signal], "all").sort_values("sigma")
    columns = min(5, 1 + len(shown))
    with style.applied():
        rows = -(-(1 + len(shown)) // columns)
        grid = tiles.TileGrid(rows, columns, style.TEXT_WIDTH, below=1.1 * tiles.LINE)
        truth = grid.tile(0, 0)
        tiles.show(truth, material.truths("image_scales")[signal])
        tiles.line_below(truth, "truth")
        for place, (sigma, fit) in enumerate(shown.groupby("sigma"), start=1):
            axes = grid.tile(*divmod(place, columns))
            draw(axes, fit)
            tiles.line_below(axes, f"σ = {sigma:.4g}:  {score(fit)}")
    return Figure(grid.figure, without_pictures(shown))


def figure_15(material: Material) -> Figure:
    """Report pictures beside their reconstructions, each encoding at its chosen sigma, test PSNR in each tile."""
    shown: list[pd.DataFrame] = []
    truths: dict[tuple[str, str], np.ndarray] = {}
    for (label, records), count in zip(image_records(material).items(), (3, 2), strict=True):
        experiment, signals = EXPERIMENTS[label], first_signals(records, count)
        shown.append(reconstructions(material, experiment, records[records["chosen"]], signals, "test"))
        pictures = material.truths(experiment)
        truths |= {(experiment, signal): pictures[signal] for signal in signals}
    plotted = pd.concat(shown, ignore_index=True)
    encodings = encoding_order(plotted["encoding"])
    with style.applied():
        size = (len(truths), 1 + len(encodings), style.TEXT_WIDTH)
        grid = tiles.TileGrid(*size, left=1.2 * tiles.LINE, above=1.3 * tiles.LINE)
        for row, ((experiment, signal), truth) in enumerate(truths.items()):
            fits = plotted[(plotted["experiment"] == experiment) & (plotted["signal"] == signal)]
            cells = [grid.tile(row, column) for column in range(1 + len(encodings))]
            tiles.show(cells[0], truth)
            tiles.label_left(cells[0], signal)
            for axes, encoding in zip(cells[1:], encodings, strict=True):
                draw_scored(axes, fits[fits["encoding"] == encoding])
            if row == 0:
                for axes, title in zip(cells, ["truth", *encodings], strict=True):
                    tiles.title_above(axes, title)
    return Figure(grid.figure, without_pictures(plotted))
