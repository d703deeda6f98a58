"""Problems: which coordinates and pixels belong together, and how they are scored."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.metrics import peak_signal_noise_ratio
from torch import Tensor

from posenc.problems.grid import Grid, half_open
from posenc.problems.image import ImageRegression

SPLITS = {
    "train": (slice(0, None, 2), slice(0, None, 2)),
    "test": (slice(1, None, 2), slice(1, None, 2)),
    "all": (slice(None), slice(None)),
}


def pictures(count: int = 3, height: int = 8, width: int = 12, channels: int = 3) -> Tensor:
    return torch.rand(count, height, width, channels, generator=torch.Generator().manual_seed(0))


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
    part = ImageRegression(values).splits[split]
    points = part.grid.points()
    height, width = values.shape[1:3]
    columns, rows = (points * torch.tensor([width, height])).round().long().unbind(dim=1)
    torch.testing.assert_close(points, torch.stack([columns / width, rows / height], dim=1))
    assert torch.equal(part.targets, values[:, rows, columns])


@pytest.mark.parametrize("split", SPLITS)
def test_targets_are_the_split_of_the_pictures_row_by_row(split: str) -> None:
    values = pictures()
    rows, columns = SPLITS[split]
    expected = values[:, rows, columns]
    part = ImageRegression(values).splits[split]
    assert torch.equal(part.targets, expected.reshape(3, -1, 3))
    assert len(part.grid) == part.targets.shape[1] == expected.shape[1] * expected.shape[2]


@given(half_height=st.integers(1, 8), half_width=st.integers(1, 8))
@settings(max_examples=30, deadline=None)
def test_train_and_test_are_a_quarter_each_and_share_no_pixel(half_height: int, half_width: int) -> None:
    splits = ImageRegression(pictures(1, 2 * half_height, 2 * half_width)).splits
    places = {name: set(map(tuple, part.grid.points().tolist())) for name, part in splits.items()}
    assert len(places["train"]) == len(places["test"]) == half_height * half_width
    assert len(places["all"]) == 4 * half_height * half_width
    assert places["train"].isdisjoint(places["test"])
    assert places["train"] | places["test"] < places["all"]


def test_every_split_is_tested() -> None:
    assert set(ImageRegression(pictures()).splits) == set(SPLITS)


@pytest.mark.parametrize("noise", [0.3, 1e-2, 1e-4])
def test_psnr_is_that_of_scikit_image_for_each_picture(noise: float) -> None:
    truth = pictures().reshape(3, -1, 3)
    shown = truth + noise * torch.randn(truth.shape, generator=torch.Generator().manual_seed(1))
    expected = [
        peak_signal_noise_ratio(a.numpy().astype(np.float64), b.numpy().astype(np.float64), data_range=1.0)
        for a, b in zip(truth, shown, strict=True)
    ]
    np.testing.assert_allclose(ImageRegression.psnr(shown, truth), expected, rtol=1e-6)


def test_psnr_counts_values_outside_the_range_unclipped() -> None:
    truth = torch.ones(1, 4, 3)
    assert float(ImageRegression.psnr(truth + 0.1, truth)) == pytest.approx(20)


def test_psnr_of_an_exact_fit_is_infinite() -> None:
    truth = pictures().reshape(3, -1, 3)
    assert (ImageRegression.psnr(truth, truth) == float("inf")).all()


def test_loss_is_half_the_mean_squared_error_of_each_picture() -> None:
    truth, shown = pictures().reshape(3, -1, 3), pictures(3, 12, 8).reshape(3, -1, 3)
    expected = [0.5 * np.mean((a.numpy() - b.numpy()) ** 2) for a, b in zip(shown, truth, strict=True)]
    np.testing.assert_allclose(ImageRegression.loss(shown, truth), expected, rtol=1e-5)


@given(scale=st.floats(0.01, 1))
@settings(max_examples=20, deadline=None)
def test_psnr_and_loss_tell_the_same(scale: float) -> None:
    truth = pictures().reshape(3, -1, 3)
    shown = truth + scale * (pictures(3, 12, 8).reshape(3, -1, 3) - 0.5)
    by_loss = -10 * torch.log10(2 * ImageRegression.loss(shown, truth))
    torch.testing.assert_close(ImageRegression.psnr(shown, truth).float(), by_loss, rtol=1e-4, atol=1e-4)
