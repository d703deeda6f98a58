"""Linear models over sigma and the number of training samples (R-F7): curves, their collapse and its places.

N is the number of training samples, and sigma N sigma over their spacing, but for the rounding of N.
Scores are PSNR in dB, means over the last 100 updates, then over seeds, then over signals.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from posenc.papers.curves import PSNR
from posenc.papers.material import Column, Figure, Material, Table
from posenc.papers.scores import divergence_notes, encoding_order, late, psnr_rows, signal_means, summary
from posenc.reporting import style

ADAM, SOLVED = "row_scales", "row_scales_solved"
SOLVERS = {ADAM: "Adam", SOLVED: "least squares"}
GAUSSIAN = "shifted_gaussian"
SPLITS = ["test", "train"]
MEMORISED = 100.0  # dB of train PSNR
KEPT = 3.0  # dB below the best test PSNR
TITLE_LETTERS = 46  # that fit over one of two panels
PUBLISHED_TITLE = "published (printed results)"
THRESHOLDS = {
    "best_test": ("best test PSNR (dB)", ".2f"),
    "best_sigma": ("at sigma", ".5f"),
    "memorised_from": ("first σN with train > 100 dB", ".3f"),
    "rank_share": ("stable rank / N there", ".2f"),
    "train_maximum": ("σN of best train PSNR", ".3f"),
    "kept_to": ("last σN with test within 3 dB of best", ".3f"),
}


def with_samples(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows with `samples`, N, and `scale`, sigma N."""
    return rows.assign(samples=rows["points"].astype(int), scale=rows["sigma"] * rows["points"])


def sweep(material: Material, experiment: str) -> pd.DataFrame:
    """encoding, samples, sigma, scale, stable_rank, split, mean, std, n: late PSNR over signals."""
    rows = with_samples(late(psnr_rows(material.records(experiment), SPLITS)))
    by = ["encoding", "samples", "sigma", "scale", "split"]
    ranks = rows.groupby(by)["stable_rank"].mean().rename("stable_rank").reset_index()
    return summary(signal_means(rows, by), by).merge(ranks, on=by)


def sample_colours(counts: Sequence[int]) -> dict[int, str]:
    """A colour per number of samples, dark for the most."""
    ordered = sorted(set(counts), reverse=True)
    return dict(zip(ordered, style.ordered_colours(len(ordered)), strict=True))


def by_samples(frame: pd.DataFrame) -> Iterator[tuple[int, pd.DataFrame]]:
    """N and its rows, from the fewest samples on."""
    for count in sorted(frame["samples"].unique().tolist()):
        yield count, frame[frame["samples"] == count]


# Curves


def figure_samples(material: Material) -> Figure:
    """Test and train PSNR against sigma, a line per number of samples; below, the published results."""
    key_points, published = material.published["key_points"], published_sweep(material.published["samples"])
    ours = sweep(material, ADAM)
    colours = sample_colours([*ours["samples"], *published["samples"]])
    of_runs = {
        f"{encoding}: {material.run_title}": ours[ours["encoding"] == encoding]
        for encoding in encoding_order(ours["encoding"])
    }
    of_runs[PUBLISHED_TITLE] = published
    with style.applied():
        figure = style.new_figure(style.TEXT_WIDTH, 0.5 + 2.3 * len(of_runs))
        panels = figure.subplots(len(of_runs), len(SPLITS), squeeze=False)
        for line_of_panels, (title, curves) in zip(panels, of_runs.items(), strict=True):
            for axes, split in zip(line_of_panels, SPLITS, strict=True):
                for count, curve in by_samples(curves[curves["split"] == split]):
                    line = curve.sort_values("sigma")
                    axes.plot(line["sigma"], line["mean"], color=colours[count])
                    if split == "train":
                        best = line.nlargest(1, "mean")
                        axes.plot(best["sigma"], best["mean"], color=colours[count], marker="*", markersize=8)
                    elif set(curves.get("encoding", [GAUSSIAN])) == {GAUSSIAN}:
                        places = [key_points[name] / count for name in ("upper", "lower")]
                        mark(axes, line, places, colours[count])
                axes.set(xscale="log", xlabel="sigma (unit lengths)", ylabel=f"{split} {PSNR}")
                axes.invert_xaxis()
                axes.set_title(textwrap.fill(f"{title}, {split}", TITLE_LETTERS))
        key = [Line2D([], [], color=colour, label=f"N = {count}") for count, colour in colours.items()]
        key += [
            Line2D([], [], color="0.2", marker="|", markersize=8, linestyle="", label="key points"),
            Line2D([], [], color="0.2", marker="*", markersize=8, linestyle="", label="best train PSNR"),
        ]
        figure.legend(handles=key, loc="outside upper center", ncols=5)
    about = material.published["samples"]
    notes = [
        f"Key points: σN = {key_points['upper']} and {key_points['lower']}, the star of the best train PSNR at about"
        f" {key_points['star']}, {key_points['source']}.",
        f"published: {about['source']}, {about['unit']}.",
        circulant_note(material.published["circulant"]),
        *about["notes"],
        *divergence_notes(material.records(ADAM), ADAM),
    ]
    # Numbers of different origin get columns of their own, as everywhere.
    both = [
        frame.rename(columns={"mean": f"{name}: mean"}).set_index(["samples", "sigma", "split"])
        for name, frame in (("published", published[["samples", "sigma", "split", "mean"]]), (material.run_title, ours))
    ]
    return Figure(figure, pd.concat(both).sort_index().reset_index(), notes)


def circulant_note(published: Mapping[str, Any]) -> str:
    """The published results with features around a circle, in words."""
    found = published["n_256"]
    scores = zip(published["sigma"], found["train"], found["test"], strict=True)
    each = "; ".join(f"σ {sigma:g}: {train} / {test}" for sigma, train, test in scores)
    return f"published, around a circle, train / test: {each} ({published['source']}, {published['unit']})."


def mark(axes: Axes, curve: pd.DataFrame, sigmas: Sequence[float], colour: str) -> None:
    """A tick on a curve, sorted by sigma, at each of these sigmas that it reaches."""
    reached = [sigma for sigma in sigmas if curve["sigma"].min() <= sigma <= curve["sigma"].max()]
    heights = np.interp(np.log(reached), np.log(curve["sigma"]), curve["mean"])
    axes.plot(reached, heights, color=colour, marker="|", markersize=9, markeredgewidth=1.4, linestyle="")


def published_sweep(published: Mapping[str, Any]) -> pd.DataFrame:
    """samples, sigma, split, mean of the printed results."""
    frames = [
        pd.DataFrame({"samples": int(name[2:]), "sigma": published["sigma"], "split": split, "mean": found[split]})
        for name, found in published.items()
        if name.startswith("n_")
        for split in SPLITS
    ]
    return pd.concat(frames, ignore_index=True).astype({"mean": float}).dropna()


def figure_collapse(material: Material) -> Figure:
    """Test and train PSNR against sigma N, a line per number of samples: by Adam, and by least squares."""
    found = {experiment: sweep(material, experiment) for experiment in SOLVERS}
    plotted = pd.concat(frame.assign(solver=SOLVERS[name]) for name, frame in found.items())
    plotted = plotted[plotted["encoding"] == GAUSSIAN]
    colours = sample_colours(plotted["samples"].tolist())
    groups = [group for name, group in material.published["thresholds"].items() if name.startswith("n_")]
    bands = {"test": "kept_to", "train": "memorised_from"}
    with style.applied():
        figure = style.new_figure(style.TEXT_WIDTH, 4.6)
        panels = figure.subplots(len(SOLVERS), len(SPLITS), sharex=True, sharey="col")
        for line_of_panels, solver in zip(panels, SOLVERS.values(), strict=True):
            for axes, split in zip(line_of_panels, SPLITS, strict=True):
                here = plotted[(plotted["solver"] == solver) & (plotted["split"] == split)]
                published = [group[bands[split]] for group in groups]
                axes.axvspan(min(published), max(published), color="0.85", linewidth=0)
                for count, curve in by_samples(here):
                    line = curve.sort_values("scale")
                    axes.plot(line["scale"], line["mean"], color=colours[count], marker="o", markersize=2)
                axes.set(xscale="log", ylabel=f"{split} {PSNR}", title=f"{solver}, {split}")
        panels[0, 0].invert_xaxis()  # shared
        for axes in panels[-1]:
            axes.set_xlabel("σN (sigma times the number of samples)")
        key = [Line2D([], [], color=colour, label=f"N = {count}") for count, colour in colours.items()]
        figure.legend(handles=key, loc="outside upper center", ncols=8)
    about = material.published["thresholds"]
    notes = [
        "Grey: where the published results, by Adam, leave 3 dB below their best test PSNR and pass 100 dB of train"
        f" PSNR ({about['source']}).",
        *(note for experiment in SOLVERS for note in divergence_notes(material.records(experiment), experiment)),
    ]
    return Figure(figure, plotted.reset_index(drop=True), notes)


# Thresholds


def table_thresholds(material: Material) -> Table:
    """Where models memorise and where their test score breaks down, by N: published, by Adam and by least squares."""
    published = {
        int(name[2:]): found for name, found in material.published["thresholds"].items() if name.startswith("n_")
    }
    sweeps = {solver: sweep(material, experiment) for experiment, solver in SOLVERS.items()}
    runs = {solver: thresholds(found[found["encoding"] == GAUSSIAN]) for solver, found in sweeps.items()}
    counts = sorted({*published, *(count for run in runs.values() for count in run.index)}, reverse=True)
    columns: dict[Column, pd.Series] = {}
    formats: dict[Column, str] = {}
    for name, (title, spec) in THRESHOLDS.items():
        columns[title, "published"] = pd.Series({count: found[name] for count, found in published.items()}, dtype=float)
        for solver, run in runs.items():
            columns[title, f"{material.run_title}, {solver}"] = run[name]
        formats |= {column: spec for column in columns if column[0] == title}
    about = material.published["thresholds"]
    notes = [
        "Of the mean curve over signals, at the sigmas of the sweep, which goes in steps. N: training samples; stable"
        " rank: of the encoding on them, as computed.",
        f"published: {about['source']}; {about['unit']}.",
        *material.published["samples"]["notes"],
        *(note for experiment in SOLVERS for note in divergence_notes(material.records(experiment), experiment)),
    ]
    return Table(pd.DataFrame(columns, index=pd.Index(counts, name="N")), formats, notes)


def thresholds(curves: pd.DataFrame) -> pd.DataFrame:
    """The columns of `THRESHOLDS` by N, of a frame of `sweep`; NaN where a curve has no such place."""
    found = {}
    for count, of_count in by_samples(curves):
        both = of_count.pivot(index="scale", columns="split", values="mean").sort_index()
        about = of_count.drop_duplicates("scale").set_index("scale").loc[both.index]
        scale, sigma, rank = both.index.to_numpy(), about["sigma"].to_numpy(), about["stable_rank"].to_numpy()
        train, test = both["train"].to_numpy(), both["test"].to_numpy()
        memorised = np.flatnonzero(train > MEMORISED)
        first = memorised[-1] if len(memorised) else None  # from large sigma N to small
        found[count] = {
            "best_test": test.max(),
            "best_sigma": sigma[test.argmax()],
            "memorised_from": np.nan if first is None else scale[first],
            "rank_share": np.nan if first is None else rank[first] / count,
            "train_maximum": scale[train.argmax()],
            "kept_to": scale[np.flatnonzero(test >= test.max() - KEPT)[0]],
        }
    return pd.DataFrame.from_dict(found, orient="index", columns=list(THRESHOLDS))
