"""Stable rank: against singular values, formulas and the numbers of Zheng et al. 2021."""

import itertools
import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr
from torch import Tensor

from posenc.encodings.base import Encoding
from posenc.encodings.basic import Basic
from posenc.encodings.gaussian import Gaussian
from posenc.encodings.linear_frequency import LinearFrequency
from posenc.encodings.none import NoEncoding
from posenc.encodings.per_axis import PerAxis
from posenc.encodings.positional import Positional
from posenc.encodings.shifted import (
    Bump,
    Impulse,
    RandomNoise,
    Rectangle,
    ShiftedGaussian,
    Sinc,
    Sine,
    SineSquared,
    SquareWave,
    Triangle,
    wrapped,
)
from posenc.problems.grid import Grid, half_open
from posenc.theory import stable_rank as module
from posenc.theory.distance import half_width, similarity
from posenc.theory.stable_rank import (
    TOLERANCE,
    Line,
    circle_rank,
    convolution_gram,
    gaussian_circle_rank,
    gram_of,
    gram_over_axes,
    kronecker_rank,
    matrix_gram,
    rank_of,
    rank_of_product,
    shared_grid,
    stable_rank,
    toeplitz_gram,
)

# The authors' Gram matrices have 512 points; 10,000 centres as in their notebooks, or 8192 where points divide them.
SAMPLES = 512


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def random_features(sigma: float, count: int = 256, dimensions: int = 1, seed: int = 0) -> Gaussian:
    return Gaussian(dimensions, sigma=sigma, features=count, generator=generator(seed))


def noise(count: int, seed: int = 0) -> RandomNoise:
    return RandomNoise(1, features=count, generator=generator(seed))


def line(count: int, start: float = 0.0, step: float | None = None) -> Tensor:
    return (start + torch.arange(count, dtype=torch.float64) * (step or 1 / count))[:, None]


def by_singular_values(features: Tensor) -> float:
    squares = torch.linalg.svdvals(features.double()).square()
    return float(squares.sum() / squares[0])


# The numbers of the paper: features of a class with these settings, 512 points, as printed or drawn

PERIODIC = {
    "shifted_gaussian": {0.05: 5.642, 0.01: 28.21, 0.005: 56.42, 0.001: 282.1},
    "rectangle": {0.1: 5, 0.2: 2.5},
    "triangle": {0.1: 6.667, 0.2: 3.333},
}
ON_LINE = {0.1: 2.881, 0.05: 5.605, 0.01: 28.08, 0.005: 56.27, 0.001: 281.8}
RANDOM = {1: (2.511, 2.739), 5: (12.53, 12.59), 10: (25.07, 25.10), 20: (50.13, 50.15), 40: (100.3, 100.3),
          70: (175.5, 175.5)}  # fmt: skip
BUMPS: dict[str, type[Bump]] = {cls.name: cls for cls in (ShiftedGaussian, Rectangle, Triangle)}


def last_digit(value: float) -> float:
    """One unit of the fourth digit, to which the values are given."""
    return 10.0 ** (math.floor(math.log10(value)) - 3)


@pytest.mark.parametrize(
    ("name", "sigma"), [(name, sigma) for name, values in PERIODIC.items() for sigma in values], ids=str
)
def test_bumps_on_a_circle_have_the_published_rank(name: str, sigma: float) -> None:
    value = PERIODIC[name][sigma]
    rank = stable_rank(BUMPS[name](1, sigma=sigma, features=10_000, periodic=True), half_open(SAMPLES)[:, None])
    assert rank == pytest.approx(value, abs=last_digit(value))


@pytest.mark.parametrize("sigma", ON_LINE)
def test_gaussian_profiles_on_a_line_have_the_published_rank(sigma: float) -> None:
    rank = stable_rank(ShiftedGaussian(1, sigma=sigma, features=10_000), half_open(SAMPLES)[:, None])
    assert rank == pytest.approx(ON_LINE[sigma], abs=last_digit(ON_LINE[sigma]))


@pytest.mark.parametrize("sigma", RANDOM)
def test_infinitely_many_random_features_have_the_published_rank_on_circle_and_line(sigma: int) -> None:
    encoding, displacements = random_features(sigma), half_open(SAMPLES).double()
    circle = encoding.closed_similarity(wrapped(displacements))
    kernel = circle[(torch.arange(SAMPLES)[:, None] - torch.arange(SAMPLES)) % SAMPLES]
    on_circle = float(kernel.trace() / torch.linalg.eigvalsh(kernel)[-1])
    on_line = rank_of(toeplitz_gram(encoding.closed_similarity(displacements)))
    published = RANDOM[sigma]
    assert on_circle == pytest.approx(published[0], abs=last_digit(published[0]))
    assert on_line == pytest.approx(published[1], abs=last_digit(published[1]))


def test_a_wide_gaussian_kernel_cut_at_half_a_turn_has_the_published_rank() -> None:
    """The one value of the circle that is of the kernel, not of features: these wrap once more and have 2.821."""
    kernel = ShiftedGaussian(1, sigma=0.1).closed_similarity(wrapped(half_open(SAMPLES).double()))
    assert SAMPLES / float(torch.fft.fft(kernel).real.max()) == pytest.approx(2.822, abs=0.001)
    features = ShiftedGaussian(1, sigma=0.1, features=8192, periodic=True)
    assert stable_rank(features, half_open(SAMPLES)[:, None]) == pytest.approx(2.821, abs=0.001)


@pytest.mark.parametrize(
    ("encoding", "value"),
    [
        (Sine(1, sigma=1.0, features=8192), 2.000),
        (Sine(1, sigma=1.0, offset=0.7, features=8192), 2.0204),
        (SquareWave(1, sigma=1.0, features=8192), 2.467),
        (SineSquared(1, sigma=1.0, features=8192), 1.5),
        (Basic(1), 2.0),
        (Impulse(1, features=8192), 512),
    ],
    ids=lambda value: getattr(value, "name", str(value)),
)
def test_waves_and_impulse_have_the_published_rank(encoding: Encoding, value: float) -> None:
    assert stable_rank(encoding, half_open(SAMPLES)[:, None]) == pytest.approx(value, rel=2e-4)


@pytest.mark.parametrize(("samples", "published"), [(256, 175), (128, 100), (86, 70), (16, 15)])
def test_noise_has_about_the_rank_that_the_authors_plot(samples: int, published: float) -> None:
    """One draw of theirs, read off a plot; of 10 of ours the mean lies within 6 % of it."""
    ranks = [stable_rank(noise(10_000, seed), half_open(samples)[:, None]) for seed in range(10)]
    assert np.mean(ranks) == pytest.approx(published, rel=0.06)
    assert min(ranks) > 0.5 * samples


@pytest.mark.parametrize(("features", "share", "within"), [(1000, 0.72, 0.06), (100, 0.40, 0.06)])
def test_few_random_features_fall_short_of_the_formula_as_published(features: int, share: float, within: float) -> None:
    ranks = [stable_rank(random_features(22.51, features, seed=seed), half_open(256)[:, None]) for seed in range(20)]
    assert np.mean(ranks) / 56.42 == pytest.approx(share, abs=within)
    more = [
        stable_rank(random_features(22.51, 10 * features, seed=seed), half_open(256)[:, None]) for seed in range(20)
    ]
    assert np.mean(ranks) < np.mean(more) < 56.42  # from below


def compared() -> list[Encoding]:
    """The seven embedders that the authors draw side by side, by falling stable rank of 50 points."""
    return [
        Impulse(1, features=10_000),
        ShiftedGaussian(1, sigma=0.01, features=10_000),
        random_features(5.0, 10_000),
        Triangle(1, sigma=0.1, features=10_000),
        Rectangle(1, sigma=0.1, features=10_000),
        SquareWave(1, sigma=1.0, features=10_000),
        Sine(1, sigma=1.0, features=10_000),
    ]


def test_high_rank_goes_with_a_similarity_that_falls_soon() -> None:
    displacements = torch.linspace(-0.5, 0.5, 2001, dtype=torch.float64)
    ranks = [stable_rank(encoding, half_open(50)[:, None]) for encoding in compared()]
    widths = [half_width(displacements, similarity(encoding, displacements)) for encoding in compared()]
    assert ranks == sorted(ranks, reverse=True)
    assert ranks[:2] == pytest.approx([50, 28.0], rel=0.01)
    assert None not in widths
    assert spearmanr(ranks, widths).statistic == -1


@pytest.mark.parametrize("sigma", [0.02, 0.01, 0.005])
def test_rank_times_half_width_of_gaussian_profiles_is_the_published_constant(sigma: float) -> None:
    encoding = ShiftedGaussian(1, sigma=sigma, features=2000)
    displacements = torch.linspace(-0.5, 0.5, 2001, dtype=torch.float64)
    width = half_width(displacements, similarity(encoding, displacements))
    assert width is not None
    assert stable_rank(encoding, half_open(2000)[:, None]) * width == pytest.approx(0.856, rel=0.03)
    assert math.sqrt(math.log(10) / math.pi) == pytest.approx(0.856, abs=5e-4)


# The knee and the circle


@pytest.mark.parametrize(
    ("spread", "share"), [(0.66, 0.43), (0.51, 0.55), (1 / (2 * math.sqrt(math.pi)), 0.92), (0.15, 1.0), (0.1, 1.0)]
)
def test_the_knee_is_soft(spread: float, share: float) -> None:
    for samples in (64, 1000):
        assert gaussian_circle_rank(spread / samples, samples) / samples == pytest.approx(share, abs=0.005)


def test_the_knee_at_the_authors_numbers() -> None:
    assert gaussian_circle_rank(0.001, 512) == pytest.approx(282.08, abs=0.005)
    assert gaussian_circle_rank(0.001, 10**6) == pytest.approx(1 / (2 * math.sqrt(math.pi) * 0.001), rel=1e-12)
    assert gaussian_circle_rank(1e-6, 512) == 512


def test_away_from_the_knee_the_circle_has_the_minimum_of_both() -> None:
    for sigma, samples in itertools.product((0.1, 0.01, 0.001), (16, 50, 512, 2000)):
        minimum = ShiftedGaussian(1, sigma=sigma).closed_rank(samples)
        rank = gaussian_circle_rank(sigma, samples)
        assert rank <= minimum * (1 + 1e-12)
        if samples >= 1.8 / (2 * math.sqrt(math.pi) * sigma):
            assert rank == pytest.approx(minimum, rel=0.03)  # the authors' claim


@pytest.mark.parametrize("sigma", [0.05, 0.01, 0.002, 0.0005])
@pytest.mark.parametrize("samples", [1, 2, 50, 333, 512])
def test_the_formula_for_gaussians_is_that_for_any_profile(sigma: float, samples: int) -> None:
    profile = ShiftedGaussian(1, sigma=sigma, periodic=True).profile
    # Centres 1 / 65,536 apart are a thirtieth of the least sigma: what they miss is below exp(-2 pi^2 30^2).
    assert circle_rank(profile, samples) == pytest.approx(gaussian_circle_rank(sigma, samples), rel=1e-9)


@pytest.mark.parametrize("cls", [ShiftedGaussian, Rectangle, Triangle, Sinc], ids=lambda cls: cls.name)
@pytest.mark.parametrize("samples", [3, 50, 96, 480])
def test_the_circle_formula_is_the_rank_of_features_whose_centres_the_points_divide(
    cls: type[Bump], samples: int
) -> None:
    encoding = cls(1, sigma=0.0301, features=4800, periodic=True)
    expected = by_singular_values(encoding(line(samples)))
    assert circle_rank(encoding.profile, samples, centres=4800) == pytest.approx(expected, rel=1e-10)
    assert stable_rank(encoding, line(samples)) == pytest.approx(expected, rel=TOLERANCE)


# The ways to a Gram matrix, each against singular values

ONE_AXIS: list[Encoding] = [
    ShiftedGaussian(1, sigma=0.03, features=200),
    ShiftedGaussian(1, sigma=0.03, features=97, periodic=True, normalised=True),
    Rectangle(1, sigma=0.0501, features=120, periodic=True),
    Triangle(1, sigma=0.05, features=90),
    Sinc(1, sigma=0.05, features=90),
    SquareWave(1, sigma=3.3, features=100),
    Sine(1, sigma=2.7, features=100, offset=0.3),
    SineSquared(1, sigma=2.7, features=100),
    Impulse(1, features=150),
    noise(150),
    Basic(1),
    NoEncoding(1),
    random_features(9.0, 80),
    Gaussian(1, sigma=9.0, features=80, normalised=True, generator=generator()),
    Positional(1, sigma=5.0, features=24),
    LinearFrequency(1, sigma=5.0, features=64),
]
# All of them; those between; every third of 512; of another start; fewer than features; not equispaced.
POINTS = {
    "all": line(256),
    "between": line(128, 1 / 256),
    "third": line(171, 0, 3 / 512),
    "inside": line(100, 0.25, 0.004),
    "few": line(20),
    "two": line(2, 0.1, 0.2),
    "scattered": torch.rand(150, 1, generator=generator(), dtype=torch.float64),
    "single": line(1, 0.3),
}


@pytest.mark.parametrize("points", POINTS)
@pytest.mark.parametrize("encoding", ONE_AXIS, ids=lambda encoding: encoding.name)
def test_stable_rank_is_that_of_the_singular_values(encoding: Encoding, points: str, dense: int) -> None:
    expected = by_singular_values(encoding(POINTS[points]))
    assert stable_rank(encoding, POINTS[points]) == pytest.approx(expected, rel=2 * TOLERANCE)
    assert stable_rank(encoding.forward, POINTS[points]) == pytest.approx(expected, rel=2 * TOLERANCE)


@pytest.fixture(params=[None, 8], ids=["dense", "iterated"])
def dense(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """Up to which size matrices are decomposed: as it is, or so low that small ones go by products."""
    if request.param:
        monkeypatch.setattr(module, "DENSE", request.param)
        monkeypatch.setattr(module, "LANCZOS_VECTORS", 9)
        monkeypatch.setattr(module, "FOURIER_COST", 0.01)
    return module.DENSE


def test_the_ways_that_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    def way(encoding: Encoding, points: Tensor | Grid) -> str:
        return gram_of(encoding, points).times.__qualname__.split(".")[0]

    grid = Grid((half_open(9), half_open(8)))
    triangles = Triangle(1, sigma=0.1, features=1100)
    assert way(random_features(3.0), line(300)) == "toeplitz_gram"
    assert way(triangles, line(2000)) == "convolution_gram"
    assert way(triangles, line(300)) == "dense_gram"  # small
    assert way(triangles, line(1999)) == "matrix_gram"  # a common grid would be too fine
    assert way(triangles, torch.rand(1500, 1)) == "matrix_gram"  # not equispaced
    assert way(Impulse(1, features=1100), line(1100)) == "matrix_gram"  # by bins
    assert way(Positional(2, sigma=3.0), grid) == "gram_over_axes"
    assert way(random_features(3.0, dimensions=2), grid) == "dense_gram"


def test_points_and_centres_share_a_grid_where_it_is_short() -> None:
    encoding = Triangle(1, sigma=0.1, features=1200)
    straight = Line.through(line(1800))
    assert straight
    assert shared_grid(encoding, straight) == (2, 3)  # of 1 / 3600
    odd = Line(0, math.sqrt(0.5) / 1800, 1800, 1e-16)
    assert shared_grid(encoding, odd) is None


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_points_are_equispaced_up_to_the_rounding_of_their_dtype(dtype: torch.dtype) -> None:
    for count in (2, 3, 43, 512, 100_000):
        found = Line.through((torch.arange(count, dtype=torch.float64) / count).to(dtype)[:, None])
        assert found
        assert (found.start, found.count) == (0, count)
        assert found.step == pytest.approx(1 / count, abs=torch.finfo(dtype).eps / (count - 1))
    assert Line.through(half_open(43).double()[:, None]) is None  # rounded to float32, as if it were not
    moved = line(50)
    moved[20] += 1e-12
    assert Line.through(moved) is None
    assert Line.through(line(50).flip(0)) is None
    assert Line.through(line(50).expand(-1, 2)) is None


def test_points_in_float32_have_the_rank_of_those_in_float64() -> None:
    for encoding in (ShiftedGaussian(1, sigma=0.002, features=1000), random_features(40.0)):
        exact, rounded = (stable_rank(encoding, points) for points in (line(300), half_open(300)[:, None]))
        assert rounded == pytest.approx(exact, rel=2 * TOLERANCE)


@pytest.mark.parametrize("kept", [True, False])
def test_features_that_do_not_fit_are_computed_again(kept: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    points = torch.rand(700, 2, generator=generator(), dtype=torch.float64)
    monkeypatch.setattr(module, "DENSE", 64)
    encoding, calls = random_features(4.0, 160, dimensions=2), []
    expected = by_singular_values(encoding(points))
    monkeypatch.setattr(module, "BYTES_PER_SLAB", 100 * 160 * 8)
    monkeypatch.setattr(module, "BYTES_KEPT", 700 * 160 * 8 - (0 if kept else 1))

    def features(slab: Tensor) -> Tensor:
        calls.append(len(slab))
        return encoding(slab)

    assert stable_rank(features, points) == pytest.approx(expected, rel=2 * TOLERANCE)
    assert set(calls) == {1, 100}  # the first, to see how many there are
    assert (len(calls) == 8) == kept


def test_features_may_be_computed_in_float32() -> None:
    points, encoding = POINTS["scattered"], random_features(9.0, 80)
    found = stable_rank(encoding, points, dtype=torch.float32)
    # A phase of 30 cycles errs by 2e-5 in float32, every feature with it.
    assert found == pytest.approx(by_singular_values(encoding(points)), rel=1e-4)
    assert found != stable_rank(encoding, points)


@given(st.integers(1, 90), st.integers(1, 90), st.integers(0, 10**6))
@settings(max_examples=30, deadline=None)
def test_rank_of_any_matrix_lies_between_one_and_the_rank(rows: int, columns: int, seed: int) -> None:
    matrix = torch.randn(rows, columns, generator=generator(seed), dtype=torch.float64)
    places = torch.arange(rows)[:, None]
    found = rank_of(matrix_gram(lambda points: matrix[points[:, 0].long()], places.double()))
    assert found == pytest.approx(by_singular_values(matrix), rel=2 * TOLERANCE)
    assert 1 - TOLERANCE <= found <= min(rows, columns) * (1 + TOLERANCE)


def test_the_same_number_every_time_whatever_the_global_generators_are() -> None:
    encoding = ShiftedGaussian(1, sigma=0.003, features=1000)
    ranks = []
    for seed in (1, 2):
        np.random.seed(seed)
        torch.manual_seed(seed)
        ranks.append(stable_rank(encoding, line(400)))
    assert ranks[0] == ranks[1]


@pytest.mark.parametrize("points", [torch.zeros(3, 1), torch.zeros(100, 1)])
def test_features_that_are_all_zero_have_no_rank(points: Tensor) -> None:
    with pytest.raises(ValueError, match="stable rank: all features are zero at these points"):
        stable_rank(NoEncoding(1), points)


# Grids

GRID = Grid((half_open(13), half_open(9) * 0.7))


@pytest.mark.parametrize(
    "encoding",
    [
        Positional(2, sigma=3.0, features=160),
        ShiftedGaussian(2, sigma=0.1, features=60, normalised=True),
        ShiftedGaussian(2, sigma=0.1, features=60, diagonals=True),
        random_features(3.0, 80, dimensions=2),
        RandomNoise(2, features=150, generator=generator()),
        PerAxis([Basic(1), Triangle(1, sigma=0.2, features=70)]),
        NoEncoding(2),
    ],
    ids=lambda encoding: getattr(encoding, "name", "per_axis"),
)
def test_on_a_grid_it_is_that_of_its_points(encoding: Encoding, dense: int) -> None:
    expected = by_singular_values(encoding(GRID.points().double()))
    assert stable_rank(encoding, GRID) == pytest.approx(expected, rel=2 * TOLERANCE)


def test_on_a_grid_of_three_axes_it_is_that_of_its_points() -> None:
    grid = Grid((half_open(5), half_open(4), half_open(7)))
    encoding = Positional(3, sigma=3.0, features=120)
    expected = by_singular_values(encoding(grid.points().double()))
    assert rank_of(gram_over_axes(encoding, grid)) == pytest.approx(expected, rel=2 * TOLERANCE)


def test_a_kronecker_code_has_the_product_of_its_axes_ranks() -> None:
    first, second = ShiftedGaussian(1, sigma=0.1, features=11), random_features(2.0, 8)
    along = [encoding(axis[:, None].double()) for encoding, axis in zip((first, second), GRID.axes, strict=True)]
    code = torch.kron(along[1], along[0])  # the last axis slowest
    assert len(code) == len(GRID)
    found = kronecker_rank(PerAxis([first, second]), GRID)
    assert found == pytest.approx(by_singular_values(code), rel=2 * TOLERANCE)
    assert found == rank_of_product(
        [stable_rank(first, GRID.axes[0][:, None]), stable_rank(second, GRID.axes[1][:, None])]
    )
    assert rank_of_product([]) == 1


def test_it_is_the_same_by_either_gram_matrix(monkeypatch: pytest.MonkeyPatch) -> None:
    encoding = Triangle(1, sigma=0.05, features=100)
    for count in (70, 100, 130):
        straight = Line.through(line(count))
        assert straight
        gram = convolution_gram(encoding, straight, (10, count // 10))  # of 1 / (10 count)
        assert gram.size == min(count, 100)
        assert gram.trace == pytest.approx(float(encoding(line(count)).square().sum()))
        assert rank_of(gram) == pytest.approx(by_singular_values(encoding(line(count))))


# Every digit of the largest eigenvalue, where many are nearly as large


@pytest.mark.parametrize("options", [{}, {"periodic": True}], ids=["line", "circle"])
def test_a_flat_spectrum_does_not_mislead_the_iteration(options: dict[str, Any]) -> None:
    encoding, points = ShiftedGaussian(1, sigma=0.001, features=1250, **options), line(1250)
    assert gram_of(encoding, points).size > module.DENSE
    assert stable_rank(encoding, points) == pytest.approx(by_singular_values(encoding(points)), rel=TOLERANCE)
