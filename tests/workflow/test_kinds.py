"""What the papers' own smoke run need not have, run for real: stacked axes, other signals, gradient descent, theory."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from project import PAPER, change_config, copy_project, copy_run, dry_run, edit_code, edit_text, snakemake

EXPERIMENT = "image_scales"
RECORDS = f"results/smoke/records/{EXPERIMENT}.parquet"
FIGURE = "reports/smoke/fourier_features/figures/figure_10.csv"
ORDER = ["sigma", "signal", "split", "metric", "step"]


def records_of(folder: Path) -> pd.DataFrame:
    return pd.read_parquet(folder / RECORDS).sort_values(ORDER, ignore_index=True)


# Stacked axes


@pytest.fixture(scope="module")
def stacked(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The finished run, then with both sigmas of an experiment in one job."""
    folder = copy_run(finished, tmp_path_factory.mktemp("stacked") / "posenc")
    change_config(folder, {"experiments": {EXPERIMENT: {"stacked": ["sigma"]}}})
    planned = dry_run(folder, RECORDS, FIGURE)
    assert planned == {"fit": 1, "measure_encodings": 1, "collect": 1, "fourier_features_figure_10": 1}
    run = snakemake(folder, RECORDS, FIGURE)
    assert run.returncode == 0, run.stderr
    return folder


def test_records_of_one_job_are_those_of_a_job_per_sigma(stacked: Path, finished: Path) -> None:
    one, apart = records_of(stacked), records_of(finished)
    assert apart["combination"].nunique() == 2
    assert set(one["combination"]) == {"gaussian+features=32/mlp+depth=4+width=32/seed=0"}
    assert one.groupby("sigma")["member"].unique().map(list).to_dict() == {0.4: [0], 1.6: [1]}
    same = [column for column in one if column not in ("combination", "member")]
    pd.testing.assert_frame_equal(one[same], apart[same], check_exact=True)  # every digit


def test_pictures_of_one_job_are_those_of_a_job_per_sigma(stacked: Path, finished: Path) -> None:
    (together,) = stacked.glob(f"results/smoke/fits/{EXPERIMENT}/gaussian+features=32/**/arrays.npz")
    with np.load(together) as arrays:
        for member, sigma in enumerate((0.4, 1.6)):
            (alone,) = finished.glob(f"results/smoke/fits/{EXPERIMENT}/gaussian+sigma={sigma}+*/**/arrays.npz")
            with np.load(alone) as expected:
                for name in expected.files:
                    np.testing.assert_array_equal(arrays[f"{member}/{name}"], expected[name])
    shown, expected_rows = (pd.read_csv(folder / FIGURE).drop(columns="combination") for folder in (stacked, finished))
    pd.testing.assert_frame_equal(shown, expected_rows)
    pictures = [(folder / FIGURE).with_suffix(".png").read_bytes() for folder in (stacked, finished)]
    assert pictures[0] == pictures[1]


def test_a_stacked_job_runs_again_with_its_encoding_and_after_one_more_sigma(stacked: Path, tmp_path: Path) -> None:
    folder = copy_run(stacked, tmp_path / "posenc")
    assert dry_run(folder, RECORDS) == {}
    sigmas = {"of_nyquist": [0.05, 0.2, 0.4]}
    change_config(folder, {"experiments": {EXPERIMENT: {"encodings": {"gaussian": {"sigma": sigmas}}}}})
    assert dry_run(folder, RECORDS) == {
        "fit": 1,
        "measure_encodings": 1,
        "collect": 1,
    }  # the whole of it: that is the price
    folder = copy_run(stacked, tmp_path / "other")
    edit_code(folder / "src/posenc/encodings/gaussian.py", "__init__")
    assert dry_run(folder, RECORDS) == {"fit": 1, "measure_encodings": 1, "collect": 1}


# Other signals and training


def test_waves_are_fitted_by_gradient_descent_and_recorded_by_angle(tmp_path: Path) -> None:
    folder = copy_project(tmp_path / "posenc")
    changes: dict[str, Any] = {
        "signals": {"kind": "sinusoids", "radii": [1, 2], "angles": 3, "tuning": 0, "size": 16},
        "problem": {"image": {"output_activation": "tanh"}},
        "encodings": {"gaussian": {"sigma": [1, 2], "features": 16}},
        "networks": {"mlp": {"initialisation": "lecun"}},
        "training": {"optimizer": "sgd", "learning_rate": 0.1, "decay_steps": 20},
        "stacked": ["sigma"],
    }
    change_config(folder, {"preset": "smoke", "experiments": {EXPERIMENT: changes}})
    run = snakemake(folder, RECORDS)
    assert run.returncode == 0, run.stderr
    records = pd.read_parquet(folder / RECORDS)
    angles = records.groupby("condition")["signal"].unique().map(sorted).to_dict()
    assert angles == {
        angle: [f"radius_{radius}_angle_{i:02d}" for radius in (1, 2)] for i, angle in enumerate(("0", "90", "180"))
    }
    assert set(records["initialisation"]) == {"lecun"}
    assert set(records["status"]) == {"ok"}
    # It learns: the last loss of every wave is below its first.
    losses = records[records["metric"] == "loss"].sort_values("step").groupby(["member", "signal"])["value"]
    assert (losses.last() < losses.first()).all()
    (arrays,) = folder.glob("results/smoke/fits/**/arrays.npz")
    with np.load(arrays) as kept:
        assert kept["1/radius_2_angle_01"].shape == (16, 16, 1)
        assert min(kept[name].min() for name in kept.files) < 0  # a sigmoid never is
    assert dry_run(folder, RECORDS) == {}


# Theory

STUDY = '''"""A study for tests."""

import numpy as np

from posenc.theory.study import Found, Inputs


def starts(inputs: Inputs) -> Found:
    """The mean of every fit's pictures, and how many signals there are."""
    rows = [
        {"metric": "mean", "value": float(np.mean([picture.mean() for picture in fit.arrays.values()])),
         "encoding": fit.settings["encoding"], "item": str(number)}
        for fits in inputs.fits.values()
        for number, fit in enumerate(fits)
    ]
    (arrays, signals), = inputs.signals.values()
    rows.append({"metric": "count", "value": float(len(signals))})
    return Found(rows, {"signals": arrays["values"].astype(np.float64).mean(axis=(1, 2, 3))})


def line(inputs: Inputs) -> Found:
    """Nothing but a formula."""
    return Found([{"metric": "slope", "value": inputs.parameters["slope"]}])
'''
STUDIES = f"""
starts: {{title: What fits show, function: "posenc.theory.made_up:starts", fits: [{EXPERIMENT}]}}
line: {{title: A straight line, function: "posenc.theory.made_up:line", parameters: {{slope: 2.5}}}}
"""


@pytest.fixture(scope="module")
def studied(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The finished run with two studies more, one of which a claim-like table of records needs."""
    folder = copy_run(finished, tmp_path_factory.mktemp("studied") / "posenc")
    (folder / "src/posenc/theory/made_up.py").write_text(STUDY)
    (folder / PAPER / "theory.yaml").write_text(STUDIES)
    assert dry_run(folder, "theory") == {"theory_starts": 1, "theory_line": 1, "theory": 1}
    run = snakemake(folder, "theory")
    assert run.returncode == 0, run.stderr
    return folder


def test_studies_leave_records_arrays_and_a_summary(studied: Path) -> None:
    place = studied / "results/smoke/theory"
    names = {f"{name}.{end}" for name in ("starts", "line") for end in ("npz", "parquet", "json")}
    assert {path.name for path in place.iterdir()} >= names
    assert pd.read_parquet(place / "line.parquet")["value"].tolist() == [2.5]
    records = pd.read_parquet(place / "starts.parquet")
    assert set(records["experiment"]) == {"starts"}
    (rows,) = {len(json.loads(path.read_text())) for path in studied.glob("results/signals/natural*report=1/*.json")}
    assert records.loc[records["metric"] == "count", "value"].tolist() == [rows]
    means = records[records["metric"] == "mean"].set_index("item")["value"]
    for number, sigma in enumerate((0.4, 1.6)):
        (arrays,) = studied.glob(f"results/smoke/fits/{EXPERIMENT}/gaussian+sigma={sigma}+*/**/arrays.npz")
        with np.load(arrays) as kept:
            assert means[str(number)] == float(np.mean([kept[name].mean() for name in kept.files]))


def test_a_study_is_a_job_of_its_own(studied: Path, tmp_path: Path) -> None:
    def after(name: str, change: Any) -> dict[str, int]:
        folder = copy_run(studied, tmp_path / name)
        change(folder)
        return dry_run(folder, "theory")

    made_up = "src/posenc/theory/made_up.py"
    assert after("nothing", lambda folder: None) == {}
    assert after("one", lambda folder: edit_code(folder / made_up, "line")) == {"theory_line": 1, "theory": 1}
    slope = ("slope: 2.5", "slope: 2.0")
    assert after("two", lambda folder: edit_text(folder / PAPER / "theory.yaml", *slope)) == {
        "theory_line": 1, "theory": 1,
    }  # fmt: skip
    seeds = {"experiments": {EXPERIMENT: {"seeds": [0, 1]}}}
    assert after("three", lambda folder: change_config(folder, seeds)) == {"fit": 2, "theory_starts": 1, "theory": 1}


def test_an_artefact_is_drawn_again_with_the_study_that_it_reads(studied: Path, tmp_path: Path) -> None:
    folder = copy_run(studied, tmp_path / "posenc")
    about = yaml.safe_load((folder / PAPER / "paper.yaml").read_text())
    about["artefacts"]["figure_10"] |= {"theory": ["line"], "experiments": [EXPERIMENT, "starts"]}
    (folder / PAPER / "paper.yaml").write_text(yaml.safe_dump(about, sort_keys=False))
    run = snakemake(folder, "fourier_features_figure_10")
    assert run.returncode == 0, run.stderr
    card = json.loads((folder / FIGURE).with_suffix(".json").read_text())
    assert "starts: what fits show, exact at every preset" in card["caption"]
    edit_code(folder / "src/posenc/theory/made_up.py", "line")
    assert dry_run(folder, "fourier_features_figure_10") == {"theory_line": 1, "fourier_features_figure_10": 1}
