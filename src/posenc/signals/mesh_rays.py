"""Rays cast at a mesh by Embree: what lies inside it, and what a camera sees of it."""

from typing import Any

import numpy as np

from posenc.signals import camera
from posenc.signals.mesh_files import Mesh
from posenc.signals.pictures import SignalError

CHUNK = 1 << 18  # points asked at a time: about 100 MB

# Two opposite rays decide where they agree; where they do not, one of them grazed an edge and all of these vote.
_DIRECTIONS = np.array(
    [[0.44, 0.618, 0.652], [-0.732, 0.247, 0.635], [0.182, -0.847, 0.499], [0.55, 0.31, -0.775], [-0.21, -0.66, -0.72]]
)


class Containment:
    """Whether points lie inside a closed mesh: an odd number of its faces along a ray.

    trimesh's own test draws new directions from the system's entropy where two rays disagree, so equal calls may
    differ; these directions are fixed. About one ray in 100,000 grazes an edge of a scanned mesh and miscounts.
    """

    def __init__(self, mesh: Mesh) -> None:
        self._rays = intersector(mesh)

    def __call__(self, points: np.ndarray) -> np.ndarray:
        """(n,) bool of points (n, 3)."""
        inside = np.empty(len(points), dtype=bool)
        for first in range(0, len(points), CHUNK):
            inside[first : first + CHUNK] = self._of_chunk(points[first : first + CHUNK].astype(np.float64))
        return inside

    def _of_chunk(self, points: np.ndarray) -> np.ndarray:
        inside, opposite = self._odd(points, _DIRECTIONS[0]), self._odd(points, -_DIRECTIONS[0])
        doubtful = inside != opposite
        if doubtful.any():
            asked = points[doubtful]
            votes = [self._odd(asked, sign * along) for along in _DIRECTIONS[1:] for sign in (1, -1)]
            inside[doubtful] = np.mean(votes, axis=0) > 0.5
        return inside

    def _odd(self, points: np.ndarray, direction: np.ndarray) -> np.ndarray:
        """Whether each point sees an odd number of faces in a direction."""
        _, ray = self._rays.intersects_id(points, np.broadcast_to(direction, points.shape), multiple_hits=True)
        odd: np.ndarray = np.bincount(ray, minlength=len(points)) % 2 == 1
        return odd


def normal_map(mesh: Mesh, side: int) -> np.ndarray:
    """(side, side, 3) normals of the faces that the camera sees, towards it, 0 where it sees none.

    A closed mesh may wind its faces either way.
    """
    seen = camera.rays(side)
    directions = seen.directions.reshape(-1, 3)
    face = intersector(mesh).intersects_first(np.broadcast_to(seen.origin, directions.shape), directions)
    corners = mesh.vertices[mesh.faces]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-30)
    seen_normals = normals[face]
    seen_normals *= np.where((seen_normals * directions).sum(axis=1) > 0, -1, 1)[:, None]
    picture: np.ndarray = np.where(face[:, None] >= 0, seen_normals, 0).reshape(side, side, 3)
    return picture


def intersector(mesh: Mesh) -> Any:
    """Embree on a mesh."""
    import trimesh  # here, because importing this module must stay cheap

    try:
        from trimesh.ray.ray_pyembree import RayMeshIntersector
    except ImportError:
        raise SignalError(
            "shapes: the package embreex, which casts the rays, cannot be loaded; install it (pip install embreex)"
        ) from None
    return RayMeshIntersector(trimesh.Trimesh(mesh.vertices, mesh.faces, process=False))
