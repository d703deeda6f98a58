"""Verdicts on synthetic records whose truth is known."""

from __future__ import annotations

import json
import re
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from posenc.claims.inference import holm_adjusted, holm_outcomes, p_student, p_wilcoxon, source_interval
from posenc.claims.judge import claim_verdict, judge_claims
from posenc.claims.model import ClaimError, read_claims
from posenc.claims.statistics import octaves_needed

PAPER = Path(__file__).parents[2] / "workflow" / "papers" / "fourier_features"
ENCODINGS = ["none", "basic", "positional", "gaussian"]
PUBLISHED = {
    "table_3": {
        "source": "Table 3",
        "natural": {"none": {"mean": 20.0, "std": 1.0}, "basic": {"mean": 22.5}, "gaussian": {"mean": None}},
    }
}


def image_records(
    experiment: str,
    psnr: dict[str, float],
    sources: int = 6,
    crops: int = 1,
    seeds: int = 1,
    spread: float = 0.3,
    stream: int = 0,
) -> pd.DataFrame:
    """Records of report pictures: a source shifts all encodings alike, and each a little by itself.

    The second kind of shift averages to zero over sources, so mean differences are exactly those of `psnr`.
    """
    rng = np.random.default_rng(stream)
    shared, own = rng.normal(0, 4, sources), rng.normal(0, spread, (len(psnr), sources))
    own -= own.mean(axis=1, keepdims=True)
    rows = [
        {
            "encoding": encoding,
            "seed": seed,
            "source": f"{experiment}_{s}",
            "signal": f"{experiment}_{s}_crop{crop}",
        }
        | {"value": mean + shared[s] + own[e, s]}
        for (e, (encoding, mean)), s, crop, seed in product(
            enumerate(psnr.items()), range(sources), range(crops), range(seeds)
        )
    ]
    return _as_records(experiment, rows, split="test")


def features_records(curve: Any, sources: int = 6, depths: tuple[int, ...] = (2, 4, 8)) -> pd.DataFrame:
    """Records of image_features with PSNR curve(depth, features) + a shift per source + a little noise."""
    rng = np.random.default_rng(1)
    rows = [
        {"encoding": "gaussian", "seed": 0, "source": f"picture_{s}", "signal": f"picture_{s}"}
        | {"depth": depth, "features": m, "value": curve(depth, m) + s + rng.normal(0, 0.05)}
        for s, depth, m in product(range(sources), depths, (8, 32, 128))
    ]
    return _as_records("image_features", rows, split="all")


def _as_records(experiment: str, rows: list[dict[str, Any]], split: str) -> pd.DataFrame:
    common = {"experiment": experiment, "combination": "c", "set": "report", "item": "", "replicate": np.nan}
    common |= {
        "member": 0,
        "split": split,
        "metric": "psnr",
        "status": "ok",
        "final": True,
        "chosen": True,
        "sigma": np.nan,
    }
    return pd.DataFrame([{"depth": 4, "features": 256} | common | row for row in rows])


def pair_claim(**changes: Any) -> dict[str, Any]:
    """A claim with one comparison: basic above none on image_natural."""
    comparison = {
        "name": "basic above none",
        "statistic": "paired_difference",
        "arguments": {
            "experiment": "image_natural",
            "where": {"metric": "psnr", "split": "test"},
            "first": {"encoding": "basic"},
            "second": {"encoding": "none"},
        },
        "threshold": 0,
        "direction": "above",
        "unit": "dB",
    }
    claim = {"id": "some_paper_claim_1", "number": 1, "title": "t", "statement": "s"}
    claim |= {"experiments": ["image_natural"], "presets": ["laptop", "paper"]}
    return claim | {"comparisons": [comparison | changes]}


def judged(claim: dict[str, Any], frame: pd.DataFrame | None, preset: str = "laptop") -> dict[str, Any]:
    """The one comparison of the one claim."""
    records = {} if frame is None else {str(frame["experiment"].iloc[0]): frame}
    only: dict[str, Any]
    comparison: dict[str, Any]
    (only,) = judge_claims([claim], records, PUBLISHED, preset)["claims"]
    (comparison,) = only["comparisons"]
    assert only["verdict"] == comparison["verdict"]
    return comparison


def paper_claims() -> list[dict[str, Any]]:
    return list(yaml.safe_load((PAPER / "claims.yaml").read_text()))


def paper_numbers() -> dict[str, Any]:
    return dict(yaml.safe_load((PAPER / "published.yaml").read_text()))


# Verdicts


@pytest.mark.parametrize(("gain", "verdict"), [(2.0, "holds"), (-2.0, "fails"), (0.0, "inconclusive")])
def test_a_known_effect_gets_its_verdict(gain: float, verdict: str) -> None:
    found = judged(pair_claim(), image_records("image_natural", {"none": 20, "basic": 20 + gain}, sources=8))
    assert found["verdict"] == verdict
    assert found["interval"][0] < found["estimate"] < found["interval"][1]
    assert found["estimate"] == pytest.approx(gain)
    assert (found["sources"], found["pairs"], found["diverged"]) == (8, 8, 0)


def test_a_threshold_moves_the_verdict() -> None:
    frame = image_records("image_natural", {"none": 20, "basic": 22})
    assert judged(pair_claim(threshold=1), frame)["verdict"] == "holds"
    assert judged(pair_claim(threshold=3), frame)["verdict"] == "fails"


def test_a_claims_verdict_follows_from_its_comparisons() -> None:
    assert claim_verdict(["holds", "holds"]) == "holds"
    assert claim_verdict(["holds", "fails", "not judged"]) == "fails"
    assert claim_verdict(["holds", "not judged"]) == "inconclusive"
    assert claim_verdict(["not judged", "not judged"]) == "not judged"


# What counts as independent


def test_crops_and_seeds_of_a_source_do_not_narrow_the_interval() -> None:
    means = {"none": 20.0, "basic": 20.2}
    once = judged(pair_claim(), image_records("image_natural", means))
    often = judged(pair_claim(), image_records("image_natural", means, crops=3, seeds=4))
    assert often["pairs"] == 12 * once["pairs"]
    assert often["interval"] == pytest.approx(once["interval"])
    assert often["p_value"] == pytest.approx(once["p_value"])


def test_the_order_of_records_does_not_matter() -> None:
    frame = image_records("image_natural", {"none": 20, "basic": 20.2}, seeds=2)
    assert judged(pair_claim(), frame) == judged(pair_claim(), frame.sample(frac=1, random_state=0))


def test_only_final_chosen_report_rows_are_seen() -> None:
    frame = image_records("image_natural", {"none": 20, "basic": 22})
    others = [
        frame.assign(**{column: value}, value=0.0)
        for column, value in (
            ("final", False),
            ("chosen", False),
            ("set", "tuning"),
            ("split", "train"),
            ("metric", "loss"),
        )
    ]
    assert judged(pair_claim(), frame) == judged(pair_claim(), pd.concat([frame, *others]))


# Intervals and p-values


@pytest.mark.parametrize("sources", [3, 5, 8])
@pytest.mark.parametrize("confidence", [0.95, 1 - 0.05 / 6])
def test_the_interval_of_few_normal_sources_covers_as_often_as_it_says(sources: int, confidence: float) -> None:
    draws = np.random.default_rng(3).normal(size=(1000, sources))
    intervals = np.array([source_interval((draw,), confidence) for draw in draws])
    covered = ((intervals[:, 0] < 0) & (intervals[:, 1] > 0)).mean()
    assert abs(covered - confidence) < 0.02


def test_the_interval_of_two_unequal_samples_covers_as_often_as_it_says() -> None:
    rng = np.random.default_rng(4)
    intervals = [source_interval((rng.normal(1, 1, 5), rng.normal(1, 2, 8)), 0.95) for _ in range(1000)]
    assert abs(np.mean([low < 0 < high for low, high in intervals]) - 0.95) < 0.02


def test_a_family_without_effects_is_rarely_decided_anywhere() -> None:
    families = np.random.default_rng(5).normal(size=(300, 6, 5))
    wrong = [
        any(o.verdict != "inconclusive" for o in holm_outcomes([(x,) for x in family], [0.0] * 6, size=6))
        for family in families
    ]
    assert np.mean(wrong) < 0.09  # 0.05 and three standard errors


def test_holm_matches_a_hand_example() -> None:
    assert holm_adjusted([0.01, 0.04, 0.03, 0.005], 4) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm_adjusted([0.02], 4) == pytest.approx([0.08])


def test_confidence_steps_down_only_after_a_decision() -> None:
    rng = np.random.default_rng(6)
    null, strong, stronger = (rng.normal(mean, 1, 8) for mean in (0, 5, 20))
    outcomes = holm_outcomes([(null,), (strong,), (stronger,)], [0.0] * 3, size=4)
    assert [o.verdict for o in outcomes] == ["inconclusive", "holds", "holds"]
    assert [o.confidence for o in outcomes] == pytest.approx([1 - 0.05 / 2, 1 - 0.05 / 3, 1 - 0.05 / 4])
    undecided = holm_outcomes([(null,), (null + 0.01,)], [0.0] * 2, size=2)
    assert [o.confidence for o in undecided] == pytest.approx([0.975, 0.975])


def test_p_values_match_known_ones() -> None:
    values = np.array([1.0, 2.0, 3.0, 4.0, 5.0])
    assert p_student((values,), 0) == pytest.approx(0.0132, abs=1e-4)  # t = 4.243, 4 degrees of freedom
    assert p_wilcoxon((values,), 0) == pytest.approx(2 / 2**5)
    assert p_wilcoxon((values + 10, values - 10), 0) == pytest.approx(2 / 252)  # 2 / (10 choose 5)


# Divergence and missing records


def test_a_diverged_fit_leaves_its_pair_out_and_is_counted() -> None:
    frame = image_records("image_natural", {"none": 20, "basic": 22})
    frame.loc[0, "value"], frame.loc[0, "status"] = np.nan, "diverged"
    frame.loc[1, "value"] = np.nan
    found = judged(pair_claim(), frame)
    assert (found["sources"], found["pairs"], found["diverged"]) == (4, 4, 2)
    assert "2 of 6 pairs left out, diverged" in found["reason"]
    assert found["verdict"] == "holds"


def test_a_fit_without_partner_is_left_out_but_not_called_diverged() -> None:
    found = judged(pair_claim(), image_records("image_natural", {"none": 20, "basic": 22}).drop(index=0))
    assert (found["pairs"], found["diverged"]) == (5, 0)
    assert "1 of 6 pairs left out, a side has no record" in found["reason"]


def test_what_cannot_be_judged_says_why() -> None:
    frame = image_records("image_natural", {"none": 20, "basic": 22})
    cases = [
        (frame, "smoke", "not judged at smoke, only at laptop, paper"),
        (None, "laptop", "no records of image_natural"),
        (frame[frame["encoding"] == "none"], "laptop", "no records of image_natural with .*encoding=basic"),
        (frame.assign(status="diverged"), "laptop", "all 6 pairs diverged"),
        (frame[frame["source"] < "image_natural_2"], "laptop", "2 independent sources, at least 3"),
        (frame.assign(value=20.0), "laptop", "same value"),
    ]
    for records, preset, reason in cases:
        found = judged(pair_claim(), records, preset)
        assert found["verdict"] == "not judged"
        assert found["estimate"] is None and found["interval"] == [None, None]
        assert re.search(reason, found["reason"])


def test_a_comparison_that_cannot_be_judged_does_not_ease_the_others() -> None:
    claim = pair_claim()
    absent = {
        "arguments": claim["comparisons"][0]["arguments"] | {"first": {"encoding": "absent"}},
        "name": "absent",
    }
    claim["comparisons"].append(claim["comparisons"][0] | absent)
    frame = image_records("image_natural", {"none": 20, "basic": 22})
    (found,) = judge_claims([claim], {"image_natural": frame}, {}, "laptop")["claims"]
    assert found["comparisons"][0]["confidence"] == pytest.approx(0.975)
    assert found["verdict"] == "inconclusive"
    assert found["reason"] == "not judged: absent"


# Depth and features


def test_octaves_needed_is_linear_between_feature_counts_and_censored_at_the_last() -> None:
    octaves = np.array([3.0, 5.0, 7.0])
    assert octaves_needed(octaves, np.array([10.0, 20.0, 30.0]), 25.0) == pytest.approx(6.0)
    assert octaves_needed(octaves, np.array([30.0, 20.0, 30.0]), 25.0) == 3.0
    assert octaves_needed(octaves, np.array([10.0, 20.0, 24.0]), 25.0) == 7.0


def depth_claim(frame: pd.DataFrame) -> dict[str, Any]:
    claim: dict[str, Any]
    of_depth = [claim for claim in paper_claims() if claim["number"] == 10]
    (claim,) = judge_claims(of_depth, {"image_features": frame}, paper_numbers(), "laptop")["claims"]
    return claim


def depth_replaces_features(depth: int, features: int) -> float:
    return float(30 - 16 / depth / (features / 8) ** 0.5)


def test_depth_claim_holds_where_depth_replaces_features() -> None:
    saved, shrinks = depth_claim(features_records(depth_replaces_features))["comparisons"]
    assert saved["verdict"] == shrinks["verdict"] == "holds"
    # The best is 29.5 dB. Depth 8 passes 28.5 dB an octave above 8 features; depth 2 never does.
    assert "6 of 6 sources: depth 2 never" in saved["reason"] and "depth 8 never" not in saved["reason"]
    assert saved["estimate"] == pytest.approx(np.log2(128) - (np.log2(8) + 1), abs=0.2)
    assert shrinks["estimate"] == pytest.approx(6 - 1.5, abs=0.1)


def test_depth_claim_fails_where_depth_hurts_and_is_undecided_where_it_does_nothing() -> None:
    hurts = features_records(lambda depth, m: depth_replaces_features(16 // depth, m))
    assert depth_claim(hurts)["verdict"] == "fails"
    assert depth_claim(features_records(lambda _, m: np.log2(m)))["verdict"] == "inconclusive"


def test_depth_claim_needs_two_depths_and_every_fit_of_a_curve() -> None:
    alone = depth_claim(features_records(depth_replaces_features, depths=(4,)))
    assert alone["verdict"] == "not judged" and "depths [4]" in alone["reason"]
    frame = features_records(depth_replaces_features)
    one = frame.copy()
    one.loc[0, "status"] = "diverged"
    assert [(c["pairs"], c["diverged"]) for c in depth_claim(one)["comparisons"]] == [(5, 1), (5, 1)]
    assert "all 6 pairs diverged" in depth_claim(frame.assign(status="diverged"))["reason"]


# Published numbers


def test_published_references_are_summed_with_their_source() -> None:
    references = {"of": ["table_3.natural.basic"], "minus": ["table_3.natural.none"]}
    assert judged(pair_claim(published=references), None)["published"] == {"value": 2.5, "source": "Table 3"}


def test_an_unknown_number_is_published_as_nothing() -> None:
    assert judged(pair_claim(published={"of": ["table_3.natural.gaussian"]}), None)["published"] is None


def test_a_reference_that_leads_nowhere_is_named_with_its_nearest_match() -> None:
    with pytest.raises(ClaimError, match=r"some_paper_claim_1.*'table_3.natural.basik'.*did you mean 'basic'"):
        judged(pair_claim(published={"of": ["table_3.natural.basik"]}), None)


# Mistakes in claims.yaml


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"statistic": "paired_diference"}, "did you mean 'paired_difference'"),
        ({"arguments": {"experiment": "image_natural"}}, "missing a required argument: 'where'"),
        (
            {"arguments": {"experiment": "image_natural", "where": {}, "first": "basic", "second": {}}},
            "first is 'basic', expected a mapping",
        ),
        ({"treshold": 1}, r"comparisons.0.treshold: Extra inputs"),
        ({"direction": "beneath"}, "direction: Input should be 'above' or 'below'"),
    ],
)
def test_a_mistake_in_a_comparison_is_one_clear_message(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ClaimError, match=f"some_paper_claim_1.*{message}"):
        judged(pair_claim(**changes), image_records("image_natural", {"none": 20, "basic": 22}))


def test_a_selection_must_name_known_columns() -> None:
    frame = image_records("image_natural", {"none": 20, "basic": 22})
    claim = pair_claim()
    claim["comparisons"][0]["arguments"]["where"] = {"splt": "test"}
    with pytest.raises(ClaimError, match=r"no column 'splt'.*did you mean 'split'"):
        judged(claim, frame)


def test_a_selection_of_several_fits_per_signal_and_seed_is_not_judged() -> None:
    frame = image_records("image_natural", {"none": 20, "basic": 22})
    found = judged(pair_claim(), pd.concat([frame, frame.assign(depth=8)]))
    assert found["verdict"] == "not judged"
    assert "several fits per signal and seed, which differ in depth" in found["reason"]


def test_claims_are_never_judged_at_smoke_and_list_the_experiments_they_use() -> None:
    with pytest.raises(ClaimError, match="presets"):
        read_claims([pair_claim() | {"presets": ["smoke"]}])
    with pytest.raises(ClaimError, match="not among the claim's experiments"):
        judged(pair_claim() | {"experiments": ["image_text"]}, image_records("image_natural", {"none": 1}))
    with pytest.raises(ClaimError, match=r"id .* and number"):
        read_claims([pair_claim() | {"number": 2}])


# The claims of the paper


def test_claims_on_tasks_are_judged_and_their_published_effects_are_the_papers() -> None:
    scores = dict(zip(ENCODINGS, (19, 22, 25, 27), strict=True))
    others = {"ct_shepp": "all", "ct_brain": "all", "mri_brain": "all", "radiance": "test", "shapes": "boundary"}
    records = {
        name: image_records(name, scores, stream=3 + place).assign(
            split=split, metric="iou" if name == "shapes" else "psnr", rotated=name == "radiance"
        )
        for place, (name, split) in enumerate(others.items())
    }
    records |= {
        "image_natural": image_records("image_natural", dict(zip(ENCODINGS, (19, 22, 25, 27), strict=True)), stream=1),
        "image_text": image_records("image_text", dict(zip(ENCODINGS, (18, 20, 27, 30), strict=True)), 8, stream=2),
        "image_features": features_records(depth_replaces_features),
    }
    claims = [claim for claim in paper_claims() if claim["number"] in (10, 15, 16)]
    result = judge_claims(claims, records, paper_numbers(), "laptop")
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    assert (result["paper"], result["preset"]) == ("fourier_features", "laptop")
    verdicts = {claim["id"]: claim["verdict"] for claim in result["claims"]}
    assert verdicts == {f"fourier_features_claim_{n}": "holds" for n in (10, 15, 16)}
    published = {c["name"]: c["published"] for claim in result["claims"] for c in claim["comparisons"]}
    assert published["gaussian above positional, natural"]["value"] == pytest.approx(0.62)
    assert published["gaussian above positional, radiance fields"]["value"] == pytest.approx(0.20)
    assert published["gaussian above positional, shapes"]["value"] == pytest.approx(0.013)
    assert published["gain on text above gain on natural images"]["value"] == pytest.approx(12.07 - 6.25)
    assert published["lead of the deepest network, fewest features less most"]["value"] == pytest.approx(8 - 0.7)
    assert sum(c["published"] is None for claim in result["claims"] for c in claim["comparisons"]) == 1


def test_no_claim_of_the_paper_is_judged_at_smoke_or_without_records() -> None:
    for preset in ("smoke", "laptop"):
        result = judge_claims(paper_claims(), {}, paper_numbers(), preset)
        assert {claim["verdict"] for claim in result["claims"]} == {"not judged"}
        assert all(claim["reason"] for claim in result["claims"])
