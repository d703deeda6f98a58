"""Shifted encodings: each by its own formula, their closed forms, rounding and draws; encodings per axis."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from scipy.linalg import circulant
from torch import Tensor

from posenc.encodings.base import Encoding
from posenc.encodings.basic import Basic
from posenc.encodings.gaussian import Gaussian
from posenc.encodings.none import NoEncoding
from posenc.encodings.per_axis import PerAxis
from posenc.encodings.shifted import (
    Bump,
    Impulse,
    Profile,
    RandomNoise,
    Rectangle,
    Shifted,
    ShiftedGaussian,
    Sinc,
    Sine,
    SineSquared,
    SquareWave,
    Triangle,
    Wave,
)
from posenc.plan.registry import parts
from posenc.plan.scales import sigma_of_nyquist
from posenc.problems.grid import half_open
from posenc.theory.stable_rank import circle_rank

Array = np.ndarray
BUMPS: list[type[Bump]] = [ShiftedGaussian, Rectangle, Triangle, Sinc]
WAVES: list[type[Wave]] = [SquareWave, Sine, SineSquared]


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def random_points(count: int, dimensions: int = 1, seed: int = 0) -> Tensor:
    return torch.rand(count, dimensions, generator=generator(seed), dtype=torch.float64)


def every_shifted(in_dim: int, features: int = 24, **settings: Any) -> list[Shifted]:
    """One of each class, widths 0.1 and 3 cycles."""
    return [
        *(cls(in_dim, sigma=0.1, features=features, **settings) for cls in BUMPS),
        *(cls(in_dim, sigma=3.0, features=features, **settings) for cls in WAVES),
        Impulse(in_dim, features=features, **settings),
        RandomNoise(in_dim, features=features, generator=generator(), **settings),
    ]


def names(encodings: list[Any]) -> list[str]:
    return [encoding.name for encoding in encodings]


# Formulas: phi at a displacement, in NumPy
FORMULAS: dict[str, Callable[[Array, float], Array]] = {
    "shifted_gaussian": lambda u, sigma: np.exp(-(u**2) / (2 * sigma**2)),
    "rectangle": lambda u, sigma: np.where(np.abs(u) < sigma, 1.0, 0.0),
    "triangle": lambda u, sigma: np.maximum(0, 1 - np.abs(u) / sigma),
    "sinc": lambda u, sigma: np.sinc(u / sigma),
    "square_wave": lambda u, f: np.sign(np.sin(2 * np.pi * f * u)),
    "sine": lambda u, f: np.sin(2 * np.pi * f * u),
    "sine_squared": lambda u, f: np.sin(np.pi * f * u) ** 2,
}


def test_every_registered_shifted_encoding_is_tested_here() -> None:
    registered = {name for name, part in parts("encodings").items() if part.use.startswith("posenc.encodings.shifted:")}
    assert registered == set(names(every_shifted(1)))
    assert registered == {*FORMULAS, "impulse", "random_noise"}


@pytest.mark.parametrize("cls", BUMPS, ids=lambda cls: cls.name)
def test_a_bump_is_its_formula_about_each_centre(cls: type[Bump]) -> None:
    points, centres = random_points(200), np.arange(40) / 40
    displacements = points.numpy() - centres
    on_line, on_circle = (cls(1, sigma=0.13, features=40, periodic=periodic) for periodic in (False, True))
    phi = FORMULAS[cls.name]
    np.testing.assert_allclose(on_line(points), phi(displacements, 0.13), atol=1e-14)
    nearest = displacements - np.round(displacements)
    np.testing.assert_allclose(on_circle(points), phi(nearest, 0.13), atol=1e-14)
    assert not np.allclose(on_line(points), on_circle(points), atol=1e-2)


@pytest.mark.parametrize("cls", WAVES, ids=lambda cls: cls.name)
def test_a_wave_is_its_formula_about_each_centre_and_goes_round_the_circle(cls: type[Wave]) -> None:
    points, centres = random_points(200), np.arange(40) / 40
    encoding = cls(1, sigma=3.0, features=40)
    expected = FORMULAS[cls.name](points.numpy() - centres, 3.0)
    np.testing.assert_allclose(encoding(points), expected, atol=1e-13)
    np.testing.assert_allclose(encoding(points + 1), expected, atol=1e-13)


def test_a_sine_may_have_an_offset() -> None:
    points = random_points(50)
    plain, raised = (Sine(1, sigma=2.0, features=16, offset=offset) for offset in (0.0, 0.7))
    torch.testing.assert_close(raised(points), plain(points) + 0.7)


def test_impulse_and_noise_are_rows_of_circulant_matrices() -> None:
    points = random_points(200)
    rows = np.floor(points.numpy()[:, 0] * 40).astype(int)
    unit = np.eye(40)[0]
    assert np.array_equal(Impulse(1, features=40)(points), circulant(unit)[rows])
    noise = RandomNoise(1, features=40, generator=generator(3))
    drawn = torch.randn(40, generator=generator(3)).double().numpy()
    assert np.array_equal(noise(points), circulant(drawn)[rows])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("count", [512, 1000, 8192, 10_000])
def test_points_of_a_grid_lie_in_the_bins_that_whole_numbers_give(count: int, dtype: torch.dtype) -> None:
    """i / N rounded down by float32 (0.7 is one) would fall into the bin before."""
    for samples in (10, 16, 43, 86, 100, 256, 300, 512):
        points = half_open(samples).to(dtype)
        found = Impulse(1, features=count)(points[:, None]).argmax(dim=1)
        assert found.tolist() == [i * count // samples for i in range(samples)]


def test_two_dimensions_have_the_features_of_each_axis_side_by_side() -> None:
    points = random_points(30, 2)
    for flat, line in zip(every_shifted(2, features=48), every_shifted(1), strict=True):
        expected = torch.cat([line(points[:, :1]), line(points[:, 1:])], dim=1)
        assert torch.equal(flat(points), expected)
        columns = flat.axis_columns()
        assert columns is not None
        assert [part.tolist() for part in columns] == [list(range(24)), list(range(24, 48))]


def test_diagonals_are_two_more_lines() -> None:
    points = random_points(30, 2)
    x, y = points.split(1, dim=1)
    for crossed, line in zip(every_shifted(2, features=96, diagonals=True), every_shifted(1), strict=True):
        lines = [x, y, (x + y) / 2, (x - y + 1) / 2]
        torch.testing.assert_close(crossed(points), torch.cat([line(at) for at in lines], dim=1))
        assert crossed.axis_columns() is None


@pytest.mark.parametrize("dimensions", [1, 3])
def test_diagonals_need_two_dimensions(dimensions: int) -> None:
    with pytest.raises(ValueError, match=f"rectangle: diagonals are lines of two dimensions, not of {dimensions}"):
        Rectangle(dimensions, sigma=0.1, diagonals=True)


def test_what_does_not_divide_over_the_lines_is_dropped_and_too_few_are_refused() -> None:
    assert Triangle(3, sigma=0.1, features=512).out_dim == 510
    assert Triangle(2, sigma=0.1, features=1000, diagonals=True).out_dim == 1000
    with pytest.raises(ValueError, match=r"impulse: 3 features are too few for 4 lines \(at least 4\)"):
        Impulse(2, features=3, diagonals=True)


@pytest.mark.parametrize("dimensions", [1, 2])
def test_normalised_features_have_norm_one_at_the_middle(dimensions: int) -> None:
    middle, points = torch.full((dimensions,), 0.5, dtype=torch.float64), random_points(20, dimensions)
    pairs = zip(every_shifted(dimensions), every_shifted(dimensions, normalised=True), strict=True)
    for plain, normalised in pairs:
        assert float(normalised(middle).norm()) == pytest.approx(1, abs=1e-14)
        torch.testing.assert_close(normalised(points) * plain(middle).norm(), plain(points))


@pytest.mark.parametrize("samples", [16, 256])
def test_the_norm_at_the_middle_is_the_authors_largest_norm_of_a_row(samples: int) -> None:
    for encoding in every_shifted(1, features=10_000):
        norms = encoding(half_open(samples).double()[:, None]).norm(dim=1)
        # A rectangle's edge falls on a centre or beside it: one more centre of the 2000 within reach.
        tolerance = 1 / 2000 if encoding.name == "rectangle" else 1e-6
        # A sinc's tails lie in the domain as far as it goes, so the norm is largest at the middle alone.
        assert float(norms.max()) == pytest.approx(encoding.norm_at_middle(), rel=tolerance)


def test_features_that_miss_the_middle_cannot_be_normalised() -> None:
    with pytest.raises(ValueError, match=r"triangle: no feature reaches the middle .* give more than 5 centres"):
        Triangle(1, sigma=0.01, features=5, normalised=True)


# Closed forms


def closed() -> list[Encoding]:
    """Encodings with closed forms and 10,000 features, the shifted ones on the circle."""
    return [
        *(
            cls(1, sigma=sigma, features=10_000, periodic=True)
            for cls in (ShiftedGaussian, Rectangle, Triangle)
            for sigma in (0.05, 0.02)
        ),
        *(cls(1, sigma=sigma, features=10_000) for cls in WAVES for sigma in (1.0, 5.0)),
        Sine(1, sigma=2.0, features=10_000, offset=0.7),
        SquareWave(1, sigma=2.0, features=10_000, binary=True),
        Basic(1),
    ]


@pytest.mark.parametrize("encoding", closed(), ids=lambda encoding: f"{encoding.name}-{getattr(encoding, 'sigma', 1)}")
def test_closed_similarity_is_the_inner_product_of_many_features(encoding: Encoding) -> None:
    displacements = torch.linspace(-0.5, 0.5, 1001, dtype=torch.float64)[:-1]
    features = encoding(0.5 + displacements[:, None])
    middle = encoding(torch.tensor([0.5], dtype=torch.float64))
    found = encoding.closed_similarity(displacements)
    assert found is not None
    # Edges fall between centres: one centre of the 400 within a rectangle of 0.04, four edges a period of 2000.
    tolerance = {"rectangle": 1 / 400, "square_wave": 4 / 2000}.get(encoding.name, 1e-5)
    torch.testing.assert_close(found, features @ middle / middle.square().sum(), atol=tolerance, rtol=0)
    at_zero = encoding.closed_similarity(torch.zeros(1, dtype=torch.float64))
    assert at_zero is not None
    assert float(at_zero) == 1


@pytest.mark.parametrize("encoding", closed(), ids=lambda encoding: f"{encoding.name}-{getattr(encoding, 'sigma', 1)}")
def test_closed_rank_is_that_of_many_points_on_a_circle(encoding: Encoding) -> None:
    rank = encoding.closed_rank(2048)
    profile = encoding.profile if isinstance(encoding, Profile) else lambda u: torch.cos(2 * math.pi * u)
    # Edges between the 65,536 centres again, of a rectangle of 0.04 or a period of 1/5.
    tolerance = {"rectangle": 2 / 2600, "square_wave": 4 / 13_000}.get(encoding.name, 1e-4)
    assert rank == pytest.approx(circle_rank(profile, 2048), rel=tolerance)


@pytest.mark.parametrize("encoding", every_shifted(1), ids=names(every_shifted(1)))
def test_closed_rank_is_never_more_than_the_points_nor_less_than_one(encoding: Shifted) -> None:
    if isinstance(encoding, RandomNoise):
        assert encoding.closed_rank(10) is None
        assert encoding.closed_similarity(torch.zeros(1)) is None
        return
    plateau = encoding.plateau()
    assert plateau is not None
    for samples in (1, 2, 3, 5, 100):
        assert encoding.closed_rank(samples) == max(1, min(samples, plateau))
    if isinstance(encoding, Bump):
        assert type(encoding)(1, sigma=10.0).closed_rank(100) == 1


def test_closed_forms_at_values_worked_out_by_hand() -> None:
    at = torch.tensor([0.0, 0.05, 0.1, 0.15, 0.2, 0.3], dtype=torch.float64)
    assert Rectangle(1, sigma=0.1).closed_similarity(at).tolist() == pytest.approx([1, 0.75, 0.5, 0.25, 0, 0])
    spline = [1, 1 - 1.5 / 4 + 0.75 / 8, 0.25, 0.25 / 8, 0, 0]
    assert Triangle(1, sigma=0.1).closed_similarity(at).tolist() == pytest.approx(spline)
    square = SquareWave(1, sigma=1.0).closed_similarity(torch.tensor([0.0, 0.125, 0.25, 0.5, 0.75, 1.0]))
    assert square.tolist() == pytest.approx([1, 0.5, 0, -1, 0, 1])
    binary = SquareWave(1, sigma=1.0, binary=True).closed_similarity(torch.tensor([0.0, 0.125, 0.25, 0.5, 0.75, 1.0]))
    assert binary.tolist() == pytest.approx([1, 0.75, 0.5, 0, 0.5, 1])
    ranks = [ShiftedGaussian(1, sigma=0.01), Rectangle(1, sigma=0.1), Triangle(1, sigma=0.1), Sinc(1, sigma=0.1)]
    assert [encoding.closed_rank(1000) for encoding in ranks] == pytest.approx([28.2095, 5, 20 / 3, 10], rel=1e-5)
    waves = [SquareWave(1, sigma=3.0), Sine(1, sigma=3.0), Sine(1, sigma=3.0, offset=0.7), SineSquared(1, sigma=3.0)]
    assert [encoding.closed_rank(1000) for encoding in waves] == pytest.approx([math.pi**2 / 4, 2, 0.99 / 0.49, 1.5])
    assert Impulse(1).closed_rank(1000) == 1000
    assert Impulse(1).closed_similarity(at).tolist() == [1, 0, 0, 0, 0, 0]
    gaussian = Gaussian(1, sigma=5.0, generator=generator())
    assert [gaussian.closed_rank(samples) for samples in (7, 100)] == pytest.approx([7, 12.5331], rel=1e-5)
    assert float(gaussian.closed_similarity(at)[1]) == pytest.approx(math.exp(-2 * (math.pi * 0.25) ** 2))
    assert [Basic(1).closed_rank(samples) for samples in (1, 2, 3, 100)] == [1, 1, 2, 2]
    assert NoEncoding(1).closed_rank(10) is None
    assert NoEncoding(1).closed_similarity(at) is None


def test_a_sinc_is_flat_on_the_line_but_overshoots_wrapped_around_the_circle() -> None:
    """Its closed form needs an endless line; the overshoot of Gibbs, 1.0895 of the height, does not go away."""
    for sigma in (0.01, 0.002):
        wrapped_rank = circle_rank(Sinc(1, sigma=sigma, periodic=True).profile, 4096)
        assert wrapped_rank * sigma == pytest.approx(1 / 1.0895**2, rel=0.005)


# Scales


def test_a_length_relative_to_the_nyquist_frequency_has_the_rank_of_random_features_of_it() -> None:
    sigma = sigma_of_nyquist(0.5, 128, "length")
    assert sigma == pytest.approx(1 / (2 * math.sqrt(2) * math.pi * 64), rel=1e-3)
    shifted, random = ShiftedGaussian(1, sigma=sigma), Gaussian(1, sigma=64.0, generator=generator())
    assert shifted.closed_rank(1000) == pytest.approx(random.closed_rank(1000), rel=1e-3)
    assert shifted.bandwidth() == pytest.approx(64, rel=1e-3)
    # The authors' pair: 0.005 and 22.51.
    assert ShiftedGaussian(1, sigma=0.005).bandwidth() == pytest.approx(22.51, abs=0.005)


@pytest.mark.parametrize("encoding", every_shifted(2), ids=names(every_shifted(2)))
def test_bandwidth_is_that_of_random_features_of_the_same_plateau(encoding: Shifted) -> None:
    bandwidth, plateau = encoding.bandwidth(), encoding.plateau()
    if isinstance(encoding, Impulse | RandomNoise):
        assert bandwidth is None
    else:
        assert bandwidth is not None
        assert Gaussian(1, sigma=bandwidth, generator=generator()).closed_rank(10**6) == pytest.approx(
            max(1, plateau or 0)
        )


# Rounding, gradients, draws

# Largest slope of phi per unit, at sigma 0.01 or 20 cycles, and what it is multiplied with: a centre is rounded by
# 2**-25 and so is a displacement; the phase of a wave, up to its slope, twice more by 2**-24 of it. A feature errs by
# the product and a few roundings of its own, of at most 2**-22.
SLOPES = [
    (ShiftedGaussian, 0.01, math.exp(-0.5) / 0.01, 2**-24),
    (Triangle, 0.01, 1 / 0.01, 2**-24),
    (Sinc, 0.01, 1.3706 / 0.01, 2**-24),
    (Sine, 20.0, 2 * math.pi * 20, 3 * 2**-24),
    (SineSquared, 20.0, math.pi * 20, 3 * 2**-24),
]


@pytest.mark.parametrize(("cls", "sigma", "slope", "rounding"), SLOPES, ids=[entry[0].name for entry in SLOPES])
def test_float32_features_err_by_no_more_than_their_slope_explains(
    cls: type[Bump] | type[Wave], sigma: float, slope: float, rounding: float
) -> None:
    points = random_points(400).float()
    encoding = cls(1, sigma=sigma, features=1000)
    features, exact = encoding(points), encoding(points.double())
    allowed = slope * rounding + 2**-22
    assert float((features.double() - exact).abs().max()) < allowed
    # No blank cheque: coordinates of half the digits break it.
    assert float((encoding(points.half()).double() - exact).abs().max()) > 100 * allowed


@pytest.mark.parametrize(
    "encoding", [Rectangle(1, sigma=0.01, features=1000), SquareWave(1, sigma=20.0, features=1000)]
)
def test_float32_moves_edges_by_less_than_its_rounding(encoding: Profile) -> None:
    points = random_points(400).float()
    differs = encoding(points).double() != encoding(points.double())
    displacements = (points.double() - torch.arange(1000, dtype=torch.float64) / 1000).abs()
    spacing, first = (1.0, 0.01) if isinstance(encoding, Rectangle) else (1 / 40, 0.0)
    to_edge = (displacements - first - ((displacements - first) / spacing).round() * spacing).abs()
    assert not bool((differs & (to_edge > 2**-23)).any())
    assert float(differs.double().mean()) < 1e-4  # the rest is as it was


def test_float32_finds_the_bins_of_float64() -> None:
    points = random_points(2000).float()
    for encoding in (Impulse(1, features=1000), RandomNoise(1, features=1000, generator=generator())):
        assert torch.equal(encoding(points).double(), encoding(points.double()))


@pytest.mark.parametrize("encoding", every_shifted(2), ids=names(every_shifted(2)))
def test_gradients_are_finite_where_a_point_is_a_centre(encoding: Shifted) -> None:
    points = torch.tensor([[0.5, 0.25], [0.0, 0.0], [1.0, 1.0]], requires_grad=True)
    features = encoding(points)
    if isinstance(encoding, Rectangle | SquareWave | Impulse | RandomNoise):
        assert not features.requires_grad  # flat but for jumps
        return
    weights = torch.randn(encoding.out_dim, generator=generator(1))
    (gradient,) = torch.autograd.grad((features @ weights).sum(), points)
    assert torch.isfinite(gradient).all()
    assert (gradient != 0).any()


def test_noise_is_its_generator_s_and_is_saved() -> None:
    drawn = [RandomNoise(1, features=50, generator=generator(seed)) for seed in (5, 5, 6)]
    points = random_points(20)
    assert torch.equal(drawn[0](points), drawn[1](points))
    assert not torch.equal(drawn[0](points), drawn[2](points))
    before = torch.random.get_rng_state()
    other = RandomNoise(1, features=50, generator=generator(6))
    assert torch.equal(before, torch.random.get_rng_state())
    other.load_state_dict(drawn[0].state_dict())
    assert torch.equal(other(points), drawn[0](points))
    assert set(drawn[0].state_dict()) == {"noise"}


# An encoding per axis


def test_an_encoding_per_axis_gives_each_its_coordinate() -> None:
    first, second = Basic(1), Triangle(1, sigma=0.2, features=7)
    encoding = PerAxis([first, second])
    points = random_points(10, 2)
    assert torch.equal(encoding(points), torch.cat([first(points[:, :1]), second(points[:, 1:])], dim=1))
    assert (encoding.in_dim, encoding.out_dim) == (2, 9)
    assert [columns.tolist() for columns in encoding.axis_columns()] == [[0, 1], [2, 3, 4, 5, 6, 7, 8]]
    assert encoding.frequencies() is None
    at = torch.linspace(0, 0.5, 5)
    assert encoding.closed_rank(100) == first.closed_rank(100)
    assert torch.equal(encoding.closed_similarity(at), first.closed_similarity(at))


def test_frequencies_per_axis_are_blocks_and_the_bandwidth_is_an_axis_own() -> None:
    axes = [Gaussian(1, sigma=sigma, features=8, generator=generator(seed)) for seed, sigma in enumerate((3.0, 5.0))]
    encoding = PerAxis(axes)
    frequencies = encoding.frequencies()
    assert frequencies is not None
    assert torch.equal(frequencies, torch.block_diag(axes[0].B, axes[1].B))
    assert encoding.bandwidth() == axes[0].bandwidth()
    assert {name.split(".")[-1] for name in encoding.state_dict()} == {"B"}
    assert len(encoding.state_dict()) == 2


@pytest.mark.parametrize("encodings", [[], [Basic(1), Basic(2)]])
def test_an_encoding_per_axis_takes_those_of_one_dimension(encodings: list[Encoding]) -> None:
    with pytest.raises(ValueError, match="PerAxis: give an encoding of one dimension for each axis"):
        PerAxis(encodings)
