"""From records to a paper's claims.json, and a table of its verdicts."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from posenc.claims.judge import judge_claims
from posenc.files import write_bytes, write_json
from posenc.reporting.artefacts import by_experiment

COMPARISON_COLUMNS = (
    "verdict", "estimate", "low", "high", "confidence", "threshold", "unit", "published", "sources", "pairs",
    "diverged", "p_value", "p_holm", "p_wilcoxon", "reason",
)  # fmt: skip


def judge_paper(
    claims: list[dict[str, Any]],
    records: Sequence[str],
    published: Mapping[str, Any],
    preset: str,
    claims_path: str,
    table_path: str,
) -> None:
    """Write the verdicts as JSON, and as CSV with a row per comparison."""
    judged = judge_claims(claims, by_experiment(records), published, preset)
    write_json(claims_path, judged)
    write_bytes(table_path, comparison_rows(judged).to_csv(index=False, lineterminator="\n").encode())


def comparison_rows(judged: Mapping[str, Any]) -> pd.DataFrame:
    """One row per comparison of every claim."""
    rows = []
    for claim in judged["claims"]:
        for comparison in claim["comparisons"]:
            flat = {**comparison, "published": (comparison["published"] or {}).get("value")}
            flat["low"], flat["high"] = comparison["interval"]
            rows.append(
                {
                    "claim": claim["number"],
                    "title": claim["title"],
                    "comparison": comparison["name"],
                    **{column: flat[column] for column in COMPARISON_COLUMNS},
                }
            )
    return pd.DataFrame(rows)
