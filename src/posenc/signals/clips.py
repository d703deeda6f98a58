"""Short clips, frames x height x width x RGB: films in the user's folder, or pans over the bundled pictures.

A clip is as long as it is wide. Of a film it is the middle `size` frames, each of which becomes what every picture
becomes: the centred square of side shrink * size, area-averaged. Frames are neither left out nor averaged.

A pan is what a camera sees that moves smoothly over a picture: along each axis on a sine, drawn from the picture's
name, by a pixel of the clip per frame at most, since every second frame is to tell what lies between. Each pixel is the
exact mean of the picture over its box, also where the box cuts pixels of the picture.
"""

import hashlib
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posenc.signals import bundled
from posenc.signals.local import EXTENSIONS, LICENCE
from posenc.signals.pictures import Picture, SignalError, read_picture, signal_from_picture, size_problem
from posenc.signals.sets import Entry, Proposal, split
from posenc.signals.stored import Signal

NOTE = "a pan over a picture, no film"

ROOM = 1.25  # how much larger than the crop a picture must be, for the crop to move in it
FASTEST = 1.0  # pixels of the clip per frame, along each axis

# Films that need a decoder, which is no part of the environment.
_ENCODED = (".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".gif")


def propose(settings: Any, folder: Path | None) -> Proposal:
    """The films in `folder`/clips, or pans over bundled pictures where there are none; a source is in one set alone.

    A single film reports, and pans tune.
    """
    films = named_films(folder / "clips") if folder else {}
    pans = bundled.available(math.ceil(ROOM * settings.size), settings.shrink)
    pans = bundled.photographs_report(pans, settings.tuning)
    if len(films) == 1 and settings.tuning:
        note = "clips: the one local film reports; pans over pictures choose sigma"
        return Proposal("local", entries(split(pans, settings.tuning, 0).tuning), entries(films, films), (note,))
    sets = split(list(films) or pans, settings.tuning, settings.report)
    tuning, report = entries(sets.tuning, films), entries(sets.report, films)
    note = sets.note.replace("pictures", "films") if films else sets.note
    return Proposal("local" if films else "bundled", tuning, report, (f"clips: {note}",) if note else ())


def entries(names: Iterable[str], films: Mapping[str, Path] | None = None) -> list[Entry]:
    """Films where they have a path, pans otherwise."""
    return [Entry(name=name, source=name, path=str((films or {}).get(name, ""))) for name in names]


def named_films(folder: Path) -> dict[str, Path]:
    """The films of a folder by name, none where it does not exist: `.npy` files, and folders with their frames."""
    found = sorted(folder.iterdir()) if folder.is_dir() else []
    named: dict[str, Path] = {}
    for path in (path for path in found if not path.name.startswith(".")):
        if path.suffix.lower() in _ENCODED:
            raise SignalError(
                f"{path}: no decoder for films is at hand; save its frames as pictures in a folder of {folder}"
            )
        if not path.is_dir() and path.suffix.lower() != ".npy":
            continue
        if "{" in str(path):
            raise SignalError(f"{path}: Snakemake takes braces for a wildcard; rename it")
        name = path.name if path.is_dir() else path.stem
        if (other := named.setdefault(name, path)) != path:
            raise SignalError(f"{path}: would be called {name} as {other.name} is; rename one of them")
    return named


def check(spec: Mapping[str, Any]) -> list[str]:
    """Cut every clip of the user's films once, before any job; notes on them. All bad films in one SignalError."""
    notes, problems = [], []
    for path in (entry["path"] for entry in spec["signals"] if entry["path"]):
        try:
            _, note = clip_of_film(Path(path), spec["size"], spec["shrink"])
        except SignalError as error:
            problems.append(str(error))
        else:
            notes += [f"{path}: {note}"] if note else []
    if problems:
        raise SignalError("\n".join(problems))
    return notes


def load_signal(asked: Mapping[str, str], spec: Mapping[str, Any]) -> Signal:
    """`values` `(size, size, size, 3)` uint8: of the film where there is a path, or a pan over the bundled picture."""
    size, shrink = spec["size"], spec["shrink"]
    if asked["path"]:
        values, note = clip_of_film(Path(asked["path"]), size, shrink)
        return Signal({"values": values}, LICENCE, note)
    picture, row = bundled.load(asked["source"]), bundled.entry(asked["source"])
    note = "; ".join(text for text in (NOTE, picture.note) if text)
    return Signal({"values": pan(asked["source"], picture.values, size, shrink)}, f"{row.licence}; {row.credit}", note)


# Pans


def pan(name: str, picture: NDArray[np.uint8], size: int, shrink: int) -> NDArray[np.uint8]:
    """`(size, size, size, 3)`: the pan that belongs to a name over an (H, W, 3) picture."""
    height, width = picture.shape[:2]
    if problem := size_problem(height, width, math.ceil(ROOM * size), shrink):
        raise SignalError(f"{name}: {problem}; a pan needs {ROOM:g} times the room of its frames")
    corners = path_of(name, (height - shrink * size, width - shrink * size), size, shrink)
    return np.stack([frame(picture, top, left, size, shrink) for top, left in corners])


def path_of(name: str, room: tuple[int, int], size: int, shrink: int) -> NDArray[np.float64]:
    """`(size, 2)`: top and left edge of every frame in pixels of the picture, within 0 and `room`.

    Between half a cycle and a whole one over the clip, so that the camera moves by the amplitude at least.
    """
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")
    rng = np.random.default_rng(seed)
    cycles, phases = rng.uniform(0.5, 1, 2), rng.uniform(0, 1, 2)
    middle = np.array(room) / 2
    amplitude = np.minimum(middle, FASTEST * shrink * size / (2 * np.pi * cycles))
    time = np.arange(size)[:, None] / size
    corners: NDArray[np.float64] = middle + amplitude * np.sin(2 * np.pi * (cycles * time + phases))
    return corners.clip(0, room)  # rounding


def frame(picture: NDArray[np.uint8], top: float, left: float, size: int, shrink: int) -> NDArray[np.uint8]:
    """`(size, size, 3)`: means over boxes of shrink x shrink pixels, the first one's corner anywhere in the picture."""
    (rows, down), (columns, across) = (
        boxes(start, size, shrink, count) for start, count in zip((top, left), picture.shape[:2], strict=True)
    )
    averaged = np.einsum("ih,hwc->iwc", down, picture[rows, columns].astype(np.float64), optimize=True)
    return np.rint(np.einsum("jw,iwc->ijc", across, averaged, optimize=True)).astype(np.uint8)


def boxes(start: float, size: int, shrink: int, count: int) -> tuple[slice, NDArray[np.float64]]:
    """Which of `count` pixels `size` boxes of `shrink` pixels touch from `start` on, and weights `(size, pixels)`.

    Every box lies inside, and its weights add up to 1.
    """
    first = math.floor(start)
    pixels = np.arange(first, min(first + size * shrink + 1, count))
    edges = start + shrink * np.arange(size + 1)
    overlap = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    return slice(first, first + len(pixels)), overlap.clip(0) / shrink


# Films


def clip_of_film(path: Path, size: int, shrink: int) -> tuple[NDArray[np.uint8], str]:
    """The clip `(size, size, size, 3)` from the middle of a film, and what was converted."""
    frames, notes = [], []
    for picture in frames_of_folder(path, size) if path.is_dir() else frames_of_array(path, size):
        frames.append(signal_from_picture(picture.values, size, shrink, path))  # one by one: films may be large
        notes.append(picture.note)
    clip = np.stack(frames)
    if clip.min() == clip.max():
        raise SignalError(f"{path}: every voxel is {clip.min()}, so there is nothing to learn; replace or remove it")
    return clip, "; ".join(note for note in dict.fromkeys(notes) if note)


def middle(path: Path, count: int, size: int) -> slice:
    """Of so many frames the `size` in the middle."""
    if count < size:
        shorter = f"lower size to {count // 2 * 2}, or " if count >= 8 else ""
        raise SignalError(f"{path}: {count} frames are fewer than size {size}; {shorter}use a longer film")
    first = (count - size) // 2
    return slice(first, first + size)


def frames_of_folder(path: Path, size: int) -> Iterator[Picture]:
    """The frames in the picture files of a folder, in the order of the numbers in their names."""
    files = [file for file in path.iterdir() if file.suffix.lower() in EXTENSIONS and not file.name.startswith(".")]
    if not files:
        raise SignalError(f"{path}: no frames in this folder; put pictures there ({' '.join(EXTENSIONS)})")
    chosen = sorted(files, key=numbers_as_numbers)[middle(path, len(files), size)]
    first: tuple[int, ...] = ()
    for file in chosen:
        picture = read_picture(file)
        first = first or picture.values.shape
        if picture.values.shape != first:
            (height, width), (high, wide) = picture.values.shape[:2], first[:2]
            raise SignalError(
                f"{file}: {width} x {height} px (width x height), but {chosen[0].name} has {wide} x {high} px; all"
                " frames of a film must be equal"
            )
        yield picture


def numbers_as_numbers(path: Path) -> list[tuple[int, str]]:
    """For sorting: frame 9 before frame 10."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", path.name)]


def frames_of_array(path: Path, size: int) -> Iterator[Picture]:
    """The frames in a `.npy` file: (frames, height, width, 3), uint8 or floats from 0 to 1."""
    try:
        found = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        raise SignalError(f"{path}: no such file; check the path") from None
    except PermissionError:
        raise SignalError(f"{path}: may not be read; check the file's permissions") from None
    except (OSError, ValueError, EOFError) as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise SignalError(f"{path}: no array that can be read, or cut off ({reason}); save it again") from None
    shape = " x ".join(map(str, found.shape))
    if found.ndim != 4 or found.shape[-1] != 3:
        raise SignalError(f"{path}: an array of {shape}, expected frames x height x width x 3 (red, green, blue)")
    if found.dtype != np.uint8 and found.dtype.kind != "f":
        raise SignalError(f"{path}: values of type {found.dtype}, expected uint8, or floats from 0 to 1")
    for number in range(len(found))[middle(path, len(found), size)]:
        if found.dtype == np.uint8:
            yield Picture(found[number], "")
        else:
            yield Picture(eight_bits(found[number], f"{path}: frame {number}"), "floats reduced to 8 bits")


def eight_bits(values: NDArray[np.floating], label: str) -> NDArray[np.uint8]:
    """Floats from 0 to 1 as bytes; label: how a message begins."""
    if broken := values.size - int(np.isfinite(values).sum()):
        raise SignalError(f"{label}: {broken} of {values.size} values are not finite numbers; replace them")
    if values.size and (values.min() < 0 or values.max() > 1):
        raise SignalError(f"{label}: floats from {values.min():g} to {values.max():g}, expected 0 to 1; scale them")
    return np.rint(255 * np.asarray(values, dtype=np.float64)).astype(np.uint8)
