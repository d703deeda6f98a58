"""Training: what a fit gives, against a plain fit, against itself, and when it goes wrong."""

import copy
import csv
import errno
import json
import logging
import math
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, get_args

import numpy as np
import plain
import pytest
import torch
from safetensors.torch import load_file
from safetensors.torch import save as save_tensors
from torch import Tensor

from posenc.encodings.base import Encoding
from posenc.encodings.basic import Basic
from posenc.encodings.gaussian import Gaussian
from posenc.encodings.none import NoEncoding
from posenc.encodings.positional import Positional
from posenc.files import write_arrays, write_json
from posenc.networks.inputs import Features
from posenc.networks.mlp import MLP
from posenc.plan.combinations import Combination
from posenc.plan.model import Training
from posenc.problems.grid import Grid, half_open
from posenc.problems.image import ImageRegression
from posenc.training import checkpoints, devices, loop, stack
from posenc.training.adam import Adam
from posenc.training.checkpoints import Checkpoint, Progress
from posenc.training.devices import choose_device, choose_precision, matrix_products
from posenc.training.fit import fit_combination, fit_in_stacks
from posenc.training.outputs import VALUE_COLUMNS
from posenc.training.sgd import SGD
from posenc.training.stack import OPTIMIZERS, asking, build, fit_stack
from posenc.training.values import Fitted, Records

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
Planned = Callable[..., list[Combination]]
OUTPUTS = {
    "values": "values.csv",
    "arrays": "arrays.npz",
    "weights": "weights.safetensors",
    "provenance": "provenance.json",
}


def natural_picture(size: int, seed: int = 0) -> Tensor:
    """Noise with the 1 / f spectrum of photographs, `(size, size, 3)` in [0, 1]."""
    drawn = torch.Generator().manual_seed(seed)
    spectrum = torch.fft.fft2(torch.randn(3, size, size, generator=drawn, dtype=torch.float64))
    frequency = torch.fft.fftfreq(size, dtype=torch.float64).square()
    spectrum /= (frequency[:, None] + frequency[None, :]).sqrt().clamp(min=1 / size)
    values = torch.fft.ifft2(spectrum).real
    low, high = values.amin(dim=(1, 2), keepdim=True), values.amax(dim=(1, 2), keepdim=True)
    return ((values - low) / (high - low)).permute(1, 2, 0).float()


def band_limited_picture(size: int) -> Tensor:
    """At most three cycles per axis: far below the training Nyquist frequency."""
    x = torch.arange(size) / size
    waves = [torch.cos(2 * math.pi * (fx * x[None, :] + fy * x[:, None])) for fx, fy in ((1, 2), (3, -1), (2, 2))]
    return 0.5 + 0.45 * torch.stack(waves, dim=-1)


def rows_of(sets: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"name": name, "set": which} for name, which in sets.items()]


def fit(spec: Mapping[str, Any], pictures: Tensor, precision: str = "float32") -> Fitted:
    names = {f"picture_{i}": "report" for i in range(len(pictures))}
    return fit_stack(spec, 0, {"values": pictures}, rows_of(names), precision, Progress())


def final_psnr(result: Fitted, name: str = "picture_0") -> dict[str, float]:
    """The last PSNR of each split."""
    return {row["split"]: row["value"] for row in result.values if row["metric"] == "psnr" and row["signal"] == name}


def spec_of(planned: Planned, encoding: dict[str, Any] | None = None, **settings: Any) -> dict[str, Any]:
    (combination,) = planned(encoding or {"gaussian": {"sigma": 4, "features": 64}}, **settings)
    return combination.spec


# A fit


def test_a_band_limited_picture_is_learnt(planned: Planned) -> None:
    spec = spec_of(planned, {"gaussian": {"sigma": 2, "features": 128}}, steps=400, networks={"mlp": {"width": 64}})
    assert final_psnr(fit(spec, band_limited_picture(32)[None]))["train"] > 40


def test_scores_are_those_of_the_predicted_picture(planned: Planned) -> None:
    picture = natural_picture(16)
    result = fit(spec_of(planned), picture[None])
    shown, scores = result.predictions["picture_0"].float(), final_psnr(result)
    for split, pixels in {"train": slice(0, None, 2), "test": slice(1, None, 2), "all": slice(None)}.items():
        assert scores[split] == pytest.approx(plain.psnr(shown[pixels, pixels], picture[pixels, pixels]), abs=0.01)


def test_steps_that_are_scored_and_what_is_scored_there(planned: Planned) -> None:
    values = fit(spec_of(planned, steps=60), natural_picture(16)[None]).values
    found = {(row["metric"], row["split"]): [] for row in values}  # type: dict[tuple[str, str], list[int]]
    for row in values:
        found[row["metric"], row["split"]].append(row["step"])
    curve = [1, 26, 51, 60]
    assert found == {("loss", "train"): curve, ("psnr", "train"): curve, ("psnr", "test"): curve, ("psnr", "all"): [60]}


def test_the_authors_reported_update_is_scored() -> None:
    schedule = loop.Schedule(2000, 1e-3, 25)
    logged = [step for step in range(1, 2001) if schedule.is_logged(step)]
    assert logged[:3] == [1, 26, 51]
    assert logged[-2:] == [1976, 2000]


def test_a_loss_is_that_before_its_update_and_a_psnr_that_after(planned: Planned) -> None:
    picture = natural_picture(16)
    spec = spec_of(planned, steps=1)
    values = {(row["metric"], row["split"]): row["value"] for row in fit(spec, picture[None]).values}
    start = fitted_plainly(spec, picture, steps=0)
    after = fitted_plainly(spec, picture, steps=1)
    train = picture[::2, ::2]
    assert values["loss", "train"] == pytest.approx(0.5 * float((start[::2, ::2] - train).square().mean()), rel=1e-5)
    assert values["psnr", "train"] == pytest.approx(plain.psnr(after[::2, ::2], train), abs=1e-4)


def axes(*lengths: int) -> Grid:
    return Grid(tuple(half_open(length) for length in lengths))


ENCODINGS: dict[str, Encoding] = {
    "none": NoEncoding(2),
    "basic": Basic(2),
    "code": Positional(2, sigma=3.0, features=16),
    "table_2": Positional(2, sigma=3.0, features=16, variant="table_2"),
    "gaussian": Gaussian(2, sigma=2.0, features=16, generator=torch.Generator().manual_seed(0)),
}


@pytest.mark.parametrize("name", ENCODINGS)
@pytest.mark.parametrize("points_per_slab", [1, 30, 1000])
def test_predictions_in_slabs_are_those_of_the_whole(
    name: str, points_per_slab: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoding = ENCODINGS[name]
    network = MLP(encoding.out_dim, 3, width=16, stack=2, generator=torch.Generator().manual_seed(0))
    grid = axes(5, 9)
    whole = network(encoding(grid.points())).detach()
    monkeypatch.setattr(loop, "POINTS_PER_SLAB", points_per_slab)
    torch.testing.assert_close(loop.predict(network, encoding, grid, CPU), whole, rtol=1e-5, atol=1e-6)


def test_features_of_a_problem_s_splits_are_computed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    encoding = ENCODINGS["gaussian"]
    network = MLP(encoding.out_dim, 3, width=16, stack=2, generator=torch.Generator().manual_seed(0))
    problem = ImageRegression({"values": torch.zeros(2, 8, 8, 3)}, test="rest")
    encoded: list[Grid | Tensor] = []

    def counted(encoding: Encoding, where: Grid | Tensor, device: torch.device, grid: int = 0) -> Any:
        encoded.append(where)
        return loop.encode(encoding, where, device, grid)

    monkeypatch.setattr(stack, "encode", counted)
    ask = asking(network, encoding, problem, CPU)
    for split in problem.splits.values():
        expected = loop.predict(network, encoding, split.where, CPU)
        for _ in range(2):
            torch.testing.assert_close(ask(split.where), expected, rtol=0, atol=0)
    assert len(encoded) == len({id(split.where) for split in problem.splits.values()}) > 1
    # Other places are asked for as they come, and large ones are not kept.
    ask(axes(4, 4))
    monkeypatch.setattr(stack, "is_small", lambda points, features: False)
    asking(network, encoding, problem, CPU)(problem.splits["all"].where)
    assert len(encoded) == len({id(split.where) for split in problem.splits.values()})


@pytest.mark.parametrize("name", ENCODINGS)
def test_features_come_by_the_axes_where_none_mixes_them(name: str) -> None:
    grid = axes(4, 7)
    features = loop.encode(ENCODINGS[name], grid, CPU)
    whole = ENCODINGS[name](grid.points()).reshape(7, 4, -1)
    if name == "gaussian":
        assert isinstance(features, Tensor)
        assert torch.equal(features, whole.flatten(0, 1))
    else:
        assert not isinstance(features, Tensor)
        x, y = features
        assert torch.equal(whole[:, :, x.columns], x.values.expand(7, -1, -1))
        assert torch.equal(whole[:, :, y.columns], y.values[:, None].expand(-1, 4, -1))
        assert sorted(torch.cat([x.columns, y.columns]).tolist()) == list(range(whole.shape[-1]))


def values_and_gradients(features: Features, width: int, precision: str) -> list[Tensor]:
    network = MLP(width, 3, width=32, stack=2, generator=torch.Generator().manual_seed(0))
    with matrix_products(precision, CPU):
        shown = network(features)
        shown.square().sum().backward()
    return [shown.detach(), *(parameter.grad for parameter in network.parameters() if parameter.grad is not None)]


@pytest.mark.parametrize("lengths", [(5, 9), (3, 4, 5)], ids=["2D", "3D"])
def test_a_first_layer_summed_over_axes_is_the_dense_one(lengths: tuple[int, ...]) -> None:
    encoding, grid = Positional(len(lengths), sigma=2.0, features=24), axes(*lengths)
    by_axis, by_point = loop.encode(encoding, grid, CPU), encoding(grid.points())
    exact = values_and_gradients(by_point, encoding.out_dim, "float32")
    for summed, dense in zip(values_and_gradients(by_axis, encoding.out_dim, "float32"), exact, strict=True):
        torch.testing.assert_close(summed, dense, rtol=0, atol=1e-6 * float(dense.abs().max()))
    # In bf16 each is off by its own rounding; that of the sum is not the larger one.
    errors = []
    for features in (by_axis, by_point):
        found = values_and_gradients(features, encoding.out_dim, "bf16")
        errors.append([float((one - other).norm() / other.norm()) for one, other in zip(found, exact, strict=True)])
    for summed_error, dense_error in zip(*errors, strict=True):
        assert 0 < summed_error < 1.5 * dense_error < 0.1


@pytest.mark.parametrize("rates", [[1e-2] * 20, [1e-2 * 0.9**step for step in range(20)]], ids=["kept", "falling"])
@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_adam_is_torch_s_own_to_the_bit(rates: list[float], decay: float) -> None:
    def weights() -> list[Tensor]:
        drawn = torch.Generator().manual_seed(0)
        return [torch.randn(3, 5, generator=drawn).requires_grad_(), torch.randn(7, generator=drawn).requires_grad_()]

    ours, theirs = weights(), weights()
    adam = Adam(ours, decay)
    reference = torch.optim.Adam(theirs, 1e-2, betas=(0.9, 0.999), eps=1e-8, weight_decay=decay, fused=True)
    for rate in rates:
        reference.param_groups[0]["lr"] = rate
        for parameters, optimizer in ((ours, adam), (theirs, reference)):
            optimizer.zero_grad()
            sum((parameter**3).sum() for parameter in parameters).backward()  # type: ignore[union-attr]
        adam.step(rate)
        reference.step()
        assert all(torch.equal(*pair) for pair in zip(ours, theirs, strict=True))


@pytest.mark.parametrize("rates", [[1e-2] * 20, [1e-2 * 0.9**step for step in range(20)]], ids=["kept", "falling"])
def test_gradient_descent_is_torch_s_own_to_the_bit(rates: list[float]) -> None:
    def weights() -> list[Tensor]:
        drawn = torch.Generator().manual_seed(0)
        return [torch.randn(3, 5, generator=drawn).requires_grad_(), torch.randn(7, generator=drawn).requires_grad_()]

    ours, theirs = weights(), weights()
    sgd, reference = SGD(ours), torch.optim.SGD(theirs, rates[0])
    for rate in rates:
        reference.param_groups[0]["lr"] = rate
        for parameters, optimizer in ((ours, sgd), (theirs, reference)):
            optimizer.zero_grad()
            sum((parameter**3).sum() for parameter in parameters).backward()  # type: ignore[union-attr]
        sgd.step(rate)
        reference.step()
        assert all(torch.equal(*pair) for pair in zip(ours, theirs, strict=True))
    assert not torch.equal(ours[0], weights()[0])


@pytest.mark.parametrize("optimizer", [Adam, SGD])
def test_an_optimizer_that_is_put_back_goes_on_as_before(optimizer: Any) -> None:
    def stepped(parameters: list[Tensor], taken: Any, steps: int) -> None:
        for _ in range(steps):
            taken.zero_grad()
            (parameters[0] ** 3).sum().backward()
            taken.step(1e-2)

    whole, first = ([torch.linspace(1, 2, 6).requires_grad_()] for _ in range(2))
    stepped(whole, optimizer(whole), 10)
    before = optimizer(first)
    stepped(first, before, 4)
    second = [first[0].detach().clone().requires_grad_()]
    after = optimizer(second)
    after.put_back({name: tensor.clone() for name, tensor in before.state().items()})
    stepped(second, after, 6)
    assert torch.equal(second[0], whole[0])


def test_every_optimizer_of_the_config_is_there() -> None:
    chosen = Training.model_fields["optimizer"].annotation
    assert set(OPTIMIZERS) == set(get_args(chosen)) == {"adam", "sgd", "least_squares"}


def test_the_learning_rate_falls_to_a_tenth_in_the_decay_steps() -> None:
    kept, falling = loop.Schedule(1000, 4e-3, 25), loop.Schedule(1000, 4e-3, 25, decay_steps=250)
    assert {kept.rate(step) for step in (1, 2, 500, 1000)} == {4e-3}
    assert falling.rate(1) == 4e-3  # the first update has the whole
    for step, share in ((251, 0.1), (501, 0.01), (126, 0.1**0.5)):
        assert falling.rate(step) == pytest.approx(4e-3 * share, rel=1e-12)


def descended(spec: Mapping[str, Any], picture: Tensor, rates: Sequence[float]) -> Tensor:
    """The picture after plain gradient descent with these rates, by torch's own gradients of the formulas."""
    B, weights, biases = start_of(spec)
    parameters = [tensor.clone().requires_grad_() for pair in zip(weights, biases, strict=True) for tensor in pair]
    side = len(picture)
    points = torch.tensor([[[column / side, row / side] for column in range(side)] for row in range(side)])
    phases = 2 * math.pi * (points @ B.T)
    features = torch.cat([phases.sin(), phases.cos()], dim=-1)

    def shown() -> Tensor:
        values = features
        for layer in range(0, len(parameters) - 2, 2):
            values = torch.relu(values @ parameters[layer] + parameters[layer + 1])
        return torch.sigmoid(values @ parameters[-2] + parameters[-1])

    for rate in rates:
        loss = 0.5 * (shown()[::2, ::2] - picture[::2, ::2]).square().mean()
        for parameter, gradient in zip(parameters, torch.autograd.grad(loss, parameters), strict=True):
            parameter.data -= rate * gradient
    return shown().detach()


@pytest.mark.parametrize("decay_steps", [None, 5], ids=["kept", "falling"])
def test_a_fit_by_gradient_descent_takes_the_rates_of_its_schedule(planned: Planned, decay_steps: int | None) -> None:
    picture, settings = natural_picture(16), {"steps": 12, "learning_rate": 0.5}
    spec = spec_of(planned, optimizer="sgd", decay_steps=decay_steps, **settings)
    rates = [0.5 * 10 ** (-step / decay_steps) if decay_steps else 0.5 for step in range(12)]
    expected = descended(spec, picture, rates)
    shown = fit(spec, picture[None]).predictions["picture_0"].float()
    torch.testing.assert_close(shown, expected, rtol=0, atol=2e-3)  # what is kept is rounded to half precision
    # The rates matter: at another course of them the picture is another.
    other = descended(spec, picture, [0.5] * 12 if decay_steps else [0.5 * 10 ** (-step / 5) for step in range(12)])
    assert float((other - expected).abs().max()) > 0.02


def test_adam_takes_the_rates_of_the_schedule_too(planned: Planned) -> None:
    """A rate that has all but vanished changes nothing: the fit is that of its first update."""
    picture = natural_picture(16)
    gone = spec_of(planned, steps=8, learning_rate=1e-2, decay_steps=1)
    first = fitted_plainly(gone, picture, steps=1)
    shown = fit(gone, picture[None]).predictions["picture_0"].float()
    kept = fit(spec_of(planned, steps=8, learning_rate=1e-2), picture[None]).predictions["picture_0"].float()
    # Of the sum 1 + 0.1 + 0.01 + ... of the rates the first update has nine tenths.
    assert float((shown - first).abs().mean()) < 0.25 * float((kept - first).abs().mean())


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_training_leaves_torch_s_compiler_alone(optimizer: str) -> None:
    """Its import costs a second, which every job would pay."""
    code = """
import sys, torch
from posenc.training.stack import fit_stack
from posenc.training.checkpoints import Progress
spec = {
    "members": [{"use": "posenc.encodings.gaussian:Gaussian", "sigma": 2.0, "features": 8}],
    "network": {"use": "posenc.networks.mlp:MLP", "depth": 2, "width": 8},
    "problem": {"use": "posenc.problems.image:ImageRegression"},
    "training": {"steps": 2, "learning_rate": 1e-3, "log_every": 1, "optimizer": sys.argv[1]},
    "seed": 0,
}
fit_stack(spec, 0, {"values": torch.rand(1, 8, 8, 3)}, [{"name": "a", "set": "report"}], "bf16", Progress())
print("torch._dynamo" in sys.modules)
"""
    run = subprocess.run([sys.executable, "-c", code, optimizer], capture_output=True, text=True, check=True)
    assert run.stdout == "False\n"


def test_progress_shows_step_loss_and_psnr(planned: Planned, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="posenc.training.values"):
        values = fit(spec_of(planned, steps=30), natural_picture(16)[None].expand(2, -1, -1, -1)).values
    number = r"\d+(\.\d+)?(e-\d+)?"
    pattern = (
        rf"picture_[01]: step (\d+) of 30: loss train ({number}), psnr train {number}, psnr test {number}"
        rf"(, psnr all {number})?"
    )
    found = [re.fullmatch(pattern, record.getMessage()) for record in caplog.records]
    assert all(found)
    assert [match[1] for match in found if match] == ["1", "1", "26", "26", "30", "30"]
    assert ["psnr all" in match[0] for match in found if match] == [False] * 4 + [True] * 2
    losses = [row["value"] for row in values if row["metric"] == "loss"]
    assert [float(match[2]) for match in found if match] == pytest.approx(losses, rel=1e-4)


def test_progress_shows_of_parts_their_mean(caplog: pytest.LogCaptureFixture) -> None:
    records = Records(rows_of({"a": "report", "b": "report"}))
    for item, values in (("x", [1.0, 10.0]), ("y", [2.0, 20.0])):
        records.add("psnr", "test", 1, torch.tensor(values), item)
    with caplog.at_level(logging.INFO, logger="posenc.training.values"):
        records.report(1, 9)
        records.add("psnr", "test", 2, torch.tensor([5.0, 7.0]), "x")
        records.report(2, 9)
    assert [record.getMessage() for record in caplog.records] == [
        "a: step 1 of 9: psnr test 1.5",
        "b: step 1 of 9: psnr test 15",
        "a: step 2 of 9: psnr test 5",  # the means of before are gone
        "b: step 2 of 9: psnr test 7",
    ]


# Against the plain fit


def start_of(spec: Mapping[str, Any]) -> tuple[Tensor, list[Tensor], list[Tensor]]:
    """B, weights and biases that the engine starts from at the spec's seed."""
    generator = torch.Generator().manual_seed(spec["seed"])
    encoding = build(spec["members"][0], 2, generator=generator)
    network = build(spec["network"], encoding.out_dim, 3, output="sigmoid", generator=generator)
    return encoding.B, [w.detach()[0] for w in network.weights], [b.detach()[0] for b in network.biases]


def fitted_plainly(spec: Mapping[str, Any], picture: Tensor, steps: int) -> Tensor:
    return plain.fitted(picture, *start_of(spec), steps, spec["training"]["learning_rate"])


def plain_psnr(spec: Mapping[str, Any], picture: Tensor) -> dict[str, float]:
    shown = fitted_plainly(spec, picture, spec["training"]["steps"])
    return {
        "train": plain.psnr(shown[::2, ::2], picture[::2, ::2]),
        "test": plain.psnr(shown[1::2, 1::2], picture[1::2, 1::2]),
        "all": plain.psnr(shown, picture),
    }


@pytest.mark.parametrize(
    "encoding", [{"gaussian": {"sigma": 4, "features": 64}}, {"basic": {}}], ids=["gaussian", "basic"]
)
@pytest.mark.parametrize(
    # Rounding grows with the steps, so few of them tell more: Adam's 0.999 from 0.99, for one.
    ("steps", "learning_rate", "tolerance"),
    [(5, 1e-2, 5e-4), (50, 1e-3, 0.05)],
)
def test_the_first_steps_are_those_of_the_plain_fit(
    planned: Planned, encoding: dict[str, Any], steps: int, learning_rate: float, tolerance: float
) -> None:
    picture = natural_picture(48)
    networks = {"mlp": {"depth": 4, "width": 64}}
    spec = spec_of(planned, encoding, size=48, steps=steps, learning_rate=learning_rate, networks=networks)
    assert final_psnr(fit(spec, picture[None])) == pytest.approx(plain_psnr(spec, picture), abs=tolerance)


@cache
def plain_means(planned: Planned, learning_rate: float) -> dict[str, float]:
    """Mean PSNR over the seeds; two precisions are held against the same plain fits."""
    scores = [plain_psnr(found.spec, natural_picture(48)) for found in full_fits(planned, learning_rate)]
    return {split: float(np.mean([score[split] for score in scores])) for split in scores[0]}


def full_fits(planned: Planned, learning_rate: float) -> list[Combination]:
    return planned(
        {"gaussian": {"sigma": 4, "features": 64}},
        size=48,
        steps=300,
        learning_rate=learning_rate,
        seeds=[0, 1, 2, 3, 4],
        networks={"mlp": {"depth": 4, "width": 64}},
    )


@pytest.mark.parametrize(
    ("learning_rate", "precision", "tolerance"), [(1e-3, "float32", 0.1), (1e-3, "bf16", 0.3), (1e-2, "float32", 0.3)]
)
def test_full_fits_are_those_of_the_plain_fit_on_the_mean_of_seeds(
    planned: Planned, learning_rate: float, precision: str, tolerance: float
) -> None:
    picture = natural_picture(48)
    scores = [final_psnr(fit(found.spec, picture[None], precision)) for found in full_fits(planned, learning_rate)]
    # By then the training pixels are known by heart, at 50 dB: their score jumps with the last step and with rounding.
    for split in ("test", "all"):
        mean = float(np.mean([score[split] for score in scores]))
        assert mean == pytest.approx(plain_means(planned, learning_rate)[split], abs=tolerance), split


# Side by side


def test_signals_side_by_side_are_fitted_as_one_by_one(planned: Planned) -> None:
    pictures = torch.stack([natural_picture(16, seed) for seed in range(3)])
    spec = spec_of(planned, steps=60)
    together = fit(spec, pictures)
    for i in range(3):
        alone = fit(spec, pictures[i : i + 1])
        ours = [row["value"] for row in together.values if row["signal"] == f"picture_{i}"]
        assert ours == pytest.approx([row["value"] for row in alone.values], rel=1e-3)
        for name, tensor in alone.weights.items():
            stacked = together.weights[name.replace("picture_0", f"picture_{i}")]
            torch.testing.assert_close(stacked, tensor, rtol=1e-3, atol=1e-3)
    assert final_psnr(together, "picture_0") != final_psnr(together, "picture_1")


def test_a_signal_that_is_not_a_number_diverges_alone(planned: Planned) -> None:
    spec = spec_of(planned, steps=30)
    pictures = torch.stack([natural_picture(16, seed) for seed in range(3)])
    sound = fit(spec, pictures)
    pictures[1, 2, 4, 0] = math.nan
    result = fit(spec, pictures)
    for row, expected in zip(result.values, sound.values, strict=True):
        if row["signal"] == "picture_1":
            assert row["status"] == "diverged"
        else:
            assert row == expected
    for name, tensor in sound.weights.items():
        assert torch.equal(result.weights[name], tensor) == (not name.startswith("picture_1."))


def test_a_huge_learning_rate_gives_diverged_values_and_no_exception(planned: Planned) -> None:
    result = fit(spec_of(planned, steps=30, learning_rate=1e30), natural_picture(16)[None])
    status = {(row["metric"], row["split"], row["step"]): row["status"] for row in result.values}
    assert status["loss", "train", 1] == "ok"  # before any update
    assert status["psnr", "test", 30] == status["psnr", "all", 30] == "diverged"
    # Once diverged, diverged for good.
    in_order = [row["status"] for row in result.values]
    assert in_order == sorted(in_order, reverse=True)


@pytest.mark.parametrize(
    ("metric", "value", "status"),
    [
        ("loss", math.inf, "diverged"),
        ("loss", math.nan, "diverged"),
        ("psnr", math.nan, "diverged"),
        ("psnr", math.inf, "ok"),  # an exact fit
        ("psnr", -3.0, "ok"),
    ],
)
def test_once_diverged_a_signal_stays_so(metric: str, value: float, status: str) -> None:
    records = Records(rows_of({"a": "report", "b": "report"}))
    records.add("loss", "train", 1, torch.tensor([0.1, 0.1]))
    records.add(metric, "train", 2, torch.tensor([value, 0.1]))
    records.add("psnr", "test", 3, torch.tensor([20.0, 20.0]))  # a sigmoid can hide it
    assert [row["status"] for row in records.values] == ["ok", "ok", status, "ok", status, "ok"]


# What a fit leaves on disk


@pytest.fixture
def signals(tmp_path: Path) -> dict[str, str]:
    """Paths of two report signals around one for tuning."""
    pictures = np.stack([(255 * natural_picture(16, seed)).round().to(torch.uint8).numpy() for seed in range(3)])
    rows = rows_of({"first": "report", "second": "tuning", "third": "report"})
    write_arrays(tmp_path / "signals.npz", {"values": pictures})
    write_json(tmp_path / "signals.json", rows)
    return {"values": str(tmp_path / "signals.npz"), "rows": str(tmp_path / "signals.json")}


def fitted_files(spec: Mapping[str, Any], signals: Mapping[str, str], folder: Path) -> dict[str, Path]:
    folder.mkdir()
    outputs = {name: folder / file for name, file in OUTPUTS.items()}
    fit_combination(spec, signals, {name: str(path) for name, path in outputs.items()}, "cpu")
    return outputs


@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_the_same_seed_gives_the_same_bytes(
    planned: Planned, signals: dict[str, str], tmp_path: Path, precision: str
) -> None:
    spec = spec_of(planned, steps=30, reduced_precision=True, precision=precision)
    first, second = (fitted_files(spec, signals, tmp_path / name) for name in ("first", "second"))
    for name in ("values", "arrays", "weights"):
        assert first[name].read_bytes() == second[name].read_bytes(), name
    other = fitted_files(spec | {"seed": 1}, signals, tmp_path / "other")
    assert other["values"].read_bytes() != first["values"].read_bytes()


def test_files_hold_what_the_contract_says(planned: Planned, signals: dict[str, str], tmp_path: Path) -> None:
    spec = spec_of(planned, steps=30) | {"sets": ["report", "tuning"]}
    files = fitted_files(spec, signals, tmp_path / "fit")
    with files["values"].open() as lines:
        rows = list(csv.DictReader(lines))
    assert tuple(rows[0]) == VALUE_COLUMNS
    assert {(row["signal"], row["set"]) for row in rows} == {
        ("first", "report"),
        ("second", "tuning"),
        ("third", "report"),
    }
    assert {row["status"] for row in rows} == {"ok"}
    with np.load(files["arrays"]) as arrays:
        shapes = {name: (arrays[name].shape, arrays[name].dtype) for name in arrays}
    assert shapes == dict.fromkeys(("first", "third"), ((16, 16, 3), np.dtype("float16")))
    weights = load_file(files["weights"])
    assert set(weights) == {
        "encoding.B",
        *(
            f"{name}.{kind}.{i}"
            for name in ("first", "second", "third")
            for kind in ("weights", "biases")
            for i in range(3)
        ),
    }
    facts = json.loads(files["provenance"].read_text())
    assert (facts["fits"], facts["diverged"], facts["precision"], facts["device"]) == (3, 0, "float32", "cpu")
    assert facts["parameters"] == sum(tensor.numel() for name, tensor in weights.items() if name.startswith("first."))
    (member,) = facts["members"]
    assert member["bandwidth"] == pytest.approx(float(weights["encoding.B"].square().mean().sqrt()))
    assert member["out_dim"] == 64
    assert {row["member"] for row in rows} == {"0"}


def test_saved_weights_show_the_saved_picture(planned: Planned, signals: dict[str, str], tmp_path: Path) -> None:
    spec = spec_of(planned, steps=30)
    files = fitted_files(spec, signals, tmp_path / "fit")
    saved = load_file(files["weights"])
    weights = [saved[f"third.weights.{i}"] for i in range(3)]
    biases = [saved[f"third.biases.{i}"] for i in range(3)]
    shown = plain.fitted(torch.zeros(16, 16, 3), saved["encoding.B"], weights, biases, 0, 0.0)
    with np.load(files["arrays"]) as arrays:
        np.testing.assert_allclose(arrays["third"], shown.numpy(), atol=1e-3)


def test_only_the_sets_asked_for_are_fitted(planned: Planned, signals: dict[str, str], tmp_path: Path) -> None:
    spec = spec_of(planned, steps=2)
    assert spec["sets"] == ["report"]
    with fitted_files(spec, signals, tmp_path / "fit")["values"].open() as lines:
        assert {row["signal"] for row in csv.DictReader(lines)} == {"first", "third"}


def test_a_diverging_fit_is_written_as_such(planned: Planned, signals: dict[str, str], tmp_path: Path) -> None:
    files = fitted_files(spec_of(planned, steps=30, learning_rate=1e30), signals, tmp_path / "fit")
    assert json.loads(files["provenance"].read_text())["diverged"] == 2
    with files["values"].open() as lines:
        final = [row for row in csv.DictReader(lines) if row["split"] == "all"]
    assert [row["status"] for row in final] == ["diverged", "diverged"]
    assert all(file.exists() for file in files.values())


def test_a_fit_does_not_change_its_settings(planned: Planned, signals: dict[str, str], tmp_path: Path) -> None:
    spec = spec_of(planned, steps=2)
    before = copy.deepcopy(spec)
    fitted_files(spec, signals, tmp_path / "fit")
    assert spec == before


# Stacked axes

SWEEP = {"gaussian": {"sigma": [1, 3, 9], "features": [16, 32]}}


def values_of(path: Path | str) -> list[dict[str, str]]:
    with Path(path).open() as lines:
        return list(csv.DictReader(lines))


@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_members_of_one_job_are_the_fits_of_a_job_each_to_the_bit(
    planned: Planned, signals: dict[str, str], tmp_path: Path, precision: str
) -> None:
    changes = {"steps": 30, "precision": precision, "reduced_precision": True}
    stacked = planned(SWEEP, stacked=["sigma"], **changes)
    apart = planned(SWEEP, **changes)
    assert (len(stacked), len(apart)) == (2, 6)
    for one in stacked:
        spec = one.spec | {"sets": ["report", "tuning"]}
        assert len(spec["members"]) == 3
        together = fitted_files(spec, signals, tmp_path / one.encoding_label)
        rows, arrays = values_of(together["values"]), np.load(together["arrays"])
        weights = load_file(together["weights"])
        assert {row["member"] for row in rows} == {"0", "1", "2"}
        names = set()
        for member, settings in enumerate(one.members):
            (own,) = [each for each in apart if each.members == [settings]]
            assert own.spec == one.spec | {"members": [one.spec["members"][member]]}
            alone = fitted_files(own.spec | {"sets": spec["sets"]}, signals, tmp_path / own.encoding_label)
            ours = [row | {"member": "0"} for row in rows if row["member"] == str(member)]
            assert ours == values_of(alone["values"])
            for name, array in np.load(alone["arrays"]).items():
                np.testing.assert_array_equal(arrays[f"{member}/{name}"], array)
            for name, tensor in load_file(alone["weights"]).items():
                assert torch.equal(weights[f"{member}/{name}"], tensor)
                names.add(f"{member}/{name}")
            facts, fact = (json.loads(files["provenance"].read_text()) for files in (together, alone))
            assert [facts["members"][member]] == fact["members"]
            assert facts["parameters"] == fact["parameters"]
        assert names == set(weights)
        assert len(arrays.files) == 3 * 2  # of members and report signals
        assert (facts["fits"], fact["fits"]) == (9, 3)


def test_seeds_of_one_job_are_the_fits_of_a_job_each_to_the_bit(
    planned: Planned, signals: dict[str, str], tmp_path: Path
) -> None:
    grid = {"gaussian": {"sigma": 2, "features": 16}}
    (one,) = planned(grid, stacked=["seed"], seeds=[0, 5])
    together = fitted_files(one.spec, signals, tmp_path / "all")
    arrays, differ = np.load(together["arrays"]), []
    for member, own in enumerate(planned(grid, seeds=[0, 5])):
        alone = fitted_files(own.spec, signals, tmp_path / str(member))
        ours = [row | {"member": "0"} for row in values_of(together["values"]) if row["member"] == str(member)]
        assert ours == values_of(alone["values"])
        for name, array in np.load(alone["arrays"]).items():
            np.testing.assert_array_equal(arrays[f"{member}/{name}"], array)
            differ.append(array)
    assert not np.array_equal(differ[0], differ[-1])


def test_a_member_that_diverges_is_counted_and_leaves_the_others_alone(
    planned: Planned, signals: dict[str, str], tmp_path: Path
) -> None:
    # Frequencies beyond float32 are infinite, and their sine is not a number.
    (stacked,) = planned({"gaussian": {"sigma": [1, 1e39, 2], "features": 16}}, stacked=["sigma"], steps=3)
    files = fitted_files(stacked.spec | {"sets": ["report"]}, signals, tmp_path / "fit")
    status = {(row["member"], row["signal"]): row["status"] for row in values_of(files["values"])}
    assert {key for key, found in status.items() if found == "diverged"} == {("1", "first"), ("1", "third")}
    facts = json.loads(files["provenance"].read_text())
    assert (facts["diverged"], facts["fits"]) == (2, 6)


# What the project's own parts need not show


def toy_spec(**changes: Any) -> dict[str, Any]:
    return {
        "members": [{"use": "posenc.encodings.none:NoEncoding"}],
        "network": {"use": "posenc.networks.mlp:MLP", "depth": 2, "width": 8},
        "problem": {"use": "toy:DrawnPoints"},
        "seed": 3,
        "sets": ["report", "tuning"],
        "training": {"steps": 60, "learning_rate": 1e-2, "log_every": 25, "precision": "float32"},
    } | changes


@pytest.fixture
def curves(tmp_path: Path) -> dict[str, str]:
    """Paths of signals with two arrays each."""
    draws = np.random.default_rng(0)
    arrays = {"values": draws.random((2, 6, 1)), "scale": np.array([1, 2], dtype=np.int64)}
    write_arrays(tmp_path / "curves.npz", arrays)
    write_json(tmp_path / "curves.json", rows_of({"first": "report", "second": "report"}))
    return {"values": str(tmp_path / "curves.npz"), "rows": str(tmp_path / "curves.json")}


def test_parts_are_scored_by_themselves_and_in_their_own_set(curves: dict[str, str], tmp_path: Path) -> None:
    rows = values_of(fitted_files(toy_spec(), curves, tmp_path / "fit")["values"])
    errors = [row for row in rows if row["metric"] == "error"]
    assert {(row["item"], row["set"]) for row in errors} == {("left", "tuning"), ("right", "report")}
    assert [row["step"] for row in errors if (row["signal"], row["item"]) == ("first", "left")] == list(
        map(str, (1, 26, 51, 60))
    )
    assert {(row["item"], row["set"]) for row in rows if row["metric"] == "loss"} == {("", "report")}


def test_what_a_problem_shows_is_kept_by_name_and_what_the_start_gave_too(
    curves: dict[str, str], tmp_path: Path
) -> None:
    spec = toy_spec()
    files = fitted_files(spec, curves, tmp_path / "fit")
    with np.load(files["arrays"]) as kept:
        arrays = dict(kept)
    shapes = {name: array.shape for name, array in arrays.items()}
    parts = {"": (3, 4), "/mean": (), "/start": (3, 4), "/start/mean": ()}
    assert shapes == {f"{signal}{part}": shape for signal in ("first", "second") for part, shape in parts.items()}
    # Both signals start from the same draw; then each learns its own.
    np.testing.assert_array_equal(arrays["first/start"], arrays["second/start"])
    assert np.abs(arrays["first"] - arrays["second"]).min() > 0.1
    assert arrays["first"].mean() == pytest.approx(float(arrays["first/mean"]), rel=1e-5)
    start = build(spec["network"], 2, 1, output="linear", generator=torch.Generator().manual_seed(3))
    grid = Grid((torch.arange(4) / 4, torch.arange(3) / 3))
    expected = start(grid.points()).detach().reshape(3, 4)
    np.testing.assert_allclose(arrays["first/start"], expected, atol=1e-6)


def test_a_loss_is_taken_where_its_step_asked(curves: dict[str, str], tmp_path: Path) -> None:
    """The first loss, computed by hand at the places of step 1."""
    rows = values_of(fitted_files(toy_spec(), curves, tmp_path / "fit")["values"])
    points = torch.rand(5, 2, generator=torch.Generator().manual_seed(3 * 1000 + 1))
    network = build(toy_spec()["network"], 2, 1, output="linear", generator=torch.Generator().manual_seed(3))
    values = np.load(curves["values"])["values"].astype(np.float32)
    for index, name in enumerate(("first", "second")):
        target = float(values[index].mean()) * (index + 1) + points.sum(dim=1)
        expected = float((network(points).detach()[0, :, 0] - target).square().mean())
        (found,) = [row for row in rows if (row["metric"], row["step"], row["signal"]) == ("loss", "1", name)]
        assert float(found["value"]) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("scored", [1, 3, 5])
def test_a_killed_fit_of_drawn_places_goes_on_to_the_same_bytes(
    curves: dict[str, str], tmp_path: Path, scored: int
) -> None:
    spec = toy_spec()
    whole, resumed, path = outputs_in(tmp_path / "whole"), outputs_in(tmp_path / "resumed"), tmp_path / "a"
    fit_combination(spec, curves, whole, "cpu")
    interrupted(spec, curves, resumed, path, scored)
    fit_combination(spec, curves, resumed, "cpu", checkpoint(path))
    for name in FILES:
        assert Path(whole[name]).read_bytes() == Path(resumed[name]).read_bytes(), name


def test_signals_with_other_places_are_fitted_side_by_side_as_one_by_one() -> None:
    arrays = {"values": torch.rand(2, 6, 1, generator=torch.Generator().manual_seed(0)), "scale": torch.tensor([1, 2])}
    rows = rows_of({"a": "report", "b": "report"})
    together = fit_stack(toy_spec(), 0, arrays, rows, "float32", Progress())
    for index, row in enumerate(rows):
        own = {name: array[index : index + 1] for name, array in arrays.items()}
        alone = fit_stack(toy_spec(), 0, own, [row], "float32", Progress())
        ours = [found["value"] for found in together.values if found["signal"] == row["name"]]
        assert ours == pytest.approx([found["value"] for found in alone.values], rel=1e-3, abs=1e-5)


def test_an_encoding_with_parameters_is_trained_and_saved_with_each_signal(
    curves: dict[str, str], tmp_path: Path
) -> None:
    spec = toy_spec(members=[{"use": "toy:Trained"}])
    files = fitted_files(spec, curves, tmp_path / "fit")
    weights = load_file(files["weights"])
    amplitudes = [weights[f"{name}.encoding.amplitudes"] for name in ("first", "second")]
    assert all((found - 1).abs().min() > 1e-3 for found in amplitudes)
    assert not torch.equal(*amplitudes)
    assert json.loads(files["provenance"].read_text())["parameters"] == 2 + (2 + 1) * 8 + 8 + 1
    # What is shown is what the saved encoding and network give.
    points = Grid((torch.arange(4) / 4, torch.arange(3) / 3)).points()
    for name in ("first", "second"):
        network = build(spec["network"], 2, 1, output="linear", generator=torch.Generator())
        network.load_state_dict(
            {
                key.removeprefix(f"{name}."): tensor[None]
                for key, tensor in weights.items()
                if key.startswith(f"{name}.") and "encoding" not in key
            }
        )
        expected = network(points * weights[f"{name}.encoding.amplitudes"]).detach().reshape(3, 4)
        np.testing.assert_allclose(np.load(files["arrays"])[name], expected, rtol=1e-4, atol=1e-5)


def test_a_killed_fit_with_a_trained_encoding_goes_on_to_the_same_bytes(curves: dict[str, str], tmp_path: Path) -> None:
    spec = toy_spec(members=[{"use": "toy:Trained"}])
    whole, resumed, path = outputs_in(tmp_path / "whole"), outputs_in(tmp_path / "resumed"), tmp_path / "a"
    fit_combination(spec, curves, whole, "cpu")
    interrupted(spec, curves, resumed, path, 5)
    fit_combination(spec, curves, resumed, "cpu", checkpoint(path))
    for name in FILES:
        assert Path(whole[name]).read_bytes() == Path(resumed[name]).read_bytes(), name


def test_an_encoding_may_be_made_from_a_study_s_arrays(curves: dict[str, str], tmp_path: Path) -> None:
    write_arrays(tmp_path / "study.npz", {"amplitudes": np.array([2.0, -3.0])})
    spec = toy_spec(members=[{"use": "toy:Trained"}], training=toy_spec()["training"] | {"steps": 1})
    files = fitted_files(spec, curves | {"theory": str(tmp_path / "study.npz")}, tmp_path / "fit")
    found = load_file(files["weights"])["first.encoding.amplitudes"]
    torch.testing.assert_close(found, torch.tensor([2.0, -3.0]), rtol=0, atol=0.011)  # one update of Adam away
    assert not torch.equal(found, torch.tensor([2.0, -3.0]))


# Checkpoints

FILES = ("values", "arrays", "weights")


class Killed(BaseException):
    """Stands for a kill: nothing of ours catches it."""


def interrupted(
    spec: Mapping[str, Any], signals: Mapping[str, str], outputs: Mapping[str, str], path: Path, scored: int
) -> None:
    """A fit that saves after every update and is killed when it has scored so many times."""
    report = Records.report
    left = iter(range(scored))

    def killing(self: Records, step: int, steps: int) -> None:
        report(self, step, steps)
        if next(left, None) is None:
            raise Killed

    with pytest.MonkeyPatch.context() as patch, pytest.raises(Killed):
        patch.setattr(Records, "report", killing)
        fit_combination(spec, signals, outputs, "cpu", checkpoint(path))


def checkpoint(path: Path, code: str = "digest", seconds: float = 0.0) -> dict[str, Any]:
    return {"path": str(path), "code": code, "seconds": seconds}


def outputs_in(folder: Path) -> dict[str, str]:
    folder.mkdir(exist_ok=True)
    return {name: str(folder / file) for name, file in OUTPUTS.items()}


@pytest.mark.parametrize("encoding", ["gaussian", "positional"])
@pytest.mark.parametrize("precision", ["float32", "bf16"])
@pytest.mark.parametrize("scored", [1, 2, 4, 6])  # within the first, and within the second of two signals
def test_a_killed_fit_goes_on_to_the_same_bytes(
    planned: Planned, signals: dict[str, str], tmp_path: Path, encoding: str, precision: str, scored: int
) -> None:
    spec = spec_of(planned, {encoding: {"sigma": 3, "features": 32}}, steps=60, precision=precision)
    whole, resumed, path = outputs_in(tmp_path / "whole"), outputs_in(tmp_path / "resumed"), tmp_path / "kept" / "a"
    fit_combination(spec, signals, whole, "cpu")
    interrupted(spec, signals, resumed, path, scored)
    assert path.is_file()
    assert not any(Path(file).exists() for file in resumed.values())
    fit_combination(spec, signals, resumed, "cpu", checkpoint(path))
    for name in FILES:
        assert Path(whole[name]).read_bytes() == Path(resumed[name]).read_bytes(), name
    facts = [json.loads(Path(files["provenance"]).read_text()) for files in (whole, resumed)]
    assert [fact["resumed"] for fact in facts] == [False, True]
    assert not path.exists()


# Of three members with two signals each, each scored four times: within a member's first and second signal, and at the
# first update of the next member, when nothing of it is saved yet.
@pytest.mark.parametrize("scored", [3, 8, 10, 14, 23])
@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_a_killed_fit_of_several_members_goes_on_to_the_same_bytes(
    planned: Planned, signals: dict[str, str], tmp_path: Path, scored: int, optimizer: str
) -> None:
    grid = {"gaussian": {"sigma": [1, 3, 9], "features": 16}}
    (stacked,) = planned(grid, stacked=["sigma"], steps=60, optimizer=optimizer, decay_steps=40)
    whole, resumed, path = outputs_in(tmp_path / "whole"), outputs_in(tmp_path / "resumed"), tmp_path / "a"
    spec = stacked.spec | {"sets": ["report"]}
    fit_combination(spec, signals, whole, "cpu")
    interrupted(spec, signals, resumed, path, scored)
    fit_combination(spec, signals, resumed, "cpu", checkpoint(path))
    for name in FILES:
        assert Path(whole[name]).read_bytes() == Path(resumed[name]).read_bytes(), name
    assert json.loads(Path(resumed["provenance"]).read_text())["resumed"] is True
    assert not path.exists()


def test_finished_members_are_not_fitted_again(planned: Planned, signals: dict[str, str], tmp_path: Path) -> None:
    (stacked,) = planned({"gaussian": {"sigma": [1, 3, 9], "features": 16}}, stacked=["sigma"], steps=60)
    outputs, path = outputs_in(tmp_path / "fit"), tmp_path / "a"
    spec = stacked.spec | {"sets": ["report"]}
    interrupted(spec, signals, outputs, path, 13)
    seen = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Records, "report", lambda self, step, steps: seen.append((self.member, self.names, step)))
        fit_combination(spec, signals, outputs, "cpu", checkpoint(path))
    # Of the second member's second signal, update 26 was scored and killed before it was saved.
    curve = [1, 26, 51, 60]
    assert seen == [
        *((1, ["third"], step) for step in curve[1:]),
        *((2, [name], step) for name in ("first", "third") for step in curve),
    ]


def test_what_is_done_is_not_done_again(planned: Planned, signals: dict[str, str], tmp_path: Path) -> None:
    spec, outputs, path = spec_of(planned, steps=60), outputs_in(tmp_path / "fit"), tmp_path / "a"
    interrupted(spec, signals, outputs, path, 5)
    with pytest.MonkeyPatch.context() as patch:
        seen = []
        patch.setattr(Records, "report", lambda self, step, steps: seen.append((self.names, step)))
        fit_combination(spec, signals, outputs, "cpu", checkpoint(path))
    # Of the second signal, update 26 was scored and killed before it was saved.
    assert seen == [(["third"], 26), (["third"], 51), (["third"], 60)]


@pytest.mark.parametrize("what", ["settings", "code", "signals", "threads"])
def test_a_foreign_checkpoint_is_never_used(
    planned: Planned, signals: dict[str, str], tmp_path: Path, what: str, caplog: pytest.LogCaptureFixture
) -> None:
    spec, outputs, path = spec_of(planned, steps=60), outputs_in(tmp_path / "fit"), tmp_path / "a"
    interrupted(spec, signals, outputs, path, 2)
    code, now = "digest", spec
    with pytest.MonkeyPatch.context() as patch:
        if what == "settings":
            now = spec | {"seed": 1}
        elif what == "code":
            code = "another"
        elif what == "signals":
            pictures = np.stack([(255 * natural_picture(16, seed)).to(torch.uint8).numpy() for seed in (7, 8, 9)])
            write_arrays(signals["values"], {"values": pictures})
        else:
            patch.setattr(torch, "get_num_threads", lambda: 64)
        fit_combination(now, signals, outputs, "cpu", checkpoint(path, code))
    assert "of other settings, code, signals or device: the fit starts anew" in caplog.text
    whole = outputs_in(tmp_path / "whole")
    fit_combination(now, signals, whole, "cpu")
    for name in FILES:
        assert Path(whole[name]).read_bytes() == Path(outputs[name]).read_bytes(), name


@pytest.mark.parametrize("damage", ["empty", "cut off", "text", "no facts"])
def test_a_damaged_checkpoint_is_left_and_that_is_said(
    planned: Planned, signals: dict[str, str], tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    spec, outputs, path = spec_of(planned, steps=30), outputs_in(tmp_path / "fit"), tmp_path / "a"
    interrupted(spec, signals, outputs, path, 1)
    whole = path.read_bytes()
    contents = {
        "empty": b"",
        "cut off": whole[: len(whole) // 2],
        "text": b"words " * 100,
        "no facts": save_tensors({}),
    }
    path.write_bytes(contents[damage])
    fit_combination(spec, signals, outputs, "cpu", checkpoint(path))
    assert "cannot be read" in caplog.text
    assert "the fit starts anew" in caplog.text
    assert json.loads(Path(outputs["provenance"]).read_text())["resumed"] is False
    assert not path.exists()


def test_a_state_that_cannot_be_saved_does_not_end_the_fit(
    planned: Planned, signals: dict[str, str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def full(path: Path, content: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    outputs = outputs_in(tmp_path / "fit")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoints, "write_bytes", full)
        fit_combination(spec_of(planned), signals, outputs, "cpu", checkpoint(tmp_path / "a"))
    assert "the state could not be saved ([Errno 28] No space left on device)" in caplog.text
    assert Path(outputs["values"]).is_file()


def test_leftovers_of_a_killed_saving_go_with_the_checkpoint(
    planned: Planned, signals: dict[str, str], tmp_path: Path
) -> None:
    folder = tmp_path / "kept"
    folder.mkdir()
    (folder / ".a.4711").touch()
    fit_combination(
        spec_of(planned), signals, outputs_in(tmp_path / "fit"), "cpu", checkpoint(folder / "a", seconds=60)
    )
    assert list(folder.iterdir()) == []


def test_a_short_fit_saves_nothing(planned: Planned, signals: dict[str, str], tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Checkpoint, "save", lambda *_: pytest.fail("saved"))
        fit_combination(
            spec_of(planned), signals, outputs_in(tmp_path / "fit"), "cpu", checkpoint(tmp_path / "a", seconds=60)
        )


# Memory


def in_memory_for(limit: int) -> tuple[list[list[int]], Callable[[Sequence[int]], None]]:
    """What was fitted together, and a fit that has memory for so many signals."""
    done: list[list[int]] = []

    def fit_some(signals: Sequence[int]) -> None:
        if len(signals) > limit:
            raise torch.OutOfMemoryError("no room")
        done.append(list(signals))

    return done, fit_some


@pytest.mark.parametrize(
    ("limit", "at_once", "stacks", "in_the_end"),
    [
        (9, 9, [[0, 1, 2, 3, 4, 5, 6]], 9),
        (9, 3, [[0, 1, 2], [3, 4, 5], [6]], 3),
        (4, 7, [[0, 1, 2, 3], [4, 5, 6]], 4),
        (2, 7, [[0, 1], [2, 3], [4, 5], [6]], 2),
        (1, 7, [[0], [1], [2], [3], [4], [5], [6]], 1),
    ],
)
def test_out_of_memory_halves_the_stack_and_goes_on(
    limit: int, at_once: int, stacks: list[list[int]], in_the_end: int, caplog: pytest.LogCaptureFixture
) -> None:
    done, fit_some = in_memory_for(limit)
    assert fit_in_stacks(range(7), at_once, fit_some) == in_the_end
    assert done == stacks
    assert ("out of memory with 7 signals at once" in caplog.text) == (at_once == 7)


def test_one_signal_without_room_is_an_error_with_a_remedy() -> None:
    done, fit_some = in_memory_for(0)
    with pytest.raises(RuntimeError, match=r"one signal alone does not fit .* lower signals.size.*no room"):
        fit_in_stacks(range(3), 2, fit_some)
    assert done == []


# Device and precision


def with_units(monkeypatch: pytest.MonkeyPatch, *units: str) -> None:
    """Pretend that the processor has just these bf16 units."""
    for probe in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        monkeypatch.setattr(torch.cpu, probe, lambda has=probe in units: has, raising=False)


@pytest.mark.parametrize("unit", ["_is_avx512_bf16_supported", "_is_amx_tile_supported"])
def test_auto_on_a_processor_with_units_is_bf16(unit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with_units(monkeypatch, unit)
    assert choose_precision("auto", CPU) == "bf16"


def test_auto_on_a_processor_without_units_is_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    with_units(monkeypatch)
    assert choose_precision("auto", CPU) == "float32"


@pytest.mark.parametrize(("generation", "expected"), [(9, "bf16"), (8, "bf16"), (7, "float32")])
def test_auto_on_a_gpu_is_bf16_from_its_generation_on(
    generation: int, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (generation, 0))
    assert choose_precision("auto", CUDA) == expected


@pytest.mark.parametrize("wanted", ["float32", "bf16"])
def test_a_named_precision_is_taken(wanted: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with_units(monkeypatch)
    assert choose_precision(wanted, CPU) == wanted


def test_tf32_is_taken_on_a_gpu_and_refused_on_a_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (8, 0))
    assert choose_precision("tf32", CUDA) == "tf32"
    with pytest.raises(RuntimeError, match="precision: tf32 exists on CUDA devices only; use"):
        choose_precision("tf32", CPU)


@pytest.mark.parametrize("wanted", ["tf32", "bf16"])
def test_an_old_gpu_refuses_what_it_has_no_units_for(wanted: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (7, 5))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "Old card")
    assert choose_precision("float32", CUDA) == choose_precision("auto", CUDA) == "float32"
    with pytest.raises(RuntimeError, match=f"Old card has no units for {wanted}; use precision: auto or float32"):
        choose_precision(wanted, CUDA)


def test_cuda_is_refused_where_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device("auto") == choose_device("cpu") == CPU
    with pytest.raises(RuntimeError, match="device: cuda was asked for, but torch sees no CUDA device; use"):
        choose_device("cuda")


def test_auto_takes_cuda_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert choose_device("auto") == CUDA
    assert choose_device("cpu") == CPU


def test_tf32_is_on_inside_matrix_products_alone() -> None:
    switch = torch.backends.cuda.matmul
    assert not switch.allow_tf32
    with matrix_products("tf32", CUDA):
        assert switch.allow_tf32
    assert not switch.allow_tf32
    with pytest.raises(ZeroDivisionError), matrix_products("tf32", CUDA):
        _ = 1 / 0
    assert not switch.allow_tf32


def test_scores_are_never_taken_in_tf32(monkeypatch: pytest.MonkeyPatch) -> None:
    """The updates, backward passes included, run inside; what is looked at between them does not."""
    network = MLP(2, 3, width=8, generator=torch.Generator().manual_seed(0))
    seen = []
    network.weights[0].register_hook(lambda _: seen.append(("backward", torch.backends.cuda.matmul.allow_tf32)))
    network.register_forward_hook(lambda *_: seen.append(("forward", torch.backends.cuda.matmul.allow_tf32)))
    points, targets = torch.rand(10, 2), torch.rand(1, 10, 3)
    losses = lambda values, step: (values - targets).square().mean(dim=(1, 2))  # noqa: E731
    schedule = loop.Schedule(2, 1e-3, 1)
    adam = Adam(network.parameters())
    for _ in loop.train(lambda step: network(points), losses, adam, schedule, range(1, 3), "tf32", CPU):
        seen.append(("score", torch.backends.cuda.matmul.allow_tf32))
    assert seen == [("forward", True), ("backward", True), ("score", False)] * 2


def test_bf16_products_are_bf16_and_float32_ones_are_not() -> None:
    a = torch.rand(4, 4)
    with matrix_products("bf16", CPU):
        assert (a @ a).dtype == torch.bfloat16
    with matrix_products("float32", CPU):
        assert (a @ a).dtype == torch.float32


def test_provenance_names_the_device() -> None:
    facts = devices.device_facts(CPU)
    assert facts["device"] == "cpu"
    assert facts["device_name"]
    assert facts["threads"] == torch.get_num_threads()


# Jobs

WATCHER = """
import sys, time
from posenc.jobs import end_with
end_with(sys.argv[1] if sys.argv[1:] else None)
print("watching", flush=True)
time.sleep(60)
"""


@pytest.fixture
def started() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts Python code as a process of its own; all are ended after the test."""
    processes = []

    def start(code: str, *arguments: object) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", code, *map(str, arguments)]
        processes.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
        return processes[-1]

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def wait_until_it_watches(watcher: subprocess.Popen[str]) -> None:
    assert watcher.stdout is not None
    assert watcher.stdout.readline() == "watching\n"


@pytest.mark.parametrize("reaped", [True, False], ids=["gone", "zombie"])
def test_a_process_ends_within_two_seconds_of_the_run_it_belongs_to(
    started: Callable[..., subprocess.Popen[str]], reaped: bool
) -> None:
    run = started("import time; time.sleep(60)")
    watcher = started(WATCHER, run.pid)
    wait_until_it_watches(watcher)
    time.sleep(0.5)
    assert watcher.poll() is None  # nothing ends while the run lives
    run.kill()
    if reaped:
        run.wait()
    assert watcher.wait(timeout=2) == -signal.SIGKILL


def test_a_process_that_starts_after_its_run_has_died_ends_too(started: Callable[..., subprocess.Popen[str]]) -> None:
    run = started("")
    run.wait()
    assert started(WATCHER, run.pid).wait(timeout=5) == -signal.SIGKILL


def test_a_process_outside_a_run_lives_on(started: Callable[..., subprocess.Popen[str]]) -> None:
    watcher = started(WATCHER)
    wait_until_it_watches(watcher)
    time.sleep(0.5)
    assert watcher.poll() is None
