"""A small ray tracer: boxes and spheres with procedural textures on black, seen by a pinhole camera.

What a surface shows depends on its place alone, never on the viewer: the networks that learn such scenes are given no
viewing direction. World coordinates have z upwards; cameras look along their own -z with y upwards, as Blender's do.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

Texture = Callable[[np.ndarray], np.ndarray]  # points (n, 3) -> colours (n, 3) in [0, 1]

_SUN = np.array([0.35, -0.5, 0.8]) / np.linalg.norm([0.35, -0.5, 0.8])
_AMBIENT = 0.6  # of the light; the rest is the sun's
_RAYS_AT_ONCE = 1 << 15  # few enough for a core's cache
_INSIDE = 1e-6  # textures are asked this far below the surface: a face may lie on a border between two cells


@dataclass(frozen=True)
class Box:
    """An axis-aligned box between two corners."""

    low: tuple[float, float, float]
    high: tuple[float, float, float]
    texture: Texture

    def hits(self, origins: np.ndarray, directions: np.ndarray) -> np.ndarray:
        """Depth `(n,)` of the first point on each ray, inf where it misses; rays start outside."""
        enter, leave = np.full(len(origins), -np.inf), np.full(len(origins), np.inf)
        for low, high, origin, direction in zip(self.low, self.high, origins.T, directions.T, strict=True):
            inverse = 1 / np.where(
                direction == 0, 1e-30, direction
            )  # parallel to the slab: far outside, or for ever in
            to_low, to_high = (low - origin) * inverse, (high - origin) * inverse
            np.maximum(enter, np.minimum(to_low, to_high), out=enter)
            np.minimum(leave, np.maximum(to_low, to_high), out=leave)
        return np.where((enter <= leave) & (enter > 0), enter, np.inf)

    def normals(self, points: np.ndarray) -> np.ndarray:
        """Outward normals `(n, 3)` at points of the surface."""
        low, high = np.asarray(self.low), np.asarray(self.high)
        beyond = (2 * points - low - high) / (high - low)  # the face is where this is 1 or -1
        face = np.abs(beyond).argmax(axis=1)
        rows = np.arange(len(points))
        normals = np.zeros_like(points)
        normals[rows, face] = np.sign(beyond[rows, face])
        return normals


@dataclass(frozen=True)
class Sphere:
    """A ball by centre and radius."""

    centre: tuple[float, float, float]
    radius: float
    texture: Texture

    def hits(self, origins: np.ndarray, directions: np.ndarray) -> np.ndarray:
        """Depth `(n,)` of the first point on each ray, inf where it misses; rays start outside."""
        to_centre = np.asarray(self.centre) - origins
        along = (to_centre * directions).sum(axis=1)
        squared = (directions * directions).sum(axis=1)
        inside = along**2 - squared * ((to_centre * to_centre).sum(axis=1) - self.radius**2)
        depth = (along - np.sqrt(np.maximum(inside, 0))) / squared
        return np.where((inside >= 0) & (depth > 0), depth, np.inf)

    def normals(self, points: np.ndarray) -> np.ndarray:
        """Outward normals `(n, 3)` at points of the surface."""
        return (points - np.asarray(self.centre)) / self.radius


Shape = Box | Sphere


def camera_rays(pose: np.ndarray, focal: float, x: np.ndarray, y: np.ndarray, side: int) -> tuple[np.ndarray, ...]:
    """Origins and directions `(n, 3)` of the rays through the places (x, y) of a square picture, in pixels from its top
    left corner. Directions have unit depth: a ray at t is t in front of the camera, measured along its axis.

    pose: `(4, 4)`, camera to world. focal: in pixels.
    """
    own = np.stack([(x - side / 2) / focal, -(y - side / 2) / focal, -np.ones_like(x)], axis=1)
    directions = own @ pose[:3, :3].T
    return np.broadcast_to(pose[:3, 3], directions.shape), directions


def colours(shapes: Sequence[Shape], origins: np.ndarray, directions: np.ndarray) -> np.ndarray:
    """What rays see first: colours `(n, 3)` in [0, 1], black where there is nothing."""
    nearest = np.full(len(origins), np.inf)
    owner = np.full(len(origins), -1)
    for index, shape in enumerate(shapes):
        depth = shape.hits(origins, directions)
        closer = depth < nearest
        nearest[closer], owner[closer] = depth[closer], index
    seen = np.zeros((len(origins), 3))
    for index, shape in enumerate(shapes):
        rays = np.flatnonzero(owner == index)
        points = origins[rays] + nearest[rays, None] * directions[rays]
        normals = shape.normals(points)
        light = _AMBIENT + (1 - _AMBIENT) * np.maximum(normals @ _SUN, 0)
        seen[rays] = shape.texture(points - _INSIDE * normals) * light[:, None]
    return seen


def view(shapes: Sequence[Shape], pose: np.ndarray, focal: float, side: int, grain: int) -> np.ndarray:
    """The picture `(side, side, 3)` uint8 of a camera: each pixel is the mean of grain x grain rays over its area."""
    places = (np.arange(side * grain) + 0.5) / grain
    x, y = (axis.ravel() for axis in np.meshgrid(places, places))
    fine = np.empty((len(x), 3))
    for start in range(0, len(x), _RAYS_AT_ONCE):
        piece = slice(start, start + _RAYS_AT_ONCE)
        fine[piece] = colours(shapes, *camera_rays(pose, focal, x[piece], y[piece], side))
    means = fine.reshape(side, grain, side, grain, 3).mean(axis=(1, 3))
    return np.rint(255 * means).astype(np.uint8)


def looking_at_origin(azimuth: float, height: float, radius: float) -> np.ndarray:
    """Pose `(4, 4)` of an upright camera on a sphere about the origin; height is the sine of its elevation."""
    level = math.sqrt(1 - height * height)
    backward = np.array([math.cos(azimuth) * level, math.sin(azimuth) * level, height])
    right = np.array([-math.sin(azimuth), math.cos(azimuth), 0.0])
    pose = np.eye(4)
    pose[:3, 0], pose[:3, 1], pose[:3, 2] = right, np.cross(backward, right), backward
    pose[:3, 3] = radius * backward
    return pose


# Textures


def checker(period: float, first: np.ndarray, second: np.ndarray) -> Texture:
    """Cubes of side `period` in two colours in turn."""
    return lambda points: np.where((np.floor(points / period).sum(axis=1) % 2 == 0)[:, None], first, second)


def stripes(axis: int, period: float, first: np.ndarray, second: np.ndarray) -> Texture:
    """Layers of thickness `period` across one axis in two colours in turn."""
    return lambda points: np.where((np.floor(points[:, axis] / period) % 2 == 0)[:, None], first, second)


def mosaic(cell: float, seed: int, base: np.ndarray, spread: float) -> Texture:
    """Cubes of side `cell`, each in a colour of its own that differs from `base` by at most `spread` a channel."""

    def texture(points: np.ndarray) -> np.ndarray:
        drawn = _hashed(np.floor(points / cell).astype(np.int64), seed)
        return np.clip(base + spread * (2 * drawn - 1), 0, 1)

    return texture


def _hashed(cells: np.ndarray, seed: int) -> np.ndarray:
    """Numbers `(n, 3)` in [0, 1) that depend on whole-numbered cells `(n, 3)` and a seed alone."""
    mixed = np.full(len(cells), seed, dtype=np.uint64)
    for axis in range(3):
        mixed = _scrambled(mixed ^ cells[:, axis].astype(np.uint64))
    channels = [_scrambled(mixed + np.uint64(channel)) for channel in (1, 2, 3)]
    return np.stack(channels, axis=1) / 2.0**64


def _scrambled(bits: np.ndarray) -> np.ndarray:
    """Each number with its 64 bits mixed (the finaliser of splitmix64)."""
    bits = (bits + np.uint64(0x9E3779B97F4A7C15)).astype(np.uint64)
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return bits ^ (bits >> np.uint64(31))
