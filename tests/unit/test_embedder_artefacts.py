"""Artefacts of stable rank and distance preservation, from small studies and made-up records."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from posenc.papers.material import Figure, Material
from posenc.papers.rethinking import embedders
from posenc.reporting.figures import write_figure
from posenc.reporting.tables import html_text, latex_text
from posenc.theory.embedders import embedder_curves, plateaus, trade_off
from posenc.theory.study import DEFAULTS, Inputs

PAPER = Path(__file__).parents[2] / "workflow/papers/rethinking"
CURVES = {
    "embedder_ranks": embedders.figure_embedders, "shifted_scales": embedders.figure_gaussian_scales,
    "random_scales": embedders.figure_rff_scales,
}  # fmt: skip
FIGURES = [*CURVES.values(), embedders.figure_trade_off, embedders.figure_encodings]


def declared(kind: str) -> dict[str, Any]:
    return {name: made for path in sorted(PAPER.glob(f"{kind}*.yaml")) for name, made in read(path).items()}


def read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(path.read_text())
    return found.get("artefacts", found)


STUDIES, PUBLISHED = declared("theory"), declared("published")
SMALL: dict[str, dict[str, Any]] = {
    "embedder_ranks": {"features": 500, "samples": [[1, 50, 7]]},
    "shifted_scales": {"features": 500, "samples": [[1, 96, 19]]},
    "random_scales": {"features": 500, "samples": [[1, 96, 19]]},
    "rank_plateaus": {"features": 512, "samples": 64, "draws": 2},
    "trade_off": {"features": [60, 100], "scales": 4},
}
FUNCTIONS = {"rank_plateaus": plateaus, "trade_off": trade_off}


def experiment(name: str, dimensions: int, encodings: dict[str, list[float]], **common: Any) -> pd.DataFrame:
    """Metrics of encodings at some scales, two seeds of which the second has a tenth more rank."""
    rows = [
        {
            "paper": "p", "experiment": name, "encoding": encoding, "sigma": sigma, "dimensions": dimensions,
            "seed": seed, "features": 64, "combination": f"{encoding}/{sigma}/{seed}", "member": 0, "network": "mlp",
            "metrics_note": None, "distance": 0.3 / sigma,
            "stable_rank": (1 + 0.1 * seed) * (2.9 * sigma) ** dimensions, **common,
        }
        for encoding, sigmas in encodings.items()
        for sigma, seed in product(sigmas, (0, 1))
    ]  # fmt: skip
    return pd.DataFrame(rows)


def experiments() -> list[pd.DataFrame]:
    """Of one, two and three dimensions; points in several numbers, a product of codes, an encoding without a width."""
    line = experiment("row_scales", 1, {"shifted_gaussian": [2.0, 5.0], "none": [math.nan]}, stride=2)
    coarse = line.assign(stride=4, stable_rank=1.0, combination=line["combination"] + "/4")
    without = line["encoding"] == "none"
    line.loc[without, ["distance", "stable_rank"]] = [math.nan, 1.0]
    line.loc[without, "metrics_note"] = "distance: similarity does not fall to 0.1 within the domain"
    pictures = {"gaussian": [3.0, 9.0], "positional": [5.0], "laplace": [4.0]}
    return [
        pd.concat([line, coarse], ignore_index=True),
        experiment("image_natural", 2, pictures),
        experiment("clips_complex", 3, {"triangle": [3.0], "gaussian": [2.0]}, network="kronecker"),
    ]


@pytest.fixture(scope="module")
def material() -> Material:
    found = {
        name: FUNCTIONS.get(name, embedder_curves)(Inputs({**STUDIES[name]["parameters"], **small}, {}, {}))
        for name, small in SMALL.items()
    }
    common = {"paper": "rethinking", "preset": "laptop"}
    studies = {
        name: pd.DataFrame([{**common, "experiment": name, **DEFAULTS, **row} for row in part.rows])
        for name, part in found.items()
    }
    return Material(
        preset="laptop",
        facts={"preset": "laptop", "scale": "laptop scale, signals as published", "paper_protocol": False},
        published=PUBLISHED,
        records=studies,
        arrays=lambda experiment, combination: {},
        signals=lambda experiment: {},
        reference={},
        theory={name: part.arrays for name, part in found.items()},
    )


def naming(
    material: Material, records: dict[str, pd.DataFrame], groups: list[str], metrics: Sequence[pd.DataFrame] = ()
) -> Material:
    """The material as an artefact has it that names these."""
    return Material(
        preset=material.preset,
        facts=material.facts,
        published={group: PUBLISHED[group] for group in groups},
        records=records,
        arrays=material.arrays,
        signals=material.signals,
        reference={},
        theory={name: material.theory(name) for name in SMALL},
        metrics=metrics,
    )


@pytest.fixture(scope="module")
def encodings(material: Material) -> Material:
    return naming(material, {"rank_plateaus": material.records("rank_plateaus")}, [], experiments())


@pytest.mark.parametrize("draw", FIGURES, ids=lambda draw: draw.__name__)
def test_every_figure_is_drawn(draw: Any, material: Material, encodings: Material, tmp_path: Path) -> None:
    figure = draw(encodings if draw is embedders.figure_encodings else material)
    assert isinstance(figure, Figure)
    assert not figure.plotted.empty
    assert {path.suffix for path in write_figure(figure, tmp_path / "figure")} == {".pdf", ".png", ".csv"}


@pytest.mark.parametrize("study", CURVES)
def test_curves_have_both_panels_of_every_embedder_beside_the_formula(study: str, material: Material) -> None:
    figure = CURVES[study](material)
    asked = STUDIES[study]["parameters"]["embedders"]
    assert figure.plotted.groupby("embedder")["panel"].nunique().tolist() == [2] * len(asked)
    ranks = figure.plotted[figure.plotted["panel"] == "rank"]
    np.testing.assert_allclose(ranks.loc[ranks["x"] == 1, ["value", "formula"]], 1)
    assert any("Crosses: published" in note for note in figure.notes)


def test_readings_stand_at_their_embedder_and_n(material: Material) -> None:
    def crosses(figure: Figure) -> set[tuple[float, float]]:
        lines = [line for line in figure.figure.axes[0].get_lines() if line.get_marker() == "x"]
        return {(float(np.asarray(line.get_xdata())[0]), float(np.asarray(line.get_ydata())[0])) for line in lines}

    assert crosses(embedders.figure_rff_scales(material)) == {(501, 3), (501, 25), (501, 49), (501, 95), (501, 163)}
    assert crosses(embedders.figure_gaussian_scales(material)) == {(501, 282)}
    # The reading of a sine with an offset belongs to another embedder.
    assert (50, 2.02) not in crosses(embedders.figure_embedders(material))


def test_the_table_sets_formula_computed_and_published_apart(material: Material) -> None:
    groups = ["figure_embedders", "figure_gaussian_scales", "figure_rff_scales"]
    table = embedders.table_ranks(naming(material, {"rank_plateaus": material.records("rank_plateaus")}, groups))
    frame = table.frame
    here = "computed, N = 64"
    assert len(frame) == len(STUDIES["rank_plateaus"]["parameters"]["embedders"])
    assert {"sinc, σ 0.05 (ours)", "sine squared, σ 1 (ours)", "sine, σ 1, offset 0.7"} <= set(frame.index)
    sine, offset = frame.loc["sine, σ 1"], frame.loc["sine, σ 1, offset 0.7"]
    assert (sine["published", "reading"], offset["published", "reading"]) == (2, 2.02)
    random = frame.loc["random Fourier, σ 5"]
    assert random["theory", "stable rank"] == pytest.approx(12.533, abs=1e-3)
    assert random["published", "reading"] == 12.4
    assert random[here, "draws, std"] > 0
    assert np.isnan(frame.loc["triangle, σ 0.1"][here, "draws, mean"])
    assert np.isnan(frame.loc["shifted Gaussian, σ 0.05"]["published", "reading"])
    assert frame.loc["impulse"][here, "circle"] == pytest.approx(64)
    assert np.isnan(frame.loc["sine squared, σ 1 (ours)"]["theory", "half-width"])
    assert "random Fourier, σ 70" in html_text(table)
    assert "offset 0.7" in latex_text(table)


def test_the_trade_off_has_a_point_per_scale_and_the_curve(material: Material) -> None:
    figure = embedders.figure_trade_off(material)
    assert len(figure.plotted) == 2 * 2 * 4
    assert {"stable_rank", "half_width"} <= set(figure.plotted)
    (curve,) = [line for line in figure.figure.axes[0].get_lines() if line.get_marker() == "None"]
    assert np.asarray(curve.get_xdata()) * np.asarray(curve.get_ydata()) == pytest.approx(0.856, abs=1e-3)


@pytest.mark.parametrize("dimensions", [1, 2, 3])
def test_the_curve_is_that_of_a_product_of_gaussians(dimensions: int) -> None:
    sigma = 0.01
    half_width = 2 * sigma * math.sqrt(math.log(10) / dimensions)  # of exp(-d delta^2 / (4 sigma^2))
    expected = (1 / (2 * math.sqrt(math.pi) * sigma)) ** dimensions
    assert embedders.gaussian_curve(np.array([half_width]), dimensions) == pytest.approx([expected])


def test_all_encodings_are_placed_once_or_said_to_be_lost(encodings: Material) -> None:
    figure = embedders.figure_encodings(encodings)
    rows = figure.plotted.set_index(["experiment", "encoding", "sigma"])
    # A mean over seeds, of the experiment's most points.
    assert rows.loc[("row_scales", "shifted_gaussian", 2.0), "stable_rank"] == pytest.approx(1.05 * 5.8)
    assert rows.drop("rank_plateaus").index.is_unique
    assert rows.loc[("clips_complex", "triangle", 3.0), "code"] == embedders.PRODUCT
    # Of the table of ranks, what no experiment has.
    from_table = figure.plotted[figure.plotted["experiment"] == "rank_plateaus"]
    assert "square_wave" in set(from_table["encoding"])
    assert not {"gaussian", "shifted_gaussian", "triangle"} & set(from_table["encoding"])
    assert "none (distance: similarity does not fall" in figure.notes[-1]
    titles = [axes.get_title() for axes in figure.figure.axes]
    assert titles == ["one dimension", "two dimensions", "three dimensions"]


def test_encodings_differ_in_colour_or_marker() -> None:
    names = [*(f"e{i}" for i in range(20)), "gaussian", "none"]
    looks = embedders.encoding_looks(names)
    assert len({tuple(look.values()) for look in looks.values()}) == len(names)
    assert list(looks)[:2] == ["none", "gaussian"]


def test_every_artefact_has_its_caption_studies_and_published_groups() -> None:
    ours = {name: found for name, found in declared("paper").items() if ".embedders:" in str(found)}
    assert {found["function"].split(":")[1] for found in ours.values()} == {
        *(draw.__name__ for draw in FIGURES), "table_ranks",
    }  # fmt: skip
    known = {*STUDIES, *read(PAPER / "experiments.yaml"), *read(PAPER.parent / "fourier_features/experiments.yaml")}
    for name, found in ours.items():
        assert (PAPER / "captions" / f"{name}.rst").read_text().endswith("{{ snakemake.params.artefact.shows }}\n")
        assert set(found.get("published", [])) <= set(PUBLISHED)
        assert set(found["experiments"]) <= known
