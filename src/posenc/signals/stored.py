"""A signal set on disk: its arrays, and beside them a row of facts per signal."""

import json
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from posenc.files import write_arrays, write_json

Row = dict[str, str]  # name, set, source, licence, note; where a set has conditions, also condition


class Signal(NamedTuple):
    """What the `load_signal` of every kind returns; `values` is the array of a signal that has only one."""

    arrays: dict[str, np.ndarray]
    licence: str
    note: str


class Arrays(Mapping[str, np.ndarray]):
    """The arrays of a signal set by name, `(signals, ...)` each, read when they are asked for."""

    def __init__(self, path: str | Path) -> None:
        self._archive = np.load(path, allow_pickle=False)

    def __getitem__(self, name: str) -> np.ndarray:
        found: np.ndarray = self._archive[name]
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self._archive.files)

    def __len__(self) -> int:
        return len(self._archive.files)


def write_signals(
    arrays: Mapping[str, np.ndarray], rows: list[Row], npz_path: str | Path, json_path: str | Path
) -> None:
    """Write the arrays, `(signals, ...)` each, and the rows; equal signals give equal bytes."""
    for name, array in arrays.items():
        if len(array) != len(rows):
            raise ValueError(f"{name}: {len(array)} signals but {len(rows)} rows")
    write_arrays(npz_path, arrays)
    write_json(json_path, rows)


def read_signals(npz_path: str | Path, json_path: str | Path) -> tuple[Arrays, list[Row]]:
    """What `write_signals` wrote. Raises ValueError where arrays and rows disagree."""
    arrays = Arrays(npz_path)
    rows = json.loads(Path(json_path).read_text(encoding="utf-8"))
    for name in arrays:
        if (count := array_length(npz_path, name)) != len(rows):
            raise ValueError(f"{npz_path} holds {count} signals and {json_path} {len(rows)}; make both again")
    return arrays, rows


def array_length(npz_path: str | Path, name: str) -> int:
    """How many signals an array holds, from its header alone."""
    with zipfile.ZipFile(npz_path) as archive, archive.open(f"{name}.npy") as stream:
        version = np.lib.format.read_magic(stream)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        return int(read(stream)[0][0])
