"""One dimension: Figures 2 to 5, 7 and 12 to 14 and Table 2.

Errors are mean squared errors on training or test points. Means over signals are means of logarithms, since signals
differ by factors.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from posenc.papers.material import Arrays, Figure, Material, Table
from posenc.papers.scores import is_of_diverged_fit
from posenc.reporting import style

FAMILIES = ["gaussian", "uniform", "uniform_log", "laplace"]
# The authors' best power of dense features for each alpha (Figure 4).
DENSE_EXPONENTS = {0.5: 0.4, 1.0: 0.75, 1.5: 1.5}
INFINITE_AT = 2.5  # where Figure 5 has the infinite exponent on its axis
SMALLEST_SHOWN = 1e-6  # of errors over time: theory goes on to the smallest numbers there are
OBSERVED, PREDICTED, CONSTRUCTED = "network", "kernel regression from the start", "published construction"
LINES: dict[str, Any] = {
    OBSERVED: {"linestyle": "-", "linewidth": 1.2},
    PREDICTED: {"linestyle": "--", "linewidth": 1.0},
    CONSTRUCTED: {"linestyle": ":", "linewidth": 0.9, "alpha": 0.8},
}
KINDS = {OBSERVED: "observed/", PREDICTED: "", CONSTRUCTED: "published/"}


def exponent_name(exponent: float) -> str:
    """p as it is written: none where there is no encoding."""
    return "none" if math.isnan(exponent) else "p = ∞" if math.isinf(exponent) else f"p = {exponent:g}"


def exponent_colours(exponents: Iterable[float]) -> dict[str, str]:
    """A colour per exponent by name, from dark to light, and that of no encoding."""
    ordered = sorted(exponent for exponent in set(exponents) if not math.isnan(exponent))
    colours = dict(zip(map(exponent_name, ordered), style.ordered_colours(len(ordered)), strict=True))
    return colours | {"none": style.ENCODING_COLOURS["none"]}


def readings(published: Mapping[str, Any]) -> str:
    """What was read off the paper's figure, in one sentence."""
    groups = {name: found for name, found in published.items() if isinstance(found, Mapping)}
    told = "; ".join(
        f"{spelled(name)} {', '.join(f'{value:.3g} ({spelled(key)})' for key, value in found.items())}"
        for name, found in groups.items()
    )
    return f"Published readings ({published['source']}; about 3 % uncertain), {published['unit']}: {told}."


def spelled(key: str) -> str:
    """A key of published.yaml in words: p_0.5 is p = 0.5, alpha_1 is α = 1."""
    name, _, value = key.rpartition("_")
    if name in ("p", "alpha", "depth"):
        return f"{name.replace('alpha', 'α')} = {value.replace('inf', '∞')}"
    return key.replace("_", " ").replace("at p 0", "at p = 0")


# Kernels


def figure_2(material: Material) -> Figure:
    """Kernel matrices without and with an encoding, composed kernels and their spectra over exponents."""
    arrays = material.theory("kernel_spectra")
    found = material.records("kernel_spectra")
    exponents = sorted(found.loc[found["metric"] == "band_edge", "exponent"])
    colours = exponent_colours(exponents)
    plotted = pd.concat(
        [
            curve_rows("kernel", exponent, "offset", arrays["offsets"], arrays[f"kernel/{exponent:g}"])
            for exponent in exponents
        ]
        + [curve_rows("spectrum", p, "frequency", *two_sided(arrays[f"spectrum/{p:g}"])) for p in exponents],
        ignore_index=True,
    )
    with style.applied():
        figure = style.new_figure(style.TEXT_WIDTH, 4.6)
        panels = figure.subplots(2, 2).flatten()
        for axes, name, letter in zip(panels, ("none", "basic"), "ab", strict=False):
            angles = arrays["angles"] / (2 * math.pi)  # a turn is the unit length
            extent = (angles[0], angles[-1], angles[-1], angles[0])
            image = axes.imshow(arrays[f"matrix/{name}"], extent=extent, cmap="viridis", interpolation="nearest")
            axes.set(title=f"({letter}) {name}: kernel of two points", xlabel="x", ylabel="x'")
            axes.grid(False)
            figure.colorbar(image, ax=axes, shrink=0.85)
        for axes, panel, letter in zip(panels[2:], ("kernel", "spectrum"), "cd", strict=True):
            for exponent in exponents:
                line = plotted[(plotted["panel"] == panel) & (plotted["p"] == exponent_name(exponent))]
                name = exponent_name(exponent)
                axes.plot(line["x"], line["value"], color=colours[name], label=name)
            axes.set_title(f"({letter}) composed {'kernel' if panel == 'kernel' else 'spectrum'}")
            axes.set_xlabel("x - x'" if panel == "kernel" else "frequency (cycles per unit length)")
        panels[3].set_yscale("log")
        panels[2].legend(loc="upper left", fontsize=style.SMALL)
    return Figure(figure, plotted, [readings(material.published["figure_2"])])


def figure_7(material: Material) -> Figure:
    """Spectra over depth, of the basic kernel and of one with an extra frequency."""
    arrays = material.theory("kernel_spectra")
    names = {"basic": "(a) one frequency", "extra": "(b) with an extra frequency"}
    depths = sorted({int(key.rsplit("/", 1)[1]) for key in arrays if key.startswith("spreading/")})
    colours = dict(zip(depths, style.ordered_colours(len(depths)), strict=True))
    rows = []
    for name in names:
        for hidden in depths:
            frequencies, values = two_sided(arrays[f"spreading/{name}/{hidden}"])
            rows.append(pd.DataFrame({"panel": name, "depth": hidden, "frequency": frequencies, "value": values}))
    plotted = pd.concat(rows, ignore_index=True)
    with style.applied():
        figure = style.new_figure(style.TEXT_WIDTH, 2.5)
        for axes, (name, title) in zip(figure.subplots(1, 2, sharey=True), names.items(), strict=True):
            for hidden in depths:
                line = plotted[(plotted["panel"] == name) & (plotted["depth"] == hidden)]
                axes.plot(line["frequency"], line["value"], color=colours[hidden], label=f"{hidden} hidden layers")
            axes.set(title=title, xlabel="frequency (cycles per unit length)", yscale="log")
            axes.legend()
        figure.axes[0].set_ylabel("spectrum of the kernel")
    return Figure(figure, plotted, [readings(material.published["figure_7"])])


def two_sided(spectrum: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Frequencies from -n/2 to n/2 - 1 and their values."""
    count = len(spectrum)
    return np.arange(count) - count // 2, np.roll(spectrum, count // 2)


def curve_rows(panel: str, exponent: float, axis: str, x: np.ndarray, values: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame({"panel": panel, "p": exponent_name(exponent), "axis": axis, "x": x, "value": values})


# Dynamics


def figure_3(material: Material) -> Figure:
    """Training on one signal without an encoding and with p = 0, 1 and infinity."""
    return dynamics(material, [0.0, 1.0, math.inf, math.nan], material.published["figure_3"])


def figure_12(material: Material) -> Figure:
    """Figure 3 for p from 0 to 2."""
    return dynamics(material, [0.0, 0.5, 1.0, 1.5, 2.0], material.published["figure_12"])


def dynamics(material: Material, wanted: Sequence[float], published: Mapping[str, Any]) -> Figure:
    """Learnt functions, errors and residuals over training time of the first signal, with both kinds of theory."""
    arrays = material.theory("line_theory")
    records = material.records("line_dynamics")
    (first, *_) = records["signal"].unique()
    bins = sorted(records["item"].dropna().unique(), key=lambda item: int(item.split()[1]))
    fitted = {key.removesuffix("/time") for key in arrays if key.endswith("/time")}
    exponents = [p for p in wanted if series_label(p) in fitted]
    colours = exponent_colours(wanted)
    plotted = pd.concat([series(arrays, series_label(p), first, bins) for p in exponents], ignore_index=True)
    titles = {"train": "training error", "test": "test error"} | {
        f"residual {item}": f"training residual, frequency {item.split()[1]}" for item in bins
    }
    with style.applied():
        figure = style.new_figure(style.TEXT_WIDTH, 4.4)
        panels = figure.subplots(2, 3).flatten()
        learnt(panels[0], material, first, exponents, colours)
        for axes, (quantity, title) in zip(panels[1:], titles.items(), strict=False):
            for kind, look in LINES.items():
                for name, line in plotted[(plotted["quantity"] == quantity) & (plotted["kind"] == kind)].groupby("p"):
                    axes.plot(line["time"], line["value"], color=colours[str(name)], **look)
            axes.set(title=title, yscale="log", xlabel="learning rate × updates")
            axes.set_ylim(bottom=max(axes.get_ylim()[0], SMALLEST_SHOWN))
            axes.set_ylabel("|FFT|" if quantity.startswith("residual") else "mean squared error")
        for axes in panels[1 + len(titles) :]:
            axes.set_visible(False)
        key = [Line2D([], [], color=colours[exponent_name(p)], label=exponent_name(p)) for p in exponents]
        key += [Line2D([], [], color="0.2", label=kind, **look) for kind, look in LINES.items()]
        figure.legend(handles=key, loc="outside upper center", ncols=4)
    notes = [
        f"Signal {first}. Dashed: predicted once, from what the network gave before its first update. Dotted: the "
        "published construction, which starts anew from the network's outputs at every logged step, is no prediction.",
        readings(published),
    ]
    return Figure(figure, plotted, notes)


def series_label(exponent: float) -> str:
    """Where the arrays of the study have an encoding."""
    return "none/nan" if math.isnan(exponent) else f"power_law/{exponent:g}"


def series(arrays: Arrays, label: str, signal: str, bins: Sequence[str]) -> pd.DataFrame:
    """A row per kind of curve, quantity and logged step of one encoding and signal."""
    rows = []
    for kind, folder in KINDS.items():
        curves = {name: arrays[f"{label}/{signal}/{folder}{name}"] for name in ("train", "test")}
        residuals = arrays[f"{label}/{signal}/{folder}residual"]
        curves |= {f"residual {item}": residuals[:, place] for place, item in enumerate(bins)}
        for quantity, values in curves.items():
            about = {"p": exponent_name(float(label.split("/")[1])), "signal": signal, "kind": kind}
            time = {"step": arrays[f"{label}/steps"], "time": arrays[f"{label}/time"]}
            rows.append(pd.DataFrame({**about, "quantity": quantity, **time, "value": values}))
    return pd.concat(rows, ignore_index=True)


def learnt(axes: Axes, material: Material, signal: str, exponents: Iterable[float], colours: dict[str, str]) -> None:
    """The functions the networks have learnt, and the truth."""
    records = material.records("line_dynamics")
    truth = material.signals("line_dynamics")[signal]["values"]
    places = np.arange(len(truth)) / len(truth)
    axes.plot(places, truth, color="black", linewidth=0.8, label="truth")
    for p in exponents:
        of_encoding = records["exponent"].isna() if math.isnan(p) else records["exponent"] == p
        fit = records[of_encoding].iloc[0]
        arrays = material.arrays("line_dynamics", fit["combination"])
        stacked = f"{fit['member']}/{signal}"
        values = arrays[stacked] if stacked in arrays else arrays[signal]
        axes.plot(places, values, color=colours[exponent_name(p)], linewidth=0.8)
    axes.set(title="learnt functions", xlabel="x")


# Scales of sampled frequencies


def figure_4(material: Material) -> Figure:
    """Test error over the scale of sampled frequencies, a panel per alpha, dense features dashed."""
    return scales(material, ["test"], material.published["figure_4"])


def figure_13(material: Material) -> Figure:
    """Figure 4 with the training error."""
    return scales(material, ["test", "train"], material.published["figure_4"])


def scales(material: Material, splits: list[str], published: Mapping[str, Any]) -> Figure:
    records = material.records("line_scales")
    rows = final_errors(records)
    rows = rows[rows["split"].isin(splits)]
    by = ["condition", "split", "encoding", "sigma", "exponent", "seed"]
    plotted = mean_errors(rows, by, bandwidth=("bandwidth", "first"))
    plotted["std_of_law"] = [std_of_law(*pair) for pair in zip(plotted["encoding"], plotted["sigma"], strict=True)]
    alphas = sorted(plotted["condition"].unique(), key=alpha_of)
    colours = dict(zip(FAMILIES, (style.ENCODING_COLOURS["gaussian"], *spare_colours(3)), strict=True))
    with style.applied():
        figure = style.new_figure(style.TEXT_WIDTH, 0.5 + 2.2 * len(splits))
        panels = figure.subplots(len(splits), len(alphas), sharex=True, squeeze=False)
        for line_of_panels, split in zip(panels, splits, strict=True):
            for axes, condition in zip(line_of_panels, alphas, strict=True):
                here = plotted[(plotted["condition"] == condition) & (plotted["split"] == split)]
                for family, marker in zip(FAMILIES, style.MARKERS, strict=False):
                    points = here[here["encoding"] == family]
                    look = {"color": colours[family], "marker": marker, "linestyle": "", "markersize": 3.5}
                    axes.plot(points["bandwidth"], points["mse"], label=family, **look)
                dense = here[(here["encoding"] == "power_law") & (here["exponent"] == own_exponent(condition))]
                for value in dense.groupby("exponent")["mse"].mean():
                    axes.axhline(value, color="0.3", linestyle="--", linewidth=0.9, label="dense")
                axes.set_xscale("log", base=2)
                axes.set_yscale("log")
                axes.set_title(condition.replace("alpha=", "α = "))
            line_of_panels[0].set_ylabel(f"{split} mean squared error")
        for axes in panels[-1]:
            axes.set_xlabel("RMS of b (cycles per unit)")
        key = dict(zip(*panels[0, 0].get_legend_handles_labels()[::-1], strict=True))
        figure.legend(handles=key.values(), labels=key.keys(), loc="outside upper center", ncols=5)
    notes = [
        "A point per draw of frequencies; RMS is the root mean square about zero; the CSV has each "
        "law's standard deviation, too. Means over the report signals are means of logarithms. Dense: all whole "
        "frequencies with amplitudes 1 / b^p, p = 0.4, 0.75, 1.5 for α = 0.5, 1, 1.5, as the authors picked them.",
        readings(published),
    ]
    return Figure(figure, plotted, notes + diverged_note(records))


def std_of_law(family: str, sigma: float) -> float:
    """Standard deviation about the mean of what frequencies are drawn from; the paper's axis is about zero."""
    if family == "uniform_log" and sigma > 0 and sigma != 1:
        mean = (sigma - 1) / math.log(sigma)
        return math.sqrt((sigma**2 - 1) / (2 * math.log(sigma)) - mean**2)
    return sigma * {"gaussian": 1.0, "uniform": 12**-0.5, "laplace": 2**0.5, "uniform_log": 0.0}.get(family, math.nan)


def own_exponent(condition: str) -> float:
    return DENSE_EXPONENTS.get(alpha_of(condition), math.nan)


def alpha_of(condition: str) -> float:
    return float(condition.removeprefix("alpha="))


def spare_colours(count: int) -> list[str]:
    """Colours that none of the papers' first encodings has."""
    names = [f"spare {i}" for i in range(count)]
    return list(style.encoding_colours(names).values())


def final_errors(records: pd.DataFrame) -> pd.DataFrame:
    """Final mean squared errors of report signals, without fits that diverged."""
    wanted = (records["metric"] == "mse") & records["final"] & (records["set"] == "report")
    return records[wanted & ~is_of_diverged_fit(records)]


def diverged_note(records: pd.DataFrame) -> list[str]:
    """How many fits diverged, where some did."""
    lost = records[is_of_diverged_fit(records)].drop_duplicates(["combination", "member", "signal"])
    return [f"{len(lost)} fits diverged and are left out."] if len(lost) else []


def mean_errors(rows: pd.DataFrame, by: list[str], **others: Any) -> pd.DataFrame:
    """`mse`, the geometric mean over signals, and `n`, per group."""
    rows = rows.assign(level=np.log10(rows["value"].clip(lower=np.finfo(float).tiny)))
    found = rows.groupby(by, dropna=False).agg(level=("level", "mean"), n=("level", "size"), **others).reset_index()
    return found.assign(mse=10 ** found["level"]).drop(columns="level")


# Power laws and optimised amplitudes


def figure_5(material: Material) -> Figure:
    """Spectra of optimised kernels, and the test error over the exponent, trained and predicted."""
    arrays, study = material.theory("best_amplitudes"), material.records("best_amplitudes")
    records = material.records("line_powers")
    rows = final_errors(records)
    by = ["condition", "encoding", "exponent", "alpha"]
    trained = mean_errors(rows[rows["split"] == "test"], by).assign(panel="trained")
    predicted = study[study["metric"] == "predicted_mse"].rename(columns={"value": "mse"})
    predicted = predicted[["condition", "encoding", "exponent", "alpha", "mse"]].assign(panel="predicted", n=1)
    # Amplitudes are optimised for one alpha, and shown for that one.
    both = pd.concat([trained, predicted], ignore_index=True)
    foreign = (both["encoding"] == "optimised") & (both["alpha"] != both["condition"].map(alpha_of))
    plotted = both[~foreign].reset_index(drop=True)
    alphas = sorted(plotted["condition"].unique(), key=alpha_of)
    colours = dict(zip(alphas, style.ordered_colours(len(alphas)), strict=True))
    with style.applied():
        figure = style.new_figure(style.TEXT_WIDTH, 2.6)
        spectra, *sweeps = figure.subplots(1, 3)
        for condition in alphas:
            draw_spectrum(spectra, arrays[f"spectrum/optimised/{condition}"], colours[condition], condition)
        draw_spectrum(spectra, arrays[f"spectrum/inf/{alphas[0]}"], "0.4", "p = ∞", linestyle="--")
        spectra.set(title="(a) optimised kernels", xlabel="frequency (cycles per unit)", yscale="log")
        spectra.legend(fontsize=style.SMALL)
        for axes, panel in zip(sweeps, ("trained", "predicted"), strict=True):
            for condition in alphas:
                here = plotted[(plotted["panel"] == panel) & (plotted["condition"] == condition)]
                draw_powers(axes, here, colours[condition])
            axes.set(xlabel="exponent p", yscale="log", ylabel="test mean squared error")
            axes.set_xticks([0, 0.5, 1, 1.5, 2, INFINITE_AT], ["0", "0.5", "1", "1.5", "2", "∞"])
        sweeps[0].set_title("(b) networks")
        sweeps[1].set_title("(c) kernel regression")
        figure.legend(handles=powers_key(), loc="outside upper center", ncols=3)
    count = trained.loc[trained["encoding"] == "power_law", "n"].max()
    notes = [
        f"(b): networks on {count} report signals per α. (c): the same training predicted from outputs of zero, for "
        "other random functions with a range of their own. The mean in (b) is one of logarithms.",
        readings(material.published["figure_5"]),
    ]
    return Figure(figure, plotted, notes + diverged_note(records))


def draw_spectrum(axes: Axes, spectrum: np.ndarray, colour: str, condition: str, **look: Any) -> None:
    frequencies, values = two_sided(spectrum)
    axes.plot(frequencies, values, color=colour, label=condition.replace("alpha=", "α = "), **look)


def draw_powers(axes: Axes, rows: pd.DataFrame, colour: str) -> None:
    """Error over the exponent, its least value crossed, that of optimised amplitudes dotted."""
    powers = rows[rows["encoding"] == "power_law"].sort_values("exponent")
    finite, infinite = powers[np.isfinite(powers["exponent"])], powers[np.isinf(powers["exponent"])]
    axes.plot(finite["exponent"], finite["mse"], color=colour, marker="o", markersize=2.5)
    axes.plot([INFINITE_AT] * len(infinite), infinite["mse"], color=colour, marker="o", markersize=2.5, linestyle="")
    best = powers.nsmallest(1, "mse")
    axes.plot(best["exponent"].clip(upper=INFINITE_AT), best["mse"], color=colour, marker="x", markersize=8)
    for value in rows.loc[rows["encoding"] == "optimised", "mse"]:
        axes.axhline(value, color=colour, linestyle=":")


def powers_key() -> list[Artist]:
    return [
        Line2D([], [], color="0.2", marker="o", markersize=2.5, label="power law"),
        Line2D([], [], color="0.2", marker="x", markersize=6, linestyle="", label="best power"),
        Line2D([], [], color="0.2", linestyle=":", label="optimised"),
    ]


# Bumps


def figure_14(material: Material) -> Figure:
    """Error over the place of a bump, without an encoding and with the basic one; mean and spread over seeds."""
    records = material.records("line_bumps")
    rows = final_errors(records)
    rows = rows[rows["split"] == "train"].assign(centre=lambda found: found["condition"].astype(float))
    groups = rows.groupby(["encoding", "centre"])["value"]
    plotted = pd.DataFrame({"mean": groups.mean(), "std": groups.std(ddof=0), "n": groups.size()}).reset_index()
    with style.applied():
        figure = style.new_figure(style.COLUMN_WIDTH, 2.5)
        axes = figure.subplots()
        for name, line in plotted.groupby("encoding"):
            colour = style.ENCODING_COLOURS[str(name)]
            look = {"color": colour, "linestyle": style.encoding_line(str(name)), "marker": "o", "label": name}
            axes.plot(line["centre"], line["mean"], **look)
            low = (line["mean"] - line["std"]).clip(lower=line["mean"] / 10)  # a log axis has no zero
            axes.fill_between(line["centre"], low, line["mean"] + line["std"], color=colour, alpha=0.15, linewidth=0)
        axes.set(yscale="log", xlabel="centre of the bump", ylabel="mean squared error")
        axes.set_xticks([-math.pi, 0, math.pi], ["-π", "0", "π"])
        axes.legend()
    return Figure(figure, plotted, [readings(material.published["figure_14"]), *diverged_note(records)])


# Table 2


def table_2(material: Material) -> Table:
    """How frequencies are drawn."""
    rows = {
        "gaussian": ("σ N(0, 1)", "cycles per unit length", "gaussian"),
        "uniform": ("σ U[0, 1)", "cycles per unit length", "uniform"),
        "uniform log": ("σ^U[0, 1)", "cycles per unit length, a base", "uniform_log"),
        "laplace": ("σ Laplace(0, 1)", "cycles per unit length", "laplace"),
        "positional": ("2^(σ X), X on linspace(0, 1)", "exponent", "positional, variant: table_2"),
    }
    frame = pd.DataFrame.from_dict(rows, orient="index", columns=["frequency b", "σ is in", "here"])
    frame.index.name = "distribution"
    published = material.published["table_2"]
    notes = [
        f"Definitions as published: {published['source']}. Nothing is measured.",
        "In more than one dimension uniform, uniform_log and laplace are a random direction times a draw; "
        "gaussian draws every entry.",
    ]
    return Table(frame, {}, notes)
