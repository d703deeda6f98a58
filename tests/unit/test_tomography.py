"""Projections and Fourier samples: the operators against slow or foreign ones, their adjoints, masks."""

import inspect
import math
from typing import Any

import numpy as np
import pytest
import torch
from skimage.transform import radon
from torch import Tensor

from posenc.problems.fourier_samples import (
    PAPER_SHARE,
    PAPER_VARIANCE,
    FourierSamples,
    MaskedFourier,
    draws_that_observe,
    observed_coefficients,
)
from posenc.problems.projections import ParallelBeams, Projections, nearest_pixels
from posenc.signals import heads, phantoms
from posenc.training.checkpoints import Progress
from posenc.training.stack import fit_stack


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def blob(size: int) -> np.ndarray:
    """A smooth picture off the centre, zero near the border."""
    y, x = np.mgrid[:size, :size] / (size - 1) - 0.5
    values = np.exp(-((x - 0.1) ** 2 + (y + 0.15) ** 2) / (2 * 0.08**2))
    return np.where(x**2 + y**2 < 0.24, values, 0)


def projected(picture: np.ndarray, angles: int) -> np.ndarray:
    beams = ParallelBeams(len(picture), angles)
    return beams.project(torch.from_numpy(picture).float().reshape(1, -1))[0].numpy()


# ---- projections


def turned_and_averaged(picture: np.ndarray, angle: float) -> np.ndarray:
    """The same operator, point by point."""
    size = len(picture)
    centre = (size - 1) / 2
    means = np.zeros(size)
    for column in range(size):
        for row in range(size):
            x, y = column - centre, row - centre
            source_column = round(math.cos(angle) * x + math.sin(angle) * y + centre)
            source_row = round(math.cos(angle) * y - math.sin(angle) * x + centre)
            if 0 <= source_column < size and 0 <= source_row < size:
                means[column] += picture[source_row, source_column] / size
    return means


@pytest.mark.parametrize("size", [8, 9])
def test_projections_are_means_over_the_rows_of_a_turned_picture(size: int) -> None:
    picture = random(size, size).numpy()
    expected = [turned_and_averaged(picture, k * math.pi / 7) for k in range(7)]
    np.testing.assert_allclose(projected(picture, 7), expected, atol=1e-6)


def test_the_first_projection_is_the_mean_over_rows_and_a_quarter_turn_that_over_columns() -> None:
    picture = random(6, 6).numpy()
    first, quarter = projected(picture, 2)
    np.testing.assert_allclose(first, picture.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(quarter, picture.mean(axis=1)[::-1], rtol=1e-6)


def test_angles_leave_out_pi() -> None:
    every = projected(blob(33), 12)
    np.testing.assert_array_equal(every[::3], projected(blob(33), 4))  # 0, 45, 90, 135 degrees
    mirrored = np.abs(every - every[0, ::-1]).max(axis=1)  # what pi would show
    assert mirrored.min() > 0.05


@pytest.mark.parametrize("size", [65, 129])
def test_projections_are_those_of_scikit_image(size: int) -> None:
    # An odd size, for both turn about the middle pixel there. The nearest pixel is half a pixel off at most, so
    # the difference falls with the slope of a smooth picture per pixel; theirs is a sum, ours a mean.
    theirs = radon(blob(size), theta=np.arange(12) * 15.0, circle=True).T / size
    half_a_step = 0.5 * np.abs(np.diff(blob(size))).max() * 0.2  # a fifth of the points lie in the blob
    assert np.abs(projected(blob(size), 12) - theirs).max() < half_a_step
    assert np.abs(projected(blob(size), 12) - theirs[::-1]).max() > 10 * half_a_step


@pytest.mark.parametrize(("size", "angles"), [(8, 5), (9, 20)])
def test_the_adjoint_of_the_projection(size: int, angles: int) -> None:
    beams = ParallelBeams(size, angles)
    pictures, projections = random(3, size * size), random(3, angles, size, seed=1)
    there = (beams.project(pictures).double() * projections).sum(dim=(1, 2))
    back = (pictures * beams.adjoint(projections).double()).sum(dim=1)
    torch.testing.assert_close(there, back, rtol=1e-5, atol=0)


def test_the_gradient_of_the_projection_is_the_adjoint_even_under_autocast() -> None:
    beams = ParallelBeams(8, 5)
    pictures = random(2, 64).requires_grad_()
    weights = random(2, 5, 8, seed=1)
    with torch.autocast("cpu", torch.bfloat16):
        projections = beams.project(pictures)
        (projections * weights).sum().backward()
    assert projections.dtype == torch.float32
    torch.testing.assert_close(projections, beams.project(pictures))
    torch.testing.assert_close(pictures.grad, beams.adjoint(weights))


def test_points_outside_the_picture_are_zero() -> None:
    pixels = nearest_pixels(16, 8)
    assert pixels.shape == (8, 16, 16)
    assert (pixels[0] >= 0).all()  # nothing is turned
    assert (pixels[2] < 0).sum() > 20  # the corners at 45 degrees
    assert pixels.max() < 256


# ---- Fourier samples


def test_the_paper_s_mask_has_200_000_draws_and_an_eighth_of_the_coefficients() -> None:
    assert draws_that_observe(96, PAPER_SHARE, 2.0) == pytest.approx(200_000, abs=1)
    share = observed_coefficients(96).double().mean()
    assert float(share) == pytest.approx(0.12560809, abs=1e-3)  # printed in the authors' notebook, of another draw


@pytest.mark.parametrize("size", [24, 33, 48])
def test_the_share_stays_at_other_sizes(size: int) -> None:
    for variance in (2.0, 2 * size / 96):
        mask = observed_coefficients(size, variance=variance)
        bins = size**3
        # bins are hit almost independently, so at most binomial
        assert abs(float(mask.double().mean()) - PAPER_SHARE) < 4 * math.sqrt(PAPER_SHARE * (1 - PAPER_SHARE) / bins)


def test_the_mask_is_dense_at_low_frequencies_and_keeps_its_profile() -> None:
    def profile(mask: Tensor) -> list[float]:
        k = torch.fft.fftfreq(len(mask))
        radius = (k[:, None, None].square() + k[:, None].square() + k.square()).sqrt()
        return [float(mask[(radius >= low) & (radius < low + 0.1)].double().mean()) for low in (0.0, 0.1, 0.2, 0.3)]

    paper, small = profile(observed_coefficients(96)), profile(observed_coefficients(32, variance=2 * 32 / 96))
    assert paper[0] > 0.95 and paper == sorted(paper, reverse=True) and paper[3] < 0.35
    np.testing.assert_allclose(small, paper, atol=0.04)
    assert profile(observed_coefficients(32))[0] < 0.8  # with variance 2 the low ones are missed


def test_masks_repeat() -> None:
    assert torch.equal(observed_coefficients(16), observed_coefficients(16))


def test_a_mask_of_nothing_and_a_mask_of_everything_are_refused() -> None:
    with pytest.raises(ValueError, match="none at all"):
        observed_coefficients(16, 1e-7)
    with pytest.raises(ValueError, match="below 1"):
        observed_coefficients(16, 1.0)
    with pytest.raises(ValueError, match="raise the variance"):
        observed_coefficients(64, 0.9, variance=0.1)


@pytest.mark.parametrize("size", [7, 8])
def test_half_the_spectrum_sums_to_what_the_whole_one_does(size: int) -> None:
    mask = random(size, size, size) < 0.3  # not its own mirror image
    volumes = random(2, size, size, size, seed=1)
    whole = (mask * torch.fft.fftn(volumes.double(), dim=(1, 2, 3)).abs().square()).sum(dim=(1, 2, 3))
    torch.testing.assert_close(MaskedFourier(mask).squares(volumes).double(), whole, rtol=1e-5, atol=0)


def test_the_gradient_of_the_squares_is_twice_the_adjoint_of_the_masked_transform() -> None:
    mask = random(6, 6, 6) < 0.3
    volumes = random(2, 6, 6, 6, seed=1).requires_grad_()
    MaskedFourier(mask).squares(volumes).sum().backward()
    spectrum = mask * torch.fft.fftn(volumes.detach().double(), dim=(1, 2, 3))
    adjoint = 6**3 * torch.fft.ifftn(spectrum, dim=(1, 2, 3))  # of the unnormalised transform
    assert volumes.grad is not None
    torch.testing.assert_close(volumes.grad.double(), 2 * adjoint.real, rtol=1e-4, atol=1e-4)


# ---- the problems


def learned(problem: Projections | FourierSamples, targets: Tensor, steps: int) -> Tensor:
    """Values that gradient descent on a problem's loss alone finds, one per pixel or voxel, from mid-grey."""
    values = torch.full((len(targets), targets[0].numel(), 1), 0.5, requires_grad=True)
    optimizer = torch.optim.Adam([values], lr=0.05)
    for step in range(steps):
        optimizer.zero_grad()
        problem.loss(values, step).sum().backward()
        optimizer.step()
    return values.detach()


def test_projections_ask_for_every_pixel_and_score_the_picture_clipped() -> None:
    pictures = random(2, 8, 8, 1)
    problem = Projections({"values": pictures}, angles=5)
    grid = problem.inputs(0)
    assert len(grid) == 64 and problem.inputs(7) is grid
    flat_pictures = pictures.reshape(2, 64, 1)
    assert problem.loss(flat_pictures, 0).tolist() == pytest.approx([0, 0])
    beyond = torch.where(flat_pictures > 0.5, flat_pictures + 1, flat_pictures - 1)
    (score,) = problem.scores(lambda where: beyond, True)
    assert (score.metric, score.split) == ("psnr", "all") == Projections.chosen_by
    clipped = (beyond.clamp(0, 1) - flat_pictures).double().square().mean(dim=(1, 2))
    torch.testing.assert_close(score.values, -10 * clipped.log10())
    shown = problem.shown(lambda where: beyond)[""]
    assert shown.shape == (2, 8, 8, 1) and torch.equal(shown.flatten(1), beyond.flatten(1).half())


def test_the_loss_of_projections_is_half_their_mean_squared_error() -> None:
    pictures, values = random(2, 8, 8, 1), random(2, 64, 1, seed=1)
    beams = ParallelBeams(8, 5)
    expected = 0.5 * (beams.project(values[..., 0]) - beams.project(pictures.flatten(1))).square().mean(dim=(1, 2))
    torch.testing.assert_close(Projections({"values": pictures}, angles=5).loss(values, 0), expected)


def test_points_of_projections_stand_at_their_pixels() -> None:
    # a picture that is brighter to the right and, by less, further down
    x, y = torch.meshgrid(torch.arange(8.0), torch.arange(8.0), indexing="xy")
    pictures = ((x + 0.1 * y) / 10)[None, :, :, None]
    problem = Projections({"values": pictures}, angles=4)
    points = problem.grid.points()
    values = (8 * points[:, 0] + 0.8 * points[:, 1]) / 10
    assert float(problem.loss(values[None, :, None], 0)) < 1e-12


def test_many_projections_tell_the_picture() -> None:
    pictures = torch.from_numpy(np.stack([phantoms.phantom("phantoms", index, 16) for index in range(2)]))
    found = [
        float((learned(Projections({"values": pictures}, angles=angles), pictures, 300)[..., 0] - pictures.flatten(1))
        .square().mean())
        for angles in (2, 40)
    ]  # fmt: skip
    assert found[1] < 0.1 * found[0]


@pytest.mark.parametrize("shape", [(1, 8, 10, 1), (1, 8, 8, 3)])
def test_pictures_that_cannot_be_projected(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="of one channel"):
        Projections({"values": torch.zeros(shape)}, angles=3)


def test_the_loss_of_fourier_samples_is_the_masked_mean_of_the_whole_spectrum() -> None:
    volumes, values = random(2, 8, 8, 8, 1), random(2, 512, 1, seed=1)
    problem = FourierSamples({"values": volumes}, variance=0.5)
    mask = observed_coefficients(8, variance=0.5)
    error = torch.fft.fftn(values.reshape(2, 8, 8, 8).double(), dim=(1, 2, 3)) - torch.fft.fftn(
        volumes[..., 0].double(), dim=(1, 2, 3)
    )
    expected = 0.5 * (mask * error.abs().square()).mean(dim=(1, 2, 3))
    torch.testing.assert_close(problem.loss(values, 0).double(), expected, rtol=1e-5, atol=0)


def test_fourier_samples_ask_for_every_voxel_and_score_the_volume_clipped() -> None:
    volumes = random(1, 8, 8, 8, 1)
    problem = FourierSamples({"values": volumes}, observed=0.3)
    assert len(problem.inputs(0)) == 512
    (score,) = problem.scores(lambda where: volumes.reshape(1, 512, 1) - 0.1, False)
    expected = (volumes - (volumes - 0.1).clamp(0, 1)).double().square().mean()
    assert float(score.values) == pytest.approx(-10 * math.log10(float(expected)))
    assert problem.shown(lambda where: volumes.reshape(1, 512, 1))[""].shape == (1, 8, 8, 8, 1)


def test_points_of_fourier_samples_stand_at_their_voxels() -> None:
    z, y, x = torch.meshgrid(*[torch.arange(8.0)] * 3, indexing="ij")
    volumes = ((x + 0.1 * y + 0.01 * z) / 10)[None, ..., None]
    problem = FourierSamples({"values": volumes})
    points = problem.grid.points()
    values = (8 * points @ torch.tensor([1, 0.1, 0.01])) / 10
    assert float(problem.loss(values[None, :, None], 0)) < 1e-8


def test_the_observed_share_has_its_default_in_one_place() -> None:
    assert inspect.signature(FourierSamples).parameters["observed"].default == PAPER_SHARE
    assert inspect.signature(FourierSamples).parameters["variance"].default == PAPER_VARIANCE


def test_volumes_that_are_no_cubes() -> None:
    with pytest.raises(ValueError, match="8 x 8 x 9 x 1: Fourier samples take cubes"):
        FourierSamples({"values": torch.zeros(1, 8, 8, 9, 1)})


@pytest.mark.parametrize("precision", ["float32", "bf16"])
@pytest.mark.parametrize("encoding", ["none:NoEncoding", "basic:Basic"])
@pytest.mark.parametrize(
    ("problem", "signal"),
    [
        ({"use": "posenc.problems.projections:Projections", "angles": 8}, phantoms.phantom("phantoms", 0, 16)),
        (
            {"use": "posenc.problems.fourier_samples:FourierSamples", "variance": 0.25},
            heads.head_volume(0, 12)[..., None],
        ),
    ],
)
def test_a_network_learns_both(problem: dict[str, Any], signal: np.ndarray, encoding: str, precision: str) -> None:
    spec = {
        "members": [{"use": f"posenc.encodings.{encoding}"}],
        "network": {"use": "posenc.networks.mlp:MLP", "depth": 3, "width": 32},
        "problem": problem,
        "training": {"steps": 150, "learning_rate": 1e-2, "log_every": 149},
        "seed": 0,
    }
    rows = [{"name": "a", "set": "report"}]
    found = fit_stack(spec, 0, {"values": torch.from_numpy(signal[None])}, rows, precision, Progress())
    scores = {row["step"]: row["value"] for row in found.values if row["metric"] == "psnr"}
    assert scores[150] > scores[1] + 2
    assert found.predictions["a"].shape == signal.shape
