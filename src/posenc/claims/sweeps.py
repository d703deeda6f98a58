"""Statistics of sweeps that choose nothing, and of numbers without chance.

Errors are compared by their decimal logarithm: a source's value is a mean of log10, over its fits and seeds. Where a
best level has to be picked it is the one with the lowest mean over sources, so a source's own luck does not pick it.
A source with a diverged fit is left out and counted.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from posenc.claims.evidence import Evidence, NoRecordsError, Records, Where, final_rows
from posenc.claims.model import ClaimError, among

CURVE_DEGREE = 3  # of the polynomials in log2(scale) that stand for a sweep


# Numbers without chance


def exact_value(records: Records, *, experiment: str, where: Where) -> Evidence:
    """The one number that `where` selects."""
    rows = final_rows(records, experiment, where)
    if len(rows) != 1:
        raise NoRecordsError(f"{experiment} has {len(rows)} numbers where one is meant")
    return _exact(float(rows["value"].item()))


def exact_smallest_step(records: Records, *, experiment: str, where: Where, along: str, rising: bool) -> Evidence:
    """The smallest rise (or fall) of numbers from one value of the column `along` to the next higher one."""
    rows = final_rows(records, experiment, where).sort_values(_column(records, experiment, along))
    if len(rows) < 2 or rows[along].duplicated().any():
        raise NoRecordsError(f"{experiment} has no single number for each of several values of {along}")
    steps = np.diff(rows["value"].to_numpy(dtype=float))
    return _exact(float((steps if rising else -steps).min()))


def _exact(value: float) -> Evidence:
    return Evidence((np.array([value]),), pairs=1, diverged=0, notes=(), exact=True)


# Means and ratios


def mean_value(records: Records, *, experiment: str, where: Where) -> Evidence:
    """The values themselves, averaged per source."""
    table = _table(records, experiment, {"": where}, logarithms=False)
    return table.evidence(table.by_source[""].to_numpy())


def log_ratio(records: Records, *, experiment: str, where: Where, first: Where, second: Where) -> Evidence:
    """log10 of first over second."""
    table = _table(records, experiment, {"first": {**where, **first}, "second": {**where, **second}})
    return table.evidence((table.by_source["first"] - table.by_source["second"]).to_numpy())


def log_lead_of_levels(records: Records, *, experiment: str, where: Where, along: str, levels: list[Any]) -> Evidence:
    """log10 of a source's least value at other levels over its least value at these levels of the column `along`."""
    table = _swept(records, experiment, where, along)
    inside = [level for level in table.by_source if level in levels]
    outside = [level for level in table.by_source if level not in levels]
    if not inside or not outside:
        raise NoRecordsError(f"{experiment} has no levels of {along} both among {levels} and beside them")
    return table.evidence((table.by_source[outside].min(axis=1) - table.by_source[inside].min(axis=1)).to_numpy())


def log_ratio_to_best_level(records: Records, *, experiment: str, first: Where, second: Where, along: str) -> Evidence:
    """log10 of first over second, second at its best level of the column `along`."""
    levels = _levels(records, experiment, second, along)
    table = _table(records, experiment, {"first": first, **{level: {**second, along: level} for level in levels}})
    return table.evidence((table.by_source["first"] - table.by_source[_best(table.by_source[levels])]).to_numpy())


def best_level_difference(records: Records, *, experiment: str, first: Where, second: Where, along: str) -> Evidence:
    """Where the least value lies along a column: with first less with second, source by source."""
    tables = [_swept(records, experiment, where, along) for where in (first, second)]
    best = [table.by_source.idxmin(axis=1).astype(float) for table in tables]
    difference = (best[0] - best[1]).dropna()
    if not np.isfinite(difference).all():
        raise NoRecordsError(f"{experiment}: a best {along} is infinite; leave that level out")
    return tables[0].evidence(difference.to_numpy(dtype=float))


def excess_of_best(records: Records, *, experiment: str, best: Where, than: Where, deviations: float) -> Evidence:
    """log10 of (mean + so many deviations over sources of `than`) over the best encoding and sigma of `best`.

    Above 0 the best is no worse than `than`, up to so many deviations.
    """
    sparse, _ = _by_bandwidth(records, experiment, best)
    compared = _table(records, experiment, {"than": than})
    errors = 10 ** compared.by_source["than"]
    limit = np.log10(errors.mean() + deviations * errors.std(ddof=1))
    values = limit - sparse.by_source[_best(sparse.by_source)]
    return Evidence((values.to_numpy(),), sparse.fits + compared.fits, sparse.lost + compared.lost, ())


# Curves over a scale


def rise_from_best(records: Records, *, experiment: str, where: Where, end: str) -> Evidence:
    """log10 of the value at the smallest (`end: first`) or largest scale (`last`) over that at the best one.

    A scale is the bandwidth, whichever encoding it belongs to.
    """
    if end not in ("first", "last"):
        raise ClaimError(f"arguments of rise_from_best: end is {end!r}, expected first or last")
    table, _ = _by_bandwidth(records, experiment, where)
    values = table.by_source
    return table.evidence((values.iloc[:, 0 if end == "first" else -1] - values[_best(values)]).to_numpy())


def rank_correlation_with_scale(records: Records, *, experiment: str, where: Where, from_best: bool) -> Evidence:
    """Spearman's correlation of value and bandwidth over all encodings; `from_best`: from the best scale on."""
    table, bandwidths = _by_bandwidth(records, experiment, where)
    first = list(table.by_source).index(_best(table.by_source)) if from_best else 0
    values = table.by_source.to_numpy()[:, first:]
    if values.shape[1] < 3:
        raise NoRecordsError(f"{experiment} has {values.shape[1]} scales to correlate; at least three are needed")
    return table.evidence(np.array([stats.spearmanr(bandwidths[first:], row).statistic for row in values]))


def share_explained_by_encoding(records: Records, *, experiment: str, where: Where) -> Evidence:
    """How much of what one curve for all encodings leaves of log10 value is explained by a curve for each, per source.

    The curves are polynomials in log2(bandwidth), which is the root of the mean square frequency. What they leave is
    divided by the degrees of freedom they leave, so that chance alone gives 0 on average, or less.
    """
    rows = final_rows(records, experiment, where)
    rows = rows[rows["sigma"].notna() & (rows["bandwidth"] > 0)]
    if rows.empty:
        raise NoRecordsError(f"{experiment} has no sweep of sigma")
    if rows.groupby("encoding")["bandwidth"].nunique().min() <= CURVE_DEGREE + 1:
        raise NoRecordsError(f"{experiment}: too few sigmas per encoding for curves of degree {CURVE_DEGREE}")
    rows = rows.assign(level=np.log10(rows["value"].where(rows["status"] == "ok")), octave=np.log2(rows["bandwidth"]))
    lost = rows.groupby("source")["level"].transform(lambda levels: levels.isna().any())
    shares = []
    for _, of_source in rows[~lost].groupby("source"):
        curves = [_left(of_encoding) for _, of_encoding in of_source.groupby("encoding")]
        own = sum(curves) / (len(of_source) - len(curves) * (CURVE_DEGREE + 1))
        shares.append(1 - own / (_left(of_source) / (len(of_source) - CURVE_DEGREE - 1)))
    return Evidence((np.array(shares, dtype=float),), len(rows[~lost]), int(lost.sum()), ())


def _left(rows: pd.DataFrame) -> float:
    """Sum of squares that a polynomial of the octave leaves of the levels."""
    fitted = np.polynomial.Polynomial.fit(rows["octave"], rows["level"], CURVE_DEGREE)
    return float(((rows["level"] - fitted(rows["octave"].to_numpy())) ** 2).sum())


# Places


def log_range_over_signals(records: Records, *, experiment: str, where: Where) -> Evidence:
    """log10 of the value of the worst signal over that of the best, seed by seed: here seeds are the sources.

    Which signals are worst and best is told by the other seeds, so that chance between seeds is no range.
    """
    rows = final_rows(records, experiment, where)
    ok = (rows["status"] == "ok") & (rows["value"] > 0)
    table = rows.assign(level=np.log10(rows["value"].where(ok))).pivot(index="seed", columns="signal", values="level")
    lost = table.isna().any(axis=1)
    table = table[~lost]
    if len(table) < 2:
        raise NoRecordsError(f"{experiment} has {len(table)} seeds where some must tell the range of another")
    ranges = []
    for seed in table.index:
        others = table.drop(index=seed).mean()
        ends = table.loc[seed, [others.idxmax(), others.idxmin()]].to_numpy(dtype=float)
        ranges.append(ends[0] - ends[1])
    return Evidence((np.array(ranges, dtype=float),), table.size, int(lost.sum()), ("sources are seeds",))


STATISTICS: dict[str, Callable[..., Evidence]] = {
    "exact_value": exact_value,
    "exact_smallest_step": exact_smallest_step,
    "mean_value": mean_value,
    "log_ratio": log_ratio,
    "log_lead_of_levels": log_lead_of_levels,
    "log_ratio_to_best_level": log_ratio_to_best_level,
    "best_level_difference": best_level_difference,
    "excess_of_best": excess_of_best,
    "rise_from_best": rise_from_best,
    "rank_correlation_with_scale": rank_correlation_with_scale,
    "share_explained_by_encoding": share_explained_by_encoding,
    "log_range_over_signals": log_range_over_signals,
}


class _Table:
    """A source's mean level on each side, rows sources, columns sides; sources with a lost fit are left out."""

    def __init__(self, levels: pd.DataFrame, fits: int) -> None:
        lost = levels.isna().any(axis=1)
        self.by_source = levels[~lost]
        self.fits = fits
        self.lost = int(lost.sum())

    def evidence(self, values: np.ndarray) -> Evidence:
        notes = (f"{self.lost} sources left out, a fit diverged or is not there",) if self.lost else ()
        return Evidence((values,), self.fits, self.lost, notes)


def _table(records: Records, experiment: str, sides: dict[Any, Where], logarithms: bool = True) -> _Table:
    columns, fits = {}, 0
    for side, where in sides.items():
        rows = final_rows(records, experiment, where)
        if rows.empty:
            spelled = ", ".join(f"{column}={value}" for column, value in where.items())
            raise NoRecordsError(f"no records of {experiment} with {spelled}")
        if rows.duplicated(["signal", "item", "seed"]).any():
            raise NoRecordsError(f"{experiment}: several fits per signal and seed; the claim does not say which")
        ok = (rows["status"] == "ok") & (rows["value"] > 0 if logarithms else np.isfinite(rows["value"]))
        values = np.log10(rows["value"].where(ok)) if logarithms else rows["value"].where(ok)
        # A mean that a lost fit is missing from would not be comparable: such a source has none.
        columns[side] = values.groupby(rows["source"]).agg(lambda found: found.mean(skipna=False))
        fits += int(ok.sum())
    return _Table(pd.DataFrame(columns), fits)


def _swept(records: Records, experiment: str, where: Where, along: str) -> _Table:
    levels = _levels(records, experiment, where, along)
    return _table(records, experiment, {level: {**where, along: level} for level in levels})


def _levels(records: Records, experiment: str, where: Where, along: str) -> list[Any]:
    rows = final_rows(records, experiment, where)
    levels: list[Any] = sorted(rows[_column(records, experiment, along)].dropna().unique().tolist())
    if len(levels) < 2:
        raise NoRecordsError(f"{experiment} has {len(levels)} values of {along}; at least two are needed")
    return levels


def _column(records: Records, experiment: str, name: str) -> str:
    frame = records.get(experiment)
    if frame is not None and name not in frame.columns:
        raise ClaimError(f"records of {experiment} have no column {name!r} {among(name, list(frame.columns))}")
    return name


def _by_bandwidth(records: Records, experiment: str, where: Where) -> tuple[_Table, np.ndarray]:
    """A side per encoding and sigma, by rising bandwidth (of several seeds their mean), and the bandwidths."""
    rows = final_rows(records, experiment, where)
    sweep = rows[rows["sigma"].notna()].groupby(["encoding", "sigma"])["bandwidth"].mean().sort_values(kind="stable")
    if sweep.empty:
        raise NoRecordsError(f"{experiment} has no sweep of sigma")
    sides: dict[Any, Where] = {
        f"{name} {sigma:g}": {**where, "encoding": name, "sigma": sigma} for name, sigma in sweep.index
    }
    return _table(records, experiment, sides), sweep.to_numpy()


def _best(by_source: pd.DataFrame) -> Any:
    """The side with the lowest mean over sources."""
    return by_source.mean().idxmin()
