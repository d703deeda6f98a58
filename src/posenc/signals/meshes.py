"""Closed triangle meshes as occupancy signals: labelled points inside and outside (Tancik et al. 2020, appendix E.2).

A mesh is normalised as in the authors' code: its vertices' mean goes to 0.5, its largest extent from there to 0 or 1.
Labels are ray parity by Embree. The training points are a pool (see `posenc.pool`) of which only the labels are kept.
"""

import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from posenc.pool import box_points
from posenc.signals import solids
from posenc.signals.mesh_files import Mesh, mesh_files, normalised, read_mesh
from posenc.signals.mesh_rays import CHUNK, Containment, normal_map
from posenc.signals.pictures import SignalError
from posenc.signals.sets import Entry, Proposal, split
from posenc.signals.stored import Signal

LICENCE = "as the owner of the file states"
# The paper's meshes as they stand in a file name: the first chose sigma, Table 4 is of the others.
PAPER_TUNING, PAPER_REPORT = ("lucy",), (("dragon",), ("armadillo",), ("buddha", "happy"))

MARGIN = 1e-3  # by which the bounding box of the training and uniform points is larger, on every side
BOUNDARY_STD = 0.01  # of the noise on boundary points, per coordinate
_SEED = 2020  # of the test points; a mesh adds its name


def propose(settings: Any, folder: Path | None) -> Proposal:
    """Meshes of the folder's sub-folder `meshes` where it has some, otherwise the solids of `posenc.signals.solids`."""
    if settings.pool is None or settings.test is None:
        raise SignalError("shapes need `pool` and `test`: how many points there are to train on and to score")
    files = mesh_files(folder / "meshes") if folder else []
    if bad := next((path for path in files if "{" in str(path)), None):
        raise SignalError(f"{bad}: Snakemake takes braces for a wildcard; rename it")
    if files:
        named = {path.stem: str(path) for path in files}
        if twice := [path for path in files if named[path.stem] != str(path)]:
            raise SignalError(f"{twice[0]} and {named[twice[0].stem]} have the same name; rename or remove one")
        names = paper_order(sorted(named), tunes=settings.tuning > 0)
        parts = split(names, settings.tuning, settings.report, "meshes")
        tuning, report = (
            [Entry(name=name, source=name, path=named[name]) for name in part] for part in (parts.tuning, parts.report)
        )
        return Proposal("local", tuning, report, (f"meshes: {parts.note}",) if parts.note else ())
    sets = {
        which: [Entry(name=name, source=name, path="") for name, solid in solids.SOLIDS.items() if solid.set == which]
        for which in ("tuning", "report")
    }
    asked = {"tuning": settings.tuning, "report": settings.report}
    notes = [
        f"shapes: {len(sets[which])} {which} solids are bundled where {count} were asked for"
        for which, count in asked.items()
        if count > len(sets[which])
    ]
    return Proposal("bundled", sets["tuning"][: asked["tuning"]], sets["report"][: asked["report"]], tuple(notes))


def paper_order(names: list[str], tunes: bool = True) -> list[str]:
    """The names, the paper's meshes first: the one that tunes, or another than those that report, then those."""

    def known(spellings: tuple[str, ...]) -> list[str]:
        return [name for name in names if any(part in name.lower() for part in spellings)][:1]

    report = [name for spellings in PAPER_REPORT for name in known(spellings)]
    others = [name for name in names if name not in report]
    tuning = (known(PAPER_TUNING) or others[:1]) if tunes else []
    first = [*tuning, *report]
    return first + [name for name in names if name not in first]


def check(spec: Mapping[str, Any]) -> list[str]:
    """Read the local meshes of a spec; notes on them. Raises SignalError that names all the unusable ones."""
    notes, problems = [], []
    for entry in spec["signals"]:
        try:
            mesh = read_mesh(Path(entry["path"]))
            notes += [f"mesh {entry['name']}: {mesh.note}"] if mesh.note else []
        except SignalError as error:
            problems.append(str(error))
    if problems:
        raise SignalError("\n  ".join(problems))
    return notes


def load_signal(asked: Mapping[str, str], spec: Mapping[str, Any]) -> Signal:
    """A mesh as labelled points, and its picture.

    spec: pool (training points), test (points per test split) and size (side of the normal map in pixels).
    Arrays: `box` (2, 3) float32, the corners of the bounding box with its margin; `train_labels`, `uniform_labels`,
    `boundary_labels`, bits, eight to a byte, first bit highest; `uniform_points` and `boundary_points` (test, 3)
    float32; `normals` (size, size, 3) float16, 0 where the mesh is not seen.
    """
    name = asked["name"]
    if asked["path"]:
        mesh, licence = read_mesh(Path(asked["path"])), LICENCE
    else:
        mesh, licence = Mesh(*normalised(*solids.solid_mesh(name)), solids.SOLIDS[name].note), solids.LICENCE
    inside = Containment(mesh)
    box = np.stack([mesh.vertices.min(axis=0) - MARGIN, mesh.vertices.max(axis=0) + MARGIN]).astype(np.float32)
    draws = np.random.default_rng([_SEED, zlib.crc32(name.encode())])
    uniform = (box[0] + draws.random((spec["test"], 3)) * (box[1] - box[0])).astype(np.float32)
    boundary = boundary_points(mesh, spec["test"], draws).astype(np.float32)
    arrays = {
        "box": box,
        "train_labels": np.concatenate([np.packbits(inside(points)) for points in pool_chunks(box, spec["pool"])]),
        "uniform_points": uniform,
        "uniform_labels": np.packbits(inside(uniform)),
        "boundary_points": boundary,
        "boundary_labels": np.packbits(inside(boundary)),
        "normals": normal_map(mesh, spec["size"]).astype(np.float16),
    }
    for split_name in ("uniform", "boundary"):
        if not arrays[f"{split_name}_labels"].any():
            raise SignalError(
                f"{asked['path'] or name}: no {split_name} test point lies inside; the mesh has no volume"
            )
    return Signal(arrays, licence, mesh.note)


def pool_chunks(box: np.ndarray, count: int) -> Iterator[np.ndarray]:
    """The points of a pool, (up to CHUNK, 3) float32 at a time."""
    for first in range(0, count, CHUNK):
        yield box_points(box, first, min(CHUNK, count - first))


def boundary_points(mesh: Mesh, count: int, draws: np.random.Generator) -> np.ndarray:
    """(count, 3) points near the surface: uniform in a face drawn uniformly, whatever its area, plus Gaussian noise.

    The paper says perturbed vertices; this is what the authors' code does.
    """
    corners = mesh.vertices[mesh.faces[draws.integers(len(mesh.faces), size=count)]]
    root, share = np.sqrt(draws.random((count, 1))), draws.random((count, 1))
    surface = (1 - root) * corners[:, 0] + root * (1 - share) * corners[:, 1] + root * share * corners[:, 2]
    noisy: np.ndarray = surface + BOUNDARY_STD * draws.standard_normal((count, 3))
    return noisy
