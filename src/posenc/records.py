"""Records: tidy tables that join what the fits measured with the settings they were planned with."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from posenc.files import write_bytes, write_json

# How many axes the domain of an encoding has, and on how many points it trains; what is measured of it there; the same
# by formula, where it has one; and why a number is missing.
METRICS = ("dimensions", "points", "stable_rank", "distance", "stable_rank_closed", "distance_closed", "metrics_note")
# The order in which records carry what describes a row; the rest are the values' own columns.
SETTING_COLUMNS = (
    "paper", "experiment", "preset", "combination", "member", "seed", "encoding", "sigma", "bandwidth", *METRICS,
    "features", "variant", "network", "depth", "width", "optimizer", "learning_rate", "steps", "precision", "device",
)  # fmt: skip
# Any other column is a parameter of an encoding or network, and stands between these and those.
KNOWN = (
    *SETTING_COLUMNS, "signal", "set", "source", "item", "replicate", "condition", "split", "metric", "step", "value",
    "status",
)  # fmt: skip
NUMBERS = ("sigma", "bandwidth", *METRICS[:-1], "features", "learning_rate", "value")
# What a value is of; the last of its steps is final.
VALUE_KEY = ("combination", "member", "signal", "set", "item", "condition", "split", "metric")
# Two members of combinations that differ in nothing but these compete for being the chosen sigma.
NOT_COMPARED = ("sigma", "bandwidth", *METRICS, "seed", "combination", "member", "precision", "device")


def collect_records(
    settings: Mapping[str, Any],
    values: Sequence[str],
    provenance: Sequence[str],
    rows: str,
    metrics: str,
    records_path: str,
    summary_path: str,
) -> None:
    """Write an experiment's records and a summary of where and how they were made.

    `values` and `provenance` stand in the order of `settings["combinations"]`, each with settings of its own and those
    of its `members`; `rows` describes the signals, `metrics` the encodings.
    """
    facts = [json.loads(Path(path).read_text()) for path in provenance]
    measured_encodings = json.loads(Path(metrics).read_text())
    common = {name: settings[name] for name in ("paper", "experiment", "preset")}
    frames = []
    for combination, path, fact in zip(settings["combinations"], values, facts, strict=True):
        of_all = {name: value for name, value in combination.items() if name != "members"}
        run = {name: fact[name] for name in ("precision", "device")}
        described = zip(
            combination["members"], fact["members"], measured_encodings[combination["combination"]], strict=True
        )
        members = pd.DataFrame(
            [
                {
                    "member": number,
                    **member,
                    "bandwidth": found["bandwidth"],
                    **{name: measured[name] for name in METRICS},
                }
                for number, (member, found, measured) in enumerate(described)
            ]
        )
        frames.append(read_values(path).merge(members, how="left", on="member").assign(**common, **of_all, **run))
    records = join_rows(pd.concat(frames, ignore_index=True), json.loads(Path(rows).read_text()))
    records["final"] = is_final(records, settings["report_step"])
    # Of a sweep that is only shown, every sigma stands for itself.
    records["chosen"] = is_chosen(records, *settings["chosen_by"]) if settings["chosen_by"] else True
    write_records(records, records_path)
    write_json(summary_path, summary(common, facts))


def read_values(path: str) -> pd.DataFrame:
    """A fit's values as written: a signal keeps its name even where that looks like a number (0801) or a gap (NA).

    So do a part and a condition; theirs may be empty.
    """
    return pd.read_csv(
        path,
        dtype={"signal": str, "item": str, "condition": str},
        keep_default_na=False,
        na_values={"item": "", "replicate": "", "condition": "", "value": "nan"},
    )


def join_rows(records: pd.DataFrame, rows: Sequence[Mapping[str, str]]) -> pd.DataFrame:
    """Add what the signals' rows say, and put the columns in their order.

    `source` is what an independent value comes from: the signal's source, or a part of it (a view) that is scored by
    itself. `condition` is the signal's, where a value has none of its own.
    """
    source = records["signal"].map({row["name"]: row["source"] for row in rows}).astype(str)
    of_item = source + "/" + records["item"].astype(str)
    records = records.assign(source=source.where(records["item"].isna(), of_item))
    conditions = {row["name"]: row["condition"] for row in rows if "condition" in row}
    if conditions:
        given = records["signal"].map(conditions)
        records["condition"] = records["condition"].astype(object).where(records["condition"].notna(), given)
    records[list(NUMBERS)] = records[list(NUMBERS)].astype("float64")
    leading = [*SETTING_COLUMNS, *(column for column in records if column not in KNOWN), *KNOWN[len(SETTING_COLUMNS) :]]
    return records[leading]


def is_final(records: pd.DataFrame, report_step: int | None) -> pd.Series:
    """Rows at the step that is reported. Scores that are only taken at the end count whatever that step is."""
    key = [records[column] for column in VALUE_KEY]
    last = records["step"].groupby(key, dropna=False).transform("max")
    if report_step is None:
        return records["step"] == last
    has_it = (records["step"] == report_step).groupby(key, dropna=False).transform("any")
    return records["step"] == last.where(~has_it, report_step)


def is_chosen(records: pd.DataFrame, metric: str, split: str) -> pd.Series:
    """Rows of the sigma whose mean final score (this metric of this split) over tuning signals and seeds is highest.

    Only combinations that differ in nothing else compete. Rows without a sweep are chosen; a sweep without tuning
    signals chooses nothing. A diverged fit makes its sigma ineligible.
    """
    described = list(records.columns[: list(records.columns).index("signal")])
    settings = [column for column in described if column not in NOT_COMPARED]
    groups = records.groupby(settings, dropna=False, sort=False).ngroup()
    sigma = records["sigma"].fillna(0.0)
    tuning = (
        records["final"] & (records["set"] == "tuning") & (records["split"] == split) & (records["metric"] == metric)
    )
    ineligible = tuning & (records["status"] != "ok")
    scores = records["value"].mask(ineligible, float("-inf"))[tuning].groupby([groups, sigma]).mean()
    best = scores[scores > float("-inf")].groupby(level=0).idxmax().map(lambda found: found[1])
    sweeps = sigma.groupby(groups).transform("nunique") > 1
    return ~sweeps | (sigma == groups.map(best))


def write_records(records: pd.DataFrame, path: str) -> None:
    write_bytes(path, records.to_parquet(index=False))


def concatenate_records(paths: Iterable[str], output: str) -> None:
    """All records of a paper in one table, for people."""
    write_records(pd.concat([pd.read_parquet(path) for path in paths], ignore_index=True), output)


def summary(common: Mapping[str, Any], facts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Where, how and how long an experiment's fits ran."""

    def distinct(name: str) -> list[Any]:
        return sorted({fact[name] for fact in facts})

    return {
        **common,
        "combinations": len(facts),
        "fits": sum(fact["fits"] for fact in facts),
        "diverged": sum(fact["diverged"] for fact in facts),
        "seconds": sum(fact["seconds"] for fact in facts),
        "peak_memory": max(fact["peak_memory"] for fact in facts),
        "devices": distinct("device_name"),
        "precisions": distinct("precision"),
        "torch": distinct("torch"),
        "last_finished": max(fact["finished"] for fact in facts),
    }
