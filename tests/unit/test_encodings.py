"""Encodings: identities and properties, each for every encoding that has it."""

import itertools
import json
import math
from collections.abc import Callable
from typing import Any, get_args

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from posenc.encodings.base import Encoding, FourierEncoding
from posenc.encodings.basic import Basic
from posenc.encodings.gaussian import Gaussian
from posenc.encodings.linear_frequency import LinearFrequency
from posenc.encodings.none import NoEncoding
from posenc.encodings.positional import Positional, axis_frequencies
from posenc.encodings.weighted import WeightedFourier
from posenc.plan.combinations import Combination
from posenc.plan.registry import Parameter, Part, parts
from posenc.training.stack import build

VARIANTS = ("code", "table_2", "section_6")
# Largest error of a feature in float32 against float64, by the highest frequency in cycles per unit.
# A phase of f cycles is rounded by about 2 pi f * 2**-24; the table allows four times that.
TOLERANCE = {1: 2e-6, 7: 1.2e-5, 31: 5e-5, 63: 1e-4, 255: 4e-4, 1023: 1.6e-3}


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def random_points(count: int, dimensions: int, seed: int = 0) -> Tensor:
    return torch.rand(count, dimensions, generator=generator(seed), dtype=torch.float64)


def choices(part: Part) -> list[dict[str, Any]]:
    """Settings of an encoding that give every allowed word of each parameter its turn, as a config states them."""
    options = [values_of(name, parameter, part) for name, parameter in part.parameters.items()]
    return [dict(zip(part.parameters, choice, strict=True)) for choice in itertools.product(*options)]


def values_of(name: str, parameter: Parameter, part: Part) -> tuple[Any, ...]:
    """Every word, both truth values, the default and another number; of sigma and of counts one is enough."""
    if isinstance(parameter.default, str):
        return get_args(parameter.annotation)
    if isinstance(parameter.default, bool):
        return (False, True)
    if isinstance(parameter.default, float):
        return (parameter.default, parameter.default - 1.5)
    if name == "sigma":
        return (0.3 if part.attributes["sigma_unit"] == "length" else 3.0,)
    return (24,)


def exists(parameters: dict[str, Any], dimensions: int) -> bool:
    """Whether an encoding with these settings has so many dimensions; that others are refused is tested elsewhere."""
    return dimensions == 2 or not parameters.get("diagonals", False)


FLAT = {"rectangle", "square_wave", "impulse", "random_noise"}  # constant but for jumps: no gradient anywhere

# Those that are made from what a theory study found have tests of their own, beside their study.
REGISTERED = [
    (part, choice)
    for part in parts("encodings").values()
    if "from_theory" not in part.attributes
    for choice in choices(part)
]
registered = pytest.mark.parametrize(
    ("part", "parameters"), REGISTERED, ids=[f"{part.name}-{'-'.join(map(str, c.values()))}" for part, c in REGISTERED]
)


def every_encoding(dimensions: int, **wanted: Any) -> list[Encoding]:
    """All encodings whose settings have these values."""
    return [
        build({"use": part.use, **choice}, dimensions, generator=generator())
        for part, choice in REGISTERED
        if wanted.items() <= choice.items() and exists(choice, dimensions)
    ]


def fourier_encodings(dimensions: int, **wanted: Any) -> list[FourierEncoding]:
    return [encoding for encoding in every_encoding(dimensions, **wanted) if isinstance(encoding, FourierEncoding)]


# Every registered encoding


@registered
def test_a_registered_encoding_survives_the_planner(
    part: Part, parameters: dict[str, Any], planned: Callable[..., list[Combination]]
) -> None:
    (combination,) = planned({part.name: parameters})
    spec = json.loads(json.dumps(combination.spec))
    assert spec == combination.spec  # builtins alone
    # A lesser parameter at its default is not mentioned, so that a new one leaves the fits that there are alone.
    defaults = {name: part.parameters[name].default for name in set(parameters) - {"sigma", "features", "variant"}}
    said = {name: value for name, value in parameters.items() if name not in defaults or value != defaults[name]}
    (member,) = spec["members"]
    assert member == {"use": part.use, **said}
    assert combination.settings["encoding"] == part.name
    assert {name: combination.members[0][name] for name in parameters} == parameters
    others = set(combination.members[0]) - set(parameters) - set(parts("networks")["mlp"].parameters)
    assert {combination.members[0][name] for name in others} <= {None}

    built = build(member, 2, generator=generator(7))
    assert type(built).name == part.name
    assert f"{type(built).__module__}:{type(built).__name__}" == part.use
    direct = build({"use": part.use, **parameters}, 2, generator=generator(7))
    points = random_points(5, 2)
    assert torch.equal(built(points), direct(points))


@pytest.mark.parametrize(
    ("part", "parameters", "dimensions"),
    [(*entry, dimensions) for entry in REGISTERED for dimensions in (1, 2, 3) if exists(entry[1], dimensions)],
)
def test_out_dim_is_the_number_of_features(part: Part, parameters: dict[str, Any], dimensions: int) -> None:
    encoding = build({"use": part.use, **parameters}, dimensions, generator=generator())
    assert encoding(random_points(6, dimensions)).shape == (6, encoding.out_dim)
    assert encoding(random_points(6, dimensions).reshape(2, 3, dimensions)).shape == (2, 3, encoding.out_dim)
    assert encoding.in_dim == dimensions
    if (frequencies := encoding.frequencies()) is not None:
        assert frequencies.shape == (encoding.out_dim // 2, dimensions)


@registered
def test_gradients_are_finite_at_the_corners(part: Part, parameters: dict[str, Any]) -> None:
    encoding = build({"use": part.use, **parameters}, 2, generator=generator())
    corners = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], requires_grad=True)
    weights = torch.randn(encoding.out_dim, generator=generator(1))
    if part.name in FLAT:
        assert not encoding(corners).requires_grad
        return
    (gradient,) = torch.autograd.grad((encoding(corners) @ weights).sum(), corners)
    assert torch.isfinite(gradient).all()
    assert (gradient != 0).any()


@registered
@pytest.mark.parametrize(
    ("given_as", "computed_in"),
    [
        (torch.float64, torch.float64),
        (torch.float32, torch.float32),
        (torch.bfloat16, torch.float32),
        (torch.float16, torch.float32),
    ],
)
def test_features_keep_the_input_precision_float32_at_least(
    part: Part, parameters: dict[str, Any], given_as: torch.dtype, computed_in: torch.dtype
) -> None:
    encoding = build({"use": part.use, **parameters}, 2, generator=generator())
    points = random_points(7, 2).to(given_as)
    features = encoding(points)
    assert features.dtype == computed_in
    # A low-precision input is taken as exact: the same as converting it first.
    assert torch.equal(features, encoding(points.to(computed_in)))


@registered
def test_phases_stay_out_of_autocast(part: Part, parameters: dict[str, Any]) -> None:
    encoding = build({"use": part.use, **parameters}, 2, generator=generator())
    points = random_points(50, 2).float()
    with torch.autocast("cpu", torch.bfloat16):
        inside = encoding(points)
    assert inside.dtype == torch.float32
    assert torch.equal(inside, encoding(points))


@registered
def test_the_draw_is_saved_and_is_a_parameter_only_where_it_is_trained(part: Part, parameters: dict[str, Any]) -> None:
    encoding = build({"use": part.use, **parameters}, 2, generator=generator())
    trained = {"B", "amplitudes"} if part.name == "gaussian_trained" else set()
    assert {name for name, _ in encoding.named_parameters()} == trained
    frequencies = encoding.frequencies()
    assert ("B" in encoding.state_dict()) == (frequencies is not None)
    if frequencies is not None:
        assert torch.equal(encoding.state_dict()["B"], frequencies)


# Identities of sine-cosine features


@pytest.mark.parametrize("dimensions", [1, 2, 3])
def test_squared_norm_is_the_number_of_frequencies_everywhere_and_normalised_one(dimensions: int) -> None:
    plain, normalised = (fourier_encodings(dimensions, normalised=wanted) for wanted in (False, True))
    chosen = [encoding for encoding in fourier_encodings(dimensions) if not isinstance(encoding, WeightedFourier)]
    assert len(plain) == len(normalised) == len(chosen) / 2  # weighted ones are always normalised
    for encoding in plain:
        norms = encoding(random_points(100, dimensions)).square().sum(dim=-1)
        torch.testing.assert_close(norms, torch.full_like(norms, encoding.out_dim // 2), rtol=1e-12, atol=0)
    for encoding in normalised:
        norms = encoding(random_points(100, dimensions)).square().sum(dim=-1)
        torch.testing.assert_close(norms, torch.ones_like(norms), rtol=1e-12, atol=0)


@pytest.mark.parametrize("dimensions", [1, 2, 3])
def test_normalised_features_are_the_others_over_the_root_of_the_number_of_frequencies(dimensions: int) -> None:
    points = random_points(40, dimensions)
    pairs = zip(*(fourier_encodings(dimensions, normalised=wanted) for wanted in (False, True)), strict=True)
    for plain, normalised in pairs:
        assert torch.equal(plain.B, normalised.B)  # the amplitude is not a part of the frequencies
        assert plain.bandwidth() == normalised.bandwidth()
        torch.testing.assert_close(normalised(points), plain(points) / math.sqrt(len(plain.B)), rtol=1e-13, atol=1e-15)


@given(shift=st.tuples(st.floats(-3, 3), st.floats(-3, 3)), seed=st.integers(0, 1000))
@settings(max_examples=30, deadline=None)
def test_inner_products_depend_only_on_the_difference(shift: tuple[float, float], seed: int) -> None:
    a, b = random_points(2, 2, seed)
    moved = torch.tensor(shift, dtype=torch.float64)
    for encoding in fourier_encodings(2):
        here = encoding(a) @ encoding(b)
        there = encoding(a + moved) @ encoding(b + moved)
        assert float(here) == pytest.approx(float(there), abs=1e-9)


def test_raw_coordinates_lack_that_property() -> None:
    encoding = NoEncoding(2)
    a, b = random_points(2, 2)
    assert float(encoding(a) @ encoding(b)) != pytest.approx(float(encoding(a + 1) @ encoding(b + 1)))


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("dimensions", [1, 2, 3])
def test_positional_is_the_matrix_form_with_an_explicit_matrix(variant: str, dimensions: int) -> None:
    encoding = Positional(dimensions, sigma=5.0, features=12 * dimensions, variant=variant)  # type: ignore[arg-type]
    band = {
        "code": [2 ** (5 * j / 5) - 1 for j in range(6)],
        "table_2": [2 ** (5 * j / 5) for j in range(6)],
        "section_6": [5 ** (j / 6) for j in range(6)],
    }[variant]
    B = torch.zeros(6 * dimensions, dimensions)
    for axis, j in itertools.product(range(dimensions), range(6)):
        B[6 * axis + j, axis] = band[j]
    frequencies = encoding.frequencies()
    assert frequencies is not None
    torch.testing.assert_close(frequencies, B)
    points = random_points(40, dimensions)
    phases = 2 * math.pi * points @ frequencies.double().T
    torch.testing.assert_close(encoding(points), torch.cat([phases.sin(), phases.cos()], dim=-1))


def test_basic_is_the_matrix_form_with_the_identity() -> None:
    points = random_points(40, 3)
    torch.testing.assert_close(
        Basic(3)(points), torch.cat([(2 * math.pi * points).sin(), (2 * math.pi * points).cos()], dim=-1)
    )


def test_no_encoding_is_the_identity() -> None:
    points = random_points(40, 3)
    assert torch.equal(NoEncoding(3)(points), points)
    assert NoEncoding(3).frequencies() is None
    assert NoEncoding(3).bandwidth() is None


@pytest.mark.parametrize(("scale", "shift", "ends"), [(2.0, -1.0, (-1, 1)), (1.0, -0.5, (-0.5, 0.5))])
def test_raw_coordinates_may_be_scaled_and_shifted(scale: float, shift: float, ends: tuple[float, float]) -> None:
    points = random_points(40, 3)
    encoding = NoEncoding(3, scale=scale, shift=shift)
    assert torch.equal(encoding(points), scale * points + shift)
    assert encoding(torch.tensor([[0.0] * 3, [1.0] * 3])).tolist() == [[ends[0]] * 3, [ends[1]] * 3]
    assert encoding.out_dim == 3
    assert encoding.frequencies() is None


# Frequencies


@pytest.mark.parametrize(("sigma", "highest"), [(6.0, 63), (5.0, 31), (3.0, 7), (4.0, 15), (8.0, 255)])
def test_code_variant_runs_from_zero_to_the_published_end_values(sigma: float, highest: int) -> None:
    band = axis_frequencies(sigma, 128, "code")
    assert band[0] == 0
    assert band[-1] == highest
    assert (band.diff() > 0).all()


@given(sigma=st.floats(0.5, 10), count=st.integers(2, 128))
@settings(max_examples=50, deadline=None)
def test_frequencies_equal_the_formulas_of_the_paper_and_code(sigma: float, count: int) -> None:
    formulas = {
        "code": 2 ** np.linspace(0, sigma, count) - 1,
        "table_2": 2 ** (sigma * np.linspace(0, 1, count)),
        "section_6": sigma ** (np.arange(count) / count),
    }
    for variant, formula in formulas.items():
        np.testing.assert_allclose(axis_frequencies(sigma, count, variant), formula, rtol=1e-6, atol=1e-7)


def test_what_does_not_divide_over_the_axes_is_dropped() -> None:
    assert Positional(3, sigma=4.0, features=512).out_dim == 510
    assert Positional(2, sigma=4.0, features=512).out_dim == 512


def test_too_few_features_for_the_axes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"positional: 4 features are too few for 3 axes \(at least 6\)"):
        Positional(3, sigma=4.0, features=4)


@given(sigma=st.floats(0.1, 100), dimensions=st.integers(1, 3))
@settings(max_examples=20, deadline=None)
def test_bandwidth_of_gaussian_features_is_sigma(sigma: float, dimensions: int) -> None:
    bandwidth = Gaussian(dimensions, sigma=sigma, features=20_000, generator=generator()).bandwidth()
    assert bandwidth == pytest.approx(sigma, rel=5 / math.sqrt(2 * 10_000 * dimensions))


def test_bandwidth_is_the_root_mean_square_over_rows_and_axes() -> None:
    assert Basic(2).bandwidth() == pytest.approx(math.sqrt(1 / 2))
    # 0, 1 and 3 cycles on each of two axes, zero on the other
    assert Positional(2, sigma=2.0, features=12).bandwidth() == pytest.approx(math.sqrt((0 + 1 + 9) * 2 / 12))


@pytest.mark.parametrize("dimensions", [1, 2, 3])
def test_linear_frequencies_run_evenly_from_one_on_every_axis(dimensions: int) -> None:
    encoding = LinearFrequency(dimensions, sigma=5.0, features=12 * dimensions + 1)
    band = torch.linspace(1, 32, 6)
    torch.testing.assert_close(encoding.B, torch.kron(torch.eye(dimensions), band[:, None]))
    columns = encoding.axis_columns()
    assert columns is not None
    assert [len(part) for part in columns] == [12] * dimensions


def test_too_few_linear_frequencies_are_refused() -> None:
    with pytest.raises(ValueError, match=r"linear_frequency: 4 features are too few for 3 axes \(at least 6\)"):
        LinearFrequency(3, sigma=4.0, features=4)


# Random features


def test_a_seed_gives_one_matrix_and_another_seed_another() -> None:
    drawn = [Gaussian(2, sigma=3.0, generator=generator(seed)).B for seed in (5, 5, 6)]
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])


def test_the_draw_leaves_the_global_generator_alone() -> None:
    before = torch.random.get_rng_state()
    Gaussian(2, sigma=3.0, generator=generator())
    assert torch.equal(before, torch.random.get_rng_state())


def test_sigma_scales_one_and_the_same_draw() -> None:
    unit, scaled = (Gaussian(2, sigma=sigma, generator=generator(1)).B for sigma in (1.0, 12.0))
    torch.testing.assert_close(scaled, 12 * unit)


def test_gaussian_features_converge_to_the_gaussian_kernel_at_the_monte_carlo_rate() -> None:
    sigma, rows, draws = 2.0, (64, 1024), 60
    difference = torch.tensor([[0.03, 0.0], [0.05, 0.04], [0.1, 0.1], [0.3, 0.2]], dtype=torch.float64)
    kernel = torch.exp(-2 * math.pi**2 * sigma**2 * difference.square().sum(dim=1))
    errors = []
    for m in rows:
        encodings = [Gaussian(2, sigma=sigma, features=2 * m, generator=generator(seed)) for seed in range(draws)]
        origin = torch.zeros(1, 2, dtype=torch.float64)
        estimates = torch.stack([(encoding(difference) @ encoding(origin).T)[:, 0] / m for encoding in encodings])
        errors.append((estimates - kernel).square().mean(dim=0).sqrt())
        # One estimate is a mean of m cosines with variance (1 + h(2d)) / 2 - h(d)**2.
        expected = ((1 + kernel**4) / 2 - kernel**2).div(m).sqrt()
        torch.testing.assert_close(errors[-1], expected, rtol=4 / math.sqrt(2 * draws), atol=0)
        # Unbiased: the mean over draws lies within four standard errors.
        assert ((estimates.mean(dim=0) - kernel).abs() < 4 * expected / math.sqrt(draws)).all()
    assert (errors[1] < errors[0] / 2).all()  # 16 times the rows: a quarter of the error, within chance


# Rounding


@pytest.mark.parametrize("highest", TOLERANCE)
def test_float32_phases_err_less_than_the_table_allows(highest: int) -> None:
    coordinates = (torch.arange(512) / 512)[:, None].expand(-1, 2).contiguous() + torch.rand(512, 2) / 1024
    sigma = math.log2(highest + 1)
    B = Positional(2, sigma=sigma, features=128).B if highest > 1 else Basic(2).B
    assert B.max() == highest
    exact = FourierEncoding(B.double())(coordinates.double())
    assert (FourierEncoding(B)(coordinates).double() - exact).abs().max() < TOLERANCE[highest]
    # The table is no blank cheque: phases of half the digits break it.
    assert (FourierEncoding(B)(coordinates.half()).double() - exact).abs().max() > TOLERANCE[highest]
