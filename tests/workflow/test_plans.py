"""What a run would do, from a folder without results: job counts, speed, single targets, the menu."""

import re
import time
from pathlib import Path

import pytest
from project import COMBINATIONS, READERS, copy_project, dry_run, everything, planned, snakemake

# Raises where torch is imported, also where that would be caught.
GUARD = """
import sys, os
class Guard:
    def find_spec(self, name, path=None, target=None):
        if name == "torch":
            os.write(2, b"torch was imported")
            os._exit(3)
sys.meta_path.insert(0, Guard())
"""


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_project(tmp_path_factory.mktemp("fresh") / "posenc")


@pytest.mark.parametrize("preset", COMBINATIONS)
def test_a_fresh_folder_plans_every_job_without_torch(preset: str, fresh: Path, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(GUARD)
    found = dry_run(fresh, "--config", f"preset={preset}", PYTHONPATH=str(tmp_path))
    assert found == everything(preset)


def test_the_default_preset_has_the_same_stages(fresh: Path) -> None:
    assert set(dry_run(fresh)) == set(everything("smoke"))


def test_the_guard_against_torch_works(fresh: Path, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(GUARD)
    (fresh / "imports_torch.smk").write_text("import torch")
    run = snakemake(fresh, "-n", "-s", "imports_torch.smk", PYTHONPATH=str(tmp_path))
    assert (run.returncode, run.stderr.count("torch was imported")) == (3, 1)


def test_the_paper_preset_plans_in_seconds(fresh: Path) -> None:
    def seconds() -> float:
        start = time.monotonic()
        dry_run(fresh, "--config", "preset=paper")
        return time.monotonic() - start

    assert min(seconds(), seconds()) < 5


def test_another_working_folder_gets_the_results(fresh: Path, tmp_path: Path) -> None:
    found = planned(
        snakemake(tmp_path, "-n", "-s", str(fresh / "Snakefile"), "--cores", "1", "--config", "preset=smoke")
    )
    assert found == everything("smoke")


@pytest.mark.parametrize(
    ("target", "experiment", "fits"), [("figure_10", "image_scales", 2), ("figure_6", "image_features", 4)]
)
def test_a_target_needs_only_its_own_experiment(target: str, experiment: str, fits: int, fresh: Path) -> None:
    name = f"fourier_features_{target}"
    found = dry_run(fresh, name, "--config", "preset=smoke")
    assert found == {"prepare_signals": 1, "fit": fits, "collect": 1, name: 1}


@pytest.mark.parametrize(
    ("stage", "expected"),
    [
        ("signals", {"prepare_signals": 3}),
        ("fits", {"prepare_signals": 3, "fit": 16}),
        ("records", {"prepare_signals": 3, "fit": 16, "collect": 4, "concatenate": 1}),
        ("claims", {"prepare_signals": 2, "fit": 14, "collect": 3, "judge_claims": 1}),
    ],
)
def test_a_stage_ends_there(stage: str, expected: dict[str, int], fresh: Path) -> None:
    assert dry_run(fresh, stage, "--config", "preset=smoke") == {**expected, stage: 1}


def test_the_list_reads_like_a_menu(fresh: Path) -> None:
    run = snakemake(fresh, "--list")
    assert run.returncode == 0
    entries = dict(re.findall(r"^(\w+)(.*)$", run.stdout, re.MULTILINE))
    stages = {"all", "signals", "fits", "records", "tables", "figures", "claims"}
    artefacts = {f"fourier_features_{name}" for name in set().union(*READERS.values())}
    assert stages | artefacts | {"fourier_features", "fourier_features_notebook"} <= set(entries)
    # Every entry says what it is: a word for its kind, then the thing itself.
    assert {name: words for name, words in entries.items() if not re.fullmatch(r" \(\w+: .{8,}\)", words)} == {}


def test_the_workflow_has_no_lint(fresh: Path) -> None:
    run = snakemake(fresh, "--lint")
    assert run.returncode == 0, run.stdout + run.stderr
