"""Kronecker codes: never formed, solved in closed form, and blended from a virtual grid."""

import functools
import itertools
import math
from collections.abc import Callable

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from posenc.encodings.base import Encoding
from posenc.encodings.gaussian import Gaussian
from posenc.encodings.per_axis import PerAxis
from posenc.encodings.positional import Positional
from posenc.networks.inputs import AxisFeatures, Blend
from posenc.networks.kronecker import Kronecker
from posenc.plan.combinations import Combination
from posenc.problems.grid import Grid, half_open
from posenc.training import loop
from posenc.training.blending import blend, similarity

CPU = torch.device("cpu")
# Points and features along each axis.
SIZES = {"1D": ((7,), (5,)), "2D": ((6, 9), (5, 4)), "3D": ((3, 5, 4), (4, 2, 3)), "2D, more points": ((8, 9), (5, 4))}


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def drawn(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(shape, generator=generator(seed))


def axes_of(lengths: tuple[int, ...], widths: tuple[int, ...]) -> list[AxisFeatures]:
    columns = torch.arange(sum(widths)).split(widths)
    return [
        AxisFeatures(drawn(n, k, seed=10 + axis), columns[axis])
        for axis, (n, k) in enumerate(zip(lengths, widths, strict=True))
    ]


def code(axes: list[AxisFeatures]) -> Tensor:
    """The Kronecker code of every point of a grid, `(n, product of widths)`, the last axis slowest in both."""
    return functools.reduce(torch.kron, [values for values, _ in reversed(axes)])


def network_for(widths: tuple[int, ...], depth: int = 1, stack: int = 2, **settings: object) -> Kronecker:
    """A stack whose networks have grown apart, as after training."""
    network = Kronecker(
        sum(widths), 3, depth=depth, width=6, axis_widths=widths, stack=stack, generator=generator(), **settings
    )  # type: ignore[arg-type]
    with torch.no_grad():
        for seed, parameter in enumerate(network.parameters()):
            parameter.add_(drawn(*parameter.shape, seed=seed))
    return network


def materialised(network: Kronecker, codes: Tensor) -> Tensor:
    """Values `(stack, n, 3)` of codes that were formed, by plain dense layers."""
    hidden = codes @ network.first.flatten(2).transpose(1, 2)
    for weight, bias in zip(network.weights, network.biases, strict=True):
        hidden = hidden.clamp(min=0) @ weight.transpose(1, 2) + bias.transpose(1, 2)
    return hidden


def with_gradients(network: Kronecker, values: Tensor) -> list[Tensor]:
    network.zero_grad()
    (values * drawn(*values.shape, seed=3)).sum().backward()
    return [values.detach(), *(parameter.grad.clone() for parameter in network.parameters())]  # type: ignore[union-attr]


@pytest.mark.parametrize("depth", [1, 2, 3])
@pytest.mark.parametrize("size", SIZES)
def test_products_along_the_axes_are_those_with_the_code_itself(size: str, depth: int) -> None:
    lengths, widths = SIZES[size]
    axes, network = axes_of(lengths, widths), network_for(widths, depth)
    ours, formed = network(axes), materialised(network, code(axes))
    assert ours.shape == (2, math.prod(lengths), 3)
    for one, other in zip(with_gradients(network, ours), with_gradients(network, formed), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5 * float(other.abs().max()))


def test_the_order_of_points_is_that_of_a_grid() -> None:
    encoding = PerAxis([Gaussian(1, sigma=2.0, features=2 * k, generator=generator(k)) for k in (2, 3)])
    grid, network = Grid((half_open(4), half_open(7))), network_for((4, 6), depth=2)
    (x, y), points = encoding.encodings, grid.points()
    codes = [torch.kron(y(point[1:])[None], x(point[:1])[None])[0] for point in points]
    features = loop.encode(encoding, grid, CPU)
    torch.testing.assert_close(network(features), materialised(network, torch.stack(codes)), rtol=1e-4, atol=1e-4)


def test_a_code_that_fills_no_memory_is_never_formed() -> None:
    """Formed, the code of these points would be 49 GB."""
    lengths = widths = (48, 48, 48)
    network = Kronecker(144, 1, axis_widths=widths, generator=generator())
    assert network(axes_of(lengths, widths)).shape == (1, 48**3, 1)


@pytest.mark.parametrize(
    ("widths", "depth", "parameters"),
    # The authors' "complex" models (2022): 2D 256 per axis, 3D 64 per axis; with a hidden layer of 256.
    [((256, 256), 1, 196_608), ((64, 64, 64), 1, 786_432), ((64, 64), 2, 256 * 64**2 + 256 * 3 + 3)],
)
def test_the_first_layer_has_no_bias_and_the_others_do(widths: tuple[int, ...], depth: int, parameters: int) -> None:
    network = Kronecker(sum(widths), 3, depth=depth, axis_widths=widths, generator=generator())
    assert sum(parameter.numel() for parameter in network.parameters()) == parameters


@pytest.mark.parametrize(("depth", "channels"), [(1, 3), (2, 40), (3, 40)])
def test_layers_start_uniform_by_their_channels_whatever_the_code_s_width(depth: int, channels: int) -> None:
    alone, stacked = (
        Kronecker(70, 3, depth=depth, width=40, axis_widths=(30, 40), stack=stack, generator=generator())
        for stack in (1, 3)
    )
    for name, parameter in alone.named_parameters():
        draw = parameter.detach().flatten() * math.sqrt(channels)
        assert float(draw.abs().max()) <= 1
        # Variance 1/3 within four standard errors, sqrt(4/45) each.
        error = 4 * math.sqrt(4 / 45 / draw.numel())
        assert float(draw.square().mean()) == pytest.approx(1 / 3, abs=error), name
    for one, many in zip(alone.parameters(), stacked.parameters(), strict=True):
        assert torch.equal(one.expand_as(many), many)


@pytest.mark.parametrize("depth", [1, 2])
def test_a_stack_computes_what_its_networks_compute_alone(depth: int) -> None:
    lengths, widths = SIZES["2D"]
    network, axes = network_for(widths, depth, stack=3), axes_of(lengths, widths)
    together = network(axes)
    for index in range(3):
        alone = network_for(widths, depth, stack=1)
        alone.load_state_dict({name: tensor[None] for name, tensor in network.state_of(index).items()})
        torch.testing.assert_close(together[index], alone(axes)[0], rtol=1e-5, atol=1e-5)


def test_it_refuses_features_of_points() -> None:
    with pytest.raises(ValueError, match="features of each axis"):
        network_for((5, 4))(drawn(10, 9))


# Closed form


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("rank", [None, 2], ids=["full", "rank 2"])
def test_the_closed_form_is_least_squares_with_the_code_itself(size: str, rank: int | None) -> None:
    lengths, widths = SIZES[size]
    axes, network = axes_of(lengths, widths), network_for(widths)
    if rank:
        axes = [AxisFeatures(values[:, :rank] @ drawn(rank, values.shape[1]), columns) for values, columns in axes]
    targets = drawn(2, math.prod(lengths), 3, seed=5)
    network.solve(axes, targets)
    pinv = torch.linalg.pinv(code(axes).double(), rtol=1e-6)  # float32 features have no smaller direction
    for index in range(2):
        expected = (pinv @ targets[index].double()).T.reshape(network.first[index].shape).float()
        scale = float(expected.abs().max())
        torch.testing.assert_close(network.first[index].detach(), expected, rtol=0, atol=1e-5 * scale)


def test_gradient_descent_would_rest_at_the_closed_form() -> None:
    axes, targets = axes_of((8, 9), (5, 4)), drawn(2, 72, 3, seed=5)
    network, gradients = network_for((5, 4)), []
    for _ in range(2):
        network.zero_grad()
        (network(axes) - targets).square().mean().backward()
        assert network.first.grad is not None
        gradients.append(float(network.first.grad.norm()))
        network.solve(axes, targets)
    assert gradients[1] < 1e-6 * gradients[0]  # float32's rounding is left


def test_a_closed_form_needs_depth_one_a_grid_and_a_linear_output() -> None:
    axes, targets = axes_of((6, 9), (5, 4)), drawn(2, 54, 3)
    with pytest.raises(ValueError, match="depth 1"):
        network_for((5, 4), depth=2).solve(axes, targets)
    with pytest.raises(ValueError, match="on a grid alone"):
        scattered = Blend(axes, torch.zeros(3, 4, dtype=torch.int64), torch.full((3, 4), 0.25))
        network_for((5, 4)).solve(scattered, drawn(2, 3, 3))
    with pytest.raises(ValueError, match="take a linear one"):
        network_for((5, 4), output="sigmoid").solve(axes, targets)


# Blending


class Bumps(Encoding):
    """Gaussian bumps of one coordinate, with the similarity of infinitely many where it is asked for."""

    def __init__(self, features: int, sigma: float, closed: bool = True) -> None:
        super().__init__(1, features)
        self.centres, self.sigma, self.closed = torch.arange(features) / features, sigma, closed

    def forward(self, coordinates: Tensor) -> Tensor:
        return (-((coordinates - self.centres) ** 2) / (2 * self.sigma**2)).exp()

    def closed_similarity(self, displacements: Tensor) -> Tensor | None:
        return (-(displacements**2) / (4 * self.sigma**2)).exp() if self.closed else None


def per_axis(make: Callable[[], Encoding], dimensions: int) -> PerAxis:
    return PerAxis([make() for _ in range(dimensions)])


ENCODINGS: dict[str, Callable[[], Encoding]] = {
    "bumps": lambda: Bumps(12, 0.1),
    "bumps, by features": lambda: Bumps(12, 0.1, closed=False),
    "gaussian": lambda: Gaussian(1, sigma=2.0, features=12, generator=generator()),
    "positional": lambda: Positional(1, sigma=2.0, features=12),
}


def points_in(count: int, dimensions: int) -> Tensor:
    return torch.rand(count, dimensions, generator=generator(4))


@pytest.mark.parametrize("dimensions", [1, 2, 3])
@pytest.mark.parametrize("grid", [0, 5])
@pytest.mark.parametrize("name", ENCODINGS)
def test_a_point_s_weights_are_of_its_cell_s_corners_and_sum_to_one(name: str, dimensions: int, grid: int) -> None:
    points, count = points_in(50, dimensions), grid or 12
    found = blend(per_axis(ENCODINGS[name], dimensions), points, grid)
    assert found.corners.shape == found.weights.shape == (50, 2**dimensions)
    # Each weight is rounded to float32; where an encoding is hardly similar to both neighbours they are large.
    rounding = torch.finfo(torch.float32).eps * found.weights.abs().sum(dim=1)
    assert bool(((found.weights.double().sum(dim=1) - 1).abs() <= rounding).all())
    virtual = Grid((torch.linspace(0, 1, count),) * dimensions).points()
    corners = virtual[found.corners]  # (50, 2**d, d)
    assert bool((corners.amin(dim=1) <= points + 1e-6).all()) and bool((points <= corners.amax(dim=1) + 1e-6).all())
    spacing = corners.amax(dim=1) - corners.amin(dim=1)
    torch.testing.assert_close(spacing, torch.full_like(spacing, 1 / (count - 1)), rtol=0, atol=1e-6)
    assert all(len(set(row)) == 2**dimensions for row in found.corners.tolist())


@pytest.mark.parametrize("name", ENCODINGS)
def test_weights_solve_the_two_equations_of_each_axis(name: str) -> None:
    encoding, count = ENCODINGS[name](), 7
    points = points_in(20, 2)
    found = blend(PerAxis([encoding, encoding]), points, count)
    for point, weights in zip(points.double(), found.weights, strict=True):
        along = []
        for coordinate in point:
            cell = min(int(coordinate * (count - 1)), count - 2)
            places = torch.tensor([cell, cell + 1], dtype=torch.float64) / (count - 1)
            pairs = torch.cartesian_prod(places, places)
            matrix = similarity(encoding, pairs[:, 0], pairs[:, 1]).reshape(2, 2)
            a = torch.linalg.solve(matrix, similarity(encoding, places, coordinate.expand(2)))
            along.append(a / a.sum())
        expected = torch.outer(along[1], along[0]).flatten()  # the last axis slowest
        torch.testing.assert_close(weights.double(), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dimensions", [1, 2, 3])
@pytest.mark.parametrize("name", ENCODINGS)
def test_points_of_the_virtual_grid_are_themselves_exactly(name: str, dimensions: int) -> None:
    count = 5  # so that its coordinates are exact
    encoding = per_axis(ENCODINGS[name], dimensions)
    virtual = Grid((torch.linspace(0, 1, count),) * dimensions)
    found = blend(encoding, virtual.points(), count)
    at_points = torch.zeros(count**dimensions, count**dimensions).scatter_(1, found.corners, found.weights)
    # Both ends included; zero weights may stand anywhere else in the cell.
    assert torch.equal(at_points, torch.eye(count**dimensions))
    network = network_for((12,) * dimensions)
    torch.testing.assert_close(network(found), network(loop.encode(encoding, virtual, CPU)))


@pytest.mark.parametrize("depth", [1, 2])
@pytest.mark.parametrize("dimensions", [1, 2, 3])
def test_blended_values_and_gradients_are_those_of_the_blended_code(dimensions: int, depth: int) -> None:
    """The first layer of B (Psi_z x Psi_y x Psi_x): blended before the ReLU, as the authors do."""
    encoding, network = per_axis(ENCODINGS["bumps"], dimensions), network_for((12,) * dimensions, depth)
    found = blend(encoding, points_in(30, dimensions), 4)
    matrix = torch.zeros(30, 4**dimensions).scatter_(1, found.corners, found.weights)
    ours, formed = network(found), materialised(network, matrix @ code(found.axes))
    for one, other in zip(with_gradients(network, ours), with_gradients(network, formed), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5 * float(other.abs().max()))


def test_a_blended_code_comes_close_to_that_of_the_point_where_the_grid_is_fine() -> None:
    encoding, network, points = per_axis(ENCODINGS["bumps"], 2), network_for((12, 12)), points_in(100, 2)
    codes = torch.stack(
        [torch.kron(*(encoding.encodings[k](point[k : k + 1])[None] for k in (1, 0)))[0] for point in points]
    )
    exact = materialised(network, codes).detach()
    errors = [
        float((network(blend(encoding, points, grid)).detach() - exact).square().mean().sqrt()) for grid in (8, 16, 32)
    ]
    # Between neighbours the error of an interpolation falls with the square of their distance.
    for coarse, fine in itertools.pairwise(errors):
        assert 3 < coarse / fine < 6


def test_axes_have_virtual_points_of_their_own_number_of_features() -> None:
    encoding = PerAxis([Bumps(5, 0.3), Bumps(9, 0.3)])
    found = blend(encoding, torch.tensor([[1.0, 1.0], [0.0, 0.0]]), 0)
    assert [values.shape for values, _ in found.axes] == [(5, 5), (9, 9)]
    assert found.corners[0, 3] == 44 and found.weights[0].tolist() == [0, 0, 0, 1]
    assert found.corners[1, 0] == 0 and found.weights[1].tolist() == [1, 0, 0, 0]


@pytest.mark.parametrize("point", [[-0.01, 0.5], [0.5, 1.01], [float("nan"), 0.5]])
def test_points_outside_the_virtual_grid_are_an_error(point: list[float]) -> None:
    with pytest.raises(ValueError, match=r"outside the virtual grid; give coordinates in \[0, 1\]"):
        blend(PerAxis([Bumps(12, 0.1), Bumps(12, 0.1)]), torch.tensor([[0.5, 0.5], point]), 4)


def test_a_virtual_grid_needs_cells() -> None:
    for grid, width in ((1, 12), (0, 1)):
        with pytest.raises(ValueError, match="a virtual grid of 1 points has no cells; raise grid"):
            blend(PerAxis([Bumps(width, 0.1)]), points_in(3, 1), grid)


@pytest.mark.parametrize("sigma", [1e-4, 1e9], ids=["similar to none", "similar to all"])
def test_neighbours_that_cannot_be_weighed_are_an_error(sigma: float) -> None:
    with pytest.raises(ValueError, match=r"cannot be blended on a grid of 4 points per axis.*; change grid or sigma"):
        blend(PerAxis([Bumps(12, sigma)]), torch.tensor([[0.5]]), 4)


def test_an_encoding_of_each_axis_is_checked_as_one_of_a_line(planned: Callable[..., list[Combination]]) -> None:
    two, diagonals = (
        {"positional": {"sigma": 1, "features": 2}},
        {"shifted_gaussian": {"sigma": 0.1, "diagonals": True}},
    )
    (found,) = planned(two, networks={"kronecker": {}})
    assert found.spec["members"][0]["features"] == 2
    with pytest.raises(ValidationError, match=r"positional\.features = 2: must be at least 4 for 2 axes"):
        planned(two)
    assert planned(diagonals)
    with pytest.raises(ValidationError, match="diagonals: are lines between two axes, and here an encoding has 1"):
        planned(diagonals, networks={"kronecker": {}})
