"""Networks: shapes, initial statistics, and a stack of them as so many single ones."""

import itertools
import math
from typing import Literal

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from posenc.networks.inputs import AxisFeatures
from posenc.networks.mlp import MLP, OUTPUTS, glorot_normal
from posenc.networks.voxels import Voxels
from posenc.problems.grid import Grid, half_open


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def random_features(count: int, width: int, seed: int = 1) -> Tensor:
    return torch.randn(count, width, generator=generator(seed))


def different_networks(stack: int) -> MLP:
    """A stack whose networks have grown apart, as after training."""
    network = MLP(6, 3, depth=4, width=16, stack=stack, generator=generator())
    drift = generator(9)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=drift))
    return network


def single(network: MLP, index: int) -> MLP:
    """One network of a stack, by itself."""
    alone = MLP(6, 3, depth=4, width=16, generator=generator(5))
    alone.load_state_dict({name: tensor[None] for name, tensor in network.state_of(index).items()})
    return alone


@given(
    in_dim=st.integers(1, 9),
    out_dim=st.integers(1, 4),
    depth=st.integers(1, 5),
    width=st.integers(1, 12),
    stack=st.integers(1, 4),
    points=st.integers(1, 10),
)
@settings(max_examples=40, deadline=None)
def test_values_have_a_row_per_network_and_point(
    in_dim: int, out_dim: int, depth: int, width: int, stack: int, points: int
) -> None:
    network = MLP(in_dim, out_dim, depth=depth, width=width, stack=stack, generator=generator())
    assert network(random_features(points, in_dim)).shape == (stack, points, out_dim)
    assert len(network.weights) == depth
    per_network = sum(parameter.numel() for parameter in network.parameters()) // stack
    widths = [in_dim, *[width] * (depth - 1), out_dim]
    assert per_network == sum((a + 1) * b for a, b in itertools.pairwise(widths))


def test_the_papers_network_has_263683_parameters() -> None:
    network = MLP(512, 3, depth=4, width=256, generator=generator())
    assert sum(parameter.numel() for parameter in network.parameters()) == 263_683


@pytest.mark.parametrize(("fan_in", "fan_out"), [(512, 256), (256, 256), (256, 3000), (30, 900)])
def test_initial_weights_have_the_glorot_variance(fan_in: int, fan_out: int) -> None:
    weight = glorot_normal(fan_in, fan_out, generator()).double()
    variance = 2 / (fan_in + fan_out)
    assert weight.shape == (fan_in, fan_out)
    # The kurtosis of the cut normal is below 3, so the relative error of a variance is below sqrt(2 / n).
    assert float(weight.var()) == pytest.approx(variance, rel=4 * math.sqrt(2 / weight.numel()))
    assert abs(float(weight.mean())) < 4 * math.sqrt(variance / weight.numel())


def test_initial_weights_are_cut_at_two_standard_deviations_of_the_uncut_normal() -> None:
    weight = glorot_normal(400, 400, generator())
    uncut = math.sqrt(2 / 800) / 0.87962566103423978
    assert float(weight.abs().max()) <= 2 * uncut * (1 + 1e-6)
    assert float(weight.abs().max()) > 1.98 * uncut
    # A normal cut there has 71.5 % within one of its uncut deviations, an uncut one 68.3 %, a uniform one 50 %.
    assert float((weight.abs() < uncut).float().mean()) == pytest.approx(0.6827 / 0.9545, abs=0.005)


def test_initial_biases_are_normal_with_deviation_one_hundredth() -> None:
    bias = MLP(4, 3, depth=2, width=20_000, generator=generator()).biases[0].detach()
    assert float(bias.mean()) == pytest.approx(0, abs=4 * 0.01 / math.sqrt(20_000))
    assert float(bias.std()) == pytest.approx(0.01, rel=4 / math.sqrt(2 * 20_000))
    assert float((bias.abs() > 0.02).float().mean()) == pytest.approx(0.0455, abs=0.006)  # not cut


@pytest.mark.parametrize(("fan_in", "width"), [(512, 256), (1, 1024), (30, 900)])
def test_lecun_weights_are_normal_with_variance_one_over_fan_in_and_biases_zero(fan_in: int, width: int) -> None:
    network = MLP(fan_in, 1, depth=3, width=width, initialisation="lecun", generator=generator())
    for weight, inputs in zip(network.weights, (fan_in, width, width), strict=True):
        draw = weight.detach().double().flatten() * math.sqrt(inputs)
        count = draw.numel()
        # Mean, variance, skewness and kurtosis of a standard normal, within four standard errors of so many draws.
        assert abs(float(draw.mean())) < 4 / math.sqrt(count)
        assert float(draw.square().mean()) == pytest.approx(1, abs=4 * math.sqrt(2 / count))
        assert abs(float((draw**3).mean())) < 4 * math.sqrt(15 / count)
        assert float((draw**4).mean()) == pytest.approx(3, abs=4 * math.sqrt(96 / count))
    assert all(not bias.any() for bias in network.biases)


def test_initialisations_differ_and_glorot_is_the_default() -> None:
    default, glorot, lecun = (
        [parameter.detach() for parameter in MLP(6, 3, width=16, generator=generator(), **chosen).parameters()]
        for chosen in ({}, {"initialisation": "glorot"}, {"initialisation": "lecun"})
    )
    assert all(torch.equal(one, other) for one, other in zip(default, glorot, strict=True))
    assert not any(torch.equal(one, other) for one, other in zip(default, lecun, strict=True))


@pytest.mark.parametrize("initialisation", ["glorot", "lecun"])
def test_all_networks_of_a_stack_start_from_the_draw_of_a_single_one(
    initialisation: Literal["glorot", "lecun"],
) -> None:
    alone, stacked = (
        MLP(6, 3, depth=4, width=16, initialisation=initialisation, stack=stack, generator=generator(3))
        for stack in (1, 5)
    )
    for one, many in zip(alone.parameters(), stacked.parameters(), strict=True):
        assert torch.equal(one.expand_as(many), many)


def test_another_seed_starts_elsewhere() -> None:
    first, second = (MLP(6, 3, width=16, generator=generator(seed)) for seed in (0, 1))
    assert not any(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))


def test_a_stack_computes_what_its_networks_compute_alone() -> None:
    network = different_networks(4)
    features = random_features(30, 6)
    together = network(features)
    for index in range(4):
        torch.testing.assert_close(together[index], single(network, index)(features)[0], rtol=1e-5, atol=1e-5)
    assert not torch.allclose(together[0], together[1])


def test_gradients_in_a_stack_are_those_of_its_networks_alone() -> None:
    network = different_networks(4)
    features, targets = random_features(30, 6), torch.rand(4, 30, 3, generator=generator(2))
    (network(features) - targets).square().sum().backward()
    for index in range(4):
        alone = single(network, index)
        (alone(features) - targets[index]).square().sum().backward()
        for stacked, own in zip(network.parameters(), alone.parameters(), strict=True):
            assert stacked.grad is not None and own.grad is not None
            torch.testing.assert_close(stacked.grad[index], own.grad[0], rtol=1e-4, atol=1e-4)


def test_a_network_that_is_not_a_number_leaves_its_neighbours_alone() -> None:
    network = different_networks(3)
    features = random_features(10, 6)
    before = network(features).detach()
    with torch.no_grad():
        network.weights[1][1] = math.nan
    after = network(features)
    (after.square().mean(dim=(1, 2))).sum().backward()
    assert after[1].isnan().all()
    for index in (0, 2):
        torch.testing.assert_close(after[index].detach(), before[index])
        assert all(parameter.grad[index].isfinite().all() for parameter in network.parameters())  # type: ignore[index]


@pytest.mark.parametrize(
    ("output", "formula"),
    [
        ("linear", lambda y: y),
        ("sigmoid", lambda y: 1 / (1 + (-y).exp())),
        ("tanh", lambda y: 2 / (1 + (-2 * y).exp()) - 1),
    ],
)
def test_outputs_are_applied_to_the_last_layer_alone(output: str, formula: object) -> None:
    raw, shaped = (MLP(6, 3, depth=3, width=16, output=name, generator=generator()) for name in ("linear", output))
    features = 5 * random_features(50, 6)
    torch.testing.assert_close(shaped(features), formula(raw(features)))  # type: ignore[operator]


def test_every_output_is_tested() -> None:
    assert set(OUTPUTS) == {"linear", "sigmoid", "tanh"}


def test_depth_counts_dense_layers_and_relu_stands_between_them() -> None:
    network = MLP(4, 2, depth=3, width=8, generator=generator())
    features = random_features(20, 4)
    (w1, w2, w3), (b1, b2, b3) = ([tensor[0] for tensor in group] for group in (network.weights, network.biases))
    by_hand = ((features @ w1 + b1).clamp(min=0) @ w2 + b2).clamp(min=0) @ w3 + b3
    torch.testing.assert_close(network(features)[0], by_hand)


def test_values_leave_the_network_in_float32_whatever_the_products_ran_in() -> None:
    network = MLP(6, 3, width=16, output="sigmoid", generator=generator())
    with torch.autocast("cpu", torch.bfloat16):
        assert network(random_features(5, 6).bfloat16()).dtype == torch.float32


# ---- voxels


def numbered_voxels(in_dim: int, size: int, stack: int = 2) -> Voxels:
    """A stack of grids whose voxels are numbered on, the first axis fastest."""
    voxels = Voxels(in_dim, 1, size=size, stack=stack)
    with torch.no_grad():
        voxels.values.copy_(torch.arange(voxels.values.numel(), dtype=torch.float32).reshape(voxels.values.shape))
    return voxels


@pytest.mark.parametrize("dimensions", [1, 2, 3])
@pytest.mark.parametrize("size", [4, 7, 16])
def test_a_grid_of_the_voxels_size_asks_for_each_voxel_once(dimensions: int, size: int) -> None:
    voxels = numbered_voxels(dimensions, size)
    grid = Grid((half_open(size),) * dimensions)
    at_points = voxels(grid.points())
    assert torch.equal(at_points, voxels.values.detach())
    by_axis = [AxisFeatures(coordinates[:, None], torch.tensor([axis])) for axis, coordinates in enumerate(grid.axes)]
    assert torch.equal(voxels(by_axis), at_points)


def test_a_point_has_the_value_of_the_voxel_it_lies_in() -> None:
    voxels = numbered_voxels(2, 4, stack=1)
    points = torch.tensor([[0.0, 0.0], [0.3, 0.0], [0.24, 0.26], [0.99, 0.99]])
    assert voxels(points)[0, :, 0].tolist() == [0, 1, 4, 15]


def test_half_open_coordinates_fall_into_their_own_voxel_at_every_size() -> None:
    for size in range(2, 600):
        assert torch.equal(Voxels(1, 1, size=size).voxel_on_axis(half_open(size)), torch.arange(size))


def test_voxels_start_at_mid_grey_and_only_asked_ones_get_a_gradient() -> None:
    voxels = Voxels(2, 1, size=3, output="sigmoid", stack=2)
    values = voxels(torch.tensor([[0.0, 0.0], [0.4, 0.7]]))
    assert values.shape == (2, 2, 1) and (values == 0.5).all()
    values.sum().backward()
    assert voxels.values.grad is not None
    assert torch.nonzero(voxels.values.grad[0, :, 0]).flatten().tolist() == [0, 7]
    assert voxels.state_of(1)["values"].shape == (9, 1)


def test_voxels_refuse_what_is_no_coordinate() -> None:
    features = [AxisFeatures(torch.zeros(4, 2), torch.arange(2)) for _ in range(2)]
    with pytest.raises(ValueError, match="encoding none"):
        Voxels(4, 1, size=4)(features)
