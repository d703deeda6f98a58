"""Problems: which coordinates and pixels belong together, and how they are scored."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.metrics import peak_signal_noise_ratio
from torch import Tensor

from posenc.plan.registry import Part, parts
from posenc.problems.grid import Grid, half_open
from posenc.problems.image import ImageRegression
from posenc.problems.score import Score, psnr
from posenc.training.stack import load_class

SPLITS = {
    "train": (slice(0, None, 2), slice(0, None, 2)),
    "test": (slice(1, None, 2), slice(1, None, 2)),
    "all": (slice(None), slice(None)),
}


def pictures(count: int = 3, height: int = 8, width: int = 12, channels: int = 3) -> Tensor:
    return torch.rand(count, height, width, channels, generator=torch.Generator().manual_seed(0))


def regression(values: Tensor, **parameters: Any) -> ImageRegression:
    return ImageRegression({"values": values}, **parameters)


@given(count=st.integers(1, 2000))
@settings(max_examples=50, deadline=None)
def test_coordinates_are_equispaced_from_zero_and_leave_out_one(count: int) -> None:
    axis = half_open(count)
    assert axis.dtype == torch.float32
    assert axis[0] == 0
    assert axis[-1] < 1
    np.testing.assert_allclose(axis, np.linspace(0, 1, count, endpoint=False), rtol=1e-7)


@given(lengths=st.lists(st.integers(1, 5), min_size=1, max_size=3))
@settings(max_examples=30, deadline=None)
def test_grid_points_run_with_the_last_axis_slowest(lengths: list[int]) -> None:
    grid = Grid(tuple(torch.arange(length) + 10.0 * i for i, length in enumerate(lengths)))
    points = grid.points()
    assert points.shape == (len(grid), grid.dimensions) == (np.prod(lengths), len(lengths))
    for i, index in enumerate(np.ndindex(*reversed(lengths))):
        assert points[i].tolist() == [float(grid.axes[axis][k]) for axis, k in enumerate(reversed(index))]


@pytest.mark.parametrize("split", SPLITS)
def test_each_point_carries_the_pixel_at_its_place_in_x_y_order(split: str) -> None:
    values = pictures()
    part = regression(values).splits[split]
    points = part.where.points()
    height, width = values.shape[1:3]
    columns, rows = (points * torch.tensor([width, height])).round().long().unbind(dim=1)
    torch.testing.assert_close(points, torch.stack([columns / width, rows / height], dim=1))
    assert torch.equal(part.targets, values[:, rows, columns])


@pytest.mark.parametrize("split", SPLITS)
def test_targets_are_the_split_of_the_pictures_row_by_row(split: str) -> None:
    values = pictures()
    rows, columns = SPLITS[split]
    expected = values[:, rows, columns]
    part = regression(values).splits[split]
    assert torch.equal(part.targets, expected.reshape(3, -1, 3))
    assert len(part.where) == part.targets.shape[1] == expected.shape[1] * expected.shape[2]


@given(half_height=st.integers(1, 8), half_width=st.integers(1, 8))
@settings(max_examples=30, deadline=None)
def test_train_and_test_are_a_quarter_each_and_share_no_pixel(half_height: int, half_width: int) -> None:
    splits = regression(pictures(1, 2 * half_height, 2 * half_width)).splits
    places = {name: set(map(tuple, part.where.points().tolist())) for name, part in splits.items()}
    assert len(places["train"]) == len(places["test"]) == half_height * half_width
    assert len(places["all"]) == 4 * half_height * half_width
    assert places["train"].isdisjoint(places["test"])
    assert places["train"] | places["test"] < places["all"]


def test_every_split_is_tested() -> None:
    assert set(regression(pictures()).splits) == set(SPLITS)


@pytest.mark.parametrize("noise", [0.3, 1e-2, 1e-4])
def test_psnr_is_that_of_scikit_image_for_each_picture(noise: float) -> None:
    truth = pictures().reshape(3, -1, 3)
    shown = truth + noise * torch.randn(truth.shape, generator=torch.Generator().manual_seed(1))
    expected = [
        peak_signal_noise_ratio(a.numpy().astype(np.float64), b.numpy().astype(np.float64), data_range=1.0)
        for a, b in zip(truth, shown, strict=True)
    ]
    np.testing.assert_allclose(psnr(shown, truth), expected, rtol=1e-6)


def test_psnr_counts_values_outside_the_range_unclipped() -> None:
    truth = torch.ones(1, 4, 3)
    assert float(psnr(truth + 0.1, truth)) == pytest.approx(20)


def test_psnr_of_an_exact_fit_is_infinite() -> None:
    truth = pictures().reshape(3, -1, 3)
    assert (psnr(truth, truth) == float("inf")).all()


@pytest.mark.parametrize("shape", [(24, 3), (4, 6, 3), (2, 3, 4, 3), (72,)])
def test_psnr_is_over_all_that_follows_the_first_axis(shape: tuple[int, ...]) -> None:
    truth, shown = pictures(3, 4, 6).reshape(3, *shape), pictures(3, 6, 4).reshape(3, *shape)
    torch.testing.assert_close(psnr(shown, truth), psnr(shown.flatten(1), truth.flatten(1)))
    assert psnr(shown, truth).shape == (3,)


def test_loss_is_half_the_mean_squared_error_of_each_picture_s_observed_pixels() -> None:
    truth, shown = pictures(), pictures(3, 4, 6).reshape(3, -1, 3)
    observed = truth[:, ::2, ::2].reshape(3, -1, 3)
    expected = [0.5 * np.mean((a.numpy() - b.numpy()) ** 2) for a, b in zip(shown, observed, strict=True)]
    np.testing.assert_allclose(regression(truth).loss(shown, 1), expected, rtol=1e-5)
    whole = ImageRegression({"values": truth}, halved=False).loss(shown, 1)
    torch.testing.assert_close(whole, 2 * regression(truth).loss(shown, 1))


@given(scale=st.floats(0.01, 1))
@settings(max_examples=20, deadline=None)
def test_psnr_and_loss_tell_the_same(scale: float) -> None:
    problem = regression(pictures())
    observed = problem.splits["train"].targets
    shown = observed + scale * (pictures(3, 6, 4).reshape(3, -1, 3) - 0.5)
    by_loss = -10 * torch.log10(2 * problem.loss(shown, 1))
    torch.testing.assert_close(psnr(shown, observed).float(), by_loss, rtol=1e-4, atol=1e-4)


# What the engine asks of a problem


def softened(problem: ImageRegression, asked: list[Grid]) -> Callable[[Grid | Tensor], Tensor]:
    """A prediction halfway between each split's truth and grey; what was asked for goes into the list."""
    targets = {id(part.where): part.targets for part in problem.splits.values()}

    def predict(where: Grid | Tensor) -> Tensor:
        assert isinstance(where, Grid)
        asked.append(where)
        return (targets[id(where)] + 0.5) / 2

    return predict


def scored(problem: ImageRegression, last: bool) -> list[Score]:
    return list(problem.scores(softened(problem, []), last))


def test_the_networks_are_asked_at_the_observed_pixels_at_every_step() -> None:
    problem = regression(pictures())
    assert problem.fixed and problem.together
    assert problem.inputs(0) is problem.inputs(7) is problem.splits["train"].where


def test_scores_are_of_train_and_test_and_at_the_end_of_all() -> None:
    values = pictures()
    problem = regression(values)
    assert [(score.metric, score.split) for score in scored(problem, False)] == [("psnr", "train"), ("psnr", "test")]
    found = scored(problem, True)
    assert [(score.metric, score.split) for score in found] == [("psnr", name) for name in ("train", "test", "all")]
    assert {(score.item, score.set) for score in found} == {("", "")}  # pictures have no parts
    for score in found:
        cut = values[:, *SPLITS[score.split]]
        torch.testing.assert_close(score.values, psnr((cut + 0.5) / 2, cut))
    assert problem.chosen_by in [(score.metric, score.split) for score in scored(problem, False)]


def test_shown_is_the_predicted_picture_in_half_precision() -> None:
    values = pictures()
    problem = regression(values)
    asked: list[Grid] = []
    (name, picture), *others = problem.shown(softened(problem, asked)).items()
    assert (name, others) == ("", [])
    assert [len(grid) for grid in asked] == [8 * 12]
    assert picture.dtype == torch.float16
    torch.testing.assert_close(picture, ((values + 0.5) / 2).half())


def test_stored_bytes_are_taken_to_one_and_floats_as_they_are() -> None:
    stored = (255 * pictures()).round().to(torch.uint8)
    assert torch.equal(regression(stored).splits["all"].targets, stored.reshape(3, -1, 3).float() / 255)
    waves = 2 * pictures() - 1
    assert torch.equal(regression(waves).splits["all"].targets, waves.reshape(3, -1, 3))


@pytest.mark.parametrize("channels", [1, 3])
def test_the_network_has_the_channels_of_the_pictures_and_the_output_asked_for(channels: int) -> None:
    problem = regression(pictures(channels=channels))
    assert (problem.channels, problem.output, problem.dimensions) == (channels, "sigmoid", 2)
    assert regression(pictures(), output_activation="tanh").output == "tanh"


# Every problem


@pytest.mark.parametrize("part", parts("problems").values(), ids=lambda part: part.name)
def test_a_registered_problem_says_what_the_planner_and_the_engine_ask_of_it(part: Part) -> None:
    cls = load_class({"use": part.use})
    for name in ("dimensions", "chosen_by"):  # the planner reads these from the source
        assert part.attributes[name] == getattr(cls, name)
    # How many points are asked for.
    assert {"nyquist", "spacing"} & set(part.attributes) or "batch" in part.parameters
    metric, split = cls.chosen_by
    assert (metric, split) in {("psnr", "test"), ("psnr", "all"), ("iou", "boundary")}
    assert isinstance(cls.fixed, bool) and isinstance(cls.together, bool)
    for name in ("inputs", "loss", "scores", "shown"):
        assert callable(getattr(cls, name))
    assert part.doc
