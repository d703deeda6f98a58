"""Studies of stable rank and distance preservation: against singular values, the ledger's numbers and the claims."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import yaml

from posenc.claims import shares, statistics
from posenc.claims.evidence import NoRecordsError
from posenc.claims.judge import judge_claims
from posenc.theory import embedders
from posenc.theory.distance import similarity
from posenc.theory.study import DEFAULTS, Found, Inputs

PAPER = Path(__file__).parents[2] / "workflow/papers/rethinking"


def declared(kind: str) -> Any:
    """What theory.yaml or claims.yaml, and the files beside it, declare of these studies."""
    found = [yaml.safe_load(path.read_text()) for path in sorted(PAPER.glob(f"{kind}*.yaml"))]
    return (
        [claim for part in found for claim in part] if kind == "claims" else {k: v for f in found for k, v in f.items()}
    )


STUDIES = declared("theory")
# As published but for the numbers of draws, which only the width of intervals depends on.
FEWER: dict[str, dict[str, Any]] = {
    "rank_plateaus": {"draws": 2},
    "random_feature_counts": {"draws": 4},
    "trade_off": {"features": [1000, 5000], "scales": 3},
}


def study(name: str, **parameters: Any) -> Found:
    function = getattr(embedders, STUDIES[name]["function"].split(":")[1])
    found: Found = function(Inputs({**STUDIES[name]["parameters"], **parameters}, {}, {}))
    return found


@pytest.fixture(scope="module")
def found() -> dict[str, Found]:
    names = ["embedder_ranks", "shifted_scales", "rank_plateaus", "random_feature_counts", "trade_off"]
    return {name: study(name, **FEWER.get(name, {})) for name in names}


def frame(found: Found) -> pd.DataFrame:
    return pd.DataFrame([{**DEFAULTS, **row} for row in found.rows])


def four_digits(value: float) -> float:
    return float(f"{value:.4g}")


def test_plateaus_are_those_known_to_four_digits(found: dict[str, Found]) -> None:
    rows = frame(found["rank_plateaus"])
    ranks = rows[rows["metric"] == "stable_rank"].fillna({"sigma": 0.0, "offset": 0.0})
    binary = ranks[(ranks["binary"] == 1) & (ranks["condition"] == "circle")]
    assert four_digits(binary["value"].item()) == 2
    ranks = ranks[ranks["binary"].isna()]
    by = ranks[ranks["condition"] != "draws"].set_index(["condition", "encoding", "sigma", "offset"])["value"]
    gaussian = {0.1: 2.881, 0.05: 5.605, 0.01: 28.08, 0.005: 56.27, 0.001: 281.8}
    random = {1: 2.739, 5: 12.59, 10: 25.10, 20: 50.15, 40: 100.3, 70: 175.5}
    around = {1: 2.511, 5: 12.53, 10: 25.07, 20: 50.13, 40: 100.3, 70: 175.5}
    assert {sigma: four_digits(by["line", "shifted_gaussian", sigma, 0.0]) for sigma in gaussian} == gaussian
    assert {sigma: four_digits(by["line", "gaussian", sigma, 0.0]) for sigma in random} == random
    assert {sigma: four_digits(by["circle", "gaussian", sigma, 0.0]) for sigma in around} == around
    others = {
        ("impulse", 0.0, 0.0): 512, ("sine", 1.0, 0.0): 2, ("sine", 1.0, 0.7): 2.020, ("square_wave", 1.0, 0.0): 2.467,
        ("triangle", 0.1, 0.0): 6.667, ("triangle", 0.2, 0.0): 3.333, ("shifted_gaussian", 0.1, 0.0): 2.821,
        ("shifted_gaussian", 0.001, 0.0): 282.1,
    }  # fmt: skip
    assert {key: four_digits(by["circle", *key]) for key in others} == others


@pytest.mark.parametrize(
    "described",
    [
        {"encoding": "triangle", "sigma": 0.1},
        {"encoding": "sine", "sigma": 3, "offset": 0.3},
        {"encoding": "impulse"},
        {"encoding": "gaussian", "sigma": 5},
    ],
    ids=lambda described: described["encoding"],
)
def test_ranks_are_those_of_singular_values(described: dict[str, Any]) -> None:
    encoding = embedders.built(described, 400)
    points = torch.arange(40, dtype=torch.float64)[:, None] / 40  # centres are at i / 400: these are some of them
    values = torch.linalg.svdvals(encoding(points))
    expected = float(values.square().sum() / values[0] ** 2)
    assert embedders.rank(encoding, 40) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    "described",
    [
        {"encoding": "shifted_gaussian", "sigma": 0.05},
        {"encoding": "triangle", "sigma": 0.1},
        {"encoding": "sine", "sigma": 2, "offset": 0.7},
        {"encoding": "gaussian", "sigma": 5},
    ],
    ids=lambda described: described["encoding"],
)
def test_similarity_by_transforms_is_that_of_the_features(described: dict[str, Any]) -> None:
    encoding = embedders.built(described, 1000)
    displacements, similar = embedders.falling(encoding)
    some = slice(20, -20, 37)
    # Float64 rounding; where phi has a kink, a displacement's own.
    torch.testing.assert_close(similar[some], similarity(encoding, displacements[some]), rtol=0, atol=1e-9)


def test_half_widths_are_those_of_the_closed_forms() -> None:
    wide = embedders.width(embedders.built({"encoding": "shifted_gaussian", "sigma": 0.01}, 2000))
    assert wide == pytest.approx(2 * 0.01 * math.sqrt(math.log(10)), rel=1e-3)
    random = embedders.closed_width(embedders.built({"encoding": "gaussian", "sigma": 5}, 2))
    assert random == pytest.approx(math.sqrt(math.log(10) / 2) / (math.pi * 5), rel=1e-3)
    assert embedders.width(embedders.built({"encoding": "sine_squared", "sigma": 1}, 2000)) is None


def test_arrays_are_what_figures_draw(found: dict[str, Found]) -> None:
    arrays = found["embedder_ranks"].arrays
    np.testing.assert_array_equal(arrays["samples"], np.arange(1, 51))
    np.testing.assert_allclose(arrays["impulse/rank"], arrays["samples"])
    for key in ("shifted_gaussian/0.01", "gaussian/5", "square_wave/1"):
        assert arrays[f"{key}/rank"][0] == pytest.approx(1)
        places, similar = arrays[f"{key}/displacements"], arrays[f"{key}/similarity"]
        assert (places[0], places[-1], len(similar)) == (-0.5, 0.5, len(places))
        assert similar[np.abs(places) < 1e-9] == pytest.approx([1.0])
    scales = STUDIES["random_scales"]["parameters"]["samples"]
    assert embedders.ranges(scales) == [*range(1, 197, 5), *range(201, 502, 50)]


def test_draws_differ_and_come_again(found: dict[str, Found]) -> None:
    again = frame(study("random_feature_counts", draws=2, features=[100]))
    before = frame(found["random_feature_counts"])
    kept = before[(before["features"] == 100) & (before["seed"] < 2)]
    assert again["value"].tolist() == kept["value"].tolist()
    assert again["value"].is_unique


def test_an_unknown_embedder_is_named() -> None:
    with pytest.raises(ValueError, match="no encoding 'polynomial' among gaussian"):
        embedders.built({"encoding": "polynomial"}, 10)


# Claims


def test_share_above_is_a_median_s_side() -> None:
    rows = pd.DataFrame(
        [
            {**DEFAULTS, "source": f"draw_{value}", "metric": "m", "value": value, "status": status}
            for value, status in ((0.8, "ok"), (0.9, "ok"), (1.1, "ok"), (math.nan, "diverged"))
        ]
    )
    evidence = shares.share_above({"x": rows}, experiment="x", where={"metric": "m"}, limit=0.85)
    assert evidence.samples[0].tolist() == [0, 1, 1]
    assert (evidence.pairs, evidence.diverged) == (3, 1)
    with pytest.raises(NoRecordsError, match="no records of x with metric=other"):
        shares.share_above({"x": rows}, experiment="x", where={"metric": "other"}, limit=0)


def test_claims_find_their_numbers_and_exact_ones_hold(
    found: dict[str, Found], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(statistics.STATISTICS, "share_above", shares.share_above)
    claims = [claim for claim in declared("claims") if claim["number"] in range(1, 6)]
    assert [claim["number"] for claim in claims] == [1, 2, 3, 4, 5]
    verdicts = judge_claims(claims, {name: frame(part) for name, part in found.items()}, {}, "laptop")
    comparisons = [comparison for claim in verdicts["claims"] for comparison in claim["comparisons"]]
    assert all(comparison["sources"] > 0 for comparison in comparisons)
    exact = {found["name"]: found["verdict"] for found in comparisons if found["reason"] == "exact"}
    assert len(exact) == 25
    assert set(exact.values()) == {"holds"}
    # Judged by chance: as many sources as draws.
    assert {found["sources"] for found in comparisons if found["reason"] != "exact"} == {4, 6}
