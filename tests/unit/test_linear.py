"""Linear networks: their start, a stack of them as so many single ones, and minimum-norm least squares."""

import math

import pytest
import torch
from torch import Tensor

from posenc.encodings.positional import Positional
from posenc.networks.least_squares import minimum_norm
from posenc.networks.linear import Linear, at_points
from posenc.networks.mlp import MLP
from posenc.problems.grid import Grid, half_open
from posenc.training import loop

# Singular values below this part of the largest, times the longer side, count as zero.
EPS = torch.finfo(torch.float32).eps


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def drawn(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(shape, generator=generator(seed))


def moved(network: Linear) -> Linear:
    """A stack whose layers have grown apart, as after training."""
    with torch.no_grad():
        for seed, parameter in enumerate(network.parameters()):
            parameter.add_(drawn(*parameter.shape, seed=seed))
    return network


def single(network: Linear, index: int, in_dim: int, out_dim: int) -> Linear:
    alone = Linear(in_dim, out_dim, generator=generator(5))
    alone.load_state_dict({name: tensor[None] for name, tensor in network.state_of(index).items()})
    return alone


def test_values_are_weights_times_features_plus_bias() -> None:
    network, features = moved(Linear(6, 3, stack=4, generator=generator())), drawn(30, 6)
    expected = torch.einsum("nd,sod->sno", features, network.weight) + network.bias
    assert network(features).shape == (4, 30, 3)
    torch.testing.assert_close(network(features), expected)


@pytest.mark.parametrize("out_dim", [1, 3])
def test_squared_errors_and_their_gradients_are_those_of_autograd(out_dim: int) -> None:
    network, features = moved(Linear(6, out_dim, stack=4, generator=generator())), drawn(30, 6)
    targets = drawn(4, 30, out_dim)
    found = network.squared_errors(features, targets)
    for _ in range(2):
        losses = (network(features) - targets).square().mean(dim=(1, 2))
        expected = torch.autograd.grad(losses.sum(), list(network.parameters()))
        found.differentiate()
        torch.testing.assert_close(found.losses(), losses)
        for parameter, gradient in zip(network.parameters(), expected, strict=True):
            torch.testing.assert_close(parameter.grad, gradient)
        with torch.no_grad():
            for parameter in network.parameters():  # as an optimizer does
                parameter.mul_(0.7)


def test_a_stack_has_the_values_and_gradients_of_its_layers_alone() -> None:
    network, features, targets = moved(Linear(6, 3, stack=4, generator=generator())), drawn(30, 6), drawn(4, 30, 3)
    (network(features) - targets).square().sum().backward()
    for index in range(4):
        alone = single(network, index, 6, 3)
        torch.testing.assert_close(network(features)[index], alone(features)[0])
        (alone(features) - targets[index]).square().sum().backward()
        for stacked, own in zip(network.parameters(), alone.parameters(), strict=True):
            assert stacked.grad is not None and own.grad is not None
            torch.testing.assert_close(stacked.grad[index], own.grad[0], rtol=1e-4, atol=1e-4)


def test_a_layer_that_is_not_a_number_leaves_its_neighbours_alone() -> None:
    network, features = moved(Linear(6, 3, stack=3, generator=generator())), drawn(30, 6)
    before = network(features).detach()
    with torch.no_grad():
        network.weight[1, 0, 0] = math.nan
    after = network(features)
    assert after[1].isnan().any()
    assert torch.equal(after[[0, 2]].detach(), before[[0, 2]])


@pytest.mark.parametrize("in_dim", [1, 64, 10_000])
def test_a_layer_starts_uniform_on_one_over_the_root_of_its_inputs_as_torch_s_own(in_dim: int) -> None:
    alone, stacked = (Linear(in_dim, 100, stack=stack, generator=generator()) for stack in (1, 3))
    for ours, theirs in ((alone.weight, torch.nn.Linear(in_dim, 100).weight), (alone.bias, None)):
        draw = ours.detach().flatten() * math.sqrt(in_dim)
        count = draw.numel()
        assert float(draw.abs().max()) <= 1
        # Mean 0 and variance 1/3, within four standard errors (that of x**2 is sqrt(4/45)).
        assert abs(float(draw.mean())) < 4 / math.sqrt(3 * count)
        assert float(draw.square().mean()) == pytest.approx(1 / 3, abs=4 * math.sqrt(4 / 45 / count))
        if theirs is not None:
            reference = theirs.detach().flatten() * math.sqrt(in_dim)
            both = 4 * math.sqrt(2 * 4 / 45 / count)
            assert float(draw.square().mean()) == pytest.approx(float(reference.square().mean()), abs=both)
    for one, many in zip(alone.parameters(), stacked.parameters(), strict=True):
        assert torch.equal(one.expand_as(many), many)


def test_an_mlp_may_start_as_torch_s_own_layers_do() -> None:
    network = MLP(400, 300, depth=2, width=200, initialisation="uniform", stack=2, generator=generator())
    for weight, bias, fan_in in zip(network.weights, network.biases, (400, 200), strict=True):
        for parameter in (weight, bias):
            draw = parameter.detach()[0].flatten() * math.sqrt(fan_in)
            assert float(draw.abs().max()) <= 1
            error = 4 * math.sqrt(4 / 45 / draw.numel())
            assert float(draw.square().mean()) == pytest.approx(1 / 3, abs=error)
        assert torch.equal(weight[0], weight[1])


def test_hidden_activations_are_what_the_last_layer_is_given() -> None:
    network, features = MLP(6, 3, depth=4, width=16, stack=2, generator=generator()), drawn(30, 6)
    hidden = list(network.hidden(features))
    assert [found.shape for found in hidden] == [(2, 30, 16)] * 3
    assert all(bool((found >= 0).all()) and bool((found == 0).any()) for found in hidden)
    torch.testing.assert_close(hidden[-1] @ network.weights[-1] + network.biases[-1], network(features))
    assert list(MLP(6, 3, depth=1, generator=generator()).hidden(features)) == []


# Least squares

SHAPES = [(20, 50), (50, 20), (30, 30)]


def low_rank(n: int, p: int, rank: int) -> Tensor:
    return drawn(n, rank, seed=2).double() @ drawn(rank, p, seed=3).double()


@pytest.mark.parametrize(("n", "p"), SHAPES)
@pytest.mark.parametrize("rank", [None, 7], ids=["full", "rank 7"])
def test_a_solution_is_the_one_of_least_norm(n: int, p: int, rank: int | None) -> None:
    matrix, targets = drawn(n, p).double() if rank is None else low_rank(n, p, rank), drawn(n, 4, seed=4).double()
    found = minimum_norm(matrix, targets)
    reference = torch.linalg.lstsq(matrix, targets, rcond=max(n, p) * EPS, driver="gelsd").solution
    # Both in float64 at a condition below 1e4: what is left is rounding.
    torch.testing.assert_close(found, reference, rtol=1e-9, atol=1e-9)
    # No solution is closer: the residual is orthogonal to the columns. None is shorter: it lies in the rows' span.
    assert float((matrix.T @ (matrix @ found - targets)).abs().max()) < 1e-9 * float(matrix.norm() ** 2)
    rows = torch.linalg.pinv(matrix, rtol=max(n, p) * EPS) @ matrix
    torch.testing.assert_close(rows @ found, found, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("part", "counts"), [(0.5, False), (2.0, True)])
@pytest.mark.parametrize(("n", "p"), SHAPES)
def test_directions_below_float32_s_rounding_count_as_zero(n: int, p: int, part: float, counts: bool) -> None:
    left, _ = torch.linalg.qr(drawn(n, 5, seed=2).double())
    right, _ = torch.linalg.qr(drawn(p, 5, seed=3).double())
    singular = torch.tensor([1.0, 0.9, 0.5, 0.1, part * max(n, p) * EPS], dtype=torch.float64)
    matrix = (left * singular) @ right.T
    solution = minimum_norm(matrix, left[:, 4:])  # asks for the last direction alone
    expected = right[:, 4:] / singular[4] if counts else torch.zeros(p, 1, dtype=torch.float64)
    torch.testing.assert_close(solution, expected, rtol=1e-6, atol=1e-6)


def test_a_matrix_of_zeros_has_the_solution_zero() -> None:
    assert not minimum_norm(torch.zeros(4, 7), drawn(4, 2)).any()


def test_what_is_not_a_number_has_no_solution_or_stays_with_its_own_targets() -> None:
    matrix, targets = drawn(9, 5), drawn(9, 2)
    whole = minimum_norm(matrix, targets)
    targets[3, 0] = math.nan
    found = minimum_norm(matrix, targets)
    assert found[:, 0].isnan().all()
    torch.testing.assert_close(found[:, 1], whole[:, 1])
    matrix[2, 2] = math.inf
    assert minimum_norm(matrix, targets).isnan().all()


@pytest.mark.parametrize(("n", "d"), [(20, 50), (60, 12)], ids=["more features", "more points"])
def test_solved_weights_are_least_squares_with_the_bias_as_a_further_column(n: int, d: int) -> None:
    network, features, targets = Linear(d, 2, stack=3, generator=generator()), drawn(n, d), drawn(3, n, 2, seed=7)
    network.solve(features, targets)
    columns = torch.cat([features, torch.ones(n, 1)], dim=1).double()
    for index in range(3):
        reference = torch.linalg.lstsq(columns, targets[index].double(), driver="gelsd").solution.float()
        found = network.state_of(index)
        torch.testing.assert_close(found["weight"], reference[:-1].T)
        torch.testing.assert_close(found["bias"][0], reference[-1])
    if d > n:  # by heart, up to the rounding of weights and products
        torch.testing.assert_close(network(features).detach(), targets, rtol=0, atol=1e-5)


def test_features_by_the_axes_of_a_grid_are_those_of_its_points() -> None:
    encoding, grid = Positional(2, sigma=2.0, features=24), Grid((half_open(5), half_open(9)))
    by_axis, by_point = loop.encode(encoding, grid, torch.device("cpu")), encoding(grid.points())
    assert isinstance(by_axis, list)
    assert torch.equal(at_points(by_axis), by_point)
    network, targets = moved(Linear(24, 3, stack=2, generator=generator())), drawn(2, 45, 3)
    torch.testing.assert_close(network(by_axis), network(by_point))
    network.solve(by_axis, targets)
    weight = network.weight.detach().clone()
    network.solve(by_point, targets)
    assert torch.equal(network.weight, weight)


def test_least_squares_refuses_an_output_that_is_not_linear() -> None:
    network = Linear(6, 1, output="sigmoid", generator=generator())
    assert bool(((network(drawn(5, 6)) > 0) & (network(drawn(5, 6)) < 1)).all())
    with pytest.raises(ValueError, match="take a linear one"):
        network.solve(drawn(5, 6), drawn(1, 5, 1))
