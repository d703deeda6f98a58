"""What fits give, and how its rows come about while they train."""

import logging
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

from torch import Tensor

log = logging.getLogger(__name__)


@dataclass
class Fitted:
    """What fits give: rows of values; by signal and name what is kept of its prediction, and the weights."""

    values: list[dict[str, Any]] = field(default_factory=list)
    predictions: dict[str, Tensor] = field(default_factory=dict)
    weights: dict[str, Tensor] = field(default_factory=dict)

    def add(self, more: "Fitted") -> None:
        self.values += more.values
        self.predictions |= more.predictions
        self.weights |= more.weights

    def of_member(self, member: int, members: int) -> "Fitted":
        """With the member's number before every name, where there are several."""
        if members == 1:
            return self
        named = [
            {f"{member}/{name}": kept for name, kept in found.items()} for found in (self.predictions, self.weights)
        ]
        return Fitted(self.values, *named)


class Records:
    """Values of a stack's signals as rows; once a signal's loss is not finite, the rest of its rows say `diverged`."""

    def __init__(self, rows: list[dict[str, str]], member: int = 0) -> None:
        self.rows = rows
        self.member = member
        self.values: list[dict[str, Any]] = []
        self.diverged = [False] * len(rows)
        self.latest: dict[str, list[list[float]]] = {}

    @property
    def names(self) -> list[str]:
        return [row["name"] for row in self.rows]

    def put_back(self, values: list[dict[str, Any]]) -> None:
        """Go on from rows that an earlier process made."""
        self.values = list(values)
        gone = {row["signal"] for row in values if row["status"] == "diverged"}
        self.diverged = [name in gone for name in self.names]

    def add(self, metric: str, split: str, step: int, numbers: Tensor, item: str = "", which: str = "") -> None:
        """One number `(signals,)` per signal. A PSNR may be infinite (an exact fit); a loss or a NaN may not."""
        listed: list[float] = numbers.tolist()
        self.latest.setdefault(f"{metric} {split}", []).append(listed)
        for index, (row, value) in enumerate(zip(self.rows, listed, strict=True)):
            self.diverged[index] |= value != value or (metric == "loss" and value == float("inf"))
            self.values.append(
                {
                    "member": self.member,
                    "signal": row["name"],
                    "set": which or row["set"],
                    "item": item,
                    "split": split,
                    "metric": metric,
                    "step": step,
                    "value": value,
                    "status": "diverged" if self.diverged[index] else "ok",
                }
            )

    def report(self, step: int, steps: int) -> None:
        """One line per signal in the job's log, of what was added since the last; of items their mean."""
        for index, row in enumerate(self.rows):
            means = {name: fmean(listed[index] for listed in found) for name, found in self.latest.items()}
            numbers = ", ".join(f"{name} {value:.5g}" for name, value in means.items())
            log.info("%s: step %d of %d: %s", row["name"], step, steps, numbers)
        self.latest.clear()
