"""The camera of the paper's normal maps (Tancik et al. 2020, Figure 16; settings from the authors' notebook).

Shapes fill [-1, 1]**3 there, y pointing up; rays are given here in the coordinates of the normalised meshes, [0, 1]**3.
"""

import itertools
from typing import NamedTuple

import numpy as np

DISTANCE = 2.0  # of the camera from the centre
THETA, PHI = 145.0, -30.0  # degrees around and above
FOCAL = 0.9  # in picture heights


class Rays(NamedTuple):
    """A ray per pixel of a square picture, row by row; a point at depth t is origin + t * direction."""

    origin: np.ndarray  # (3,) float64
    directions: np.ndarray  # (side, side, 3) float64; one unit of depth along the view axis, not of length one


def rays(side: int) -> Rays:
    """The rays of a picture of side x side pixels."""
    turn = camera_axes()
    steps = (np.arange(side) - 0.5 * side) / (FOCAL * side)
    right, down = np.meshgrid(steps, steps)
    directions = np.stack([right, -down, -np.ones_like(right)], axis=-1) @ turn.T
    return Rays(0.5 * (DISTANCE * turn[:, 2]) + 0.5, 0.5 * directions)


def depth_range(box: np.ndarray) -> tuple[float, float]:
    """The least and the largest depth in a box (2, 3).

    The authors look from DISTANCE - 1 to DISTANCE + 1, which may cut off what comes near the corners of [0, 1]**3.
    """
    corners = 2 * np.array(list(itertools.product(*np.asarray(box, dtype=np.float64).T))) - 1
    depths = DISTANCE - corners @ camera_axes()[:, 2]
    return float(depths.min()), float(depths.max())


def camera_axes() -> np.ndarray:
    """(3, 3): in its columns where the camera's right, up and backward point."""
    phi, theta = np.radians(PHI), np.radians(THETA)
    above = np.array([[1, 0, 0], [0, np.cos(phi), -np.sin(phi)], [0, np.sin(phi), np.cos(phi)]])
    around = np.array([[np.cos(theta), 0, -np.sin(theta)], [0, 1, 0], [np.sin(theta), 0, np.cos(theta)]])
    turned: np.ndarray = around @ above
    return turned
