"""The project as its tests use it: copies of it, edits of its files, and Snakemake runs in a copy."""

import ast
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
# The paper that most tests run alone; those of the other have files of their own.
PAPER = Path("workflow/papers/fourier_features")

# Facts of the plan that tests state outright, each here alone. Of presets, those that are not tuned now and then.
COMBINATIONS = {
    "smoke": {
        "image_natural": 5, "image_text": 5, "image_features": 4, "image_scales": 2, "image_trained": 2,
        "image_families": 4, "image_angles": 2, "radiance": 6, "radiance_original_pe": 2, "ct_shepp": 4,
        "ct_shepp_voxels": 1, "ct_brain": 4, "ct_brain_voxels": 1, "mri_brain": 4, "mri_brain_voxels": 1, "shapes": 5,
        "line_dynamics": 2, "line_scales": 5, "line_powers": 2, "line_bumps": 4,
    },
    "paper": {
        "image_natural": 8, "image_text": 8, "image_features": 24, "image_scales": 8, "image_trained": 2,
        "image_families": 4, "image_angles": 8, "radiance": 7, "radiance_original_pe": 2, "ct_shepp": 8,
        "ct_shepp_voxels": 1, "ct_brain": 8, "ct_brain_voxels": 1, "mri_brain": 8, "mri_brain_voxels": 1, "shapes": 8,
        "line_dynamics": 7, "line_scales": 7, "line_powers": 21, "line_bumps": 40,
    },
}  # fmt: skip
SIGNAL_SETS = 13  # at each of these presets
# The same of the second paper.
RETHINKING = {
    "smoke": {
        "row_training": 4, "noise_training": 4, "row_scales": 1, "row_scales_solved": 1, "row_impulses": 2,
        "noise_impulses": 2, "row_waves": 2, "noise_waves": 2, "row_features": 2, "picture_features": 2,
        "row_reconstructions": 1, "picture_reconstructions": 1, "pictures_simple": 2, "pictures_complex": 2,
        "pictures_solved": 2, "pictures_random_simple": 2, "pictures_random_complex": 2, "clips_simple": 2,
        "clips_complex": 2, "clips_solved": 1, "clips_random_simple": 1, "clips_random_complex": 1,
    },
    "paper": {
        "row_training": 40, "noise_training": 40, "row_scales": 2, "row_scales_solved": 1, "row_impulses": 2,
        "noise_impulses": 2, "row_waves": 2, "noise_waves": 2, "row_features": 2, "picture_features": 200,
        "row_reconstructions": 1, "picture_reconstructions": 3, "pictures_simple": 15, "pictures_complex": 10,
        "pictures_solved": 5, "pictures_random_simple": 15, "pictures_random_complex": 10, "clips_simple": 15,
        "clips_complex": 10, "clips_solved": 5, "clips_random_simple": 15, "clips_random_complex": 10,
    },
}  # fmt: skip
SIGNAL_SETS_OF_RETHINKING = 9  # at the smoke preset, none of them the first paper's
READERS = {
    "image_natural": {"table_1", "table_3", "figure_1", "figure_15", "figure_sweeps", "figure_curves"},
    "image_text": {"table_1", "table_3", "figure_15", "figure_sweeps", "figure_curves"},
    "image_features": {"figure_6"},
    "image_scales": {"figure_10"},
    "image_trained": {"figure_8"},
    "image_families": {"figure_9"},
    "image_angles": {"figure_11"},
    "radiance": {"table_1", "table_7", "figure_1", "figure_19"},
    "radiance_original_pe": {"table_7", "figure_19"},
    "ct_shepp": {"table_1", "table_5", "figure_17", "figure_tomography_sweeps"},
    "ct_shepp_voxels": {"table_5", "figure_17"},
    "ct_brain": {"table_1", "table_5", "figure_17", "figure_tomography_sweeps"},
    "ct_brain_voxels": {"table_5", "figure_17"},
    "mri_brain": {"table_1", "table_6", "figure_1", "figure_18", "figure_tomography_sweeps"},
    "mri_brain_voxels": {"table_6", "figure_18"},
    "shapes": {"table_1", "table_4", "figure_1", "figure_16"},
    "line_dynamics": {"figure_3", "figure_12"},
    "line_scales": {"figure_4", "figure_13"},
    "line_powers": {"figure_5"},
    "line_bumps": {"figure_14"},
}
# What reads no experiment, or nothing but theory, is drawn with the whole.
OTHER_ARTEFACTS = {"table_2", "figure_2", "figure_7"}
# Jobs that start from an experiment's fits.
AFTER_FITS = {"line_dynamics": "theory_line_theory", "shapes": "measure_shape_normals"}
OTHER_STUDIES = ("theory_kernel_spectra", "theory_best_amplitudes", "theory_network_sizes")
UNJUDGED = {"image_scales", "image_families", "ct_shepp_voxels", "ct_brain_voxels", "mri_brain_voxels"}
JUDGED = set(READERS) - UNJUDGED

# ---- copies


def project_files() -> list[Path]:
    """The project's own files, relative to its root; built and downloaded ones are none."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=ROOT, capture_output=True, text=True
    )
    if listed.returncode == 0:
        files = [Path(name) for name in listed.stdout.split("\0") if name]
    else:  # no clone, but an unpacked archive
        parts = (ROOT / name for name in ("Snakefile", "config.yaml", "src", "workflow", "profiles", "envs", "docs"))
        found = (path for part in parts for path in (part.rglob("*") if part.is_dir() else [part]))
        files = [path.relative_to(ROOT) for path in found if "__pycache__" not in path.parts]
    return [path for path in files if (ROOT / path).is_file()]


def copy_project(folder: Path, *papers: str) -> Path:
    """A copy of the project as from a fresh clone: no results. Its configuration asks for these papers alone."""
    for path in project_files():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / path, folder / path)
    change_config(folder, {"papers": list(papers or [PAPER.name])})
    return folder


def copy_run(run: Path, folder: Path) -> Path:
    """A copy of a folder with its results, Snakemake's notes on them, and all dates."""
    return Path(shutil.copytree(run, folder, symlinks=True))


# ---- pictures


def noise(height: int, width: int, channels: int = 3) -> Image.Image:
    values = np.random.default_rng(0).integers(256, size=(height, width, channels), dtype=np.uint8)
    return Image.fromarray(values)


def pictures(folder: Path, *names: str) -> Path:
    """A folder with large enough pictures."""
    folder.mkdir()
    for name in names:
        noise(130, 140).save(folder / name)
    return folder


# ---- edits


def change_config(folder: Path, changes: Mapping[str, Any]) -> None:
    """Merge settings into config.yaml."""
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(merged(yaml.safe_load(path.read_text()), changes)))


def merged(settings: Any, changes: Mapping[str, Any]) -> dict[str, Any]:
    settings = dict(settings or {})
    for key, value in changes.items():
        settings[key] = merged(settings.get(key), value) if isinstance(value, Mapping) else value
    return settings


def edit_text(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text, f"{path} has no {old!r}"
    path.write_text(text.replace(old, new, 1))


def edit_code(path: Path, function: str) -> None:
    """Put a statement without effect at the start of a function, method or class."""
    text = path.read_text()
    kinds = ast.FunctionDef | ast.ClassDef
    node = next(node for node in ast.walk(ast.parse(text)) if isinstance(node, kinds) and node.name == function)
    body = node.body[1:] if ast.get_docstring(node) else node.body
    lines = text.splitlines(keepends=True)
    lines.insert(body[0].lineno - 1, " " * body[0].col_offset + "edited = 1\n")
    path.write_text("".join(lines))


def date(year: int, *places: Path) -> None:
    """Date files and folders, with all that is in them, to the start of a year."""
    seconds = datetime(year, 1, 1).timestamp()
    for place in places:
        for path in (place, *place.rglob("*")):
            os.utime(path, (seconds, seconds), follow_symlinks=False)


def edit_words(path: Path) -> None:
    """Change the module's docstring, and add a comment and blank lines."""
    text = path.read_text()
    assert text.startswith('"""')
    path.write_text('"""Edited. ' + text[3:] + "\n\n# edited\n")


# ---- Snakemake


def environment(**additions: str) -> dict[str, str]:
    """This process's environment without what would steer a run."""
    steering = ("POSENC_DATA", "POSENC_RUN", "PYTHONPATH", "SNAKEMAKE_PROFILE", "CUDA_VISIBLE_DEVICES")
    return {key: value for key, value in os.environ.items() if key not in steering} | additions


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "snakemake", *arguments]


def snakemake(folder: Path, *arguments: str, **additions: str) -> subprocess.CompletedProcess[str]:
    """Snakemake in a folder; `additions` go to its environment."""
    return subprocess.run(
        command(*arguments), cwd=folder, env=environment(**additions), capture_output=True, text=True, timeout=1800
    )


def planned(run: subprocess.CompletedProcess[str]) -> dict[str, int]:
    """Jobs that a dry run would start, by rule."""
    assert run.returncode == 0, run.stderr + run.stdout
    if "Nothing to be done" in run.stdout + run.stderr:
        return {}
    table = re.findall(r"^job +count\n-+ +-+\n(.*?)^total +\d+$", run.stdout, re.DOTALL | re.MULTILINE)[-1]
    return {rule: int(count) for rule, count in (line.split() for line in table.splitlines())}


def dry_run(folder: Path, *arguments: str, **additions: str) -> dict[str, int]:
    return planned(snakemake(folder, "-n", *arguments, **additions))


def with_driver(folder: Path, gpus: int) -> str:
    """A PATH on which `nvidia-smi` answers for so many GPUs; their UUIDs are GPU-fake-0, GPU-fake-1, ..."""
    folder.mkdir()
    lines = "".join(f"{i}, GPU-fake-{i}, Fake card\n" for i in range(gpus))
    program = folder / "nvidia-smi"
    program.write_text(f"#!/bin/sh\ncat <<'END'\n{lines}END\n")
    program.chmod(0o755)
    return f"{folder}:{os.environ['PATH']}"


# ---- what a change leads to


def downstream(artefacts: set[str] | None = None, **jobs: int) -> dict[str, int]:
    """Jobs by rule where these artefacts and jobs run: the pages show them all."""
    drawn = {f"fourier_features_{name}": 1 for name in artefacts or ()}
    return {**jobs, **drawn, "fourier_features_notebook": 1, "render_overview": 1, "all": 1}


def refit(fits: int, *experiments: str, encodings: bool = True, **jobs: int) -> dict[str, int]:
    """Jobs by rule where combinations of experiments are fitted, and all that reads them follows.

    encodings: whether they are measured anew, too: what a change of training alone does not lead to.
    """
    drawn = set().union(*(READERS[name] for name in experiments))
    counts = {"fit": fits, "collect": len(experiments), "concatenate": 1}
    counts["measure_encodings"] = len(experiments) if encodings else 0
    counts["judge_claims"] = int(bool(JUDGED & set(experiments)))
    counts |= {AFTER_FITS[name]: 1 for name in experiments if name in AFTER_FITS}
    return {rule: count for rule, count in downstream(drawn, **counts, **jobs).items() if count}


def everything(preset: str) -> dict[str, int]:
    """Jobs by rule in a folder without results."""
    jobs = refit(sum(COMBINATIONS[preset].values()), *COMBINATIONS[preset], prepare_signals=SIGNAL_SETS)
    return jobs | dict.fromkeys([*OTHER_STUDIES, *(f"fourier_features_{name}" for name in OTHER_ARTEFACTS)], 1)
