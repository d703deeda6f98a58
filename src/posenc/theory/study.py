"""A theory study as a job: what its function is given, and what it leaves on disk."""

from __future__ import annotations

import importlib
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from posenc.files import write_arrays, write_bytes, write_json
from posenc.memory import keep_freed_memory
from posenc.signals.stored import Row, read_signals


@dataclass(frozen=True)
class Fit:
    """What a study sees of a fit: the planner's spec and settings, and the arrays that its problem shows."""

    spec: Mapping[str, Any]
    settings: Mapping[str, Any]
    arrays: Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Inputs:
    """All that a study may look at; signals, fits, and specs of planned combinations by experiment."""

    parameters: Mapping[str, Any]
    signals: Mapping[str, tuple[Mapping[str, np.ndarray], list[Row]]]
    fits: Mapping[str, list[Fit]]
    plans: Mapping[str, list[Mapping[str, Any]]] = field(default_factory=dict)


@dataclass(frozen=True)
class Found:
    """What a study finds: rows of records (`metric`, `value`, and whatever tells them apart) and arrays."""

    rows: list[dict[str, Any]]
    arrays: dict[str, np.ndarray] = field(default_factory=dict)


# What a row of a study has where it says nothing else: it is exact and of one source. Every row is final and chosen.
DEFAULTS = {
    "signal": "exact", "set": "report", "source": "exact", "item": None, "replicate": None, "condition": None,
    "split": "all", "step": 0, "status": "ok", "seed": 0, "final": True, "chosen": True,
}  # fmt: skip


def run_study(spec: Mapping[str, Any], outputs: Mapping[str, str]) -> None:
    """Call a study's function and write its `arrays` (.npz), `records` (.parquet) and `summary` (.json)."""
    started = time.monotonic()
    keep_freed_memory()
    module, function = spec["function"].split(":")
    inputs = Inputs(
        spec["parameters"],
        {name: read_signals(files["npz"], files["json"]) for name, files in spec["signals"].items()},
        {
            name: [Fit(fit["spec"], fit["settings"], np.load(fit["arrays"])) for fit in fits]
            for name, fits in spec["fits"].items()
        },
        spec["plans"],
    )
    found: Found = getattr(importlib.import_module(module), function)(inputs)
    frame = pd.DataFrame([{**spec["common"], **DEFAULTS, **row} for row in found.rows])
    write_arrays(outputs["arrays"], found.arrays)
    write_bytes(outputs["records"], frame.to_parquet(index=False))
    write_json(outputs["summary"], {**spec["common"], "seconds": time.monotonic() - started})
