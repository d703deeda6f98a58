"""Measures: which trained networks are asked, that they answer as when they were scored, and what is kept."""

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

from posenc.measures import normals
from posenc.measures.asked import chosen_fits, networks, run_measure
from posenc.records import read_values
from posenc.signals import meshes
from posenc.signals.stored import write_signals
from posenc.training.fit import fit_combination

TRAINING = {"steps": 12, "learning_rate": 1e-2, "log_every": 6, "precision": "float32"}
MLP = {"use": "posenc.networks.mlp:MLP", "depth": 3, "width": 16}


def fitted(folder: Path, spec: dict[str, Any], arrays: dict[str, np.ndarray], rows: list[dict[str, str]]) -> Any:
    """A fit on disk: (the measure's spec, the values)."""
    signals = {"npz": str(folder / "signals.npz"), "json": str(folder / "signals.json")}
    write_signals(arrays, rows, signals["npz"], signals["json"])
    outputs = {
        "values": folder / "values.csv",
        "arrays": folder / "arrays.npz",
        "weights": folder / "weights.safetensors",
        "provenance": folder / "provenance.json",
    }
    named = {name: str(path) for name, path in outputs.items()}
    fit_combination(spec, {"values": signals["npz"], "rows": signals["json"]}, named, "cpu")
    fit = {"label": "c/n/seed=0", "spec": spec, "weights": named["weights"]}
    return {"signals": signals, "fits": [fit], "parameters": {}}, read_values(named["values"])


def rows_of(*names: str) -> list[dict[str, str]]:
    return [
        {"name": name, "set": "tuning" if name.startswith("t") else "report", "source": name, "licence": "", "note": ""}
        for name in names
    ]


def shapes_spec() -> dict[str, Any]:
    return {
        "members": [{"use": "posenc.encodings.gaussian:Gaussian", "sigma": 2.0, "features": 16, "normalised": True}],
        "network": MLP,
        "problem": {"use": "posenc.problems.occupancy:Occupancy", "batch": 512},
        "training": TRAINING | {"steps": 60},
        "sets": ["report", "tuning"],
        "seed": 3,
    }


def shapes_arrays(names: list[str]) -> dict[str, np.ndarray]:
    settings = {"pool": 4096, "test": 1000, "size": 16}
    made = [meshes.load_signal({"name": name, "path": ""}, settings).arrays for name in names]
    return {name: np.stack([arrays[name] for arrays in made]) for name in made[0]}


def test_networks_answer_as_when_they_were_scored(tmp_path: Path) -> None:
    spec, values = fitted(tmp_path, shapes_spec(), shapes_arrays(["knot", "screw"]), rows_of("tuned", "shown"))
    scored = values[(values["metric"] == "iou") & (values["step"] == 60)].set_index(["signal", "split"])["value"]
    assert 0 < scored.max() < 1
    found = list(networks(spec["fits"][0], spec, {0: {"tuned", "shown"}}, torch.device("cpu")))
    assert [(member, asked.signal["name"]) for member, asked in found] == [(0, "tuned"), (0, "shown")]
    for _, asked in found:
        for score in asked.problem.scores(asked.predict, last=True):
            assert float(score.values) == scored[asked.signal["name"], score.split]


@pytest.mark.parametrize("encoding", ["posenc.encodings.gaussian:Gaussian", "posenc.encodings.trained:TrainedGaussian"])
def test_networks_of_stacked_axes_and_trained_encodings(tmp_path: Path, encoding: str) -> None:
    spec = {
        "members": [{"use": encoding, "sigma": sigma, "features": 8} for sigma in (1.0, 3.0)],
        "network": MLP,
        "problem": {"use": "posenc.problems.image:ImageRegression"},
        "training": TRAINING,
        "sets": ["report"],
        "seed": 1,
    }
    pictures = np.random.default_rng(0).integers(256, size=(2, 12, 12, 3), dtype=np.uint8)
    measured, values = fitted(tmp_path, spec, {"values": pictures}, rows_of("a", "b"))
    final = values[(values["metric"] == "psnr") & (values["split"] == "all")].set_index(["member", "signal"])["value"]
    assert final.nunique() == 4
    found = list(networks(measured["fits"][0], measured, {0: {"b"}, 1: {"a", "b"}}, torch.device("cpu")))
    assert [(member, asked.signal["name"]) for member, asked in found] == [(0, "b"), (1, "a"), (1, "b")]
    for member, asked in found:
        scores = {score.split: float(score.values[0]) for score in asked.problem.scores(asked.predict, last=True)}
        assert scores["all"] == pytest.approx(final[member, asked.signal["name"]], abs=1e-4)


def record(**given: Any) -> dict[str, Any]:
    plain = {"combination": "a", "member": 0, "signal": "s", "set": "report", "status": "ok", "chosen": True, "step": 9}
    return plain | given


def test_chosen_fits_are_of_report_signals_and_have_never_diverged() -> None:
    records = pd.DataFrame(
        [
            record(),
            record(signal="lost", step=1),
            record(signal="lost", status="diverged"),
            record(signal="t", set="tuning"),
            record(member=1, signal="s"),
            record(combination="b", chosen=False),
            record(combination="c", signal="u"),
        ]
    )
    assert chosen_fits(records) == {"a": {0: {"s"}, 1: {"s"}}, "c": {0: {"u"}}}


def test_a_measure_keeps_the_normal_maps_of_chosen_report_fits(tmp_path: Path) -> None:
    spec, values = fitted(tmp_path, shapes_spec(), shapes_arrays(["knot", "screw"]), rows_of("tuned", "shown"))
    values.assign(combination="c/n/seed=0", chosen=True).to_parquet(tmp_path / "records.parquet")
    told = spec | {
        "function": "posenc.measures.normals:shape_normals",
        "parameters": {"samples_per_pixel": 2, "fewest_samples": 8},
        "records": str(tmp_path / "records.parquet"),
    }
    outputs = {"arrays": str(tmp_path / "measured.npz")}
    run_measure(told, outputs, "cpu")
    first = Path(outputs["arrays"]).read_bytes()
    run_measure(told, outputs, "cpu")
    assert Path(outputs["arrays"]).read_bytes() == first
    with np.load(outputs["arrays"]) as kept:
        assert list(kept.files) == ["c/n/seed=0/shown"]
        picture = kept["c/n/seed=0/shown"]
    assert picture.shape == (16, 16, 3) and picture.dtype == np.float16
    ((_, asked),) = networks(spec["fits"][0], spec, {0: {"shown"}}, torch.device("cpu"))
    expected = normals.normal_map(lambda points: asked.predict(points)[0, :, 0], asked.arrays["box"][0], 16, 32)
    np.testing.assert_array_equal(picture, expected.half())
    assert 0 < (picture != 0).any(axis=-1).sum() < 15 * 15


def test_nothing_chosen_gives_an_empty_file(tmp_path: Path) -> None:
    spec, values = fitted(tmp_path, shapes_spec(), shapes_arrays(["knot"]), rows_of("shown"))
    values.assign(combination="c/n/seed=0", chosen=False).to_parquet(tmp_path / "records.parquet")
    told = spec | {"function": "posenc.measures.normals:shape_normals", "records": str(tmp_path / "records.parquet")}
    run_measure(told, {"arrays": str(tmp_path / "measured.npz")}, "cpu")
    with np.load(tmp_path / "measured.npz") as kept:
        assert kept.files == []


def test_going_from_front_to_back_finds_the_same_and_asks_less(monkeypatch: pytest.MonkeyPatch) -> None:
    box, origin = torch.tensor([[0.0, 0.0, 0.0], [1.0, 1.0, 1.0]]), torch.tensor([0.5, 0.5, 2.0])
    directions = torch.tensor(list(itertools.product((-0.2, 0.0, 0.1), (-0.3, 0.0, 0.2), (-1.0,))))
    depths = torch.linspace(0.5, 2.5, 40).expand(len(directions), -1)
    asked: list[int] = []

    def shell(points: Tensor) -> Tensor:
        asked.append(len(points))
        return 0.05 - ((points - 0.5).norm(dim=-1) - 0.4).abs()

    monkeypatch.setattr(normals, "DEPTHS_AT_A_TIME", 1000)
    whole, all_asked = normals.first_inside(shell, box, origin, directions, depths), sum(asked)
    inside = normals.asked_inside(shell, box, origin + directions[:, None] * depths[..., None])
    expected = [float(depths[0][row.nonzero()[0]]) if row.any() else np.inf for row in inside]
    assert whole.tolist() == expected and np.isfinite(expected).any()
    monkeypatch.setattr(normals, "DEPTHS_AT_A_TIME", 7)
    asked.clear()
    assert torch.equal(normals.first_inside(shell, box, origin, directions, depths), whole)
    assert sum(asked) < all_asked
