"""The artefacts of the 1D studies, from made-up records and curves."""

from __future__ import annotations

import math
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from posenc.papers.fourier_features import line
from posenc.papers.material import Figure, Material
from posenc.reporting.figures import write_figure
from posenc.reporting.tables import html_text, latex_text
from posenc.theory.one_dimension import kernel_spectra
from posenc.theory.study import Inputs

PAPER = Path(__file__).parents[2] / "workflow/papers/fourier_features"
PUBLISHED = yaml.safe_load((PAPER / "published.yaml").read_text())
STUDIES = yaml.safe_load((PAPER / "theory.yaml").read_text())
FIGURES = [
    line.figure_2, line.figure_3, line.figure_4, line.figure_5, line.figure_7, line.figure_12, line.figure_13,
    line.figure_14,
]  # fmt: skip
RECORD: dict[str, Any] = {
    "combination": "", "member": 0, "seed": 0, "encoding": "power_law", "sigma": np.nan, "bandwidth": np.nan,
    "exponent": np.nan, "alpha": np.nan, "signal": "f0", "source": "draw_0", "set": "report", "item": None,
    "condition": "alpha=1", "split": "test", "metric": "mse", "step": 20, "value": np.nan, "status": "ok",
    "final": True, "chosen": True,
}  # fmt: skip
EXPONENTS = [0.0, 0.5, 1.0, 1.5, 2.0, math.inf]
SIGNALS = ["f0", "f1"]
TRUTH = np.sin(2 * np.pi * np.arange(64) / 64).astype(np.float32)


def dynamics_records() -> pd.DataFrame:
    """Of none, and of all exponents stacked in one combination; three bins."""
    rows = []
    for signal in SIGNALS:
        for member, p in enumerate(EXPONENTS):
            rows.append({"combination": "power_law", "member": member, "exponent": p, "signal": signal, "value": 0.1})
        rows.append({"combination": "none", "encoding": "none", "signal": signal, "value": 0.3})
        items = [{"metric": "residual", "item": f"bin {k}", "split": "train", "value": 1.0} for k in (1, 15, 5)]
        rows += [{"combination": "none", "encoding": "none", "signal": signal, **item} for item in items]
    return pd.DataFrame([RECORD | row for row in rows])


def dynamics_arrays(experiment: str, combination: str) -> dict[str, np.ndarray]:
    prefixes = [f"{member}/" for member in range(len(EXPONENTS))] if combination == "power_law" else [""]
    return {f"{prefix}{signal}": 0.5 * TRUTH for prefix in prefixes for signal in SIGNALS}


def theory_arrays() -> dict[str, np.ndarray]:
    """Curves that fall; observed, predicted and constructed ones by factors of their own."""
    steps = np.array([0, 1, 11, 20])
    arrays: dict[str, np.ndarray] = {}
    for label in ("none/nan", *(f"power_law/{p:g}" for p in EXPONENTS)):
        arrays |= {f"{label}/steps": steps, f"{label}/time": 0.1 * steps}
        for signal, (folder, factor) in product(SIGNALS, (("observed/", 1.0), ("", 2.0), ("published/", 3.0))):
            curve = factor * np.exp(-0.1 * steps)
            arrays |= {f"{label}/{signal}/{folder}{split}": curve for split in ("train", "test")}
            arrays[f"{label}/{signal}/{folder}residual"] = curve[:, None] * np.array([1.0, 10.0, 100.0])
    return arrays


def scales_records() -> pd.DataFrame:
    """Errors least at a root mean square of 4, and dense ones at every exponent."""
    rows = []
    for (a, condition), split, signal in product(
        enumerate(("alpha=0.5", "alpha=1", "alpha=1.5")), ("train", "test"), SIGNALS
    ):
        for family, sigma in product(line.FAMILIES, (1.0, 2.0, 4.0, 8.0, 16.0)):
            level = abs(math.log2(sigma) - 2) - 3 - a
            rows.append(
                {
                    "condition": condition, "split": split, "signal": signal, "encoding": family, "sigma": sigma,
                    "bandwidth": sigma, "combination": family, "member": int(sigma), "value": 10**level,
                }
            )  # fmt: skip
        for p in (0.4, 0.75, 1.5):
            dense = {"condition": condition, "split": split, "signal": signal, "exponent": p, "combination": f"d{p}"}
            rows.append(dense | {"value": 10.0 ** (-3 - a - p)})
    return pd.DataFrame([RECORD | row for row in rows])


def powers_records() -> pd.DataFrame:
    """Power laws least at p = 1, optimised ones of each alpha on all signals."""
    rows = []
    for condition, signal in product(("alpha=1", "alpha=2"), SIGNALS):
        for p in EXPONENTS:
            value = 10.0 ** (min(abs(p - 1), 2) - 4)
            rows.append(
                {"condition": condition, "signal": signal, "exponent": p, "combination": f"p{p}", "value": value}
            )
        for a in (1.0, 2.0):
            own = condition == f"alpha={a:g}"
            rows.append(
                {"condition": condition, "signal": signal, "encoding": "optimised", "alpha": a, "combination": f"o{a}"}
                | {"value": 1e-5 if own else 1.0}
            )
    return pd.DataFrame([RECORD | row for row in rows])


def amplitudes_records() -> pd.DataFrame:
    rows = [
        {"condition": condition, "alpha": alpha, "metric": "predicted_mse", "exponent": p, "value": 1e-4 * (1 + miss)}
        for condition, alpha in (("alpha=1", 1.0), ("alpha=2", 2.0))
        for p, miss in ((p, abs(min(p, 3.0) - 1)) for p in EXPONENTS)
    ]
    rows += [
        {"condition": f"alpha={a:g}", "alpha": a, "metric": "predicted_mse", "encoding": "optimised", "value": 5e-5}
        for a in (1.0, 2.0)
    ]
    return pd.DataFrame([RECORD | row for row in rows])


def bumps_records() -> pd.DataFrame:
    rows = [
        {
            "encoding": name, "seed": seed, "condition": f"{angle:.4f}", "signal": f"place_{i}", "split": "train",
            "combination": f"{name}/{seed}", "value": 1e-4 * (1 + 0.1 * seed) * (1 if name == "basic" else 1 + i),
        }
        for name, seed, (i, angle) in product(("none", "basic"), (0, 1, 2), enumerate((-math.pi, -1.0, 1.0)))
    ]  # fmt: skip
    return pd.DataFrame([RECORD | row for row in rows])


def material(**replaced: pd.DataFrame) -> Material:
    spectra = kernel_spectra(Inputs(STUDIES["kernel_spectra"]["parameters"], {}, {}))
    curve = np.exp(-np.arange(32) / 8)
    amplitudes = {f"spectrum/{name}/alpha={a}": curve for name in ("optimised", "inf") for a in (1, 2)}
    records = {
        "kernel_spectra": pd.DataFrame(spectra.rows), "line_dynamics": dynamics_records(),
        "line_scales": scales_records(), "line_powers": powers_records(), "best_amplitudes": amplitudes_records(),
        "line_bumps": bumps_records(),
    }  # fmt: skip
    return Material(
        preset="laptop",
        facts={"preset": "laptop", "scale": "laptop scale, signals as published", "paper_protocol": False},
        published=PUBLISHED,
        records=records | replaced,
        arrays=dynamics_arrays,
        signals=lambda experiment: {signal: {"values": TRUTH} for signal in SIGNALS},
        reference={},
        theory={"kernel_spectra": spectra.arrays, "line_theory": theory_arrays(), "best_amplitudes": amplitudes},
    )


@pytest.fixture(scope="module")
def made_up() -> Material:
    return material()


@pytest.mark.parametrize("draw", FIGURES)
def test_every_figure_is_drawn_and_says_what_was_published(draw: Any, made_up: Material, tmp_path: Path) -> None:
    figure = draw(made_up)
    assert isinstance(figure, Figure)
    assert not figure.plotted.empty
    assert any("Published readings" in note for note in figure.notes)
    written = write_figure(figure, tmp_path / "figure")
    assert {path.suffix for path in written} == {".pdf", ".png", ".csv"}


def test_figure_2_shows_the_closed_form(made_up: Material) -> None:
    plotted = line.figure_2(made_up).plotted
    middle = plotted[(plotted["panel"] == "kernel") & (plotted["x"] == 0)]
    assert middle["value"].to_numpy() == pytest.approx(np.full(6, 14.0))
    edge = plotted[(plotted["panel"] == "spectrum") & (plotted["x"] == -16) & (plotted["p"] == "p = ∞")]
    assert edge["value"].item() == pytest.approx(0.439, abs=1e-3)


def test_figures_3_and_12_keep_network_prediction_and_construction_apart(made_up: Material) -> None:
    third, twelfth = line.figure_3(made_up), line.figure_12(made_up)
    assert set(third.plotted["p"]) == {"p = 0", "p = 1", "p = ∞", "none"}
    assert set(twelfth.plotted["p"]) == {"p = 0", "p = 0.5", "p = 1", "p = 1.5", "p = 2"}
    assert set(third.plotted["quantity"]) == {"train", "test", "residual bin 1", "residual bin 5", "residual bin 15"}
    start = third.plotted[(third.plotted["quantity"] == "test") & (third.plotted["step"] == 0)]
    assert start.groupby("kind")["value"].first().to_dict() == {
        line.OBSERVED: 1.0, line.PREDICTED: 2.0, line.CONSTRUCTED: 3.0,
    }  # fmt: skip
    # Bins stand in the order of their frequencies, as the study keeps them.
    high = third.plotted[(third.plotted["quantity"] == "residual bin 15") & (third.plotted["step"] == 0)]
    assert high["value"].max() == 300
    assert "is no prediction" in third.notes[0]


def test_figures_4_and_13_have_a_point_per_draw_and_the_mean_of_logarithms(made_up: Material) -> None:
    fourth, thirteenth = line.figure_4(made_up).plotted, line.figure_13(made_up).plotted
    assert set(fourth["split"]) == {"test"}
    assert set(thirteenth["split"]) == {"test", "train"}
    point = fourth[(fourth["encoding"] == "laplace") & (fourth["sigma"] == 16) & (fourth["condition"] == "alpha=1")]
    assert (point["mse"].item(), point["bandwidth"].item(), point["n"].item()) == (pytest.approx(1e-2), 16, 2)


@pytest.mark.parametrize("sigma", [0.3, 1.0, 80.0])
def test_the_deviation_of_each_law_is_that_of_draws(sigma: float) -> None:
    rng = np.random.default_rng(0)
    draws = {
        "gaussian": sigma * rng.normal(size=200_000), "uniform": sigma * rng.random(200_000),
        "uniform_log": sigma ** rng.random(200_000), "laplace": sigma * rng.laplace(size=200_000),
    }  # fmt: skip
    assert set(draws) == set(line.FAMILIES)
    for family, drawn in draws.items():
        assert line.std_of_law(family, sigma) == pytest.approx(drawn.std(), rel=0.02, abs=1e-9)
    assert math.isnan(line.std_of_law("power_law", math.nan))


def test_dense_lines_take_the_exponent_of_their_alpha(made_up: Material) -> None:
    figure = line.figure_4(made_up).figure
    for axes, (alpha, p) in zip(figure.axes, ((0, 0.4), (1, 0.75), (2, 1.5)), strict=True):
        (level,) = [drawn for drawn in axes.get_lines() if drawn.get_linestyle() == "--"]
        assert level.get_ydata()[0] == pytest.approx(10.0 ** (-3 - alpha - p))


def test_figure_5_shows_optimised_amplitudes_on_their_own_alpha_alone(made_up: Material) -> None:
    plotted = line.figure_5(made_up).plotted
    optimised = plotted[(plotted["panel"] == "trained") & (plotted["encoding"] == "optimised")]
    assert optimised["mse"].to_numpy() == pytest.approx([1e-5, 1e-5])
    crosses = [
        drawn
        for axes in line.figure_5(made_up).figure.axes[1:]
        for drawn in axes.get_lines()
        if drawn.get_marker() == "x"
    ]
    assert [float(cross.get_xdata()[0]) for cross in crosses] == [1.0] * 4


def test_figure_14_has_mean_and_spread_over_seeds(made_up: Material) -> None:
    plotted = line.figure_14(made_up).plotted.set_index(["encoding", "centre"])
    first = plotted.loc[("none", -3.1416)]
    assert first["mean"] == pytest.approx(1.1e-4)
    assert first["std"] == pytest.approx(1e-5 * math.sqrt(2 / 3))
    assert first["n"] == 3


def test_diverged_fits_are_left_out_and_counted() -> None:
    records = scales_records()
    lost = (records["encoding"] == "gaussian") & (records["sigma"] == 16.0) & (records["signal"] == "f0")
    records.loc[lost, ["status", "value"]] = ["diverged", np.nan]
    figure = line.figure_4(material(line_scales=records))
    assert "1 fits diverged and are left out." in figure.notes
    kept = figure.plotted[(figure.plotted["encoding"] == "gaussian") & (figure.plotted["sigma"] == 16)]
    assert set(kept["n"]) == {1}


def test_table_2_defines_and_measures_nothing(made_up: Material) -> None:
    table = line.table_2(made_up)
    assert list(table.frame.index) == ["gaussian", "uniform", "uniform log", "laplace", "positional"]
    assert "σ^U[0, 1)" in html_text(table)
    assert "Nothing is measured" in latex_text(table)


def test_readings_are_told_in_words() -> None:
    told = line.readings(PUBLISHED["figure_3"])
    assert "train 1.05e-05 (p = 0), 0.0011 (p = 1), 0.013 (p = ∞), 0.033 (none)" in told
    assert "best exponent 0.75 (α = 1)" in line.readings(PUBLISHED["figure_5"])


def test_every_artefact_of_one_dimension_has_a_caption_and_its_published_group() -> None:
    artefacts = yaml.safe_load((PAPER / "paper.yaml").read_text())["artefacts"]
    ours = {name: found for name, found in artefacts.items() if ".line:" in found["function"]}
    assert {found["function"].split(":")[1] for found in ours.values()} == {*(f.__name__ for f in FIGURES), "table_2"}
    for name, found in ours.items():
        assert (PAPER / "captions" / f"{name}.rst").read_text().endswith("{{ snakemake.params.artefact.shows }}\n")
        assert all(group in PUBLISHED for group in found["published"])
