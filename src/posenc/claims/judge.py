"""Verdicts: claims, records and published numbers in, the content of claims.json out."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from posenc.claims.evidence import Evidence, NoRecordsError, Records
from posenc.claims.inference import Outcome, Samples, difference_of_means, has_spread, holm_outcomes
from posenc.claims.model import Claim, ClaimError, Comparison, read_claims
from posenc.claims.published import published_value
from posenc.claims.statistics import evidence_for

FEWEST_SOURCES = 3
NOT_JUDGED = Outcome(
    estimate=math.nan,
    interval=(math.nan, math.nan),
    confidence=math.nan,
    p_value=math.nan,
    p_holm=math.nan,
    p_wilcoxon=math.nan,
    verdict="not judged",
)


@dataclass(frozen=True)
class Finding:
    """The evidence for one comparison, and what keeps it from being judged ("" if nothing does)."""

    evidence: Evidence
    obstacle: str


def judge_claims(
    claims: list[dict[str, Any]],
    records: Mapping[str, pd.DataFrame],
    published: Mapping[str, Any],
    preset: str,
) -> dict[str, Any]:
    """Content of claims.json: every claim with its verdict and reason, and those of its comparisons."""
    read = read_claims(claims)
    return {
        "paper": read[0].paper,
        "preset": preset,
        "claims": [_judged_claim(claim, records, published, preset) for claim in read],
    }


def _judged_claim(
    claim: Claim, records: Mapping[str, pd.DataFrame], published: Mapping[str, Any], preset: str
) -> dict[str, Any]:
    own_records = {experiment: records.get(experiment) for experiment in claim.experiments}
    findings = [_finding(claim, comparison, own_records, preset) for comparison in claim.comparisons]
    exact = [i for i, finding in enumerate(findings) if finding.evidence.exact]
    judgeable = [i for i, finding in enumerate(findings) if not finding.obstacle and i not in exact]
    signs = {i: 1 if comparison.direction == "above" else -1 for i, comparison in enumerate(claim.comparisons)}
    judged = holm_outcomes(
        [turned(findings[i].evidence.samples, signs[i]) for i in judgeable],
        [signs[i] * claim.comparisons[i].threshold for i in judgeable],
        # Where nothing is left to chance, no verdict can be wrong by chance.
        size=len(findings) - len(exact),
    )
    outcomes = {i: turned_back(outcome, signs[i]) for i, outcome in zip(judgeable, judged, strict=True)}
    outcomes |= {
        i: exact_outcome(findings[i].evidence, claim.comparisons[i]) for i in exact if not findings[i].obstacle
    }
    comparisons = []
    for i, (comparison, finding) in enumerate(zip(claim.comparisons, findings, strict=True)):
        with _naming(claim, comparison):
            value = published_value(published, comparison.published)
        comparisons.append(_judged_comparison(comparison, finding, outcomes.get(i, NOT_JUDGED), value))
    verdict = claim_verdict([comparison["verdict"] for comparison in comparisons])
    return {
        "id": claim.id,
        "number": claim.number,
        "title": claim.title,
        "statement": claim.statement,
        "verdict": verdict,
        "reason": _claim_reason(verdict, comparisons),
        "comparisons": comparisons,
    }


def turned(samples: Samples, sign: int) -> Samples:
    """The samples as they are compared: a limit from above is one from below of the negative."""
    return tuple(sign * values for values in samples)


def turned_back(outcome: Outcome, sign: int) -> Outcome:
    """The outcome in the numbers' own sign."""
    low, high = sorted(sign * end for end in outcome.interval)
    return replace(outcome, estimate=sign * outcome.estimate, interval=(low, high))


def exact_outcome(evidence: Evidence, comparison: Comparison) -> Outcome:
    """A number without chance against its threshold; it has no interval."""
    value = difference_of_means(evidence.samples)
    above = value > comparison.threshold
    holds = above if comparison.direction == "above" else value < comparison.threshold
    return replace(NOT_JUDGED, estimate=value, verdict="holds" if holds else "fails")


def claim_verdict(verdicts: Sequence[str]) -> str:
    """Holds if all hold, fails if any fails, not judged if none was; else inconclusive."""
    if "fails" in verdicts:
        return "fails"
    return verdicts[0] if len(set(verdicts)) == 1 else "inconclusive"


def _claim_reason(verdict: str, comparisons: Sequence[Mapping[str, Any]]) -> str:
    """Which comparisons keep a claim from holding; why, if none could be judged."""
    if verdict == "not judged":
        return "; ".join(dict.fromkeys(comparison["reason"] for comparison in comparisons))
    groups = {
        kind: [comparison["name"] for comparison in comparisons if comparison["verdict"] == kind]
        for kind in ("fails", "inconclusive", "not judged")
    }
    return "; ".join(f"{kind}: {', '.join(names)}" for kind, names in groups.items() if names)


def _finding(claim: Claim, comparison: Comparison, records: Records, preset: str) -> Finding:
    """Computed at every preset, so that a smoke run meets the mistakes in claims.yaml."""
    evidence = Evidence(samples=(), pairs=0, diverged=0, notes=())
    obstacle = ""
    with _naming(claim, comparison):
        try:
            evidence = evidence_for(comparison.statistic, records, comparison.arguments)
        except NoRecordsError as error:
            obstacle = str(error)
    if preset not in claim.presets:
        return Finding(replace(evidence, notes=()), f"not judged at {preset}, only at {', '.join(claim.presets)}")
    return Finding(evidence, obstacle or _obstacle(evidence))


def _obstacle(evidence: Evidence) -> str:
    if evidence.exact:
        return ""
    if evidence.pairs == 0 and evidence.diverged > 0:
        return f"all {evidence.diverged} pairs diverged"
    fewest = min(len(sample) for sample in evidence.samples)
    if fewest < FEWEST_SOURCES:
        return f"{fewest} independent source{'s' * (fewest != 1)}, at least {FEWEST_SOURCES} are needed"
    if not has_spread(evidence.samples):
        return "every source gives the same value, so there is no spread to judge by"
    return ""


def _judged_comparison(
    comparison: Comparison, finding: Finding, outcome: Outcome, published: dict[str, Any] | None
) -> dict[str, Any]:
    evidence = finding.evidence
    return {
        "name": comparison.name,
        "statistic": comparison.statistic,
        "estimate": _plain(outcome.estimate),
        "interval": [_plain(end) for end in outcome.interval],
        "confidence": _plain(outcome.confidence),
        "threshold": comparison.threshold,
        "direction": comparison.direction,
        "sources": sum(len(sample) for sample in evidence.samples),
        "pairs": evidence.pairs,
        "diverged": evidence.diverged,
        "p_value": _plain(outcome.p_value),
        "p_holm": _plain(outcome.p_holm),
        "p_wilcoxon": _plain(outcome.p_wilcoxon),
        "verdict": outcome.verdict,
        "reason": "; ".join(filter(None, [finding.obstacle, *evidence.notes, "exact" if evidence.exact else ""])),
        "published": published,
        "unit": comparison.unit,
    }


def _plain(value: float) -> float | None:
    return None if math.isnan(value) else float(value)


@contextmanager
def _naming(claim: Claim, comparison: Comparison) -> Iterator[None]:
    """Says in a ClaimError which comparison of which claim it is about."""
    try:
        yield
    except ClaimError as error:
        raise ClaimError(f"claim {claim.id}, comparison {comparison.name!r}: {error}") from None
