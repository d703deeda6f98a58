"""Table 4, Figure 16 and the claims on shapes, from records made up for them."""

import itertools
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from posenc.claims.judge import judge_claims
from posenc.claims.statistics import NoRecordsError, evidence_for
from posenc.papers.fourier_features import shapes
from posenc.papers.material import Material
from posenc.theory.sizes import network_sizes
from posenc.theory.study import Inputs

PAPER = Path(__file__).parents[2] / "workflow" / "papers" / "fourier_features"
PUBLISHED = yaml.safe_load((PAPER / "published.yaml").read_text())
SPLITS = ("uniform", "boundary")
# By encoding the IoU of uniform and of boundary points; a mesh adds its own.
IOU = {"none": (0.9, 0.6), "basic": (0.92, 0.65), "positional": (0.95, 0.8), "gaussian": (0.96, 0.85)}
MESHES = {"vase": 0.0, "knot": 0.01, "screw": -0.02}
SIDE = 6


def records(seeds: tuple[int, ...] = (0,), diverged: tuple[str, str] | None = None) -> pd.DataFrame:
    """Final scores, each encoding with a sigma that was chosen and, for gaussian, one that was not."""
    rows = []
    fits = [(name, 4.0 if name == "gaussian" else math.nan, True) for name in IOU] + [("gaussian", 8.0, False)]
    for (encoding, sigma, chosen), (mesh, own), seed in itertools.product(fits, MESHES.items(), seeds):
        for split, level in zip(SPLITS, IOU[encoding], strict=True):
            rows.append(
                {
                    "experiment": "shapes", "preset": "laptop", "combination": f"{encoding}+{sigma:g}/seed={seed}",
                    "member": 0, "seed": seed, "encoding": encoding, "sigma": sigma, "features": math.nan,
                    "variant": None, "network": "mlp", "depth": 4, "width": 128, "learning_rate": 1e-3, "steps": 9,
                    "signal": mesh, "source": mesh, "set": "report", "item": math.nan, "replicate": math.nan,
                    "condition": None, "split": split, "metric": "iou", "step": 9, "final": True, "chosen": chosen,
                    "value": level + own * (1 if split == "boundary" else 0.25) + 0.001 * seed + (not chosen) * 0.1,
                    "status": "diverged" if (encoding, mesh) == diverged else "ok", "device": "cpu",
                }
            )  # fmt: skip
    return pd.DataFrame(rows)


def material(found: pd.DataFrame, reference: pd.DataFrame | None = None) -> Material:
    facts = {"preset": "laptop", "scale": "laptop scale", "paper_protocol": False}
    up = np.zeros((SIDE, SIDE, 3), dtype=np.float16)
    up[:3, :, 1] = 1  # the upper half faces up, the lower half is background
    maps = {
        f"{combination}/{signal}": -up
        for combination, signal in found[["combination", "signal"]].drop_duplicates().itertuples(index=False)
    }
    return Material(
        "laptop",
        facts,
        {"table_4": PUBLISHED["table_4"]},
        {"shapes": found},
        lambda *_: {},
        lambda _: {mesh: {"normals": up} for mesh in MESHES},
        {} if reference is None else {"shapes": reference},
        measures={"shape_normals": maps},
    )


def test_table_4_is_what_a_hand_computes() -> None:
    made = shapes.table_4(material(records(seeds=(0, 1))))
    run = "this run (laptop scale)"
    offsets = np.array(list(MESHES.values()))
    column = made.frame["boundary points", run, "mean"]
    for encoding, (_, level) in IOU.items():
        assert column[encoding] == pytest.approx(level + offsets.mean() + 0.0005)
    assert made.frame["boundary points", run, "std"]["basic"] == pytest.approx(offsets.std())
    assert made.frame["uniform points", run, "std"]["basic"] == pytest.approx(offsets.std() / 4)
    assert made.frame["boundary points", run, "sigma"]["gaussian"] == 4
    assert (made.frame["boundary points", run, "n"] == 3).all()
    assert list(made.frame.index) == list(IOU)


def test_published_numbers_and_a_reference_run_have_columns_of_their_own() -> None:
    reference = records().assign(preset="paper", device="cuda")
    made = shapes.table_4(material(records(), reference))
    assert made.frame["boundary points", "published", "mean"]["gaussian"] == 0.973
    assert made.frame["uniform points", "published", "std"]["none"] == 0.006
    titles = {column[1] for column in made.frame}
    assert titles == {"published", "this run (laptop scale)", "reference run (preset paper, cuda)"}
    assert set(made.formats) == set(made.frame)
    assert any("positional 6, gaussian 12" in note for note in made.notes)


def test_diverged_fits_are_left_out_of_the_table_and_told() -> None:
    made = shapes.table_4(material(records(diverged=("basic", "knot"))))
    assert made.frame["boundary points", "this run (laptop scale)", "n"]["basic"] == 2
    assert made.frame["boundary points", "this run (laptop scale)", "mean"]["basic"] == pytest.approx(0.65 - 0.01)
    assert any("basic (1 of 3 fits)" in note for note in made.notes)


def test_an_encoding_that_was_not_fitted_is_told() -> None:
    found = records()
    made = shapes.table_4(material(found[found["encoding"] != "positional"]))
    assert math.isnan(made.frame["boundary points", "this run (laptop scale)", "mean"]["positional"])
    assert any("not fitted at preset laptop: positional" in note for note in made.notes)


def test_figure_16_has_a_row_per_mesh_and_prints_the_boundary_score() -> None:
    made = shapes.figure_16(material(records(seeds=(0, 1))))
    assert len(made.figure.axes) == 3 * 5
    assert [axes.get_title() for axes in made.figure.axes[:5]] == ["truth", *IOU]
    plotted = made.plotted.set_index(["signal", "encoding"])
    assert len(plotted) == 12 and (plotted["seed"] == 0).all()
    assert plotted.loc[("screw", "gaussian"), "iou"] == pytest.approx(0.83)
    assert plotted.loc[("screw", "gaussian"), "sigma"] == 4
    printed = [text.get_text() for axes in made.figure.axes for text in axes.texts]
    assert "0.830" in printed and len(printed) == 12


def test_figure_16_colours_normals_and_leaves_the_background_white() -> None:
    made = shapes.figure_16(material(records()))
    truth, fit = (np.asarray(made.figure.axes[place].images[0].get_array()) for place in (0, 1))
    assert (truth[0, 0] == [0.5, 1, 0.5]).all() and (fit[0, 0] == [0.5, 0, 0.5]).all()
    assert (truth[-1] == 1).all() and (fit[-1] == 1).all()


def test_a_diverged_fit_has_a_tile_that_says_so() -> None:
    found = records(diverged=("basic", "knot"))
    asked = material(found)
    del asked.measures("shape_normals")["basic+nan/seed=0/knot"]  # of a diverged fit none is made
    made = shapes.figure_16(asked)
    printed = [text.get_text() for axes in made.figure.axes for text in axes.texts]
    assert printed.count("diverged") == 1 and "basic (1 of 3 fits)" in made.notes[0]


# Claims

GAINS: dict[str, Any] = {
    "experiment": "shapes",
    "where": {"metric": "iou"},
    "first": {"encoding": "gaussian"},
    "second": {"encoding": "none"},
    "larger": {"split": "boundary"},
    "smaller": {"split": "uniform"},
}


def with_gains(boundary: dict[str, float], uniform: dict[str, float]) -> pd.DataFrame:
    """Records where gaussian, at its chosen sigma, lies above none by so much, mesh by mesh."""
    found = records()
    values = found.set_index(["encoding", "chosen", "signal", "split"])["value"]
    for split, gains in (("boundary", boundary), ("uniform", uniform)):
        for mesh, gain in gains.items():
            fit = found["chosen"] & (found["encoding"] == "gaussian") & (found["signal"] == mesh)
            found.loc[fit & (found["split"] == split), "value"] = values["none", True, mesh, split] + gain
    return found


@pytest.mark.parametrize(("times", "expected"), [({}, [0.2, 0.25, 0.1]), ({"times": 2}, [0.1, 0.2, -0.1])])
def test_gains_are_compared_mesh_by_mesh(times: dict[str, float], expected: list[float]) -> None:
    gains = {"vase": 0.3, "knot": 0.3, "screw": 0.3}, {"vase": 0.1, "knot": 0.05, "screw": 0.2}
    evidence = evidence_for("paired_difference_of_gains", {"shapes": with_gains(*gains)}, GAINS | times)
    in_order = [expected[list(MESHES).index(name)] for name in sorted(MESHES)]
    np.testing.assert_allclose(evidence.samples[0], in_order, atol=1e-12)
    assert evidence.pairs == 3


def test_gains_without_records_are_told() -> None:
    found = records()
    with pytest.raises(NoRecordsError, match="boundary"):
        evidence_for("paired_difference_of_gains", {"shapes": found[found["split"] == "uniform"]}, GAINS)


def claim(number: int) -> list[dict[str, Any]]:
    every = yaml.safe_load((PAPER / "claims.yaml").read_text())
    return [found for found in every if found["number"] == number]


@pytest.mark.parametrize(
    ("boundary", "uniform", "verdicts"),
    [
        ((0.30, 0.31, 0.29), (0.100, 0.102, 0.103), ["holds", "holds"]),
        ((0.30, 0.31, 0.29), (0.200, 0.202, 0.203), ["holds", "fails"]),
        ((0.10, 0.11, 0.09), (0.300, 0.302, 0.303), ["fails", "fails"]),
    ],
)
def test_claim_17_follows_the_gains(
    boundary: tuple[float, ...], uniform: tuple[float, ...], verdicts: list[str]
) -> None:
    found = with_gains(*(dict(zip(MESHES, gains, strict=True)) for gains in (boundary, uniform)))
    (judged,) = judge_claims(claim(17), {"shapes": found}, PUBLISHED, "laptop")["claims"]
    assert [comparison["verdict"] for comparison in judged["comparisons"]] == verdicts
    published = [comparison["published"]["value"] for comparison in judged["comparisons"]]
    assert published == pytest.approx([0.109 - 0.029, 0.109 - 2 * 0.029])


def sizes() -> pd.DataFrame:
    theory = yaml.safe_load((PAPER / "theory.yaml").read_text())
    found = network_sizes(Inputs(theory["network_sizes"]["parameters"], {}, {}))
    return pd.DataFrame([{"set": "report", "final": True, "status": "ok", **row} for row in found.rows])


def test_the_paper_s_networks_have_so_many_parameters() -> None:
    counts = sizes().set_index(["metric", "condition"])["value"]
    assert counts["parameters", "shape"] == 526_337 and counts["parameters", "image"] == 263_683
    assert counts["megabytes", "shape"] == pytest.approx(2.105348)


def test_claim_19_is_exact() -> None:
    (judged,) = judge_claims(claim(19), {"network_sizes": sizes()}, PUBLISHED, "laptop")["claims"]
    assert judged["verdict"] == "holds"
    assert {comparison["estimate"] for comparison in judged["comparisons"]} == {2.105348}
    larger = sizes().assign(value=lambda found: 2 * found["value"])
    (judged,) = judge_claims(claim(19), {"network_sizes": larger}, PUBLISHED, "laptop")["claims"]
    assert judged["verdict"] == "fails"
