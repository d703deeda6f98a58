"""Random head phantoms, in two and three dimensions: Shepp and Logan's ellipses, every number of them disturbed.

The table of the picture is that of Shepp and Logan (1974, The Fourier reconstruction of a head section) with the grey
values of Toft (1996, The Radon transform, table B.1), in whose contrast the inside of the head is visible. The
table of the volume is that of Kak and Slaney (1988, Principles of computerized tomographic imaging, table 3.1), as Koay
et al. (2007) print it, with the same grey values.

As the authors of Tancik et al. 2020 did for the picture, each signal adds N(0, 1) / 20 to every entry of the table,
grey values and angles (in radians) included; a semi-axis may change its sign, which changes nothing. Values are sums of
grey values, clipped to [0, 1], sampled at points: size of them per axis from -1 to 1, both ends included. Edges are not
smoothed. The volume is the middle part of the head, z from -0.25 to 0.25, as in a variant in the authors' code.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posenc.signals.pictures import SignalError
from posenc.signals.sets import Entry, Proposal
from posenc.signals.stored import Signal

LICENCE = "drawn by this project"

DISTURBANCE = 1 / 20  # standard deviation of what is added to every parameter
DEPTH = 0.25  # a volume shows z in [-DEPTH, DEPTH]

_SEEDS = {"phantoms": 1974, "phantom_volumes": 1988}  # of the whole kind; a phantom adds its index
_GREY = (1.0, -0.8, -0.2, -0.2, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1)

# Semi-axes a, b; centre x, y; turn of the first axis against x in degrees.
_ELLIPSES = (
    (0.69, 0.92, 0.0, 0.0, 0),
    (0.6624, 0.874, 0.0, -0.0184, 0),
    (0.11, 0.31, 0.22, 0.0, -18),
    (0.16, 0.41, -0.22, 0.0, 18),
    (0.21, 0.25, 0.0, 0.35, 0),
    (0.046, 0.046, 0.0, 0.1, 0),
    (0.046, 0.046, 0.0, -0.1, 0),
    (0.046, 0.023, -0.08, -0.605, 0),
    (0.023, 0.023, 0.0, -0.605, 0),
    (0.023, 0.046, 0.06, -0.605, 0),
)

# Semi-axes a, b, c; centre x, y, z; turn about z in degrees.
_ELLIPSOIDS = (
    (0.69, 0.92, 0.9, 0.0, 0.0, 0.0, 0),
    (0.6624, 0.874, 0.88, 0.0, 0.0, 0.0, 0),
    (0.41, 0.16, 0.21, -0.22, 0.0, -0.25, 108),
    (0.31, 0.11, 0.22, 0.22, 0.0, -0.25, 72),
    (0.21, 0.25, 0.5, 0.0, 0.35, -0.25, 0),
    (0.046, 0.046, 0.046, 0.0, 0.1, -0.25, 0),
    (0.046, 0.023, 0.02, -0.08, -0.65, -0.25, 0),
    (0.046, 0.023, 0.02, 0.06, -0.65, -0.25, 90),
    (0.056, 0.04, 0.1, 0.06, -0.105, 0.625, 90),
    (0.056, 0.056, 0.1, 0.0, 0.1, 0.625, 0),
)


def propose(settings: Any, folder: Path | None) -> Proposal:
    """As many phantoms as are asked for, the first ones to tune; the user's folder is not looked into."""
    names = [phantom_name(index) for index in range(settings.tuning + settings.report)]
    entries = [Entry(name=name, source=name, path="") for name in names]
    return Proposal("drawn", entries[: settings.tuning], entries[settings.tuning :])


def load_signal(asked: Mapping[str, str], spec: Mapping[str, Any]) -> Signal:
    """A phantom of the spec's kind and size."""
    return Signal({"values": phantom(spec["kind"], phantom_index(asked["name"]), spec["size"])}, LICENCE, "")


def table(kind: str) -> NDArray[np.float64]:
    """The undisturbed table of a kind, a row per ellipse: grey value, semi-axes, centre, turn in radians."""
    rows = np.array(_ELLIPSES if kind == "phantoms" else _ELLIPSOIDS)
    rows[:, -1] = np.deg2rad(rows[:, -1])
    return np.column_stack([_GREY, rows])


def disturbed_table(kind: str, index: int) -> NDArray[np.float64]:
    """The table of the phantom with this index."""
    rows = table(kind)
    return rows + DISTURBANCE * np.random.default_rng([_SEEDS[kind], index]).standard_normal(rows.shape)


def picture(ellipses: NDArray[np.float64], size: int) -> NDArray[np.float32]:
    """`(size, size)` float32 in [0, 1] of ellipses `(n, 6)`, y upwards."""
    x = np.linspace(-1, 1, size)
    return _sum_of_grey(ellipses, [x[None, :], -x[:, None]])


def volume(ellipsoids: NDArray[np.float64], size: int) -> NDArray[np.float32]:
    """`(size, size, size)` float32 in [0, 1] of ellipsoids `(n, 8)`: z first and upwards, then y upwards, then x."""
    x, z = np.linspace(-1, 1, size), np.linspace(-DEPTH, DEPTH, size)
    return _sum_of_grey(ellipsoids, [x[None, None, :], -x[None, :, None], z[:, None, None]])


def _sum_of_grey(rows: NDArray[np.float64], axes: list[NDArray[np.float64]]) -> NDArray[np.float32]:
    """Rows of grey value, a semi-axis and a centre per axis, turn in the plane of the first two axes."""
    d = len(axes)
    values = np.zeros(np.broadcast_shapes(*(axis.shape for axis in axes)))
    for grey, *shape, turn in rows:
        x, y, *rest = (axis - centre for axis, centre in zip(axes, shape[d:], strict=True))
        along = [np.cos(turn) * x + np.sin(turn) * y, np.cos(turn) * y - np.sin(turn) * x, *rest]
        distance = sum((part / length) ** 2 for part, length in zip(along, shape[:d], strict=True))
        values[distance <= 1] += grey
    return values.clip(0, 1).astype(np.float32)


def phantom(kind: str, index: int, size: int) -> NDArray[np.float32]:
    """The phantom with this index, `(size, size, 1)` or `(size, size, size, 1)`; equal arguments give equal bits."""
    draw = picture if kind == "phantoms" else volume
    return draw(disturbed_table(kind, index), size)[..., None]


def phantom_name(index: int) -> str:
    """Name of the phantom with this index."""
    return f"phantom_{index:02d}"


def phantom_index(name: str) -> int:
    """Index of the phantom with this name."""
    digits = name.removeprefix("phantom_")
    if not digits.isdecimal() or phantom_name(int(digits)) != name:
        raise SignalError(f"no phantom is called {name!r}; they are phantom_00, phantom_01, ...")
    return int(digits)
