"""Theory studies as jobs: what their functions are given, and the records and arrays they leave."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from posenc.files import write_arrays
from posenc.records import concatenate_records
from posenc.signals.stored import write_signals
from posenc.theory.study import run_study


@pytest.fixture
def spec(tmp_path: Path) -> dict[str, Any]:
    """Of a study of two experiments' signals and of one's two fits."""
    files: dict[str, dict[str, str]] = {}
    for name, count in (("waves", 3), ("blobs", 2)):
        files[name] = {end: str(tmp_path / f"{name}.{end}") for end in ("npz", "json")}
        rows = [{"name": f"s{i}", "source": f"s{i}", "set": "report"} for i in range(count)]
        if name == "waves":
            rows = [row | {"condition": "45"} for row in rows]
        values = np.arange(4.0 * count).reshape(count, 4)
        write_signals({"values": values}, rows, files[name]["npz"], files[name]["json"])
    fits = []
    for number, encoding in enumerate(("none", "gaussian")):
        write_arrays(tmp_path / f"{encoding}.npz", {"a": np.full((2, 2), float(number)), "a/start": np.zeros(2)})
        about = {"spec": {"seed": 0}, "settings": {"encoding": encoding}}
        fits.append({"arrays": str(tmp_path / f"{encoding}.npz"), **about})
    return {
        "common": {"paper": "p", "experiment": "counts", "preset": "smoke"},
        "function": "toy:counted",
        "parameters": {"numbers": [1, 2.5]},
        "signals": files,
        "fits": {"waves": fits},
        "plans": {},
    }


def ran(spec: dict[str, Any], folder: Path) -> tuple[pd.DataFrame, dict[str, np.ndarray], dict[str, Any]]:
    folder.mkdir()
    outputs = {name: str(folder / file) for name, file in OUTPUTS.items()}
    run_study(spec, outputs)
    with np.load(outputs["arrays"], allow_pickle=False) as arrays:
        kept = dict(arrays)
    return pd.read_parquet(outputs["records"]), kept, json.loads(Path(outputs["summary"]).read_text())


OUTPUTS = {"arrays": "counts.npz", "records": "counts.parquet", "summary": "counts.json"}


def test_a_study_sees_parameters_signals_and_fits(spec: dict[str, Any], tmp_path: Path) -> None:
    records, arrays, _ = ran(spec, tmp_path / "made")
    signals = records[records["metric"] == "signals"]
    assert dict(zip(signals["item"], signals["value"], strict=True)) == {"waves": 3.0, "blobs": 2.0}
    means = records[records["metric"] == "mean"]
    assert dict(zip(means["encoding"], means["value"], strict=True)) == {"none": 0.0, "gaussian": 1.0}
    assert {name: array.tolist() for name, array in arrays.items()} == {
        "waves": [6.0, 22.0, 38.0], "blobs": [6.0, 22.0], "parameters": [1.0, 2.5],
    }  # fmt: skip


def test_a_row_says_what_it_says_and_is_exact_otherwise(spec: dict[str, Any], tmp_path: Path) -> None:
    records, _, _ = ran(spec, tmp_path / "made")
    assert (records[["paper", "experiment", "preset"]] == ["p", "counts", "smoke"]).all().all()
    assert set(records["seed"]) == {0, 7}
    assert records.loc[records["item"] == "waves", "condition"].tolist() == ["45"]
    everywhere = {"signal": "exact", "set": "report", "source": "exact", "split": "all", "step": 0, "status": "ok"}
    for column, value in everywhere.items():
        assert set(records[column]) == {value}
    assert records[["final", "chosen"]].all().all()  # claims look at such rows alone
    assert records["final"].dtype == records["chosen"].dtype == bool


def test_a_study_s_records_have_what_claims_and_artefacts_look_at(spec: dict[str, Any], tmp_path: Path) -> None:
    records, _, summary = ran(spec, tmp_path / "made")
    assert {"source", "signal", "item", "replicate", "seed", "split", "metric", "value", "status"} <= set(records)
    assert summary["experiment"] == "counts"
    assert summary["seconds"] >= 0
    assert "devices" not in summary  # nothing was trained
    concatenate_records([str(tmp_path / "made" / "counts.parquet")] * 2, str(tmp_path / "all.parquet"))
    assert len(pd.read_parquet(tmp_path / "all.parquet")) == 2 * len(records)


def test_the_same_study_gives_the_same_bytes(spec: dict[str, Any], tmp_path: Path) -> None:
    for folder in ("one", "two"):
        ran(spec, tmp_path / folder)
    for file in (OUTPUTS["arrays"], OUTPUTS["records"]):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_a_study_without_signals_and_fits_has_formulas_alone(spec: dict[str, Any], tmp_path: Path) -> None:
    records, arrays, _ = ran(spec | {"signals": {}, "fits": {}, "function": "toy:bare"}, tmp_path / "made")
    assert records["value"].tolist() == [3.5]
    assert arrays == {}
