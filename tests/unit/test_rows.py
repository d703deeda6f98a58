"""Rows of pictures and white noise: what they are made of, that draws repeat, and what bad input says."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError
from skimage import data
from skimage.color import rgb2gray

from posenc.plan.layers import ConfigError
from posenc.plan.model import Experiment, Signals
from posenc.plan.pictures import Source
from posenc.plan.signals import SignalSet, check_local_signals, signal_set
from posenc.signals import bundled, pictures, rows, white_noise
from posenc.signals.local import LICENCE
from posenc.signals.pictures import SignalError
from posenc.signals.sets import load_signals

BUNDLED = Source("bundled")


def wanted(kind: str = "rows", source: Source = BUNDLED, **settings: Any) -> SignalSet:
    given = {"kind": kind, "size": 512, "tuning": 0, "report": 4} | settings
    return signal_set("e", Signals.model_validate(given), source)


def named(found: SignalSet, which: str) -> list[str]:
    return [row["name"] for row in found.spec["signals"] if row["set"] == which]


def sources(found: SignalSet, which: str) -> set[str]:
    return {row["source"] for row in found.spec["signals"] if row["set"] == which}


def folder_of(tmp_path: Path, **pictures: np.ndarray) -> Source:
    """A data folder of the user's with these pictures."""
    for name, values in pictures.items():
        Image.fromarray(values).save(tmp_path / f"{name}.png")
    return Source("local", tmp_path, "data.folder", sorted(tmp_path.glob("*.png")), tmp_path)


def noise(height: int = 24, width: int = 24, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(256, size=(height, width, 3), dtype=np.uint8)


def message(call: Callable[..., object], *arguments: object, **settings: Any) -> str:
    with pytest.raises((SignalError, ConfigError)) as caught:
        call(*arguments, **settings)
    text = str(caught.value)
    assert "\n" not in text
    return text


# ---- what a row is


@pytest.mark.parametrize("name", ["astronaut", "camera"])
def test_a_row_is_a_line_of_scikit_image_s_grey_picture(name: str) -> None:
    grey = rgb2gray(getattr(data, name)()) if name == "astronaut" else data.camera() / 255
    arrays, facts = load_signals(wanted(per_picture=4, report=8).spec)
    assert arrays["values"].shape == (8, 512) and arrays["values"].dtype == np.float32
    found = [(values, row) for values, row in zip(arrays["values"], facts, strict=True) if row["source"] == name]
    assert len(found) == 4
    for values, row in found:
        number = int(row["note"].split()[1])
        assert row["note"].startswith(f"row {number} of 512")
        np.testing.assert_allclose(values, grey[number], atol=1e-6)  # float32 of numbers below 1


def test_a_smaller_row_is_of_the_averaged_centre_as_every_picture_is() -> None:
    found = wanted(size=64, shrink=3, per_picture=1)
    arrays, facts = load_signals(found.spec)
    for values, row in zip(arrays["values"], facts, strict=True):
        square = pictures.signal_from_picture(bundled.load(row["source"]).values, 64, 3)
        number = int(row["note"].split()[1])
        np.testing.assert_allclose(values, rgb2gray(square)[number], atol=1e-6)


def test_rows_of_a_picture_are_distinct_and_depend_on_its_name_alone() -> None:
    every, _ = load_signals(wanted(per_picture=40, report=40).spec)
    assert len(np.unique(every["values"], axis=0)) == 40
    few, _ = load_signals(wanted(per_picture=3, report=3).spec)
    assert np.array_equal(few["values"], every["values"][:3])  # asking for more adds rows and moves none
    again, _ = load_signals(wanted(per_picture=40, report=40).spec)
    assert np.array_equal(again["values"], every["values"])
    one, other = (rows.random_rows(name, np.eye(64)) for name in ("a", "b"))
    assert sorted(one) == sorted(other) == list(range(64)) and one != other


def test_rows_that_show_next_to_nothing_are_left_out() -> None:
    """An eighth of the camera picture's rows is sky, of which nothing can be learnt that a constant does not say."""
    grey, _ = rows.grey_square({"source": "camera", "path": ""}, {"size": 512, "shrink": 1})
    shown = rows.random_rows("camera", grey)
    assert 0.8 < len(shown) / 512 < 0.95
    left = sorted(set(range(512)) - set(shown))
    assert max(left) < 100  # all at the top
    assert grey[left].std(axis=1).max() < 0.25 * grey.std() <= grey[shown].std(axis=1).min()


def test_equal_pixels_stay_equal_in_grey() -> None:
    """Rounding that differs along a row would make a constant one seem to vary."""
    square = np.full((33, 33, 3), (17, 203, 91), dtype=np.uint8)
    assert np.ptp((square * rows.GREY).sum(axis=2)) == 0
    assert rows.GREY.sum() == pytest.approx(1)


# ---- which pictures


def test_rows_are_of_as_many_pictures_as_per_picture_leaves_photographs_first() -> None:
    found = wanted(per_picture=5, report=10)
    assert named(found, "report")[:3] == ["astronaut_row_00", "camera_row_00", "astronaut_row_01"]
    assert sources(found, "report") == {"astronaut", "camera"} and not found.notes
    assert found.shown == "10 bundled report rows of 512 pixels" and "per_picture=5" in found.key
    assert sources(wanted(per_picture=10, report=10), "report") == {"astronaut"}
    uneven = named(wanted(per_picture=4, report=7), "report")
    assert len(uneven) == 7 and uneven.count("camera_row_03") == 0


def test_tuning_rows_are_of_other_pictures_and_of_no_photographs() -> None:
    found = wanted(per_picture=2, tuning=4, report=4)
    assert sources(found, "tuning") == {"immunohistochemistry", "hubble_deep_field"}
    assert sources(found, "report") == {"astronaut", "camera"}
    # Ten tuning rows of one picture need one picture, not ten.
    assert sources(wanted(per_picture=10, tuning=10, report=20), "tuning") == {"immunohistochemistry"}


def test_too_few_pictures_leave_fewer_rows_and_say_so() -> None:
    found = wanted(per_picture=1, report=10)
    assert len(named(found, "report")) == 5 and sources(found, "report") >= {"astronaut", "camera"}
    assert found.notes == (
        "rows, 512 pixels: 5 independent pictures where 10 were asked for: 0 of 0 tuning, 5 of 10 report",
    )


def test_the_grey_picture_is_as_its_table_says_and_in_no_other_kind() -> None:
    (camera,) = bundled.GREY_PICTURES
    picture = bundled.load("camera")
    assert picture.values.shape == (camera.height, camera.width, 3) and picture.note == "converted from grey"
    assert np.array_equal(picture.values[:, :, 0], data.camera())
    assert "camera" not in bundled.available(96, 2)


def test_rows_of_the_user_s_pictures_take_the_place_of_bundled_ones(tmp_path: Path) -> None:
    source = folder_of(tmp_path, a=noise(), b=noise(30, 40, seed=1)[:, :, 0])
    found = wanted(source=source, size=24, per_picture=2, report=4)
    assert found.origin == "local" and sources(found, "report") == {"a", "b"}
    assert check_local_signals({"e": found}) == [f"{tmp_path / 'b.png'}: converted from grey"]
    arrays, facts = load_signals(found.spec)
    number = int(facts[0]["note"].split()[1])
    np.testing.assert_allclose(arrays["values"][0], rgb2gray(noise())[number], atol=1e-6)
    assert {row["licence"] for row in facts} == {LICENCE}
    assert {row["path"] for row in found.spec["signals"]} == {str(tmp_path / "a.png"), str(tmp_path / "b.png")}


def test_a_data_folder_without_pictures_leaves_rows_bundled(tmp_path: Path) -> None:
    assert wanted(source=Source("bundled", data_folder=tmp_path), per_picture=2).origin == "bundled"


# ---- bad input


def test_mistakes_in_the_settings_are_told_before_any_job(tmp_path: Path) -> None:
    assert "rows need per_picture" in message(wanted)
    assert "has 16 rows; take fewer" in message(wanted, size=16, per_picture=17)
    assert "e.signals: 0 independent pictures" in message(wanted, size=2000, per_picture=1)
    one = folder_of(tmp_path, a=noise())
    assert "1 independent pictures for 1 tuning and 1 report" in message(
        wanted, source=one, size=24, per_picture=1, tuning=1, report=1
    )


def test_pictures_that_do_not_do_are_named_before_any_job(tmp_path: Path) -> None:
    striped = np.full((24, 24, 3), 90, dtype=np.uint8)
    striped[[3, 9, 20], ::2] = 200  # three rows vary
    source = folder_of(tmp_path, constant=np.full_like(striped, 90), small=noise(20, 24), striped=striped)
    found = wanted(source=source, size=24, per_picture=4, report=12)
    with pytest.raises(ConfigError) as caught:
        check_local_signals({"e": found})
    constant, small, few = str(caught.value).splitlines()
    assert constant.startswith(f"{tmp_path / 'constant.png'}: only 0 of 24 rows show enough; replace the")
    assert small.startswith(f"{tmp_path / 'small.png'}: 24 x 20 px") and "lower size to 20" in small
    assert few.startswith(f"{tmp_path / 'striped.png'}: only 3 of 24 rows show enough; lower per_picture to 3, or")
    with pytest.raises(SignalError, match="only 3 of 24"):  # the job would say so, too
        load_signals({**found.spec, "signals": [row for row in found.spec["signals"] if row["source"] == "striped"]})


def test_a_picture_with_just_enough_rows_will_do(tmp_path: Path) -> None:
    striped = np.full((24, 24, 3), 90, dtype=np.uint8)
    striped[[3, 9, 20], ::2] = 200
    found = wanted(source=folder_of(tmp_path, striped=striped), size=24, per_picture=3, report=3)
    assert check_local_signals({"e": found}) == []
    assert {row["note"].split()[1] for row in load_signals(found.spec)[1]} == {"3", "9", "20"}


def test_a_name_that_is_no_row_s() -> None:
    assert rows.row_rank(rows.row_name("a_row_07_b", 123)) == 123
    for wrong in ("astronaut", "astronaut_row_7", "astronaut_row_07_b"):
        assert repr(wrong) in message(rows.row_rank, wrong)


# ---- white noise


def test_white_noise_is_white_and_normal() -> None:
    arrays, facts = load_signals(wanted("white_noise", size=4096, report=8).spec)
    values = arrays["values"]
    assert values.shape == (8, 4096) and values.dtype == np.float32
    count = values.size
    # Deviations of the estimates for independent N(0, 1): mean, variance and fourth moment; five of each.
    assert abs(values.mean()) < 5 / math.sqrt(count)
    assert abs(values.var() - 1) < 5 * math.sqrt(2 / count)
    assert abs((values.astype(float) ** 4).mean() - 3) < 5 * math.sqrt(96 / count)
    for lag in (1, 2, 7):
        assert abs((values[:, lag:] * values[:, :-lag]).mean()) < 5 / math.sqrt(count - 8 * lag)
    correlation = np.corrcoef(values)[~np.eye(8, dtype=bool)]
    assert np.abs(correlation).max() < 5 / math.sqrt(4096)
    assert {row["licence"] for row in facts} == {white_noise.LICENCE}


def test_each_draw_is_its_own_source_and_repeats() -> None:
    found = wanted("white_noise", size=16, tuning=1, report=2)
    assert [(row["name"], row["source"], row["set"]) for row in found.spec["signals"]] == [
        ("noise_00", "noise_00", "tuning"),
        ("noise_01", "noise_01", "report"),
        ("noise_02", "noise_02", "report"),
    ]
    assert found.as_published and found.shown == "2 drawn report noise signals of 16 points"
    one, again = (load_signals(found.spec)[0]["values"] for _ in range(2))
    assert np.array_equal(one, again) and len(np.unique(one)) == one.size
    longer = load_signals(wanted("white_noise", size=32, tuning=1, report=2).spec)[0]["values"]
    assert np.array_equal(longer[:, :16], one)


# ---- what the planner refuses


def experiment(problem: Any, kind: str, **signals: Any) -> Experiment:
    return Experiment.model_validate(
        {
            "title": "t",
            "problem": problem,
            "signals": {"kind": kind, "size": 32, "tuning": 0, "report": 1} | signals,
            "encodings": {"none": {}},
            "networks": {"mlp": {}},
            "training": {"steps": 1, "learning_rate": 1, "reduced_precision": False},
            "seeds": 0,
        }
    )


@pytest.mark.parametrize(
    ("problem", "kind", "told"),
    [
        ({"row": {"stride": 3}}, "rows", "multiple of 2"),
        ({"row": {"stride": 32}}, "rows", "a stride of 32 must be below signals.size = 32"),
        ("row", "natural", "problem row takes rows, white_noise"),
        ("video", "natural", "problem video takes clips"),
        ({"image": {"test": "others"}}, "natural", "'offset' or 'rest'"),
        ({"video": {"sampling": "rest"}}, "clips", "'grid' or 'random'"),
    ],
)
def test_settings_that_do_not_go_together(problem: Any, kind: str, told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        experiment(problem, kind)


def test_settings_that_do() -> None:
    for problem, kind in (({"row": {"stride": 30}}, "white_noise"), ("row", "rows"), ("video", "clips")):
        experiment(problem, kind)
