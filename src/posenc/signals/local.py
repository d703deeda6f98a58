"""Pictures in a folder of the user's."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from posenc.signals.pictures import (
    SignalError,
    check_picture,
    read_picture,
    signal_from_picture,
)
from posenc.signals.stored import Signal

LICENCE = "as the owner of the file states"

EXTENSIONS = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp", ".ppm")


def image_files(folder: str | Path) -> list[Path]:
    """All image files below a folder, sorted by their path in it; hidden files and folders are skipped.

    A sub-folder `images` takes the place of the folder: a data folder may hold other kinds of data beside.
    """
    folder = Path(folder)
    if not folder.exists():
        raise SignalError(f"{folder}: no such folder; check the path, or use the bundled pictures")
    if not folder.is_dir():
        raise SignalError(f"{folder}: not a folder; name the folder that holds the pictures")
    start = folder / "images" if (folder / "images").is_dir() else folder
    files = [path for path in _visible_files(start) if path.suffix.lower() in EXTENSIONS]
    if not files:
        kinds = " ".join(EXTENSIONS)
        raise SignalError(f"{start}: no image files in this folder or below it; put pictures there ({kinds})")
    return sorted(files, key=lambda path: path.relative_to(start).as_posix())


def check_images(folder: str | Path, size: int, shrink: int) -> list[tuple[Path, str]]:
    """(file, note on what is converted) of every picture in a folder; all bad files in one message.

    Decodes every file, which takes about 20 ms per megapixel: for use once, before any job starts.
    """
    good: list[tuple[Path, str]] = []
    problems: list[str] = []
    for path in image_files(folder):
        try:
            good.append((path, check_picture(path, size, shrink)))
        except SignalError as error:
            problems.append(str(error))
    if problems:
        total = len(good) + len(problems)
        head = f"{folder}: {len(problems)} of {total} pictures cannot be used:"
        raise SignalError("\n  ".join([head, *problems]))
    return good


def load_signal(asked: Mapping[str, str], spec: Mapping[str, Any]) -> Signal:
    """The signal cut from the picture in a file, (size, size, 3) uint8."""
    path = asked["path"]
    if not path:
        raise SignalError(f"local signal {asked['name']!r} has no path; give the path of its image file")
    picture = read_picture(path)
    values = signal_from_picture(picture.values, spec["size"], spec["shrink"], path)
    return Signal({"values": values}, LICENCE, picture.note)


def _visible_files(start: Path) -> list[Path]:
    """Files below a folder, links to folders followed once."""
    files: list[Path] = []
    seen: set[str] = set()
    for place, folders, names in os.walk(start, followlinks=True):
        real = os.path.realpath(place)
        if real in seen:  # a link back up would never end
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        files += [Path(place, name) for name in names if not name.startswith(".")]
    return files
