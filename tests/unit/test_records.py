"""Records: which rows are final, which sigma is chosen, and what is joined."""

import csv
import json
import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posenc.files import write_json
from posenc.plan.combinations import Combination, parameter_columns
from posenc.records import METRICS, collect_records, concatenate_records, is_chosen, is_final, read_values
from posenc.training.outputs import VALUE_COLUMNS, write_values

# As the records contract states them.
COLUMNS = [
    *("paper", "experiment", "preset", "combination", "member", "seed", "encoding", "sigma", "bandwidth", "dimensions"),
    *("points", "stable_rank", "distance", "stable_rank_closed", "distance_closed", "metrics_note", "features"),
    *("variant", "network", "depth", "width", "optimizer", "learning_rate", "steps", "precision", "device"),
    *sorted(set(parameter_columns()) - {"sigma", "features", "variant", "depth", "width"}),
    *("signal", "set", "source", "item", "replicate", "condition", "split", "metric", "step", "value", "status"),
    *("final", "chosen"),
]
SETTINGS = {
    "paper": "p",
    "experiment": "e",
    "preset": "smoke",
    "encoding": "gaussian",
    "bandwidth": 1.0,
    "features": 512.0,
    "variant": None,
    "network": "mlp",
    "depth": 4,
    "width": 256,
    "learning_rate": 1e-3,
    "steps": 100,
    "precision": "float32",
    "device": "cpu",
}
SIGMAS = (1.0, 2.0, 4.0)


def row(sigma: float, value: float, **columns: Any) -> dict[str, Any]:
    """A final test PSNR of a tuning signal, unless said otherwise."""
    made = SETTINGS | {"sigma": sigma, "seed": 0, "signal": "a", "set": "tuning", "split": "test", "metric": "psnr"}
    made |= {"step": 100, "value": value, "status": "ok", "final": True, "member": 0, "item": None, "condition": None}
    made |= columns
    return made | {"combination": f"{made['encoding']}+sigma={sigma}/{made['variant']}/{made['depth']}/{made['seed']}"}


def chosen_sigmas(rows: Sequence[Mapping[str, Any]], metric: str = "psnr", split: str = "test") -> set[float]:
    frame = pd.DataFrame(rows)
    return set(frame["sigma"][is_chosen(frame, metric, split)])


# Choosing sigma

scores = st.lists(st.floats(5, 60), min_size=2, max_size=4)


@given(tuning=st.lists(scores, min_size=2, max_size=4).filter(lambda rows: len({len(r) for r in rows}) == 1))
@settings(max_examples=60, deadline=None)
def test_chosen_sigma_has_the_best_mean_over_tuning_signals(tuning: list[list[float]]) -> None:
    rows = [
        row(float(sigma), value, signal=f"s{signal}")
        for sigma, values in enumerate(tuning, 1)
        for signal, value in enumerate(values)
    ]
    means = pd.Series({float(sigma): float(np.mean(values)) for sigma, values in enumerate(tuning, 1)})
    (chosen,) = chosen_sigmas(rows)
    assert means[chosen] == pytest.approx(means.max(), rel=1e-12)


@given(report=st.lists(st.floats(-50, 200), min_size=3, max_size=3), others=st.randoms(use_true_random=False))
@settings(max_examples=40, deadline=None)
def test_report_rows_never_matter(report: list[float], others: random.Random) -> None:
    tuning = [row(sigma, value) for sigma, value in zip(SIGMAS, (20.0, 25.0, 22.0), strict=True)]
    rows = [row(sigma, value, set="report", signal="r") for sigma, value in zip(SIGMAS, report, strict=True)]
    for sigma in SIGMAS:  # nor other splits, metrics and steps of the tuning signals
        rows.append(row(sigma, others.uniform(0, 100), split="train"))
        rows.append(row(sigma, others.uniform(0, 100), split="all"))
        rows.append(row(sigma, others.uniform(0, 100), metric="loss"))
        rows.append(row(sigma, others.uniform(0, 100), step=1, final=False))
    everything = tuning + rows
    others.shuffle(everything)
    assert chosen_sigmas(everything) == {2.0}


def test_every_row_of_the_chosen_sigma_is_chosen_and_no_other() -> None:
    frame = pd.DataFrame([row(sigma, 20 + sigma, set=which) for sigma in SIGMAS for which in ("tuning", "report")])
    assert is_chosen(frame, "psnr", "test").tolist() == [False, False, False, False, True, True]


def test_sigma_is_chosen_on_the_mean_over_seeds() -> None:
    values = {(1.0, 0): 30.0, (1.0, 1): 10.0, (2.0, 0): 21.0, (2.0, 1): 21.0}
    assert chosen_sigmas([row(sigma, value, seed=seed) for (sigma, seed), value in values.items()]) == {2.0}


@pytest.mark.parametrize("value", [40.0, float("nan"), float("inf")])
def test_a_sigma_that_diverged_on_one_tuning_signal_is_not_eligible(value: float) -> None:
    rows = [row(sigma, 20 + sigma, signal=signal) for sigma in (1.0, 2.0) for signal in "ab"]
    rows += [row(4.0, 40.0, signal="a"), row(4.0, value, signal="b", status="diverged")]
    assert chosen_sigmas(rows) == {2.0}


def test_a_sigma_that_diverged_on_a_report_signal_alone_stays_eligible() -> None:
    rows = [row(sigma, 20 + sigma) for sigma in SIGMAS]
    rows.append(row(4.0, float("nan"), set="report", signal="r", status="diverged"))
    assert chosen_sigmas(rows) == {4.0}


def test_where_every_sigma_diverged_none_is_chosen() -> None:
    assert chosen_sigmas([row(sigma, float("nan"), status="diverged") for sigma in SIGMAS]) == set()


def test_a_sweep_without_tuning_signals_chooses_nothing() -> None:
    assert chosen_sigmas([row(sigma, 20 + sigma, set="report") for sigma in SIGMAS]) == set()


@pytest.mark.parametrize("sigma", [10.0, float("nan")], ids=["one sigma", "no sigma"])
@pytest.mark.parametrize("which", ["report", "tuning"])
@pytest.mark.parametrize("status", ["ok", "diverged"])
def test_without_a_sweep_everything_is_chosen(sigma: float, which: str, status: str) -> None:
    assert is_chosen(pd.DataFrame([row(sigma, 20.0, set=which, status=status, encoding="none")]), "psnr", "test").all()


@pytest.mark.parametrize(
    ("setting", "values"),
    [
        ("encoding", ["positional", "gaussian"]),
        ("variant", ["code", "table_2"]),
        ("features", [64.0, 512.0]),
        ("depth", [2, 8]),
        ("learning_rate", [1e-3, 1e-2]),
        ("experiment", ["image_natural", "image_text"]),
    ],
)
def test_only_combinations_that_differ_in_sigma_alone_compete(setting: str, values: list[Any]) -> None:
    best = dict(zip(values, (1.0, 4.0), strict=True))
    frame = pd.DataFrame(
        [row(sigma, 20.0 + (sigma == best[value]), **{setting: value}) for value in values for sigma in SIGMAS]
    )
    chosen = frame[is_chosen(frame, "psnr", "test")]
    assert dict(zip(chosen[setting], chosen["sigma"], strict=True)) == best


@pytest.mark.parametrize(
    ("measured", "values"), [("bandwidth", [0.9, 1.8]), ("precision", ["bf16", "float32"]), ("device", ["cpu", "cuda"])]
)
def test_combinations_compete_whatever_was_measured_of_them(measured: str, values: list[Any]) -> None:
    rows = [row(sigma, 20 + sigma, **{measured: value}) for sigma, value in zip((1.0, 2.0), values, strict=True)]
    assert chosen_sigmas(rows) == {2.0}


@pytest.mark.parametrize(("metric", "split", "best"), [("iou", "test", 1.0), ("psnr", "all", 2.0), ("iou", "all", 4.0)])
def test_the_problem_says_by_which_metric_of_which_split_sigma_is_chosen(metric: str, split: str, best: float) -> None:
    winners = {("iou", "test"): 1.0, ("psnr", "all"): 2.0, ("iou", "all"): 4.0, ("psnr", "test"): 1.0}
    rows = [
        row(sigma, 0.5 + (sigma == winner), metric=found[0], split=found[1])
        for found, winner in winners.items()
        for sigma in SIGMAS
    ]
    assert chosen_sigmas(rows, metric, split) == {best}


def test_members_of_one_combination_compete_as_combinations_do() -> None:
    rows = [row(sigma, 20 - sigma, member=member, seed=seed) for seed in (0, 1) for member, sigma in enumerate(SIGMAS)]
    for made in rows:
        made["combination"] = f"gaussian/mlp/seed={made['seed']}"
    assert chosen_sigmas(rows) == {1.0}


def test_parts_that_tune_choose_for_parts_that_report() -> None:
    """Views of one scene: a part's set is not its signal's."""
    tuned = [row(sigma, 20 + sigma, set="tuning", item="view_0") for sigma in SIGMAS]
    reported = [row(sigma, 30 - sigma, set="report", item=f"view_{i}") for sigma in SIGMAS for i in (1, 2)]
    assert chosen_sigmas(tuned + reported) == {4.0}


def test_other_parameters_of_an_encoding_do_not_compete_either() -> None:
    best = {False: 1.0, True: 4.0}
    frame = pd.DataFrame(
        [
            {"normalised": value} | row(sigma, 20.0 + (sigma == best[value]))
            for value in (False, True)
            for sigma in SIGMAS
        ]
    )
    chosen = frame[is_chosen(frame, "psnr", "test")]
    assert dict(zip(chosen["normalised"], chosen["sigma"], strict=True)) == best


# Final rows


def curve(steps: Sequence[int], **columns: Any) -> list[dict[str, Any]]:
    return [row(1.0, 20.0, step=step, **columns) for step in steps]


def test_final_is_the_reported_step_where_there_is_one() -> None:
    frame = pd.DataFrame(curve([1, 26, 51, 60]) + curve([60], split="all"))
    # `all` is scored at the end alone and counts there.
    assert frame["step"][is_final(frame, 51)].tolist() == [51, 60]


def test_final_is_the_last_step_where_none_is_reported() -> None:
    frame = pd.DataFrame(curve([1, 26, 51, 60]) + curve([60], split="all"))
    assert frame["step"][is_final(frame, None)].tolist() == [60, 60]


@pytest.mark.parametrize("part", ["member", "item", "condition", "set"])
def test_each_part_has_a_final_row_of_its_own(part: str) -> None:
    frame = pd.DataFrame(curve([1, 26, 60], **{part: "a"}) + curve([1, 26], **{part: "b"}) + curve([60], item="c"))
    assert frame["step"][is_final(frame, None)].tolist() == [60, 26, 60]
    assert frame["step"][is_final(frame, 26)].tolist() == [26, 26, 60]


@given(
    lengths=st.lists(st.integers(1, 6), min_size=1, max_size=4),
    report_step=st.none() | st.integers(1, 6),
    shuffled=st.randoms(use_true_random=False),
)
@settings(max_examples=40, deadline=None)
def test_each_curve_has_exactly_one_final_row(
    lengths: list[int], report_step: int | None, shuffled: random.Random
) -> None:
    rows = [r for i, length in enumerate(lengths) for r in curve(range(1, length + 1), signal=f"s{i}")]
    rows += [r for i, length in enumerate(lengths) for r in curve(range(1, length + 1), signal=f"s{i}", metric="loss")]
    shuffled.shuffle(rows)
    frame = pd.DataFrame(rows)
    final = frame[is_final(frame, report_step)]
    assert len(final) == 2 * len(lengths)
    for i, length in enumerate(lengths):
        expected = report_step if report_step is not None and report_step <= length else length
        assert set(final["step"][final["signal"] == f"s{i}"]) == {expected}


# Joining


def encoding_metrics(member: Mapping[str, Any]) -> dict[str, Any]:
    """Made up: a rank that grows with sigma, and no distance."""
    return dict.fromkeys(METRICS) | {"stable_rank": 1 + (member["sigma"] or 0), "metrics_note": "distance: made up"}


@pytest.fixture
def collect(tmp_path: Path, planned: Callable[..., list[Combination]]) -> Callable[..., tuple[pd.DataFrame, Any]]:
    """Collects hand-made values of every combination of a small experiment: (records, summary)."""

    def collected(
        encodings: dict[str, Any],
        rows: list[dict[str, str]],
        value: Any = None,
        stacked: Sequence[str] = (),
        scored_as: Mapping[str, Any] | None = None,
        **changes: Any,
    ) -> Any:
        combinations = planned(encodings, stacked=list(stacked))
        values, provenance = [], []
        for i, combination in enumerate(combinations):
            values.append(str(tmp_path / f"{i}.csv"))
            provenance.append(str(tmp_path / f"{i}.json"))
            scored = [
                {"member": member, "signal": r["name"], "set": r["set"], "split": "test", "metric": "psnr"}
                | {"step": step, "value": value(combination, r) if value else 20.0 + i + member, "status": "ok"}
                | (scored_as or {})
                for member in range(len(combination.members))
                for r in rows
                for step in (1, 20)
            ]
            write_values(values[-1], scored)
            facts: dict[str, Any] = {
                "members": [{"bandwidth": m["sigma"] and 10 * m["sigma"]} for m in combination.members],
                "precision": "float32",
                "device": "cpu",
                "device_name": "x",
                "torch": "2",
            }
            facts |= {
                "fits": len(rows),
                "diverged": 1,
                "seconds": 1.5,
                "peak_memory": 100 + i,
                "finished": f"2026-0{i}",
            }
            write_json(provenance[-1], facts)
        write_json(tmp_path / "rows.json", rows)
        write_json(tmp_path / "metrics.json", {c.label: [encoding_metrics(m) for m in c.members] for c in combinations})
        settings: dict[str, Any] = {"paper": "p", "experiment": "small", "preset": "smoke", "report_step": None}
        settings["chosen_by"] = ["psnr", "test"]
        settings["combinations"] = [{"combination": c.label, **c.settings, "members": c.members} for c in combinations]
        outputs = str(tmp_path / "records.parquet"), str(tmp_path / "summary.json")
        described = str(tmp_path / "rows.json"), str(tmp_path / "metrics.json")
        collect_records(settings | changes, values, provenance, *described, *outputs)
        return pd.read_parquet(outputs[0]), json.loads(Path(outputs[1]).read_text())

    return collected


ROWS = [
    {"name": "crop_1", "set": "tuning", "source": "photo"},
    {"name": "crop_2", "set": "report", "source": "photo"},
    {"name": "other", "set": "report", "source": "other"},
]
SWEEP = {"none": {}, "positional": {"sigma": [2, 3]}, "gaussian": {"sigma": [1, 2, 4], "features": 64}}


def test_records_have_the_columns_of_the_contract_in_its_order(collect: Callable[..., Any]) -> None:
    records, _ = collect(SWEEP, ROWS)
    assert list(records.columns) == COLUMNS
    assert len(records) == 6 * len(ROWS) * 2
    assert set(VALUE_COLUMNS) < set(COLUMNS)
    assert (records["stable_rank"] == 1 + records["sigma"].fillna(0)).all()
    assert records["distance"].isna().all() and set(records["metrics_note"]) == {"distance: made up"}
    for name in ("sigma", "bandwidth", "stable_rank", "distance", "features", "learning_rate", "value"):
        assert records[name].dtype == np.float64, name
    for name in ("final", "chosen"):
        assert records[name].dtype == bool, name
    for name in ("member", "seed", "depth", "width", "steps", "step"):
        assert records[name].dtype == np.int64, name


def test_every_parameter_has_a_column_that_is_empty_where_there_is_none(collect: Callable[..., Any]) -> None:
    records, _ = collect({"none": {"shift": -0.5}, "gaussian": {"sigma": 2, "normalised": [True, False]}}, ROWS)
    none, gaussian = (records[records["encoding"] == name] for name in ("none", "gaussian"))
    assert set(zip(none["scale"], none["shift"], strict=True)) == {(1.0, -0.5)}
    assert none["normalised"].isna().all()
    assert gaussian[["scale", "shift"]].isna().all().all()
    # The label leaves a default out, the column does not.
    stated = {"+normalised=True" in text: value for text, value in gaussian[["combination", "normalised"]].to_numpy()}
    assert stated == {True: True, False: False}
    assert set(records["initialisation"]) == {"glorot"}


def test_settings_and_sources_stand_beside_their_values(collect: Callable[..., Any]) -> None:
    records, _ = collect(
        SWEEP, ROWS, lambda combination, row: float(len(row["name"]) + 100 * combination.settings["seed"])
    )
    assert set(records["combination"]) == {
        "none/mlp+depth=3+width=32/seed=0",
        *(f"positional+sigma={s}+features=512+variant=code/mlp+depth=3+width=32/seed=0" for s in (2, 3)),
        *(f"gaussian+sigma={s}+features=64/mlp+depth=3+width=32/seed=0" for s in (1, 2, 4)),
    }
    for combination, group in records.groupby("combination"):
        encoding, *parameters = str(combination).split("/")[0].split("+")
        stated = dict(parameter.split("=") for parameter in parameters)
        assert set(group["encoding"]) == {encoding}
        for name in ("sigma", "features"):
            assert group[name].isna().all() if name not in stated else set(group[name]) == {float(stated[name])}
    assert dict(zip(records["signal"], records["source"], strict=True)) == {
        "crop_1": "photo",
        "crop_2": "photo",
        "other": "other",
    }
    assert (records["value"] == records["signal"].str.len()).all()


def test_final_and_chosen_are_worked_out_on_collecting(collect: Callable[..., Any]) -> None:
    records, _ = collect(SWEEP, ROWS)  # values rise with the order of the combinations
    assert set(records["step"][records["final"]]) == {20}
    chosen = records[records["chosen"]]
    sigma = chosen.groupby("encoding")["sigma"].unique().to_dict()
    assert np.isnan(sigma.pop("none")).all()
    assert sigma == {"positional": [3.0], "gaussian": [4.0]}


def test_each_member_of_a_stacked_axis_has_its_own_settings(collect: Callable[..., Any]) -> None:
    stacked, summary = collect(SWEEP, ROWS, stacked=["sigma"])
    assert summary["combinations"] == 3
    gaussian = stacked[stacked["encoding"] == "gaussian"]
    assert set(gaussian["combination"]) == {"gaussian+features=64/mlp+depth=3+width=32/seed=0"}
    assert set(zip(gaussian["member"], gaussian["sigma"], gaussian["bandwidth"], strict=True)) == {
        (0, 1.0, 10.0), (1, 2.0, 20.0), (2, 4.0, 40.0),
    }  # fmt: skip
    assert set(gaussian.loc[gaussian["chosen"], "sigma"]) == {4.0}  # values rise with the member
    # But for the names of jobs, the records are those of one job per sigma.
    apart, _ = collect(SWEEP, ROWS)
    same = [column for column in COLUMNS if column not in ("combination", "member", "value")]
    order = ["encoding", "sigma", "signal", "step"]
    one, other = (frame[same].sort_values(order).reset_index(drop=True) for frame in (stacked, apart))
    pd.testing.assert_frame_equal(one, other)


def test_a_part_that_is_scored_by_itself_is_an_independent_source(collect: Callable[..., Any]) -> None:
    whole, _ = collect({"none": {}}, ROWS)
    assert set(whole["source"]) == {"photo", "other"}
    parts, _ = collect({"none": {}}, ROWS, scored_as={"item": "07", "set": "report"})
    assert set(zip(parts["signal"], parts["item"].astype(str), parts["source"], strict=True)) == {
        ("crop_1", "07", "photo/07"), ("crop_2", "07", "photo/07"), ("other", "07", "other/07"),
    }  # fmt: skip
    assert set(parts["set"]) == {"report"}  # the part's, not its signal's


def test_a_signal_s_condition_is_that_of_its_values_unless_they_have_their_own(collect: Callable[..., Any]) -> None:
    rows = [row | {"condition": condition} for row, condition in zip(ROWS, ("0", "22.5", "180"), strict=True)]
    records, _ = collect({"none": {}}, rows)
    assert set(zip(records["signal"], records["condition"], strict=True)) == {
        ("crop_1", "0"), ("crop_2", "22.5"), ("other", "180"),
    }  # fmt: skip
    own, _ = collect({"none": {}}, rows, scored_as={"condition": "noise"})
    assert set(own["condition"]) == {"noise"}
    assert list(own.columns) == list(records.columns) == COLUMNS


@pytest.mark.parametrize("name", ["0801", "1e5", "NA", "null", "nan", "True"])
def test_a_signal_keeps_its_name_whatever_it_looks_like(collect: Callable[..., Any], name: str) -> None:
    records, _ = collect({"none": {}}, [{"name": name, "set": "report", "source": name}])
    assert records["signal"].tolist() == records["source"].tolist() == [name, name]


@given(value=st.floats(allow_nan=False))
@settings(max_examples=30, deadline=None)
def test_values_are_read_back_to_the_last_digit(value: float, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("values") / "values.csv"
    write_values(path, [{"signal": "a", "set": "report", "value": value}])
    assert read_values(str(path))["value"].tolist() == [value]
    assert next(csv.DictReader(path.open()))["value"] == repr(value)


def test_values_that_are_no_number_stay_so(collect: Callable[..., Any]) -> None:
    records, _ = collect(
        {"none": {}}, ROWS, lambda combination, row: float({"crop_1": "nan", "crop_2": "inf"}.get(row["name"], 3))
    )
    values = dict(zip(records["signal"], records["value"], strict=True))
    assert np.isnan(values["crop_1"])
    assert values["crop_2"] == np.inf
    assert values["other"] == 3


def test_summary_adds_up_the_fits(collect: Callable[..., Any]) -> None:
    _, summary = collect(SWEEP, ROWS)
    assert summary["combinations"] == 6
    assert summary["fits"] == 18
    assert summary["diverged"] == 6
    assert summary["seconds"] == 9.0
    assert summary["peak_memory"] == 105
    assert summary["precisions"] == ["float32"]
    assert summary["last_finished"] == "2026-05"


def test_a_papers_records_are_those_of_its_experiments(collect: Callable[..., Any], tmp_path: Path) -> None:
    first, _ = collect(SWEEP, ROWS)
    (tmp_path / "records.parquet").rename(tmp_path / "first.parquet")
    second, _ = collect({"none": {}}, ROWS, experiment="other")
    concatenate_records(
        [str(tmp_path / "first.parquet"), str(tmp_path / "records.parquet")], str(tmp_path / "all.parquet")
    )
    together = pd.read_parquet(tmp_path / "all.parquet")
    assert list(together.columns) == COLUMNS
    assert len(together) == len(first) + len(second)
    assert together["experiment"].value_counts().to_dict() == {"small": len(first), "other": len(second)}
