"""Phantoms: the table is Shepp and Logan's, draws repeat and differ, values stay in range."""

import hashlib
import subprocess
import sys

import numpy as np
import pytest
from skimage.data import shepp_logan_phantom

from posenc.signals import phantoms
from posenc.signals.pictures import SignalError

KINDS = ("phantoms", "phantom_volumes")


def test_the_undisturbed_picture_is_that_of_scikit_image() -> None:
    ours, theirs = phantoms.picture(phantoms.table("phantoms"), 400), shepp_logan_phantom()
    # theirs is stored in 8 bits
    assert (np.abs(ours - theirs) > 1 / 255).mean() < 5e-4
    assert (np.abs(ours - np.flipud(theirs)) > 1 / 255).mean() > 0.1  # the same way up


def test_grey_values_of_known_points() -> None:
    picture = phantoms.picture(phantoms.table("phantoms"), 401)

    def at(x: float, y: float) -> float:
        return float(picture[round((1 - y) * 200), round((1 + x) * 200)])

    assert at(0, 0.9) == 1  # skull
    assert at(-0.5, 0.3) == pytest.approx(0.2)  # brain
    assert at(0.22, 0) == at(-0.22, 0) == 0  # ventricles
    assert at(0, 0.35) == pytest.approx(0.3)
    assert at(0.95, 0.95) == 0


def test_grey_values_of_known_points_in_the_volume() -> None:
    volume = phantoms.volume(phantoms.table("phantom_volumes"), 101)

    def at(x: float, y: float, z: float) -> float:
        return float(volume[round(50 + z * 200), round(50 - y * 50), round(50 + x * 50)])

    assert at(0, 0.86, -0.25) == 1  # skull
    assert at(-0.22, 0, -0.25) == at(0.22, 0, -0.25) == 0  # ventricles, gone further up
    assert at(-0.22, 0, 0.25) == at(0.5, 0, 0.25) == pytest.approx(0.2)  # brain
    assert at(0, 0.35, 0) == pytest.approx(0.3)
    assert at(0.95, 0.95, 0) == 0


@pytest.mark.parametrize("kind", KINDS)
def test_every_parameter_is_disturbed_by_a_twentieth(kind: str) -> None:
    tables = np.stack([phantoms.disturbed_table(kind, index) for index in range(400)])
    noise = (tables - phantoms.table(kind)) * 20
    assert tables.shape[1:] == (10, 6 if kind == "phantoms" else 8)
    assert np.abs(noise.mean(axis=0)).max() < 0.25  # 5 standard errors
    assert np.abs(noise.std(axis=0) - 1).max() < 0.2


@pytest.mark.parametrize("kind", KINDS)
def test_phantoms_repeat_differ_and_stay_in_range(kind: str) -> None:
    first = phantoms.phantom(kind, 0, 24)
    assert first.dtype == np.float32
    assert first.shape == (*[24] * (2 if kind == "phantoms" else 3), 1)
    assert np.array_equal(first, phantoms.phantom(kind, 0, 24))
    assert not np.array_equal(first, phantoms.phantom(kind, 1, 24))
    assert first.min() == 0 and 0.2 < first.max() <= 1


def test_phantoms_are_the_same_in_another_process() -> None:
    program = (
        "import hashlib; from posenc.signals.phantoms import phantom;"
        "print(hashlib.sha256(phantom('phantoms', 3, 64).tobytes()).hexdigest())"
    )
    printed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == hashlib.sha256(phantoms.phantom("phantoms", 3, 64).tobytes()).hexdigest()


def test_a_phantom_grows_with_its_picture() -> None:
    small, large = phantoms.phantom("phantoms", 0, 33), phantoms.phantom("phantoms", 0, 65)
    assert np.array_equal(small, large[::2, ::2])  # points of the small one are points of the large one


@pytest.mark.parametrize("name", ["phantom", "phantom_1", "phantom_-1", "text_00"])
def test_a_wrong_name_is_refused(name: str) -> None:
    with pytest.raises(SignalError, match="phantom_00"):
        phantoms.phantom_index(name)
    assert phantoms.phantom_index(phantoms.phantom_name(12)) == 12
