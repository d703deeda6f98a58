"""Which frequencies are good for pictures: trained ones, families and directions (Figures 8, 9 and 11).

Scores are PSNR in dB. Means run over report signals, after the mean over seeds, unless a band runs over seeds.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from posenc.papers.curves import PSNR, line_with_spread
from posenc.papers.material import Figure, Material
from posenc.papers.scores import (
    divergence_notes,
    encoding_order,
    is_of_diverged_fit,
    psnr_rows,
    signal_means,
    source_summary,
    summary,
    without_levels,
)
from posenc.reporting import style

FIXED, TRAINED = "gaussian", "gaussian_trained"


def figure_8(material: Material) -> Figure:
    """PSNR against the step with fixed and with trained frequencies, a panel per initial scale."""
    records = material.records("image_trained")
    by = ["encoding", "sigma", "split", "step"]
    plotted = summary(signal_means(psnr_rows(records, ["train", "test"]), by), by)
    sigmas = sorted(plotted["sigma"].unique())
    colours = style.encoding_colours([FIXED, TRAINED])
    with style.applied():
        figure = style.new_figure(style.TEXT_WIDTH, 2.5)
        panels = figure.subplots(1, len(sigmas), sharey=True, squeeze=False)[0]
        for axes, sigma in zip(panels, sigmas, strict=True):
            for encoding, named in ((FIXED, "fixed"), (TRAINED, "trained with the weights")):
                for split, line in (("test", "-"), ("train", ":")):
                    found = plotted[
                        (plotted["sigma"] == sigma) & (plotted["encoding"] == encoding) & (plotted["split"] == split)
                    ]
                    look = {"color": colours[encoding], "linestyle": line}
                    axes.plot(found["step"], found["mean"], label=f"{named}, {split}", **look)
            axes.set(title=f"initial σ = {sigma:g}", xlabel="step")
        panels[0].set_ylabel(PSNR)
        figure.legend(handles=panels[0].get_lines(), loc="outside upper center", ncols=4)
    return Figure(figure, plotted, [*drift_notes(records), *divergence_notes(records, "image_trained")])


def drift_notes(records: pd.DataFrame) -> list[str]:
    """How far trained frequencies have moved in the end, by initial scale."""
    final = records[(records["metric"] == "drift") & records["final"] & ~is_of_diverged_fit(records)]
    means = final.groupby("sigma")["value"].mean()
    moved = ", ".join(f"{100 * value:.2g} % at σ = {sigma:g}" for sigma, value in means.items())
    return [f"Trained frequencies have moved by ||b - b_0|| / ||b_0|| = {moved}."] if moved else []


def figure_11(material: Material) -> Figure:
    """PSNR over all pixels against the angle of a plane wave, a line per encoding, the band over runs."""
    records = material.records("image_angles")
    rows = psnr_rows(records[records["final"]], ["all"])
    runs = rows.groupby(["encoding", "condition", "seed"])["value"].mean().reset_index()
    grouped = runs.groupby(["encoding", "condition"])["value"]
    plotted = pd.DataFrame({"mean": grouped.mean(), "std": grouped.std(ddof=0), "runs": grouped.size()}).reset_index()
    plotted = plotted.assign(angle=plotted["condition"].astype(float)).sort_values(["encoding", "angle"])
    plotted["std"] = plotted["std"].where(plotted["runs"] > 1)
    colours = style.encoding_colours(plotted["encoding"].unique())
    with style.applied():
        figure = style.new_figure(style.COLUMN_WIDTH, 2.4)
        axes = figure.subplots()
        for encoding, line in plotted.groupby("encoding"):
            look = {"color": colours[str(encoding)], "linestyle": style.encoding_line(str(encoding)), "marker": "o"}
            line_with_spread(axes, "angle", line, label=encoding, **look)
        axes.set_xticks(np.arange(0, 181, 45))
        axes.set(xlabel="angle of the wave (degrees)", ylabel=f"{PSNR}, all pixels")
        axes.legend()
    published = material.published["figure_11"]
    axis_biased, alike = published["positional"], published["gaussian"]
    radii = rows["signal"].str.extract(r"radius_(\d+)")[0].nunique()
    notes = [
        f"Mean over waves of {radii} frequencies; band: one standard"
        " deviation over runs, each with new weights and, for gaussian, new frequencies.",
        f"Published readings ({published['source']}): positional {axis_biased['on_axis']} dB along the axes and"
        f" {axis_biased['off_axis_lowest']} to {axis_biased['off_axis_highest']} dB off them,"
        f" gaussian {alike['lowest']} to {alike['highest']} dB.",
    ]
    columns = ["encoding", "angle", "mean", "std", "runs"]
    return Figure(figure, plotted[columns], [*notes, *divergence_notes(records, "image_angles")])


def figure_9(material: Material) -> Figure:
    """Test error against the root-mean-square frequency per axis, a line per family of isotropic distributions.

    Means and deviations are those of the error's logarithm, so that no single scale or picture rules them.
    """
    records = material.records("image_families")
    rows = psnr_rows(records[records["final"]], ["test"])
    by = ["encoding", "sigma", "bandwidth"]
    means = signal_means(rows.assign(value=-rows["value"] / 10), by)
    spread = source_summary(without_levels(means, ["encoding", "signal"]), by)["std"]
    logs = summary(means, by).assign(std=spread).sort_values(["encoding", "bandwidth"])
    low, high = 10 ** (logs["mean"] - logs["std"]), 10 ** (logs["mean"] + logs["std"])
    plotted = logs.assign(mean=10 ** logs["mean"], low=low, high=high).drop(columns="std")
    families = encoding_order(plotted["encoding"])
    colours = style.encoding_colours(families)
    with style.applied():
        figure = style.new_figure(style.COLUMN_WIDTH, 2.4)
        axes = figure.subplots()
        for place, family in enumerate(families):
            line = plotted[plotted["encoding"] == family]
            look: dict[str, Any] = {"color": colours[family], "marker": style.MARKERS[place % len(style.MARKERS)]}
            axes.plot(line["bandwidth"], line["mean"], label=family, **look)
            axes.fill_between(
                line["bandwidth"], line["low"], line["high"], color=look["color"], alpha=0.15, linewidth=0
            )
        axes.set_xscale("log", base=2)
        axes.set_yscale("log")
        axes.set(xlabel="RMS of b per axis (cycles per unit length)", ylabel="test MSE")
        axes.legend()
    notes = ["Means of logarithms; band: one standard deviation over pictures, each picture's own level taken out."]
    return Figure(figure, plotted, [*notes, *divergence_notes(records, "image_families")])
