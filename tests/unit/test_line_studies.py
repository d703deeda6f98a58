"""Theory studies in one dimension: what their jobs find, on fits that follow the theory and on planned ones."""

import importlib
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from torch import Tensor

from posenc.signals.functions import random_function, scaled
from posenc.theory.amplitudes import Ensemble, predicted_test_error
from posenc.theory.dynamics import kernel_regression
from posenc.theory.kernels import composed_row, encoded_kernel, power_law_amplitudes
from posenc.theory.one_dimension import (
    best_amplitudes,
    built,
    decay_rate,
    kernel_spectra,
    logged_steps,
    predicted_dynamics,
    validation_functions,
)
from posenc.theory.study import Fit, Found, Inputs

PAPER = Path(__file__).parents[2] / "workflow/papers/fourier_features"
STUDIES = yaml.safe_load((PAPER / "theory.yaml").read_text())
POWER_LAW, NONE = "posenc.encodings.power_law:PowerLaw", "posenc.encodings.none:NoEncoding"


def value(found: Found, metric: str, **where: Any) -> float:
    """The value of the one row with these entries."""
    rows = [row for row in found.rows if {"metric": metric, **where}.items() <= row.items()]
    assert len(rows) == 1, rows
    return float(rows[0]["value"])


# Kernels


@pytest.fixture(scope="module")
def spectra() -> Found:
    return kernel_spectra(Inputs(STUDIES["kernel_spectra"]["parameters"], {}, {}))


def test_the_study_of_kernels_has_the_papers_numbers(spectra: Found) -> None:
    assert 10 ** value(spectra, "log10_shift_deviation", encoding="none") > 0.05
    assert 10 ** value(spectra, "log10_shift_deviation", encoding="basic") < 1e-6
    assert value(spectra, "band_edge", exponent=0.0) == pytest.approx(11.187, abs=1e-3)
    assert value(spectra, "band_edge", exponent=math.inf) == pytest.approx(0.439, abs=1e-3)
    assert value(spectra, "log_log_slope", exponent=2.0) == pytest.approx(-1.97, abs=6e-3)
    assert value(spectra, "dc", encoding="extra", hidden_layers=8) == pytest.approx(15.13, abs=5e-3)
    assert value(spectra, "half_width", encoding="basic", hidden_layers=16) == 14
    edges = [value(spectra, "edge_over_dc", encoding="basic", hidden_layers=depth) for depth in (4, 8, 16)]
    assert edges == pytest.approx([0.0066 / 21.22, 0.0100 / 16.41, 0.0186 / 14.43], rel=0.01)
    assert value(spectra, "log10_condition_over_basic", encoding="none") > 10
    # 2 / lambda_max: the published rate of 1e-5 and those of reduced presets are stable.
    assert value(spectra, "largest_stable_rate", encoding="none") == pytest.approx(2 / 678.2, rel=1e-3)


def test_the_study_of_kernels_keeps_what_figures_draw(spectra: Found) -> None:
    arrays = spectra.arrays
    assert arrays["matrix/none"].shape == (100, 100)
    assert np.isfinite(arrays["matrix/none"]).all()
    for exponent in STUDIES["kernel_spectra"]["parameters"]["exponents"]:
        kernel = arrays[f"kernel/{exponent:g}"]
        assert kernel[arrays["offsets"] == 0] == pytest.approx([14.0])
        np.testing.assert_allclose(kernel, kernel[::-1])
        assert arrays[f"spectrum/{exponent:g}"].shape == (32,)
    assert arrays["spreading/extra/4"][43] == pytest.approx(2.006, abs=5e-4)
    assert (arrays["eigenvalues/none"] > 0.1).sum() == 5


# Dynamics

COUNT, FACTOR, STEPS, RATE = 64, 4, 41, 0.02
NETWORK = {"use": "posenc.networks.mlp:MLP", "depth": 3, "width": 64, "initialisation": "lecun"}
SPEC: dict[str, Any] = {
    "network": NETWORK,
    "problem": {"use": "posenc.problems.line:LineRegression", "factor": FACTOR, "bins": "1 3", "keeps_path": True},
    "training": {"steps": STEPS, "learning_rate": RATE, "log_every": 10},
    "seed": 0,
}


def functions() -> np.ndarray:
    drawn = [scaled(random_function(i, 1.0, COUNT, band_limited=True)[None])[0] for i in range(2)]
    return np.stack(drawn).astype(np.float32)


def obedient(encoding: Mapping[str, Any], values: Tensor, slower: float = 1.0) -> tuple[Tensor, Tensor]:
    """Outputs before training and at every logged step of a network that does what the kernel says, maybe slower."""
    places = (torch.arange(COUNT, dtype=torch.float64) / COUNT)[:, None]
    train = torch.arange(COUNT) % FACTOR == 0
    kernel = encoded_kernel(built(encoding), places, places[train], depth=3, width=64)
    regression = kernel_regression(kernel[train], kernel)
    start = 0.1 * torch.sin(9 * places[:, 0])
    steps = torch.tensor(logged_steps(STEPS, 10))
    first = (start - values)[train][None]
    return start, regression.outputs(start[None], first, slower * RATE, steps, discrete=True)[0]


def studied(encodings: list[dict[str, Any]], name: str, slower: float = 1.0) -> Found:
    values = functions()
    rows = [{"name": f"f{i}", "set": "report", "source": f"draw_{i}", "condition": "alpha=1"} for i in range(2)]
    rows.append({**rows[0], "name": "tuning_only", "set": "tuning"})
    arrays: dict[str, np.ndarray] = {}
    for member, encoding in enumerate(encodings):
        prefix = f"{member}/" if len(encodings) > 1 else ""
        for i in range(2):
            start, path = obedient(encoding, torch.from_numpy(values[i]).double(), slower)
            arrays |= {f"{prefix}f{i}/start": start.numpy(), f"{prefix}f{i}/path": path.numpy()}
    fit = Fit({**SPEC, "members": encodings}, {"encoding": name}, arrays)
    stored = {"values": np.concatenate([values, values[:1]])}
    return predicted_dynamics(Inputs({}, {"line_dynamics": (stored, rows)}, {"line_dynamics": [fit]}))


STACKED = [{"use": POWER_LAW, "exponent": p, "features": 16} for p in (0.0, 1.0, math.inf)]


def test_a_network_that_follows_its_kernel_is_predicted_without_error() -> None:
    found = studied(STACKED, "power_law")
    for row in found.rows:
        if row["metric"] in ("log10_error", "abs_log10_error", "decay_error"):
            assert row["value"] == pytest.approx(0, abs=1e-8)
        if row["metric"] == "decay_ratio":
            assert row["value"] == pytest.approx(1)
    assert {row["signal"] for row in found.rows} == {"f0", "f1"}  # not the one that only tunes
    assert {row["exponent"] for row in found.rows} == {0.0, 1.0, math.inf}
    assert {row.get("item") for row in found.rows} == {None, "bin 1", "bin 3"}


def test_a_slower_network_has_a_lower_decay_rate_and_another_error() -> None:
    found = studied([{"use": POWER_LAW, "exponent": 1.0, "features": 16}], "power_law", slower=0.5)
    assert value(found, "decay_ratio", signal="f0", item="bin 3") == pytest.approx(0.5, rel=0.05)
    assert value(found, "decay_error", signal="f0", item="bin 3") == pytest.approx(0.5, rel=0.05)
    assert value(found, "log10_error", signal="f0", split="train") > 0.1


def test_no_rates_are_compared_where_frequencies_are_no_eigenvectors() -> None:
    found = studied([{"use": NONE, "shift": -0.5}], "none")
    assert {row["metric"] for row in found.rows} == {"predicted_mse", "log10_error", "abs_log10_error"}
    assert "none/nan/f0/train" in found.arrays


def test_curves_begin_before_training_and_the_construction_follows_the_network() -> None:
    found = studied(STACKED, "power_law")
    label = "power_law/1"
    steps = found.arrays[f"{label}/steps"]
    assert steps.tolist() == [0, 1, 11, 21, 31, 41]
    np.testing.assert_allclose(found.arrays[f"{label}/time"], RATE * steps)
    for name in ("train", "test", "residual"):
        predicted, observed = (found.arrays[f"{label}/f0/{kind}{name}"] for kind in ("", "observed/"))
        np.testing.assert_allclose(predicted, observed)
        assert len(predicted) == len(steps)
    published = found.arrays[f"{label}/f0/published/train"]
    observed = found.arrays[f"{label}/f0/observed/train"]
    assert published[0] == pytest.approx(observed[0])
    assert (published[1:] < observed[1:]).all()  # moved on by a little


def test_studies_refuse_what_their_kernels_are_not_of() -> None:
    with pytest.raises(ValueError, match=r"no kernel is known here for posenc\.encodings\.gaussian:Gaussian"):
        built({"use": "posenc.encodings.gaussian:Gaussian", "sigma": 1.0})
    fit = Fit(
        {**SPEC, "network": {**NETWORK, "initialisation": "glorot"}, "members": STACKED[:1]}, {"encoding": "p"}, {}
    )
    with pytest.raises(ValueError, match="initialisation: lecun"):
        predicted_dynamics(Inputs({}, {"e": ({"values": functions()}, [])}, {"e": [fit]}))


def test_logged_steps_are_those_of_the_fits() -> None:
    assert logged_steps(125, 50) == [1, 51, 101, 125]
    assert logged_steps(101, 50) == [1, 51, 101]


def test_decay_rates_come_from_before_the_plateau() -> None:
    times = torch.linspace(0, 10, 101, dtype=torch.float64)
    magnitudes = torch.exp(-2 * times).clamp(min=1e-3)
    assert decay_rate(magnitudes, times) == pytest.approx(2)
    assert decay_rate(torch.exp(-0.01 * times), times) == pytest.approx(0.01)
    assert decay_rate(torch.tensor([1.0, 1e-6, 1e-6]), torch.tensor([0.0, 1.0, 2.0])) == pytest.approx(math.log(1e6))


# Best amplitudes


def planned(factor: int = 2) -> Inputs:
    training = {"steps": 100, "learning_rate": 0.02, "log_every": 50}
    spec = {**SPEC, "problem": {**SPEC["problem"], "factor": factor}, "training": training, "members": []}
    rows = [{"name": a, "set": "report", "source": a, "condition": f"alpha={a}"} for a in ("1", "2", "1")]
    parameters = {
        "signals": 64,
        "groups": 4,
        "steps": 60,
        "learning_rate": 0.02,
        "seed": 0,
        "exponents": [0, 1, 2, math.inf],
    }
    return Inputs(parameters, {"line_powers": ({"values": np.zeros((3, 32))}, rows)}, {}, {"line_powers": [spec]})


def test_amplitudes_are_optimised_for_every_alpha_at_the_experiments_own_setting() -> None:
    found = best_amplitudes(planned())
    assert {name for name in found.arrays if name.startswith("amplitudes/")} == {
        "amplitudes/alpha=1",
        "amplitudes/alpha=2",
    }
    for condition, alpha in (("alpha=1", 1.0), ("alpha=2", 2.0)):
        amplitudes = found.arrays[f"amplitudes/{condition}"]
        assert amplitudes.shape == (8,)
        assert np.linalg.norm(amplitudes) == pytest.approx(1)
        errors = found.arrays[f"errors/{condition}"]
        assert errors[-1] < errors[0]
        own = value(found, "predicted_mse", encoding="optimised", condition=condition)
        powers = [
            value(found, "predicted_mse", encoding="power_law", condition=condition, exponent=p)
            for p in (0.0, 1.0, 2.0, math.inf)
        ]
        assert value(found, "log10_over_best", condition=condition) == pytest.approx(math.log10(own / min(powers)))
        best = [row for row in found.rows if row["metric"] == "best_exponent" and row["condition"] == condition]
        assert [(row["source"], row["alpha"]) for row in best] == [(f"functions_{i}", alpha) for i in range(4)]
        second = Ensemble.of(torch.from_numpy(validation_functions(64, alpha, 32))[16:32])
        setting = {"depth": NETWORK["depth"], "width": NETWORK["width"], "time": 100 * 0.02}
        laws = {p: power_law_amplitudes(p, torch.arange(1, 9).double()) for p in (0.0, 1.0, 2.0, math.inf)}
        errors_of_second = {p: float(predicted_test_error(law, second, **setting)) for p, law in laws.items()}
        assert best[1]["value"] == min(errors_of_second, key=errors_of_second.__getitem__)
        # Errors start from the basic encoding's.
        assert errors[0] == pytest.approx(powers[-1], rel=0.01)


def test_the_predicted_error_is_that_of_training_the_validation_functions() -> None:
    found = best_amplitudes(planned())
    values = torch.from_numpy(validation_functions(64, 1.0, 32))
    frequencies = torch.arange(1, 9, dtype=torch.float64)
    offsets = (torch.arange(32)[:, None] - torch.arange(32)).double().flatten() / 32
    row = composed_row(power_law_amplitudes(1.0, frequencies), frequencies, offsets, depth=3, width=64)
    kernel = row.reshape(32, 32)
    regression = kernel_regression(kernel[::2, ::2], kernel[1::2, ::2])
    outputs = regression.outputs(torch.zeros(64, 16), -values[:, ::2], 0.02, torch.tensor([100]))[:, 0]
    expected = float((outputs - values[:, 1::2]).square().mean())
    assert value(found, "predicted_mse", condition="alpha=1", exponent=1.0) == pytest.approx(expected)
    assert np.ptp(values.numpy()) == pytest.approx(1)


def test_amplitudes_are_for_every_second_point() -> None:
    with pytest.raises(ValueError, match="every second point observed, not factor 4"):
        best_amplitudes(planned(factor=4))


def test_the_studies_of_the_paper_name_functions_that_are_there() -> None:
    for study in STUDIES.values():
        module, function = study["function"].split(":")
        assert callable(getattr(importlib.import_module(module), function))
