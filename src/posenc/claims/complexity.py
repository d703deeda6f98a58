"""Statistics that compare the best (or worst) of several encodings and networks, signal by signal.

Of each source every encoding and depth has one value, the mean over its signals and seeds. A source with a diverged fit
on either side is left out and counted: nobody knows what a lost fit would have scored.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from posenc.claims.evidence import Evidence, NoRecordsError, Records, final_rows
from posenc.claims.model import ClaimError, among

SIDE = ("experiment", "where", "encodings", "extreme")
EXTREMES = ("best", "worst")
FIT = ["source", "signal", "item", "replicate", "seed", "encoding", "depth"]


def difference_of_extremes(records: Records, *, first: Mapping[str, Any], second: Mapping[str, Any]) -> Evidence:
    """The best of the first side less the best of the second, source by source; higher values are better.

    A side: `experiment` and `where` say which rows; `encodings` narrows them to some; `extreme` says whether of all
    encodings and depths that are left a source's `best` counts (unless given) or its `worst`.
    """
    sides = {"first": first, "second": second}
    for name, side in sides.items():
        _check(name, side)
    tables = {name: _values(records, side) for name, side in sides.items()}
    values = pd.concat(tables, axis=1)
    diverged = (values == np.inf).any(axis=1)
    absent = values.isna().any(axis=1) & ~diverged
    whole = values.index[~diverged & ~absent]
    ends = {name: _extreme(tables[name].loc[whole], side) for name, side in sides.items()}
    notes = [
        f"{count} of {len(values)} sources left out, {why}"
        for count, why in ((int(diverged.sum()), "a fit diverged"), (int(absent.sum()), "a side has no record"))
        if count
    ]
    samples = np.asarray(ends["first"] - ends["second"], dtype=np.float64)
    return Evidence((samples,), pairs=len(whole), diverged=int(diverged.sum()), notes=tuple(notes))


def _check(name: str, side: Mapping[str, Any]) -> None:
    for key in side:
        if key not in SIDE:
            raise ClaimError(f"arguments of difference_of_extremes: {name}: no {key!r} {among(key, SIDE)}")
    for key in ("experiment", "where"):
        if key not in side:
            raise ClaimError(f"arguments of difference_of_extremes: {name}: {key} is missing")
    extreme = side.get("extreme", "best")
    if extreme not in EXTREMES:
        raise ClaimError(f"arguments of difference_of_extremes: {name}: extreme is {extreme!r}, expected best or worst")


def _values(records: Records, side: Mapping[str, Any]) -> pd.DataFrame:
    """A row per source, a column per encoding and depth; infinite where a fit diverged."""
    experiment, where = side["experiment"], side["where"]
    rows = final_rows(records, experiment, where)
    rows = rows[rows["chosen"].astype(bool)]
    if "encodings" in side:
        rows = rows[rows["encoding"].isin(side["encodings"])]
    if rows.empty:
        of = [f"{column}={value}" for column, value in where.items()]
        of += [f"encoding among {', '.join(side['encodings'])}"] if "encodings" in side else []
        raise NoRecordsError(f"no records of {experiment} with {', '.join(of)}")
    if rows.duplicated(FIT).any():
        raise NoRecordsError(f"{experiment}: several fits per signal, seed, encoding and depth; the claim compares one")
    ok = (rows["status"] == "ok") & np.isfinite(rows["value"])
    scores = rows["value"].where(ok, np.inf)
    return scores.groupby([rows["source"], rows["encoding"], rows["depth"]]).mean().unstack(["encoding", "depth"])


def _extreme(values: pd.DataFrame, side: Mapping[str, Any]) -> pd.Series[float]:
    """Of each source the value that counts."""
    return values.max(axis=1) if side.get("extreme", "best") == "best" else values.min(axis=1)


STATISTICS: dict[str, Callable[..., Evidence]] = {"difference_of_extremes": difference_of_extremes}
