"""Solids of our own, for machines without meshes: level sets of formulas, as closed triangle meshes.

A solid is where its formula is positive, inside [-1, 1]**3, y pointing up. `gyroid_ball` has many handles,
`ridged_blob` fine detail, `vase` thin walls.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from posenc.signals.pictures import SignalError

LICENCE = "made by this project"
RESOLUTION = 128  # grid cells along each axis

Field = np.ndarray  # values of a formula, or coordinates, on the grid


class Solid(NamedTuple):
    """A formula and the set it belongs to."""

    formula: Callable[[Field, Field, Field], Field]
    set: str  # tuning or report
    note: str


def knot(x: Field, y: Field, z: Field) -> Field:
    """A trefoil knot: two strands that wind three times round each other along a ring, with rings on the tube."""
    around, across = np.arctan2(z, x), np.hypot(x, z) - 0.6
    distances = []
    for strand in range(2):
        angle = 1.5 * around + np.pi * strand
        distances.append(np.hypot(across - 0.22 * np.cos(angle), y - 0.22 * np.sin(angle)))
    return 0.135 + 0.012 * np.cos(36 * around) - np.minimum(*distances)


def star(x: Field, y: Field, z: Field) -> Field:
    """Six blunt arms along the axes, covered with bumps."""
    radius = np.sqrt(x * x + y * y + z * z) + 1e-9
    u, v, w = x / radius, y / radius, z / radius
    arms = 1.5 * (u**4 + v**4 + w**4) - 0.5  # 0 between the axes, 1 along them
    bumps = 0.035 * np.sin(18 * u + 1) * np.sin(18 * v + 2) * np.sin(18 * w + 3)
    return 0.45 + 0.45 * arms + bumps - radius


def gyroid_ball(x: Field, y: Field, z: Field) -> Field:
    """A ball cut out of a thick gyroid, walls and tunnels of equal kind: one body of genus 14."""
    a, b, c = 5 * x, 5 * y, 5 * z
    gyroid = np.sin(a) * np.cos(b) + np.sin(b) * np.cos(c) + np.sin(c) * np.cos(a)
    return np.minimum(0.85 - np.sqrt(x * x + y * y + z * z), (0.65 - np.abs(gyroid)) / 5)


def ridged_blob(x: Field, y: Field, z: Field) -> Field:
    """A smooth lump under fine wavy ridges, about 13 of them to a unit length of the normalised mesh."""
    radius = np.sqrt(x * x + y * y + z * z) + 1e-9
    u, v, w = x / radius, y / radius, z / radius
    lump = 0.72 + 0.1 * np.sin(3 * u + 2 * v) + 0.08 * np.cos(4 * w - 2 * v)
    ridges = 0.022 * np.sin(42 * v + 5 * np.sin(3 * u) + 5 * np.sin(3 * w))
    return lump + ridges - radius


def screw(x: Field, y: Field, z: Field) -> Field:
    """A cross-slotted head on a threaded, pointed shaft."""
    around, across = np.arctan2(z, x), np.hypot(x, z)
    turn = (around / (2 * np.pi) + y / 0.13) % 1
    thread = 0.09 * (1 - np.abs(2 * turn - 1)) * np.clip((0.42 - y) / 0.1, 0, 1)
    shaft = np.minimum(0.2 + thread, 1.4 * (y + 0.93)) - across
    shaft = np.minimum(shaft, 0.6 - y)
    head = np.minimum(0.5 - across, 0.2 - np.abs(y - 0.72))
    slot = np.minimum(0.09 - np.minimum(np.abs(x), np.abs(z)), np.minimum(y - 0.78, 0.36 - across))
    return np.maximum(shaft, np.minimum(head, -slot))


def vase(x: Field, y: Field, z: Field) -> Field:
    """A fluted vessel with thin walls, open at the top."""
    around, across = np.arctan2(z, x), np.hypot(x, z)
    profile = 0.42 + 0.2 * np.sin(2.6 * y + 0.6) + 0.02 * np.cos(16 * around + 4 * y)
    wall = 0.035 - np.abs(across - profile)
    floor = np.minimum(0.05 - np.abs(y + 0.85), profile - across)
    return np.minimum(np.maximum(wall, floor), 0.9 - np.abs(y))


SOLIDS = {
    "knot": Solid(knot, "tuning", ""),
    "star": Solid(star, "tuning", ""),
    "gyroid_ball": Solid(gyroid_ball, "report", "genus 14"),
    "ridged_blob": Solid(ridged_blob, "report", "fine ridges"),
    "screw": Solid(screw, "report", ""),
    "vase": Solid(vase, "report", "thin walls"),
}


def solid_mesh(name: str, resolution: int = RESOLUTION) -> tuple[np.ndarray, np.ndarray]:
    """(vertices (V, 3) float64, faces (F, 3) int64) of a solid, closed and wound so that normals point outwards."""
    if name not in SOLIDS:
        raise SignalError(f"no solid is called {name!r}; there are {', '.join(SOLIDS)}")
    return surface(SOLIDS[name].formula, resolution)


def surface(formula: Callable[[Field, Field, Field], Field], resolution: int) -> tuple[np.ndarray, np.ndarray]:
    """The level set 0 of a formula on a grid over [-1, 1]**3, by marching cubes."""
    from skimage.measure import marching_cubes  # here, because importing this module must stay cheap

    axis = np.linspace(-1, 1, resolution + 1)
    values = formula(*np.meshgrid(axis, axis, axis, indexing="ij"))
    values[values == 0] = -1e-12  # a surface through a grid point would have faces without area there
    spacing = axis[1] - axis[0]
    vertices, faces, *_ = marching_cubes(values, 0.0, spacing=(spacing,) * 3, gradient_direction="ascent")
    return vertices.astype(np.float64) - 1, faces.astype(np.int64)
