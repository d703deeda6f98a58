"""Scores as artefacts need them: fits that diverged left out and counted, seeds averaged, signals summarised.

All functions take frames with the columns of the records.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pandas as pd

ENCODINGS = ["none", "basic", "positional", "gaussian"]  # the order of every table and legend
FIT = ["combination", "member", "signal"]  # what makes one fit in the records
LATE = 100  # updates at the end of training; Zheng et al. 2021 report means over them
# Where an experiment fits one encoding with several of these, each is a row and a line of its own; so with the other
# parameters of encodings and networks.
VARIED = ["variant", "features", "network", "depth", "width", "learning_rate", "steps"]


def encoding_order(names: Iterable[str]) -> list[str]:
    """The names: those the papers compare first, in their order, then any other by name."""
    place = {name: i for i, name in enumerate(ENCODINGS)}
    return sorted(set(names), key=lambda name: (place.get(base_encoding(name), len(place)), name))


def base_encoding(name: str) -> str:
    """The encoding in a name that `with_variants_named` made."""
    return name.split(",")[0]


def with_variants_named(records: pd.DataFrame) -> pd.DataFrame:
    """The records, `encoding` telling variants apart where there are several: "gaussian, features 64"."""
    names = records["encoding"].astype(str)
    for setting in [*VARIED, *other_parameters(records)]:
        if records[setting].nunique() < 2:  # as most: groups take long
            continue
        several = records.groupby("encoding")[setting].transform("nunique") > 1
        values = records.loc[several, setting].map(spelled)
        names = names.mask(several, names + f", {setting} " + values.astype(str))
    return records.assign(encoding=names)


def other_parameters(records: pd.DataFrame) -> list[str]:
    """The parameters that only some encodings or networks have: their columns stand before those of the values."""
    columns = list(records.columns)
    return columns[columns.index("device") + 1 : columns.index("signal")]


def spelled(value: object) -> str:
    return f"{value:g}" if isinstance(value, float | int) and not isinstance(value, bool) else str(value)


def is_of_diverged_fit(records: pd.DataFrame) -> pd.Series:
    """One truth value per row: whether the fit it belongs to diverged at any step."""
    diverged = records["status"] == "diverged"
    return diverged.groupby([records[column] for column in FIT]).transform("any").astype(bool)


def psnr_rows(records: pd.DataFrame, splits: Iterable[str], sets: Iterable[str] = ("report",)) -> pd.DataFrame:
    """The PSNR rows of these splits and sets, at every step, without the fits that diverged."""
    return metric_rows(records, "psnr", splits, sets)


def metric_rows(
    records: pd.DataFrame, metric: str, splits: Iterable[str], sets: Iterable[str] = ("report",)
) -> pd.DataFrame:
    """As `psnr_rows`, of any metric."""
    wanted = (records["metric"] == metric) & records["split"].isin(splits) & records["set"].isin(sets)
    return records[wanted & ~is_of_diverged_fit(records)]


def late(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows of the last `LATE` updates; of fits that are scored less often, that of the last one."""
    return rows[rows["step"] > rows["steps"] - LATE]


def before_late(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows of all updates but the last `LATE`."""
    return rows[rows["step"] <= rows["steps"] - LATE]


def signal_means(rows: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """The mean over seeds, a row per group and signal: columns `by`, source, signal, value."""
    return rows.groupby([*by, "source", "signal"], dropna=False)["value"].mean().reset_index()


def summary(means: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """Mean and standard deviation over signals per group: columns `by`, mean, std, n.

    The deviation has divisor n, NumPy's default. One signal has no spread: NaN, not 0.
    """
    groups = means.groupby(by, dropna=False)["value"]
    frame = pd.DataFrame({"mean": groups.mean(), "std": groups.std(ddof=0), "n": groups.size()})
    return frame.assign(std=frame["std"].where(frame["n"] > 1)).reset_index()


def source_summary(means: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """As `summary`, but `std` runs over source pictures: crops of one picture are not independent."""
    over_crops = means.groupby([*by, "source"], dropna=False)["value"].mean().reset_index()
    return summary(means, by).assign(std=summary(over_crops, by)["std"])


def without_levels(means: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """The means with each group's own mean taken out: what is left varies within groups only."""
    return means.assign(value=means["value"] - means.groupby(by, dropna=False)["value"].transform("mean"))


def chosen_sigma(records: pd.DataFrame, encoding: str) -> float:
    """The sigma the tuning records chose for this encoding; NaN if it has none."""
    (sigma,) = records.loc[records["chosen"] & (records["encoding"] == encoding), "sigma"].unique()
    return float(sigma)


def chosen_summary(records: pd.DataFrame, split: str = "test") -> pd.DataFrame:
    """mean, std, sigma, n per encoding (the index): one split, report set, chosen sigma, reported step."""
    rows = psnr_rows(records[records["chosen"] & records["final"]], [split])
    frame = summary(signal_means(rows, ["encoding"]), ["encoding"]).set_index("encoding")
    return frame.assign(sigma=[chosen_sigma(records, name) for name in frame.index])


def framed(columns: dict[Any, pd.Series], rows: list[str]) -> pd.DataFrame:
    """The columns as a frame with one row per encoding."""
    return pd.DataFrame(columns, index=pd.Index(rows, name="encoding"))


def divergence_notes(records: pd.DataFrame, experiment: str) -> list[str]:
    """A sentence on which fits of report signals diverged, by encoding and sigma; none where none did."""
    report = records[records["set"] == "report"]
    fits = report.assign(diverged=is_of_diverged_fit(report)).drop_duplicates(FIT)
    counts = fits.groupby(["encoding", "sigma"], dropna=False)["diverged"].agg(["sum", "size"]).reset_index()
    lost = []
    for row in counts[counts["sum"] > 0].to_dict("records"):
        sigma = "" if pd.isna(row["sigma"]) else f" at sigma {row['sigma']:g}"
        lost.append(f"{row['encoding']}{sigma} ({row['sum']} of {row['size']} fits)")
    return [f"{experiment}: diverged and left out: {', '.join(lost)}."] if lost else []
