"""Theory: kernels against values computed before, dynamics against plain descent, and all of it against networks."""

import math

import pytest
import torch
from torch import Tensor, nn

from posenc.encodings.base import FourierEncoding
from posenc.encodings.basic import Basic
from posenc.encodings.gaussian import Gaussian
from posenc.encodings.none import NoEncoding
from posenc.networks.mlp import MLP
from posenc.problems.grid import half_open
from posenc.theory.amplitudes import (
    Ensemble,
    best_exponent,
    growth,
    optimised_amplitudes,
    predicted_test_error,
)
from posenc.theory.dynamics import (
    kernel_regression,
    largest_stable_rate,
    mean_squares,
    published_construction,
    residual_magnitudes,
)
from posenc.theory.empirical import empirical_kernel
from posenc.theory.kernels import (
    composed_row,
    encoded_kernel,
    fourier_kernel,
    kernel_matrix,
    power_law_amplitudes,
    tangent_kernel,
)
from posenc.theory.spectra import (
    circulant,
    circulant_spectrum,
    condition_number,
    half_width,
    log_log_slope,
    matrix_spectrum,
    shift_deviation,
)

TOLERANCE = 1e-3
FREQUENCIES = torch.arange(1, 17, dtype=torch.float64)
# n = 32, depth 4, width 1024, features divided by ||a||: peak, least entry, eigenvalues 0, 1, 5, 15, 16, slope 1..8.
POWER_LAWS = {
    0.0: (14.000, 5.519, 187.78, 8.301, 8.301, 8.301, 11.187, 0.00),
    0.5: (14.000, 5.139, 190.25, 20.480, 8.549, 5.373, 6.047, -0.53),
    1.0: (14.000, 4.565, 201.60, 41.185, 6.701, 2.142, 2.193, -1.18),
    1.5: (14.000, 4.276, 213.07, 54.950, 4.364, 0.855, 0.850, -1.69),
    2.0: (14.000, 4.174, 219.25, 60.951, 3.134, 0.550, 0.545, -1.97),
    math.inf: (14.000, 4.120, 224.60, 65.223, 2.321, 0.442, 0.439, -2.15),
}
# 128 points, ntk parameterisation: DC, band edge, lowest value, value at 43, frequencies above 1 % of DC.
BASIC_BY_DEPTH = {4: (21.22, 0.0066, 7), 8: (16.41, 0.0100, 10), 16: (14.43, 0.0186, 14)}
EXTRA_BY_DEPTH = {4: (16.66, 2.006, 0.0049), 8: (15.13, 1.739, 0.0101), 16: (13.95, 1.456, 0.0213)}


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def grid(count: int) -> Tensor:
    return torch.arange(count, dtype=torch.float64) / count


def row_of(exponent: float, count: int = 32) -> Tensor:
    return composed_row(power_law_amplitudes(exponent, FREQUENCIES), FREQUENCIES, grid(count), depth=4, width=1024)


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=generator(seed), dtype=torch.float64)


# Kernels


@pytest.mark.parametrize("exponent", POWER_LAWS)
def test_composed_kernels_have_the_known_values_and_spectra(exponent: float) -> None:
    row = row_of(exponent)
    spectrum = circulant_spectrum(row)
    found = [row[0], row.min(), *spectrum[[0, 1, 5, 15, 16]]]
    *known, slope = POWER_LAWS[exponent]
    # The table has three decimals below 100 and two above.
    for value, expected in zip(found, known, strict=True):
        assert float(value) == pytest.approx(expected, abs=TOLERANCE if expected < 100 else 10 * TOLERANCE)
    assert log_log_slope(spectrum, 8) == pytest.approx(slope, abs=6e-3)


def test_band_edges_and_slopes_fall_with_the_exponent() -> None:
    spectra = [circulant_spectrum(row_of(exponent)) for exponent in POWER_LAWS]
    edges = [float(spectrum[16]) for spectrum in spectra]
    slopes = [log_log_slope(spectrum, 8) for spectrum in spectra]
    assert edges == sorted(edges, reverse=True)
    assert slopes == sorted(slopes, reverse=True)


def test_without_an_encoding_five_eigenvalues_are_not_zero() -> None:
    places = grid(32)[:, None] - 0.5
    eigenvalues = matrix_spectrum(kernel_matrix(places, places, depth=4, width=1024))
    digits = [1, 1, 2, 2, 3]
    assert [round(float(e), d) for e, d in zip(eigenvalues, digits, strict=False)] == [678.2, 393.8, 11.78, 1.72, 0.222]
    assert (eigenvalues[5:].abs() < 1e-6).all()


def test_an_input_of_zero_gives_no_angle_and_no_nan() -> None:
    places = torch.tensor([[0.0], [0.25]], dtype=torch.float64)
    kernel = kernel_matrix(places, places, depth=4, width=64)
    assert kernel.isfinite().all()
    assert torch.equal(kernel, kernel.T)
    # By hand for two layers: <x, x'> = 0, so 0 + 1 from the first, times 1/4 at a right angle, then the second's bias;
    # its weights see activations of zero norm.
    two = kernel_matrix(places, places, depth=2, width=64)
    assert float(two[0, 1]) == pytest.approx(0.25 + 1)


def test_a_single_layer_is_linear_regression_with_a_bias() -> None:
    left, right = normal(5, 3), normal(4, 3, seed=1)
    torch.testing.assert_close(kernel_matrix(left, right, depth=1), left @ right.T + 1)


def test_the_arc_cosine_step_is_the_mean_over_normal_weights() -> None:
    """Theta of two layers in the ntk parameterisation is E[relu relu] + E[step step] q, by drawing the weights."""
    left, right = torch.tensor([1.0, 0.3, -0.2]), torch.tensor([0.2, -0.9, 0.8])
    weights = normal(2_000_000, 3).float() / math.sqrt(3)
    first, second = weights @ left, weights @ right
    q = float(left @ right) / 3
    drawn = (first.relu() * second.relu()).mean() + ((first > 0) & (second > 0)).double().mean() * q
    exact = kernel_matrix(left[None], right[None], depth=2, parameterisation="ntk")
    assert float(exact) == pytest.approx(float(drawn), abs=5e-4)  # five standard errors of 2,000,000 draws or less


@pytest.mark.parametrize("encoding", [Basic(1), Gaussian(1, sigma=3.0, features=10, generator=generator())])
def test_composing_kernels_is_applying_the_kernel_to_features(encoding: FourierEncoding) -> None:
    places = grid(16)[:, None]
    frequencies = encoding.frequencies()[:, 0].double()
    rows = len(frequencies)
    composed = composed_row(
        torch.ones(rows), frequencies, grid(16), depth=4, width=128, squared_norm=rows
    )  # features that are not normalised have norm m
    direct = encoded_kernel(encoding, places, places[:1], depth=4, width=128)[:, 0]
    torch.testing.assert_close(composed, direct, rtol=1e-6, atol=0)


def test_fourier_kernel_is_the_inner_product_of_normalised_features() -> None:
    amplitudes, frequencies = normal(6).abs(), 5 * normal(6, seed=1)
    phases = 2 * math.pi * grid(9)[:, None] * frequencies
    features = torch.cat([amplitudes * phases.sin(), amplitudes * phases.cos()], dim=1) / amplitudes.norm()
    torch.testing.assert_close(fourier_kernel(amplitudes, frequencies, grid(9)), features @ features[0])


# Figure 7


def spread(amplitudes: list[float], frequencies: list[float], hidden: int) -> Tensor:
    """Spectrum as in Figure 7: seen from the middle of 128 points, orthonormal, over the kernel's first entry."""
    row = composed_row(
        torch.tensor(amplitudes),
        torch.tensor(frequencies),
        grid(128) - 0.5,
        depth=hidden + 1,
        parameterisation="ntk",
        squared_norm=len(amplitudes),
    )
    return torch.fft.fft(row, norm="ortho").abs() / row[0]


@pytest.mark.parametrize("hidden", BASIC_BY_DEPTH)
def test_depth_spreads_the_basic_kernel(hidden: int) -> None:
    spectrum = spread([1, 0, 0, 0, 0, 0], [1, 0, 0, 0, 0, 0], hidden)
    zero, edge, width = BASIC_BY_DEPTH[hidden]
    assert float(spectrum[0]) == pytest.approx(zero, abs=5e-3)
    assert float(spectrum[64]) == pytest.approx(edge, abs=5e-5)
    assert half_width(spectrum, 0.01) == width


@pytest.mark.parametrize("hidden", EXTRA_BY_DEPTH)
def test_depth_spreads_a_kernel_with_an_extra_frequency(hidden: int) -> None:
    spectrum = spread([1, 1, 1, 1, 1, 1], [1, 0, 0, 0, 0, 43], hidden)
    zero, extra, floor = EXTRA_BY_DEPTH[hidden]
    assert float(spectrum[0]) == pytest.approx(zero, abs=5e-3)
    assert float(spectrum[43]) == pytest.approx(extra, abs=5e-4)
    assert float(spectrum.min()) == pytest.approx(floor, abs=5e-5)


# Spectra


def test_the_spectrum_of_a_circulant_matrix_is_that_of_eigh() -> None:
    row = row_of(1.0)
    by_fft = circulant_spectrum(row).sort(descending=True).values
    torch.testing.assert_close(by_fft, matrix_spectrum(circulant(row)))


def test_the_circulant_matrix_is_the_kernel_on_a_full_period() -> None:
    places = grid(32)[:, None]
    kernel = encoded_kernel(Basic(1), places, places, depth=4, width=64)
    torch.testing.assert_close(circulant(kernel[:, 0]), kernel, rtol=1e-6, atol=0)


def test_only_the_kernel_behind_features_is_stationary() -> None:
    places = torch.linspace(-math.pi, math.pi, 100, dtype=torch.float64)[:, None]
    plain = kernel_matrix(places, places, depth=4, width=1024)
    circle = torch.cat([places.sin(), places.cos()], dim=1)
    encoded = kernel_matrix(circle, circle, depth=4, width=1024)
    assert shift_deviation(encoded) < 1e-6
    assert shift_deviation(plain) > 0.05
    # Without the last point, which on the circle is the first one again.
    assert condition_number(matrix_spectrum(plain[1:, 1:])) > 1e6 * condition_number(matrix_spectrum(encoded[1:, 1:]))


def test_shift_deviation_counts_the_range_along_diagonals() -> None:
    matrix = torch.tensor([[4.0, 1.0], [1.0, 3.0]])
    assert shift_deviation(matrix) == 0.25
    assert shift_deviation(circulant(torch.tensor([4.0, 1.0, 1.0]))) == 0


def test_condition_number_of_a_singular_matrix_is_infinite() -> None:
    assert condition_number(torch.tensor([4.0, 2.0, -0.5])) == 8
    assert condition_number(torch.tensor([4.0, 1e-17])) == math.inf


def test_log_log_slope_of_a_power_law_is_its_power() -> None:
    spectrum = torch.cat([torch.tensor([9.0]), torch.arange(1, 20) ** -1.5])
    assert log_log_slope(spectrum, 8) == pytest.approx(-1.5, abs=1e-6)


# Dynamics


def descended(kernel: Tensor, start: Tensor, rate: float, steps: int, operator: Tensor) -> Tensor:
    """f everywhere after plain gradient descent of functions on `.5 ||A f - b||^2`, kernel `(N, N)`, start f0."""
    f, b = start
    for _ in range(steps):
        f = f - rate * kernel @ operator.T @ (operator @ f - b[: len(operator)])
    return f


@pytest.mark.parametrize("indirect", [False, True])
@pytest.mark.parametrize("steps", [1, 7, 400])
def test_discrete_dynamics_are_descent_on_the_linear_model(indirect: bool, steps: int) -> None:
    factors = normal(12, 12)
    kernel = factors @ factors.T
    observed, elsewhere = slice(0, 8), slice(8, 12)
    operator = normal(5, 8, seed=3) if indirect else torch.eye(8, dtype=torch.float64)
    targets, initial = normal(len(operator), seed=1), normal(12, seed=2)
    regression = kernel_regression(
        kernel[observed, observed], kernel[elsewhere, observed], operator if indirect else None
    )
    rate = 0.9 * largest_stable_rate(regression.eigenvalues)
    everywhere = torch.cat([operator, torch.zeros(len(operator), 4, dtype=torch.float64)], dim=1)
    f = descended(kernel, (initial, targets), rate, steps, everywhere)

    start = (operator @ initial[:8] - targets)[None]
    times = torch.tensor([0, steps])
    outputs = regression.outputs(initial[None, 8:], start, rate, times, discrete=True)
    torch.testing.assert_close(outputs[0], torch.stack([initial[8:], f[8:]]))
    residuals = regression.residuals(start, rate, times, discrete=True)
    torch.testing.assert_close(residuals[0], torch.stack([start[0], operator @ f[:8] - targets]))


def test_continuous_dynamics_are_the_limit_of_small_steps() -> None:
    factors = normal(9, 9)
    kernel = factors @ factors.T
    regression = kernel_regression(kernel[:6, :6], kernel[6:, :6])
    initial, start = normal(2, 3, seed=1), normal(2, 6, seed=2)
    time = 3 / float(regression.eigenvalues.max())
    errors = []
    for steps in (200, 400):
        many = torch.tensor([steps])
        discrete = regression.outputs(initial, start, time / steps, many, discrete=True)
        continuous = regression.outputs(initial, start, time / steps, many)
        errors.append(float((discrete - continuous).abs().max()))
    assert errors[1] == pytest.approx(errors[0] / 2, rel=0.05)  # first order in the step


def test_a_rate_above_the_limit_diverges_and_one_below_does_not() -> None:
    regression = kernel_regression(torch.diag(torch.tensor([4.0, 1.0])), torch.zeros(1, 2))
    limit = largest_stable_rate(regression.eigenvalues)
    start, steps = torch.ones(1, 2), torch.tensor([300])
    below = regression.residuals(start, 0.9 * limit, steps, discrete=True)
    above = regression.residuals(start, 1.1 * limit, steps, discrete=True)
    assert float(below.abs().max()) < 1e-6
    assert float(above.abs().max()) > 1e6


def test_directions_that_the_kernel_does_not_see_stay_and_give_no_nan() -> None:
    regression = kernel_regression(torch.ones(3, 3), torch.ones(1, 3))
    start = torch.tensor([[1.0, -1.0, 0.5]])
    residuals = regression.residuals(start, 0.1, torch.tensor([1000]))
    torch.testing.assert_close(residuals[0, 0], (start - start.mean()).double()[0])
    outputs = regression.outputs(torch.zeros(1, 1), start, 0.1, torch.tensor([1000]))
    assert float(outputs) == pytest.approx(-0.5 / 3)


def test_indirect_supervision_has_the_spectrum_of_the_kernel_times_a_transposed_a() -> None:
    factors, operator = normal(6, 6), normal(4, 6, seed=1)
    kernel = factors @ factors.T
    regression = kernel_regression(kernel, kernel, operator)
    product = torch.linalg.eigvals(kernel @ operator.T @ operator).real.sort(descending=True).values
    torch.testing.assert_close(regression.eigenvalues.flip(0), product[:4])


def test_a_frequency_s_residual_decays_by_its_eigenvalue() -> None:
    row = row_of(1.0)
    regression = kernel_regression(circulant(row), circulant(row))
    steps, rate, start = torch.tensor([0, 50, 100]), 2e-3, normal(3, 32)
    magnitudes = residual_magnitudes(regression.residuals(start, rate, steps), [1, 5, 15])
    eigenvalues = circulant_spectrum(row)[[1, 5, 15]]
    expected = magnitudes[:, :1] * torch.exp(-rate * steps[:, None] * eigenvalues)
    torch.testing.assert_close(magnitudes, expected)


def test_the_published_construction_starts_anew_at_every_step_and_hardly_moves() -> None:
    """At the end of p = 0 it multiplies the residual by exp(-lambda t / 32), whatever the network did before."""
    row = row_of(0.0)
    regression = kernel_regression(circulant(row), circulant(row))
    steps, rate = torch.tensor([0, 250]), 2e-3
    wave = torch.cos(2 * math.pi * 3 * grid(32))
    residuals = torch.stack([wave, 0.01 * wave])[None]  # an observed network, which no kernel explains
    outputs, left = published_construction(regression, residuals.clone(), residuals, rate, steps)
    torch.testing.assert_close(left[0, 0], wave)
    torch.testing.assert_close(left[0, 1], 0.01 * wave * math.exp(-8.301 * 0.5 / 32), rtol=1e-4, atol=1e-9)
    torch.testing.assert_close(outputs, left)  # asked where it was observed, with targets 0
    assert float(mean_squares(left)[0, 1] / mean_squares(residuals)[0, 1]) == pytest.approx(0.77, abs=5e-3)


# Best amplitudes


def ensemble_of(signals: int, count: int = 16) -> tuple[Tensor, Ensemble]:
    decay = (1 + torch.minimum(torch.arange(2 * count), 2 * count - torch.arange(2 * count))).double() ** -1.5
    noise = normal(signals, 2 * count) + 1j * normal(signals, 2 * count, seed=1)
    values = torch.fft.ifft(noise * decay).real
    return values, Ensemble.of(values)


def test_the_error_from_spectra_is_that_of_kernel_regression() -> None:
    values, ensemble = ensemble_of(7)
    amplitudes = normal(8).abs()
    places = torch.arange(1, 9, dtype=torch.float64)
    offsets = grid(32)[:, None] - grid(32)
    kernel = composed_row(amplitudes, places, offsets.flatten(), depth=4, width=64).reshape(32, 32)
    regression = kernel_regression(kernel[::2, ::2], kernel[1::2, ::2])
    outputs = regression.outputs(torch.zeros(7, 16), -values[:, ::2], 0.1, torch.tensor([3]))[:, 0]
    expected = float(mean_squares(outputs - values[:, 1::2]).mean())
    found = predicted_test_error(amplitudes, ensemble, depth=4, width=64, time=0.3)
    assert float(found) == pytest.approx(expected, rel=1e-10)


def test_the_error_s_gradient_is_that_of_differences() -> None:
    _, ensemble = ensemble_of(5)
    amplitudes = normal(4).abs().requires_grad_()

    def error(amplitudes: Tensor) -> Tensor:
        return predicted_test_error(amplitudes, ensemble, depth=4, width=64, time=0.3)

    assert torch.autograd.gradcheck(error, amplitudes, eps=1e-6, atol=1e-8)


def test_growth_has_its_limit_where_an_eigenvalue_is_zero() -> None:
    found = growth(torch.tensor([10.0, 0.0], dtype=torch.float64), 0.3)
    assert found.tolist() == pytest.approx([(1 - math.exp(-3)) / 10, 0.3])


def test_optimised_amplitudes_beat_every_power_law_they_could_be() -> None:
    _, ensemble = ensemble_of(200)
    settings = {"depth": 4, "width": 64, "time": 2.0}
    amplitudes, errors = optimised_amplitudes(ensemble, 8, **settings, steps=300, rate=1e-2, seed=0)
    assert float(amplitudes.norm()) == pytest.approx(1)
    places = torch.arange(1, 9, dtype=torch.float64)
    powers = [
        float(predicted_test_error(power_law_amplitudes(p, places), ensemble, **settings))
        for p in (0, 0.5, 1, 1.5, 2, math.inf)
    ]
    assert errors[-1] < min(powers)
    assert errors[0] == pytest.approx(powers[-1], rel=1e-3)  # it starts from the basic encoding


def test_best_exponent_is_where_the_error_is_least() -> None:
    assert best_exponent([0, 1, 2], [3.0, 1.0, 2.0]) == 1
    with pytest.raises(ValueError, match="not a number"):
        best_exponent([0, 1], [math.nan, 1.0])


# Finite networks


def lecun(network: MLP, seed: int = 0) -> MLP:
    """The network with weights N(0, 1 / fan_in) and biases zero, as the kernels assume."""
    draws = generator(seed)
    with torch.no_grad():
        for weight in network.weights:
            weight.copy_(torch.randn(weight.shape, generator=draws) / math.sqrt(weight.shape[1]))
        for bias in network.biases:
            bias.zero_()
    return network


def network_of(in_dim: int, width: int, seed: int = 0) -> MLP:
    return lecun(MLP(in_dim, 1, depth=4, width=width, generator=generator()), seed)


def test_the_kernel_of_finite_networks_converges_to_the_analytic_one_with_width() -> None:
    features = Basic(1)(grid(8)[:, None])
    errors = []
    for width in (32, 512):
        analytic = kernel_matrix(features, features, depth=4, width=width)
        kernels = torch.stack([empirical_kernel(network_of(2, width, seed), features) for seed in range(4)])
        errors.append(float((kernels - analytic).norm(dim=(1, 2)).mean() / analytic.norm()))
    # Fluctuations fall with the square root of the width: to a quarter, within chance of four draws.
    assert errors[1] < errors[0] / 2
    # What is left is chance, not bias: of a mean of four about half.
    assert float((kernels.mean(0) - analytic).norm() / analytic.norm()) < errors[1]


def test_the_empirical_kernel_is_that_of_gradients() -> None:
    features = normal(3, 2).float()
    network = network_of(2, 8)
    gradients = []
    for point in features:
        network.zero_grad()
        network(point[None]).sum().backward()
        gradients.append(torch.cat([parameter.grad.flatten() for parameter in network.parameters()]))
    stacked = torch.stack(gradients).double()
    torch.testing.assert_close(empirical_kernel(network, features), stacked @ stacked.T, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["p=1", "none"])
def test_theory_predicts_the_test_loss_of_a_trained_wide_network(name: str) -> None:
    """From the network's own outputs before training: 250 steps of plain descent, width 1024, 32 points."""
    everywhere = half_open(256).double()[:, None]
    if name == "none":
        features, rate, steps = NoEncoding(1)(everywhere - 0.5), 1e-3, 250
    else:
        amplitudes = power_law_amplitudes(1.0, FREQUENCIES)
        phases = 2 * math.pi * everywhere * FREQUENCIES
        features = torch.cat([amplitudes * phases.sin(), amplitudes * phases.cos()], 1) / amplitudes.norm()
        rate, steps = 2e-3, 250
    decay = (1 + torch.minimum(torch.arange(256), 256 - torch.arange(256))).double() ** -1
    decay[64:] = 0
    values = torch.fft.ifft((normal(256) + 1j * normal(256, seed=1)) * decay).real
    values = (values - values.min()) / (values.max() - values.min()) - 0.5
    train = torch.arange(256) % 8 == 0

    network = network_of(features.shape[1], 1024)
    with torch.no_grad():
        initial = network(features.float())[0, :, 0].double()
    optimizer = torch.optim.SGD(network.parameters(), lr=rate)
    targets = values[train].float()
    for _ in range(steps):
        optimizer.zero_grad()
        loss = 0.5 * nn.functional.mse_loss(network(features[train].float())[0, :, 0], targets, reduction="sum")
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        observed = mean_squares(network(features.float())[0, :, 0].double()[~train] - values[~train])

    kernel = kernel_matrix(features, features[train], depth=4, width=1024)
    regression = kernel_regression(kernel[train], kernel[~train])
    assert rate < largest_stable_rate(regression.eigenvalues)
    start = (initial - values)[train][None]
    predicted = regression.outputs(initial[None, ~train], start, rate, torch.tensor([steps]), discrete=True)
    before = mean_squares(initial[~train] - values[~train])
    assert float(observed) < 0.9 * float(before)  # there is something to predict
    assert float(observed) == pytest.approx(float(mean_squares(predicted[0, 0] - values[~train])), rel=0.15)


def test_kernels_take_any_shapes_that_agree() -> None:
    between = torch.tensor([[0.5, -1.0]])
    ones = torch.ones_like(between)
    kernel = tangent_kernel(between, ones, ones, dimensions=3, depth=3, parameterisation="ntk")
    assert kernel.shape == (1, 2)
    assert kernel.dtype == torch.float64
