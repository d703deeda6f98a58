"""Image files as uint8 RGB, and the square signal cut from a picture.

A picture becomes a signal so: the centred square of side shrink * size, area-averaged by the whole
factor shrink, rounded to uint8. Everything a user's file can be wrong in ends in one `SignalError`.
"""

import re
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

# What Pillow raises on damaged files, over all formats. Faults of the machine (memory) pass through.
_DAMAGE = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    LookupError,
    TypeError,
    OverflowError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)

_ORIENTATION_TAG = 0x0112
_UPRIGHT = {  # EXIF orientation -> the turn that makes the picture upright
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_QUARTER_TURNS = (5, 6, 7, 8)

_SMALLEST_SIZE = 8  # no smaller signal is worth proposing

_PLAIN_NAMES = {"1": "black and white", "L": "grey", "P": "palette"}


class SignalError(ValueError):
    """A mistake in what the user gave as a signal: what is wrong, where, and what to do."""


class Picture(NamedTuple):
    """A decoded image file."""

    values: np.ndarray  # (height, width, 3) uint8
    note: str  # what was converted, empty for a plain 8-bit RGB file


def picture_size(path: str | Path) -> tuple[int, int]:
    """(height, width) in pixels of the upright picture, from the file's header alone."""
    path = Path(path)
    with _damage_told(path), _opened(path) as image:
        width, height = image.size
        return (width, height) if _orientation(image) in _QUARTER_TURNS else (height, width)


def read_picture(path: str | Path, background: str = "white") -> Picture:
    """The picture in a file as upright 8-bit RGB; what is transparent shows the background."""
    path = Path(path)
    with _damage_told(path), _opened(path) as image:
        if image.size == (1, 1):
            raise SignalError(f"{path}: a picture of 1 pixel has nothing to learn; replace or remove it")
        notes = []
        frames = getattr(image, "n_frames", 1)
        if frames > 1:
            notes.append(f"first of {frames} frames")
        sixteen_bit = _is_sixteen_bit(image)  # asked before decoding, which empties the list of tiles
        turn = _UPRIGHT.get(_orientation(image))
        image.load()
        if image.mode == "F" or (image.mode == "I" and not sixteen_bit):
            raise SignalError(
                f"{path}: 32-bit values (mode {image.mode}), whose range is not known; "
                "save it as an 8-bit or 16-bit picture"
            )
        converted, conversion = _as_rgb(image, background)
        notes.append(conversion)
        if sixteen_bit:
            notes.append("16 bits reduced to 8")
        if turn is not None:
            converted = converted.transpose(turn)
            notes.append("turned upright by its EXIF orientation")
        return Picture(np.array(converted, dtype=np.uint8), ", ".join(note for note in notes if note))


def size_problem(height: int, width: int, size: int, shrink: int) -> str:
    """Why a picture is too small for the crop and what to do; empty when it is large enough."""
    side, shorter = shrink * size, min(height, width)
    if shorter >= side:
        return ""
    crop = f"{side} x {side} px (size {size} x shrink {shrink})" if shrink > 1 else f"{side} x {side} px"
    remedies = ["use a larger picture"]
    if shorter >= size:
        remedies.insert(0, f"lower shrink to {shorter // size}")
    largest = shorter // shrink // 2 * 2  # sizes are even: every second pixel trains
    if largest >= _SMALLEST_SIZE:
        remedies.insert(0, f"lower size to {largest}")
    found = f"{width} x {height} px (width x height)"
    return f"{found} is smaller than the crop of {crop}; {', or '.join(remedies)}"


def check_picture(path: str | Path, size: int, shrink: int) -> str:
    """The note of a file that can become a signal; decodes it fully, so that no job fails on it later."""
    picture = read_picture(path)
    height, width = picture.values.shape[:2]
    problem = size_problem(height, width, size, shrink)
    if problem:
        raise SignalError(f"{path}: {problem}")
    return picture.note


def signal_from_picture(picture: np.ndarray, size: int, shrink: int, label: str | Path = "picture") -> np.ndarray:
    """The centred square of an (H, W, 3) uint8 picture, area-averaged to (size, size, 3) uint8.

    label: what a message about a too small picture calls it.
    """
    height, width = picture.shape[:2]
    problem = size_problem(height, width, size, shrink)
    if problem:
        raise SignalError(f"{label}: {problem}")
    side = shrink * size
    top, left = (height - side) // 2, (width - side) // 2
    square = picture[top : top + side, left : left + side]
    blocks = square.reshape(size, shrink, size, shrink, 3).astype(np.float64)
    # rint sends ties to the even level: rounding half up would brighten every picture a little
    return np.rint(blocks.mean(axis=(1, 3))).astype(np.uint8)


@contextmanager
def _damage_told(path: Path) -> Iterator[None]:
    """Turn whatever Pillow raises on a damaged file into one message, and silence its warnings about it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        except SignalError:
            raise
        except _DAMAGE as error:
            reason = f"{type(error).__name__}: {error}"
            raise SignalError(f"{path}: damaged or cut off ({reason}); copy or download the file again") from None


def _opened(path: Path) -> Image.Image:
    """The image with its header read."""
    try:
        return Image.open(path)
    except FileNotFoundError:
        raise SignalError(f"{path}: no such file; check the path") from None
    except IsADirectoryError:
        raise SignalError(f"{path}: a folder, not an image file; name a file") from None
    except PermissionError:
        raise SignalError(f"{path}: may not be read; check the file's permissions") from None
    except Image.DecompressionBombError as error:
        raise SignalError(f"{path}: too large to read safely ({error}); save a smaller picture") from None
    except _DAMAGE:
        what = "not an image that can be read (unknown format, or cut off at its start)"
        if path.is_file() and path.stat().st_size == 0:
            what = "an empty file"
        raise SignalError(f"{path}: {what}; replace it by a PNG or JPEG, or remove it") from None


def _orientation(image: Image.Image) -> int:
    """EXIF orientation, 1 (upright) when there is none or it is broken."""
    # Pillow decodes a whole PNG to look for EXIF behind its pixels; nobody writes it there
    if image.format == "PNG" and "exif" not in image.info:
        return 1
    try:
        return int(image.getexif().get(_ORIENTATION_TAG, 1))
    except _DAMAGE:
        return 1


def _is_sixteen_bit(image: Image.Image) -> bool:
    """Whether the file stores 16 bits per channel (Pillow opens 16-bit colour as 8-bit RGB, silently)."""
    if image.mode.startswith("I;16"):
        return True
    if image.mode == "I":  # Pillow's mode for 16-bit grey in these formats
        return image.format in ("PNG", "PPM")
    return any(re.search(r"\b(L|LA|RGB|RGBA|RGBX);16", str(tile[3])) for tile in getattr(image, "tile", []))


def _as_rgb(image: Image.Image, background: str) -> tuple[Image.Image, str]:
    """The decoded image in mode RGB and what was converted."""
    if image.mode == "RGB" and "transparency" not in image.info:
        return image.copy(), ""
    if image.mode.startswith("I"):
        grey = np.rint(np.asarray(image).astype(np.float64) / 257).clip(0, 255).astype(np.uint8)
        return Image.fromarray(grey).convert("RGB"), "converted from grey"
    name = _PLAIN_NAMES.get(image.mode, image.mode)
    if "transparency" in image.info or image.mode in ("LA", "La", "PA", "RGBA", "RGBa"):
        straight = {"La": "LA", "RGBa": "RGBA"}.get(image.mode, image.mode)
        rgba = image.convert(straight).convert("RGBA")
        behind = Image.new("RGBA", rgba.size, background)
        return Image.alpha_composite(behind, rgba).convert("RGB"), f"converted from {name}, put on {background}"
    return image.convert("RGB"), f"converted from {name}"
