"""Encodings of full rank and waves of rank two, behind linear models (R-F8 and R-F9).

Scores are PSNR in dB; those of tables are means over the last 100 updates, then over seeds, then over signals.
"""

from __future__ import annotations

from itertools import product
from typing import Any

import pandas as pd
from matplotlib.lines import Line2D
from matplotlib.typing import LineStyleType

from posenc.papers.curves import PSNR
from posenc.papers.material import Column, Figure, Material, Table
from posenc.papers.rethinking.samples import by_samples, sample_colours, with_samples
from posenc.papers.scores import (
    divergence_notes,
    encoding_order,
    late,
    psnr_rows,
    signal_means,
    source_summary,
    summary,
)
from posenc.reporting import style

IMPULSES = {"rows": "row_impulses", "noise": "noise_impulses"}
WAVES = {"rows": "row_waves", "noise": "noise_waves"}
NAMES = {"rows": "rows of pictures", "noise": "white noise"}
SPLITS: dict[str, LineStyleType] = {"train": "-", "test": "--"}
PUBLISHED_ENCODINGS = ["impulse", "random_noise"]


def psnr_by_samples(material: Material, experiments: dict[str, str]) -> pd.DataFrame:
    """The PSNR rows of experiments by kind of signals, with `signals`, `samples` and `scale`."""
    return pd.concat(
        with_samples(psnr_rows(material.records(name), SPLITS)).assign(signals=kind)
        for kind, name in experiments.items()
    )


def lost_fits(material: Material, experiments: dict[str, str]) -> list[str]:
    return [note for name in experiments.values() for note in divergence_notes(material.records(name), name)]


def split_key() -> list[Line2D]:
    return [Line2D([], [], color="0.2", linestyle=line, label=split) for split, line in SPLITS.items()]


# Full rank


def figure_full_rank(material: Material) -> Figure:
    """PSNR against the step and the stable rank against N: a row per encoding, a line per N."""
    rows = psnr_by_samples(material, IMPULSES)
    by = ["signals", "encoding", "samples", "split", "step"]
    plotted = summary(signal_means(rows, by), by)
    ranks = stable_ranks(rows)
    encodings, colours = encoding_order(plotted["encoding"]), sample_colours(plotted["samples"].tolist())
    published = material.published["full_rank"]["ranks"]
    with style.applied():
        figure = style.new_figure(style.TEXT_WIDTH, 0.6 + 2.0 * len(encodings))
        panels = figure.subplots(len(encodings), len(IMPULSES) + 1, squeeze=False)
        for line_of_panels, encoding in zip(panels, encodings, strict=True):
            for axes, (kind, name) in zip(line_of_panels, NAMES.items(), strict=False):
                here = plotted[(plotted["encoding"] == encoding) & (plotted["signals"] == kind)]
                for count, of_count in by_samples(here):
                    for split, look in SPLITS.items():
                        line = of_count[of_count["split"] == split]
                        axes.plot(line["step"], line["mean"], color=colours[count], linestyle=look, linewidth=1)
                axes.set(title=f"{encoding}, {name}", xlabel="step", ylabel=PSNR)
            axes, found = line_of_panels[-1], ranks[ranks["encoding"] == encoding]
            axes.plot(found["samples"], found["samples"], color="0.6", linestyle=":", label="N")
            axes.plot(found["samples"], found["stable_rank"], color="0.2", marker="o", label="this run")
            read = {int(name[2:]): value for name, value in published.get(encoding, {}).items()}
            hollow: dict[str, Any] = {"linestyle": "", "marker": "s", "markerfacecolor": "none", "color": "0.2"}
            if read:
                axes.plot(list(read), list(read.values()), label="published (readings)", **hollow)
            axes.set(title=f"{encoding}, on the samples", xlabel="N", ylabel="stable rank")
            axes.set_xscale("log", base=2)
            axes.set_yscale("log", base=2)
            axes.legend(fontsize=style.SMALL)
        key = [Line2D([], [], color=colour, label=f"N = {count}") for count, colour in colours.items()]
        figure.legend(handles=[*key, *split_key()], loc="outside upper center", ncols=6)
    notes = [f"Published readings: {published['source']}.", *lost_fits(material, IMPULSES)]
    return Figure(figure, plotted.merge(ranks, on=["encoding", "samples"]), notes)


def stable_ranks(rows: pd.DataFrame) -> pd.DataFrame:
    """encoding, samples, stable_rank: mean over draws."""
    return rows.groupby(["encoding", "samples"])["stable_rank"].mean().reset_index()


def table_full_rank(material: Material) -> Table:
    """Train and test PSNR of encodings of full rank by N, published and of this run."""
    published = material.published["full_rank"]
    rows = psnr_by_samples(material, IMPULSES)
    by = ["encoding", "signals", "samples", "split"]
    run = source_summary(signal_means(late(rows), by), by).set_index(by)
    ranks = stable_ranks(rows).set_index(["encoding", "samples"])["stable_rank"]
    counts = {int(name[2:]) for name in published if name.startswith("n_")} | set(rows["samples"])
    encodings = encoding_order([*PUBLISHED_ENCODINGS, *rows["encoding"]])
    keys = list(product(encodings, NAMES, sorted(counts, reverse=True)))
    labels = [f"{encoding}, {NAMES[kind]}, N = {count}" for encoding, kind, count in keys]
    columns: dict[Column, pd.Series] = {}
    for split in SPLITS:
        for statistic in ("mean", "std"):
            values = [
                published.get(f"n_{count}", {}).get(f"{encoding}_{kind}", {}).get(split, {}).get(statistic)
                for encoding, kind, count in keys
            ]
            columns[split, "published", statistic] = pd.Series(values, labels, dtype=float)
        for statistic in ("mean", "std", "n"):
            own = run[statistic].reindex(pd.MultiIndex.from_tuples([(*key, split) for key in keys]))
            columns[split, material.run_title, statistic] = own.set_axis(labels)
    found = ranks.reindex(pd.MultiIndex.from_tuples([(encoding, count) for encoding, _, count in keys])).to_numpy()
    columns["stable rank", material.run_title, "mean"] = pd.Series(found, labels)
    formats = {column: ".0f" if column[-1] == "n" else ".1f" for column in columns}
    formats |= {column: ".2f" for column in columns if column[0] == "test" and column[-1] != "n"}
    notes = [
        "PSNR in dB of linear models, mean over the last 100 updates; this run: mean over n signals, seeds averaged"
        " first, std over the pictures or draws that they come from. Stable rank: on the N samples, mean over draws.",
        f"published: {published['source']}, {published['unit']}.",
        *published["notes"],
        *lost_fits(material, IMPULSES),
    ]
    return Table(pd.DataFrame(columns, index=pd.Index(labels, name="encoding, signals, samples")), formats, notes)


# Waves


def figure_waves(material: Material) -> Figure:
    """Square and sine waves: PSNR against the step for each frequency, and late PSNR over frequency and over N."""
    rows = psnr_by_samples(material, WAVES)
    by = ["signals", "encoding", "samples", "sigma", "split"]
    curves = summary(signal_means(rows, [*by, "step"]), [*by, "step"])
    levels = summary(signal_means(late(rows), by), by)
    most = curves.loc[curves["signals"] == "rows", "samples"].max()
    encodings, counts = encoding_order(curves["encoding"]), sample_colours(levels["samples"].tolist())
    frequencies = sorted(curves["sigma"].unique())
    tones = dict(zip(frequencies, style.ordered_colours(len(frequencies)), strict=True))
    with style.applied():
        figure = style.new_figure(style.TEXT_WIDTH, 0.7 + 2.0 * len(encodings))
        panels = figure.subplots(len(encodings), 3, squeeze=False)
        for (training, over_frequency, noise), encoding in zip(panels, encodings, strict=True):
            chosen = curves[(curves["encoding"] == encoding) & (curves["signals"] == "rows")]
            chosen = chosen[chosen["samples"] == most]
            for frequency, (split, look) in product(frequencies, SPLITS.items()):
                line = chosen[(chosen["sigma"] == frequency) & (chosen["split"] == split)]
                training.plot(line["step"], line["mean"], color=tones[frequency], linestyle=look, linewidth=1)
            training.set(title=f"{encoding}, rows, N = {most}", xlabel="step", ylabel=PSNR)
            here = levels[levels["encoding"] == encoding]
            for count, of_count in by_samples(here[here["signals"] == "rows"]):
                for split, look in SPLITS.items():
                    line = of_count[of_count["split"] == split]
                    over_frequency.plot(
                        line["sigma"], line["mean"], color=counts[count], linestyle=look, marker="o", linewidth=1
                    )
            over_frequency.set(title=f"{encoding}, rows", xlabel="frequency (cycles per unit)", xscale="log")
            for split, look in SPLITS.items():
                line = here[(here["signals"] == "noise") & (here["split"] == split)]
                noise.plot(line["samples"], line["mean"], color="0.2", linestyle=look, marker="o")
            noise.set_xscale("log", base=2)
            noise.set(title=f"{encoding}, white noise", xlabel="N")
        key = [Line2D([], [], color=tone, label=f"f = {frequency:g}") for frequency, tone in tones.items()]
        key += [
            Line2D([], [], color=colour, marker="o", linestyle="", label=f"N = {count}")
            for count, colour in counts.items()
        ]
        figure.legend(handles=[*key, *split_key()], loc="outside upper center", ncols=8)
    plotted = pd.concat([curves.assign(panel="training"), levels.assign(panel="last 100 updates")], ignore_index=True)
    about = material.published["waves"]
    notes = [f"Published: {about['source']}; {about['unit']}.", *lost_fits(material, WAVES)]
    return Figure(figure, plotted, notes)
