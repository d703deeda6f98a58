"""Statistics of what networks memorise: time averages, ranks of layers, sweeps over scale and samples, and draws.

A score is a PSNR in dB: of each fit its mean over the last 100 updates, then over seeds, then per source. Where a least
or best level has to be picked it is the one whose mean over sources is, so a source's own luck does not pick it. A
source with a fit that diverged is left out and counted.

N is the number of training samples, `points` in the records; {points: most} selects the largest number there is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from posenc.claims.evidence import Evidence, NoRecordsError, Records, Where, report_rows
from posenc.claims.model import ClaimError

LATE = 100  # updates
MOST = "most"
SPLIT_OF_THRESHOLD = {"memorised": "train", "kept": "test"}


@dataclass(frozen=True)
class Levels:
    """Mean scores: rows sources (or seeds), columns the levels of a setting, in rising order, none missing."""

    table: pd.DataFrame
    fits: int
    lost: int

    def evidence(self, values: Any, *notes: str) -> Evidence:
        left_out = (f"{self.lost} sources left out, a fit diverged",) if self.lost else ()
        return Evidence((np.asarray(values, dtype=float),), self.fits, self.lost, (*notes, *left_out))

    def least(self) -> pd.Series[float]:
        """The level with the lowest mean."""
        return self.table.iloc[:, int(self.table.mean().argmin())]

    def best(self) -> pd.Series[float]:
        """The level with the highest mean."""
        return self.table.iloc[:, int(self.table.mean().argmax())]


# While training


def time_average_difference(
    records: Records, *, experiment: str, where: Where, first: Where, second: Where
) -> Evidence:
    """First less second, each averaged over all scored updates but those of the last 100."""
    sides = []
    for side in (first, second):
        rows = rows_of(records, experiment, {**where, **side})
        sides.append(levels(rows[rows["step"] <= rows["steps"] - LATE], ["metric"], experiment))
    return paired_difference(*sides)


def growth_in_training(records: Records, *, experiment: str, where: Where, items: list[str]) -> Evidence:
    """log10 of the last value over the first scored one, of the item that grows least."""
    found = growth(records, experiment, where, items)
    return found.evidence(found.least())


def change_in_training(records: Records, *, experiment: str, where: Where, items: list[str]) -> Evidence:
    """log10 of the last value over the first scored one without its sign, of the item that changes most."""
    found = growth(records, experiment, where, items)
    changes = Levels(found.table.abs(), found.fits, found.lost)
    return changes.evidence(changes.best())


def growth_over_items(records: Records, *, experiment: str, where: Where, items: list[str]) -> Evidence:
    """log10 of an item's last value over that of the item named before it, where that is least."""
    rows = rows_of_items(records, experiment, where, items)
    found = levels(rows[rows["step"] == rows["steps"]], ["item"], experiment)
    steps = Levels(found.table[items].diff(axis=1).iloc[:, 1:], found.fits, found.lost)
    return steps.evidence(steps.least())


def growth(records: Records, experiment: str, where: Where, items: list[str]) -> Levels:
    """log10 of the last value over the first scored one by item."""
    rows = rows_of_items(records, experiment, where, items)
    first, last = (
        levels(rows[rows["step"] == step], ["item"], experiment) for step in (rows["step"].min(), rows["step"].max())
    )
    both = (last.table - first.table).dropna()
    sources = rows["source"].nunique()
    return Levels(both, last.fits, sources - len(both))


def rows_of_items(records: Records, experiment: str, where: Where, items: list[str]) -> pd.DataFrame:
    """Rows of these parts of signals, values as log10; a part is no source of its own here."""
    rows = rows_of(records, experiment, where)
    rows = rows[rows["item"].isin(items)]
    missing = [item for item in items if item not in set(rows["item"])]
    if missing:
        raise NoRecordsError(f"{experiment} has no records of {', '.join(missing)}")
    sources = [source.removesuffix(f"/{item}") for source, item in zip(rows["source"], rows["item"], strict=True)]
    return rows.assign(source=sources, value=np.log10(rows["value"].where(rows["value"] > 0)))


# Over scales and samples


def least_late_score(records: Records, *, experiment: str, where: Where, along: str) -> Evidence:
    """The score at the level of the column `along` where it is least."""
    found = levels(late(rows_of(records, experiment, where)), [along], experiment)
    return found.evidence(found.least())


def slope_over_samples(records: Records, *, experiment: str, where: Where) -> Evidence:
    """Change of the score with each doubling of the samples, without its sign."""
    found = several(levels(late(rows_of(records, experiment, where)), ["points"], experiment), experiment)
    doublings = np.log2(found.table.columns.to_numpy(dtype=float))
    return found.evidence(np.abs(np.polyfit(doublings, found.table.to_numpy().T, 1)[0]))


def best_less_end(records: Records, *, experiment: str, where: Where, end: str) -> Evidence:
    """The score at the best sigma less that at the `largest` or the `smallest`."""
    if end not in ("largest", "smallest"):
        raise ClaimError(f"arguments of best_less_end: end is {end!r}, expected largest or smallest")
    found = several(levels(late(rows_of(records, experiment, where)), ["sigma"], experiment), experiment)
    return found.evidence(found.best() - found.table.iloc[:, -1 if end == "largest" else 0])


def best_less_other(records: Records, *, experiment: str, where: Where, other: str, than: Where) -> Evidence:
    """The score at the best sigma less that of another experiment, on the signals that both have."""
    rows, compared = common_signals(late(rows_of(records, experiment, where)), late(rows_of(records, other, than)))
    swept = levels(rows, ["sigma"], experiment)
    best = Levels(swept.best().to_frame(), swept.fits, swept.lost)
    return paired_difference(best, levels(compared, ["metric"], other))


def difference_in_sweep(records: Records, *, experiment: str, where: Where, place: int, other_place: int) -> Evidence:
    """The score at one place of the sweep of sigma less that at another; 0 is the smallest sigma."""
    found = levels(late(rows_of(records, experiment, where)), ["sigma"], experiment)
    count = len(found.table.columns)
    if max(place, other_place) >= count:
        raise NoRecordsError(f"{experiment} has {count} sigmas; place {max(place, other_place)} is not among them")
    return found.evidence(found.table.iloc[:, place] - found.table.iloc[:, other_place])


def smallest_gain_from_samples(records: Records, *, experiment: str, where: Where) -> Evidence:
    """The score at the best sigma with so many samples less that with the next fewer, where that is least."""
    found = levels(late(rows_of(records, experiment, where)), ["points", "sigma"], experiment)
    best = pd.DataFrame({samples: curve.best() for samples, curve in by_points(found).items()})
    several(Levels(best, found.fits, found.lost), experiment)
    gains = Levels(best.diff(axis=1).iloc[:, 1:], found.fits, found.lost)
    return gains.evidence(gains.least())


def difference_at_scale(records: Records, *, experiment: str, other: str, where: Where, scale: float) -> Evidence:
    """The score less that of another experiment at the sigma N nearest to `scale`, on the signals that both have."""
    both = common_signals(*(late(rows_of(records, name, where)) for name in (experiment, other)))
    sides = []
    for name, rows in zip((experiment, other), both, strict=True):
        octaves = np.abs(np.log2(rows["sigma"] * rows["points"] / scale))
        sides.append(levels(rows[octaves == octaves.min()], ["metric"], name))
    return paired_difference(*sides)


# Thresholds in sigma N, as log10


def largest_threshold(records: Records, *, experiment: str, where: Where, threshold: str, level: float) -> Evidence:
    """log10 of sigma N at a threshold (see `crossing`), for the number of samples for which it is largest."""
    found, notes = thresholds(records, experiment, where, threshold, level)
    return found.evidence(found.best(), *notes)


def smallest_threshold(records: Records, *, experiment: str, where: Where, threshold: str, level: float) -> Evidence:
    """log10 of sigma N at a threshold (see `crossing`), for the number of samples for which it is smallest."""
    found, notes = thresholds(records, experiment, where, threshold, level)
    return found.evidence(found.least(), *notes)


def spread_of_thresholds(records: Records, *, experiment: str, where: Where, threshold: str, level: float) -> Evidence:
    """Standard deviation (divisor n - 1) over numbers of samples of log10 of sigma N at a threshold."""
    found, notes = thresholds(records, experiment, where, threshold, level)
    return found.evidence(several(found, experiment).table.std(axis=1, ddof=1), *notes)


def threshold_shift(
    records: Records, *, experiment: str, other: str, where: Where, threshold: str, level: float
) -> Evidence:
    """log10 of sigma N at a threshold less that of another experiment, on the signals that both have."""
    rows = common_signals(*(rows_of(records, name, where) for name in (experiment, other)))
    frames = dict(zip((experiment, other), rows, strict=True))
    sides = [thresholds(frames, name, where, threshold, level) for name in (experiment, other)]
    (first, first_notes), (second, second_notes) = sides
    evidence = paired_difference(first, second)
    return Evidence(evidence.samples, evidence.pairs, evidence.diverged, (*first_notes, *second_notes))


def largest_rank_share(records: Records, *, experiment: str, where: Where, threshold: str, level: float) -> Evidence:
    """Stable rank over the number of samples at a threshold, for the number for which it is largest."""
    found, notes = thresholds(records, experiment, where, threshold, level)
    rows = rows_of(records, experiment, where).dropna(subset=["stable_rank"])
    shares = {}
    for samples in found.table.columns.to_numpy(dtype=float):
        ranks = rows[rows["points"] == samples].groupby("sigma")["stable_rank"].mean()
        if ranks.empty:
            raise NoRecordsError(f"{experiment} has no stable ranks")
        places, scales = found.table[samples], np.log10(ranks.index.to_numpy(dtype=float) * samples)
        shares[samples] = pd.Series(np.interp(places, scales, ranks) / samples, places.index)
    table = Levels(pd.DataFrame(shares), found.fits, found.lost)
    return table.evidence(table.best(), *notes)


def plateau_width(records: Records, *, experiment: str, where: Where, drop: float) -> Evidence:
    """Decades of sigma around the best one over which the score stays within `drop` dB of the best."""
    rows = late(rows_of(records, experiment, where))
    found = levels(rows.assign(scale=np.log10(rows["sigma"] * rows["points"])), ["scale"], experiment)
    scales = several(found, experiment).table.columns.to_numpy(dtype=float)
    widths = []
    for values in found.table.to_numpy():
        best = values.argmax()
        below, above = (values[: best + 1] < values[best] - drop)[::-1], values[best:] < values[best] - drop
        low = best - (below.argmax() - 1) if below.any() else 0
        high = best + above.argmax() - 1 if above.any() else len(values) - 1
        bar = values[best] - drop
        start = between(scales, values, low - 1, low, bar) if low else scales[0]
        end = between(scales, values, high, high + 1, bar) if high < len(values) - 1 else scales[-1]
        widths.append(end - start)
    return found.evidence(widths)


def thresholds(
    records: Records, experiment: str, where: Where, threshold: str, level: float
) -> tuple[Levels, tuple[str, ...]]:
    """log10 of sigma N at a threshold: rows sources, columns numbers of samples; a note on those beyond the sweep."""
    if threshold not in SPLIT_OF_THRESHOLD:
        raise ClaimError(f"threshold is {threshold!r}, expected {' or '.join(SPLIT_OF_THRESHOLD)}")
    of_split = {**where, "metric": "psnr", "split": SPLIT_OF_THRESHOLD[threshold]}
    found = levels(late(rows_of(records, experiment, of_split)), ["points", "sigma"], experiment)
    places, outside = {}, 0
    for samples, curve in by_points(found).items():
        scales = np.log10(curve.table.columns.to_numpy(dtype=float) * samples)
        crossed = [crossing(scales, values, threshold, level) for values in curve.table.to_numpy()]
        outside += int(np.isin(crossed, (scales[0], scales[-1])).sum())
        places[samples] = pd.Series(crossed, curve.table.index)
    count = len(found.table) * len(places)
    notes = (f"{outside} of {count} thresholds lie beyond the sweep and count as its end",) if outside else ()
    return Levels(pd.DataFrame(places), found.fits, found.lost), notes


def crossing(scales: np.ndarray, values: np.ndarray, threshold: str, level: float) -> float:
    """Where a curve over rising log10 of sigma N crosses, linear between its points; the sweep's end where it does not.

    `memorised`: the largest sigma N from which on, towards smaller ones, a score has been above `level`. `kept`: the
    smallest sigma N with a score within `level` of the best.
    """
    if threshold == "memorised":
        above = np.flatnonzero(values > level)
        if not len(above):
            return float(scales[0])
        last = above[-1]
        return float(scales[-1]) if last == len(values) - 1 else between(scales, values, last, last + 1, level)
    bar = values.max() - level
    first = int(np.flatnonzero(values >= bar)[0])
    return float(scales[0]) if first == 0 else between(scales, values, first - 1, first, bar)


def between(scales: np.ndarray, values: np.ndarray, i: int, j: int, level: float) -> float:
    """The scale between neighbours i and j at which the straight line through them has this level."""
    return float(scales[i] + (level - values[i]) / (values[j] - values[i]) * (scales[j] - scales[i]))


# Draws: one signal, so that seeds are the sources


def lead_by_draw(
    records: Records, *, experiment: str, where: Where, first: Where, second: Where, along: str, extreme: str
) -> Evidence:
    """First less second, seed by seed, at the level of the column `along` where it is `least` or `most`."""
    if extreme not in ("least", "most"):
        raise ClaimError(f"arguments of lead_by_draw: extreme is {extreme!r}, expected least or most")
    tables = by_draw(records, experiment, where, first, second, along)
    leads = Levels(tables[0].table - tables[1].table, *counts(tables))
    return leads.evidence(leads.least() if extreme == "least" else leads.best(), "sources are seeds")


def deviation_by_draw(
    records: Records, *, experiment: str, where: Where, first: Where, second: Where, along: str, times: float
) -> Evidence:
    """How far a seed's first lies from the mean over seeds, less `times` how far its second does, over all levels."""
    tables = by_draw(records, experiment, where, first, second, along)
    deviations = [(found.table - found.table.mean()).abs() for found in tables]
    both = Levels(deviations[0] - times * deviations[1], *counts(tables))
    return both.evidence(both.table.mean(axis=1), "sources are seeds")


def by_draw(
    records: Records, experiment: str, where: Where, first: Where, second: Where, along: str
) -> tuple[Levels, Levels]:
    """Scores of both sides: rows seeds, columns the levels that both sides have."""
    found = []
    for side in (first, second):
        rows = late(rows_of(records, experiment, {**where, **side}))
        found.append(levels(rows.assign(source=rows["seed"]), [along], experiment))
    seeds = found[0].table.index.intersection(found[1].table.index)
    shared = found[0].table.columns.intersection(found[1].table.columns)
    if not len(shared):
        raise NoRecordsError(f"{experiment}: no {along} is on both sides")
    first_side, second_side = (Levels(side.table.loc[seeds, shared], side.fits, side.lost) for side in found)
    return first_side, second_side


STATISTICS: dict[str, Callable[..., Evidence]] = {
    "time_average_difference": time_average_difference,
    "growth_in_training": growth_in_training,
    "change_in_training": change_in_training,
    "growth_over_items": growth_over_items,
    "least_late_score": least_late_score,
    "slope_over_samples": slope_over_samples,
    "best_less_end": best_less_end,
    "best_less_other": best_less_other,
    "difference_in_sweep": difference_in_sweep,
    "smallest_gain_from_samples": smallest_gain_from_samples,
    "difference_at_scale": difference_at_scale,
    "largest_threshold": largest_threshold,
    "smallest_threshold": smallest_threshold,
    "spread_of_thresholds": spread_of_thresholds,
    "threshold_shift": threshold_shift,
    "largest_rank_share": largest_rank_share,
    "plateau_width": plateau_width,
    "lead_by_draw": lead_by_draw,
    "deviation_by_draw": deviation_by_draw,
}


# Tables of scores


def rows_of(records: Records, experiment: str, where: Where) -> pd.DataFrame:
    """Rows of report signals at every step, where the columns have the given values."""
    frame = records.get(experiment)
    known = pd.DataFrame() if frame is None else frame
    most = {column: known[column].max() for column, value in where.items() if value == MOST and column in known}
    rows = report_rows(records, experiment, {**where, **most})
    if rows.empty:
        spelled = ", ".join(f"{column}={value}" for column, value in where.items())
        raise NoRecordsError(f"no records of {experiment} with {spelled}")
    return rows


def late(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows of the last 100 updates."""
    return rows[rows["step"] > rows["steps"] - LATE]


def common_signals(first: pd.DataFrame, second: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The rows of signals that are in both."""
    shared = set(first["signal"]) & set(second["signal"])
    if not shared:
        raise NoRecordsError("the experiments have no signal in common")
    return first[first["signal"].isin(shared)], second[second["signal"].isin(shared)]


def levels(rows: pd.DataFrame, by: list[str], experiment: str) -> Levels:
    """Means over steps, then seeds and signals: rows sources, columns the values of `by`."""
    if rows.empty:
        raise NoRecordsError(f"{experiment} has no scores at the updates that are compared")
    if rows.duplicated(list(dict.fromkeys(["signal", "item", "seed", "step", *by]))).any():
        raise NoRecordsError(f"{experiment}: several fits per signal and seed; the claim does not say which")
    ok = (rows["status"] == "ok") & np.isfinite(rows["value"])
    fits = complete_mean(rows.assign(value=rows["value"].where(ok)), ["source", "signal", "seed", *by])
    means = complete_mean(fits.reset_index(), ["source", *by])
    table = means.unstack(by).sort_index(axis=1)
    lost = table.isna().any(axis=1)
    return Levels(table[~lost], int(fits.notna().sum()), int(lost.sum()))


def complete_mean(rows: pd.DataFrame, by: list[str]) -> pd.Series[float]:
    """The mean of `value`; none where one is missing, for it would not be comparable."""
    groups = rows.groupby(by)["value"]
    return groups.mean().where(groups.count() == groups.size())


def by_points(found: Levels) -> dict[float, Levels]:
    """Number of samples -> scores over rising sigma, from a table over both."""
    counts = found.table.columns.get_level_values(0).unique()
    return {float(samples): Levels(found.table[samples], found.fits, found.lost) for samples in counts}


def several(found: Levels, experiment: str) -> Levels:
    """The table, if it has more than one level."""
    if len(found.table.columns) < 2:
        raise NoRecordsError(f"{experiment} has one level where several are compared")
    return found


def paired_difference(first: Levels, second: Levels) -> Evidence:
    """First less second, source by source, of tables of one level each."""
    values = (first.table.iloc[:, 0] - second.table.iloc[:, 0]).dropna()
    both = Levels(values.to_frame(), *counts((first, second)))
    return both.evidence(values)


def counts(tables: tuple[Levels, Levels]) -> tuple[int, int]:
    """Fits and lost sources of both sides."""
    return sum(found.fits for found in tables), sum(found.lost for found in tables)
