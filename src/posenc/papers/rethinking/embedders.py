"""Stable rank and distance preservation of encodings: R-F3 to R-F6, the table of ranks, and all encodings on one curve.

Stable rank is the sum of the squared singular values of the features over the largest; D is the inner product of two
points' normalised features, and its half-width that at which it falls to 0.1.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import NullFormatter

from posenc.papers.material import Column, Figure, Material, Table
from posenc.reporting import style

TRADE_OFF = math.sqrt(math.log(10) / math.pi)  # stable rank times half-width of a Gaussian D on a line: 0.856
NAMES = {"gaussian": "random Fourier", "shifted_gaussian": "shifted Gaussian"}
NUMBERS = ("sigma", "offset", "binary")  # what tells embedders of one encoding apart; absent from a study: NaN
OURS = {"sinc", "sine_squared"}  # not in either paper
PLATEAUS = "rank_plateaus"
SIDE_BY_SIDE, PRODUCT = "codes of the axes side by side", "Kronecker product of the axes' codes"
COUNTED = {1: "one dimension", 2: "two dimensions", 3: "three dimensions"}
PLACED = ["paper", "experiment", "encoding", "sigma", "dimensions", "code"]


def named(encoding: str, sigma: float = math.nan, offset: float = math.nan, binary: float = math.nan) -> str:
    """An embedder in words: "shifted Gaussian, σ 0.01"."""
    words = NAMES.get(encoding, encoding.replace("_", " "))
    if math.isnan(sigma):
        return words
    if encoding == "square_wave":
        words += " 0/1" if binary == 1 else " ±1"
    return f"{words}, σ {sigma:g}" + ("" if math.isnan(offset) or offset == 0 else f", offset {offset:g}")


def readings_note(published: Mapping[str, Any]) -> str:
    return f"Crosses: published ({published['source']})."


def readings(published: Mapping[str, Any]) -> pd.DataFrame:
    """Columns encoding, those of NUMBERS, samples, value."""
    frame = pd.DataFrame(published["ranks"], columns=["encoding", *NUMBERS, "samples", "value"])
    return frame.astype(dict.fromkeys([*NUMBERS, "samples", "value"], float))


# R-F3, R-F4 and R-F5


def figure_embedders(material: Material) -> Figure:
    """R-F3: seven embedders, each in its colour."""
    return curves(material, "embedder_ranks", "figure_embedders", ordered=False)


def figure_gaussian_scales(material: Material) -> Figure:
    """R-F4: shifted Gaussians from wide to narrow."""
    return curves(material, "shifted_scales", "figure_gaussian_scales", ordered=True)


def figure_rff_scales(material: Material) -> Figure:
    """R-F5: random Fourier features from low to high frequencies."""
    return curves(material, "random_scales", "figure_rff_scales", ordered=True)


def curves(material: Material, study: str, group: str, ordered: bool) -> Figure:
    """(a) stable rank over the number of points and (b) D over the displacement, with formulas dashed."""
    embedders = in_order(material.records(study))
    plotted = pd.concat([curve_rows(material, study, row) for row in embedders.to_dict("records")], ignore_index=True)
    published = readings(material.published[group])
    if ordered:
        colours = dict(zip(embedders["label"], style.ordered_colours(len(embedders)), strict=True))
    else:
        by_encoding = style.encoding_colours(embedders["encoding"])
        colours = {row["label"]: by_encoding[row["encoding"]] for row in embedders.to_dict("records")}
    with style.applied():
        figure = style.new_figure(style.TEXT_WIDTH, 2.9)
        left, right = figure.subplots(1, 2)
        for axes, panel in ((left, "rank"), (right, "similarity")):
            for label in embedders["label"]:
                line = plotted[(plotted["panel"] == panel) & (plotted["embedder"] == label)]
                axes.plot(line["x"], line["formula"], color=colours[label], linestyle="--", linewidth=0.7, alpha=0.8)
                axes.plot(line["x"], line["value"], color=colours[label], label=label)
        shown = published.merge(embedders[["encoding", "sigma", "label"]], on=["encoding", "sigma"])
        for row in shown[shown["offset"].isna() & shown["value"].notna()].to_dict("records"):
            left.plot(row["samples"], row["value"], "x", color=colours[row["label"]], markersize=5)
        highest = plotted.loc[plotted["panel"] == "rank", ["value", "formula"]].to_numpy().max()
        left.set(title="(a) stable rank", xlabel="points N", ylim=(0, 1.08 * highest))
        right.set(title="(b) similarity D", xlabel="displacement (unit length)", xlim=(-0.5, 0.5))
        handles = [Line2D([], [], color=colours[label], label=label) for label in embedders["label"]]
        handles.append(Line2D([], [], color="0.3", linestyle="--", linewidth=0.7, label="formula"))
        handles.append(Line2D([], [], color="0.3", marker="x", linestyle="", label="published reading"))
        figure.legend(handles=handles, loc="outside upper center", ncols=4)
    notes = [
        "Formulas are of infinitely many features, stable ranks min(N, plateau).",
        readings_note(material.published[group]),
        *material.published[group].get("notes", []),
    ]
    return Figure(figure, plotted, notes)


def in_order(found: pd.DataFrame) -> pd.DataFrame:
    """A row per embedder of a study, in the study's order: encoding, those of NUMBERS, `key` of arrays, `label`."""
    columns = ["place", "encoding", *NUMBERS]
    embedders = found.dropna(subset=["place"]).reindex(columns=columns).drop_duplicates().sort_values("place")
    embedders = embedders.astype(dict.fromkeys(NUMBERS, float))
    settings = embedders[columns[1:]].itertuples(index=False, name=None)
    keys, labels = zip(*((key_of(*setting), named(*setting)) for setting in settings), strict=True)
    return embedders.assign(key=keys, label=labels)


def key_of(encoding: str, *numbers: float) -> str:
    """Where a study has an embedder's arrays."""
    return "/".join([encoding, *(f"{number:g}" for number in numbers if not math.isnan(number))])


def curve_rows(material: Material, study: str, embedder: Mapping[Any, Any]) -> pd.DataFrame:
    """A row per point of both panels of one embedder."""
    arrays, key = material.theory(study), embedder["key"]
    about = {"embedder": embedder["label"], "encoding": embedder["encoding"], "sigma": embedder["sigma"]}
    panels = {"rank": arrays["samples"], "similarity": arrays[f"{key}/displacements"]}
    rows = [
        pd.DataFrame(
            {
                "panel": panel,
                **about,
                "x": x,
                "value": arrays[f"{key}/{panel}"],
                "formula": arrays[f"{key}/{panel}_closed"],
            }
        )
        for panel, x in panels.items()
    ]
    return pd.concat(rows, ignore_index=True)


# The table of ranks


def table_ranks(material: Material) -> Table:
    """Plateaus of the stable rank: by formula, computed, and read off the authors' figures."""
    found = material.records(PLATEAUS)
    embedders = in_order(found)
    ranks = found[found["metric"] == "stable_rank"]
    groups = ranks.groupby(["place", "condition"])["value"]
    means, spread = groups.mean().unstack(), groups.std(ddof=0).unstack()
    widths = found[found["metric"] == "half_width"].set_index("place")["value"]
    places = embedders["place"]
    read = pd.concat([readings(material.published[group]) for group in material.published], ignore_index=True)
    settings = ["encoding", *NUMBERS]
    read = embedders.merge(read.drop_duplicates(settings), on=settings, how="left")  # NaN meets NaN
    here = f"computed, N = {ranks['samples'].iloc[0]:g}"
    columns: dict[Column, Any] = {
        ("theory", "half-width"): widths.reindex(places),
        ("theory", "stable rank"): means["formula"].reindex(places),
        (here, "circle"): means["circle"].reindex(places),
        (here, "line"): means["line"].reindex(places),
        (here, "draws, mean"): means["draws"].reindex(places),
        (here, "draws, std"): spread["draws"].reindex(places),
        ("published", "reading"): read["value"],
        ("published", "at N"): read["samples"].where(read["value"].notna()),
    }
    labels = [
        label + (" (ours)" if encoding in OURS else "")
        for label, encoding in zip(embedders["label"], embedders["encoding"], strict=True)
    ]
    frame = pd.DataFrame(
        {column: np.asarray(values, dtype=float) for column, values in columns.items()},
        index=pd.Index(labels, name="embedder"),
    )
    formats: dict[Column, str] = dict.fromkeys(columns, ".4g")
    draws = ranks.loc[ranks["condition"] == "draws", "seed"].nunique()
    features = ranks["features"].iloc[0]
    notes = [
        f"{features:,.0f} features. σ is a length, of waves their frequency, of random Fourier features in cycles per"
        " unit length. Circle and line of random Fourier features are those of infinitely many, from D;"
        f" draws are {draws} of {features:,.0f}.",
        "Half-width: the displacement at which D falls to 0.1, a dash where it never does.",
        *dict.fromkeys(f"published: {group['source']}." for group in material.published.values()),
        *(note for group in material.published.values() for note in group.get("notes", [])),
    ]
    return Table(frame, formats, notes)


# R-F6


def figure_trade_off(material: Material) -> Figure:
    """R-F6: stable rank against half-width at random scales, on the authors' axes and on logarithmic ones."""
    records = material.records("trade_off")
    rows = records[records["metric"].isin(["stable_rank", "half_width"])]
    by = ["encoding", "sigma", "features", "source"]
    plotted = rows.pivot_table(index=by, columns="metric", values="value").reset_index()
    numbers = sorted(plotted["features"].unique())
    markers = dict(zip(numbers, style.MARKERS, strict=False))
    colours = style.encoding_colours(plotted["encoding"])
    with style.applied():
        figure = style.new_figure(style.TEXT_WIDTH, 3.2)
        linear, logarithmic = figure.subplots(1, 2)
        for axes in (linear, logarithmic):
            for (encoding, features), points in plotted.groupby(["encoding", "features"]):
                axes.plot(
                    points["half_width"],
                    points["stable_rank"],
                    markers[features],
                    color=colours[str(encoding)],
                    markersize=2.5,
                    markeredgewidth=0,
                    alpha=0.7,
                )
            draw_curve(axes, plotted["half_width"].min(), plotted["half_width"].max(), 1, color="black")
            axes.set(xlabel="half-width of D (unit length)", ylabel="stable rank")
        linear.set(title="(a) axes as published", xlim=(0, 0.05), ylim=(0, 200))
        logarithmic.set(title="(b) all points", xscale="log", yscale="log")
        handles = [Line2D([], [], color=colours[name], marker="o", linestyle="", label=named(name)) for name in colours]
        handles += [
            Line2D([], [], color="0.4", marker=marker, linestyle="", label=f"{features:g} features")
            for features, marker in markers.items()
        ]
        handles.append(Line2D([], [], color="black", linewidth=0.9, label="formula"))
        figure.legend(handles=handles, loc="outside upper center", ncols=4)
    notes = [
        "Formula: stable rank times half-width is sqrt(ln 10 / π) = 0.856, of both kinds. As many points as features.",
        *material.published["figure_trade_off"]["notes"],
    ]
    return Figure(figure, plotted, notes)


def gaussian_curve(half_width: np.ndarray, dimensions: int) -> np.ndarray:
    """Stable rank of a product of Gaussian D over so many axes, by the half-width along the diagonal.

    D = exp(-d delta^2 / (4 sigma^2)) along it and rank (2 sqrt(pi) sigma)^-d; of one axis also that of codes side by
    side, whose D is a mean over axes.
    """
    return (TRADE_OFF / math.sqrt(dimensions) / half_width) ** dimensions


def draw_curve(axes: Axes, first: float, last: float, dimensions: int, **look: Any) -> None:
    widths = np.geomspace(first, last, 400)
    axes.plot(widths, gaussian_curve(widths, dimensions), linewidth=0.9, **look)


# All encodings


def figure_encodings(material: Material) -> Figure:
    """Every encoding of every experiment on the plane of half-width and stable rank, a panel per number of axes."""
    plotted = all_encodings(material)
    lost = plotted[plotted[["stable_rank", "distance"]].isna().any(axis=1)]
    shown = plotted.drop(lost.index)
    looks = encoding_looks(shown["encoding"])
    with style.applied():
        figure = style.new_figure(style.TEXT_WIDTH, 3.6)
        dimensions = sorted(shown["dimensions"].unique())
        for axes, axis_count in zip(figure.subplots(1, len(dimensions), squeeze=False)[0], dimensions, strict=True):
            here = shown[shown["dimensions"] == axis_count]
            for (encoding, code), points in here.groupby(["encoding", "code"]):
                look = looks[str(encoding)] | ({"markerfacecolor": "none"} if code == PRODUCT else {"alpha": 0.8})
                axes.plot(points["distance"], points["stable_rank"], linestyle="", markersize=3.5, **look)
            first, last = here["distance"].min(), here["distance"].max()
            draw_curve(axes, first, last, int(axis_count), color="black")
            if axis_count > 1:
                draw_curve(axes, first, last, 1, color="0.5", linestyle="--")
            axes.set(title=f"{COUNTED[int(axis_count)]}")
            axes.set(xscale="log", yscale="log", xlabel="half-width of D (unit length)")
            axes.set_xlim(10 ** math.floor(math.log10(first / 1.2)), 10 ** math.ceil(math.log10(last * 1.2)))
            axes.xaxis.set_minor_formatter(NullFormatter())
            axes.set_ylim(0.8, 2 * here["stable_rank"].max())
        figure.axes[0].set_ylabel("stable rank")
        handles = [Line2D([], [], linestyle="", label=named(name), **look) for name, look in looks.items()]
        handles += [
            Line2D([], [], color="0.3", marker="o", linestyle="", markerfacecolor="none", label="open: product code"),
            Line2D([], [], color="black", linewidth=0.9, label="Gaussian D of all axes"),
            Line2D([], [], color="0.5", linestyle="--", linewidth=0.9, label="Gaussian D of one axis"),
        ]
        figure.legend(handles=handles, loc="outside upper center", ncols=5)
    notes = [
        "A point per experiment and scale, means over seeds; of experiments over the number of points the most points."
        " Those of one dimension that no experiment has come from the table of ranks. Half-width along the diagonal"
        " of the domain.",
        *missing_note(lost),
    ]
    return Figure(figure, plotted, notes)


def all_encodings(material: Material) -> pd.DataFrame:
    """A row per experiment, encoding, scale and kind of code: `stable_rank` and `distance`, means over seeds."""
    found = pd.concat([points_of(encodings) for encodings in material.metrics], ignore_index=True)
    return pd.concat([found, plateau_points(material.records(PLATEAUS), set(found["encoding"]))], ignore_index=True)


def points_of(encodings: pd.DataFrame) -> pd.DataFrame:
    """A row for those of an experiment's encodings that differ in their seed alone."""
    if "stride" in encodings:
        encodings = encodings[encodings["stride"] == encodings["stride"].min()]
    code = np.where(encodings["network"] == "kronecker", PRODUCT, SIDE_BY_SIDE)
    scales = encodings.reindex(columns=["sigma", "features"]).astype("float64")
    groups = encodings.assign(code=code, **scales).groupby([*PLACED, "features"], dropna=False)
    found = groups[["stable_rank", "distance"]].mean()
    return found.assign(note=groups["metrics_note"].first()).reset_index()


def plateau_points(found: pd.DataFrame, known: set[str]) -> pd.DataFrame:
    """The study's embedders that are in no experiment: stable rank on the line, half-width by formula."""
    rows = found[~found["encoding"].isin(known)].dropna(subset=["place"])
    ranks = rows[(rows["metric"] == "stable_rank") & (rows["condition"] == "line")]
    widths = rows[(rows["metric"] == "half_width") & (rows["value"] > 0)].set_index("place")["value"]
    return pd.DataFrame(
        {
            **{column: ranks[column] for column in ("paper", "experiment", "encoding", "sigma", "features")},
            "dimensions": 1,
            "code": SIDE_BY_SIDE,
            "stable_rank": ranks["value"],
            "distance": ranks["place"].map(widths),
            "note": None,
        }
    )


def encoding_looks(encodings: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Colour and marker of each encoding; those without a colour of their own differ in one of the two."""
    colours = style.encoding_colours(encodings)
    others = [name for name in sorted(colours) if name not in style.ENCODING_COLOURS]
    spare = len({colours[name] for name in others}) or 1
    markers = {name: style.MARKERS[(1 + place // spare) % len(style.MARKERS)] for place, name in enumerate(others)}
    order = [name for name in style.ENCODING_COLOURS if name in colours] + others
    return {name: {"color": colours[name], "marker": markers.get(name, style.MARKERS[0])} for name in order}


def missing_note(lost: pd.DataFrame) -> list[str]:
    """Which encodings have no place, and why."""
    if lost.empty:
        return []
    reasons = lost.assign(note=lost["note"].fillna("no width")).groupby("note")["encoding"].unique()
    told = "; ".join(f"{', '.join(map(named, sorted(names)))} ({note})" for note, names in reasons.items())
    return [f"Without a place in some experiment: {told}."]
