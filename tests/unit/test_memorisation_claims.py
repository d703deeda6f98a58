"""Statistics of memorisation, of sweeps over scales and samples and of draws, and claims 6 to 16 on made-up records."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from memorised import PAPER, PUBLISHED, frame, made_up_records, scales_records

from posenc.claims import memorisation
from posenc.claims.evidence import NoRecordsError
from posenc.claims.judge import judge_claims
from posenc.claims.model import ClaimError, read_claims
from posenc.claims.statistics import evidence_for

CLAIMS = [claim for claim in yaml.safe_load((PAPER / "claims.yaml").read_text()) if claim["number"] in range(6, 17)]
PSNR = {"metric": "psnr", "split": "test"}
Frames = dict[str, pd.DataFrame]


def found(statistic: str, records: Frames, experiment: str, **arguments: Any) -> list[float]:
    (values,) = evidence_for(statistic, records, {"experiment": experiment, **arguments}).samples
    return [float(value) for value in values]


def curves(
    score: Callable[[float, int, int], float],
    strides: tuple[int, ...] = (2, 4, 8),
    sources: int = 3,
    split: str = "test",
) -> Frames:
    """Scores over sigma N, stride and source; sigma N goes from 0.0625 to 4 by factors of two."""
    rows = [
        {
            "member": member, "points": 512 / stride, "sigma": scale * stride / 512, "signal": f"s{i}",
            "source": f"p{i}", "split": split, "value": score(scale, stride, i),
            "stable_rank": 512 / stride * min(1.0, 0.25 / scale),
        }
        for member, (stride, scale) in enumerate(product(strides, (0.0625, 0.125, 0.25, 0.5, 1.0, 2.0, 4.0)))
        for i in range(sources)
    ]  # fmt: skip
    return {"sweep": frame(rows)}


# While training


def stepped(
    value: Callable[[str, int, int], float], items: list[str], steps: tuple[int, ...] = (1, 200, 400)
) -> Frames:
    rows = [
        {
            "signal": f"s{i}", "source": f"p{i}/{item}", "item": item, "step": step, "seed": seed, "split": "train",
            "metric": "stable_rank", "value": value(item, step, i),
        }
        for i, item, step, seed in product(range(3), items, steps, (0, 1))
    ]  # fmt: skip
    return {"training": frame(rows)}


def test_growth_is_of_the_item_that_grows_least_on_average_and_change_of_the_one_that_changes_most() -> None:
    def value(item: str, step: int, i: int) -> float:
        grown = {"layer 1": 2 + i, "layer 2": 1.5, "layer 3": 0.1}[item]
        return 5 * (grown if step == 400 else 1)

    records = stepped(value, ["layer 1", "layer 2", "layer 3"])
    two = {"where": {"metric": "stable_rank"}, "items": ["layer 1", "layer 2"]}
    assert found("growth_in_training", records, "training", **two) == pytest.approx([math.log10(1.5)] * 3)
    three = {"where": {"metric": "stable_rank"}, "items": ["layer 1", "layer 2", "layer 3"]}
    assert found("change_in_training", records, "training", **three) == pytest.approx([1.0] * 3)
    with pytest.raises(NoRecordsError, match="training has no records of layer 4"):
        found("growth_in_training", records, "training", where={}, items=["layer 4"])


def test_growth_over_items_follows_the_order_they_are_named_in() -> None:
    ranks = {"input": 12.0, "layer 1": 3.0, "layer 2": 6.0}
    records = stepped(lambda item, step, i: ranks[item] if step == 400 else 1.0, list(ranks))
    where = {"metric": "stable_rank"}
    one = found("growth_over_items", records, "training", where=where, items=["layer 1", "input"])
    assert one == pytest.approx([math.log10(4)] * 3)
    least = found("growth_over_items", records, "training", where=where, items=["input", "layer 1", "layer 2"])
    assert least == pytest.approx([-math.log10(4)] * 3)


def test_time_averages_leave_the_last_100_updates_out_and_pair_sources() -> None:
    rows = [
        {"encoding": name, "signal": f"s{i}", "source": f"p{i}", "step": step, "value": (step > 300) * 1000 + level * i}
        for name, level in (("a", 3), ("b", 1))
        for i, step in product(range(3), (1, 101, 300, 301, 400))
    ]
    sides = {"first": {"encoding": "a"}, "second": {"encoding": "b"}}
    records = {"training": frame(rows)}
    assert found("time_average_difference", records, "training", where=PSNR, **sides) == pytest.approx([0, 2, 4])


# Scales and samples


def test_late_scores_are_means_over_steps_seeds_and_signals_of_a_source() -> None:
    rows = [
        {"signal": f"s{i}", "source": f"p{i // 2}", "seed": seed, "step": step, "points": 512 / stride, "value": value}
        for i, seed, step, stride in product(range(4), (0, 1), (300, 301, 400), (2, 4))
        for value in [1000.0 if step == 300 else i + 10 * seed + step / 100 - stride]
    ]
    records = {"sweep": frame(rows)}
    least = found("least_late_score", records, "sweep", where=PSNR, along="points")
    assert least == pytest.approx([0.5 + 5 + 3.505 - 4, 2.5 + 5 + 3.505 - 4])
    assert found("slope_over_samples", records, "sweep", where=PSNR) == pytest.approx([2, 2])


def test_the_best_sigma_is_compared_with_ends_of_the_sweep_and_other_experiments() -> None:
    records = curves(lambda scale, stride, i: 20 + i - abs(math.log2(scale)) * (3 if scale > 1 else 1))
    where = {**PSNR, "points": "most"}
    assert found("best_less_end", records, "sweep", where=where, end="largest") == pytest.approx([6] * 3)
    assert found("best_less_end", records, "sweep", where=where, end="smallest") == pytest.approx([4] * 3)
    other = frame([{"signal": f"s{i}", "source": f"p{i}", "value": 10.0} for i in (1, 2, 3)])
    lead = found("best_less_other", records | {"other": other}, "sweep", where=where, other="other", than=PSNR)
    assert lead == pytest.approx([11, 12])
    with pytest.raises(ClaimError, match="end is 'last', expected largest or smallest"):
        found("best_less_end", records, "sweep", where=where, end="last")


def test_places_of_a_sweep_count_from_the_smallest_sigma() -> None:
    records = curves(lambda scale, stride, i: scale * (1 + i), strides=(2, 4))
    where = {**PSNR, "points": "most"}
    assert found("difference_in_sweep", records, "sweep", where=where, place=1, other_place=0) == pytest.approx(
        [0.0625, 0.125, 0.1875]
    )
    with pytest.raises(NoRecordsError, match="has 7 sigmas; place 7 is not among them"):
        found("difference_in_sweep", records, "sweep", where=where, place=7, other_place=0)


def test_the_smallest_gain_from_samples_is_between_neighbours_at_their_best_sigmas() -> None:
    best = {2: 30.0, 4: 27.0, 8: 26.0}
    records = curves(lambda scale, stride, i: best[stride] - abs(math.log2(scale * stride)) + 0.1 * i * (stride == 4))
    assert found("smallest_gain_from_samples", records, "sweep", where=PSNR) == pytest.approx([1, 1.1, 1.2])


def test_a_difference_is_taken_at_the_nearest_sigma_n() -> None:
    records = curves(lambda scale, stride, i: 10 * scale + i)
    records["other"] = curves(lambda scale, stride, i: 0.0)["sweep"]
    values = found("difference_at_scale", records, "sweep", other="other", where={**PSNR, "points": 64}, scale=0.28)
    assert values == pytest.approx([2.5, 3.5, 4.5])


# Thresholds


def test_crossings_are_interpolated_and_an_end_of_the_sweep_where_there_is_none() -> None:
    scales = np.array([-1.0, 0.0, 1.0])
    crossing = memorisation.crossing
    assert crossing(scales, np.array([130.0, 110.0, 90.0]), "memorised", 100) == pytest.approx(0.5)
    # The largest scale counts, though the score falls below the level again beyond it.
    assert crossing(scales, np.array([20.0, 110.0, 90.0]), "memorised", 100) == pytest.approx(0.5)
    assert crossing(scales, np.array([20.0, 30.0, 40.0]), "memorised", 100) == -1.0
    assert crossing(scales, np.array([120.0, 130.0, 140.0]), "memorised", 100) == 1.0
    assert crossing(scales, np.array([10.0, 22.0, 25.0]), "kept", 9) == pytest.approx(-0.5)
    assert crossing(scales, np.array([24.0, 22.0, 25.0]), "kept", 9) == -1.0


def collapsing(scale: float, stride: int, i: int) -> float:
    """From 20 dB at sigma N = 0.25 down to 10 dB at 0.125; with a stride of 8, an octave higher."""
    octaves = math.log2(scale) - (stride == 8)
    return 20.0 if octaves >= -2 else 10.0 + 0.5 * i


def test_thresholds_over_n_are_picked_by_their_means() -> None:
    records = curves(collapsing)
    asked = {"where": {}, "threshold": "kept", "level": 3.0}
    shares = [(7 - 0.5 * i) / (10 - 0.5 * i) for i in range(3)]  # of the octave from 10 dB to 20 dB, at 17 dB
    smallest = [math.log10(0.125) + share * math.log10(2) for share in shares]
    assert found("smallest_threshold", records, "sweep", **asked) == pytest.approx(smallest)
    assert found("largest_threshold", records, "sweep", **asked) == pytest.approx([x + math.log10(2) for x in smallest])
    # Two strides at one place and one an octave off: a deviation of an octave over the root of three.
    spread = found("spread_of_thresholds", records, "sweep", **asked)
    assert spread == pytest.approx([math.log10(2) / math.sqrt(3)] * 3)
    one = {"sweep": records["sweep"].query("points == 256")}
    with pytest.raises(NoRecordsError, match="sweep has one level where several are compared"):
        found("spread_of_thresholds", one, "sweep", **asked)
    with pytest.raises(ClaimError, match="threshold is 'lost', expected memorised or kept"):
        found("smallest_threshold", records, "sweep", where={}, threshold="lost", level=3)


def test_a_threshold_beyond_the_sweep_counts_as_its_end_and_is_told() -> None:
    records = curves(lambda scale, stride, i: 30.0 + i, split="train")
    asked = {"experiment": "sweep", "where": {}, "threshold": "memorised", "level": 100}
    evidence = evidence_for("largest_threshold", records, asked)
    assert evidence.samples[0].tolist() == pytest.approx([math.log10(0.0625)] * 3)
    assert evidence.notes == ("9 of 9 thresholds lie beyond the sweep and count as its end",)


def test_the_rank_at_a_threshold_is_interpolated_and_taken_over_n() -> None:
    records = curves(lambda scale, stride, i: 130.0 if scale <= 0.5 else 70.0, split="train")
    (share, *_) = found("largest_rank_share", records, "sweep", where={}, threshold="memorised", level=100)
    # Half an octave above 0.5, where the rank is half of N; at 1 it is a quarter.
    assert share == pytest.approx((0.5 + 0.25) / 2)


def test_thresholds_of_two_experiments_are_subtracted_on_common_signals() -> None:
    records = curves(collapsing)
    records["other"] = curves(lambda scale, stride, i: collapsing(scale / 2, stride, i), sources=2)["sweep"]
    asked = {"where": {"points": 256}, "threshold": "kept", "level": 3.0}
    assert found("threshold_shift", records, "other", other="sweep", **asked) == pytest.approx([math.log10(2)] * 2)
    foreign = {"sweep": records["sweep"], "other": records["other"].assign(signal="x")}
    with pytest.raises(NoRecordsError, match="no signal in common"):
        found("threshold_shift", foreign, "other", other="sweep", **asked)


def test_a_plateau_reaches_as_far_as_scores_stay_within_the_drop_without_a_gap() -> None:
    def score(scale: float, stride: int, i: int) -> float:
        return {0.0625: 19.0, 0.125: 5.0, 0.25: 18.0, 0.5: 20.0, 1.0: 20.0, 2.0: 14.0, 4.0: 2.0}[scale]

    width = found("plateau_width", curves(score), "sweep", where={**PSNR, "points": "most"}, drop=3)
    low = math.log2(0.125) + (17 - 5) / (18 - 5)
    high = math.log2(1) + (20 - 17) / (20 - 14)
    assert width == pytest.approx([(high - low) * math.log10(2)] * 3)
    flat = found("plateau_width", curves(lambda *_: 20.0), "sweep", where={**PSNR, "points": "most"}, drop=3)
    assert flat == pytest.approx([6 * math.log10(2)] * 3)


# Draws


def test_draws_are_seeds_and_deviations_are_from_their_mean() -> None:
    rows = [
        {"encoding": name, "features": features, "seed": seed, "signal": "s", "source": "p", "value": value}
        for features, seed in product((100.0, 200.0), range(3))
        for name, value in (("a", 20 + features / 100 + seed), ("b", 20 + (features == 100) + 0.1 * seed))
    ]
    records = {"draws": frame(rows)}
    sides = {"first": {"encoding": "a"}, "second": {"encoding": "b"}, "along": "features"}
    evidence = evidence_for(
        "lead_by_draw", records, {"experiment": "draws", "where": PSNR, **sides, "extreme": "least"}
    )
    assert evidence.samples[0].tolist() == pytest.approx([0, 0.9, 1.8])
    assert found("lead_by_draw", records, "draws", where=PSNR, **sides, extreme="most") == pytest.approx([2, 2.9, 3.8])
    assert evidence.notes == ("sources are seeds",)
    deviation = found("deviation_by_draw", records, "draws", where=PSNR, **sides, times=3)
    assert deviation == pytest.approx([0.7, 0, 0.7])


# What is lost


def test_a_source_with_a_diverged_fit_is_left_out_and_several_fits_are_no_score() -> None:
    records = curves(lambda scale, stride, i: 20.0 + i)
    records["sweep"].loc[0, ["status", "value"]] = ["diverged", np.nan]
    evidence = evidence_for(
        "least_late_score", records, {"experiment": "sweep", "where": {**PSNR, "points": "most"}, "along": "sigma"}
    )
    assert (evidence.samples[0].tolist(), evidence.diverged) == ([21, 22], 1)
    assert evidence.notes == ("1 sources left out, a fit diverged",)
    with pytest.raises(NoRecordsError, match="several fits per signal and seed"):
        found("least_late_score", records, "sweep", where=PSNR, along="points")


# The claims


def jittered(records: Frames) -> Frames:
    """The same with a little chance in each score, so that sources differ."""
    rng = np.random.default_rng(0)
    return {
        name: found.assign(value=found["value"] * (1 + 1e-3 * rng.normal(size=len(found))))
        for name, found in records.items()
    }


def test_claims_hold_on_records_made_up_for_them_and_the_expected_ones_fail() -> None:
    result = judge_claims(CLAIMS, jittered(made_up_records()), PUBLISHED, "laptop")
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    verdicts = {claim["number"]: claim["verdict"] for claim in result["claims"]}
    assert verdicts == {number: "fails" if number in (6, 14) else "holds" for number in range(6, 17)}
    ranks = {found["name"]: found["verdict"] for found in result["claims"][0]["comparisons"]}
    assert ranks["growth while training without an encoding, layers 2 to 4, white noise"] == "holds"
    assert ranks["input over layer 1, Gaussian"] == "holds"
    assert {verdict for name, verdict in ranks.items() if name.startswith("smallest growth from layer")} == {"fails"}
    published = {found["name"]: found["published"] for claim in result["claims"] for found in claim["comparisons"]}
    assert published["time average of test PSNR on rows, Gaussian less none"]["value"] == pytest.approx(28.77 - 22.45)
    assert published["test PSNR on white noise, basic"]["value"] == -1.3


def test_claims_on_sweeps_fail_where_the_collapse_moves_with_n() -> None:
    """With the same sigma for every N, nothing coincides over sigma N."""
    records = made_up_records()
    swept = scales_records()
    factor = (64 / swept["points"]).clip(lower=0.25)
    records["row_scales"] = swept.assign(sigma=swept["sigma"] * factor)
    result = judge_claims(CLAIMS, jittered(records), PUBLISHED, "laptop")
    verdicts = {claim["number"]: claim["verdict"] for claim in result["claims"]}
    assert (verdicts[9], verdicts[10], verdicts[11]) == ("fails", "fails", "fails")


def test_claims_are_not_judged_without_records_and_name_their_experiments() -> None:
    result = judge_claims(CLAIMS, {}, PUBLISHED, "laptop")
    assert {claim["verdict"] for claim in result["claims"]} == {"not judged"}
    experiments = yaml.safe_load((PAPER / "experiments.yaml").read_text())
    assert {name for claim in read_claims(CLAIMS) for name in claim.experiments} <= set(experiments)
