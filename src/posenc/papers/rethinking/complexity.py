"""Simple and complex codes (Zheng et al. 2022): pictures, clips, the closed form, times, and a figure of them all.

A simple code has the features of the axes side by side, a complex one their Kronecker product. Records count dense
layers, the output's included: depth 1 is linear, depth 5 has four hidden layers. Scores are PSNR in dB, not clipped.
Means and deviations run over report signals, after the mean over seeds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from posenc.papers.curves import PSNR
from posenc.papers.material import Column, Figure, Material, Table
from posenc.papers.reconstructions import draw_scored, first_signals, reconstructions, without_pictures
from posenc.papers.scores import (
    base_encoding,
    divergence_notes,
    framed,
    psnr_rows,
    signal_means,
    summary,
    with_variants_named,
)
from posenc.reporting import style, tiles

ENCODINGS = ["linear_frequency", "positional", "gaussian", "triangle", "shifted_gaussian"]  # the authors' order
CLOSED_FORM = "complex, closed form"


class Task(NamedTuple):
    """A kind of signal and a way of observing it, and the experiments that fit it."""

    signals: str  # pictures or clips
    sampling: str  # as published.yaml has it
    label: str
    experiments: list[str]


PICTURES = [
    Task("pictures", "grid", "pixels on a grid", ["pictures_simple", "pictures_complex", "pictures_solved"]),
    Task("pictures", "random", "pixels at random", ["pictures_random_simple", "pictures_random_complex"]),
]
CLIPS = [
    Task("clips", "grid", "voxels on a grid", ["clips_simple", "clips_complex", "clips_solved"]),
    Task("clips", "random", "voxels at random", ["clips_random_simple", "clips_random_complex"]),
]
# Which experiment has the fits that a method's time is of, by task and method.
TIMED = {
    ("pictures", "simple"): "pictures_simple",
    ("pictures", "complex"): "pictures_complex",
    ("pictures", "closed form"): "pictures_solved",
    ("clips", "simple"): "clips_random_simple",
    ("clips", "complex"): "clips_random_complex",
}


# Names and orders


def method(code: str, depth: float) -> str:
    """`simple, 4 hidden` of a code and a number of dense layers."""
    hidden = int(depth) - 1
    return f"{code}, {hidden} hidden" if hidden else f"{code}, linear"


def with_methods(records: pd.DataFrame) -> pd.DataFrame:
    """The records with a column `method`, variants of an encoding told apart within each."""
    codes = np.where(records["network"] == "kronecker", "complex", "simple")
    names = [method(code, depth) for code, depth in zip(codes, records["depth"], strict=True)]
    named = records.assign(method=np.where(records["optimizer"] == "least_squares", CLOSED_FORM, names))
    # Depths are told apart by the method: only what else varies becomes part of an encoding's name.
    return pd.concat(
        with_scales_named(with_variants_named(found.drop(columns="method"))).assign(method=name)
        for name, found in by_method(named)
    )


def with_scales_named(records: pd.DataFrame) -> pd.DataFrame:
    """The records, `encoding` telling scales apart where there are several: here no sigma is chosen."""
    several = records.groupby("encoding")["sigma"].transform("nunique") > 1
    spelled = records["sigma"].map("{:g}".format)
    return records.assign(encoding=records["encoding"].mask(several, records["encoding"] + ", sigma " + spelled))


def by_method(records: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """The records of each method, in the order of the tables."""
    return [(name, records[records["method"] == name]) for name in method_order(records["method"])]


def method_order(names: Iterable[str]) -> list[str]:
    """Simple before complex, linear before deep, the closed form last."""

    def place(name: str) -> tuple[bool, bool, int]:
        _, _, depth = name.partition(", ")
        return name.startswith("complex"), name == CLOSED_FORM, int(depth.split()[0]) if depth[0].isdigit() else 0

    return sorted(set(names), key=place)


def encoding_order(names: Iterable[str]) -> list[str]:
    """The authors' five in their order, then any other by name."""
    place = {name: i for i, name in enumerate(ENCODINGS)}
    return sorted(set(names), key=lambda name: (place.get(base_encoding(name), len(place)), name))


# Tables of scores


def table_pictures(material: Material) -> Table:
    """Test PSNR of pictures, by code, depth and encoding, observed on a grid and at random."""
    return table(material, PICTURES, "complexity_pictures")


def table_clips(material: Material) -> Table:
    """Test PSNR of clips, by code, depth and encoding, observed on a grid and at random."""
    return table(material, CLIPS, "complexity_clips")


def table(material: Material, tasks: list[Task], group: str) -> Table:
    """A row per method and encoding; for each way of sampling the published signals, this run, a reference run."""
    columns: dict[Column, pd.Series] = {}
    formats: dict[Column, str] = {}
    for task in tasks:
        for signal, scores in material.published[group][task.sampling].items():
            name: Column = (task.label, "published", signal.replace("_", " "))
            columns[name], formats[name] = published_scores(scores), ".2f"
        for title, records in runs(material, task).items():
            frame = scores_of(records)
            for statistic, spec in {"mean": ".2f", "std": ".2f", "n": ".0f"}.items():
                name = (task.label, title, statistic)
                columns[name], formats[name] = frame[statistic], spec
    found = {row for column in columns.values() for row in column.index}
    rows = [
        (name, encoding)
        for name in method_order(name for name, _ in found)
        for encoding in encoding_order(encoding for other, encoding in found if other == name)
    ]
    frame = pd.DataFrame({name: column.reindex(rows) for name, column in columns.items()})
    frame.index = pd.Index([f"{name}, {encoding}" for name, encoding in rows], name="code, depth, encoding")
    published, headlines = material.published[group], material.published["complexity_headlines"]
    signals = tasks[0].signals
    best = "; ".join(f"{task.label} {headlines[f'{signals}_{task.sampling}']:g}" for task in tasks)
    notes = [
        "PSNR in dB over what is not observed, not clipped; mean and std (divisor n) over the n report signals, seeds"
        " averaged first. Every encoding has one sigma for the task: at the paper's size the one its authors tuned.",
        "simple: features of the axes side by side; complex: their Kronecker product; closed form: least squares.",
        f"published: {published['source']}; {published['unit']}.",
        *published["notes"],
        *(scales_note(material.published["complexity_scales"], task) for task in tasks),
        f"Headline values ({headlines['source']}), of which method and encoding is not said: {best} dB.",
        weights_note(material.published["complexity_weights"], signals),
        *(note for task in tasks for name in task.experiments for note in diverged(material, name)),
    ]
    return Table(frame, formats, notes)


def published_scores(scores: Mapping[str, Mapping[str, float]]) -> pd.Series:
    """(method, encoding) -> PSNR of one published signal."""
    return pd.Series(
        {(published_method(key), name): value for key, values in scores.items() for name, value in values.items()},
        dtype=float,
    )


def published_method(key: str) -> str:
    """`simple, 4 hidden` of `simple_depth_5`."""
    code, depth = key.split("_depth_")
    return method(code, int(depth))


def runs(material: Material, task: Task) -> dict[str, pd.DataFrame]:
    """Heading -> records of all experiments of a task, with their methods: this run's, and a reference run's."""
    found = {material.run_title: [material.records(name) for name in task.experiments]}
    committed = {name: material.reference(name) for name in task.experiments}
    known = [name for name, records in committed.items() if records is not None]
    if known:
        found[material.reference_title(known)] = [records for records in committed.values() if records is not None]
    return {
        title: pd.concat([with_methods(records) for records in frames], ignore_index=True)
        for title, frames in found.items()
    }


def scores_of(records: pd.DataFrame) -> pd.DataFrame:
    """mean, std, n of the final test PSNR, by method and encoding."""
    by = ["method", "encoding"]
    rows = psnr_rows(records[records["chosen"] & records["final"]], ["test"])
    return summary(signal_means(rows, by), by).set_index(by)


def scales_note(scales: Mapping[str, Any], task: Task) -> str:
    """The sigmas that the authors tuned for a task."""
    ways = "; ".join(
        f"{way.replace('_', ' ')} " + ", ".join(f"{name} {sigma:.4g}" for name, sigma in found.items())
        for way, found in scales[f"{task.signals}_{task.sampling}"].items()
    )
    return f"published sigma, {task.label}: {ways} ({scales['source']})."


def weights_note(weights: Mapping[str, Any], signals: str) -> str:
    """How large the published networks are."""
    counts = "; ".join(f"{published_method(key)}: {count:,.0f}" for key, count in weights[signals].items())
    return f"Weights at the paper's size: {counts}."


def diverged(material: Material, experiment: str) -> list[str]:
    """What of an experiment diverged."""
    records = with_methods(material.records(experiment))
    named = records.assign(encoding=records["method"] + ", " + records["encoding"].astype(str))
    return divergence_notes(named, experiment)


# The closed form


def table_closed_form(material: Material) -> Table:
    """Linear models of complex codes: found by Adam, and by least squares."""
    columns: dict[Column, pd.Series] = {}
    formats: dict[Column, str] = {}
    scales, printed = material.published["complexity_scales"], material.published["complexity_timings"]
    ways = {"descent": "complex", "closed form": "closed_form"}
    tasks = (PICTURES[0], CLIPS[0])
    for task in tasks:
        for name, key in ways.items():
            column: Column = (task.signals, "published sigma", name)
            columns[column] = pd.Series(scales[f"{task.signals}_grid"][key], dtype=float)
            formats[column] = ".4g"
        for name, key in ways.items() if task is PICTURES[0] else ():
            column, entry = (task.signals, "published PSNR, all pixels", name), printed["pictures"][key]
            columns[column] = pd.Series({entry["encoding"]: entry["psnr"]}, dtype=float)
            formats[column] = ".2f"
        for title, values in both_ways(material, task).items():
            column = (task.signals, material.run_title, str(title))
            columns[column], formats[column] = values, ".4g" if str(title).endswith("sigma") else ".2f"
    rows = encoding_order(row for column in columns.values() for row in column.index)
    notes = [
        "PSNR in dB, observed on a grid; train: what is observed, test: all else; means over the report signals.",
        "closed form less descent: test PSNR, signal by signal, mean and std (divisor n).",
        "sigma: an exponent (linear_frequency, positional), cycles per unit length (gaussian), a length (triangle,"
        " shifted_gaussian). The authors tuned it for each way of finding the weights, so that two things differ.",
        f"published sigma: {scales['source']}. published PSNR: {printed['source']}.",
        *scales["notes"],
        *(note for task in tasks for name in task.experiments[1:] for note in diverged(material, name)),
    ]
    return Table(framed(columns, rows), formats, notes)


def both_ways(material: Material, task: Task) -> pd.DataFrame:
    """By encoding: sigma, train and test PSNR of linear complex codes found in both ways, and how far they differ."""
    _, descent, solved = task.experiments
    found: dict[str, pd.Series] = {}
    tests = {}
    for name, experiment in {"descent": descent, "closed form": solved}.items():
        records = with_methods(material.records(experiment))
        records = records[records["method"].isin([method("complex", 1), CLOSED_FORM])]
        rows = psnr_rows(records[records["chosen"] & records["final"]], ["train", "test"])
        means = signal_means(rows, ["encoding", "split"])
        found[f"{name}, sigma"] = records.groupby("encoding")["sigma"].first()
        for split in ("train", "test"):
            found[f"{name}, {split}"] = means[means["split"] == split].groupby("encoding")["value"].mean()
        tests[name] = means[means["split"] == "test"].set_index(["encoding", "signal"])["value"]
    difference = (tests["closed form"] - tests["descent"]).dropna().groupby("encoding")
    found["closed form less descent"] = difference.mean()
    found["std of that"] = difference.std(ddof=0).where(difference.size() > 1)
    return pd.DataFrame(found)


# Times


def table_timings(material: Material) -> Table:
    """Seconds of one fit by each method, and how many times less they are than the deep network's."""
    printed, study = material.published["complexity_timings"], material.records("complexity_timings")
    published = {
        (task, key.replace("_", " ")): entry for task in ("pictures", "clips") for key, entry in printed[task].items()
    }
    measured = {(str(task), str(item)): found for (task, item), found in study.groupby(["condition", "item"])}
    fits = sorted({**published, **measured}, key=lambda fit: fit[0] != "pictures")
    ours = f"{material.run_title}, one thread of this machine"
    rows = []
    for fit in fits:
        entry = published.get(fit, {})
        known = {
            ("published, one GPU", "encoding"): entry.get("encoding"),
            ("published, one GPU", "seconds"): entry.get("seconds"),
            ("published, one GPU", "times faster"): printed["speed_up"].get("_".join(fit).replace(" ", "_")),
            ("published, one GPU", "PSNR, all"): entry.get("psnr"),
        }
        found = {(ours, name): value for name, value in timed(material, fit, measured.get(fit)).items()}
        rows.append(known | found)
    frame = pd.DataFrame(rows, index=pd.Index([": ".join(fit) for fit in fits], name="fit"))
    specs = {"updates": ".0f", "PSNR, all": ".2f", "encoding": ""}
    formats: dict[Column, str] = {column: specs.get(column[1], ".3g") for column in frame.columns}
    notes = [
        "Times of one fit of one signal: simple is the deepest network behind a simple code, complex and closed form"
        " are linear models of a complex code. Pictures are observed on a grid, clips at random.",
        f"{ours}: seconds are those of preparing the features and of an update, measured on a few, times the number of"
        " updates; the closed form is measured whole. Means over rounds in which all methods take their turn; least and"
        " most of the rounds. Only how many times faster is comparable with what is published, and that goes with the"
        " sizes, which are those of the preset.",
        "PSNR, all: over all pixels or voxels, observed ones included; of this run the mean over report signals."
        f" Published losses on pictures: simple {printed['losses']['pictures_simple']:g}, complex"
        f" {printed['losses']['pictures_complex']:g}.",
        f"published: {printed['source']}; {printed['unit']}.",
        *printed["notes"],
    ]
    return Table(frame, formats, notes)


def timed(material: Material, fit: tuple[str, str], found: pd.DataFrame | None) -> dict[str, Any]:
    """What the study found of one fit; nothing of one that is only published."""
    names = ["encoding", "seconds", "seconds per update", "updates", "times faster", "least", "most", "PSNR, all"]
    if found is None:
        return dict.fromkeys(names)
    values = {str(metric): rows["value"] for metric, rows in found.groupby("metric")}
    faster = values.get("speed_up", pd.Series(dtype=float))
    entries = [
        found["encoding"].iloc[0],
        values["seconds"].mean(),
        values["seconds_per_update"].mean(),
        found["steps"].iloc[0],
        faster.mean(),
        faster.min(),
        faster.max(),
        timed_psnr(material, fit, found),
    ]
    return dict(zip(names, entries, strict=True))


def timed_psnr(material: Material, fit: tuple[str, str], found: pd.DataFrame) -> float:
    """The mean PSNR over everything of the fits that a time is of."""
    if fit not in TIMED:
        return np.nan
    records = material.records(TIMED[fit])
    records = records[records["encoding"] == found["encoding"].iloc[0]]
    depth = records["depth"].max() if fit[1] == "simple" else records["depth"].min()
    rows = psnr_rows(records[records["chosen"] & records["final"] & (records["depth"] == depth)], ["all"])
    return float(signal_means(rows, ["depth"])["value"].mean())


# The figure


def figure_complexity(material: Material) -> Figure:
    """Above, test PSNR by method and encoding for all tasks; below, one picture rebuilt by each."""
    scores = pd.concat(
        scores_of(runs(material, task)[material.run_title])
        .reset_index()
        .assign(signals=task.signals, sampling=task.sampling)
        for task in (*PICTURES, *CLIPS)
    )
    encodings = encoding_order(scores["encoding"])
    colours = style.encoding_colours(encodings)
    markers = {name: style.MARKERS[i % len(style.MARKERS)] for i, name in enumerate(encodings)}
    shown = rebuilt(material)
    rows = method_order(shown["method"])
    with style.applied():
        left, above = 1.2 * tiles.LINE, 2.9
        columns = encoding_order(shown["encoding"])
        size = (len(rows), 1 + max(len(ENCODINGS), len(columns)), style.TEXT_WIDTH)
        grid = tiles.TileGrid(*size, left=left, above=above, below=0.3 * tiles.LINE)
        panels = panels_above(grid, len(PICTURES) + len(CLIPS))
        for axes, task in zip(panels, (*PICTURES, *CLIPS), strict=True):
            found = scores[(scores["signals"] == task.signals) & (scores["sampling"] == task.sampling)]
            draw_scores(axes, found, method_order(scores["method"]), encodings, colours, markers)
            axes.set_title(f"{task.signals}, {task.label}")
        panels[0].set_yticklabels(method_order(scores["method"]))
        handles, labels = panels[0].get_legend_handles_labels()
        grid.figure.legend(handles, labels, loc="upper center", ncols=len(encodings))
        signal = shown["signal"].iloc[0]
        truth = grid.tile(0, len(columns))
        tiles.show(truth, material.truths("pictures_simple")[signal])
        tiles.title_above(truth, "truth")
        for row, name in enumerate(rows):
            for column, encoding in enumerate(columns):
                axes = grid.tile(row, column)
                draw_scored(axes, shown[(shown["method"] == name) & (shown["encoding"] == encoding)])
                if row == 0:
                    tiles.title_above(axes, encoding.replace("_", " "))
                if column == 0:
                    tiles.label_left(axes, name)
    plotted = pd.concat([scores, without_pictures(shown)], ignore_index=True)
    notes = [
        f"Below: {', '.join(shown['signal'].unique())}, test PSNR in each tile.",
        "Markers above: means over the report signals.",
        *(note for task in (*PICTURES, *CLIPS) for name in task.experiments for note in diverged(material, name)),
    ]
    return Figure(grid.figure, plotted, notes)


def rebuilt(material: Material) -> pd.DataFrame:
    """A report picture by every method and encoding, from pixels on a grid.

    It is the first that all experiments have, since larger sizes have fewer pictures; where there is none, each method
    has its own first.
    """
    records = {name: material.records(name) for name in PICTURES[0].experiments}
    known = [first_signals(frame, len(frame)) for frame in records.values()]
    common = [name for name in known[0] if all(name in names for names in known)][:1]
    frames = [
        reconstructions(material, experiment, of_method, common or first_signals(of_method, 1), "test").assign(
            method=name
        )
        for experiment, frame in records.items()
        for name, of_method in by_method(with_methods(frame))
    ]
    return pd.concat(frames, ignore_index=True)


def panels_above(grid: tiles.TileGrid, count: int) -> list[Axes]:
    """So many panels side by side over the tiles, in inches: names of rows to the left, titles and a legend above."""
    names, gap, top, bottom = 1.15, 0.12, 0.48, 0.75
    width = (grid.width - names - gap * (count - 1)) / count
    low = grid.height - grid.above + bottom
    height = grid.above - bottom - top
    boxes = [(names + i * (width + gap), low, width, height) for i in range(count)]
    return [
        grid.figure.add_axes((x / grid.width, y / grid.height, w / grid.width, h / grid.height)) for x, y, w, h in boxes
    ]


def draw_scores(
    axes: Axes,
    scores: pd.DataFrame,
    methods: list[str],
    encodings: list[str],
    colours: Mapping[str, str],
    markers: Mapping[str, str],
) -> None:
    """A line of markers per method; encodings a little above each other, so that equal ones can be told apart."""
    for number, encoding in enumerate(encodings):
        found = scores[scores["encoding"] == encoding]
        shift = 0.6 * (number / max(1, len(encodings) - 1) - 0.5)
        places = [methods.index(name) + shift for name in found["method"]]
        look: dict[str, Any] = {"color": colours[encoding], "marker": markers[encoding], "linestyle": ""}
        axes.plot(found["mean"], places, label=encoding.replace("_", " "), **look)
    axes.set_yticks(range(len(methods)), [""] * len(methods))
    axes.set_ylim(len(methods) - 0.5, -0.5)
    axes.set_xlabel(f"test {PSNR}")
