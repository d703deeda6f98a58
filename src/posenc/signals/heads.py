"""Drawn stand-ins for brains: ellipsoids with folds, a cortex, ventricles and texture, for machines without a scan.

They are no anatomy. What they share with a scan without skull is what matters to a reconstruction: a dark outside, a
folded outer boundary, a ribbon of grey around a brighter inside, fluid in the middle, slow shading and fine texture,
and no edge sharper than a few hundredths of the picture. Every head is drawn from an index alone and is independent of
the others. Fields are sums of plane waves, so a head is the same thing at every resolution.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from posenc.signals.pictures import SignalError
from posenc.signals.stored import Signal

LICENCE = "drawn by this project"
NOTE = "a drawn stand-in, not a brain"

_SEED = 2007  # of the whole set; a head adds its index
_FLUID, _GREY, _WHITE = 0.15, 0.6, 0.9
_EDGE = 0.025  # width of a change of tissue, sides of the volume
_CORTEX = 0.06  # thickness of the ribbon
_FOLDS = 0.16  # how deep folds go
_FOLD_CYCLES = 5.0  # per side
_TEXTURE_CYCLES = 11.0

Axes = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]


def load_signal(asked: Mapping[str, str], spec: Mapping[str, Any]) -> Signal:
    """A head as the spec's kind wants it: `brain_volumes` `(size, size, size, 1)`, `brain_slices` `(size, size, 1)`."""
    draw = head_volume if spec["kind"] == "brain_volumes" else head_slice
    return Signal({"values": draw(head_index(asked["name"]), spec["size"])[..., None]}, LICENCE, NOTE)


def head_name(index: int) -> str:
    """Name of the head with this index."""
    return f"head_{index:02d}"


def head_index(name: str) -> int:
    """Index of the head with this name."""
    digits = name.removeprefix("head_")
    if not digits.isdecimal() or head_name(int(digits)) != name:
        raise SignalError(f"no drawn head is called {name!r}; they are head_00, head_01, ...")
    return int(digits)


class Waves(NamedTuple):
    """A smooth random field of mean 0 and deviation 1: sqrt(2 / n) sum cos(2 pi (k x) + phase)."""

    cycles: NDArray[np.float64]  # (n, 3) per side
    phases: NDArray[np.float64]  # (n,)

    def at(self, axes: Axes) -> NDArray[np.float64]:
        """Values on the grid of three axes: complex waves factor over them, so a grid is one matrix product."""
        x, y, z = (
            np.exp(2j * np.pi * np.outer(axis, cycles)) for axis, cycles in zip(axes, self.cycles.T, strict=True)
        )
        plane = (x[:, None, :] * y[None, :, :]).reshape(-1, len(self.phases))
        field = (plane * np.exp(1j * self.phases)) @ z.T
        return np.sqrt(2 / len(self.phases)) * field.real.reshape(len(axes[0]), len(axes[1]), len(axes[2]))


class Head(NamedTuple):
    """All that is random in one head; lengths are in sides of the volume, its centre at 0."""

    semi_axes: NDArray[np.float64]  # (3,)
    folds: Waves
    shape: Waves
    texture: Waves
    shading: NDArray[np.float64]  # (3,) relative change of brightness per side
    ventricles: NDArray[np.float64]  # (2, 7): centre, semi-axes, turn about the first axis
    slice_at: float  # where a single slice across the first axis is taken

    def values(self, axes: Axes) -> NDArray[np.float64]:
        """Brightness in [0, 1] on the grid of three axes, each in sides from -1/2 to 1/2."""
        x, y, z = np.ix_(*axes)
        radius = np.sqrt(sum((axis / length) ** 2 for axis, length in zip((x, y, z), self.semi_axes, strict=True)))
        # depth below the surface, in sides; near the surface only, which is where it is used
        depth = (1 - radius) * self.semi_axes.min() + 0.015 * self.shape.at(axes)
        # A fold is where the field changes sign: |field| over its slope is the distance to there. Folds end with depth.
        slope = 2 * np.pi * _FOLD_CYCLES / np.sqrt(3)
        beside_fold = np.abs(self.folds.at(axes)) / slope + np.maximum(depth - _FOLDS, 0)
        inside = np.minimum(depth, beside_fold + 0.2 * _CORTEX)
        brightness = _rise(depth, 0) * (
            _FLUID + (_GREY - _FLUID) * _rise(inside, 0.4 * _CORTEX) + (_WHITE - _GREY) * _rise(inside, _CORTEX)
        )
        for ventricle in self.ventricles:
            brightness = brightness + (_FLUID - brightness) * _rise(_depth_in_ellipsoid(ventricle, x, y, z), 0)
        shading = 1 + sum(change * axis for change, axis in zip(self.shading, (x, y, z), strict=True))
        return (brightness * shading * (1 + 0.04 * self.texture.at(axes))).clip(0, 1)


def head(index: int) -> Head:
    """The head with this index."""
    rng = np.random.default_rng([_SEED, index])
    semi_axes = np.array([0.35, 0.42, 0.37]) * rng.uniform(0.92, 1.06, 3)
    folds, shape, texture = (
        _waves(rng, count, cycles) for count, cycles in ((60, _FOLD_CYCLES), (20, 2.0), (60, _TEXTURE_CYCLES))
    )
    shading = rng.uniform(-0.25, 0.25, 3)
    tilt = rng.uniform(0.15, 0.4)
    ventricles = np.array(
        [
            [*rng.normal((0.03, 0, side * 0.06), 0.01), *rng.uniform(0.8, 1.3, 3) * (0.09, 0.15, 0.035), side * tilt]
            for side in (-1, 1)
        ]
    )
    return Head(semi_axes, folds, shape, texture, shading, ventricles, rng.uniform(-0.2, 0.2))


def head_volume(index: int, size: int) -> NDArray[np.float32]:
    """`(size, size, size)` float32: the average of 2 x 2 x 2 points per voxel, its maximum 1."""
    fine = _centres(2 * size)
    values = head(index).values((fine, fine, fine)).reshape(size, 2, size, 2, size, 2).mean(axis=(1, 3, 5))
    return (values / values.max()).astype(np.float32)


def head_slice(index: int, size: int) -> NDArray[np.float32]:
    """`(size, size)` float32: a slice of the head across its first axis, 2 x 2 points per pixel, its maximum 1."""
    drawn, fine = head(index), _centres(2 * size)
    values = drawn.values((np.array([drawn.slice_at]), fine, fine)).reshape(size, 2, size, 2).mean(axis=(1, 3))
    return (values / values.max()).astype(np.float32)


def _centres(count: int) -> NDArray[np.float64]:
    return (np.arange(count) + 0.5) / count - 0.5


def _rise(distance: NDArray[np.float64], at: float) -> NDArray[np.float64]:
    """0 to 1 around a distance, smoothly over the width of an edge."""
    t = ((distance - at) / _EDGE + 0.5).clip(0, 1)
    return t * t * (3 - 2 * t)


def _waves(rng: np.random.Generator, count: int, cycles: float) -> Waves:
    """Waves in random directions, all of about the same length."""
    directions = rng.standard_normal((count, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    return Waves(directions * cycles * rng.uniform(0.7, 1.3, (count, 1)), rng.uniform(0, 2 * np.pi, count))


def _depth_in_ellipsoid(
    ellipsoid: NDArray[np.float64], x: NDArray[np.float64], y: NDArray[np.float64], z: NDArray[np.float64]
) -> NDArray[np.float64]:
    """About how far inside, in sides; negative outside."""
    x, y, z = (axis - centre for axis, centre in zip((x, y, z), ellipsoid[:3], strict=True))
    turn = ellipsoid[6]
    y, z = np.cos(turn) * y + np.sin(turn) * z, np.cos(turn) * z - np.sin(turn) * y
    radius = np.sqrt(sum((axis / length) ** 2 for axis, length in zip((x, y, z), ellipsoid[3:6], strict=True)))
    return (1 - radius) * ellipsoid[3:6].min()
