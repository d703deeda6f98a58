"""What runs again after a change: exactly what depends on it (DESIGN: "what triggers what")."""

import os
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from project import (
    PAPER,
    READERS,
    change_config,
    copy_run,
    date,
    downstream,
    dry_run,
    edit_code,
    edit_text,
    edit_words,
    everything,
    refit,
)

SOURCES = Path("src/posenc")
VOXELS = {"ct_shepp_voxels", "ct_brain_voxels", "mri_brain_voxels"}
ONE_DIMENSION = {"line_dynamics", "line_scales", "line_powers", "line_bumps"}
POSITIONAL = set(READERS) - VOXELS - ONE_DIMENSION - {
    "image_features", "image_scales", "image_trained", "image_families",
}  # fmt: skip
GAUSSIAN = set(READERS) - VOXELS - {"radiance_original_pe", "line_dynamics", "line_powers", "line_bumps"}
# An encoding's weights count in a study of networks' sizes.
SIZES = {"theory_network_sizes": 1}
# All but what no fit and no study has a part in.
EVERY_FIT = {
    rule: count for rule, count in everything("smoke").items()
    if rule not in ("prepare_signals", "fourier_features_table_2")
}  # fmt: skip


class Case(NamedTuple):
    """A change to a finished run, and the jobs that follow from it."""

    change: Callable[[Path], object]
    expected: dict[str, int]


def config(**changes: Any) -> Callable[[Path], None]:
    return lambda folder: change_config(folder, changes)


def experiment(name: str, **changes: Any) -> Callable[[Path], None]:
    return config(experiments={name: changes})


def code(path: str, function: str) -> Callable[[Path], None]:
    return lambda folder: edit_code(folder / SOURCES / path, function)


def words(*paths: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        for path in paths:
            edit_words(folder / SOURCES / path)

    return change


def text(path: Path, old: str, new: str) -> Callable[[Path], None]:
    return lambda folder: edit_text(folder / path, old, new)


def removal(pattern: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        found = list(folder.glob(pattern))
        assert len(found) == 1, found
        found[0].unlink()

    return change


def without_theory(jobs: dict[str, int]) -> dict[str, int]:
    """Studies start from fits, not from their records."""
    return {rule: count for rule, count in jobs.items() if not rule.startswith("theory_")}


def touch_everything(folder: Path) -> None:
    for path in folder.rglob("*"):
        os.utime(path)


def dated_against_the_order(folder: Path) -> None:
    """Every step of the way is dated later than what was made from it; sources last of all."""
    date(2100, folder)
    for year, place in enumerate(("reports", "results/smoke/records", "results/smoke/fits", "results/signals"), 2001):
        date(year, folder / place)


CASES = {
    "nothing": Case(lambda folder: None, {}),
    "every file touched": Case(touch_everything, {}),
    "a clock far ahead of every file": Case(lambda folder: date(1960, folder), {}),
    "a clock far behind every file": Case(lambda folder: date(2100, folder), {}),
    "results older than what they were made from": Case(dated_against_the_order, {}),
    # Settings
    "one more sigma": Case(
        experiment("image_text", encodings={"gaussian": {"sigma": [1, 2, 4]}}), refit(1, "image_text")
    ),
    "a second sigma, so that tuning pictures are needed": Case(
        experiment("image_text", encodings={"positional": {"sigma": [3, 4]}}), refit(2, "image_text")
    ),
    "one sigma less": Case(experiment("image_text", encodings={"basic": None}), refit(0, "image_text")),
    "steps of one experiment": Case(
        experiment("image_text", training={"steps": 20}), refit(5, "image_text", encodings=False)
    ),
    "learning rate of one encoding": Case(
        experiment("image_natural", encodings={"none": {"training": {"learning_rate": 2e-2}}}),
        refit(1, "image_natural", encodings=False),
    ),
    "another optimizer": Case(
        experiment("image_text", training={"optimizer": "sgd"}), refit(5, "image_text", encodings=False)
    ),
    # Of one sigma there is nothing to stack; two are one job from now on.
    "one axis stacked": Case(experiment("image_text", stacked=["sigma"]), refit(1, "image_text")),
    "a lesser parameter named at its default": Case(
        experiment("image_text", encodings={"gaussian": {"normalised": False}}), {}
    ),
    "a lesser parameter away from it": Case(
        experiment("image_text", encodings={"gaussian": {"normalised": True}}), refit(2, "image_text")
    ),
    "a problem as a mapping": Case(experiment("image_text", problem={"image": {}}), {}),
    "a parameter of a problem": Case(
        experiment("image_text", problem={"image": {"output_activation": "tanh"}}), refit(5, "image_text")
    ),
    "one more seed": Case(experiment("image_features", seeds=[0, 1]), refit(4, "image_features")),
    "one more width": Case(
        experiment("image_features", networks={"mlp": {"width": [32, 16]}}), refit(4, "image_features")
    ),
    "which step is reported": Case(
        experiment("image_text", training={"report_step": 21}), refit(0, "image_text", encodings=False)
    ),
    "text pictures": Case(experiment("image_text", signals={"report": 3}), refit(5, "image_text", prepare_signals=1)),
    "pictures of one of two experiments that shared them": Case(
        experiment("image_features", signals={"report": 3}), refit(4, "image_features", prepare_signals=1)
    ),
    "pictures of both experiments that share them": Case(
        config(experiments={name: {"signals": {"report": 3}} for name in ("image_natural", "image_features")}),
        refit(9, "image_natural", "image_features", prepare_signals=1),
    ),
    "precision": Case(config(precision="float32"), refit(41, *set(READERS) - VOXELS - ONE_DIMENSION, encodings=False)),
    "device": Case(config(device="cpu"), {}),
    # Code
    "comments and docstrings": Case(
        words("encodings/gaussian.py", "encodings/base.py", "training/loop.py", "papers/fourier_features/image.py"), {}
    ),
    "one encoding": Case(code("encodings/gaussian.py", "__init__"), refit(21, *GAUSSIAN, **SIZES)),
    "another encoding": Case(code("encodings/positional.py", "axis_frequencies"), refit(11, *POSITIONAL)),
    "the encodings' base class": Case(code("encodings/base.py", "bandwidth"), EVERY_FIT),
    "the network": Case(code("networks/mlp.py", "forward"), refit(62, *set(READERS) - VOXELS, **SIZES)),
    "the training loop": Case(code("training/loop.py", "train"), refit(65, *READERS)),
    "how stable rank is computed": Case(
        code("theory/stable_rank.py", "largest_eigenvalue"), without_theory(refit(0, *READERS))
    ),
    "how text is drawn": Case(code("signals/drawn.py", "text_picture"), refit(5, "image_text", prepare_signals=1)),
    "how records are joined": Case(code("records.py", "is_final"), without_theory(refit(0, *READERS, encodings=False))),
    "a statistic": Case(code("claims/statistics.py", "paired_difference"), downstream(judge_claims=1)),
    "one figure": Case(code("papers/fourier_features/image.py", "figure_10"), downstream({"figure_10"})),
    "one table": Case(code("papers/fourier_features/image.py", "table_3"), downstream({"table_3"})),
    "what notebooks show": Case(code("reporting/show.py", "claims"), downstream()),
    # Words of the papers
    "a claim": Case(text(PAPER / "claims.yaml", "threshold: 0", "threshold: 0.1"), downstream(judge_claims=1)),
    "a caption": Case(
        lambda folder: (folder / PAPER / "captions/figure_6.rst").write_text("Edited."), downstream({"figure_6"})
    ),
    "a published number": Case(
        text(PAPER / "published.yaml", "none: {mean: 19.32,", "none: {mean: 19.33,"),
        downstream({"table_3"}, judge_claims=1),
    ),
    "a notebook": Case(text(PAPER / "notebook.ipynb", "## Claims", "## All claims"), downstream()),
    # Files lost
    "metrics lost": Case(removal("results/smoke/metrics/image_scales.json"), refit(0, "image_scales")),
    "values lost": Case(
        removal("results/smoke/fits/image_scales/gaussian+sigma=0.4+*/*/*/values.csv"),
        refit(1, "image_scales", encodings=False),
    ),
    "records lost": Case(
        removal("results/smoke/records/image_scales.parquet"), refit(0, "image_scales", encodings=False)
    ),
    "a figure lost": Case(removal("reports/smoke/fourier_features/figures/figure_6.pdf"), downstream({"figure_6"})),
}


@pytest.fixture(scope="module")
def found(
    side_by_side: Callable[..., dict[str, Future[Any]]], finished: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Future[dict[str, int]]]:
    def jobs(case: str) -> dict[str, int]:
        folder = copy_run(finished, tmp_path_factory.mktemp("rerun") / "posenc")
        CASES[case].change(folder)
        return dry_run(folder)

    return side_by_side(jobs)


@pytest.mark.parametrize("case", CASES)
def test_a_change_runs_exactly_what_depends_on_it(case: str, found: dict[str, Future[dict[str, int]]]) -> None:
    assert found[case].result() == CASES[case].expected
