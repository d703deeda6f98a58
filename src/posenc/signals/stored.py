"""A signal set on disk: its values, and beside them a row of facts per signal."""

import json
from pathlib import Path

import numpy as np

from posenc.files import write_arrays, write_json

Row = dict[str, str]  # name, set, source, licence, note


def write_signals(values: np.ndarray, rows: list[Row], npz_path: str | Path, json_path: str | Path) -> None:
    """Write `values` to the npz and the rows to the json file; equal signals give equal bytes."""
    if len(values) != len(rows):
        raise ValueError(f"{len(values)} signals but {len(rows)} rows")
    write_arrays(npz_path, {"values": values})
    write_json(json_path, rows)


def read_signals(npz_path: str | Path, json_path: str | Path) -> tuple[np.ndarray, list[Row]]:
    """What `write_signals` wrote: values (S, H, W, 3) uint8 and their rows. Raises ValueError where they disagree."""
    with np.load(npz_path, allow_pickle=False) as arrays:
        values = arrays["values"]
    rows = json.loads(Path(json_path).read_text(encoding="utf-8"))
    if len(values) != len(rows):
        raise ValueError(f"{npz_path} holds {len(values)} signals and {json_path} {len(rows)}; make both again")
    return values, rows
