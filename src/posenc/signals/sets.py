"""Which pictures tune and which report, and the values of a signal set."""

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from posenc.signals.pictures import SignalError
from posenc.signals.stored import Row, Signal, write_signals

Entry = dict[str, str]  # name, source, path; maybe condition, and `use` where not the kind's own module makes it


class Proposal(NamedTuple):
    """Which signals of a kind there are for an experiment: what the `propose` of every kind returns."""

    origin: str  # drawn, bundled or local
    tuning: list[Entry]
    report: list[Entry]
    notes: tuple[str, ...] = ()


class Split(NamedTuple):
    """Independent sources of the two sets."""

    tuning: list[str]
    report: list[str]
    note: str  # why there are fewer than asked, empty when there are not


def split(sources: Sequence[str], tuning: int, report: int, what: str = "pictures") -> Split:
    """The first sources tune and the next ones report; too few are shared in the proportion asked for.

    No source is in both sets. A set that was asked for gets at least one source.
    """
    distinct = list(dict.fromkeys(sources))
    asked = tuning + report
    needed = min(tuning, 1) + min(report, 1)
    if len(distinct) < needed:
        raise SignalError(
            f"{len(distinct)} independent {what} for {tuning} tuning and {report} report signals: "
            f"at least {needed} are needed; add {what}{', or use a smaller crop' if what == 'pictures' else ''}"
        )
    if len(distinct) >= asked:
        return Split(distinct[:tuning], distinct[tuning:asked], "")
    share = (2 * len(distinct) * tuning + asked) // (2 * asked)  # rounded to the nearest whole
    share = max(min(tuning, 1), min(share, len(distinct) - min(report, 1)))
    note = (
        f"{len(distinct)} independent {what} where {asked} were asked for: "
        f"{share} of {tuning} tuning, {len(distinct) - share} of {report} report"
    )
    return Split(distinct[:share], distinct[share:], note)


def prepare_signals(spec: dict[str, Any], npz_path: str | Path, json_path: str | Path) -> None:
    """Make the signals of a spec and write them."""
    write_signals(*load_signals(spec), npz_path, json_path)


def load_signals(spec: dict[str, Any]) -> tuple[dict[str, np.ndarray], list[Row]]:
    """Arrays `(signals, ...)` by name and one row per signal, in the order of the spec.

    spec: `use` (the module whose `load_signal` makes them), signals (a list of entries: name, set, source, path and
    maybe condition), and the settings of their kind, such as size in px. Raises SignalError where there are none.
    """
    if not spec["signals"]:
        raise SignalError(f"no {spec['use']} signals were named; a set needs at least one")
    made: list[Signal] = []
    rows = []
    for entry in spec["signals"]:
        signal: Signal = module_of(spec, entry).load_signal(entry, spec)
        made.append(signal)
        row = {key: value for key, value in entry.items() if key not in ("path", "use")}
        rows.append(row | {"licence": signal.licence, "note": signal.note})
    return {name: np.stack([signal.arrays[name] for signal in made]) for name in made[0].arrays}, rows


def module_of(spec: dict[str, Any], entry: dict[str, str]) -> Any:
    """Named, not imported above: editing one origin's code then remakes only the signals made by it."""
    return import_module(entry.get("use", spec["use"]))
