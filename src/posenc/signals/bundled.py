"""The colour pictures inside the scikit-image wheel: real signals for machines without internet.

They are read as files of the installed package, never through `skimage.data`, which may download or
look into a cache. Sizes stand here so that a plan can be made without opening a file; a test compares
them with the files.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from posenc.signals.pictures import (
    Picture,
    SignalError,
    read_picture,
    signal_from_picture,
    size_problem,
)
from posenc.signals.stored import Signal


class BundledPicture(NamedTuple):
    """One independent picture of the wheel."""

    name: str
    file: str  # in skimage/data
    height: int  # px
    width: int  # px
    licence: str
    credit: str
    note: str


# Licences and credits: docstrings of scikit-image 0.26 (`skimage.data.<name>`); motorcycle has none there, its line
# comes from public copies of the Middlebury page. The first pictures become the tuning set: the two that are no
# photographs, so that all photographs can be reported on. Of the stereo pair one picture is taken: the other shows the
# same scene and would not be independent.
PICTURES = (
    BundledPicture(
        "immunohistochemistry",
        "ihc.png",
        512,
        512,
        "no known copyright restrictions",
        "Center for Microscopy and Molecular Imaging (CMMI)",
        "microscopy, not a natural scene",
    ),
    BundledPicture(
        "hubble_deep_field",
        "hubble_deep_field.jpg",
        872,
        1000,
        "public domain",
        "NASA, HubbleSite",
        "dots on black, not a natural scene",
    ),
    BundledPicture("coffee", "coffee.png", 400, 600, "CC0", "Rachel Michetti, courtesy of Pikolo Espresso Bar", ""),
    BundledPicture("astronaut", "astronaut.png", 512, 512, "public domain", "NASA", ""),
    BundledPicture("chelsea", "chelsea.png", 300, 451, "CC0", "Stefan van der Walt", ""),
    BundledPicture(
        "motorcycle",
        "motorcycle_left.png",
        500,
        741,
        "use and publication permitted by the Middlebury stereo page, which asks to cite",
        "Scharstein et al. 2014, Middlebury stereo benchmark",
        "left picture of a stereo pair",
    ),
    BundledPicture("rocket", "rocket.jpg", 427, 640, "public domain", "SpaceX", ""),
    BundledPicture(
        "retina",
        "retina.jpg",
        1411,
        1411,
        "CC0",
        "Mikael Häggström 2014",
        "fundus photograph, not a natural scene; a small centred crop is almost smooth",
    ),
)

# Of signals that are grey themselves, and of no others.
GREY_PICTURES = (BundledPicture("camera", "camera.png", 512, 512, "CC0", "Lav Varshney", ""),)

_BY_NAME = {picture.name: picture for picture in (*PICTURES, *GREY_PICTURES)}


def available(size: int, shrink: int, pictures: Sequence[BundledPicture] = PICTURES) -> list[str]:
    """Names, in table order, of the pictures large enough for a crop of shrink * size px."""
    return [p.name for p in pictures if not size_problem(p.height, p.width, size, shrink)]


def photographs_report(names: Sequence[str], tuning: int) -> list[str]:
    """The names in an order in which the first ones tune: what is no natural scene, where that is needed, else last."""
    others = [name for name in names if "not a natural scene" in entry(name).note]
    photographs = [name for name in names if name not in others]
    return [*others[:tuning], *photographs, *others[tuning:]]


def entry(name: str) -> BundledPicture:
    """The table's row of a name."""
    if name not in _BY_NAME:
        raise SignalError(f"no bundled picture is called {name!r}; there are {', '.join(_BY_NAME)}")
    return _BY_NAME[name]


def bundled_file(name: str) -> Path:
    """Where the installed scikit-image keeps the picture."""
    import skimage  # here, because importing this module must stay cheap

    path = Path(skimage.__file__).parent / "data" / entry(name).file
    if not path.is_file():
        raise SignalError(
            f"bundled picture {name!r}: the installed scikit-image has no data/{path.name}; "
            "install the pinned version from its wheel"
        )
    return path


def load(name: str) -> Picture:
    """The bundled picture as (H, W, 3) uint8, with the note of its table row."""
    picture = read_picture(bundled_file(name))
    notes = [note for note in (entry(name).note, picture.note) if note]
    return Picture(picture.values, "; ".join(notes))


def load_signal(asked: Mapping[str, str], spec: Mapping[str, Any]) -> Signal:
    """The signal cut from a bundled picture, (size, size, 3) uint8."""
    name = asked["name"]
    picture, row = load(name), entry(name)
    values = signal_from_picture(picture.values, spec["size"], spec["shrink"], f"bundled picture {name!r}")
    return Signal({"values": values}, f"{row.licence}; {row.credit}", picture.note)
