"""Which pictures tune and which report; a signal set's values and its two files."""

import json
import os
import zipfile
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from posenc.signals.pictures import Signal, SignalError

_MAKERS = ("bundled", "drawn", "local", "published")

Row = dict[str, str]  # name, set, source, licence, note


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


def load_signals(spec: dict[str, Any]) -> tuple[np.ndarray, list[Row]]:
    """Values (S, H, W, 3) uint8 and one row per signal, in the order of the spec.

    spec: kind natural | text, size and shrink in px, signals (a list of name, set, source, path), and either
    origin bundled | local | published or `use`, the module that makes them. Text is always drawn.
    """
    if not spec["signals"]:
        raise SignalError(f"no {spec['kind']} signals were named; a set needs at least one")
    # named, not imported above: editing one origin's code then remakes only the signals made by it
    module = import_module(_maker(spec))
    values, rows = [], []
    for entry in spec["signals"]:
        signal: Signal = module.load_signal(
            entry["name"], entry.get("path", ""), spec["size"], spec["shrink"]
        )
        values.append(signal.values)
        row = {"name": entry["name"], "set": entry["set"], "source": entry["source"]}
        rows.append(row | {"licence": signal.licence, "note": signal.note})
    return np.stack(values), rows


def write_signals(values: np.ndarray, rows: list[Row], npz_path: str | Path, json_path: str | Path) -> None:
    """Write `values` to the npz and the rows to the json file; equal signals give equal bytes."""
    if len(values) != len(rows):
        raise ValueError(f"{len(values)} signals but {len(rows)} rows")

    def write_npz(path: Path) -> None:
        # numpy's own savez stamps the time; stored, not deflated, because zlib versions differ in bytes
        member = zipfile.ZipInfo("values.npy", date_time=(1980, 1, 1, 0, 0, 0))
        member.create_system = 3  # the same on every system
        with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive, archive.open(member, "w") as file:
            np.lib.format.write_array(file, np.ascontiguousarray(values), allow_pickle=False)

    def write_json(path: Path) -> None:
        path.write_text(json.dumps(rows, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")

    _write_whole(Path(npz_path), write_npz)
    _write_whole(Path(json_path), write_json)


def read_signals(npz_path: str | Path, json_path: str | Path) -> tuple[np.ndarray, list[Row]]:
    """What `write_signals` wrote: values (S, H, W, 3) uint8 and their rows."""
    with np.load(npz_path, allow_pickle=False) as arrays:
        values = arrays["values"]
    rows = json.loads(Path(json_path).read_text(encoding="utf-8"))
    if len(values) != len(rows):
        raise SignalError(
            f"{npz_path} holds {len(values)} signals and {json_path} {len(rows)}; make both again"
        )
    return values, rows


def _maker(spec: dict[str, Any]) -> str:
    """Name of the module whose `load_signal` makes the signals of a spec."""
    if "use" in spec:
        maker = str(spec["use"]).removeprefix("posenc.signals.")
    else:
        maker = "drawn" if spec["kind"] == "text" and spec["origin"] != "published" else spec["origin"]
    if maker not in _MAKERS or spec["kind"] not in ("natural", "text"):
        raise SignalError(
            f"no signals of kind {spec['kind']!r} come from {maker!r}; kinds are natural and text, "
            f"sources {', '.join(_MAKERS)}"
        )
    return f"posenc.signals.{maker}"


def _write_whole(path: Path, write: Callable[[Path], None]) -> None:
    """Write to a temporary name beside the path, then rename: a killed job leaves no half file behind."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        write(unfinished)
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)
