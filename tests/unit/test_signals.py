"""Signals: what files become, that draws repeat, that sets stay apart, and what bad input says."""

import json
import os
import string
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from posenc.signals import bundled, drawn, local, pictures, published, sets, sinusoids, stored
from posenc.signals.pictures import SignalError

ROOT = Path(__file__).parents[2]
MANIFEST = ROOT / "workflow" / "papers" / "fourier_features" / "data.yaml"


def noise(height: int, width: int, channels: int = 3, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(256, size=(height, width, channels), dtype=np.uint8)


def saved(path: Path, values: np.ndarray, **options: Any) -> Path:
    Image.fromarray(values).save(path, **options)
    return path


def message(call: Callable[..., object], *arguments: object) -> str:
    with pytest.raises(SignalError) as caught:
        call(*arguments)
    return str(caught.value)


# ---- a picture becomes a signal


def test_shrink_1_is_the_centred_crop() -> None:
    picture = noise(11, 20)
    assert np.array_equal(pictures.signal_from_picture(picture, 6, 1), picture[2:8, 7:13])


def test_a_constant_stays_and_known_blocks_average() -> None:
    constant = np.full((30, 40, 3), (3, 77, 254), dtype=np.uint8)
    assert (pictures.signal_from_picture(constant, 10, 3) == (3, 77, 254)).all()
    blocks = np.kron(np.arange(16, dtype=np.uint8).reshape(4, 4), np.ones((5, 5), dtype=np.uint8))
    averaged = pictures.signal_from_picture(np.repeat(blocks[:, :, None], 3, 2), 4, 5)
    assert np.array_equal(averaged[:, :, 0], np.arange(16).reshape(4, 4))


@pytest.mark.parametrize("shrink", [1, 2, 3, 4])
def test_the_mean_is_kept_to_rounding_noise(shrink: int) -> None:
    picture = noise(48 * shrink, 48 * shrink)
    signal = pictures.signal_from_picture(picture, 48, shrink)
    assert signal.shape == (48, 48, 3) and signal.dtype == np.uint8
    # 6912 roundings of at most half a level, unbiased: far below the 0.125 that rounding half up would add
    assert abs(signal.mean() - picture.mean()) < 0.03


def test_too_small_an_array_says_both_sizes() -> None:
    text = message(pictures.signal_from_picture, noise(50, 90), 32, 2)
    assert "90 x 50 px" in text and "64 x 64 px" in text
    assert "lower size to 24" in text  # even, and 2 x 24 fits in 50


# ---- reading files


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif", "ppm"])
def test_plain_rgb_is_read_as_it_is(tmp_path: Path, suffix: str) -> None:
    values = noise(9, 13)
    picture = pictures.read_picture(saved(tmp_path / f"a.{suffix}", values))
    assert np.array_equal(picture.values, values) and picture.note == ""


def test_grey_becomes_three_equal_channels(tmp_path: Path) -> None:
    grey = noise(8, 9)[:, :, 0]
    picture = pictures.read_picture(saved(tmp_path / "grey.png", grey))
    assert (picture.values == grey[:, :, None]).all() and picture.note == "converted from grey"


def test_transparency_is_put_on_white(tmp_path: Path) -> None:
    values = noise(8, 9, 4)
    values[:4, :, 3], values[4:, :, 3] = 0, 255
    picture = pictures.read_picture(saved(tmp_path / "clear.png", values))
    assert (picture.values[:4] == 255).all() and np.array_equal(picture.values[4:], values[4:, :, :3])
    assert picture.note == "converted from RGBA, put on white"


@pytest.mark.parametrize(("mode", "name"), [("P", "palette"), ("1", "black and white"), ("CMYK", "CMYK")])
def test_other_modes_are_named(tmp_path: Path, mode: str, name: str) -> None:
    path = tmp_path / "a.tif"
    image = Image.fromarray(noise(8, 8)).convert(mode)
    image.save(path)
    picture = pictures.read_picture(path)
    assert picture.note == f"converted from {name}"
    assert np.array_equal(picture.values, np.asarray(image.convert("RGB")))


def test_a_transparent_palette_is_put_on_white(tmp_path: Path) -> None:
    image = Image.fromarray(np.zeros((8, 8, 3), dtype=np.uint8)).convert("P")
    image.save(tmp_path / "p.png", transparency=image.getpixel((0, 0)))
    picture = pictures.read_picture(tmp_path / "p.png")
    assert (picture.values == 255).all() and picture.note == "converted from palette, put on white"


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_sixteen_bit_grey_is_scaled(tmp_path: Path, suffix: str) -> None:
    values = np.array([[0, 257, 128 * 257 + 100], [65535, 300, 65000]], dtype=np.uint16)
    picture = pictures.read_picture(saved(tmp_path / f"deep.{suffix}", values))
    assert np.array_equal(picture.values[:, :, 1], [[0, 1, 128], [255, 1, 253]])
    assert picture.note == "converted from grey, 16 bits reduced to 8"


def test_sixteen_bit_colour_is_named(tmp_path: Path) -> None:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    row = b"\0" + struct.pack(">6H", 0, 65535, 32768, 257, 514, 771)
    header = struct.pack(">IIBBBBB", 2, 2, 16, 2, 0, 0, 0)
    parts = [chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(row * 2)), chunk(b"IEND", b"")]
    (tmp_path / "deep.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))
    picture = pictures.read_picture(tmp_path / "deep.png")
    assert picture.note == "16 bits reduced to 8"
    assert picture.values[0].tolist() == [[0, 255, 128], [1, 2, 3]]


@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_exif_orientation_turns_the_picture(tmp_path: Path, suffix: str) -> None:
    values = np.zeros((8, 24, 3), dtype=np.uint8)
    values[:, 16:] = 255  # white at the right end: after a quarter turn clockwise, at the bottom
    exif = Image.Exif()
    exif[0x0112] = 6
    path = saved(tmp_path / f"turned.{suffix}", values, exif=exif)
    picture = pictures.read_picture(path)
    assert picture.values.shape == (24, 8, 3) == (*pictures.picture_size(path), 3)
    assert picture.values[-4:].mean() > 250 and picture.values[:12].mean() < 5
    assert picture.note == "turned upright by its EXIF orientation"


def test_picture_size_reads_only_the_header(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.png", noise(70, 90))
    path.write_bytes(path.read_bytes()[:200])
    assert pictures.picture_size(path) == (70, 90)


# ---- bad files: each gives one clear message


@pytest.mark.parametrize("suffix", ["png", "jpg", "bmp", "tif", "webp"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_a_cut_off_file(tmp_path: Path, suffix: str, share: float) -> None:
    path = saved(tmp_path / f"a.{suffix}", noise(64, 64))
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    text = message(pictures.read_picture, path)
    assert text.startswith(str(path)) and "\n" not in text
    assert "cut off" in text and ("copy or download" in text or "replace it" in text)


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif"])
def test_damaged_bytes_raise_nothing_else(tmp_path: Path, suffix: str) -> None:
    path = saved(tmp_path / f"a.{suffix}", noise(24, 24))
    whole, rng = path.read_bytes(), np.random.default_rng(0)
    for _ in range(60):
        damaged = bytearray(whole)
        for place in rng.integers(min(300, len(whole)), size=4):
            damaged[place] = rng.integers(256)
        path.write_bytes(damaged)
        try:
            pictures.read_picture(path)
        except SignalError as error:
            assert str(error).startswith(str(path))


def test_a_text_file_named_png(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_text("no picture")
    for reader in (pictures.read_picture, pictures.picture_size):
        text = message(reader, path)
        assert str(path) in text and "not an image" in text and "replace" in text


def test_an_empty_file_a_missing_one_and_a_folder(tmp_path: Path) -> None:
    (tmp_path / "empty.png").touch()
    assert "an empty file" in message(pictures.read_picture, tmp_path / "empty.png")
    assert "no such file" in message(pictures.read_picture, tmp_path / "missing.png")
    assert "a folder" in message(pictures.read_picture, tmp_path)


def test_one_pixel(tmp_path: Path) -> None:
    path = saved(tmp_path / "dot.png", noise(1, 1))
    assert "1 pixel" in message(pictures.read_picture, path)
    assert "1 pixel" in message(pictures.check_picture, path, 8, 1)


def test_float_values_have_no_range(tmp_path: Path) -> None:
    path = saved(tmp_path / "f.tif", np.ones((4, 4), dtype=np.float32))
    assert "32-bit" in message(pictures.read_picture, path)


def test_too_small_a_file_says_sizes_and_remedies(tmp_path: Path) -> None:
    path = saved(tmp_path / "small.png", noise(100, 150))
    text = message(pictures.check_picture, path, 96, 2)
    for part in (
        str(path),
        "150 x 100 px",
        "192 x 192 px",
        "size 96 x shrink 2",
        "size to 50",
        "shrink to 1",
    ):
        assert part in text
    assert pictures.check_picture(path, 50, 2) == ""


# ---- bundled pictures


def test_the_table_matches_the_files() -> None:
    for entry in bundled.PICTURES:
        picture = bundled.load(entry.name)
        assert picture.values.shape == (entry.height, entry.width, 3), entry.name
        assert pictures.picture_size(bundled.bundled_file(entry.name)) == (entry.height, entry.width)
        assert entry.licence and entry.credit
        assert picture.note == entry.note  # all are plain 8-bit RGB


def test_available_keeps_table_order_and_size() -> None:
    every = [entry.name for entry in bundled.PICTURES]
    assert bundled.available(96, 2) == every
    assert bundled.available(512, 1) == ["immunohistochemistry", "hubble_deep_field", "astronaut", "retina"]
    assert bundled.available(2000, 1) == []


def test_an_unknown_bundled_name() -> None:
    assert "coffee" in message(bundled.load, "cofee")


# ---- drawn text


def test_text_repeats_across_processes_and_differs_between_indices() -> None:
    program = (
        "import hashlib; from posenc.signals.drawn import text_picture; "
        "print(hashlib.sha256(text_picture(3, 96).tobytes()).hexdigest())"
    )
    environment = os.environ | {"PYTHONHASHSEED": "7", "PYTHONPATH": str(ROOT / "src")}
    runs = [
        subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, check=True).stdout
        for _ in range(2)
    ]
    assert runs[0] == runs[1]
    one, again, other = drawn.text_picture(0, 128), drawn.text_picture(0, 128), drawn.text_picture(1, 128)
    assert np.array_equal(one, again) and not np.array_equal(one, other)


@pytest.mark.parametrize("size", [8, 96, 128, 512])
def test_text_is_ink_on_white(size: int) -> None:
    for index in range(3):
        picture = drawn.text_picture(index, size)
        assert picture.shape == (size, size, 3) and picture.dtype == np.uint8
        white = (picture == 255).all(axis=2)
        if size >= 96:
            assert 0.2 < white.mean() < 0.7
            assert len(np.unique(picture[~white], axis=0)) > 3  # several colours
            edge = np.concatenate([white[0], white[-1], white[:, 0], white[:, -1]])
            assert not edge.all()  # some string is cut


def test_font_sizes_grow_with_the_picture_and_keep_the_limit() -> None:
    ranges = [drawn.font_sizes(size) for size in (64, 96, 128, 256, 512, 1024)]
    assert ranges == sorted(ranges)
    assert all(drawn.SMALLEST_FONT_PX <= smallest < largest for smallest, largest in ranges)


def stroke_widths(character: str, px: int) -> np.ndarray:
    """Stroke widths in px along the middle of a glyph's strokes, measured on an 8 times finer outline."""
    from scipy.ndimage import distance_transform_edt, maximum_filter

    fine = 8
    ink = Image.fromarray(drawn.glyph(character, px))
    inside = np.asarray(ink.resize((ink.width * fine, ink.height * fine), Image.Resampling.BILINEAR)) >= 128
    depth = distance_transform_edt(inside)
    middle = (depth > 1) & (depth >= maximum_filter(depth, fine + 1))  # no spurs into corners
    return 2 * depth[middle] / fine


@pytest.mark.parametrize("px", [drawn.SMALLEST_FONT_PX, 54])
def test_strokes_span_two_training_pixels(px: int) -> None:
    # 5th percentile: junctions and tips are narrower, strokes are not
    thin = {c: np.percentile(stroke_widths(c, px), 5) for c in string.ascii_letters + string.digits}
    assert min(thin.values()) >= 4, min(thin, key=thin.__getitem__)


def test_text_names_go_round() -> None:
    assert [drawn.text_name(i) for i in (0, 7, 123)] == ["text_00", "text_07", "text_123"]
    assert all(drawn.text_index(drawn.text_name(i)) == i for i in range(120))
    for wrong in ("text_7", "text", "page_00", "text_-1", "00"):
        assert repr(wrong) in message(drawn.text_index, wrong)


# ---- local folders


def test_files_are_sorted_and_hidden_ones_skipped(tmp_path: Path) -> None:
    for name in ("b.png", "a.JPG", "sub/c.tif", ".hidden.png", ".cache/d.png", "notes.txt"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"x")
    assert [p.relative_to(tmp_path).as_posix() for p in local.image_files(tmp_path)] == [
        "a.JPG",
        "b.png",
        "sub/c.tif",
    ]


def test_a_folder_images_is_where_the_search_starts(tmp_path: Path) -> None:
    for name in ("images/kodak/a.png", "meshes/preview.png"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).touch()
    assert local.image_files(tmp_path) == [tmp_path / "images" / "kodak" / "a.png"]


def test_a_link_back_up_ends(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a.png").touch()
    (tmp_path / "sub" / "up").symlink_to(tmp_path)
    assert local.image_files(tmp_path) == [tmp_path / "sub" / "a.png"]


def test_bad_folders(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "empty").mkdir()
    assert "no such folder" in message(local.image_files, tmp_path / "missing")
    assert "not a folder" in message(local.image_files, tmp_path / "file")
    assert "no image files" in message(local.image_files, tmp_path / "empty")


def test_check_images_names_all_bad_files_at_once(tmp_path: Path) -> None:
    saved(tmp_path / "good.png", noise(64, 64))
    saved(tmp_path / "grey.png", noise(64, 64)[:, :, 0])
    assert [(path.name, note) for path, note in local.check_images(tmp_path, 32, 2)] == [
        ("good.png", ""),
        ("grey.png", "converted from grey"),
    ]
    saved(tmp_path / "dot.png", noise(1, 1))
    saved(tmp_path / "small.png", noise(40, 64))
    (tmp_path / "text.png").write_text("no picture")
    (tmp_path / "gone.png").symlink_to(tmp_path / "nowhere")
    cut = saved(tmp_path / "cut.png", noise(64, 64))
    cut.write_bytes(cut.read_bytes()[:4000])
    text = message(local.check_images, tmp_path, 32, 2)
    assert "5 of 7 pictures" in text and len(text.splitlines()) == 6
    for name in ("dot.png", "small.png", "text.png", "gone.png", "cut.png"):
        assert name in text
    assert "lower size to 20, or lower shrink to 1" in text and "good.png" not in text


@pytest.mark.skipif("POSENC_DATA" not in os.environ, reason="POSENC_DATA names no data folder")
def test_kodak_pictures() -> None:
    data = Path(os.environ["POSENC_DATA"])
    kodak = data / "images" / "kodak"
    if not kodak.is_dir():
        pytest.skip("the data folder has no images/kodak")
    assert local.image_files(data) == local.image_files(kodak)
    checked = local.check_images(kodak, 512, 1)
    assert len(checked) == 16 and not any(note for _, note in checked)


# ---- published data


def test_the_manifest_has_the_two_image_sets() -> None:
    manifest = published.load_manifest(MANIFEST)
    assert {"natural", "text"} <= set(manifest)
    for entry in manifest.values():
        assert entry["url"].startswith("https://")
        assert entry["sha256"] is None or len(entry["sha256"]) == 64
    text = published.not_available_message("natural", manifest["natural"])
    assert text.startswith("published data 'natural' (data_div2k.npz, https://")
    assert text.endswith("use data.source: bundled or local")


@pytest.mark.parametrize("content", ["- a list", "a: [unclosed", "natural: {file: x, size: 3}"])
def test_a_bad_manifest(tmp_path: Path, content: str) -> None:
    path = tmp_path / "data.yaml"
    path.write_text(content)
    assert str(path) in message(published.load_manifest, path)


# ---- sets


@given(count=st.integers(0, 40), tuning=st.integers(0, 16), report=st.integers(1, 16))
@settings(max_examples=200, deadline=None)
def test_split_properties(count: int, tuning: int, report: int) -> None:
    sources = [f"s{i}" for i in range(count)]
    if count < min(tuning, 1) + 1:
        assert "independent pictures" in message(sets.split, sources, tuning, report)
        return
    parts = sets.split(sources, tuning, report)
    assert parts == sets.split(sources, tuning, report)
    assert not set(parts.tuning) & set(parts.report)
    assert parts.tuning + parts.report == sources[: len(parts.tuning) + len(parts.report)]
    assert min(tuning, 1) <= len(parts.tuning) <= tuning and 1 <= len(parts.report) <= report
    if count >= tuning + report:
        assert (len(parts.tuning), len(parts.report), parts.note) == (tuning, report, "")
    else:
        assert len(parts.tuning) + len(parts.report) == count
        at_limit = len(parts.tuning) == 1 or len(parts.report) == 1
        assert at_limit or abs(len(parts.tuning) - count * tuning / (tuning + report)) <= 0.5
        assert str(count) in parts.note


def test_split_counts_a_source_once() -> None:
    assert sets.split(["a", "a", "b", "c"], 1, 2) == (["a"], ["b", "c"], "")


def spec(origin: str, signals: list[dict[str, str]], size: int = 48, shrink: int = 2) -> dict[str, Any]:
    return {"use": f"posenc.signals.{origin}", "size": size, "shrink": shrink, "signals": signals}


def signal(name: str, path: Path | str = "", which: str = "report") -> dict[str, str]:
    return {"name": name, "set": which, "source": name, "path": str(path)}


def test_bundled_signals() -> None:
    arrays, rows = sets.load_signals(spec("bundled", [signal("coffee", which="tuning"), signal("retina")]))
    assert list(arrays) == ["values"]
    values = arrays["values"]
    assert values.shape == (2, 48, 48, 3) and values.dtype == np.uint8
    assert np.array_equal(values[0], pictures.signal_from_picture(bundled.load("coffee").values, 48, 2))
    assert [set(row) for row in rows] == [{"name", "set", "source", "licence", "note"}] * 2
    assert [row["set"] for row in rows] == ["tuning", "report"]
    assert rows[0]["licence"] == "CC0; Rachel Michetti, courtesy of Pikolo Espresso Bar"
    assert "not a natural scene" in rows[1]["note"]


def test_text_signals_are_drawn_at_their_size() -> None:
    arrays, rows = sets.load_signals(spec("drawn", [signal("text_02")], size=96))
    assert np.array_equal(arrays["values"][0], drawn.text_picture(2, 96))
    assert rows[0]["licence"] == drawn.LICENCE


def test_local_signals(tmp_path: Path) -> None:
    grey = noise(96, 97)[:, :, 0]
    path = saved(tmp_path / "g.png", grey)
    arrays, rows = sets.load_signals(spec("local", [signal("g", path)]))
    assert arrays["values"].shape == (1, 48, 48, 3) and rows[0]["note"] == "converted from grey"
    assert "has no path" in message(sets.load_signals, spec("local", [signal("g")]))
    text = message(sets.load_signals, spec("local", [signal("g", path)], size=96))
    assert str(path) in text and "97 x 96 px" in text


def test_an_empty_set_is_refused() -> None:
    assert "at least one" in message(sets.load_signals, spec("bundled", []))


def test_files_go_round_and_repeat_to_the_byte(tmp_path: Path) -> None:
    arrays, rows = sets.load_signals(spec("bundled", [signal("coffee"), signal("retina")]))
    values = arrays["values"]
    names = [(tmp_path / f"{k}.npz", tmp_path / f"{k}.json") for k in "ab"]
    stored.write_signals(arrays, rows, *names[0])
    os.utime(names[0][0], (0, 0))
    stored.write_signals({"values": values[:, ::-1][:, ::-1]}, rows, *names[1])  # same values, other memory layout
    assert names[0][0].read_bytes() == names[1][0].read_bytes()
    assert names[0][1].read_bytes() == names[1][1].read_bytes()
    read, read_rows = stored.read_signals(*names[0])
    assert np.array_equal(read["values"], values) and read["values"].dtype == np.uint8 and read_rows == rows
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.json", "a.npz", "b.json", "b.npz"]


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "a.npz"
    target.write_bytes(b"old")
    with pytest.raises(ValueError):  # objects cannot be stored
        stored.write_signals({"values": np.array([object()])}, [{}], target, tmp_path / "a.json")
    assert target.read_bytes() == b"old" and list(tmp_path.iterdir()) == [target]


def test_unequal_files_are_refused(tmp_path: Path) -> None:
    pair = tmp_path / "a.npz", tmp_path / "a.json"
    stored.write_signals({"values": noise(4, 4)[None]}, [{"name": "a"}], *pair)
    pair[1].write_text(json.dumps([]))
    with pytest.raises(ValueError, match="make both again"):
        stored.read_signals(*pair)


def test_as_many_signals_as_rows_are_written(tmp_path: Path) -> None:
    arrays = {"values": np.zeros((2, 3)), "axes": np.zeros((3, 3))}
    with pytest.raises(ValueError, match="axes: 3 signals but 2 rows"):
        stored.write_signals(arrays, [{"name": "a"}, {"name": "b"}], tmp_path / "a.npz", tmp_path / "a.json")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["values", "occupied", "far"])
def test_arrays_of_any_name_shape_and_type_go_round(tmp_path: Path, name: str) -> None:
    draws = np.random.default_rng(0)
    arrays = {
        "values": draws.random((3, 4, 5, 6, 1)).astype(np.float32),
        "occupied": draws.random((3, 7)) > 0.5,
        "far": draws.random(3),
    }
    rows = [{"name": letter} for letter in "abc"]
    pair = tmp_path / "a.npz", tmp_path / "a.json"
    stored.write_signals(arrays, rows, *pair)
    read, read_rows = stored.read_signals(*pair)
    assert list(read) == list(arrays) and len(read) == 3 and read_rows == rows
    assert np.array_equal(read[name], arrays[name]) and read[name].dtype == arrays[name].dtype
    assert stored.array_length(pair[0], name) == 3


def test_an_array_is_read_when_it_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A set may be larger than what a job needs of it."""
    pair = tmp_path / "a.npz", tmp_path / "a.json"
    stored.write_signals({"small": np.zeros((1, 2)), "large": np.zeros((1, 9))}, [{"name": "a"}], *pair)
    seen = []
    read_array = np.lib.format.read_array

    def reading(*arguments: Any, **options: Any) -> np.ndarray:
        array: np.ndarray = read_array(*arguments, **options)
        seen.append(array.shape)
        return array

    monkeypatch.setattr(np.lib.format, "read_array", reading)
    arrays, _ = stored.read_signals(*pair)
    assert seen == []
    assert arrays["small"].shape == (1, 2)
    assert seen == [(1, 2)]
    assert arrays["large"].shape == (1, 9)
    assert seen == [(1, 2), (1, 9)]


def test_a_spec_s_entry_may_name_its_own_maker_and_a_condition() -> None:
    wave = {"name": "radius_2_angle_01", "source": "w", "path": "", "set": "report", "condition": "90"}
    mixed = spec("sinusoids", [wave, wave | {"name": "radius_2_angle_00", "condition": "0"}], size=8)
    _, rows = sets.load_signals(mixed)
    assert [row["condition"] for row in rows] == ["90", "0"]
    assert all("path" not in row for row in rows)
    own = spec("drawn", [signal("text_00"), signal("coffee") | {"use": "posenc.signals.bundled"}], size=48)
    arrays, rows = sets.load_signals(own)
    assert np.array_equal(arrays["values"][0], drawn.text_picture(0, 48))
    assert np.array_equal(arrays["values"][1], pictures.signal_from_picture(bundled.load("coffee").values, 48, 2))
    assert all("use" not in row for row in rows)


# ---- sinusoids


def settings_of_waves(radii: list[int] | None, angles: int | None) -> SimpleNamespace:
    return SimpleNamespace(radii=radii, angles=angles, size=32)


def test_a_wave_per_radius_and_angle_from_0_to_180_degrees_and_none_that_tunes() -> None:
    proposal = sinusoids.propose(settings_of_waves([2, 10], 5), None)
    assert (proposal.origin, proposal.tuning, proposal.notes) == ("drawn", [], ())
    assert [entry["condition"] for entry in proposal.report] == ["0", "45", "90", "135", "180"] * 2
    names = [entry["name"] for entry in proposal.report]
    assert len(set(names)) == 10
    sources = [entry["source"] for entry in proposal.report]
    assert sources[0] == sources[4] == "wave_0_2" and sources[1:4] == ["wave_1_1", "wave_2_0", "wave_1_-1"]
    assert len(set(sources)) == 8  # at 180 degrees a wave is the one at 0
    assert {entry["path"] for entry in proposal.report} == {""}
    nine = sinusoids.propose(settings_of_waves([4], 9), None).report
    assert [entry["condition"] for entry in nine][:3] == ["0", "22.5", "45"]


@pytest.mark.parametrize(("radii", "angles", "missing"), [(None, 5, "radii"), ([2], None, "angles")])
def test_waves_without_radii_or_angles_are_refused(radii: list[int] | None, angles: int | None, missing: str) -> None:
    text = message(sinusoids.propose, settings_of_waves(radii, angles), None)
    assert text.startswith(f"sinusoids need {missing} (") and text.endswith(f"; give signals.{missing}")


@pytest.mark.parametrize("radius", [1, 4, 13])
@pytest.mark.parametrize("degrees", [0, 22.5, 45, 90, 117, 180])
def test_waves_have_whole_cycles_in_their_direction(radius: int, degrees: float) -> None:
    a, b = sinusoids.frequency(radius, degrees)
    assert (type(a), type(b)) == (int, int)
    assert abs(a - radius * np.sin(np.deg2rad(degrees))) <= 0.5
    assert abs(b - radius * np.cos(np.deg2rad(degrees))) <= 0.5


@pytest.mark.parametrize(("index", "expected"), [(0, (0, 5)), (1, (4, 4)), (2, (5, 0)), (3, (4, -4)), (4, (0, -5))])
def test_a_drawn_wave_has_its_frequency_and_no_other(index: int, expected: tuple[int, int]) -> None:
    entry = sinusoids.propose(settings_of_waves([5], 5), None).report[index]
    made = sinusoids.load_signal(entry, {"size": 32})
    wave = made.arrays["values"]
    assert wave.shape == (32, 32, 1) and wave.dtype == np.float32
    assert wave.max() == 1 and wave.min() >= -1
    power = np.abs(np.fft.fft2(wave[:, :, 0]))
    peaks = {(int(fx), int(fy)) for fy, fx in np.argwhere(power > 1)}  # rows are y, columns x
    a, b = expected
    assert peaks == {(a % 32, b % 32), (-a % 32, -b % 32)}
    assert made.licence and made.note == ""


def test_waves_are_stored_with_their_angle_as_condition(tmp_path: Path) -> None:
    entries = [entry | {"set": "report"} for entry in sinusoids.propose(settings_of_waves([3], 3), None).report]
    pair = tmp_path / "a.npz", tmp_path / "a.json"
    sets.prepare_signals({"use": "posenc.signals.sinusoids", "size": 16, "signals": entries}, *pair)
    arrays, rows = stored.read_signals(*pair)
    assert arrays["values"].shape == (3, 16, 16, 1)
    assert [row["condition"] for row in rows] == ["0", "90", "180"]


# ---- walls


def test_importing_is_light() -> None:
    program = (
        "import sys\n"
        "import importlib, pathlib, posenc.signals\n"
        "folder = pathlib.Path(posenc.signals.__file__).parent\n"
        "for path in folder.glob('[!_]*.py'): importlib.import_module(f'posenc.signals.{path.stem}')\n"
        "assert 'posenc.signals.sinusoids' in sys.modules\n"
        "print([m for m in ('torch', 'snakemake', 'skimage', 'matplotlib', 'scipy', 'pandas', 'yaml',"
        " 'trimesh', 'nibabel')"
        " if m in sys.modules])"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    run = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
    assert run.stdout.strip() == "[]", run.stderr


def test_bundled_pictures_need_no_download() -> None:
    # no network, no pooch and no cache: only files of the installed package are opened
    import skimage

    data = Path(skimage.__file__).parent / "data"
    assert {bundled.bundled_file(entry.name).parent for entry in bundled.PICTURES} == {data}
