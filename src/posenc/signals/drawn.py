"""Text pictures: random strings, sizes and colours on white, as the paper describes its Text set.

The authors' pictures are known only by that description and one figure (heavily overlapping strings, some
cut at the border), so these are drawn anew, from a seed per picture and a font of matplotlib's wheel.
"""

import string
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from posenc.signals.pictures import SignalError
from posenc.signals.stored import Signal

LICENCE = "drawn by this project"

_FONT = "DejaVuSans-Bold.ttf"
# The training set is every second pixel, and a stroke should span two training pixels: four pixels. This
# face reaches that in every letter and digit from 36 px on (a test measures it). Its serif and monospaced
# sisters, nearer to the paper's face, would need letters too large for a small picture.
SMALLEST_FONT_PX = 36

_CHARACTERS = string.ascii_letters + string.digits
_LENGTHS = (3, 8)  # characters of a string
_SEED = 2020  # of the whole set; a picture adds its index
_COVERAGE = 1.4  # area of the strings' boxes inside the picture, summed, over the picture's area
_BRIGHTEST = 200  # of a channel, so that every string stands out from the white
_GOLDEN = (5**0.5 - 1) / 2


def text_name(index: int) -> str:
    """Name of the text picture with this index."""
    return f"text_{index:02d}"


def text_index(name: str) -> int:
    """Index of the text picture with this name."""
    digits = name.removeprefix("text_")
    if not digits.isdecimal() or text_name(int(digits)) != name:
        raise SignalError(f"no text picture is called {name!r}; they are text_00, text_01, ...")
    return int(digits)


def font_sizes(size: int) -> tuple[int, int]:
    """(smallest, largest) font size in px for a picture of size px: in proportion, never below the limit."""
    smallest = max(SMALLEST_FONT_PX, size // 14)
    return smallest, max(size // 4, smallest * 3 // 2)


@cache
def _font(px: int) -> ImageFont.FreeTypeFont:
    """The bold face at a size in px."""
    import matplotlib  # here, because importing this module must stay cheap

    path = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / _FONT
    if not path.is_file():
        raise SignalError(f"text pictures: the installed matplotlib has no font {_FONT}; install it from its wheel")
    # the basic layout engine, because the other one depends on libraries of the system
    return ImageFont.truetype(str(path), px, layout_engine=ImageFont.Layout.BASIC)


def glyph(character: str, px: int) -> np.ndarray:
    """(h, w) uint8 ink of one character at a font size, 255 where fully inked."""
    font = _font(px)
    left, top, right, bottom = (int(edge) for edge in font.getbbox(character))
    canvas = Image.new("L", (right - left + 2, bottom - top + 2), 0)
    ImageDraw.Draw(canvas).text((1 - left, 1 - top), character, font=font, fill=255)
    return np.asarray(canvas)


def text_picture(index: int, size: int) -> np.ndarray:
    """(size, size, 3) uint8 text picture; the same bits for the same index and size."""
    rng = np.random.default_rng([_SEED, index])
    picture = Image.new("RGB", (size, size), "white")
    draw = ImageDraw.Draw(picture)
    smallest, largest = font_sizes(size)
    row, covered = rng.random(), 0
    while covered < _COVERAGE * size * size:
        letters = rng.integers(len(_CHARACTERS), size=rng.integers(_LENGTHS[0], _LENGTHS[1] + 1))
        text = "".join(_CHARACTERS[letter] for letter in letters)
        # even in the logarithm, so that small strings are not drowned by the area of the large ones
        font = _font(round(smallest * (largest / smallest) ** rng.random()))
        colour = tuple(int(channel) for channel in rng.integers(_BRIGHTEST + 1, size=3))
        left, top, right, bottom = (int(edge) for edge in font.getbbox(text))
        width, height = right - left, bottom - top
        # the box's centre lies anywhere in the picture, so strings near the border are cut; golden-ratio
        # steps spread the rows, because a small picture holds too few strings to leave that to chance
        row = (row + _GOLDEN) % 1
        x, y = int(rng.integers(size)) - width // 2, int(row * size) - height // 2
        draw.text((x - left, y - top), text, font=font, fill=colour)
        shown_width = min(x + width, size) - max(x, 0)
        shown_height = min(y + height, size) - max(y, 0)
        covered += shown_width * shown_height
    return np.array(picture)


def load_signal(asked: Mapping[str, str], spec: Mapping[str, Any]) -> Signal:
    """A text picture (size, size, 3) uint8, drawn at its size: strokes are measured in pixels; nothing is shrunk."""
    return Signal({"values": text_picture(text_index(asked["name"]), spec["size"])}, LICENCE, "")
