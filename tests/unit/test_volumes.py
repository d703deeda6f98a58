"""Scans: what files become, what bad ones say; drawn heads repeat, differ and stay in range."""

import gzip
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest
from skimage.transform import resize_local_mean

from posenc.signals import heads, volumes
from posenc.signals.pictures import SignalError


def noise(shape: tuple[int, ...] = (7, 9, 8), seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(1, 256, shape, dtype=np.uint8)


def saved(path: Path, values: np.ndarray, slope: float | None = None, intercept: float = 0.0) -> Path:
    image = nibabel.Nifti1Image(values, np.eye(4))
    if slope is not None:
        image.header.set_slope_inter(slope, intercept)
    nibabel.save(image, path)
    return path


def message(call: Callable[..., object], *arguments: object) -> str:
    with pytest.raises(SignalError) as caught:
        call(*arguments)
    text = str(caught.value)
    assert "\n" not in text
    return text


# ---- files


@pytest.mark.parametrize("ending", volumes.ENDINGS)
def test_a_plain_volume_is_read_as_it_is(tmp_path: Path, ending: str) -> None:
    values = noise()
    scan = volumes.read_scan(saved(tmp_path / f"a{ending}", values))
    assert np.array_equal(scan.values, values) and scan.note == ""


def test_the_header_scales_and_the_note_says_so(tmp_path: Path) -> None:
    path = tmp_path / "a.nii"
    header = nibabel.Nifti1Header()
    header.set_data_shape((7, 9, 8))
    header.set_data_dtype(np.int16)
    header.set_slope_inter(0.5, 3)
    stored = noise().astype(np.int16)
    with path.open("wb") as stream:
        header["magic"], header["vox_offset"] = b"n+1", 352
        header.write_to(stream)
        stream.write(b"\0" * (352 - stream.tell()) + stored.tobytes(order="F"))
    scan = volumes.read_scan(path)
    np.testing.assert_allclose(scan.values, 0.5 * stored + 3)
    assert scan.note == "stored numbers scaled by the header: 0.5 x value + 3"


def test_negative_values_are_shifted(tmp_path: Path) -> None:
    values = noise().astype(np.float32) - 100
    scan = volumes.read_scan(saved(tmp_path / "a.nii", values))
    np.testing.assert_allclose(scan.values, values - values.min(), atol=1e-4)
    assert "shifted by" in scan.note and volumes.volume_of(scan.values, 4).min() >= 0


def test_one_frame_of_four_dimensions_is_a_volume(tmp_path: Path) -> None:
    values = noise((5, 6, 7, 1))
    scan = volumes.read_scan(saved(tmp_path / "a.nii.gz", values))
    assert np.array_equal(scan.values, values[..., 0]) and scan.note == "the one frame of a 4D file"


@pytest.mark.parametrize(
    ("shape", "expected"), [((5, 6, 7, 3), "3 frames"), ((5, 6), "2 axes"), ((5, 1, 6), "2 voxels along each axis")]
)
def test_a_wrong_shape(tmp_path: Path, shape: tuple[int, ...], expected: str) -> None:
    path = saved(tmp_path / "a.nii", noise(shape))
    text = message(volumes.read_scan, path)
    assert str(path) in text and expected in text


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_a_voxel_that_is_no_number(tmp_path: Path, wrong: float) -> None:
    values = noise().astype(np.float32)
    values[1, 2, 3] = wrong
    text = message(volumes.read_scan, saved(tmp_path / "a.nii", values))
    assert "1 of 504 voxels are not finite" in text


def test_a_constant_volume(tmp_path: Path) -> None:
    text = message(volumes.read_scan, saved(tmp_path / "a.nii", np.full((4, 4, 4), 7, np.uint8)))
    assert "every voxel is 7" in text


def test_colour_is_not_one_number_per_voxel(tmp_path: Path) -> None:
    colour = np.zeros((4, 4, 4), dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])
    colour["R"][0] = 9
    assert "one number per voxel" in message(volumes.read_scan, saved(tmp_path / "a.nii", colour))


@pytest.mark.parametrize("content", [b"", b"plain text", b"\0" * 400])
@pytest.mark.parametrize("ending", volumes.ENDINGS)
def test_a_file_that_is_no_volume(tmp_path: Path, ending: str, content: bytes) -> None:
    path = tmp_path / f"a{ending}"
    path.write_bytes(content)
    text = message(volumes.read_scan, path)
    assert text.startswith(str(path)) and ("an empty file" in text) == (not content)


@pytest.mark.parametrize("ending", volumes.ENDINGS)
@pytest.mark.parametrize("share", [0.3, 0.9])
def test_a_cut_off_file(tmp_path: Path, ending: str, share: float) -> None:
    path = saved(tmp_path / f"a{ending}", noise((20, 20, 20)))
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    assert "copy or download it again" in message(volumes.read_scan, path)


def test_damaged_bytes_raise_nothing_else(tmp_path: Path) -> None:
    whole = bytearray(gzip.decompress(saved(tmp_path / "a.nii.gz", noise()).read_bytes()))
    draws = np.random.default_rng(0)
    for _ in range(100):
        damaged = bytearray(whole)
        damaged[draws.integers(352)] = draws.integers(256)
        (tmp_path / "b.nii").write_bytes(damaged)
        try:
            volumes.read_scan(tmp_path / "b.nii")
        except SignalError as error:
            assert str(tmp_path / "b.nii") in str(error)


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    assert "no such file" in message(volumes.read_scan, tmp_path / "a.nii")
    assert "a folder" in message(volumes.read_scan, tmp_path)


def test_files_are_found_by_their_endings(tmp_path: Path) -> None:
    assert volumes.volume_files(tmp_path) == []  # no folder of volumes: nothing local
    folder = tmp_path / "volumes"
    folder.mkdir()
    assert volumes.volume_files(tmp_path) == []
    for name in ("b.nii", "a.nii.gz", "notes.txt", ".c.nii"):
        (folder / name).touch()
    assert [path.name for path in volumes.volume_files(tmp_path)] == ["a.nii.gz", "b.nii"]


# ---- signals of a scan


@pytest.mark.parametrize(("count", "size"), [(12, 4), (7, 5), (5, 8), (197, 96), (9, 9)])
def test_averaging_is_that_of_scikit_image(count: int, size: int) -> None:
    values = np.random.default_rng(0).random(count)
    weights = volumes.averaging(count, size)
    np.testing.assert_allclose(weights.sum(axis=1), 1)
    np.testing.assert_allclose(weights @ values, resize_local_mean(values, (size,)), rtol=1e-9)


def test_a_volume_is_averaged_along_every_axis() -> None:
    scan = noise((7, 9, 8)).astype(np.float32)
    expected = resize_local_mean(scan.astype(float), (4, 4, 4)) / scan.max()
    signal = volumes.volume_of(scan, 4)
    assert signal.dtype == np.float32 and signal.min() >= 0 and signal.max() <= 1
    np.testing.assert_allclose(signal, expected, rtol=1e-5)


def test_a_slice_is_that_of_the_volume_over_its_maximum() -> None:
    scan = noise((7, 9, 8)).astype(np.float32)
    volume = volumes.volume_of(scan, 5)
    for index in range(5):
        shown = volumes.slice_of(scan, 5, index)
        np.testing.assert_allclose(shown, np.rot90(volume[index] / volume[index].max()), rtol=1e-5)


def test_the_outer_slices_are_left_out_and_those_that_show_next_to_nothing() -> None:
    assert volumes.slices_to_choose_from(512) == range(50, 462)
    full = noise((40, 8, 8)).astype(np.float32)
    order = volumes.random_slices("a", full, 64)
    assert sorted(order) == list(range(6, 58)) and order != sorted(order)
    assert order == volumes.random_slices("a", full, 64) != volumes.random_slices("b", full, 64)
    full[30:] = 0  # three quarters of the way
    full[20:30] *= 0.04
    assert sorted(volumes.random_slices("a", full, 64)) == list(range(6, 32))
    assert volumes.random_slices("a", full, 64) == [index for index in order if index < 32]


def test_too_few_slices_show_anything() -> None:
    scan = noise((40, 8, 8)).astype(np.float32)
    asked = {"name": volumes.slice_name("a", 52), "source": "a", "path": "/x/a.nii"}
    text = message(volumes.slice_of_rank, scan, asked, 64)
    assert text.startswith("/x/a.nii: 53 slices were asked for; at size 64 only 52 show enough")


def test_names() -> None:
    assert volumes.volume_name("/x/my scan, 1.nii.gz") == "my_scan_1"
    assert volumes.slice_rank(volumes.slice_name("a_slice_7", 12)) == 12
    assert "'a_slice_'" in message(volumes.slice_rank, "a_slice_")


# ---- drawn heads


def test_heads_repeat_differ_and_stay_in_range() -> None:
    volume = heads.head_volume(0, 12)
    assert volume.shape == (12, 12, 12) and volume.dtype == np.float32
    assert np.array_equal(volume, heads.head_volume(0, 12))
    other = heads.head_volume(1, 12)
    assert np.abs(volume - other)[volume > 0.3].mean() > 0.1  # independent inside, though both are heads
    assert volume.min() == 0 and volume.max() == 1


def test_heads_are_bright_inside_and_dark_at_the_border() -> None:
    for index in range(8):
        picture = heads.head_slice(index, 64)
        border = np.concatenate([picture[0], picture[-1], picture[:, 0], picture[:, -1]])
        assert picture.shape == (64, 64) and picture.max() == 1
        assert border.max() < 0.05
        assert 0.3 < picture[16:48, 16:48].mean() < 0.95
        assert picture[16:48, 16:48].std() > 0.05


def test_heads_of_many_voxels_average_to_those_of_few() -> None:
    fine, coarse = heads.head_volume(0, 48), heads.head_volume(0, 16)
    averaged = volumes.volume_of(fine, 16)
    assert np.abs(averaged / averaged.max() - coarse).mean() < 0.02
