"""Records: tidy tables that join what the fits measured with the settings they were planned with."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from posenc.files import write_bytes, write_json

# The order in which records carry what describes a row; the rest are the values' own columns.
SETTING_COLUMNS = (
    "paper", "experiment", "preset", "combination", "seed", "encoding", "sigma", "bandwidth", "features", "variant",
    "network", "depth", "width", "learning_rate", "steps", "precision", "device",
)  # fmt: skip
NUMBERS = ("sigma", "bandwidth", "features", "learning_rate", "value")
# Two combinations that differ in nothing but these compete for being the chosen sigma.
NOT_COMPARED = ("sigma", "bandwidth", "seed", "combination", "precision", "device")


def collect_records(
    settings: Mapping[str, Any],
    values: Sequence[str],
    provenance: Sequence[str],
    rows: str,
    records_path: str,
    summary_path: str,
) -> None:
    """Write an experiment's records and a summary of where and how they were made.

    `values` and `provenance` stand in the order of `settings["combinations"]`; `rows` describes the signals.
    """
    facts = [json.loads(Path(path).read_text()) for path in provenance]
    common = {name: settings[name] for name in ("paper", "experiment", "preset")}
    frames = []
    for combination, path, fact in zip(settings["combinations"], values, facts, strict=True):
        frame = read_values(path)
        measured = {name: fact[name] for name in ("bandwidth", "precision", "device")}
        frames.append(frame.assign(**common, **combination, **measured))
    records = join_sources(pd.concat(frames, ignore_index=True), json.loads(Path(rows).read_text()))
    records["final"] = is_final(records, settings["report_step"])
    records["chosen"] = is_chosen(records)
    write_records(records, records_path)
    write_json(summary_path, summary(common, facts))


def read_values(path: str) -> pd.DataFrame:
    """A fit's values as written: a signal keeps its name even where that looks like a number (0801) or a gap (NA)."""
    return pd.read_csv(
        path,
        dtype={"signal": str},
        keep_default_na=False,
        na_values={"item": "", "replicate": "", "condition": "", "value": "nan"},
    )


def join_sources(records: pd.DataFrame, rows: Iterable[Mapping[str, str]]) -> pd.DataFrame:
    """Add `source`, the independent picture each signal comes from, and put the columns in their order."""
    records = records.assign(source=records["signal"].map({row["name"]: row["source"] for row in rows}))
    records[list(NUMBERS)] = records[list(NUMBERS)].astype("float64")
    described = [*SETTING_COLUMNS, "signal", "set", "source"]
    return records[[*described, *(column for column in records if column not in described)]]


def is_final(records: pd.DataFrame, report_step: int | None) -> pd.Series:
    """Rows at the step that is reported. Scores that are only taken at the end count whatever that step is."""
    key = ["combination", "signal", "split", "metric"]
    last = records.groupby(key)["step"].transform("max")
    if report_step is None:
        return records["step"] == last
    has_it = (records["step"] == report_step).groupby([records[column] for column in key]).transform("any")
    return records["step"] == last.where(~has_it, report_step)


def is_chosen(records: pd.DataFrame) -> pd.Series:
    """Rows of the sigma whose mean final test score over the tuning signals and seeds is best.

    Only combinations that differ in nothing else compete. Rows without a sweep are chosen; a sweep without tuning
    signals chooses nothing. A diverged fit makes its sigma ineligible.
    """
    settings = [column for column in SETTING_COLUMNS if column not in NOT_COMPARED]
    groups = records[settings].astype("string").fillna("").agg("|".join, axis=1)
    sigma = records["sigma"].fillna(0.0)
    tuning = (
        records["final"] & (records["set"] == "tuning") & (records["split"] == "test") & (records["metric"] == "psnr")
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
