"""Similarity of encoded points and its half-width: against formulas and the numbers of Zheng et al. 2021."""

import math

import pytest
import torch
from torch import Tensor

from posenc.encodings.base import Encoding
from posenc.encodings.basic import Basic
from posenc.encodings.gaussian import Gaussian
from posenc.encodings.none import NoEncoding
from posenc.encodings.per_axis import PerAxis
from posenc.encodings.shifted import Impulse, Rectangle, ShiftedGaussian, SineSquared, SquareWave, Triangle
from posenc.theory.distance import half_width, similarity

DISPLACEMENTS = torch.linspace(-0.5, 0.5, 1001, dtype=torch.float64)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("sigma", [0.05, 0.01, 0.001])
def test_gaussian_profiles_have_the_published_similarity(sigma: float) -> None:
    encoding = ShiftedGaussian(1, sigma=sigma, features=10_000)
    near = DISPLACEMENTS[DISPLACEMENTS.abs() < 0.5 - 4 * sigma]  # beyond, the end of the line cuts features
    found = similarity(encoding, near)
    assert float((found - (-(near**2) / (4 * sigma**2)).exp()).abs().max()) < 1e-3
    torch.testing.assert_close(encoding.closed_similarity(near), (-(near**2) / (4 * sigma**2)).exp())


@pytest.mark.parametrize("features", [200, 1800])
def test_random_features_err_by_one_over_the_root_of_their_number(features: int) -> None:
    encodings = [Gaussian(1, sigma=5.0, features=features, generator=generator(seed)) for seed in range(30)]
    errors = torch.stack([similarity(e, DISPLACEMENTS) - e.closed_similarity(DISPLACEMENTS) for e in encodings])
    # Away from 0, a mean of features / 2 cosines of variance 1/2: an error of 1 / sqrt(features). It moves by 15 % with
    # the draws: thirty of some ten independent displacements each.
    far = errors[:, DISPLACEMENTS.abs() > 0.15]
    assert float(far.square().mean().sqrt()) == pytest.approx(features**-0.5, rel=0.15)


@pytest.mark.parametrize(
    ("encoding", "width"),
    [
        (ShiftedGaussian(1, sigma=0.02, features=4000), 2 * 0.02 * math.sqrt(math.log(10))),
        (Rectangle(1, sigma=0.1, features=10_000), 0.9 * 0.2),
        (Triangle(1, sigma=0.1, features=4000), 0.1 * (2 - 0.4 ** (1 / 3))),
        (Basic(1), math.acos(0.1) / (2 * math.pi)),
        (SquareWave(1, sigma=1.0, features=10_000), 0.9 / 4),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_half_widths_are_those_of_the_formulas(encoding: Encoding, width: float) -> None:
    # Straight lines a thousandth apart, and centres of which 1/1000 lie on either side of an edge.
    assert half_width(DISPLACEMENTS, similarity(encoding, DISPLACEMENTS)) == pytest.approx(width, abs=2e-4)


def test_the_half_width_is_a_measure_with_straight_lines_between() -> None:
    at = torch.tensor([-0.5, -0.25, 0.0, 0.25, 0.5])
    assert half_width(at, torch.tensor([0.0, 0.0, 1.0, 0.0, 0.0])) == pytest.approx(0.9 * 0.25)
    assert half_width(at, torch.tensor([0.0, 0.0, 1.0, 0.0, 0.0]), level=0.5) == pytest.approx(0.5 * 0.25)
    # Another rise, far off, counts as well: the whole of [0, 1/4] and a half of each neighbour, and of the last step.
    assert half_width(at, torch.tensor([0.0, 0.0, 1.0, 1.0, 0.0]), level=0.5) == pytest.approx((0.5 + 1 + 0.5) * 0.125)
    uneven = torch.tensor([-0.5, 0.0, 0.1, 0.5])
    assert half_width(uneven, torch.tensor([0.0, 1.0, 0.0, 0.0]), level=0.0) == pytest.approx(0.3)
    assert half_width(at, torch.full((5,), 0.5), level=0.5) == 0  # at the level is not above it


def test_a_similarity_that_never_falls_has_no_half_width() -> None:
    found = similarity(SineSquared(1, sigma=2.0, features=1000), DISPLACEMENTS)
    assert float(found.min()) == pytest.approx(1 / 3, abs=1e-3)
    assert half_width(DISPLACEMENTS, found) is None
    wide = half_width(DISPLACEMENTS, found, level=0.5)
    assert wide is not None  # it does fall to a half


@pytest.mark.parametrize("displacements", [torch.tensor([0.1]), torch.tensor([0.5, 0.0, -0.5]), torch.zeros(3)])
def test_displacements_must_rise(displacements: Tensor) -> None:
    with pytest.raises(ValueError, match="half width: give at least two displacements, in rising order"):
        half_width(displacements, torch.ones(len(displacements)))


def test_similarity_runs_along_the_diagonal_around_the_middle() -> None:
    at = torch.linspace(-0.3, 0.3, 31, dtype=torch.float64)
    along = ShiftedGaussian(1, sigma=0.05, features=500)
    both = PerAxis([along, along])
    torch.testing.assert_close(similarity(both, at), similarity(along, at))
    torch.testing.assert_close(similarity(Basic(3), at), torch.cos(2 * math.pi * at))
    # Of raw coordinates it is the cosine of an angle that stays 0 along the diagonal.
    torch.testing.assert_close(similarity(NoEncoding(2), at), torch.ones_like(at))


def test_similarity_is_one_at_zero_in_float64_and_nowhere_with_other_bins() -> None:
    for encoding in (Impulse(1, features=100), Gaussian(1, sigma=3.0, generator=generator())):
        found = similarity(encoding, torch.tensor([0.0, 0.2]))
        assert found.dtype == torch.float64
        assert float(found[0]) == pytest.approx(1, abs=1e-15)
    assert similarity(Impulse(1, features=100), torch.tensor([0.004, 0.02, -0.02])).tolist() == [1, 0, 0]
    whole = torch.linspace(-0.5, 0.5, 10_001)  # more than a slab
    assert len(similarity(Impulse(1, features=100), whole)) == 10_001
