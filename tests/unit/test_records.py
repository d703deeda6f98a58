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
from posenc.plan.combinations import Combination
from posenc.records import collect_records, concatenate_records, is_chosen, is_final, read_values
from posenc.training.outputs import VALUE_COLUMNS, write_values

# As the records contract states them.
COLUMNS = [
    *("paper", "experiment", "preset", "combination", "seed", "encoding", "sigma", "bandwidth", "features", "variant"),
    *("network", "depth", "width", "learning_rate", "steps", "precision", "device"),
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
    made |= {"step": 100, "value": value, "status": "ok", "final": True} | columns
    return made | {"combination": f"{made['encoding']}+sigma={sigma}/{made['variant']}/{made['depth']}/{made['seed']}"}


def chosen_sigmas(rows: Sequence[Mapping[str, Any]]) -> set[float]:
    frame = pd.DataFrame(rows)
    return set(frame["sigma"][is_chosen(frame)])


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
    assert is_chosen(frame).tolist() == [False, False, False, False, True, True]


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
    assert is_chosen(pd.DataFrame([row(sigma, 20.0, set=which, status=status, encoding="none")])).all()


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
    chosen = frame[is_chosen(frame)]
    assert dict(zip(chosen[setting], chosen["sigma"], strict=True)) == best


@pytest.mark.parametrize(
    ("measured", "values"), [("bandwidth", [0.9, 1.8]), ("precision", ["bf16", "float32"]), ("device", ["cpu", "cuda"])]
)
def test_combinations_compete_whatever_was_measured_of_them(measured: str, values: list[Any]) -> None:
    rows = [row(sigma, 20 + sigma, **{measured: value}) for sigma, value in zip((1.0, 2.0), values, strict=True)]
    assert chosen_sigmas(rows) == {2.0}


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


@pytest.fixture
def collect(tmp_path: Path, planned: Callable[..., list[Combination]]) -> Callable[..., tuple[pd.DataFrame, Any]]:
    """Collects hand-made values of every combination of a small experiment: (records, summary)."""

    def collected(encodings: dict[str, Any], rows: list[dict[str, str]], value: Any = None, **changes: Any) -> Any:
        combinations = planned(encodings)
        values, provenance = [], []
        for i, combination in enumerate(combinations):
            values.append(str(tmp_path / f"{i}.csv"))
            provenance.append(str(tmp_path / f"{i}.json"))
            scored = [
                {"signal": r["name"], "set": r["set"], "split": "test", "metric": "psnr", "step": step}
                | {"value": value(combination, r) if value else 20.0 + i, "status": "ok"}
                for r in rows
                for step in (1, 20)
            ]
            write_values(values[-1], scored)
            facts: dict[str, Any] = {
                "bandwidth": None,
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
        settings = {"paper": "p", "experiment": "small", "preset": "smoke", "report_step": None}
        settings["combinations"] = [{"combination": c.label, **c.settings} for c in combinations]  # type: ignore[assignment]
        outputs = str(tmp_path / "records.parquet"), str(tmp_path / "summary.json")
        collect_records(settings | changes, values, provenance, str(tmp_path / "rows.json"), *outputs)
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
    for name in ("sigma", "bandwidth", "features", "learning_rate", "value"):
        assert records[name].dtype == np.float64, name
    for name in ("final", "chosen"):
        assert records[name].dtype == bool, name
    for name in ("seed", "depth", "width", "steps", "step"):
        assert records[name].dtype == np.int64, name


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
