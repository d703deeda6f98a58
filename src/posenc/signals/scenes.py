"""Scenes seen from many sides: views with the cameras that took them, drawn here or in the user's folder.

A drawn scene is a pile of boxes and balls on a plate, on black, with fine textures along the axes of the world, in the
place and size of the scenes of the NeRF data set (within 1.2 of the origin; cameras at a distance of 4). It stands in
for Lego, which may not be shipped; and like Lego its edges run along the axes.

A folder of the user's holds `nerf/<scene>/transforms_{train,val,test}.json` as Blender's NeRF data do, and the PNGs
they name. Their colours must not be premultiplied with alpha: nothing in a file tells, and such views would come out
too dark at their edges.
"""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from posenc.signals.pictures import SignalError, picture_size, read_picture, signal_from_picture
from posenc.signals.sets import Entry, Proposal
from posenc.signals.stored import Signal
from posenc.signals.tracer import Box, Shape, Sphere, Texture, checker, looking_at_origin, mosaic, stripes, view

LICENCE = "drawn by this project"
LOCAL_LICENCE = "as the owner of the files states"

ROLES = ("train", "tuning", "report")  # what a view is for; a stored role is the place in this list
_FILES = ("transforms_train.json", "transforms_val.json", "transforms_test.json")  # of the roles

_SEED = 2020  # of all drawn scenes; a scene adds its index
_RADIUS = 4.0
_FOCAL = 1.3888889  # of the side of a view: 555.56 px at 400 px
_GOLDEN_ANGLE = math.pi * (3 - math.sqrt(5))
_FINEST_GRAIN = 144  # rays along the side of a view, at least


# What the planner and the data stage ask


def propose(settings: Any, folder: Path | None) -> Proposal:
    """The user's scenes where there are any, else drawn ones.

    settings: size in px; `report`, how many scenes; train_views, tuning_views and report_views, how many of each. Views
    choose sigma, not scenes: there is no scene of the tuning set.
    """
    counts = view_counts(settings.model_dump())
    if counts[0] < 1 or counts[2] < 1:
        raise SignalError("scenes need at least one of train_views and of report_views")
    found = scene_folders(folder) if folder else []
    if not found:
        names = [scene_name(index) for index in range(settings.report)]
        return Proposal("drawn", [], [Entry(name=name, source=name, path="") for name in names])
    scenes = [Entry(name=path.name, source=path.name, path=str(path)) for path in found[: settings.report]]
    note = f"scenes: {len(scenes)} in {folder} where {settings.report} were asked for"
    return Proposal("local", [], scenes, (note,) if len(scenes) < settings.report else ())


def check(spec: Mapping[str, Any]) -> list[str]:
    """Look into the scenes of the user's before any job. Raises SignalError for the first mistake."""
    for entry in spec["signals"]:
        if "{" in entry["path"]:
            raise SignalError(f"{entry['path']}: Snakemake takes braces for a wildcard; rename the folder")
        check_views(Path(entry["path"]), spec["size"], view_counts(spec))
    return []


def load_signal(entry: Mapping[str, str], spec: Mapping[str, Any]) -> Signal:
    """A scene's views, as `scene_arrays` has them."""
    counts = view_counts(spec)
    if entry["path"]:
        return Signal(local_views(Path(entry["path"]), spec["size"], counts), LOCAL_LICENCE, "")
    return Signal(drawn_views(scene_index(entry["name"]), spec["size"], counts), LICENCE, "")


def view_counts(settings: Mapping[str, Any]) -> list[int]:
    """How many views of each role."""
    return [settings.get(f"{role}_views") or 0 for role in ROLES]


class Camera(NamedTuple):
    """A view of a scene that is not read yet."""

    path: Path
    pose: np.ndarray  # (4, 4), camera to world


# Drawn scenes


def scene_name(index: int) -> str:
    """Name of the drawn scene with this index."""
    return f"blocks_{index:02d}"


def scene_index(name: str) -> int:
    """Index of the drawn scene with this name."""
    digits = name.removeprefix("blocks_")
    if not digits.isdecimal() or scene_name(int(digits)) != name:
        raise SignalError(f"no drawn scene is called {name!r}; they are blocks_00, blocks_01, ...")
    return int(digits)


def drawn_scene(index: int) -> list[Shape]:
    """The shapes of a drawn scene: towers on the 16 plots of a plate, some with a ball, and two beams across."""
    rng = np.random.default_rng([_SEED, index])
    floor, pitch = -0.5, 0.42
    shapes: list[Shape] = [Box((-0.85, -0.85, floor - 0.1), (0.85, 0.85, floor), _texture(rng))]
    for place in range(16):
        x, y = pitch * (place % 4 - 1.5), pitch * (place // 4 - 1.5)
        half, height = rng.uniform(0.1, 0.2, size=2), rng.uniform(0.1, 1.0)
        ball, texture, ball_texture = rng.random() < 0.3, _texture(rng), _texture(rng)
        if rng.random() < 0.25:
            continue
        shapes.append(Box((x - half[0], y - half[1], floor), (x + half[0], y + half[1], floor + height), texture))
        if ball:
            shapes.append(Sphere((x, y, floor + height + half.min()), float(half.min()), ball_texture))
    for axis in (0, 1):
        low, high = np.array([-0.8, -0.8, 0.0]), np.array([0.8, 0.8, 0.0])
        across, up = rng.uniform(-0.6, 0.6), rng.uniform(0.0, 0.4)
        low[1 - axis], high[1 - axis], low[2], high[2] = across - 0.07, across + 0.07, up, up + 0.12
        shapes.append(Box(tuple(low), tuple(high), _texture(rng)))
    return shapes


def _texture(rng: np.random.Generator) -> Texture:
    """A texture at random, with details between a twelfth and a quarter of a unit."""
    first, second = _colour(rng), 0.35 * _colour(rng)
    period, axis = float(rng.choice([0.083, 0.125, 0.167, 0.25])), int(rng.integers(3))
    kinds = [
        checker(period, first, second),
        stripes(axis, period, first, second),
        mosaic(period, int(rng.integers(1 << 30)), first, 0.4),
    ]
    return kinds[int(rng.integers(len(kinds)))]


def _colour(rng: np.random.Generator) -> np.ndarray:
    """A bright colour: one channel at its highest, one low."""
    colour = np.array([1.0, rng.uniform(0.2, 1.0), rng.uniform(0.05, 0.4)])
    rng.shuffle(colour)
    return colour


def cameras(count: int, phase: float) -> np.ndarray:
    """Poses `(count, 4, 4)` spread evenly over the upper half of a sphere, all looking at the origin."""
    heights = (np.arange(count) + 0.5) / count
    turns = phase + _GOLDEN_ANGLE * np.arange(count)
    return np.stack([looking_at_origin(turn, height, _RADIUS) for turn, height in zip(turns, heights, strict=True)])


def drawn_views(index: int, size: int, counts: Sequence[int]) -> dict[str, np.ndarray]:
    """Views of a drawn scene as `scene_arrays` has them; counts: of train, tuning and report views."""
    shapes, focal = drawn_scene(index), _FOCAL * size
    poses = np.concatenate([cameras(count, phase=role) for role, count in enumerate(counts)])
    images = [view(shapes, pose, focal, size, max(2, _FINEST_GRAIN // size)) for pose in poses]
    return scene_arrays(np.stack(images), poses, focal, counts)


def scene_arrays(images: np.ndarray, poses: np.ndarray, focal: float, counts: Sequence[int]) -> dict[str, np.ndarray]:
    """What is kept of a scene.

    `images` (V, side, side, 3) uint8 on black; `poses` (V, 4, 4) float32, camera to world; `focal` () float32 in
    pixels; `roles` (V,) uint8, each view's place in ROLES.
    """
    return {
        "images": images,
        "poses": poses.astype(np.float32),
        "focal": np.array(focal, dtype=np.float32),
        "roles": np.repeat(np.arange(len(ROLES), dtype=np.uint8), counts),
    }


# Scenes of the user's


def scene_folders(folder: str | Path) -> list[Path]:
    """The scenes below `nerf` in a folder: those of its sub-folders that hold a transforms file, by name."""
    start = Path(folder) / "nerf"
    if not start.is_dir():
        return []
    found = [path for path in sorted(start.iterdir()) if path.is_dir() and not path.name.startswith(".")]
    return [path for path in found if any((path / name).exists() for name in _FILES)]


def read_cameras(scene: Path, size: int, counts: Sequence[int]) -> tuple[list[Camera], float]:
    """The views of a scene's folder that are used, and the focal length in pixels of a view of side `size`.

    Of more frames than asked for, evenly spaced ones are taken. Every mistake in the files is a SignalError.
    """
    views, angles = [], []
    for name, count in zip(_FILES, counts, strict=True):
        path = scene / name
        document = _document(path)
        angles.append(_angle(path, document))
        frames = document.get("frames")
        if not isinstance(frames, list) or not frames:
            raise SignalError(f"{path}: no list `frames`, or an empty one; give a frame per view")
        if len(frames) < count:
            raise SignalError(
                f"{path}: {len(frames)} frames where {count} are asked for; add views, or lower the number of"
                f" {ROLES[_FILES.index(name)]} views in the config"
            )
        chosen = np.arange(count) * len(frames) // max(count, 1)
        views += [_camera(path, int(place), frames[place]) for place in chosen]
    if max(angles) - min(angles) > 1e-6 * max(angles):
        raise SignalError(
            f"{scene}: camera_angle_x differs between the transforms files ({', '.join(f'{a:.6g}' for a in angles)});"
            " all views of a scene need one focal length"
        )
    return views, 0.5 * size / math.tan(0.5 * angles[0])


def check_views(scene: Path, size: int, counts: Sequence[int]) -> None:
    """Raise SignalError where a scene's files cannot be used at this size. Reads headers of pictures only."""
    views, _ = read_cameras(scene, size, counts)
    for camera in views:
        _shrink(camera.path, size)


def local_views(scene: Path, size: int, counts: Sequence[int]) -> dict[str, np.ndarray]:
    """Views of a scene's folder as `scene_arrays` has them: put on black, then averaged down to `size`."""
    views, focal = read_cameras(scene, size, counts)
    images = []
    for camera in views:
        shrink = _shrink(camera.path, size)
        images.append(signal_from_picture(read_picture(camera.path, "black").values, size, shrink, camera.path))
    return scene_arrays(np.stack(images), np.stack([camera.pose for camera in views]), focal, counts)


def _shrink(path: Path, size: int) -> int:
    """How many pixels of the file become one."""
    height, width = picture_size(path)
    if height != width:
        raise SignalError(f"{path}: {width} x {height} px (width x height); views must be square")
    if width % size:
        raise SignalError(f"{path}: {width} px is no whole multiple of size {size}; choose a size that divides {width}")
    return width // size


def _document(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SignalError(f"{path}: no such file; a scene needs {', '.join(_FILES)}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise SignalError(f"{path}: cannot be read ({error}); check the file") from None
    except json.JSONDecodeError as error:
        raise SignalError(f"{path}: not JSON (line {error.lineno}: {error.msg}); write it again") from None
    if not isinstance(document, dict):
        raise SignalError(f"{path}: not a JSON object; give camera_angle_x and frames")
    return document


def _angle(path: Path, document: Mapping[str, Any]) -> float:
    """The horizontal field of view in radians."""
    if "camera_angle_x" not in document:
        raise SignalError(f"{path}: no camera_angle_x; give the horizontal field of view in radians")
    angle = document["camera_angle_x"]
    if isinstance(angle, bool) or not isinstance(angle, int | float) or not 0 < angle < math.pi:
        raise SignalError(f"{path}: camera_angle_x = {angle!r}: must be an angle in radians between 0 and pi")
    return float(angle)


def _camera(path: Path, place: int, frame: Any) -> Camera:
    """The view of one frame of a transforms file."""
    where = f"{path}: frames[{place}]"
    if not isinstance(frame, dict):
        raise SignalError(f"{where}: not a JSON object; give file_path and transform_matrix")
    for key in ("file_path", "transform_matrix"):
        if key not in frame:
            raise SignalError(f"{where}: no {key}; every frame needs file_path and transform_matrix")
    name = frame["file_path"]
    if not isinstance(name, str) or not name:
        raise SignalError(f"{where}: file_path = {name!r}: must name a picture, relative to the file")
    picture = path.parent / name
    if not picture.suffix:  # as Blender writes it
        picture = picture.with_suffix(".png")
    return Camera(picture, _pose(f"{where}.transform_matrix", frame["transform_matrix"]))


def _pose(where: str, matrix: Any) -> np.ndarray:
    """The camera-to-world matrix `(4, 4)`."""
    try:
        pose = np.array(matrix, dtype=np.float64)
    except (TypeError, ValueError):
        pose = np.empty(0)
    if pose.shape != (4, 4) or not np.isfinite(pose).all():
        raise SignalError(f"{where}: not a matrix of 4 x 4 numbers; give the camera-to-world matrix, row by row")
    turn = pose[:3, :3]
    rigid = np.abs(turn @ turn.T - np.eye(3)).max() < 1e-3 and np.linalg.det(turn) > 0
    if not rigid or not np.allclose(pose[3], [0, 0, 0, 1], atol=1e-6):
        raise SignalError(f"{where}: not a rotation and a shift; cameras may be neither scaled, sheared nor mirrored")
    return pose
