"""Which pictures tune and which report, and the values of a signal set."""

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from posenc.signals.pictures import Signal, SignalError
from posenc.signals.stored import Row, write_signals


class Split(NamedTuple):
    """Independent sources of the two sets."""

    tuning: list[str]
    report: list[str]
    note: str  # why there are fewer than asked, empty when there are not


def split(sources: Sequence[str], tuning: int, report: int) -> Split:
    """The first sources tune and the next ones report; too few are shared in the proportion asked for.

    No source is in both sets. A set that was asked for gets at least one source.
    """
    distinct = list(dict.fromkeys(sources))
    asked = tuning + report
    needed = min(tuning, 1) + min(report, 1)
    if len(distinct) < needed:
        raise SignalError(
            f"{len(distinct)} independent pictures for {tuning} tuning and {report} report signals: "
            f"at least {needed} are needed; add pictures, or use a smaller crop"
        )
    if len(distinct) >= asked:
        return Split(distinct[:tuning], distinct[tuning:asked], "")
    share = (2 * len(distinct) * tuning + asked) // (2 * asked)  # rounded to the nearest whole
    share = max(min(tuning, 1), min(share, len(distinct) - min(report, 1)))
    note = (
        f"{len(distinct)} independent pictures where {asked} were asked for: "
        f"{share} of {tuning} tuning, {len(distinct) - share} of {report} report"
    )
    return Split(distinct[:share], distinct[share:], note)


def prepare_signals(spec: dict[str, Any], npz_path: str | Path, json_path: str | Path) -> None:
    """Make the signals of a spec and write them."""
    write_signals(*load_signals(spec), npz_path, json_path)


def load_signals(spec: dict[str, Any]) -> tuple[np.ndarray, list[Row]]:
    """Values (S, H, W, 3) uint8 and one row per signal, in the order of the spec.

    spec: `use` (the module whose `load_signal` makes them), size and shrink in px, and signals (a list of name, set,
    source, path). Raises SignalError where there are none.
    """
    if not spec["signals"]:
        raise SignalError(f"no {spec['use']} signals were named; a set needs at least one")
    # named, not imported above: editing one origin's code then remakes only the signals made by it
    module = import_module(spec["use"])
    values, rows = [], []
    for entry in spec["signals"]:
        signal: Signal = module.load_signal(entry["name"], entry.get("path", ""), spec["size"], spec["shrink"])
        values.append(signal.values)
        row = {"name": entry["name"], "set": entry["set"], "source": entry["source"]}
        rows.append(row | {"licence": signal.licence, "note": signal.note})
    return np.stack(values), rows
