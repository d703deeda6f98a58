"""Statistics that claims name: each turns records into one value per independent source.

A fit here is one (signal, seed); a pair is one such fit seen on every side that a statistic compares. A pair
with a diverged side is left out and counted. Fits of one source are averaged before anything else is
computed, so crops of one picture and repeated seeds never count as independent.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from posenc.claims import complexity, memorisation, shares, sweeps
from posenc.claims.evidence import Evidence, NoRecordsError, Records, Where, final_rows
from posenc.claims.model import ClaimError, among

FIT = ["source", "signal", "item", "replicate", "seed"]
TARGET_BELOW_BEST = 1.0  # dB
# Arguments that say which records are meant.
CONDITIONS = {"where", "first", "second", "larger", "smaller", "best", "than"}
ALONG_AXES = (0.0, 90.0, 180.0)  # degrees


@dataclass(frozen=True)
class Scores:
    """Values averaged per source: rows sources, columns the compared sides."""

    by_source: pd.DataFrame
    pairs: int
    diverged: int
    notes: tuple[str, ...]


def evidence_for(statistic: str, records: Records, arguments: Mapping[str, Any]) -> Evidence:
    """What the named statistic finds; ClaimError for an unknown name or wrong arguments."""
    if statistic not in STATISTICS:
        raise ClaimError(f"no statistic {statistic!r} {among(statistic, list(STATISTICS))}")
    function = STATISTICS[statistic]
    try:
        inspect.signature(function).bind(records, **arguments)
    except TypeError as error:
        raise ClaimError(f"arguments of {statistic}: {error}") from None
    for name, value in arguments.items():
        if name in CONDITIONS and not isinstance(value, Mapping):
            raise ClaimError(f"arguments of {statistic}: {name} is {value!r}, expected a mapping {{name: value}}")
    return function(records, **arguments)


def paired_difference(records: Records, *, experiment: str, where: Where, first: Where, second: Where) -> Evidence:
    """First less second, fit by fit, averaged per source."""
    scores = _scores(records, experiment, {"first": {**where, **first}, "second": {**where, **second}})
    return _evidence(scores, (scores.by_source["first"] - scores.by_source["second"]).to_numpy())


def difference_of_gains(records: Records, *, larger: Where, smaller: Where) -> Evidence:
    """One paired_difference less another, over different sources; each is given by its arguments."""
    gains = [evidence_for("paired_difference", records, arguments) for arguments in (larger, smaller)]
    return Evidence(
        samples=tuple(gain.samples[0] for gain in gains),
        pairs=sum(gain.pairs for gain in gains),
        diverged=sum(gain.diverged for gain in gains),
        notes=tuple(note for gain in gains for note in gain.notes),
    )


def paired_difference_of_gains(
    records: Records,
    *,
    experiment: str,
    where: Where,
    first: Where,
    second: Where,
    larger: Where,
    smaller: Where,
    times: float = 1,
) -> Evidence:
    """The gain of first over second under `larger` less `times` that under `smaller`, source by source."""
    sides = {
        (name, side): {**where, **condition, **of}
        for name, condition in (("larger", larger), ("smaller", smaller))
        for side, of in (("first", first), ("second", second))
    }
    scores = _scores(records, experiment, sides)
    gains = {name: scores.by_source[name, "first"] - scores.by_source[name, "second"] for name in ("larger", "smaller")}
    return _evidence(scores, (gains["larger"] - times * gains["smaller"]).to_numpy())


def paired_difference_in_sweep(
    records: Records, *, experiment: str, where: Where, first: Where, second: Where, place: int
) -> Evidence:
    """As `paired_difference`, at one sigma of a sweep: 0 is the smallest. Its value depends on the preset."""
    sweep = sorted(_selection(records, experiment, {**where, **first})["sigma"].dropna().unique())
    if place >= len(sweep):
        raise NoRecordsError(f"{experiment} has {len(sweep)} sigmas; place {place} is not among them")
    at = {**where, "sigma": sweep[place]}
    return paired_difference(records, experiment=experiment, where=at, first=first, second=second)


def paired_difference_by_angle(
    records: Records, *, experiment: str, where: Where, first: Where, second: Where, angles: str
) -> Evidence:
    """First less second, wave by wave, over the waves `along` the axes or `off` them; conditions are degrees."""
    scores = _scores(records, experiment, {"first": {**where, **first}, "second": {**where, **second}})
    chosen = scores.by_source[_along_axes(records, experiment, scores) == (angles == "along")]
    return _evidence(scores, (chosen["first"] - chosen["second"]).to_numpy())


def along_axes_less_off(records: Records, *, experiment: str, where: Where) -> Evidence:
    """Mean over the waves along the axes less the mean over the others; conditions are degrees."""
    scores = _scores(records, experiment, {"all": where})
    along = _along_axes(records, experiment, scores)
    values = scores.by_source["all"].to_numpy()
    return Evidence((values[along], values[~along]), scores.pairs, scores.diverged, scores.notes)


def off_axes_less_along(records: Records, *, experiment: str, where: Where) -> Evidence:
    """`along_axes_less_off` with the other sign."""
    found = along_axes_less_off(records, experiment=experiment, where=where)
    return Evidence(found.samples[::-1], found.pairs, found.diverged, found.notes)


def _along_axes(records: Records, experiment: str, scores: Scores) -> NDArray[np.bool_]:
    """For each source whether its wave runs along an axis."""
    frame = records[experiment]
    assert frame is not None  # there are scores of it
    angle = frame.drop_duplicates("source").set_index("source")["condition"].astype(float)
    return angle[scores.by_source.index].isin(ALONG_AXES).to_numpy()


def features_saved_by_depth(records: Records, *, experiment: str, where: Where) -> Evidence:
    """Octaves of features that the deepest network saves over the shallowest.

    A depth needs the smallest number of features at which its score, linear in log2(features), comes within
    TARGET_BELOW_BEST of the source's best over all depths and features. A depth that never does is counted at
    the largest number of features, which for the shallowest understates a saving, and for the deepest
    understates a loss but never turns it into a saving.
    """
    scores, depths, features = _depth_by_features(records, experiment, where)
    octaves = np.log2(features)
    ends = _curves(scores, depths, features)[:, [0, -1], :]
    targets = scores.by_source.max(axis=1).to_numpy() - TARGET_BELOW_BEST
    needed = [
        [octaves_needed(octaves, curve, target) for curve in curves]
        for curves, target in zip(ends, targets, strict=True)
    ]
    shallowest, deepest = np.reshape(needed, (-1, 2)).T
    never = (ends < targets[:, None, None]).all(axis=2).sum(axis=0)
    notes = tuple(
        f"{count} of {len(needed)} sources: depth {depth:g} never comes within {TARGET_BELOW_BEST:g} dB"
        f" of the best and is counted at {features[-1]:g} features"
        for depth, count in zip((depths[0], depths[-1]), never, strict=True)
        if count
    )
    return _evidence(scores, shallowest - deepest, notes)


def gap_shrinks(records: Records, *, experiment: str, where: Where) -> Evidence:
    """Score of the deepest less the shallowest network, at the fewest features less the same at the most."""
    scores, depths, features = _depth_by_features(records, experiment, where)
    curves = _curves(scores, depths, features)
    gap = curves[:, -1, :] - curves[:, 0, :]
    return _evidence(scores, gap[:, 0] - gap[:, -1])


def octaves_needed(octaves: NDArray[np.float64], scores: NDArray[np.float64], target: float) -> float:
    """Where scores, linear between rising octaves, first reach the target; the last octave if never."""
    reaching = np.flatnonzero(scores >= target)
    if reaching.size == 0:
        return float(octaves[-1])
    i = int(reaching[0])
    if i == 0:
        return float(octaves[0])
    return float(np.interp(target, scores[i - 1 : i + 1], octaves[i - 1 : i + 1]))


STATISTICS: dict[str, Callable[..., Evidence]] = {
    "paired_difference": paired_difference,
    "difference_of_gains": difference_of_gains,
    "paired_difference_of_gains": paired_difference_of_gains,
    "paired_difference_in_sweep": paired_difference_in_sweep,
    "paired_difference_by_angle": paired_difference_by_angle,
    "along_axes_less_off": along_axes_less_off,
    "off_axes_less_along": off_axes_less_along,
    "features_saved_by_depth": features_saved_by_depth,
    "gap_shrinks": gap_shrinks,
    **sweeps.STATISTICS,
    **complexity.STATISTICS,
    **memorisation.STATISTICS,
    **shares.STATISTICS,
}


def _evidence(scores: Scores, values: NDArray[np.float64], notes: tuple[str, ...] = ()) -> Evidence:
    return Evidence((values,), scores.pairs, scores.diverged, scores.notes + notes)


def _depth_by_features(records: Records, experiment: str, where: Where) -> tuple[Scores, list[float], list[float]]:
    """Scores over the whole grid of depths and feature counts, both rising."""
    rows = _selection(records, experiment, where)
    depths, features = (sorted(rows[column].dropna().unique().tolist()) for column in ("depth", "features"))
    if len(depths) < 2 or len(features) < 2:
        raise NoRecordsError(
            f"{experiment} has depths {depths} and feature counts {features}; at least two of each are needed"
        )
    sides = {(d, m): {**where, "depth": d, "features": m} for d, m in product(depths, features)}
    return _scores(records, experiment, sides), depths, features


def _curves(scores: Scores, depths: list[float], features: list[float]) -> NDArray[np.float64]:
    """(sources, depths, features)"""
    return scores.by_source.to_numpy().reshape(-1, len(depths), len(features))


def _scores(records: Records, experiment: str, sides: Mapping[Any, Where]) -> Scores:
    """Each source's mean score on each side, over the fits that have a finite score on every side."""
    fits = pd.concat({side: _fit_values(records, experiment, where) for side, where in sides.items()}, axis=1)
    diverged = np.isinf(fits).any(axis=1)
    absent = fits.isna().any(axis=1) & ~diverged
    complete = fits[~diverged & ~absent]
    notes = [
        f"{experiment}: {count} of {len(fits)} pairs left out, {why}"
        for count, why in ((int(diverged.sum()), "diverged"), (int(absent.sum()), "a side has no record"))
        if count
    ]
    return Scores(complete.groupby(level="source").mean(), len(complete), int(diverged.sum()), tuple(notes))


def _fit_values(records: Records, experiment: str, where: Where) -> pd.Series[float]:
    """Value of each fit that `where` selects; infinite where it diverged, to tell it from an absent one."""
    rows = _selection(records, experiment, where)
    if rows.empty:
        raise NoRecordsError(f"no records of {experiment} with {_spelled(where)}")
    ok = (rows["status"] == "ok") & np.isfinite(rows["value"])
    # As text, because an unused item or replicate is NaN and would not match its own kind.
    fits = pd.MultiIndex.from_frame(rows[FIT].astype(str))
    if fits.has_duplicates:
        settings = rows.drop(columns=[*FIT, "combination", "member", "value", "status"])
        differing: list[Hashable] = [column for column in settings if settings[column].nunique(dropna=False) > 1]
        raise NoRecordsError(
            f"{experiment} with {_spelled(where)} has several fits per signal and seed, which differ in"
            f" {', '.join(map(str, differing)) or 'nothing'}; the claim does not say which of them it is about"
        )
    return pd.Series(rows["value"].where(ok, np.inf).to_numpy(dtype=float), index=fits)


def _selection(records: Records, experiment: str, where: Where) -> pd.DataFrame:
    """Final rows of report signals at the chosen sigma, where the columns have the given values."""
    rows = final_rows(records, experiment, where)
    return rows[rows["chosen"].astype(bool)]


def _spelled(where: Where) -> str:
    return ", ".join(f"{column}={value}" for column, value in where.items()) or "no condition"
