"""Shapes: meshes and their labels, the occupancy problem, and normal maps."""

import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import Tensor

from posenc.measures import normals
from posenc.plan.model import Experiment
from posenc.pool import box_points, unit_points
from posenc.problems.occupancy import POINTS_ON_THE_WAY, Occupancy, iou, unpacked
from posenc.signals import camera, mesh_files, mesh_rays, meshes, solids
from posenc.signals.mesh_files import Mesh, edge_counts, normalised, read_mesh
from posenc.signals.mesh_rays import Containment
from posenc.signals.pictures import SignalError

SPEC = {"pool": 4096, "test": 2000, "size": 24}


def box_mesh(low: float = 0.2, high: float = 0.7) -> Mesh:
    box = trimesh.creation.box(bounds=[[low] * 3, [high] * 3])
    return Mesh(np.asarray(box.vertices), np.asarray(box.faces), "")


def ball_mesh(radius: float = 0.4, subdivisions: int = 5) -> Mesh:
    ball = trimesh.creation.icosphere(subdivisions, radius)
    return Mesh(np.asarray(ball.vertices) + 0.5, np.asarray(ball.faces), "")


def uniform(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((count, 3))


def exported(path: Path, mesh: Mesh) -> Path:
    trimesh.Trimesh(mesh.vertices, mesh.faces, process=False).export(path)
    return path


def message(call: Callable[..., object], *arguments: object) -> str:
    with pytest.raises(SignalError) as caught:
        call(*arguments)
    return str(caught.value)


# ---- the pool of points


@given(first=st.integers(0, 3000), count=st.integers(1, 500))
@settings(max_examples=100, deadline=None)
def test_any_piece_of_the_pool_is_drawn_again(first: int, count: int) -> None:
    whole = unit_points(0, first + count)
    assert np.array_equal(unit_points(first, count), whole[first:])


def test_the_pool_reaches_as_far_as_the_paper_draws() -> None:
    late = unit_points(10_000 * 32_768 - 1000, 1000)
    assert not np.array_equal(late, unit_points(0, 1000))
    assert np.abs(late.mean(axis=0) - 0.5).max() < 5 * np.sqrt(1 / 12 / 1000)


def test_pool_points_are_uniform_and_float32() -> None:
    box = np.array([[-0.001, 0.2, 0.4], [1.001, 0.9, 0.5]], dtype=np.float32)
    points = box_points(box, 7, 40_000)
    assert points.dtype == np.float32
    shares = (points.astype(np.float64) - box[0]) / (box[1] - box[0])
    assert shares.min() > -1e-6 and shares.max() < 1 + 1e-6
    cells = np.ravel_multi_index((8 * shares).astype(int).clip(0, 7).T, (8, 8, 8))
    expected = 40_000 / 512
    chi2 = ((np.bincount(cells, minlength=512) - expected) ** 2 / expected).sum()
    assert abs(chi2 - 511) < 5 * np.sqrt(2 * 511)


# ---- solids of our own


@pytest.mark.parametrize("name", solids.SOLIDS)
def test_a_solid_is_closed_in_one_piece_and_inside_its_box(name: str) -> None:
    vertices, faces = solids.solid_mesh(name)
    assert edge_counts(faces) == (0, 0)
    mesh = trimesh.Trimesh(vertices, faces, process=False)
    assert mesh.is_winding_consistent and mesh.volume > 0.1 and mesh.body_count == 1
    assert np.abs(vertices).max() < 1  # a surface that the grid cuts off would lie at 1
    assert mesh.area_faces.min() > 0
    genus = (2 - mesh.euler_number) / 2
    assert genus == {"gyroid_ball": 14, "knot": 1}.get(name, 0)


def test_there_are_solids_to_tune_and_to_report() -> None:
    counts = {which: sum(solid.set == which for solid in solids.SOLIDS.values()) for which in ("tuning", "report")}
    assert counts["tuning"] >= 1 and counts["report"] >= 3


def test_an_unknown_solid() -> None:
    assert "gyroid_ball" in message(solids.solid_mesh, "teapot")


# ---- labels


def test_a_marching_cubes_sphere_has_the_labels_of_its_formula() -> None:
    resolution, radius = 64, 0.8
    vertices, faces = solids.surface(lambda x, y, z: radius - np.sqrt(x * x + y * y + z * z), resolution)
    points = 2 * uniform(200_000) - 1
    distances = np.linalg.norm(points, axis=1)
    inside = Containment(Mesh(vertices, faces, ""))(points)
    # a chord of a cell's diagonal lies at most this far below the arc
    sag = 3 * (2 / resolution) ** 2 / (8 * radius)
    wrong = inside != (distances < radius)
    assert np.abs(distances[wrong] - radius).max(initial=0) < sag
    assert 0.2 < inside.mean() < 0.3


def test_a_box_has_exact_labels() -> None:
    points = uniform(200_000).astype(np.float32)
    inside = Containment(box_mesh())(points)
    assert np.array_equal(inside, ((points > 0.2) & (points < 0.7)).all(axis=1))


def test_rays_through_edges_and_corners_do_not_mislead() -> None:
    mesh = box_mesh()
    targets = mesh.vertices[mesh.faces[:, [0, 1]]].mean(axis=1)  # middles of edges, diagonals of the sides included
    targets = np.concatenate([targets, mesh.vertices])
    for along in mesh_rays._DIRECTIONS[0], -mesh_rays._DIRECTIONS[0]:
        steps = np.linspace(0.03, 0.4, 50)
        points = (targets[:, None] - steps[:, None] * along).reshape(-1, 3)
        expected = ((points > 0.2) & (points < 0.7)).all(axis=1)
        off = np.abs(np.stack([points - 0.2, points - 0.7])).min(axis=(0, 2)) > 1e-5
        assert np.array_equal(Containment(mesh)(points)[off], expected[off])


def test_a_cavity_is_outside() -> None:
    outer, inner = box_mesh(0.1, 0.9), box_mesh(0.4, 0.6)
    both = Mesh(
        np.concatenate([outer.vertices, inner.vertices]),
        np.concatenate([outer.faces, inner.faces + len(outer.vertices)]),
        "",
    )
    assert Containment(both)(np.array([[0.5, 0.5, 0.5], [0.2, 0.2, 0.2], [0.95, 0.5, 0.5]])).tolist() == [
        False,
        True,
        False,
    ]


def test_labels_do_not_depend_on_the_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    points, inside = uniform(1000), Containment(ball_mesh())
    whole = inside(points)
    monkeypatch.setattr(mesh_rays, "CHUNK", 96)
    monkeypatch.setattr(meshes, "CHUNK", 96)
    assert np.array_equal(inside(points), whole)
    box = np.array([[0, 0, 0], [1, 1, 1]], dtype=np.float32)
    assert np.array_equal(np.concatenate(list(meshes.pool_chunks(box, 1000))), box_points(box, 0, 1000))


def test_boundary_points_lie_about_the_surface_as_far_as_the_noise() -> None:
    points = meshes.boundary_points(ball_mesh(), 40_000, np.random.default_rng(0))
    offsets = np.linalg.norm(points - 0.5, axis=1) - 0.4
    assert np.std(offsets) == pytest.approx(meshes.BOUNDARY_STD, rel=0.02)
    assert abs(offsets.mean()) < 1e-3  # two components of the noise lie along the surface and lift by 2 std**2 / 2 R
    spread = np.abs((points - 0.5).mean(axis=0))
    assert spread.max() < 5 * 0.4 / np.sqrt(3 * 40_000)


def test_boundary_faces_are_drawn_whatever_their_area() -> None:
    small, large = box_mesh(0.1, 0.2), box_mesh(0.4, 0.9)
    both = Mesh(
        np.concatenate([small.vertices, large.vertices]),
        np.concatenate([small.faces, large.faces + len(small.vertices)]),
        "",
    )
    points = meshes.boundary_points(both, 10_000, np.random.default_rng(0))
    assert abs((points < 0.3).all(axis=1).mean() - 0.5) < 5 * 0.5 / 100


def test_boundary_points_are_uniform_in_a_face(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meshes, "BOUNDARY_STD", 0.0)
    face = Mesh(np.eye(3), np.array([[0, 1, 2]]), "")
    weights = meshes.boundary_points(face, 30_000, np.random.default_rng(0))
    np.testing.assert_allclose(weights.sum(axis=1), 1, atol=1e-12)
    assert weights.min() >= 0
    # of a uniform barycentric weight: mean 1/3, variance 1/18, and a quarter of the mass above 1/2
    np.testing.assert_allclose(weights.mean(axis=0), 1 / 3, atol=0.008)
    np.testing.assert_allclose(weights.var(axis=0), 1 / 18, rtol=0.05)
    np.testing.assert_allclose((weights > 0.5).mean(axis=0), 0.25, atol=0.013)


# ---- signals


def loaded(name: str = "knot", path: Path | str = "", **changed: int) -> dict[str, np.ndarray]:
    arrays: dict[str, np.ndarray] = meshes.load_signal({"name": name, "path": str(path)}, SPEC | changed).arrays
    return arrays


def test_a_signal_s_arrays() -> None:
    signal = meshes.load_signal({"name": "gyroid_ball", "path": ""}, SPEC)
    shapes = {name: (array.shape, array.dtype) for name, array in signal.arrays.items()}
    assert shapes == {
        "box": ((2, 3), np.float32),
        "train_labels": ((512,), np.uint8),
        "uniform_points": ((2000, 3), np.float32),
        "uniform_labels": ((250,), np.uint8),
        "boundary_points": ((2000, 3), np.float32),
        "boundary_labels": ((250,), np.uint8),
        "normals": ((24, 24, 3), np.float16),
    }
    assert signal.licence == solids.LICENCE and signal.note == "genus 14"
    box = signal.arrays["box"].astype(np.float64)
    vertices, _ = normalised(*solids.solid_mesh("gyroid_ball"))
    np.testing.assert_allclose(box, [vertices.min(axis=0) - 1e-3, vertices.max(axis=0) + 1e-3], atol=1e-7)
    assert (signal.arrays["uniform_points"] >= box[0]).all() and (signal.arrays["uniform_points"] <= box[1]).all()
    inside = np.unpackbits(signal.arrays["boundary_labels"])
    assert 0.4 < inside.mean() < 0.6


def test_a_signal_repeats_and_differs_from_others() -> None:
    one, again, other = loaded("knot"), loaded("knot"), loaded("star")
    assert all(np.array_equal(one[name], again[name]) for name in one)
    assert not any(np.array_equal(one[name], other[name]) for name in one)


def test_a_larger_pool_goes_on_where_the_smaller_one_ends() -> None:
    small, large = loaded(pool=4096), loaded(pool=8192)
    assert np.array_equal(large["train_labels"][:512], small["train_labels"])
    assert np.array_equal(large["uniform_points"], small["uniform_points"])


def test_normalised_meshes_are_centred_on_their_vertices() -> None:
    vertices, _ = normalised(uniform(50) * [1, 40, 3] + 7, np.zeros((1, 3), int))
    np.testing.assert_allclose(vertices.mean(axis=0), 0.5, atol=1e-12)
    assert np.abs(vertices - 0.5).max() == pytest.approx(0.5, abs=1e-12)


# ---- files


@pytest.mark.parametrize("suffix", ["ply", "obj", "stl", "off"])
def test_formats_give_the_same_mesh(tmp_path: Path, suffix: str) -> None:
    ball = ball_mesh(subdivisions=2)
    read = read_mesh(exported(tmp_path / f"ball.{suffix}", ball))
    assert len(read.vertices) == len(ball.vertices) and len(read.faces) == len(ball.faces)
    expected, _ = normalised(ball.vertices, ball.faces)
    np.testing.assert_allclose(np.sort(read.vertices[:, 0]), np.sort(expected[:, 0]), atol=1e-6)
    assert trimesh.Trimesh(read.vertices, read.faces, process=False).volume == pytest.approx(
        4 / 3 * np.pi / 8, rel=0.05
    )


def test_a_file_s_labels_are_those_of_its_mesh(tmp_path: Path) -> None:
    path = exported(tmp_path / "ball.ply", ball_mesh())
    arrays = loaded("ball", path)
    points = arrays["uniform_points"].astype(np.float64)
    distances = np.linalg.norm(points - 0.5, axis=1)
    sure = np.abs(distances - 0.5) > 1e-3
    assert np.array_equal(np.unpackbits(arrays["uniform_labels"])[:2000][sure], (distances < 0.5)[sure])


def test_open_edges_are_counted_and_refused(tmp_path: Path) -> None:
    ball = ball_mesh(subdivisions=2)
    path = exported(tmp_path / "open.ply", ball._replace(faces=ball.faces[1:]))
    text = message(read_mesh, path)
    assert text.startswith(f"{path}: 3 open edges") and "close the holes" in text


def test_edges_of_four_faces_are_accepted(tmp_path: Path) -> None:
    low, high = box_mesh(0.1, 0.4), box_mesh(0.4, 0.7)
    shifted = high.vertices - [0, 0, 0.3]  # shares the edge x = y = 0.4
    both = Mesh(np.concatenate([low.vertices, shifted]), np.concatenate([low.faces, high.faces + 8]), "")
    read = read_mesh(exported(tmp_path / "two.ply", both))
    assert read.note == "edges shared by more than two faces: 1" and len(read.vertices) == 14
    middles = (np.array([[0.25, 0.25, 0.25], [0.55, 0.55, 0.25], [0.25, 0.55, 0.25]]) - 0.4) / 0.6 + 0.5
    middles[:, 2] = 0.5
    assert Containment(read)(middles).tolist() == [True, True, False]


@pytest.mark.parametrize("suffix", ["ply", "obj", "stl", "off"])
def test_files_that_are_no_meshes(tmp_path: Path, suffix: str) -> None:
    for name, content in (("text", b"no mesh at all\n"), ("empty", b""), ("noise", bytes(range(256)) * 4)):
        path = tmp_path / f"{name}.{suffix}"
        path.write_bytes(content)
        text = message(read_mesh, path)
        assert text.startswith(f"{path}: ") and "\n" not in text


def test_a_cut_off_file(tmp_path: Path) -> None:
    path = exported(tmp_path / "ball.ply", ball_mesh(subdivisions=3))
    path.write_bytes(path.read_bytes()[:9000])
    assert message(read_mesh, path).startswith(f"{path}: ")


def test_points_without_triangles(tmp_path: Path) -> None:
    path = tmp_path / "cloud.ply"
    trimesh.PointCloud(uniform(20)).export(path)
    assert "holds no triangles" in message(read_mesh, path)


def test_vertices_that_are_no_numbers(tmp_path: Path) -> None:
    path = exported(tmp_path / "ball.obj", ball_mesh(subdivisions=1))
    lines = path.read_text().splitlines()
    first = next(i for i, line in enumerate(lines) if line.startswith("v "))
    lines[first] = "v nan 0 0"
    path.write_text("\n".join(lines))
    assert "1 vertices are not finite numbers" in message(read_mesh, path)


def test_a_flat_mesh_a_missing_file_and_one_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ball = ball_mesh(subdivisions=2)
    flat = exported(tmp_path / "flat.ply", ball._replace(vertices=ball.vertices * [1, 0, 1]))
    assert "flat" in message(read_mesh, flat)
    assert "no such file" in message(read_mesh, tmp_path / "missing.ply")
    path = exported(tmp_path / "ball.ply", ball)
    monkeypatch.setattr(mesh_files, "MOST_FACES", 100)
    assert "320 faces are too many" in message(read_mesh, path) and "decimate" in message(read_mesh, path)
    monkeypatch.setattr(mesh_files, "MOST_BYTES", 100)
    assert "GiB is too large" in message(read_mesh, path) and "decimate" in message(read_mesh, path)


def test_missing_embreex_is_one_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "trimesh.ray.ray_pyembree", None)
    text = message(Containment, ball_mesh(subdivisions=1))
    assert "embreex" in text and "install" in text and "\n" not in text


def test_check_names_every_bad_file(tmp_path: Path) -> None:
    ball = ball_mesh(subdivisions=2)
    paths = [
        exported(tmp_path / "good.ply", ball),
        exported(tmp_path / "open.ply", ball._replace(faces=ball.faces[:-1])),
        tmp_path / "gone.ply",
    ]
    entries = [{"name": path.stem, "path": str(path)} for path in paths]
    text = message(meshes.check, {"signals": entries})
    assert "open.ply" in text and "gone.ply" in text and "good.ply" not in text
    assert meshes.check({"signals": entries[:1]}) == []


# ---- which meshes


def asked(tuning: int, report: int) -> Any:
    return SimpleNamespace(kind="shapes", tuning=tuning, report=report, pool=4096, test=2000, size=24)


def names(entries: list[dict[str, str]]) -> list[str]:
    return [entry["name"] for entry in entries]


def test_bundled_solids_stand_in_for_meshes(tmp_path: Path) -> None:
    for folder in (None, tmp_path):
        proposal = meshes.propose(asked(1, 3), folder)
        assert proposal.origin == "bundled" and proposal.notes == ()
        assert names(proposal.tuning) == ["knot"] and names(proposal.report) == ["gyroid_ball", "ridged_blob", "screw"]
    assert "where 9 were asked for" in meshes.propose(asked(1, 9), None).notes[0]


def test_the_paper_s_meshes_keep_their_sets(tmp_path: Path) -> None:
    (tmp_path / "meshes").mkdir()
    for name in (
        "happy_buddha.ply",
        "Armadillo.ply",
        "bunny.off",
        "dragon_obj.obj",
        "Alucy.obj",
        "readme.txt",
        ".x.ply",
    ):
        (tmp_path / "meshes" / name).touch()
    proposal = meshes.propose(asked(1, 3), tmp_path)
    assert proposal.origin == "local" and proposal.notes == ()
    assert names(proposal.tuning) == ["Alucy"]
    assert names(proposal.report) == ["dragon_obj", "Armadillo", "happy_buddha"]
    assert proposal.tuning[0]["path"] == str(tmp_path / "meshes" / "Alucy.obj")


def test_other_meshes_come_in_order(tmp_path: Path) -> None:
    (tmp_path / "meshes").mkdir()
    for name in ("c.stl", "a.obj", "b.PLY"):
        (tmp_path / "meshes" / name).touch()
    proposal = meshes.propose(asked(1, 3), tmp_path)
    assert names(proposal.tuning) == ["a"] and names(proposal.report) == ["b", "c"]
    assert "3 independent meshes" in proposal.notes[0]
    (tmp_path / "meshes" / "a.ply").touch()
    assert "a.ply have the same name; rename or remove one" in message(meshes.propose, asked(1, 3), tmp_path)


def test_the_papers_meshes_report_and_another_one_tunes_where_lucy_is_missing() -> None:
    scans = ["bunny", "dragon_vrip", "happy", "zebra"]
    assert meshes.paper_order(scans) == ["bunny", "dragon_vrip", "happy", "zebra"]
    assert meshes.paper_order([*scans, "lucy"])[:3] == ["lucy", "dragon_vrip", "happy"]
    assert meshes.paper_order(scans, tunes=False) == ["dragon_vrip", "happy", "bunny", "zebra"]
    assert meshes.paper_order(["dragon", "happy"]) == ["dragon", "happy"]


def test_settings_and_names_that_cannot_be_used_are_refused(tmp_path: Path) -> None:
    without = SimpleNamespace(tuning=1, report=1, pool=None, test=100, size=24)
    assert "`pool`" in message(meshes.propose, without, None)
    (tmp_path / "meshes").mkdir()
    (tmp_path / "meshes" / "a{b}.ply").touch()
    assert "rename" in message(meshes.propose, asked(1, 1), tmp_path)


@pytest.mark.parametrize("pool", [1000, 1002, 96])
def test_an_experiment_needs_a_pool_of_whole_bytes_and_a_batch_at_least(pool: int) -> None:
    settings = {
        "title": "small",
        "problem": {"occupancy": {"batch": 1000}},
        "signals": {"kind": "shapes", "size": 24, "tuning": 1, "report": 1, "pool": pool, "test": 10},
        "encodings": {"basic": {"normalised": True}},
        "networks": {"mlp": {"depth": 3, "width": 8}},
        "seeds": [0],
        "training": {"steps": 3, "learning_rate": 1e-3, "reduced_precision": False},
    }
    if pool == 1000:
        assert Experiment.model_validate(settings).signals.pool == 1000
        return
    with pytest.raises(ValidationError, match="multiple of 8" if pool % 8 else "batch of 1000 points"):
        Experiment.model_validate(settings)


# ---- the problem


def problem_of(mesh: Mesh, *, batch: int = 64, pool: int = 640, test: int = 4000) -> Occupancy:
    inside = Containment(mesh)
    box = np.stack([mesh.vertices.min(axis=0) - 1e-3, mesh.vertices.max(axis=0) + 1e-3]).astype(np.float32)
    uniform_points = (box[0] + uniform(test) * (box[1] - box[0])).astype(np.float32)
    boundary = meshes.boundary_points(mesh, test, np.random.default_rng(1)).astype(np.float32)
    arrays = {
        "box": box,
        "train_labels": np.packbits(inside(box_points(box, 0, pool))),
        "uniform_points": uniform_points,
        "uniform_labels": np.packbits(inside(uniform_points)),
        "boundary_points": boundary,
        "boundary_labels": np.packbits(inside(boundary)),
    }
    return Occupancy({name: torch.from_numpy(array)[None] for name, array in arrays.items()}, batch=batch)


@given(count=st.integers(1, 100), data=st.data())
@settings(max_examples=100, deadline=None)
def test_packed_labels_come_back(count: int, data: st.DataObject) -> None:
    labels = np.random.default_rng(count).random(count) < 0.5
    first = data.draw(st.integers(0, count - 1))
    end = data.draw(st.integers(first + 1, count))
    found = unpacked(torch.from_numpy(np.packbits(labels)), first, end)
    assert found.dtype == torch.bool and np.array_equal(found.numpy(), labels[first:end])


@pytest.mark.parametrize("step", [1, 2, 9, 10])
def test_each_step_has_its_points_and_their_labels(step: int) -> None:
    problem = problem_of(box_mesh(), batch=60)  # no multiple of 8, and 10 batches of 60 leave 40 points over
    points = problem.inputs(step)
    assert points.shape == (60, 3) and points.dtype == torch.float32
    expected = ((points > 0.2) & (points < 0.7)).all(dim=1)
    assert torch.equal(problem.targets(step), expected.float())
    earlier = {tuple(point) for before in range(1, step) for point in problem.inputs(before).tolist()}
    assert not earlier & {tuple(point) for point in points.tolist()}
    assert step > 1 or np.array_equal(points, box_points(problem.box, 0, 60))


def test_the_pool_starts_over_at_its_end() -> None:
    problem = problem_of(box_mesh(), batch=60)
    assert torch.equal(problem.inputs(11), problem.inputs(1)) and torch.equal(problem.targets(11), problem.targets(1))
    assert not torch.equal(problem.inputs(10), problem.inputs(1))


def test_a_batch_larger_than_the_pool_is_refused() -> None:
    with pytest.raises(ValueError, match=r"raise signals\.pool"):
        problem_of(box_mesh(), batch=641)


def test_loss_is_the_mean_cross_entropy_of_the_logits() -> None:
    problem = problem_of(ball_mesh())
    logits = torch.randn(2, 64, 1, generator=torch.Generator().manual_seed(0))
    truth = problem.targets(3).numpy()
    chances = 1 / (1 + np.exp(-logits[..., 0].double().numpy()))
    expected = -(truth * np.log(chances) + (1 - truth) * np.log(1 - chances)).mean(axis=1)
    np.testing.assert_allclose(problem.loss(logits, 3), expected, rtol=1e-5)
    right = torch.where(problem.targets(3) > 0, 60.0, -60.0)[None, :, None]
    assert float(problem.loss(right, 3)) < 1e-20
    assert torch.isfinite(problem.loss(1e4 * right, 3)).all()


def scores_of(problem: Occupancy, inside: Callable[[Tensor], Tensor], last: bool = True) -> dict[str, float]:
    found = list(problem.scores(lambda points: inside(points)[None, :, None], last))
    assert all(score.metric == "iou" and score.values.shape == (1,) for score in found)
    return {score.split: float(score.values) for score in found}


def test_iou_of_nested_solids_is_their_share_of_volume() -> None:
    problem = problem_of(ball_mesh(), test=40_000)
    shrunk = scores_of(problem, lambda points: 0.36 - (points - 0.5).norm(dim=1))
    grown = scores_of(problem, lambda points: 0.44 - (points - 0.5).norm(dim=1))
    for found, share in ((shrunk, (0.36 / 0.4) ** 3), (grown, (0.4 / 0.44) ** 3)):
        # the box is smaller than the grown ball, whose caps outside it are never asked about
        assert found["uniform"] == pytest.approx(share, abs=0.015 if share < 0.74 else 0.04)
    boxes = problem_of(box_mesh(), test=40_000)
    inner = scores_of(boxes, lambda points: 0.2 - (points - 0.45).abs().amax(dim=1))
    assert inner["uniform"] == pytest.approx((0.4 / 0.5) ** 3, abs=0.01)


def test_iou_of_the_truth_of_nothing_and_of_everything() -> None:
    problem = problem_of(box_mesh())
    truth = scores_of(problem, lambda points: 0.25 - (points - 0.45).abs().amax(dim=1))
    assert truth["uniform"] > 0.999 and truth["boundary"] > 0.999
    nothing = scores_of(problem, lambda points: -torch.ones(len(points)))
    assert nothing == {"uniform": 0.0, "boundary": 0.0}
    everything = scores_of(problem, lambda points: torch.ones(len(points)))
    assert everything["uniform"] == pytest.approx(0.5**3 / 0.502**3, abs=1e-2)


def test_the_boundary_tells_more_than_the_box() -> None:
    problem = problem_of(ball_mesh(), test=20_000)
    found = scores_of(problem, lambda points: 0.395 - (points - 0.5).norm(dim=1))
    assert 1 - found["boundary"] > 5 * (1 - found["uniform"])


def test_iou_counts_points() -> None:
    inside = torch.tensor([True, True, False, False])
    found = torch.tensor([[True, False, True, False], [False, False, False, False]])
    assert iou(found, inside).tolist() == [1 / 3, 0.0]


def test_on_the_way_only_some_points_are_asked() -> None:
    problem = problem_of(ball_mesh(subdivisions=3), test=POINTS_ON_THE_WAY + 100)
    counts = []

    def inside(points: Tensor) -> Tensor:
        counts.append(len(points))
        return torch.ones(len(points))

    scores_of(problem, inside, last=False)
    scores_of(problem, inside, last=True)
    assert counts == [POINTS_ON_THE_WAY] * 2 + [POINTS_ON_THE_WAY + 100] * 2


# ---- the camera and normal maps


def test_the_camera_looks_at_the_centre_from_above() -> None:
    rays = camera.rays(64)
    middle = rays.directions[32, 32]
    np.testing.assert_allclose(rays.origin + camera.DISTANCE * middle, 0.5, atol=1e-12)
    offset = 2 * (rays.origin - 0.5)
    assert np.linalg.norm(offset) == pytest.approx(2) and offset[1] == pytest.approx(2 * np.sin(np.radians(30)))
    depths = rays.directions @ (-offset / np.linalg.norm(offset))
    np.testing.assert_allclose(depths, 0.5, atol=1e-12)  # a unit of depth along the axis is half a unit here
    axes = camera.camera_axes()
    np.testing.assert_allclose(axes.T @ axes, np.eye(3), atol=1e-12)
    up_one, right_one = rays.directions[31, 32] - middle, rays.directions[32, 33] - middle
    np.testing.assert_allclose(np.linalg.norm(up_one), 0.5 / (0.9 * 64), atol=1e-12)
    np.testing.assert_allclose(np.cross(right_one, up_one) @ offset > 0, True)
    assert up_one[1] > 0 and right_one[1] == pytest.approx(0, abs=1e-12)


def sphere_seen(side: int, radius: float) -> tuple[np.ndarray, np.ndarray]:
    """(whether, with which normal) each ray meets a ball in the middle."""
    rays = camera.rays(side)
    origin = rays.origin - 0.5
    a, b = (rays.directions**2).sum(axis=-1), rays.directions @ origin
    within = b * b - a * (origin @ origin - radius**2)
    depth = (-b - np.sqrt(np.maximum(within, 0))) / a
    return within > 0, (origin + rays.directions * depth[..., None]) / radius


def degrees_apart(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return np.degrees(np.arccos(np.clip((one * other).sum(axis=-1), -1, 1)))


def test_the_truth_s_normals_are_those_of_a_ball() -> None:
    hit, expected = sphere_seen(48, 0.4)
    found = mesh_rays.normal_map(ball_mesh(), 48)
    seen = (found != 0).any(axis=-1)
    assert (seen & ~hit).sum() == 0 and (hit & ~seen).sum() <= 0.02 * hit.sum()  # facets cut the silhouette
    assert degrees_apart(found, expected)[seen].max() < 2
    np.testing.assert_allclose(np.linalg.norm(found[seen], axis=-1), 1, atol=1e-6)


def ball_asked(points: Tensor) -> Tensor:
    return 0.4 - (points - 0.5).norm(dim=-1)


BALL_BOX = torch.tensor([[0.099] * 3, [0.901] * 3])


def test_fitted_normals_are_those_of_a_ball() -> None:
    hit, expected = sphere_seen(64, 0.4)
    found = normals.normal_map(ball_asked, BALL_BOX, 64, 256).numpy()
    assert found.shape == (64, 64, 3) and found.dtype == np.float32
    seen = (found != 0).any(axis=-1)
    assert (seen & ~hit).sum() == 0
    assert (hit & ~seen).sum() < 2.5 * np.pi * np.sqrt(hit.sum() / np.pi)  # about one pixel along the silhouette
    apart = degrees_apart(found, expected)[seen]
    # forward differences lag by half a pixel, 0.5 / (0.9 * 64) of 0.4 or 1.2 degrees in the middle of the ball
    assert np.median(apart) < 2.5 and np.percentile(apart, 90) < 6


@pytest.mark.parametrize("samples", [32, 256])
def test_the_second_pass_finds_the_surface_to_its_own_spacing(samples: int) -> None:
    rays = camera.rays(16)
    hit, expected = sphere_seen(16, 0.4)
    directions = torch.from_numpy(rays.directions[hit]).float()
    origin = torch.from_numpy(rays.origin).float()
    depth = normals.first_depths(ball_asked, BALL_BOX, origin, directions, torch.linspace(1, 3, samples))
    points = (origin + directions * depth[:, None]).numpy()
    lengths = np.linalg.norm(rays.directions[hit], axis=1)
    true = np.linalg.norm(0.5 + 0.4 * expected[hit] - rays.origin, axis=1) / lengths
    fine = 2 * normals.REFINED * (2 / (samples - 1)) / (samples - 1)
    late = depth.numpy() - true
    # rays that graze the ball, less than a step deep, are met only by chance
    deep = degrees_apart(expected[hit], -rays.directions[hit] / lengths[:, None]) < 75
    assert (np.linalg.norm(points - 0.5, axis=1)[deep] < 0.4 + 1e-5).all()
    assert late[deep].min() > -1e-5 and late[deep].max() < fine + 1e-5
    if samples == 256:
        assert fine * (samples - 1) / 2 == pytest.approx(0.01, rel=1e-3)  # half width, as published


def test_depths_reach_from_the_nearest_to_the_farthest_corner_of_the_box() -> None:
    rays = camera.rays(8)
    box = np.array([[0.1, 0.0, 0.3], [0.9, 1.0, 0.6]])
    near, far = camera.depth_range(box)
    forward = rays.directions[4, 4] / np.linalg.norm(rays.directions[4, 4])
    points = box[0] + uniform(20_000) * (box[1] - box[0])
    depths = (points - rays.origin) @ forward / 0.5
    assert near < depths.min() < near + 0.2 and far - 0.2 < depths.max() < far
    whole = camera.depth_range(np.array([[0.0] * 3, [1.0] * 3]))
    assert whole[0] < 1 < 3 < whole[1]


def test_a_shape_that_comes_near_the_camera_is_not_cut_off() -> None:
    corner = torch.tensor(camera.rays(8).origin > 0.5).float()  # of the unit cube, the nearest to the camera
    box = torch.tensor([[0.0] * 3, [1.0] * 3])
    found = normals.normal_map(lambda points: 0.3 - (points - corner).norm(dim=-1), box, 48, 256).numpy()
    seen = (found != 0).any(axis=-1)
    # beside the sides of the cube, whose normals lie along axes, there is nothing but the tip
    assert seen.any() and (np.abs(found[seen]).max(axis=-1) > 0.98).mean() > 0.9


def test_only_what_lies_in_the_box_is_asked_and_seen() -> None:
    outside = []

    def everywhere(points: Tensor) -> Tensor:
        outside.append(((points < box[0]) | (points > box[1])).any())
        return torch.ones(len(points))

    box = torch.tensor([[0.4, 0.3, 0.4], [0.6, 0.7, 0.6]])
    found = normals.normal_map(everywhere, box, 32, 64).numpy()
    assert not any(outside)
    seen = (found != 0).any(axis=-1)
    assert 20 < seen.sum() < 300
    # what is seen of the box are sides that face the camera: top and two more
    assert np.median(np.abs(found[seen]).max(axis=-1)) > 0.9


def test_nothing_to_see_is_background() -> None:
    found = normals.normal_map(lambda points: -torch.ones(len(points)), BALL_BOX, 16, 16)
    assert not found.any()
    assert not mesh_rays.normal_map(box_mesh(5.0, 5.1), 16).any()
