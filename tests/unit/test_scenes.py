"""Scenes: what the ray tracer draws, that draws repeat, and what a folder of views may get wrong."""

import itertools
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from posenc.plan.layers import ConfigError
from posenc.plan.model import Signals
from posenc.plan.pictures import Source
from posenc.plan.signals import check_local_signals, signal_set
from posenc.plan.workflow import files_of
from posenc.signals import scenes, tracer
from posenc.signals.pictures import SignalError, read_picture
from posenc.signals.sets import load_signals
from posenc.signals.tracer import Box, Sphere

RED = np.array([1.0, 0.0, 0.0])


def plain(_: np.ndarray) -> np.ndarray:
    return np.broadcast_to(RED, _.shape)


def place(points: np.ndarray) -> np.ndarray:
    """A texture that shows where it was asked."""
    return points


def rays(count: int = 300, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Rays from a sphere of radius 3 towards points near the origin."""
    rng = np.random.default_rng(seed)
    origins = rng.standard_normal((count, 3))
    origins *= 3 / np.linalg.norm(origins, axis=1, keepdims=True)
    return origins, rng.uniform(-0.9, 0.9, size=(count, 3)) - origins


def first_inside(shape: Box | Sphere, origin: np.ndarray, direction: np.ndarray) -> float:
    """The first depth on a fine grid that lies in the shape: a march that knows nothing of planes and roots."""
    depths = np.linspace(0, 2, 20_001)
    points = origin + depths[:, None] * direction
    if isinstance(shape, Sphere):
        within = np.linalg.norm(points - np.asarray(shape.centre), axis=1) <= shape.radius
    else:
        within = ((points >= shape.low) & (points <= shape.high)).all(axis=1)
    return float(depths[within.argmax()]) if within.any() else math.inf


# The ray tracer


@pytest.mark.parametrize(
    "shape",
    [Box((-0.5, -0.2, -0.4), (0.3, 0.6, 0.1), plain), Sphere((0.1, -0.2, 0.3), 0.5, plain)],
    ids=["box", "ball"],
)
def test_hits_are_where_a_march_along_the_ray_enters(shape: Box | Sphere) -> None:
    origins, directions = rays()
    depths = shape.hits(origins, directions)
    marched = np.array([first_inside(shape, o, d) for o, d in zip(origins, directions, strict=True)])
    grazing = np.isfinite(depths) & ~np.isfinite(marched)  # thinner than the march's step
    assert grazing.sum() < 3 and 50 < np.isfinite(marched).sum() < 250
    hit = np.isfinite(marched)
    np.testing.assert_allclose(depths[hit], marched[hit], atol=1.1e-4)


def test_rays_along_an_axis_and_away_from_a_box() -> None:
    box = Box((-1, -1, -1), (1, 1, 1), plain)
    origins = np.array([[0, 0, 4.0], [0, 0, 4.0], [2.0, 0, 4.0], [0.9, 0, 4.0]])
    directions = np.array([[0, 0, -1.0], [0, 0, 1.0], [0, 0, -1.0], [0, 0, -2.0]])
    assert box.hits(origins, directions).tolist() == [3.0, math.inf, math.inf, 1.5]


@pytest.mark.parametrize(
    "shape",
    [Box((-0.5, -0.2, -0.4), (0.3, 0.6, 0.1), plain), Sphere((0.1, -0.2, 0.3), 0.5, plain)],
    ids=["box", "ball"],
)
def test_normals_are_of_unit_length_and_point_out_of_the_shape(shape: Box | Sphere) -> None:
    origins, directions = rays()
    depths = shape.hits(origins, directions)
    hit = np.isfinite(depths)
    points = origins[hit] + depths[hit, None] * directions[hit]
    normals = shape.normals(points)
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1)
    assert ((normals * directions[hit]).sum(axis=1) < 0).all()  # against the ray that arrives
    for sign, inside in ((-1, True), (1, False)):
        moved = points + sign * 1e-6 * normals
        if isinstance(shape, Sphere):
            within = np.linalg.norm(moved - np.asarray(shape.centre), axis=1) < shape.radius
        else:
            within = ((moved > np.asarray(shape.low) - 1e-9) & (moved < np.asarray(shape.high) + 1e-9)).all(axis=1)
        assert (within == inside).all()


def test_the_nearest_shape_is_seen_and_nothing_is_black() -> None:
    near, far = Box((-1, -1, 1), (1, 1, 2), plain), Box((-1, -1, -2), (1, 1, -1), place)
    origins = np.array([[0.0, 0.0, 4.0], [3.0, 0.0, 4.0]])
    down = np.array([[0.0, 0.0, -1.0], [0.0, 0.0, -1.0]])
    for order in ((near, far), (far, near)):
        seen = tracer.colours(order, origins, down)
        assert seen[0, 0] > 0.5 and (seen[0, 1:] == 0).all()
        assert (seen[1] == 0).all()


def test_a_surface_looks_the_same_from_everywhere() -> None:
    ball = Sphere((0.0, 0.0, 0.0), 0.5, lambda points: 0.5 + points)
    point = np.array([0.3, -0.24, 0.32]) / np.linalg.norm([0.3, -0.24, 0.32]) * 0.5
    origins = point + np.array([[2.0, -1.0, 2.0], [1.0, -2.0, 1.0], [3.0, -1.5, 0.5]])
    seen = tracer.colours([ball], origins, point - origins)
    assert seen.max() > 0.1
    np.testing.assert_allclose(seen, np.broadcast_to(seen[0], (3, 3)), rtol=1e-9)


@given(azimuth=st.floats(0, 6.3), height=st.floats(0, 0.99))
@settings(max_examples=30, deadline=None)
def test_cameras_look_at_the_origin_upright(azimuth: float, height: float) -> None:
    pose = tracer.looking_at_origin(azimuth, height, 4.0)
    np.testing.assert_allclose(pose[:3, :3] @ pose[:3, :3].T, np.eye(3), atol=1e-12)
    assert np.linalg.det(pose[:3, :3]) == pytest.approx(1)
    np.testing.assert_allclose(pose[:3, 3], 4 * pose[:3, 2])  # it looks along its own -z, at the origin
    assert pose[2, 0] == pytest.approx(0)  # its x is level
    assert pose[2, 1] > 0  # and its y goes up
    assert pose[2, 3] == pytest.approx(4 * height)


def test_rays_go_through_the_places_of_a_pinhole_picture() -> None:
    pose = tracer.looking_at_origin(0.7, 0.4, 4.0)
    side, focal = 20, 30.0
    origins, directions = tracer.camera_rays(
        pose, focal, np.array([10.0, 0.0, 20.0]), np.array([10.0, 0.0, 10.0]), side
    )
    np.testing.assert_allclose(origins, np.broadcast_to(pose[:3, 3], (3, 3)))
    np.testing.assert_allclose(directions[0], -pose[:3, 3] / 4, atol=1e-12)  # the middle sees the origin at depth 4
    own = directions @ pose[:3, :3]
    np.testing.assert_allclose(own, [[0, 0, -1], [-1 / 3, 1 / 3, -1], [1 / 3, 0, -1]], atol=1e-12)


def test_a_view_is_the_right_way_round_and_of_the_right_size() -> None:
    pose = tracer.looking_at_origin(-math.pi / 2, 0.0, 4.0)  # from -y: x to the right, z upwards
    corner = Box((0.2, -0.1, 0.4), (0.6, -0.0999, 0.6), plain)
    picture = tracer.view([corner], pose, focal=40.0, side=40, grain=16)
    rows, columns = np.nonzero(picture[..., 0])
    depth = 3.9  # of the face towards the camera
    expected = [20 + 40 * x / depth for x in (0.2, 0.6)], [20 - 40 * z / depth for z in (0.6, 0.4)]
    assert (columns.min(), columns.max() + 1) == (math.floor(expected[0][0]), math.ceil(expected[0][1]))
    assert (rows.min(), rows.max() + 1) == (math.floor(expected[1][0]), math.ceil(expected[1][1]))
    area = picture[..., 0].sum() / picture[..., 0].max()
    assert area == pytest.approx((40 * 0.4 / depth) * (40 * 0.2 / depth), rel=0.05)


def test_pixels_are_means_of_their_rays() -> None:
    shapes, pose = scenes.drawn_scene(0), tracer.looking_at_origin(0.3, 0.5, 4.0)
    fine = tracer.view(shapes, pose, focal=64.0, side=48, grain=1).astype(float)
    coarse = tracer.view(shapes, pose, focal=16.0, side=12, grain=4).astype(float)
    np.testing.assert_allclose(coarse, fine.reshape(12, 4, 12, 4, 3).mean(axis=(1, 3)), atol=1.0)


def test_textures_change_along_the_axes_by_their_period() -> None:
    points = np.array([[0.1, 0.1, 0.1], [0.6, 0.1, 0.1], [0.6, 0.6, 0.1], [-0.1, 0.1, 0.1]])
    white = np.ones(3)
    assert tracer.checker(0.5, RED, white)(points)[:, 1].tolist() == [0, 1, 0, 1]
    assert tracer.stripes(1, 0.5, RED, white)(points)[:, 1].tolist() == [0, 0, 1, 0]


def test_a_mosaic_has_one_colour_per_cell_and_many_cells() -> None:
    rng = np.random.default_rng(0)
    base = np.full(3, 0.5)
    texture = tracer.mosaic(0.25, 7, base, 0.4)
    points = rng.uniform(-1, 1, size=(2000, 3))
    drawn = texture(points)
    cells = np.floor(points / 0.25)
    centres = (cells + 0.5) * 0.25
    assert np.array_equal(drawn, texture(centres))
    distinct, counts = np.unique(np.round(drawn, 12), axis=0, return_counts=True)
    assert len(distinct) == len(np.unique(cells, axis=0)) and counts.max() > 1
    assert (np.abs(drawn - base) <= 0.4).all()
    assert np.abs(distinct.mean(axis=0) - base).max() < 4 * 0.4 / math.sqrt(3 * len(distinct))
    assert not np.array_equal(drawn, tracer.mosaic(0.25, 8, base, 0.4)(points))


# Drawn scenes


def test_a_drawn_scene_repeats_bit_by_bit_and_others_differ() -> None:
    first, again, other = (scenes.drawn_views(index, 16, (3, 1, 2)) for index in (0, 0, 1))
    for name, values in first.items():
        assert np.array_equal(values, again[name])
        assert values.dtype == other[name].dtype and values.shape == other[name].shape
    assert not np.array_equal(first["images"], other["images"])
    assert np.array_equal(first["poses"], other["poses"])


def test_what_is_kept_of_a_scene() -> None:
    arrays = scenes.drawn_views(0, 16, (4, 1, 2))
    assert {name: (values.shape, values.dtype.name) for name, values in arrays.items()} == {
        "images": ((7, 16, 16, 3), "uint8"),
        "poses": ((7, 4, 4), "float32"),
        "focal": ((), "float32"),
        "roles": ((7,), "uint8"),
    }
    assert arrays["roles"].tolist() == [0, 0, 0, 0, 1, 2, 2]
    assert float(arrays["focal"]) == pytest.approx(16 * 555.5555 / 400, rel=1e-6)


@pytest.mark.parametrize("index", range(4))
def test_drawn_scenes_are_of_the_size_of_lego_and_inside_every_view(index: int) -> None:
    arrays = scenes.drawn_views(index, 24, (20, 7, 13))
    for shape in scenes.drawn_scene(index):
        if isinstance(shape, Sphere):
            low, high = (np.asarray(shape.centre) + sign * shape.radius for sign in (-1, 1))
        else:
            low, high = np.asarray(shape.low), np.asarray(shape.high)
        assert (low < high).all() and low.min() >= -1.2 and high.max() <= 1.2
        corners = np.array(list(itertools.product(*zip(low, high, strict=True))))
        for pose in arrays["poses"].astype(float):
            if isinstance(shape, Sphere):
                corners = shape.centre + shape.radius * np.concatenate([pose[:3, :2].T, -pose[:3, :2].T])
            x, y, backward = ((corners - pose[:3, 3]) @ pose[:3, :3]).T
            assert (-backward > 2).all() and (-backward < 6).all()  # between near and far
            assert max(np.abs(x / backward).max(), np.abs(y / backward).max()) * arrays["focal"] < 12
    shown = (arrays["images"].max(axis=3) > 0).mean(axis=(1, 2))
    assert shown.min() > 0.1 and shown.max() < 0.6


def test_views_are_on_the_upper_half_and_none_is_in_two_sets() -> None:
    poses = scenes.drawn_views(0, 8, (100, 7, 13))["poses"]
    places = poses[:, :3, 3].astype(float)
    np.testing.assert_allclose(np.linalg.norm(places, axis=1), 4, rtol=1e-6)
    assert (places[:, 2] > 0).all()
    distances = np.linalg.norm(places[:, None] - places[None], axis=2) + 10 * np.eye(120)
    assert distances.min() > 0.01
    assert distances[:100, :100].min() > 0.2  # evenly: 100 caps of this half width


def test_drawn_scenes_have_names() -> None:
    assert [scenes.scene_index(scenes.scene_name(index)) for index in (0, 3, 12, 100)] == [0, 3, 12, 100]
    for name in ("blocks", "blocks_1", "lego"):
        with pytest.raises(SignalError, match=f"no drawn scene is called '{name}'"):
            scenes.scene_index(name)


# Scenes in a folder

Document = dict[str, Any]


def pose(azimuth: float) -> list[list[float]]:
    return tracer.looking_at_origin(azimuth, 0.3, 4.0).tolist()


def write_scene(folder: Path, counts: tuple[int, int, int] = (4, 2, 3), side: int = 16) -> Path:
    """A scene as Blender's NeRF data sets have them; each view has a colour of its own and a clear right half."""
    scene = folder / "nerf" / "toy"
    for name, count in zip(("train", "val", "test"), counts, strict=True):
        (scene / name).mkdir(parents=True)
        frames = []
        for view in range(count):
            picture = np.zeros((side, side, 4), dtype=np.uint8)
            picture[...] = (10 * view, 200, 40, 255)
            picture[:, side // 2 :, 3] = 0
            picture[0, 0, 3] = 128
            Image.fromarray(picture).save(scene / name / f"r_{view}.png")
            frames.append({"file_path": f"./{name}/r_{view}", "transform_matrix": pose(0.1 * view)})
        write_document(scene, name, {"camera_angle_x": 0.7, "frames": frames})
    return scene


def write_document(scene: Path, name: str, document: object) -> None:
    (scene / f"transforms_{name}.json").write_text(json.dumps(document))


def document(scene: Path, name: str) -> Document:
    found: Document = json.loads((scene / f"transforms_{name}.json").read_text())
    return found


def test_views_of_a_folder_are_put_on_black_and_averaged_down(tmp_path: Path) -> None:
    scene = write_scene(tmp_path)
    whole = scenes.local_views(scene, 16, (4, 2, 3))
    assert whole["images"].shape == (9, 16, 16, 3) and whole["roles"].tolist() == [0] * 4 + [1] * 2 + [2] * 3
    assert (whole["images"][:, :, 8:] == 0).all()
    assert (whole["images"][2, 1:, :8] == (20, 200, 40)).all()
    # 128 of 255: colours are not premultiplied
    np.testing.assert_allclose(whole["images"][2, 0, 0], np.array([20, 200, 40]) * 128 / 255, atol=1)
    small = scenes.local_views(scene, 4, (4, 2, 3))
    blocks = whole["images"].reshape(9, 4, 4, 4, 4, 3).mean(axis=(2, 4))
    np.testing.assert_allclose(small["images"], blocks, atol=0.5)
    assert float(small["focal"]) == pytest.approx(0.5 * 4 / math.tan(0.35))
    assert float(whole["focal"]) == pytest.approx(4 * float(small["focal"]))
    np.testing.assert_allclose(small["poses"][5], pose(0.1), rtol=1e-6)


def test_a_picture_without_alpha_is_taken_as_it_is(tmp_path: Path) -> None:
    scene = write_scene(tmp_path)
    values = np.random.default_rng(0).integers(256, size=(16, 16, 3), dtype=np.uint8)
    Image.fromarray(values).save(scene / "train" / "r_1.png")
    assert np.array_equal(scenes.local_views(scene, 16, (4, 2, 3))["images"][1], values)


def test_the_same_picture_can_be_put_on_either_ground(tmp_path: Path) -> None:
    scene = write_scene(tmp_path)
    path = scene / "train" / "r_3.png"
    black, white = (read_picture(path, ground).values.astype(int) for ground in ("black", "white"))
    assert (white[:, 8:] == 255).all() and (black[:, 8:] == 0).all()
    assert np.array_equal(black[1:, :8], white[1:, :8])


def test_of_more_frames_than_asked_for_evenly_spaced_ones_are_taken(tmp_path: Path) -> None:
    scene = write_scene(tmp_path, (8, 2, 5))
    cameras, _ = scenes.read_cameras(scene, 16, (4, 1, 5))
    names = [f"{camera.path.parent.name}/{camera.path.stem}" for camera in cameras]
    assert names == [
        *("train/r_0", "train/r_2", "train/r_4", "train/r_6"), "val/r_0", *(f"test/r_{view}" for view in range(5)),
    ]  # fmt: skip


def test_scenes_are_the_folders_below_nerf_that_hold_transforms(tmp_path: Path) -> None:
    assert scenes.scene_folders(tmp_path) == []
    scene = write_scene(tmp_path)
    (tmp_path / "nerf" / "empty").mkdir()
    assert scenes.scene_folders(tmp_path) == [scene]
    scenes.check_views(scene, 8, (4, 2, 3))


def change(name: str, **changes: Any) -> Callable[[Path], None]:
    def apply(scene: Path) -> None:
        write_document(scene, name, document(scene, name) | changes)

    return apply


def frame(name: str, place: int, **changes: Any) -> Callable[[Path], None]:
    """Change keys of one frame; a key whose new value is ... is removed."""

    def apply(scene: Path) -> None:
        found = document(scene, name)
        merged = found["frames"][place] | changes
        found["frames"][place] = {key: value for key, value in merged.items() if value is not ...}
        write_document(scene, name, found)

    return apply


def picture(path: str, size: tuple[int, int]) -> Callable[[Path], None]:
    return lambda scene: Image.new("RGBA", size).save(scene / path)


def text(name: str, content: str) -> Callable[[Path], None]:
    return lambda scene: (scene / name).write_text(content) and None


def scaled(factor: float) -> list[list[float]]:
    matrix = np.array(pose(0.2))
    matrix[:3, :3] *= factor
    listed: list[list[float]] = matrix.tolist()
    return listed


MISTAKES = {
    "no file": (lambda scene: (scene / "transforms_val.json").unlink(), "transforms_val.json: no such file"),
    "no json": (text("transforms_test.json", "{"), "transforms_test.json: not JSON (line 1"),
    "a list": (lambda scene: write_document(scene, "val", []), "transforms_val.json: not a JSON object"),
    "no angle": (
        lambda scene: write_document(scene, "train", {"frames": document(scene, "train")["frames"]}),
        "transforms_train.json: no camera_angle_x",
    ),
    "angle in degrees": (change("train", camera_angle_x=40), "camera_angle_x = 40: must be an angle in radians"),
    "angle as text": (change("train", camera_angle_x="0.7"), "camera_angle_x = '0.7': must be an angle"),
    "two angles": (
        change("test", camera_angle_x=0.8),
        "camera_angle_x differs between the transforms files (0.7, 0.7, 0.8)",
    ),
    "no frames": (change("train", frames=[]), "transforms_train.json: no list `frames`, or an empty one"),
    "too few frames": (
        lambda scene: write_document(scene, "train", document(scene, "val")),
        "transforms_train.json: 2 frames where 4 are asked for; add views, or lower the number of train views",
    ),
    "frame no object": (change("val", frames=[1, 2]), "transforms_val.json: frames[0]: not a JSON object"),
    "no path": (frame("val", 1, file_path=...), "frames[1]: no file_path"),
    "no matrix": (frame("test", 2, transform_matrix=...), "frames[2]: no transform_matrix"),
    "path no text": (frame("val", 0, file_path=3), "frames[0]: file_path = 3"),
    "3 x 4": (frame("train", 0, transform_matrix=pose(0.0)[:3]), "frames[0].transform_matrix: not a matrix of 4 x 4"),
    "ragged": (frame("train", 0, transform_matrix=[[1], [2, 3]]), "transform_matrix: not a matrix of 4 x 4"),
    "text": (frame("train", 0, transform_matrix=[["a"] * 4] * 4), "transform_matrix: not a matrix of 4 x 4"),
    "not finite": (frame("train", 0, transform_matrix=[[math.nan] * 4] * 4), "not a matrix of 4 x 4 numbers"),
    "scaled": (
        frame("train", 1, transform_matrix=scaled(1.1)),
        "frames[1].transform_matrix: not a rotation and a shift",
    ),
    "mirrored": (frame("train", 1, transform_matrix=scaled(-1)), "transform_matrix: not a rotation and a shift"),
    "bottom row": (
        frame("train", 1, transform_matrix=[*pose(0.0)[:3], [0, 0, 1, 1]]),
        "transform_matrix: not a rotation and a shift",
    ),
    "no picture": (lambda scene: (scene / "test" / "r_1.png").unlink(), "r_1.png: no such file"),
    "no picture file": (text("train/r_2.png", "words"), "r_2.png: not an image that can be read"),
    "not square": (picture("val/r_1.png", (16, 12)), "r_1.png: 16 x 12 px (width x height); views must be square"),
    "other size": (picture("val/r_1.png", (12, 12)), "r_1.png: 12 px is no whole multiple of size 8"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_each_mistake_in_a_folder_is_told_in_one_line_before_any_job(tmp_path: Path, mistake: str) -> None:
    spoil, told = MISTAKES[mistake]
    scene = write_scene(tmp_path)
    scenes.check_views(scene, 8, (4, 2, 3))
    spoil(scene)
    with pytest.raises(SignalError) as caught:
        scenes.check_views(scene, 8, (4, 2, 3))
    assert told in str(caught.value)
    assert str(scene) in str(caught.value) and "\n" not in str(caught.value)
    with pytest.raises(SignalError):
        scenes.local_views(scene, 8, (4, 2, 3))


# What the planner and the data stage ask


def wanted(**changes: Any) -> Signals:
    plain = {"size": 8, "report": 2, "train_views": 4, "tuning_views": 2, "report_views": 3}
    return Signals.model_validate({"kind": "scenes", "tuning": 0} | plain | changes)


def test_without_a_folder_scenes_are_drawn_and_their_views_choose_sigma() -> None:
    found = signal_set("e", wanted(), Source("bundled"))
    assert found.origin == "drawn" and not found.notes
    assert [(row["name"], row["set"], row["source"]) for row in found.spec["signals"]] == [
        ("blocks_00", "report", "blocks_00"),
        ("blocks_01", "report", "blocks_01"),
    ]
    assert found.shown == "2 drawn report scenes, each seen in 3 views of 8 x 8 pixels"
    assert "train_views=4" in found.key and "," not in found.key
    stored, rows = load_signals(found.spec)
    assert stored["images"].shape == (2, 9, 8, 8, 3) and stored["roles"].shape == (2, 9)
    assert np.array_equal(stored["images"][1], scenes.drawn_views(1, 8, (4, 2, 3))["images"])
    assert {row["licence"] for row in rows} == {"drawn by this project"}


def test_scenes_of_the_users_take_the_place_of_drawn_ones(tmp_path: Path) -> None:
    scene = write_scene(tmp_path)
    source = Source("bundled", data_folder=tmp_path)
    found = signal_set("e", wanted(), source)
    assert found.origin == "local" and found.shown == "1 local report scene, each seen in 3 views of 8 x 8 pixels"
    assert found.notes == (f"scenes: 1 in {tmp_path} where 2 were asked for",)
    assert check_local_signals({"e": found}) == []
    stored, rows = load_signals(found.spec)
    assert np.array_equal(stored["images"][0], scenes.local_views(scene, 8, (4, 2, 3))["images"])
    assert rows[0]["name"] == "toy" and rows[0]["licence"] == "as the owner of the files states"
    # A job of the workflow depends on every file of the scene.
    read = files_of(Path(found.spec["signals"][0]["path"]))
    assert len(read) == 3 + 9 and all(Path(path).is_file() for path in read)


def test_a_folder_without_scenes_leaves_them_drawn(tmp_path: Path) -> None:
    assert signal_set("e", wanted(), Source("local", data_folder=tmp_path)).origin == "drawn"


def test_a_mistake_of_the_users_ends_the_plan(tmp_path: Path) -> None:
    scene = write_scene(tmp_path)
    change("train", frames=[])(scene)
    found = signal_set("e", wanted(), Source("bundled", data_folder=tmp_path))
    with pytest.raises(ConfigError, match=r"transforms_train\.json: no list `frames`"):
        check_local_signals({"e": found})
    scene.rename(scene.parent / "{toy}")
    found = signal_set("e", wanted(), Source("bundled", data_folder=tmp_path))
    with pytest.raises(ConfigError, match="Snakemake takes braces for a wildcard; rename the folder"):
        check_local_signals({"e": found})


def test_scenes_without_numbers_of_views_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"e\.signals: scenes need at least one of train_views and of report_views"):
        signal_set("e", wanted(train_views=None), Source("bundled"))


def test_hidden_files_of_a_folder_are_no_inputs(tmp_path: Path) -> None:
    (tmp_path / ".hidden").mkdir()
    for name in ("b.png", "a.png", ".c", ".hidden/d.png"):
        (tmp_path / name).touch()
    assert files_of(tmp_path) == [str(tmp_path / "a.png"), str(tmp_path / "b.png")]
    assert files_of(tmp_path / "a.png") == [str(tmp_path / "a.png")]
    assert files_of(tmp_path / "absent.png") == [str(tmp_path / "absent.png")]
