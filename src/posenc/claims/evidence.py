"""What a statistic is given and what it finds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from posenc.claims.inference import Samples
from posenc.claims.model import ClaimError, among

Records = Mapping[str, pd.DataFrame | None]  # experiment or theory study -> its records, None where there are none
Where = Mapping[str, Any]  # {column: value}


class NoRecordsError(Exception):
    """The records a statistic needs are not there, or not the only ones; the message says which."""


@dataclass(frozen=True)
class Evidence:
    """One value per source (a second sample is subtracted), and how many pairs stand behind them.

    An `exact` one is a single number without chance in it, computed and not measured: it is compared with its
    threshold as it is.
    """

    samples: Samples
    pairs: int
    diverged: int
    notes: tuple[str, ...]
    exact: bool = False


def final_rows(records: Records, experiment: str, where: Where) -> pd.DataFrame:
    """Rows of report signals at the reported step, where the columns have the given values."""
    rows = report_rows(records, experiment, where)
    return rows[rows["final"].astype(bool)]


def report_rows(records: Records, experiment: str, where: Where) -> pd.DataFrame:
    """Rows of report signals at every step, where the columns have the given values."""
    if experiment not in records:
        raise ClaimError(f"experiment {experiment!r} is not among the claim's experiments; add it there")
    frame = records[experiment]
    if frame is None or frame.empty:
        raise NoRecordsError(f"no records of {experiment}")
    keep = frame["set"] == "report"
    for column, value in where.items():
        if column not in frame.columns:
            raise ClaimError(f"records of {experiment} have no column {column!r} {among(column, list(frame.columns))}")
        keep &= frame[column] == value
    return frame[keep]
