"""The second paper, run on top of the first one's results: its records, its page, and what runs again."""

import json
from pathlib import Path

import pandas as pd
import pytest
import yaml
from project import RETHINKING, ROOT, SIGNAL_SETS_OF_RETHINKING, change_config, copy_run, dry_run, edit_code, snakemake

PAPER = Path("workflow/papers/rethinking")
ARTEFACTS = yaml.safe_load((ROOT / PAPER / "paper.yaml").read_text())["artefacts"]
STUDIES = yaml.safe_load((ROOT / PAPER / "theory.yaml").read_text())
CLAIMS = [claim["number"] for claim in yaml.safe_load((ROOT / PAPER / "claims.yaml").read_text())]
REPORTS = Path("reports/smoke")
EXPERIMENTS = RETHINKING["smoke"]
JOBS = {
    "prepare_signals": SIGNAL_SETS_OF_RETHINKING,
    "fit": sum(EXPERIMENTS.values()),
    "measure_encodings": len(EXPERIMENTS),
    "collect": len(EXPERIMENTS),
    "concatenate": 1,
    "judge_claims": 1,
    **{f"theory_{name}": 1 for name in STUDIES},
    **{f"rethinking_{name}": 1 for name in ARTEFACTS},
    "rethinking_notebook": 1,
    "render_overview": 1,
    "all": 1,
}


@pytest.fixture(scope="module")
def both(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first paper's finished run, then with the second one asked for, too."""
    folder = copy_run(finished, tmp_path_factory.mktemp("both") / "posenc")
    change_config(folder, {"papers": ["fourier_features", "rethinking"]})
    assert dry_run(folder) == JOBS
    run = snakemake(folder)
    assert run.returncode == 0, run.stderr[-4000:]
    return folder


def test_nothing_is_left_to_do(both: Path) -> None:
    assert dry_run(both) == {}


def test_records_hold_every_fit_of_every_experiment(both: Path) -> None:
    records = pd.read_parquet(both / "results/smoke/rethinking.parquet")
    found = records.groupby("experiment")["combination"].nunique()
    assert found.to_dict() == EXPERIMENTS
    assert set(records["status"]) == {"ok"}


@pytest.mark.parametrize("paper", ["fourier_features", "rethinking"])
def test_no_record_is_without_rank_and_distance_or_the_reason(both: Path, paper: str) -> None:
    records = pd.read_parquet(both / f"results/smoke/{paper}.parquet")
    fits = records.drop_duplicates(["experiment", "combination", "member"])
    for name in ("stable_rank", "distance"):
        why = fits.loc[fits[name].isna(), "metrics_note"].astype(object)
        assert why.notna().all() and why.str.contains(f"{name}: ").all()
    assert (fits["stable_rank"].dropna() >= 1 - 1e-9).all()
    assert fits["stable_rank"].notna().mean() > 0.9 and fits["distance"].notna().mean() > 0.5


def test_every_artefact_is_there_and_on_the_page(both: Path) -> None:
    folder = both / REPORTS / "rethinking"
    text = (both / REPORTS / "rethinking.html").read_text()
    for name, artefact in ARTEFACTS.items():
        suffixes = ("csv", "md", "tex") if artefact["kind"] == "table" else ("png", "pdf", "csv")
        assert all((folder / f"{artefact['kind']}s" / f"{name}.{suffix}").stat().st_size for suffix in suffixes)
        assert f'id="{name}"' in text
    assert text.count("<img") == sum(artefact["kind"] == "figure" for artefact in ARTEFACTS.values())
    overview = (both / REPORTS / "index.html").read_text()
    assert "rethinking.html" in overview and "fourier_features.html" in overview


def test_smoke_judges_no_claim_and_says_why(both: Path) -> None:
    claims = json.loads((both / REPORTS / "rethinking/claims.json").read_text())["claims"]
    assert [claim["number"] for claim in claims] == CLAIMS == [*range(1, 17), *(f"G{n}" for n in range(1, 7))]
    assert {claim["verdict"] for claim in claims} == {"not judged"}


def test_an_edit_of_a_shifted_encoding_fits_what_uses_one(both: Path, tmp_path: Path) -> None:
    folder = copy_run(both, tmp_path / "posenc")
    edit_code(folder / "src/posenc/encodings/shifted.py", "wrapped")
    # All but none, basic and random Fourier features; and nothing of the first paper.
    found = dry_run(folder, "fits")
    assert found == {"fit": 26, "fits": 1}


def test_a_change_of_the_first_paper_redraws_the_figure_of_all_encodings(both: Path, tmp_path: Path) -> None:
    folder = copy_run(both, tmp_path / "posenc")
    change_config(folder, {"experiments": {"image_scales": {"encodings": {"gaussian": {"sigma": [1, 2, 3]}}}}})
    found = dry_run(folder)
    assert found["fit"] == 3 and found["measure_encodings"] == found["collect"] == 1
    assert {name for name in found if name.startswith("rethinking_")} == {
        "rethinking_figure_encodings", "rethinking_notebook",
    }  # fmt: skip
