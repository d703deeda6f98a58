"""Clips: pans over pictures and films of the user's; that draws repeat, that sets stay apart, what bad input says."""

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
from posenc.plan.signals import SignalSet, check_local_signals, signal_set
from posenc.plan.workflow import files_of
from posenc.signals import bundled, clips, pictures
from posenc.signals.local import LICENCE
from posenc.signals.pictures import SignalError
from posenc.signals.sets import load_signals

PHOTOGRAPHS = ["coffee", "astronaut", "chelsea", "motorcycle", "rocket"]


def wanted(source: Source | None = None, **changes: Any) -> SignalSet:
    given = {"kind": "clips", "size": 16, "shrink": 2, "tuning": 0, "report": 2} | changes
    return signal_set("e", Signals.model_validate(given), source or Source("bundled"))


def folder_of(tmp_path: Path) -> Source:
    (tmp_path / "clips").mkdir(exist_ok=True)
    return Source("bundled", data_folder=tmp_path)


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(256, size=(*shape, 3), dtype=np.uint8)


def message(call: Callable[..., object], *arguments: object) -> str:
    with pytest.raises((SignalError, ConfigError)) as caught:
        call(*arguments)
    text = str(caught.value)
    assert "\n" not in text
    return text


# ---- pans


@pytest.mark.parametrize("start", [0.0, 3.0, 7.25, 10.999])
@pytest.mark.parametrize("shrink", [1, 2, 3])
def test_boxes_average_exactly_where_they_cut_pixels(start: float, shrink: int) -> None:
    """The mean of a straight line over a box is its value in the middle of the box, wherever the box begins."""
    count, size = 40, 8
    where, weights = clips.boxes(start, size, shrink, count)
    np.testing.assert_allclose(weights.sum(axis=1), 1, rtol=1e-12)
    assert weights.min() >= 0
    line = np.arange(count) + 0.5  # a pixel holds the mean over itself
    means = weights @ line[where]
    np.testing.assert_allclose(means[[0, -1]], start + shrink * (np.array([0, size - 1]) + 0.5), atol=shrink / 4)
    if start == int(start):  # whole pixels: plain averages
        expected = line[int(start) : int(start) + size * shrink].reshape(size, shrink).mean(axis=1)
        np.testing.assert_allclose(means, expected, rtol=1e-12)


def test_a_box_counts_a_cut_pixel_by_the_part_inside() -> None:
    where, weights = clips.boxes(1.25, 2, 2, 8)
    assert where == slice(1, 6)
    np.testing.assert_allclose(weights, [[0.375, 0.5, 0.125, 0, 0], [0, 0, 0.375, 0.5, 0.125]])
    where, weights = clips.boxes(4.0, 2, 2, 8)  # up to the last pixel, and none behind it is asked for
    assert where == slice(4, 8) and np.array_equal(weights, [[0.5, 0.5, 0, 0], [0, 0, 0.5, 0.5]])


def test_a_frame_at_whole_pixels_is_the_crop_there() -> None:
    picture = noise(40, 50)
    crop = picture[5:29, 9:33]
    assert np.array_equal(clips.frame(picture, 5.0, 9.0, 12, 2), pictures.signal_from_picture(crop, 12, 2))
    constant = np.full((40, 50, 3), (3, 77, 254), dtype=np.uint8)
    assert (clips.frame(constant, 5.3, 9.8, 12, 2) == (3, 77, 254)).all()


@given(name=st.text(min_size=1), size=st.sampled_from([8, 16, 64]), shrink=st.integers(1, 4), spare=st.floats(0.25, 4))
@settings(max_examples=60, deadline=None)
def test_the_camera_stays_inside_moves_and_is_slow(name: str, size: int, shrink: int, spare: float) -> None:
    side = shrink * size
    room = (math.ceil(0.25 * size) * shrink, int(spare * side) + shrink)
    path = clips.path_of(name, room, size, shrink)
    assert path.shape == (size, 2) and path.min() >= 0 and (path <= room).all()
    # Faster than a pixel of the clip per frame, a training frame would not tell what the next one shows.
    assert np.abs(np.diff(path, axis=0)).max() <= shrink * clips.FASTEST + 1e-9
    # Over half a cycle at least, a sine covers its amplitude: half the room, or what the speed allows at one cycle.
    # The last of the frames is 1 / size short of the end, where it moves by a pixel at most.
    least = np.minimum(np.array(room) / 2, side / (2 * math.pi)) - shrink
    assert (np.ptp(path, axis=0) >= least).all()
    assert np.array_equal(path, clips.path_of(name, room, size, shrink))


@pytest.mark.parametrize(("size", "shrink"), [(8, 1), (16, 2), (32, 4)])
def test_every_frame_of_a_pan_differs_from_the_last(size: int, shrink: int) -> None:
    arrays, rows = load_signals(wanted(size=size, shrink=shrink, report=5).spec)
    values = arrays["values"]
    assert values.shape == (5, size, size, size, 3) and values.dtype == np.uint8
    for clip in values:
        assert (clip[1:] != clip[:-1]).any(axis=(1, 2, 3)).all()
    assert [row["source"] for row in rows] == PHOTOGRAPHS
    assert rows[0]["licence"] == "CC0; Rachel Michetti, courtesy of Pikolo Espresso Bar"
    assert rows[0]["note"] == clips.NOTE


def test_a_pan_shows_its_picture_where_the_path_says() -> None:
    values = load_signals(wanted(size=16, shrink=2, report=1).spec)[0]["values"][0]
    picture = bundled.load("coffee").values
    corners = clips.path_of("coffee", (400 - 32, 600 - 32), 16, 2)
    top, left = corners[7].round().astype(int)
    crop = pictures.signal_from_picture(picture[top : top + 32, left : left + 32], 16, 2)
    # Half a pixel of the picture away at most: a few levels of 255.
    assert np.abs(values[7].astype(float) - crop).mean() < 5 < np.abs(values[7].astype(float) - crop[::-1]).mean()


def test_pans_depend_on_the_picture_and_its_name_alone() -> None:
    few, many = (load_signals(wanted(report=count).spec)[0]["values"] for count in (2, 4))
    assert np.array_equal(few, many[:2])
    assert not np.array_equal(clips.path_of("a", (9, 9), 8, 1), clips.path_of("b", (9, 9), 8, 1))


def test_photographs_report_and_other_pictures_tune() -> None:
    found = wanted(tuning=1, report=3)
    names = {
        which: [row["name"] for row in found.spec["signals"] if row["set"] == which] for which in ("tuning", "report")
    }
    assert names == {"tuning": ["immunohistochemistry"], "report": PHOTOGRAPHS[:3]}
    assert found.shown == "3 bundled report clips of 16 frames of 16 x 16 pixels" and not found.as_published
    # A pan needs room beside the crop: 300 pixels are enough for 240 and not for 250.
    assert "chelsea" in [row["name"] for row in wanted(size=120, report=5).spec["signals"]]
    few = wanted(size=126, report=8)
    assert "chelsea" not in [row["name"] for row in few.spec["signals"]]
    assert few.notes == ("clips: 7 independent pictures where 8 were asked for: 0 of 0 tuning, 7 of 8 report",)
    assert "e.signals: 0 independent pictures" in message(lambda: wanted(size=1500))


def test_a_picture_without_room_for_a_pan_is_refused() -> None:
    assert "1.25 times the room" in message(clips.pan, "a", noise(18, 40), 16, 1)
    assert clips.pan("a", noise(20, 40), 16, 1).shape == (16, 16, 16, 3)


# ---- films


def test_a_film_gives_its_middle_frames_cropped_and_averaged(tmp_path: Path) -> None:
    source, frames = folder_of(tmp_path), noise(21, 40, 50)
    np.save(tmp_path / "clips" / "film.npy", frames)
    found = wanted(source, report=1)
    assert (found.origin, found.notes) == ("local", ()) and check_local_signals({"e": found}) == []
    arrays, rows = load_signals(found.spec)
    expected = np.stack([pictures.signal_from_picture(frame, 16, 2) for frame in frames[2:18]])
    assert np.array_equal(arrays["values"][0], expected)
    assert (rows[0]["name"], rows[0]["licence"], rows[0]["note"]) == ("film", LICENCE, "")


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_floats_become_bytes_and_the_note_says_so(tmp_path: Path, dtype: Any) -> None:
    source, frames = folder_of(tmp_path), noise(16, 32, 32)
    scaled = (frames / 255).astype(dtype)
    np.save(tmp_path / "clips" / "film.npy", scaled)
    found = wanted(source, report=1)
    path = tmp_path / "clips" / "film.npy"
    assert check_local_signals({"e": found}) == [f"{path}: floats reduced to 8 bits"]
    as_bytes = np.rint(255 * scaled.astype(np.float64)).astype(np.uint8)
    assert np.abs(as_bytes.astype(int) - frames).max() <= (
        dtype is np.float16
    )  # half precision is coarser than a level
    expected = np.stack([pictures.signal_from_picture(frame, 16, 2) for frame in as_bytes])
    assert np.array_equal(load_signals(found.spec)[0]["values"][0], expected)


def test_a_folder_of_frames_is_a_film_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    source, frames = folder_of(tmp_path), noise(18, 32, 32)
    film = tmp_path / "clips" / "pan"
    film.mkdir()
    for number, frame in enumerate(frames):
        Image.fromarray(frame).save(film / f"frame{number}.png")  # 10 stands before 9 in the alphabet
    (film / "notes.txt").touch()
    (film / ".hidden.png").touch()
    found = wanted(source, report=1)
    assert check_local_signals({"e": found}) == []
    expected = np.stack([pictures.signal_from_picture(frame, 16, 2) for frame in frames[1:17]])
    assert np.array_equal(load_signals(found.spec)[0]["values"][0], expected)
    # A job of the workflow depends on every file of the folder.
    assert len([path for path in files_of(Path(found.spec["signals"][0]["path"])) if path.endswith(".png")]) == 18


def test_films_are_split_and_a_single_one_reports(tmp_path: Path) -> None:
    source = folder_of(tmp_path)
    assert wanted(source).origin == "bundled"  # none yet
    np.save(tmp_path / "clips" / "b.npy", noise(16, 32, 32))
    one = wanted(source, tuning=1, report=1)
    assert [(row["name"], row["set"]) for row in one.spec["signals"]] == [
        ("immunohistochemistry", "tuning"),
        ("b", "report"),
    ]
    assert one.origin == "local" and "pans over pictures choose sigma" in one.notes[0]
    assert check_local_signals({"e": one}) == []
    assert load_signals(one.spec)[0]["values"].shape == (2, 16, 16, 16, 3)
    np.save(tmp_path / "clips" / "a.npy", noise(16, 32, 32, seed=1))
    two = wanted(source, tuning=1, report=2)
    assert [(row["name"], row["set"]) for row in two.spec["signals"]] == [("a", "tuning"), ("b", "report")]
    assert two.notes == ("clips: 2 independent films where 3 were asked for: 1 of 1 tuning, 1 of 2 report",)


# ---- bad films: each gives one clear line before any job


def array(values: Any, **options: Any) -> Callable[[Path], None]:
    return lambda folder: np.save(folder / "film.npy", values, **options)


def spoilt(value: float) -> np.ndarray:
    frames = np.full((16, 32, 32, 3), 0.5, dtype=np.float32)
    frames[3, 4, 5, 1] = value
    return frames


def cut_off(folder: Path) -> None:
    np.save(folder / "film.npy", noise(16, 32, 32))
    content = (folder / "film.npy").read_bytes()
    (folder / "film.npy").write_bytes(content[: len(content) // 2])


def unequal(folder: Path) -> None:
    (folder / "film").mkdir()
    for number in range(16):
        Image.fromarray(noise(32, 32 + 8 * (number == 9))).save(folder / "film" / f"{number}.png")


def damaged(folder: Path) -> None:
    (folder / "film").mkdir()
    for number in range(16):
        Image.fromarray(noise(32, 32)).save(folder / "film" / f"{number:02d}.png")
    (folder / "film" / "05.png").write_text("no picture")


BAD = {
    "NaN": (array(spoilt(math.nan)), "film.npy: frame 3: 1 of 3072 values are not finite numbers"),
    "infinite": (array(spoilt(math.inf)), "film.npy: frame 3: 1 of 3072 values are not finite"),
    "bytes as floats": (array(spoilt(255.0)), "frame 3: floats from 0.5 to 255, expected 0 to 1; scale them"),
    "negative": (array(spoilt(-1.0)), "floats from -1 to 0.5, expected 0 to 1"),
    "integers": (array(np.zeros((16, 32, 32, 3), dtype=np.int64)), "values of type int64, expected uint8, or floats"),
    "booleans": (array(np.zeros((16, 32, 32, 3), dtype=bool)), "values of type bool, expected uint8"),
    "objects": (array(np.full((16, 32, 32, 3), None), allow_pickle=True), "no array that can be read"),
    "grey": (array(np.zeros((16, 32, 32), dtype=np.uint8)), "an array of 16 x 32 x 32, expected frames x height x"),
    "four channels": (array(np.zeros((16, 32, 32, 4), dtype=np.uint8)), "an array of 16 x 32 x 32 x 4, expected"),
    "channels first": (array(np.zeros((16, 3, 32, 32), dtype=np.uint8)), "an array of 16 x 3 x 32 x 32, expected"),
    "too short": (array(noise(13, 32, 32)), "13 frames are fewer than size 16; lower size to 12, or use a longer film"),
    "empty": (array(noise(0, 32, 32)), "0 frames are fewer than size 16; use a longer film"),
    "too small": (array(noise(16, 30, 40)), "film.npy: 40 x 30 px (width x height) is smaller than the crop"),
    "constant": (array(np.full((16, 32, 32, 3), 7, dtype=np.uint8)), "every voxel is 7, so there is nothing to learn"),
    "cut off": (cut_off, "film.npy: no array that can be read, or cut off"),
    "no array": (lambda folder: (folder / "film.npy").write_text("words"), "film.npy: no array that can be read"),
    "an empty file": (lambda folder: (folder / "film.npy").touch(), "film.npy: no array that can be read, or cut off"),
    "an empty folder": (lambda folder: (folder / "film").mkdir(), "film: no frames in this folder; put pictures there"),
    "unequal frames": (unequal, "9.png: 40 x 32 px (width x height), but 0.png has 32 x 32 px; all frames"),
    "a damaged frame": (damaged, "05.png: not an image that can be read"),
}


@pytest.mark.parametrize("mistake", BAD)
def test_a_film_that_will_not_do(tmp_path: Path, mistake: str) -> None:
    spoil, told = BAD[mistake]
    source = folder_of(tmp_path)
    spoil(tmp_path / "clips")
    found = wanted(source, report=1)
    text = message(check_local_signals, {"e": found})
    assert told in text and text.startswith(str(tmp_path / "clips" / "film"))
    assert message(load_signals, found.spec) == text  # the job would say the same


def test_all_bad_films_are_told_at_once(tmp_path: Path) -> None:
    source = folder_of(tmp_path)
    for name, frames in (("a", noise(4, 32, 32)), ("b", noise(16, 32, 32)), ("c", noise(16, 8, 8))):
        np.save(tmp_path / "clips" / f"{name}.npy", frames)
    with pytest.raises(ConfigError) as caught:
        check_local_signals({"e": wanted(source, report=3)})
    first, second = str(caught.value).splitlines()
    assert "a.npy: 4 frames" in first and "c.npy: 8 x 8 px" in second


@pytest.mark.parametrize(
    ("files", "told"),
    [
        (
            ["b.npy", "film.mp4"],
            "film.mp4: no decoder for films is at hand; save its frames as pictures in a folder of",
        ),
        (["{film}.npy"], "{film}.npy: Snakemake takes braces for a wildcard; rename it"),
        (["film.npy", "film/0.png"], "film.npy: would be called film as film is; rename one of them"),
    ],
)
def test_names_that_cannot_be_taken(tmp_path: Path, files: list[str], told: str) -> None:
    source = folder_of(tmp_path)
    for name in files:
        (tmp_path / "clips" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "clips" / name).touch()
    assert told in message(lambda: wanted(source))


def test_other_files_and_hidden_ones_are_no_films(tmp_path: Path) -> None:
    source = folder_of(tmp_path)
    for name in ("notes.txt", ".film.npy", "._film.mp4"):
        (tmp_path / "clips" / name).touch()
    assert wanted(source).origin == "bundled"
