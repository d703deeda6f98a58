"""What a run would do, from a folder without results: job counts, speed, single targets, the menu."""

import os
import re
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
from faults import started
from project import (
    COMBINATIONS,
    OTHER_ARTEFACTS,
    OTHER_STUDIES,
    READERS,
    copy_project,
    dry_run,
    everything,
    planned,
    snakemake,
    with_driver,
)

# Put where Python finds it on start: ends the process where torch is imported, also where that would be caught.
GUARD = """
import os, sys

class Guard:
    def find_spec(self, name, path=None, target=None):
        if name == "torch":
            os.write(2, b"torch was imported")
            os._exit(3)

sys.meta_path.insert(0, Guard())
"""
TARGETS: dict[str, dict[str, int]] = {
    "signals": {"prepare_signals": 13},
    # One encoding is made from what theory says of the best amplitudes.
    "fits": {"prepare_signals": 13, "fit": 65, "theory_best_amplitudes": 1},
    "metrics": {"prepare_signals": 13, "measure_encodings": 20, "theory_best_amplitudes": 1},
    "records": {
        "prepare_signals": 13,
        "fit": 65,
        "measure_encodings": 20,
        "collect": 20,
        "concatenate": 1,
        "theory_best_amplitudes": 1,
    },
    "claims": {
        "prepare_signals": 12,
        "fit": 56,
        "collect": 15,
        "measure_encodings": 15,
        "judge_claims": 1,
        "theory_line_theory": 1,
        **dict.fromkeys(OTHER_STUDIES, 1),
    },
    "measures": {"prepare_signals": 1, "fit": 5, "measure_encodings": 1, "collect": 1, "measure_shape_normals": 1},
    "fourier_features_figure_10": {"prepare_signals": 1, "fit": 2, "measure_encodings": 1, "collect": 1},
    "fourier_features_figure_6": {"prepare_signals": 1, "fit": 4, "measure_encodings": 1, "collect": 1},
    "fourier_features_table_3": {"prepare_signals": 2, "fit": 10, "measure_encodings": 2, "collect": 2},
}
# Arguments of the command line, and the jobs by rule that it plans.
CASES: dict[str, tuple[list[str], dict[str, int]]] = {
    "preset smoke": (["--config", "preset=smoke"], everything("smoke")),
    "preset paper": (["--config", "preset=paper"], everything("paper")),
    **{name: ([name, "--config", "preset=smoke"], {**jobs, name: 1}) for name, jobs in TARGETS.items()},
}


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_project(tmp_path_factory.mktemp("fresh") / "posenc")


@pytest.fixture(scope="module")
def guard(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("guard")
    (folder / "sitecustomize.py").write_text(GUARD)
    return str(folder)


@pytest.fixture(scope="module")
def found(
    side_by_side: Callable[..., dict[str, Future[Any]]], fresh: Path, guard: str
) -> dict[str, Future[dict[str, int]]]:
    return side_by_side(lambda case: dry_run(fresh, *CASES[case][0], PYTHONPATH=guard))


def test_the_paper_preset_plans_in_a_few_times_what_snakemake_takes_to_start(fresh: Path) -> None:
    def seconds(*targets: str) -> float:
        """Of processor time: other work on the machine hardly moves it. That nothing is waited for shows, too."""
        start = time.monotonic()
        run = started(fresh, *targets)
        _, status, used = os.wait4(run.pid, 0)
        run.returncode = os.waitstatus_to_exitcode(status)
        assert run.returncode == 0, (fresh / "run.log").read_text()[-4000:]
        assert time.monotonic() - start < 60
        return used.ru_utime + used.ru_stime

    # Machines differ by far more than a change that matters. Once is enough: other work slows a core, too.
    assert any(seconds("-n", "--config", "preset=paper") < 6 * seconds("--version") for _ in range(3))


@pytest.mark.parametrize("case", CASES)
def test_every_job_is_planned_and_torch_not_imported(case: str, found: dict[str, Future[dict[str, int]]]) -> None:
    assert found[case].result() == CASES[case][1]


def test_the_default_preset_has_the_same_stages(fresh: Path, guard: str) -> None:
    assert set(dry_run(fresh, PYTHONPATH=guard)) == set(everything("smoke"))


def test_the_guard_against_torch_works(fresh: Path, guard: str) -> None:
    (fresh / "imports_torch.smk").write_text("try:\n    import torch\nexcept ImportError:\n    pass\n")
    run = snakemake(fresh, "-n", "-s", "imports_torch.smk", PYTHONPATH=guard)
    assert (run.returncode, run.stderr.count("torch was imported")) == (3, 1)


def test_another_working_folder_gets_the_results(fresh: Path, tmp_path: Path) -> None:
    snakefile = str(fresh / "Snakefile")
    run = snakemake(tmp_path, "-n", "-s", snakefile, "--cores", "1", "--config", "preset=smoke")
    assert planned(run) == everything("smoke")


def test_the_list_reads_like_a_menu(fresh: Path) -> None:
    run = snakemake(fresh, "--list")
    assert run.returncode == 0
    entries = dict(re.findall(r"^(\w+)(.*)$", run.stdout, re.MULTILINE))
    stages = {"all", "signals", "fits", "records", "tables", "figures", "claims"}
    artefacts = {f"fourier_features_{name}" for name in OTHER_ARTEFACTS.union(*READERS.values())}
    assert stages | artefacts | {"fourier_features", "fourier_features_notebook"} <= set(entries)
    # Every entry says what it is: a word for its kind, then the thing itself.
    assert {name: words for name, words in entries.items() if not re.fullmatch(r" \(\w+: .{8,}\)", words)} == {}


def test_the_workflow_has_no_lint(fresh: Path) -> None:
    run = snakemake(fresh, "--lint")
    assert run.returncode == 0, run.stdout + run.stderr


def test_more_gpus_than_there_are_is_said_where_there_are_any(fresh: Path, tmp_path: Path) -> None:
    arguments = ("-n", "fits", "--config", "preset=smoke", "slots_per_gpu=2", "--resources")
    said = "fits on GPUs at once were asked for"
    assert said not in snakemake(fresh, *arguments, "gpu=9").stderr
    path = with_driver(tmp_path / "bin", 2)
    assert said not in snakemake(fresh, *arguments, "gpu=4", PATH=path).stderr
    many = snakemake(fresh, *arguments, "gpu=9", PATH=path)
    assert planned(many)["fit"] == sum(COMBINATIONS["smoke"].values())
    assert f"9 {said}; 2 GPUs with slots_per_gpu 2 take 4" in many.stderr
    assert said not in snakemake(fresh, *arguments, "gpu=9", PATH=path, CUDA_VISIBLE_DEVICES="").stderr


def test_a_job_on_a_clusters_node_does_not_count_the_nodes_cores(tmp_path: Path) -> None:
    # It was given the cores that it was sent off with.
    folder = copy_project(tmp_path / "posenc")
    with (folder / "Snakefile").open("a") as snakefile:
        snakefile.write("\nprint(f'{CORES} cores to share')\n")
    words = ("-n", "fits", "--config", "preset=smoke", "--cores", "64")
    assert "64 cores to share" in snakemake(folder, *words).stdout
    assert "\n1 cores to share" in "\n" + snakemake(folder, *words, "--mode", "remote").stdout
