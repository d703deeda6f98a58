"""Metrics of encodings: what a combination's records say of the encoding on its training grid."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from posenc.encodings.base import Encoding
from posenc.encodings.gaussian import Gaussian
from posenc.encodings.none import NoEncoding
from posenc.encodings.per_axis import PerAxis
from posenc.encodings.shifted import ShiftedGaussian
from posenc.measures.metrics import metrics, run_metrics
from posenc.problems.grid import Grid, half_open
from posenc.signals.stored import write_signals

TRAINING = {"steps": 2, "learning_rate": 1e-2, "log_every": 1, "precision": "float32"}


def line(count: int) -> Grid:
    return Grid((half_open(count),))


def rank_by_decomposition(features: torch.Tensor) -> float:
    squares = torch.linalg.svdvals(features.double()).square()
    return float(squares.sum() / squares.max())


def test_a_shifted_gaussian_has_what_its_closed_forms_say() -> None:
    found = metrics(ShiftedGaussian(1, sigma=0.01, features=2000, periodic=True), line(256))
    assert found["stable_rank_closed"] == pytest.approx(1 / (2 * np.sqrt(np.pi) * 0.01))
    assert found["stable_rank"] == pytest.approx(found["stable_rank_closed"], rel=1e-3)
    # D = exp(-delta^2 / (4 sigma^2)) is 0.1 at 2 sigma sqrt(log 10).
    assert found["distance_closed"] == pytest.approx(0.02 * np.sqrt(np.log(10)), rel=1e-3)
    assert found["distance"] == pytest.approx(found["distance_closed"], rel=1e-3)
    assert found["metrics_note"] is None
    assert found["dimensions"] == 1


def test_raw_coordinates_have_a_rank_but_no_distance_and_say_why() -> None:
    found = metrics(NoEncoding(1), line(16))
    assert found["stable_rank"] == pytest.approx(1)
    assert found["distance"] is None and found["distance_closed"] is None
    assert found["metrics_note"].startswith("distance: ")


@pytest.mark.parametrize("places", [Grid((half_open(9), half_open(7))), torch.rand(40, 2)])
def test_the_rank_is_that_of_the_features_at_the_places(places: Grid | torch.Tensor) -> None:
    encoding = Gaussian(2, sigma=3.0, features=12, generator=torch.Generator().manual_seed(0))
    points = places.points() if isinstance(places, Grid) else places
    assert metrics(encoding, places)["stable_rank"] == pytest.approx(rank_by_decomposition(encoding(points)), rel=1e-5)


def test_a_sigma_that_the_centres_do_not_resolve_has_no_distance_and_says_why() -> None:
    found = metrics(ShiftedGaussian(1, sigma=1e-4, features=10), line(32))
    assert found["distance"] is None
    assert "sigma is below what the centres resolve" in found["metrics_note"]


def test_an_encoding_per_axis_stands_for_the_kronecker_product() -> None:
    parts: list[Encoding] = [ShiftedGaussian(1, sigma=sigma, features=20) for sigma in (0.05, 0.1)]
    x, y = half_open(11), half_open(8)
    found = metrics(PerAxis(parts), Grid((x, y)))
    code = torch.kron(parts[1](y[:, None]), parts[0](x[:, None]))
    assert found["stable_rank"] == pytest.approx(rank_by_decomposition(code), rel=1e-5)
    alone = [metrics(part, line(11))["distance"] for part in parts]
    assert found["distance"] < min(alone)
    scattered = metrics(PerAxis(parts), torch.rand(5, 2))
    assert scattered["stable_rank"] is None and scattered["metrics_note"].startswith("stable_rank: ")


def spec(encoding: dict[str, Any], *strides: int, seed: int = 0) -> dict[str, Any]:
    return {
        "members": [encoding | {"problem": {"stride": stride}} for stride in strides],
        "network": {"use": "posenc.networks.linear:Linear"},
        "problem": {"use": "posenc.problems.row:RowRegression"},
        "training": TRAINING,
        "sets": ["report"],
        "seed": seed,
    }


def test_every_member_has_metrics_where_it_trains_itself(tmp_path: Path) -> None:
    signals = {"npz": str(tmp_path / "signals.npz"), "json": str(tmp_path / "signals.json")}
    write_signals({"values": np.zeros((1, 64), np.float32)}, [{"name": "a", "set": "report"}], *signals.values())
    impulse = {"use": "posenc.encodings.shifted:Impulse", "features": 64}
    drawn = {"use": "posenc.encodings.gaussian:Gaussian", "sigma": 3.0, "features": 8}
    fits = [
        {"label": "impulse", "spec": spec(impulse, 2, 8), "known_as": [{"stride": 2}, {"stride": 8}]},
        {"label": "gaussian/0", "spec": spec(drawn, 2), "known_as": [{"sigma": 3}]},
        {"label": "gaussian/1", "spec": spec(drawn, 2, seed=1), "known_as": [{"sigma": 3}]},
    ]
    run_metrics({"signals": signals, "fits": fits}, str(tmp_path / "metrics.json"))
    found = json.loads((tmp_path / "metrics.json").read_text())
    assert [member["stable_rank"] for member in found["impulse"]] == pytest.approx([32, 8])
    assert [member["stride"] for member in found["impulse"]] == [2, 8] and found["gaussian/1"][0]["sigma"] == 3
    # Another draw, another rank.
    assert found["gaussian/0"][0]["stable_rank"] != found["gaussian/1"][0]["stable_rank"]
