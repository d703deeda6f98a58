"""Statistics of how many values lie on one side of a limit: a share above one half is a median on that side."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from posenc.claims.evidence import Evidence, NoRecordsError, Records, Where, final_rows


def share_above(records: Records, *, experiment: str, where: Where, limit: float) -> Evidence:
    """The share of a source's values that are above the limit."""
    rows = final_rows(records, experiment, where)
    good = rows[(rows["status"] == "ok") & np.isfinite(rows["value"])]
    if good.empty:
        spelled = ", ".join(f"{column}={value}" for column, value in where.items())
        raise NoRecordsError(f"no records of {experiment} with {spelled}")
    shares = (good["value"] > limit).groupby(good["source"]).mean()
    diverged = len(rows) - len(good)
    notes = (f"{experiment}: {diverged} values left out, diverged",) if diverged else ()
    return Evidence((shares.to_numpy(dtype=float),), len(good), diverged, notes)


STATISTICS: dict[str, Callable[..., Evidence]] = {"share_above": share_above}
