"""Mesh files: what makes one usable, and its normalisation."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from posenc.signals.pictures import SignalError

EXTENSIONS = (".ply", ".obj", ".stl", ".off")
MOST_FACES = 4_000_000  # about 2 GiB while labels are made
MOST_BYTES = 1 << 30


class Mesh(NamedTuple):
    """A closed mesh in normalised coordinates."""

    vertices: np.ndarray  # (V, 3) float64
    faces: np.ndarray  # (F, 3) int64
    note: str


def mesh_files(folder: Path) -> list[Path]:
    """The mesh files in a folder, sorted; none where there is no such folder."""
    found = folder.iterdir() if folder.is_dir() else []
    return sorted(path for path in found if path.suffix.lower() in EXTENSIONS and not path.name.startswith("."))


def read_mesh(path: Path) -> Mesh:
    """The mesh in a file, normalised. Raises SignalError where inside and outside are not defined by it."""
    import trimesh

    if not path.is_file():
        raise SignalError(f"{path}: no such file; check the path")
    if (size := path.stat().st_size) > MOST_BYTES:
        raise SignalError(f"{path}: {size / 2**30:.1f} GiB is too large; {_decimate()}")
    try:
        loaded: Any = trimesh.load(path, process=False, skip_materials=True)
        if isinstance(loaded, trimesh.Scene):
            loaded = loaded.to_mesh() if loaded.geometry else None
        vertices = np.asarray(getattr(loaded, "vertices", []), dtype=np.float64)
        faces = np.asarray(getattr(loaded, "faces", []), dtype=np.int64)
    except MemoryError:
        raise
    except Exception as error:  # readers of four formats raise what they like on damaged files
        reason = f"{type(error).__name__}: {error}"
        raise SignalError(f"{path}: damaged, or not a mesh ({reason}); export the file again") from None
    if not len(faces):
        raise SignalError(f"{path}: holds no triangles; give a surface mesh, not points or an empty scene")
    if len(faces) > MOST_FACES:
        raise SignalError(f"{path}: {len(faces):,} faces are too many; {_decimate()}")
    if not (faces.min() >= 0 and faces.max() < len(vertices)):
        raise SignalError(f"{path}: faces name vertices that are not there; export the file again")
    if not np.isfinite(vertices).all():
        bad = int((~np.isfinite(vertices).all(axis=1)).sum())
        raise SignalError(f"{path}: {bad} vertices are not finite numbers; export the file again")
    if not np.ptp(vertices, axis=0).all():
        raise SignalError(f"{path}: the mesh is flat and encloses nothing; give a closed surface")
    vertices, faces = merged(*normalised(vertices, faces))
    open_edges, crowded = edge_counts(faces)
    if open_edges:
        raise SignalError(
            f"{path}: {open_edges:,} open edges, so inside and outside are not defined; close the holes (MeshLab:"
            " Filters, Remeshing, Close Holes), or remove the file from the folder"
        )
    return Mesh(*normalised(vertices, faces), f"edges shared by more than two faces: {crowded}" if crowded else "")


def normalised(vertices: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The vertices moved and scaled so that their mean is 0.5 and they reach 0 or 1; the faces as they are."""
    centred = vertices - vertices.mean(axis=0)
    return 0.5 * (centred / np.abs(centred).max() + 1), faces


def merged(vertices: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Vertices at the same place made one, as formats without an index (STL) need; faces left without area dropped."""
    places, index = np.unique(vertices, axis=0, return_inverse=True)
    faces = index.reshape(-1)[faces]
    a, b, c = faces.T
    kept = faces[(a != b) & (b != c) & (c != a)]
    used, index = np.unique(kept, return_inverse=True)
    return places[used], index.reshape(-1, 3)


def edge_counts(faces: np.ndarray) -> tuple[int, int]:
    """(edges with an odd number of faces, edges with more than two)."""
    ends = np.sort(faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1)
    _, counts = np.unique(ends[:, 0] * (int(faces.max()) + 1) + ends[:, 1], return_counts=True)
    return int((counts % 2).sum()), int((counts > 2).sum())


def _decimate() -> str:
    return f"at most {MOST_FACES:,} faces are taken: decimate the mesh (MeshLab: Quadric Edge Collapse Decimation)"
