"""Statistics of sweeps that choose nothing, of seeds, and of numbers without chance, on made-up records."""

import math
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from posenc.claims.evidence import Evidence, NoRecordsError
from posenc.claims.judge import judge_claims
from posenc.claims.model import ClaimError
from posenc.claims.statistics import evidence_for

PAPER = Path(__file__).parents[2] / "workflow/papers/fourier_features"
RECORD: dict[str, Any] = {
    "experiment": "line", "combination": "c", "set": "report", "item": None, "replicate": None, "condition": "alpha=1",
    "split": "test", "metric": "mse", "status": "ok", "final": True, "chosen": False, "sigma": np.nan,
    "exponent": np.nan, "alpha": np.nan, "seed": 0, "encoding": "power_law", "bandwidth": np.nan,
}  # fmt: skip
Frames = dict[str, pd.DataFrame]


def frames(rows: list[dict[str, Any]], experiment: str = "line") -> Frames:
    return {experiment: pd.DataFrame([RECORD | {"experiment": experiment} | row for row in rows])}


def swept(column: str, error: Callable[[float, int], float], levels: list[float], sources: int = 5) -> Frames:
    """One fit per level and source, whose log10 error is given."""
    return frames(
        [
            {column: level, "value": 10 ** error(level, i), "signal": f"s{i}", "source": f"draw_{i}"}
            for level, i in product(levels, range(sources))
        ]
    )


def found(statistic: str, records: Frames, **arguments: Any) -> list[float]:
    evidence = evidence_for(statistic, records, {"experiment": "line", **arguments})
    (values,) = evidence.samples
    return [float(value) for value in values]


# Numbers without chance


def exact(values: dict[float, float], metric: str = "edge") -> Frames:
    rows = [
        {"metric": metric, "exponent": p, "value": value, "signal": "exact", "source": "exact"}
        for p, value in values.items()
    ]
    return frames(rows)


def test_an_exact_value_is_the_one_that_is_selected() -> None:
    records = exact({0.0: 3.0, math.inf: 4.0})
    evidence = evidence_for("exact_value", records, {"experiment": "line", "where": {"exponent": math.inf}})
    assert (evidence.samples[0].tolist(), evidence.exact) == ([4.0], True)
    with pytest.raises(NoRecordsError, match="2 numbers where one is meant"):
        found("exact_value", records, where={"metric": "edge"})


def test_the_smallest_step_is_negative_where_one_goes_the_wrong_way() -> None:
    falling = exact({math.inf: 1.0, 0.0: 9.0, 1.0: 4.0})
    assert found("exact_smallest_step", falling, where={}, along="exponent", rising=False) == [3.0]
    assert found("exact_smallest_step", falling, where={}, along="exponent", rising=True) == [-5.0]
    bumpy = exact({0.0: 9.0, 1.0: 9.5, 2.0: 4.0})
    assert found("exact_smallest_step", bumpy, where={}, along="exponent", rising=False) == [-0.5]
    with pytest.raises(NoRecordsError, match="no single number for each of several values of exponent"):
        found("exact_smallest_step", exact({0.0: 1.0}), where={}, along="exponent", rising=True)
    with pytest.raises(ClaimError, match=r"no column 'exponnt'.*did you mean 'exponent'"):
        found("exact_smallest_step", bumpy, where={}, along="exponnt", rising=True)


# Means and ratios


def test_values_are_means_per_source_and_errors_are_compared_by_logarithm() -> None:
    records = frames(
        [
            {"signal": f"s{i}", "source": f"draw_{i}", "seed": seed, "exponent": p, "value": 10.0 ** (i + seed + p)}
            for i, seed, p in product(range(3), (0, 1), (0.0, 2.0))
        ]
    )
    assert found("mean_value", records, where={"exponent": 0.0}) == [5.5, 55, 550]
    ratio = found("log_ratio", records, where={}, first={"exponent": 2.0}, second={"exponent": 0.0})
    assert ratio == pytest.approx([2, 2, 2])


def test_a_lead_compares_the_best_inside_with_the_best_beside() -> None:
    records = swept("exponent", lambda p, i: abs(p - 1) + 0.1 * i, [0.0, 0.5, 1.0, 2.0])
    lead = found("log_lead_of_levels", records, where={}, along="exponent", levels=[0.5, 1.0])
    assert lead == pytest.approx([1.0] * 5)
    behind = found("log_lead_of_levels", records, where={}, along="exponent", levels=[0.0, 2.0])
    assert behind == pytest.approx([-1.0] * 5)
    with pytest.raises(NoRecordsError, match="both among"):
        found("log_lead_of_levels", records, where={}, along="exponent", levels=[7.0])


def test_the_best_level_is_that_of_the_mean_over_sources() -> None:
    """At p = 1 the mean is least, though one source has its own least value at p = 2."""
    records = swept("exponent", lambda p, i: abs(p - 1) if i else abs(p - 2), [0.0, 1.0, 2.0], sources=4)
    optimised = [
        {"encoding": "optimised", "alpha": 1.0, "signal": f"s{i}", "source": f"draw_{i}", "value": 0.1}
        for i in range(4)
    ]
    both = {"line": pd.concat([records["line"], frames(optimised)["line"]], ignore_index=True)}
    ratio = found(
        "log_ratio_to_best_level",
        both,
        first={"encoding": "optimised"},
        second={"encoding": "power_law"},
        along="exponent",
    )
    assert ratio == pytest.approx([-2, -1, -1, -1])


def test_best_levels_are_subtracted_source_by_source() -> None:
    steep = swept("exponent", lambda p, i: abs(p - 2), [0.0, 1.0, 2.0])["line"].assign(condition="alpha=2")
    flat = swept("exponent", lambda p, i: abs(p - (1 if i else 0)), [0.0, 1.0, 2.0])["line"]
    records = {"line": pd.concat([steep, flat], ignore_index=True)}
    shift = found(
        "best_level_difference",
        records,
        first={"condition": "alpha=2"},
        second={"condition": "alpha=1"},
        along="exponent",
    )
    assert shift == [2, 1, 1, 1, 1]


def test_the_best_sparse_fit_is_compared_with_dense_ones_and_their_spread() -> None:
    sparse = swept("sigma", lambda s, i: abs(s - 2) - 3 + 0.01 * i, [1.0, 2.0, 4.0])["line"].assign(encoding="gaussian")
    dense = swept("exponent", lambda p, i: -3 + 0.1 * i, [1.0])["line"]
    records = {"line": pd.concat([sparse, dense], ignore_index=True)}
    values = 10 ** (-3 + 0.1 * np.arange(5))
    limit = np.log10(values.mean() + 2 * values.std(ddof=1))
    excess = found("excess_of_best", records, best={}, than={"encoding": "power_law"}, deviations=2)
    assert excess == pytest.approx(limit + 3 - 0.01 * np.arange(5))


# Curves over a scale

SIGMAS = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0]


def families(error: Callable[[str, float, int], float], sources: int = 4) -> Frames:
    """Two families whose sigma is half, or twice, the root mean square frequency."""
    return frames(
        [
            {
                "encoding": name, "sigma": sigma, "bandwidth": sigma * factor, "signal": f"s{i}", "source": f"draw_{i}",
                "value": 10 ** error(name, sigma * factor, i),
            }
            for (name, factor), sigma, i in product((("gaussian", 2.0), ("laplace", 0.5)), SIGMAS, range(sources))
        ]
    )  # fmt: skip


def bowl(_: str, bandwidth: float, i: int) -> float:
    return 0.1 * (math.log2(bandwidth) - 2) ** 2 - 3 + 0.2 * i


def test_both_ends_of_a_bowl_rise_from_its_best() -> None:
    records = families(bowl)
    # Octaves run from laplace's -1 to the gaussian's 6; the best is 2.
    assert found("rise_from_best", records, where={}, end="first") == pytest.approx([0.9] * 4)
    assert found("rise_from_best", records, where={}, end="last") == pytest.approx([1.6] * 4)
    with pytest.raises(ClaimError, match="end is 'middle', expected first or last"):
        found("rise_from_best", records, where={}, end="middle")


def test_rank_correlations_are_signed_and_can_start_at_the_best() -> None:
    records = families(bowl)
    assert found("rank_correlation_with_scale", records, where={}, from_best=True) == pytest.approx([1] * 4, abs=0.1)
    falling = families(lambda name, bandwidth, i: -bandwidth)
    assert found("rank_correlation_with_scale", falling, where={}, from_best=False) == pytest.approx([-1] * 4)


def test_a_curve_of_bandwidth_alone_leaves_to_the_encoding_what_chance_does() -> None:
    rng = np.random.default_rng(0)

    def noisy(name: str, bandwidth: float, i: int) -> float:
        return bowl(name, bandwidth, i) + rng.normal(0, 0.1)

    shares = found("share_explained_by_encoding", families(noisy, sources=400), where={})
    assert abs(np.mean(shares)) < 4 * np.std(shares) / np.sqrt(len(shares))
    shifted = families(lambda name, bandwidth, i: noisy(name, bandwidth, i) + (name == "laplace"), sources=400)
    assert np.mean(found("share_explained_by_encoding", shifted, where={})) > 0.5
    few = {"line": families(bowl)["line"].query("sigma < 16")}
    with pytest.raises(NoRecordsError, match="too few sigmas per encoding"):
        found("share_explained_by_encoding", few, where={})


# Seeds


def test_the_range_over_places_is_told_by_other_seeds() -> None:
    rng = np.random.default_rng(0)
    level = {f"place_{i}": 0.25 * i for i in range(5)}
    rows = [
        {"signal": place, "source": place, "seed": seed, "value": 10 ** (height + rng.normal(0, 0.01))}
        for (place, height), seed in product(level.items(), range(4))
    ]
    assert found("log_range_over_signals", frames(rows), where={}) == pytest.approx([1.0] * 4, abs=0.1)
    # Chance alone has a range, but none that another seed would tell.
    noise = [row | {"value": 10 ** rng.normal(0, 0.3)} for row in rows * 1]
    assert abs(np.mean(found("log_range_over_signals", frames(noise), where={}))) < 0.3


# What is lost


def test_a_source_with_a_lost_fit_is_left_out_and_counted() -> None:
    records = swept("exponent", lambda p, i: p, [0.0, 1.0])
    records["line"].loc[0, ["status", "value"]] = ["diverged", np.nan]
    arguments = {"experiment": "line", "where": {}, "first": {"exponent": 1.0}, "second": {"exponent": 0.0}}
    evidence = evidence_for("log_ratio", records, arguments)
    assert (len(evidence.samples[0]), evidence.diverged) == (4, 1)
    assert "left out" in evidence.notes[0]


def test_missing_and_ambiguous_records_are_named() -> None:
    records = swept("exponent", lambda p, i: p, [0.0, 1.0])
    with pytest.raises(NoRecordsError, match=r"no records of line with exponent=7"):
        found("mean_value", records, where={"exponent": 7.0})
    with pytest.raises(NoRecordsError, match="several fits per signal and seed"):
        found("mean_value", records, where={})
    with pytest.raises(ClaimError, match="best is 'x', expected a mapping"):
        found("excess_of_best", records, best="x", than={}, deviations=2)


# Verdicts


def verdict(records: Frames, direction: str, threshold: float, statistic: str, **arguments: Any) -> dict[str, Any]:
    comparison = {
        "name": "n", "statistic": statistic, "arguments": {"experiment": "line", **arguments},
        "threshold": threshold, "direction": direction, "unit": "u",
    }  # fmt: skip
    claim = {
        "id": "some_claim_1", "number": 1, "title": "t", "statement": "s", "experiments": ["line"],
        "presets": ["laptop"], "comparisons": [comparison],
    }  # fmt: skip
    (judged,) = judge_claims([claim], records, {}, "laptop")["claims"]
    result: dict[str, Any] = judged["comparisons"][0]
    return result


@pytest.mark.parametrize(
    ("direction", "threshold", "expected"),
    [("above", 2, "holds"), ("above", 4, "fails"), ("below", 4, "holds"), ("below", 2, "fails")],
)
def test_an_exact_number_is_judged_as_it_is_and_marked(direction: str, threshold: float, expected: str) -> None:
    found = verdict(exact({0.0: 3.0}), direction, threshold, "exact_value", where={})
    assert (found["verdict"], found["estimate"], found["interval"]) == (expected, 3.0, [None, None])
    assert (found["p_value"], found["reason"], found["confidence"]) == (None, "exact", None)


def test_a_limit_from_above_is_judged_by_the_whole_interval() -> None:
    records = swept("exponent", lambda p, i: math.log10(0.2 + 0.01 * i), [0.0])
    low, high = verdict(records, "below", 0.3, "mean_value", where={})["interval"]
    assert 0.2 < low < 0.22 < high < 0.24
    assert verdict(records, "below", 0.3, "mean_value", where={})["verdict"] == "holds"
    assert verdict(records, "below", 0.1, "mean_value", where={})["verdict"] == "fails"
    assert verdict(records, "below", 0.22, "mean_value", where={})["verdict"] == "inconclusive"
    mirrored = verdict(records, "above", 0.1, "mean_value", where={})
    assert mirrored["verdict"] == "holds"
    assert mirrored["estimate"] == pytest.approx(0.22)


def test_exact_comparisons_do_not_make_the_others_harder() -> None:
    records = swept("exponent", lambda p, i: math.log10(0.2 + 0.01 * i), [0.0])
    alone = verdict(records, "above", 0.1, "mean_value", where={})
    claim = {
        "id": "some_claim_1", "number": 1, "title": "t", "statement": "s", "experiments": ["line", "study"],
        "presets": ["laptop"],
        "comparisons": [
            {"name": name, "statistic": statistic, "arguments": {"experiment": experiment, "where": {}},
             "threshold": 0.1, "direction": "above", "unit": "u"}
            for name, statistic, experiment in (("a", "mean_value", "line"), ("b", "exact_value", "study"))
        ],
    }  # fmt: skip
    study = {"study": exact({0.0: 3.0})["line"].assign(experiment="study")}
    (judged,) = judge_claims([claim], records | study, {}, "laptop")["claims"]
    assert judged["comparisons"][0]["interval"] == alone["interval"]
    assert judged["verdict"] == "holds"


def test_evidence_is_not_exact_unless_it_says_so() -> None:
    assert not Evidence((np.zeros(3),), 3, 0, ()).exact


LINE_CLAIMS = {1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 14}


def test_every_claim_in_one_dimension_is_there_and_names_known_statistics() -> None:
    claims = yaml.safe_load((PAPER / "claims.yaml").read_text())
    assert {claim["number"] for claim in claims} >= LINE_CLAIMS
    published = yaml.safe_load((PAPER / "published.yaml").read_text())
    judged = judge_claims([claim for claim in claims if claim["number"] in LINE_CLAIMS], {}, published, "laptop")
    assert {claim["verdict"] for claim in judged["claims"]} == {"not judged"}
    assert all(claim["reason"].startswith("no records of") for claim in judged["claims"])
