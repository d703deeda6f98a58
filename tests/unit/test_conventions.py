"""Each row of the tables in docs/conventions.md, computed by its own formula and compared as the row states."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy import concatenate, cos, linspace, pi, sin, stack
from scipy.linalg import circulant

from posenc.encodings.base import Encoding
from posenc.encodings.basic import Basic
from posenc.encodings.gaussian import Gaussian
from posenc.encodings.linear_frequency import LinearFrequency
from posenc.encodings.none import NoEncoding
from posenc.encodings.positional import Positional
from posenc.encodings.shifted import (
    Impulse,
    RandomNoise,
    Rectangle,
    ShiftedGaussian,
    Sinc,
    Sine,
    SineSquared,
    SquareWave,
    Triangle,
)
from posenc.networks.mlp import MLP

PAGE = (Path(__file__).parents[2] / "docs" / "conventions.md").read_text()
Array = np.ndarray
d, m = 2, 8  # axes; frequencies per axis, or rows of B
V = np.random.default_rng(0).random((50, d))


def equality_by_convention() -> dict[str, str]:
    """The last column of the page's tables, by the first."""
    rows = [line.strip("| ").split(" | ") for line in PAGE.splitlines() if line.startswith("| `")]
    return {cells[0].strip("`"): cells[-1] for cells in rows}


def random_state() -> torch.Generator:
    return torch.Generator().manual_seed(3)


def normal(rows: int = m) -> Array:
    """The standard normal draw behind `gaussian` at that generator, (rows, d)."""
    return torch.randn(rows, d, generator=random_state()).double().numpy()


def table_2(highest_exponent: float, count: int) -> Positional:
    return Positional(d, sigma=highest_exponent, features=2 * d * count, variant="table_2")


def gaussian(sigma: float) -> Gaussian:
    return Gaussian(d, sigma=sigma, features=2 * m, generator=random_state())


def both(phases: Array) -> Array:
    """All sines, then all cosines."""
    return concatenate([sin(phases), cos(phases)], axis=-1)


def as_shift(phases: Array) -> Array:
    """All sines, then all cosines as sines a quarter turn later."""
    return sin(concatenate([phases, phases + pi / 2], axis=-1))


def pairs(phases: Array) -> Array:
    """Sine and cosine in turn along the last axis."""
    return stack([sin(phases), cos(phases)], axis=-1).reshape(len(phases), -1)


def flat(phases: Array) -> Array:
    return phases.reshape(len(phases), -1)


def about_centres(v: Array) -> Array:
    """Displacements from m centres on each axis, axis by axis."""
    return flat(v[:, :, None] - np.arange(m) / m)


def rows_of(vector: Array) -> Callable[[Array], Array]:
    """Rows floor(u m) of the circulant matrix of a vector, axis by axis."""
    return lambda v: flat(circulant(vector)[np.floor(v * m).astype(int) % m])


def white_noise() -> Array:
    return torch.randn(m, generator=random_state()).double().numpy()


# Per convention: its formula at v in [0, 1), and our encoding of `ours(v)`. `v[:, :, None] * f` runs per axis, per
# frequency; `f[:, None] * v[:, None, :]` per frequency, per axis.
Formula = Callable[[Array], Array]
CONVENTIONS: dict[str, tuple[Formula, Encoding, Formula]] = {
    "none": (lambda v: v, NoEncoding(d), lambda v: v),
    "basic": (lambda v: both(2 * pi * v), Basic(d), lambda v: v),
    "positional, code": (
        lambda v: both(flat(2 * pi * v[:, :, None] * (2 ** linspace(0, 5, m) - 1))),
        Positional(d, sigma=5, features=2 * d * m),
        lambda v: v,
    ),
    "positional, table_2": (
        lambda v: both(flat(2 * pi * v[:, :, None] * 2 ** (5 * linspace(0, 1, m)))),
        table_2(5, m),
        lambda v: v,
    ),
    "positional, section_6": (
        lambda v: both(flat(2 * pi * v[:, :, None] * 30 ** (np.arange(m) / m))),
        Positional(d, sigma=30, features=2 * d * m, variant="section_6"),
        lambda v: v,
    ),
    "gaussian": (lambda v: both(2 * pi * v @ (7 * normal()).T), gaussian(7), lambda v: v),
    "linear_frequency": (
        lambda v: both(flat(2 * pi * v[:, :, None] * linspace(1, 2**5, m))),
        LinearFrequency(d, sigma=5, features=2 * d * m),
        lambda v: v,
    ),
    "shifted_gaussian": (
        lambda v: np.exp(-(about_centres(v) ** 2) / (2 * 0.1**2)),
        ShiftedGaussian(d, sigma=0.1, features=d * m),
        lambda v: v,
    ),
    "rectangle": (
        lambda v: np.where(abs(about_centres(v)) < 0.2, 1.0, 0.0),
        Rectangle(d, sigma=0.2, features=d * m),
        lambda v: v,
    ),
    "triangle": (
        lambda v: np.maximum(0, 1 - abs(about_centres(v)) / 0.2),
        Triangle(d, sigma=0.2, features=d * m),
        lambda v: v,
    ),
    "sinc": (
        lambda v: sin(pi * about_centres(v) / 0.2) / (pi * about_centres(v) / 0.2),
        Sinc(d, sigma=0.2, features=d * m),
        lambda v: v,
    ),
    "square_wave": (
        lambda v: np.where(about_centres(v) * 3 % 1 < 0.5, 1.0, -1.0),
        SquareWave(d, sigma=3, features=d * m),
        lambda v: v,
    ),
    "sine": (lambda v: sin(2 * pi * 3 * about_centres(v)), Sine(d, sigma=3, features=d * m), lambda v: v),
    "sine_squared": (
        lambda v: sin(pi * 3 * about_centres(v)) ** 2,
        SineSquared(d, sigma=3, features=d * m),
        lambda v: v,
    ),
    "impulse": (rows_of(np.eye(m)[0]), Impulse(d, features=d * m), lambda v: v),
    "random_noise": (
        rows_of(white_noise()),
        RandomNoise(d, features=d * m, generator=random_state()),
        lambda v: v,
    ),
    "siren, mode nerf": (
        lambda v: pairs(flat(2.0 ** np.arange(6)[:, None] * pi * (2 * v - 1)[:, None, :])),
        table_2(5, 6),
        lambda v: v,
    ),
    "tiny-cuda-nn Frequency": (
        lambda v: pairs(flat(pi * v[:, :, None] * 2.0 ** np.arange(6))),
        table_2(5, 6),
        lambda v: v / 2,
    ),
    "nerfstudio NeRFEncoding": (
        lambda v: as_shift(flat(2 * pi * v[:, :, None] * 2 ** linspace(0, 4.5, m))),
        table_2(4.5, m),
        lambda v: v,
    ),
    "nerfstudio RFFEncoding": (lambda v: as_shift(2 * pi * v @ (3 * normal()).T), gaussian(3), lambda v: v),
    "multinerf pos_enc": (
        lambda v: as_shift(flat(2.0 ** np.arange(0, 6)[:, None] * v[:, None, :])),
        table_2(5, 6),
        lambda v: v / (2 * pi),
    ),
    "Coordinate-MLPs PE, ff": (lambda v: both(2 * pi * (2 * v - 1) @ (5 * normal()).T), gaussian(10), lambda v: v),
    "Coordinate-MLPs PE, use_pe": (
        lambda v: both(2 * pi * (2 * v - 1) @ concatenate([np.eye(d) * 2.0**i for i in range(10)], axis=1)),
        table_2(9, 10),
        lambda v: 2 * v,
    ),
}


def test_the_page_has_a_row_for_each_tested_convention_and_no_other() -> None:
    assert set(equality_by_convention()) == set(CONVENTIONS)


@pytest.mark.parametrize("name", CONVENTIONS)
def test_a_convention_equals_ours_as_its_row_states(name: str) -> None:
    formula, encoding, ours = CONVENTIONS[name]
    theirs = formula(V)
    features = encoding(torch.from_numpy(ours(V))).numpy()
    assert theirs.shape == features.shape
    # The strongest equality that holds is the one that the page states.
    if np.allclose(features, theirs, atol=1e-4):
        found = "features"
    elif np.allclose(np.sort(features), np.sort(theirs), atol=1e-4):
        found = "features, reordered"
    elif np.allclose(features @ features.T, theirs @ theirs.T, atol=1e-3):
        found = "inner products"
    else:
        found = "nothing"
    assert equality_by_convention()[name] == found


@pytest.mark.parametrize("name", [name for name in CONVENTIONS if name != "none"])
def test_a_slip_by_pi_or_two_would_show(name: str) -> None:
    formula, encoding, ours = CONVENTIONS[name]
    for slip in (2, 0.5, pi, 1 / pi, 2 * pi):
        theirs, features = formula(V), encoding(torch.from_numpy(slip * ours(V))).numpy()
        assert not np.allclose(features @ features.T, theirs @ theirs.T, atol=0.1)


def test_early_coordinate_mlps_have_our_sigma_over_pi() -> None:
    theirs = both((2 * V - 1) @ (5 * normal()).T)
    features = gaussian(5 / pi)(torch.from_numpy(V)).numpy()
    np.testing.assert_allclose(features @ features.T, theirs @ theirs.T, atol=1e-4)
    assert "our sigma sc / π" in PAGE


def test_siren_changes_the_sign_of_the_first_pair_alone() -> None:
    formula, encoding, _ = CONVENTIONS["siren, mode nerf"]
    theirs = formula(V).reshape(len(V), 6, d, 2)  # frequency, axis, (sin, cos)
    ours = encoding(torch.from_numpy(V)).numpy().reshape(len(V), 2, d, 6).transpose(0, 3, 2, 1)
    sign = np.array([-1, 1, 1, 1, 1, 1])[:, None, None]
    np.testing.assert_allclose(theirs, sign * ours, atol=1e-6)


def test_both_ends_on_the_grid_stretch_frequencies_and_pixel_centres_move_phases_alone() -> None:
    count, frequency = 64, 5
    index = np.arange(count)
    spacing = {"half open": 1 / count, "both ends": 1 / (count - 1)}
    closed = both(2 * pi * frequency * (index * spacing["both ends"])[:, None])
    stretched = both(2 * pi * frequency * count / (count - 1) * (index * spacing["half open"])[:, None])
    np.testing.assert_allclose(closed, stretched, atol=1e-12)
    centred = both(2 * pi * frequency * ((index + 0.5) / count)[:, None])
    ours = both(2 * pi * frequency * (index / count)[:, None])
    np.testing.assert_allclose(centred @ centred.T, ours @ ours.T, atol=1e-12)
    assert not np.allclose(closed @ closed.T, ours @ ours.T, atol=1e-2)


def test_pytorchs_default_initialisation_is_the_one_that_the_page_says_differs() -> None:
    torch.manual_seed(0)
    default = torch.nn.Linear(300, 900)
    for parameter in default.parameters():
        assert float(parameter.detach().var()) == pytest.approx(1 / (3 * 300), rel=0.15)
    ours = MLP(300, 900, depth=1, generator=random_state()).weights[0].detach()
    assert float(ours.var()) == pytest.approx(2 / (300 + 900), rel=0.02)


def test_numbers_on_the_page_are_those_of_the_code() -> None:
    (parameters,) = re.findall(r"([\d,]+)\s+parameters", PAGE)
    network = MLP(512, 3, depth=4, width=256, generator=random_state())
    assert int(parameters.replace(",", "")) == sum(parameter.numel() for parameter in network.parameters())
    asked, got = map(int, re.findall(r"(\d+) features in 3D become (\d+)", PAGE)[0])
    assert Positional(3, sigma=1, features=asked).out_dim == got
    reported, steps = map(int, re.findall(r"update (\d+) of (\d+)", PAGE)[0])
    assert reported == max(step for step in range(1, steps + 1) if (step - 1) % 25 == 0)
