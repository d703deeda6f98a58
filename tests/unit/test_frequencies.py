"""Trained frequencies and directions of waves: the encoding, the figures and the claims on them."""

import itertools
import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.figure import Figure as Canvas

from posenc.claims.model import ClaimError
from posenc.claims.statistics import NoRecordsError, evidence_for
from posenc.encodings.gaussian import Gaussian
from posenc.encodings.trained import TrainedGaussian
from posenc.papers.fourier_features import frequencies
from posenc.papers.material import Material
from posenc.training.checkpoints import Progress
from posenc.training.stack import fit_stack


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(5)


# The encoding


def test_trained_features_start_as_those_of_gaussian() -> None:
    trained = TrainedGaussian(2, sigma=3.0, features=16, generator=generator())
    fixed = Gaussian(2, sigma=3.0, features=16, generator=generator())
    points = torch.rand(20, 2, generator=generator())
    torch.testing.assert_close(trained(points), fixed(points))
    assert trained.out_dim == fixed.out_dim == 16
    assert trained.bandwidth() == pytest.approx(fixed.bandwidth())
    assert float(trained.drift()) == 0


def test_drift_is_relative_to_the_start() -> None:
    trained = TrainedGaussian(1, sigma=1.0, features=4, generator=generator())
    with torch.no_grad():
        trained.B.copy_(1.25 * trained.start)
    assert float(trained.drift()) == pytest.approx(0.25)


def spec_of(name: str, steps: int) -> dict[str, Any]:
    return {
        "members": [{"use": name, "sigma": 2.0, "features": 16}],
        "network": {"use": "posenc.networks.mlp:MLP", "depth": 2, "width": 16},
        "problem": {"use": "posenc.problems.image:ImageRegression"},
        "training": {"steps": steps, "learning_rate": 1e-2, "log_every": 10},
        "seed": 0,
    }


def test_amplitudes_and_frequencies_follow_the_gradient_and_are_kept() -> None:
    picture = torch.rand(1, 12, 12, 3, generator=generator())
    rows = [{"name": "a", "set": "report"}]
    spec = spec_of("posenc.encodings.trained:TrainedGaussian", 31)
    found = fit_stack(spec, 0, {"values": picture}, rows, "float32", Progress())
    drift = {row["step"]: row["value"] for row in found.values if row["metric"] == "drift"}
    assert list(drift) == [1, 11, 21, 31]
    assert 0 < drift[1] < drift[11] < drift[31]
    start = TrainedGaussian(2, sigma=2.0, features=16, generator=torch.Generator().manual_seed(0)).start
    moved = (found.weights["a.encoding.B"] - start).norm() / start.norm()
    assert float(moved) == pytest.approx(drift[31], rel=1e-5)
    assert not torch.equal(found.weights["a.encoding.amplitudes"], torch.ones(8))


# Records made up for figures and claims

ANGLES = (0.0, 45.0, 90.0, 135.0, 180.0)


def row(experiment: str, **given: Any) -> dict[str, Any]:
    plain = {
        "experiment": experiment, "preset": "laptop", "combination": "c", "member": 0, "seed": 0, "sigma": math.nan,
        "set": "report", "item": math.nan, "replicate": math.nan, "condition": math.nan, "split": "all",
        "metric": "psnr", "step": 10, "status": "ok", "final": True, "chosen": True, "device": "cpu",
    }  # fmt: skip
    return plain | given


def waves(scores: dict[str, tuple[float, float]]) -> pd.DataFrame:
    """Two seeds and two radii; by encoding the PSNR along the axes and off them, with a little of each wave's own."""
    rows = []
    for (encoding, (along, off)), radius, angle, seed in itertools.product(scores.items(), (3, 5), ANGLES, (0, 1)):
        level = along if angle % 90 == 0 else off
        rows.append(
            row(
                "image_angles",
                encoding=encoding,
                combination=f"{encoding}/{seed}",
                signal=f"radius_{radius}_angle_{angle:g}",
                source=f"radius_{radius}_angle_{angle:g}",
                condition=f"{angle:g}",
                seed=seed,
                value=level + 0.1 * (radius - 4) + 0.01 * angle / 45 + 0.1 * seed,
            )
        )
    return pd.DataFrame(rows)


def trained(gain: float) -> pd.DataFrame:
    """Three scales, four pictures, two logged steps; trained frequencies score higher by `gain`."""
    rows = []
    for encoding, sigma, index, split, step in itertools.product(
        ("gaussian", "gaussian_trained"), (0.5, 2.0, 8.0), range(4), ("train", "test"), (1, 11)
    ):
        value = 20 + sigma + 0.1 * index + (gain + 0.01 * index) * (encoding == "gaussian_trained")
        common = {"encoding": encoding, "combination": encoding, "sigma": sigma, "final": step == 11}
        common |= {"signal": f"p{index}", "source": f"p{index}", "step": step}
        rows.append(row("image_trained", **common, split=split, value=value))
        if encoding == "gaussian_trained":
            rows.append(row("image_trained", **common, metric="drift", split="encoding", value=0.01 * sigma))
    return pd.DataFrame(rows)


def material(**records: pd.DataFrame) -> Material:
    published = {
        "source": "a figure",
        "positional": {"on_axis": 33.5, "off_axis_lowest": 29.6, "off_axis_highest": 30.2},
        "gaussian": {"lowest": 31.0, "highest": 31.8},
    }
    facts = {"preset": "laptop", "scale": "laptop scale", "paper_protocol": False}
    return Material("laptop", facts, {"figure_11": published}, records, lambda *_: {}, lambda *_: {}, {})


def texts(canvas: Canvas) -> list[str]:
    return [axes.get_title() for axes in canvas.axes]


# Figures


def test_figure_8_has_a_panel_per_scale_and_says_how_far_frequencies_moved() -> None:
    made = frequencies.figure_8(material(image_trained=trained(0.0)))
    assert texts(made.figure) == ["initial σ = 0.5", "initial σ = 2", "initial σ = 8"]
    assert "0.5 % at σ = 0.5, 2 % at σ = 2, 8 % at σ = 8" in made.notes[0]
    assert all(len(axes.get_lines()) == 4 for axes in made.figure.axes)
    found = made.plotted.set_index(["encoding", "sigma", "split", "step"])["mean"]
    assert found["gaussian", 2.0, "test", 11] == pytest.approx(22.15)


def test_figure_11_averages_waves_and_bands_runs() -> None:
    made = frequencies.figure_11(material(image_angles=waves({"positional": (30, 25), "gaussian": (27, 27)})))
    found = made.plotted.set_index(["encoding", "angle"])
    assert found.loc[("positional", 90.0), "mean"] == pytest.approx(30.07)
    assert found.loc[("positional", 45.0), "mean"] == pytest.approx(25.06)
    assert found["std"].to_numpy() == pytest.approx(np.full(10, 0.05))
    assert any("33.5 dB along the axes" in note for note in made.notes)


def families() -> pd.DataFrame:
    """Two families at three scales on three pictures; errors are powers of ten."""
    rows = []
    for (encoding, ratio), (place, sigma), index in itertools.product(
        (("gaussian", 1.0), ("uniform", 0.5)), enumerate((1.0, 4.0, 16.0)), range(3)
    ):
        common = {"encoding": encoding, "combination": encoding, "member": place, "sigma": sigma}
        signal = {"signal": f"p{index}", "source": f"p{index}", "bandwidth": ratio * sigma, "split": "test"}
        rows.append(row("image_families", **common, **signal, value=(20.0, 30.0, 10.0)[place]))
    return pd.DataFrame(rows)


def test_figure_9_draws_errors_over_the_root_mean_square_frequency() -> None:
    made = frequencies.figure_9(material(image_families=families()))
    found = made.plotted.set_index(["encoding", "bandwidth"])
    assert found["mean"].to_dict() == pytest.approx(
        {
            ("gaussian", 1.0): 1e-2, ("gaussian", 4.0): 1e-3, ("gaussian", 16.0): 1e-1,
            ("uniform", 0.5): 1e-2, ("uniform", 2.0): 1e-3, ("uniform", 8.0): 1e-1,
        }
    )  # fmt: skip
    (axes,) = made.figure.axes
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")


# Claims


def test_the_axis_bias_is_that_between_two_groups_of_waves() -> None:
    records = {"image_angles": waves({"positional": (30, 25), "gaussian": (27, 27)})}
    where = {"encoding": "positional", "metric": "psnr", "split": "all"}
    arguments = {"experiment": "image_angles", "where": where}
    along, off = evidence_for("along_axes_less_off", records, arguments).samples
    assert (len(along), len(off)) == (6, 4)  # waves, seeds averaged
    assert along.mean() - off.mean() == pytest.approx(5, abs=0.05)
    reversed_ = evidence_for("off_axes_less_along", records, arguments).samples
    assert np.array_equal(reversed_[0], off)
    assert np.array_equal(reversed_[1], along)


@pytest.mark.parametrize(("angles", "count", "difference"), [("along", 6, 3.0), ("off", 4, -2.0)])
def test_encodings_are_paired_wave_by_wave(angles: str, count: int, difference: float) -> None:
    records = {"image_angles": waves({"positional": (30, 25), "gaussian": (27, 27)})}
    found = evidence_for(
        "paired_difference_by_angle",
        records,
        {
            "experiment": "image_angles",
            "where": {"metric": "psnr", "split": "all"},
            "first": {"encoding": "positional"},
            "second": {"encoding": "gaussian"},
            "angles": angles,
        },
    )
    assert found.samples[0].tolist() == pytest.approx([difference] * count)


def test_a_place_in_a_sweep_is_the_one_of_its_sigmas_by_size() -> None:
    records = {"image_trained": trained(0.5)}
    arguments = {
        "experiment": "image_trained",
        "where": {"metric": "psnr", "split": "test"},
        "first": {"encoding": "gaussian"},
        "second": {"encoding": "gaussian_trained"},
    }
    (values,) = evidence_for("paired_difference_in_sweep", records, {**arguments, "place": 2}).samples
    assert values.tolist() == pytest.approx([-0.5, -0.51, -0.52, -0.53])
    with pytest.raises(NoRecordsError, match="place 3 is not among them"):
        evidence_for("paired_difference_in_sweep", records, {**arguments, "place": 3})
    with pytest.raises(ClaimError, match="place"):
        evidence_for("paired_difference_in_sweep", records, arguments)
