"""docs/adding-an-encoding.md, taken literally: its class and its line of config in a copy of the project."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from project import ROOT, copy_project, dry_run, environment, snakemake

NAME, EXPERIMENT = "raised_cosine", "image_natural"
# Beside the new encoding only what an experiment needs to have one, so that this is short.
FEWER = {
    "preset": "smoke",
    "papers": ["fourier_features"],
    "experiments": {
        EXPERIMENT: {"encodings": {"basic": None, "positional": None, "gaussian": None}},
        "image_text": {"encodings": {"basic": None, "positional": None}},
    },
}
METRICS = f"results/smoke/metrics/{EXPERIMENT}.json"
RECORDS = f"results/smoke/records/{EXPERIMENT}.parquet"
SWEEPS = "reports/smoke/fourier_features/figures/figure_sweeps.csv"


def block(language: str) -> str:
    """The page's one block of this language."""
    page = (ROOT / "docs/adding-an-encoding.md").read_text()
    (found,) = re.findall(rf"^```{language}\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    return str(found)


@pytest.fixture(scope="module")
def added(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project with nothing but the class and the line, run as far as the sweeps."""
    folder = copy_project(tmp_path_factory.mktemp("added") / "posenc")
    (folder / f"src/posenc/encodings/{NAME}.py").write_text(block("python"))
    line = block("yaml")
    assert line.count("\n") == 1
    config = folder / "config.yaml"
    assert "experiments" not in yaml.safe_load(config.read_text())
    config.write_text(config.read_text() + line)
    (folder / "fewer.yaml").write_text(yaml.safe_dump(FEWER))
    run = snakemake(folder, METRICS, RECORDS, SWEEPS, "--configfile", "fewer.yaml")
    assert run.returncode == 0, run.stderr[-4000:]
    return folder


def test_both_sigmas_are_measured(added: Path) -> None:
    found = json.loads((added / METRICS).read_text())
    ours: dict[str, Any] = {label: metrics for label, (metrics,) in found.items() if label.startswith(NAME)}
    assert len(ours) == 2
    assert all(metrics["metrics_note"] is None for metrics in ours.values())
    # The narrower the cosines, the higher the rank and the shorter the distance.
    wide, narrow = sorted(ours.values(), key=lambda metrics: metrics["stable_rank"])
    assert 1 < wide["stable_rank"] < narrow["stable_rank"]
    assert wide["distance"] > narrow["distance"] > 0


def test_it_is_fitted_and_recorded_with_its_settings(added: Path) -> None:
    records = pd.read_parquet(added / RECORDS)
    ours = records[records["encoding"] == NAME]
    assert ours["sigma"].nunique() == 2
    assert ours["features"].unique().tolist() == [128]
    assert ours[["bandwidth", "stable_rank", "distance"]].notna().all().all()
    assert (ours["status"] == "ok").all()
    assert ours.loc[ours["chosen"], "sigma"].nunique() == 1


def test_its_sweep_is_drawn(added: Path) -> None:
    plotted = pd.read_csv(added / SWEEPS)
    ours = plotted[plotted["encoding"] == NAME]
    assert set(ours["set"]) == {"tuning", "report"}
    assert ours["sigma"].nunique() == 2
    assert ours["mean"].notna().all()


def test_another_sigma_is_two_more_jobs_for_the_records(added: Path) -> None:
    """One fit, its records with it, and the metrics that they carry."""
    more = {"experiments": {EXPERIMENT: {"encodings": {NAME: {"sigma": {"of_nyquist": [0.25, 0.5, 0.75]}}}}}}
    (added / "more.yaml").write_text(yaml.safe_dump(more))
    planned = dry_run(added, RECORDS, "--configfile", "fewer.yaml", "more.yaml")
    assert planned == {"fit": 1, "measure_encodings": 1, "collect": 1}


def test_the_settings_page_and_schema_list_it(added: Path) -> None:
    code = "from posenc.plan.documents import documents; print(*documents().values())"
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=added, env=environment(PYTHONPATH="src"), capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    assert f"#### `{NAME}`" in run.stdout
    assert "phi(u) = (1 + cos(pi u / sigma)) / 2" in run.stdout
    assert f'"{NAME}_grid"' in run.stdout
