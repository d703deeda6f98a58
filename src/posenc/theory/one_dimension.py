"""Theory studies on a line (Tancik et al. 2020, Figures 2, 3, 5, 7 and 12): what their jobs call."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from posenc.encodings.none import NoEncoding
from posenc.encodings.power_law import PowerLaw
from posenc.problems.grid import half_open
from posenc.signals.functions import random_function
from posenc.theory.amplitudes import Ensemble, best_exponent, optimised_amplitudes, predicted_test_error
from posenc.theory.dynamics import (
    KernelRegression,
    kernel_regression,
    largest_stable_rate,
    mean_squares,
    published_construction,
    residual_magnitudes,
)
from posenc.theory.kernels import composed_row, encoded_kernel, kernel_matrix, power_law_amplitudes
from posenc.theory.spectra import (
    circulant_spectrum,
    condition_number,
    half_width,
    log_log_slope,
    matrix_spectrum,
    shift_deviation,
)
from posenc.theory.study import Fit, Found, Inputs

VALIDATION = 1  # the stream of random functions that no experiment fits


# Kernels and their spectra


def kernel_spectra(inputs: Inputs) -> Found:
    """Figures 2 and 7: stationarity, spectra of composed kernels over exponents, and over depth."""
    asked = inputs.parameters
    rows: list[dict[str, Any]] = []
    arrays: dict[str, np.ndarray] = {}
    for made in (
        stationarity(asked["points_of_matrices"], asked["depth"], asked["width"]),
        falloff([float(p) for p in asked["exponents"]], asked["points"], asked["depth"], asked["width"]),
        spreading(asked["hidden_layers"], asked["points_of_spreading"], asked["extra_frequency"]),
        without_encoding(asked["points"], asked["depth"], asked["width"]),
    ):
        rows += made.rows
        arrays.update(made.arrays)
    return Found(rows, arrays)


def stationarity(points: int, depth: int, width: int) -> Found:
    """Kernel matrices of plain and circular inputs on [-pi, pi], and how far shifts change them."""
    angles = torch.linspace(-math.pi, math.pi, points, dtype=torch.float64)[:, None]
    inputs = {"none": angles, "basic": torch.cat([angles.sin(), angles.cos()], dim=1)}
    found = Found([], {"angles": angles[:, 0].numpy()})
    for name, features in inputs.items():
        kernel = kernel_matrix(features, features, depth=depth, width=width)
        found.arrays[f"matrix/{name}"] = kernel.numpy()
        # A deviation of exactly 0 has no logarithm: rounding is at least one unit in the last place.
        deviation = max(shift_deviation(kernel), torch.finfo(torch.float64).eps)
        found.rows.append({"metric": "log10_shift_deviation", "encoding": name, "value": math.log10(deviation)})
    return found


def falloff(exponents: list[float], points: int, depth: int, width: int) -> Found:
    """Composed kernels of power laws and their spectra: Figure 2c and d."""
    frequencies = torch.arange(1, points // 2 + 1, dtype=torch.float64)
    shown = torch.linspace(-0.5, 0.5, 1025, dtype=torch.float64)
    offsets = torch.arange(points, dtype=torch.float64) / points
    found = Found([], {"offsets": shown.numpy()})
    for exponent in exponents:
        amplitudes = power_law_amplitudes(exponent, frequencies)
        row = composed_row(amplitudes, frequencies, offsets, depth=depth, width=width)
        spectrum = circulant_spectrum(row)
        name = f"{exponent:g}"
        found.arrays[f"kernel/{name}"] = composed_row(amplitudes, frequencies, shown, depth=depth, width=width).numpy()
        found.arrays[f"spectrum/{name}"] = spectrum.numpy()
        about = {"encoding": "power_law", "exponent": exponent}
        facts = {
            "peak": float(row[0]),
            "band_edge": float(spectrum[points // 2]),
            "log_log_slope": log_log_slope(spectrum, points // 4),
            "log10_condition": math.log10(condition_number(spectrum)),
            "largest_stable_rate": largest_stable_rate(spectrum),
        }
        found.rows.extend([{"metric": metric, **about, "value": value} for metric, value in facts.items()])
    return found


def without_encoding(points: int, depth: int, width: int) -> Found:
    """Eigenvalues of the plain kernel at x - 1/2, as trained in one dimension, beside the basic kernel's condition."""
    places = half_open(points).double()[:, None] - 0.5
    eigenvalues = matrix_spectrum(kernel_matrix(places, places, depth=depth, width=width))
    condition = condition_number(eigenvalues)
    # Of a singular kernel, the number that rounding leaves.
    condition = condition if math.isfinite(condition) else 1 / (points * torch.finfo(torch.float64).eps)
    one = torch.ones(1, dtype=torch.float64)
    offsets = torch.arange(points, dtype=torch.float64) / points
    basic = condition_number(circulant_spectrum(composed_row(one, one, offsets, depth=depth, width=width)))
    rows = [
        {"metric": "log10_condition", "encoding": "none", "value": math.log10(condition)},
        {"metric": "log10_condition", "encoding": "basic", "value": math.log10(basic)},
        {"metric": "log10_condition_over_basic", "encoding": "none", "value": math.log10(condition / basic)},
        {"metric": "largest_stable_rate", "encoding": "none", "value": largest_stable_rate(eigenvalues)},
    ]
    return Found(rows, {"eigenvalues/none": eigenvalues.numpy()})


def spreading(hidden_layers: list[int], points: int, extra: int) -> Found:
    """Spectra over depth, in the ntk parameterisation: Figure 7.

    Six frequencies: for `basic` one of amplitude 1 and five of 0; for `extra` all of 1, at 1, 0, 0, 0, 0 and `extra`.
    The kernel is seen from the middle of the line and divided by its value at the far end, the FFT is orthonormal.
    """
    mappings = {"basic": ([1, 0, 0, 0, 0, 0], [1, 0, 0, 0, 0, 0]), "extra": ([1] * 6, [1, 0, 0, 0, 0, extra])}
    offsets = torch.arange(points, dtype=torch.float64) / points - 0.5
    found = Found([])
    for name, (amplitudes, frequencies) in mappings.items():
        for hidden in hidden_layers:
            row = composed_row(
                torch.tensor(amplitudes, dtype=torch.float64),
                torch.tensor(frequencies, dtype=torch.float64),
                offsets,
                depth=hidden + 1,
                parameterisation="ntk",
                squared_norm=len(amplitudes),
            )
            spectrum = torch.fft.fft(row, norm="ortho").abs() / row[0]
            found.arrays[f"spreading/{name}/{hidden}"] = spectrum.numpy()
            facts = {
                "dc": float(spectrum[0]),
                "edge_over_dc": float(spectrum[points // 2] / spectrum[0]),
                "floor": float(spectrum.min()),
                "half_width": half_width(spectrum, 0.01),
            }
            about = {"encoding": name, "hidden_layers": hidden}
            found.rows.extend([{"metric": metric, **about, "value": value} for metric, value in facts.items()])
    return found


# Dynamics


def predicted_dynamics(inputs: Inputs) -> Found:
    """Figures 3 and 12: kernel regression started once, from what each network gave before its first update.

    Beside it, under names of its own, the authors' construction, which is no prediction. Rows per signal: the final
    errors, log10(observed / predicted), and the rates at which frequencies' residuals decay over those predicted.
    Arrays below `<encoding>/<exponent>/<signal>/`, by logged step: `train`, `test`, `residual` of the prediction,
    those of the construction below `published/`, and those observed below `observed/`.
    """
    (experiment,) = inputs.fits
    stored, rows = inputs.signals[experiment]
    targets = torch.from_numpy(np.asarray(stored["values"])).double()
    found = Found([])
    for fit in inputs.fits[experiment]:
        for member, encoding in enumerate(fit.spec["members"]):
            add_member(found, fit, member, encoding, targets, rows)
    return found


def add_member(
    found: Found, fit: Fit, member: int, encoding: Mapping[str, Any], targets: Tensor, rows: list[dict[str, str]]
) -> None:
    """Add what one encoding's networks did and should have done, signal by signal."""
    spec, training = fit.spec, fit.spec["training"]
    rate = training["learning_rate"]
    scored = torch.tensor(logged_steps(training["steps"], training["log_every"]))
    with_start = torch.cat([torch.zeros(1, dtype=scored.dtype), scored])
    factor = spec["problem"]["factor"]
    train = torch.arange(targets.shape[1]) % factor == 0
    regression = regression_of(encoding, spec["network"], targets.shape[1], train)
    bins = [int(word) for word in spec["problem"]["bins"].split()]
    prefix = f"{member}/" if len(spec["members"]) > 1 else ""
    about: dict[str, Any] = {"encoding": fit.settings["encoding"], "exponent": encoding.get("exponent", math.nan)}
    label = f"{about['encoding']}/{about['exponent']:g}"
    found.arrays[f"{label}/steps"] = with_start.numpy()
    found.arrays[f"{label}/time"] = (rate * with_start).double().numpy()
    for index, row in enumerate(rows):
        if row["set"] != "report":
            continue
        signal, values = row["name"], targets[index]
        start = torch.from_numpy(fit.arrays[f"{prefix}{signal}/start"]).double()
        path = torch.cat([start[None], torch.from_numpy(fit.arrays[f"{prefix}{signal}/path"]).double()])
        errors = path - values
        observed = curves(errors[:, train], errors[:, ~train], bins)
        left = regression.residuals(errors[:1, train], rate, with_start, discrete=True)[0]
        predicted_outputs = regression.outputs(start[None, ~train], errors[:1, train], rate, with_start, discrete=True)
        predicted = curves(left, predicted_outputs[0] - values[~train], bins)
        outputs, moved = published_construction(
            regression, path[None][:, :, ~train], errors[None][:, :, train], rate, with_start
        )
        construction = curves(moved[0], outputs[0] - values[~train], bins)
        for kind, made in (("observed/", observed), ("", predicted), ("published/", construction)):
            found.arrays.update({f"{label}/{signal}/{kind}{name}": curve.numpy() for name, curve in made.items()})
        common = {**about, "signal": signal, "source": row["source"], "condition": row.get("condition")}
        for split in ("train", "test"):
            ratio = float(observed[split][-1] / predicted[split][-1])
            found.rows.extend(
                [
                    {**common, "metric": "predicted_mse", "split": split, "value": float(predicted[split][-1])},
                    {**common, "metric": "log10_error", "split": split, "value": math.log10(ratio)},
                    {**common, "metric": "abs_log10_error", "split": split, "value": abs(math.log10(ratio))},
                ]
            )
        for place, frequency in enumerate(bins):
            if about["encoding"] == "none":
                continue  # its kernel has no frequencies for eigenvectors
            ratio = decay_rate(observed["residual"][:, place], rate * with_start) / decay_rate(
                predicted["residual"][:, place], rate * with_start
            )
            item = f"bin {frequency}"
            found.rows.extend(
                [
                    {**common, "metric": "decay_ratio", "item": item, "value": ratio},
                    {**common, "metric": "decay_error", "item": item, "value": abs(ratio - 1)},
                ]
            )


def regression_of(
    encoding: Mapping[str, Any], network: Mapping[str, Any], count: int, train: Tensor
) -> KernelRegression:
    """Kernel regression in a planned network's place, trained at some of `count` points and asked at the others."""
    if network.get("initialisation") != "lecun":
        raise ValueError("theory of a line: its networks must start as the kernels assume, initialisation: lecun")
    made = built(encoding)
    places = half_open(count).double()[:, None]
    kernel = encoded_kernel(made, places, places[train], depth=network["depth"], width=network["width"])
    return kernel_regression(kernel[train], kernel[~train])


def built(encoding: Mapping[str, Any]) -> NoEncoding | PowerLaw:
    """The planned encoding in one dimension."""
    parameters = {name: value for name, value in encoding.items() if name != "use"}
    for known in (NoEncoding, PowerLaw):
        if encoding["use"].endswith(f":{known.__name__}"):
            made: NoEncoding | PowerLaw = known(1, **parameters)
            return made
    raise ValueError(f"theory of a line: no kernel is known here for {encoding['use']}; use none or power_law")


def curves(train: Tensor, test: Tensor, bins: list[int]) -> dict[str, Tensor]:
    """Mean squared errors `(times,)` and residual magnitudes `(times, bins)` from errors `(times, points)`."""
    return {
        "train": mean_squares(train),
        "test": mean_squares(test),
        "residual": residual_magnitudes(train, bins),
    }


def logged_steps(steps: int, log_every: int) -> list[int]:
    """The updates after which a fit is scored."""
    return sorted({*range(1, steps + 1, log_every), steps})


def decay_rate(magnitudes: Tensor, times: Tensor, floor: float = 0.1) -> float:
    """Minus the slope of log magnitude over time, from the start to where the magnitude has fallen to `floor` of it.

    A network's residuals level off once they are small; what comes before that is compared. Two points at least.
    """
    small = torch.nonzero(magnitudes < floor * magnitudes[0]).flatten()
    count = max(2, int(small[0]) if len(small) else len(magnitudes))
    t = times[:count].double() - times[:count].double().mean()
    level = magnitudes[:count].double().log()
    return -float((t * level).sum() / t.square().sum())


# Best amplitudes


def best_amplitudes(inputs: Inputs) -> Found:
    """Figure 5: amplitudes that minimise the predicted error at the experiment's own size, depth, width and time.

    They are fitted to random functions of a stream that no experiment draws from. Rows: predicted errors of power laws
    and of the optimised amplitudes; the best exponent for each of `groups` parts of the functions, which are its
    sources, since it hangs on the draw. Arrays: `amplitudes/alpha=...` and spectra of kernels.
    """
    ((experiment, plans),) = inputs.plans.items()
    asked = inputs.parameters
    stored, rows = inputs.signals[experiment]
    points = np.asarray(stored["values"]).shape[1]
    network, training, problem = (plans[0][part] for part in ("network", "training", "problem"))
    if problem["factor"] != 2:
        raise ValueError(f"best amplitudes are for every second point observed, not factor {problem['factor']}")
    setting = {"depth": network["depth"], "width": network["width"]}
    time = training["learning_rate"] * training["steps"]
    count = points // 4  # frequencies below those of n / 2 training points
    frequencies = torch.arange(1, count + 1, dtype=torch.float64)
    found = Found([])
    for condition in dict.fromkeys(row["condition"] for row in rows):
        alpha = float(condition.removeprefix("alpha="))
        values = torch.from_numpy(validation_functions(asked["signals"], alpha, points))
        ensemble = Ensemble.of(values)
        amplitudes, errors = optimised_amplitudes(
            ensemble, count, **setting, time=time, steps=asked["steps"], rate=asked["learning_rate"], seed=asked["seed"]
        )
        powers = [float(p) for p in asked["exponents"]]
        predicted = predicted_of_powers(powers, ensemble, frequencies, **setting, time=time)
        own = float(predicted_test_error(amplitudes, ensemble, **setting, time=time))
        common = {"condition": condition, "alpha": alpha}
        found.rows.extend(
            [
                {**common, "metric": "predicted_mse", "encoding": "power_law", "exponent": p, "value": error}
                for p, error in zip(powers, predicted, strict=True)
            ]
        )
        found.rows.extend(
            [
                {**common, "metric": "predicted_mse", "encoding": "optimised", "value": own},
                {
                    **common,
                    "metric": "log10_over_best",
                    "encoding": "optimised",
                    "value": math.log10(own / min(predicted)),
                },
            ]
        )
        for group, functions in enumerate(values.chunk(asked["groups"])):
            errors_of_group = predicted_of_powers(powers, Ensemble.of(functions), frequencies, **setting, time=time)
            best = best_exponent(powers, errors_of_group)
            own_source = {"signal": f"functions_{group}", "source": f"functions_{group}"}
            found.rows.append(
                {**common, **own_source, "metric": "best_exponent", "encoding": "power_law", "value": best}
            )
        found.arrays[f"amplitudes/{condition}"] = amplitudes.numpy()
        found.arrays[f"errors/{condition}"] = np.array(errors)
        for name, chosen in (("optimised", amplitudes), ("inf", power_law_amplitudes(math.inf, frequencies))):
            offsets = torch.arange(points // 2, dtype=torch.float64) / (points // 2)
            row = composed_row(chosen, frequencies, offsets, **setting)
            found.arrays[f"spectrum/{name}/{condition}"] = circulant_spectrum(row).numpy()
    return found


def predicted_of_powers(
    powers: Sequence[float], ensemble: Ensemble, frequencies: Tensor, *, depth: int, width: int, time: float
) -> list[float]:
    """Predicted test errors behind power laws, an exponent each."""
    setting = {"depth": depth, "width": width}
    return [
        float(predicted_test_error(power_law_amplitudes(p, frequencies), ensemble, **setting, time=time))
        for p in powers
    ]


def validation_functions(count: int, alpha: float, points: int) -> np.ndarray:
    """`(count, points)` random functions, stretched together to a range of 1, none of which is fitted."""
    drawn = np.stack([random_function(index, alpha, points, stream=VALIDATION) for index in range(count)])
    stretched: np.ndarray = drawn / np.ptp(drawn)
    return stretched
