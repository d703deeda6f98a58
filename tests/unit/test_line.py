"""One dimension: functions, bumps, the encodings of the 1D studies and regression on a line."""

import json
import math
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from posenc.encodings.basic import Basic
from posenc.encodings.optimised import Optimised
from posenc.encodings.power_law import PowerLaw
from posenc.encodings.sampled import Laplace, Uniform, UniformLog
from posenc.encodings.weighted import WeightedFourier
from posenc.problems.grid import Grid
from posenc.problems.line import LineRegression
from posenc.problems.score import Predict, Score
from posenc.signals import bumps, functions
from posenc.signals.pictures import SignalError
from posenc.signals.stored import write_signals
from posenc.training.fit import fit_combination


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# Functions


def drawn(alpha: list[float], report: int = 3, tuning: int = 0, size: int = 64, **settings: object) -> np.ndarray:
    proposal = functions.propose(SimpleNamespace(alpha=alpha, report=report, tuning=tuning, size=size), None)
    entries = [*proposal.tuning, *proposal.report]
    spec = {"size": size, "signals": entries, **settings}
    return np.stack([functions.load_signal(entry, spec).arrays["values"] for entry in entries])


def test_a_set_has_every_draw_of_every_alpha_and_draws_are_the_sources() -> None:
    settings = SimpleNamespace(alpha=[0.5, 1.0], report=2, tuning=1, size=32)
    proposal = functions.propose(settings, None)
    assert [(entry["name"], entry["source"], entry["condition"]) for entry in proposal.report] == [
        ("alpha_0.5_draw_001", "draw_001", "alpha=0.5"),
        ("alpha_0.5_draw_002", "draw_002", "alpha=0.5"),
        ("alpha_1_draw_001", "draw_001", "alpha=1"),
        ("alpha_1_draw_002", "draw_002", "alpha=1"),
    ]
    assert [entry["source"] for entry in proposal.tuning] == ["draw_000", "draw_000"]
    assert functions.drawn_as("alpha_1.5_draw_012") == (1.5, 12)


def test_functions_without_alpha_are_refused() -> None:
    with pytest.raises(SignalError, match="functions need alpha"):
        functions.propose(SimpleNamespace(alpha=None, report=2, tuning=1, size=32), None)


def test_functions_span_their_range_each_or_jointly() -> None:
    each = drawn([1.0])
    assert each.dtype == np.float32
    assert np.allclose(each.min(axis=1), -0.5) and np.allclose(each.max(axis=1), 0.5)
    jointly = drawn([1.0, 2.0], scaled="jointly").reshape(2, 3, 64)
    assert np.allclose(jointly.min(axis=(1, 2)), -0.5) and np.allclose(jointly.max(axis=(1, 2)), 0.5)
    assert np.ptp(jointly, axis=2).min() < 0.99  # not each by itself


def test_a_function_depends_on_its_index_alone() -> None:
    assert np.array_equal(drawn([1.0], report=2), drawn([1.0], report=4)[:2])
    assert not np.allclose(*drawn([1.0], report=2))
    assert not np.allclose(functions.random_function(0, 1, 64), functions.random_function(0, 1, 64, stream=1))


def test_the_band_limit_leaves_a_quarter_of_the_frequencies() -> None:
    spectrum = np.abs(np.fft.fft(functions.random_function(0, 1.0, 64, band_limited=True)))
    assert (spectrum[16:49] < 1e-12).all()
    assert (spectrum[1:16] > 1e-6).all()


@pytest.mark.parametrize("alpha", [0.5, 1.0, 2.0])
def test_mean_spectra_fall_by_the_power_law(alpha: float) -> None:
    many = np.stack([functions.random_function(index, alpha, 64) for index in range(2000)])
    power = (np.abs(np.fft.fft(many)) ** 2).mean(axis=0)
    # The real part keeps half the power of the complex signal, but at the two frequencies that are their own mirror.
    expected = (1 + np.minimum(np.arange(64), 64 - np.arange(64))) ** (-2 * alpha)
    inner = np.r_[1:32, 33:64]
    np.testing.assert_allclose(power[inner], expected[inner], rtol=5 * 2000**-0.5)
    assert functions.spectral_decay(64, alpha)[0] == 1


def test_bumps_stand_where_their_condition_says() -> None:
    proposal = bumps.propose(SimpleNamespace(report=40, size=256), None)
    assert (proposal.tuning, len(proposal.report)) == ([], 40)
    spec = {"size": 256, "signals": proposal.report}
    angles = 2 * math.pi * np.arange(256) / 256 - math.pi
    for entry in proposal.report:
        values = bumps.load_signal(entry, spec).arrays["values"]
        assert values.max() == 1
        assert angles[values.argmax()] == pytest.approx(float(entry["condition"]), abs=1e-4)
        # The width is a standard deviation: the sum of a Gaussian of 0.05 over the spacing of the points.
        assert values.sum() == pytest.approx(0.05 * math.sqrt(2 * math.pi) * 256 / (2 * math.pi), rel=1e-3)
    assert float(proposal.report[0]["condition"]) == pytest.approx(-math.pi, abs=1e-4)


# Encodings


@pytest.mark.parametrize("exponent", [0.0, 0.5, 2.0])
def test_power_law_features_are_the_harmonics_by_the_formula(exponent: float) -> None:
    places = torch.rand(20, 1, generator=generator(), dtype=torch.float64)
    j = torch.arange(1, 9, dtype=torch.float64)
    a = 1 / j**exponent
    expected = torch.cat([a * torch.sin(2 * math.pi * j * places), a * torch.cos(2 * math.pi * j * places)], dim=1)
    features = PowerLaw(1, exponent=exponent, features=16)(places)
    torch.testing.assert_close(features, expected / a.norm(), rtol=1e-6, atol=1e-6)


def test_an_infinite_exponent_is_the_normalised_basic_encoding_and_zeros() -> None:
    places = torch.rand(20, 1, generator=generator(), dtype=torch.float64)
    features = PowerLaw(1, exponent=math.inf, features=16)(places)
    torch.testing.assert_close(features[:, [0, 8]], Basic(1, normalised=True)(places))
    others = [column for column in range(16) if column not in (0, 8)]
    assert (features[:, others] == 0).all()


def test_power_law_has_its_harmonics_on_every_axis() -> None:
    encoding = PowerLaw(2, exponent=1.0, features=12)
    assert encoding.frequencies().tolist() == [[1, 0], [2, 0], [3, 0], [0, 1], [0, 2], [0, 3]]
    norms = encoding(torch.rand(9, 2, generator=generator(), dtype=torch.float64)).square().sum(1)
    torch.testing.assert_close(norms, torch.ones_like(norms), rtol=1e-6, atol=0)
    with pytest.raises(ValueError, match=r"power_law: 2 features are too few for 2 axes \(at least 4\)"):
        PowerLaw(2, exponent=1.0, features=2)


def test_bandwidth_weights_frequencies_by_squared_amplitudes() -> None:
    encoding = WeightedFourier(torch.tensor([[1.0], [3.0]]), torch.tensor([2.0, 1.0]))
    assert encoding.bandwidth() == pytest.approx(math.sqrt((4 * 1 + 1 * 9) / 5))
    assert PowerLaw(1, exponent=math.inf, features=16).bandwidth() == 1


SAMPLED = {
    # class, sigma, expected mean of |b|, mean of b^2
    "uniform": (Uniform, 12.0, 6.0, 12.0**2 / 3),
    "uniform_log": (UniformLog, 80.0, 79 / math.log(80), (80**2 - 1) / (2 * math.log(80))),
    "laplace": (Laplace, 5.0, 5.0, 2 * 5.0**2),
}


@pytest.mark.parametrize("dimensions", [1, 2, 3])
@pytest.mark.parametrize("law", SAMPLED)
def test_sampled_frequencies_follow_their_law_in_length(law: str, dimensions: int) -> None:
    cls, sigma, mean, square = SAMPLED[law]
    encoding = cls(dimensions, sigma=sigma, features=200_000, generator=generator())
    lengths = encoding.frequencies().double().norm(dim=1)
    for values, expected in ((lengths, mean), (lengths.square(), square)):
        error = float(values.std()) / math.sqrt(len(values))
        assert float(values.mean()) == pytest.approx(expected, abs=5 * error)
    if law == "uniform":
        assert lengths.min() >= 0 and lengths.max() < sigma
    if law == "uniform_log":
        assert lengths.min() >= 1 and lengths.max() < sigma


@pytest.mark.parametrize("law", SAMPLED)
def test_directions_are_isotropic(law: str) -> None:
    cls, sigma, _, _ = SAMPLED[law]
    frequencies = cls(3, sigma=sigma, features=100_000, generator=generator()).frequencies().double()
    directions = frequencies / frequencies.norm(dim=1, keepdim=True)
    # Mean 0 and second moments 1/3 on every axis, by five standard errors.
    assert (directions.mean(0).abs() < 5 * (1 / 3 / 50_000) ** 0.5).all()
    second = directions.T @ directions / len(directions)
    assert ((second - torch.eye(3, dtype=torch.float64) / 3).abs() < 5 * (4 / 45 / 50_000) ** 0.5).all()


def test_one_dimensional_uniform_laws_are_one_sided_and_laplace_is_not() -> None:
    for law, (cls, sigma, _, _) in SAMPLED.items():
        frequencies = cls(1, sigma=sigma, features=2000, generator=generator()).frequencies()
        assert bool((frequencies < 0).any()) == (law == "laplace")
        assert torch.isfinite(frequencies).all()


def test_optimised_amplitudes_come_from_the_study_of_their_alpha() -> None:
    found = {"amplitudes/alpha=1": torch.tensor([3.0, 4.0]), "amplitudes/alpha=1.5": torch.tensor([1.0, 0.0])}
    encoding = Optimised(1, alpha=1.0, theory=found)
    assert encoding.frequencies().flatten().tolist() == [1, 2]
    torch.testing.assert_close(encoding.a, torch.tensor([0.6, 0.8]))
    assert Optimised(1, alpha=1.5, theory=found).out_dim == 4
    with pytest.raises(ValueError, match=r"no array 'amplitudes/alpha=2'; it has amplitudes/alpha=1, "):
        Optimised(1, alpha=2.0, theory=found)
    with pytest.raises(ValueError, match="not in 2 dimensions"):
        Optimised(2, alpha=1.0, theory=found)


# The problem


def problem(count: int = 24, signals: int = 2, **settings: object) -> LineRegression:
    values = torch.randn(signals, count, generator=generator())
    return LineRegression({"values": values}, **settings)  # type: ignore[arg-type]


def told(values: Tensor) -> Predict:
    """A prediction that gives these values everywhere."""

    def predict(where: Grid | Tensor) -> Tensor:
        assert isinstance(where, Grid)
        assert len(where) == values.shape[1]
        return values[..., None]

    return predict


def test_every_factor_th_point_is_observed() -> None:
    line = problem(factor=8)
    assert line.inputs(1).points()[:, 0].tolist() == pytest.approx([0, 8 / 24, 16 / 24])
    assert line.everywhere.points()[:, 0].tolist() == pytest.approx([i / 24 for i in range(24)])


def test_the_loss_is_half_the_sum_of_squares() -> None:
    line = problem(factor=8)
    values = torch.randn(2, 3, 1, generator=generator(1))
    expected = [0.5 * ((values[i, :, 0] - line.functions[i, ::8]) ** 2).sum().item() for i in range(2)]
    assert line.loss(values, 1).tolist() == pytest.approx(expected)
    assert torch.equal(line.targets(), line.functions[:, ::8, None])


def test_scores_are_mean_squares_by_split_and_fourier_magnitudes_of_the_training_residual() -> None:
    line = problem(factor=2, bins="1 5")
    values = torch.randn(2, 24, generator=generator(1))
    scores = {(s.metric, s.split, s.item): s.values for s in line.scores(told(values), last=True)}
    errors = (values - line.functions).double()
    torch.testing.assert_close(scores["mse", "train", ""], errors[:, ::2].square().mean(1))
    torch.testing.assert_close(scores["mse", "test", ""], errors[:, 1::2].square().mean(1))
    by_hand = np.abs(np.fft.fft(errors[:, ::2].numpy(), axis=1))
    np.testing.assert_allclose(scores["residual", "train", "bin 1"], by_hand[:, 1])
    np.testing.assert_allclose(scores["residual", "train", "bin 5"], by_hand[:, 5])
    torch.testing.assert_close(scores["psnr", "all", ""], -10 * errors.square().mean(1).log10())
    assert len(scores) == 5
    assert "psnr" not in {score.metric for score in line.scores(told(values), last=False)}


def test_without_other_points_there_is_no_test_split() -> None:
    line = problem(factor=1)
    splits = {score.split for score in line.scores(told(torch.zeros(2, 24)), last=False)}
    assert splits == {"train"}


def test_settings_that_do_not_fit_the_points_are_refused() -> None:
    with pytest.raises(ValueError, match="factor 5 does not divide the 24 points"):
        problem(factor=5)
    with pytest.raises(ValueError, match="bins '1 7' go beyond the frequency 6 of the training points"):
        problem(factor=2, bins="1 7")


def test_the_path_is_kept_where_asked_for_and_survives_being_saved() -> None:
    first, second = (torch.randn(2, 24, generator=generator(seed)) for seed in (1, 2))
    line = problem(factor=2, keeps_path=True)
    assert "path" not in line.shown(told(first))  # before training
    list(line.scores(told(first), last=False))
    other = problem(factor=2, keeps_path=True)
    other.load_state_dict(line.state_dict())
    list(other.scores(told(second), last=True))
    shown = other.shown(told(second))
    assert torch.equal(shown["path"], torch.stack([first, second], dim=1))
    assert torch.equal(shown[""], second)
    other.load_state_dict(problem(factor=2).state_dict())
    assert other.path == []
    assert not list(line.parameters())
    assert "path" not in problem(factor=2).shown(told(second))


# Fits


def fitted(folder: Path, encoding: dict[str, object], checkpoint: Path | None = None, **more: str) -> Path:
    """The folder of a small combination's outputs: three functions, 20 updates, scored every 5."""
    folder.mkdir()
    entries = functions.propose(SimpleNamespace(alpha=[1.0], report=3, tuning=0), None).report
    rows = [{**entry, "set": "report"} for entry in entries]
    values = np.stack([functions.load_signal(entry, {"size": 32, "signals": rows}).arrays["values"] for entry in rows])
    write_signals({"values": values}, rows, folder / "signals.npz", folder / "signals.json")  # type: ignore[arg-type]
    combination = {
        "members": [encoding],
        "network": {"use": "posenc.networks.mlp:MLP", "depth": 3, "width": 16, "initialisation": "lecun"},
        "problem": {"use": "posenc.problems.line:LineRegression", "factor": 4, "bins": "1", "keeps_path": True},
        "training": {"steps": 20, "learning_rate": 1e-2, "optimizer": "sgd", "log_every": 5, "precision": "float32"},
        "seed": 0,
        "sets": ["report"],
    }
    signals = {"values": str(folder / "signals.npz"), "rows": str(folder / "signals.json"), **more}
    names = {"values": "values.csv", "arrays": "arrays.npz", "weights": "weights.safetensors", "provenance": "p.json"}
    outputs = {name: str(folder / file) for name, file in names.items()}
    saving = {"path": str(checkpoint), "code": "c", "seconds": 0.0} if checkpoint else None
    fit_combination(combination, signals, outputs, device="cpu", checkpoint=saving)
    return folder


POWER_LAW = {"use": "posenc.encodings.power_law:PowerLaw", "exponent": 1.0, "features": 8}


def test_a_fit_keeps_start_path_and_end_of_every_signal_and_no_weights(tmp_path: Path) -> None:
    folder = fitted(tmp_path / "fit", POWER_LAW)
    arrays = np.load(folder / "arrays.npz")
    for index in range(3):
        name = f"alpha_1_draw_00{index}"
        assert arrays[f"{name}/start"].shape == arrays[name].shape == (32,)
        assert arrays[f"{name}/path"].shape == (5, 32)  # after updates 1, 6, 11, 16 and 20
        assert np.array_equal(arrays[f"{name}/path"][-1], arrays[name])
        assert not np.allclose(arrays[f"{name}/start"], arrays[name])
    facts = json.loads((folder / "p.json").read_text())
    assert (facts["signals_at_once"], facts["parameters"]) == (3, None)
    assert set(load_file(folder / "weights.safetensors")) == {"encoding.B", "encoding.a"}


def test_signals_side_by_side_are_fitted_as_each_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    together = np.load(fitted(tmp_path / "together", POWER_LAW) / "arrays.npz")
    monkeypatch.setattr(LineRegression, "side_by_side_on_cpu", 1)
    alone = np.load(fitted(tmp_path / "alone", POWER_LAW) / "arrays.npz")
    assert set(together.files) == set(alone.files)
    for name in alone.files:
        np.testing.assert_allclose(together[name], alone[name], atol=1e-5)


def test_a_killed_fit_goes_on_with_the_path_so_far(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = fitted(tmp_path / "whole", POWER_LAW, tmp_path / "one.safetensors")
    scores = LineRegression.scores

    def killed(self: LineRegression, predict: Predict, last: bool) -> Iterator[Score]:
        if len(self.path) == 3:
            raise KeyboardInterrupt
        yield from scores(self, predict, last)

    monkeypatch.setattr(LineRegression, "scores", killed)
    with pytest.raises(KeyboardInterrupt):
        fitted(tmp_path / "killed", POWER_LAW, tmp_path / "two.safetensors")
    monkeypatch.setattr(LineRegression, "scores", scores)
    (tmp_path / "killed").rename(tmp_path / "left_behind")
    resumed = fitted(tmp_path / "killed", POWER_LAW, tmp_path / "two.safetensors")
    assert json.loads((resumed / "p.json").read_text())["resumed"]
    assert (resumed / "arrays.npz").read_bytes() == (whole / "arrays.npz").read_bytes()
    assert (resumed / "values.csv").read_text() == (whole / "values.csv").read_text()


def test_an_encoding_from_theory_is_made_from_the_studys_arrays(tmp_path: Path) -> None:
    np.savez(tmp_path / "study.npz", **{"amplitudes/alpha=1": np.array([2.0, 1.0, 0.5])})
    encoding = {"use": "posenc.encodings.optimised:Optimised", "alpha": 1.0}
    folder = fitted(tmp_path / "fit", encoding, theory=str(tmp_path / "study.npz"))
    kept = load_file(folder / "weights.safetensors")
    torch.testing.assert_close(kept["encoding.a"], torch.tensor([2.0, 1.0, 0.5]) / math.sqrt(5.25))
