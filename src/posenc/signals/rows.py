"""Rows of grey pictures as functions of one variable (Zheng, Ramasinghe, Lucey 2021, Rethinking Positional Encoding).

The picture becomes the square of `size` x `size` pixels that every picture becomes, is made grey by the weights of
scikit-image's `rgb2gray`, as in the authors' notebooks, and divided by 255; a row is one line of it, left to right.
Which rows these are is drawn from the picture's name alone: none twice, and none that shows next to nothing, such as
sky, with a standard deviation below a quarter of the picture's.
"""

import hashlib
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posenc.signals import bundled, local
from posenc.signals.pictures import SignalError
from posenc.signals.sets import Entry, Proposal, split
from posenc.signals.stored import Signal

GREY = np.array([0.2125, 0.7154, 0.0721])  # of red, green and blue, as `skimage.color.rgb2gray`
FAINT = 0.25  # of the picture's standard deviation: a row that varies less is left out


def proposed(settings: Any, paths: Mapping[str, str], origin: str) -> Proposal:
    """Rows of pictures by name, `per_picture` of each; their source is the picture, and none is in both sets."""
    each, size = settings.per_picture, settings.size
    if each is None:
        raise SignalError("rows need per_picture (how many rows are of the same picture); give signals.per_picture")
    if each > size:
        raise SignalError(f"per_picture {each}: a picture of {size} x {size} pixels has {size} rows; take fewer")
    of_tuning, of_report = (math.ceil(count / each) for count in (settings.tuning, settings.report))
    names = bundled.photographs_report(list(paths), of_tuning) if origin == "bundled" else list(paths)
    sets = split(names, of_tuning, of_report)
    tuning, report = (
        row_entries({name: paths[name] for name in names}, count, each)
        for names, count in ((sets.tuning, settings.tuning), (sets.report, settings.report))
    )
    return Proposal(origin, tuning, report, (f"rows, {size} pixels: {sets.note}",) if sets.note else ())


def row_entries(paths: Mapping[str, str], count: int, each: int) -> list[Entry]:
    """So many rows, of the pictures in turn."""
    wanted = [(name, rank) for rank in range(each) for name in paths][:count]
    return [Entry(name=row_name(name, rank), source=name, path=paths[name]) for name, rank in wanted]


def check(spec: Mapping[str, Any]) -> list[str]:
    """Read every picture of the user's once, before any job; notes on them. All bad ones in one SignalError."""
    notes, problems = [], []
    for path in dict.fromkeys(entry["path"] for entry in spec["signals"]):
        try:
            entries = [entry for entry in spec["signals"] if entry["path"] == path]
            grey, picture = grey_square(entries[0], spec)
            for entry in entries:
                row_of_rank(grey, entry)
        except SignalError as error:
            problems.append(str(error))
        else:
            notes += [f"{path}: {picture.note}"] if picture.note else []
    if problems:
        raise SignalError("\n".join(problems))
    return notes


def load_signal(asked: Mapping[str, str], spec: Mapping[str, Any]) -> Signal:
    """`values` `(size,)` float32 in [0, 1]: a row of the picture in the file, or without a path of the bundled one."""
    grey, picture = grey_square(asked, spec)
    index = row_of_rank(grey, asked)
    note = "; ".join(text for text in (f"row {index} of {len(grey)}", picture.note) if text)
    return Signal({"values": grey[index].astype(np.float32)}, picture.licence, note)


def grey_square(asked: Mapping[str, str], spec: Mapping[str, Any]) -> tuple[NDArray[np.float64], Signal]:
    """The entry's picture, `(size, size)` in [0, 1], and as the signal in colour that it is made from."""
    origin = local if asked["path"] else bundled
    picture = origin.load_signal({"name": asked["source"], "path": asked["path"]}, spec)
    # Pixel by pixel, not `@`: equal pixels must stay equal to the last bit, or a constant picture would seem to vary.
    return (picture.arrays["values"] * GREY).sum(axis=2) / 255, picture


def random_rows(name: str, grey: NDArray[np.float64]) -> Sequence[int]:
    """The rows that show enough, in an order drawn from the picture's name."""
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")
    order = np.random.default_rng(seed).permutation(len(grey))
    shows = (np.ptp(grey, axis=1) > 0) & (grey.std(axis=1) >= FAINT * grey.std())
    return [index for index in order.tolist() if shows[index]]


def row_of_rank(grey: NDArray[np.float64], asked: Mapping[str, str]) -> int:
    """Where the row that an entry asks for lies: its name counts the picture's rows in random order."""
    order, rank = random_rows(asked["source"], grey), row_rank(asked["name"])
    if rank >= len(order):
        remedy = f"lower per_picture to {len(order)}, or replace the picture" if order else "replace the picture"
        raise SignalError(
            f"{asked['path'] or asked['source']}: only {len(order)} of {len(grey)} rows show enough; {remedy}"
        )
    return order[rank]


def row_name(picture: str, rank: int) -> str:
    """Name of the row of a picture with this place in their random order."""
    return f"{picture}_row_{rank:02d}"


def row_rank(name: str) -> int:
    """Place of the row with this name in the random order."""
    found = re.search(r"_row_(\d{2,})$", name)
    if found is None:
        raise SignalError(f"no row is called {name!r}; they are <picture>_row_00, ...")
    return int(found[1])
