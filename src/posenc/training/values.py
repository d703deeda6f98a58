"""What fits give, and how its rows come about while they train."""

import logging
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

log = logging.getLogger(__name__)


@dataclass
class Fitted:
    """What fits give: rows of values; by signal the prediction of every pixel; by signal and name the weights."""

    values: list[dict[str, Any]] = field(default_factory=list)
    predictions: dict[str, Tensor] = field(default_factory=dict)
    weights: dict[str, Tensor] = field(default_factory=dict)

    def add(self, more: "Fitted") -> None:
        self.values += more.values
        self.predictions |= more.predictions
        self.weights |= more.weights


class Records:
    """Values of a stack's signals as rows; once a signal's loss is not finite, the rest of its rows say `diverged`."""

    def __init__(self, rows: list[dict[str, str]]) -> None:
        self.rows = rows
        self.values: list[dict[str, Any]] = []
        self.diverged = [False] * len(rows)
        self.latest: dict[str, list[float]] = {}

    @property
    def names(self) -> list[str]:
        return [row["name"] for row in self.rows]

    def put_back(self, values: list[dict[str, Any]]) -> None:
        """Go on from rows that an earlier process made."""
        self.values = list(values)
        gone = {row["signal"] for row in values if row["status"] == "diverged"}
        self.diverged = [name in gone for name in self.names]

    def add(self, metric: str, split: str, step: int, numbers: Tensor) -> None:
        """One number `(signals,)` per signal. A PSNR may be infinite (an exact fit); a loss or a NaN may not."""
        self.latest[f"{metric} {split}"] = listed = numbers.tolist()
        for index, (row, value) in enumerate(zip(self.rows, listed, strict=True)):
            self.diverged[index] |= value != value or (metric == "loss" and value == float("inf"))
            self.values.append(
                {
                    "signal": row["name"],
                    "set": row["set"],
                    "split": split,
                    "metric": metric,
                    "step": step,
                    "value": value,
                    "status": "diverged" if self.diverged[index] else "ok",
                }
            )

    def report(self, step: int, steps: int) -> None:
        """One line per signal in the job's log."""
        for index, row in enumerate(self.rows):
            numbers = ", ".join(f"{name} {listed[index]:.5g}" for name, listed in self.latest.items())
            log.info("%s: step %d of %d: %s", row["name"], step, steps, numbers)
