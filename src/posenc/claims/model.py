"""The form of claims.yaml. Imports no scipy: the planner reads claims too."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator


class ClaimError(ValueError):
    """A mistake in claims.yaml, said in one message: what, where, what to do."""


def among(name: str, known: Sequence[str]) -> str:
    """'among a, b; did you mean a?' for an error message about an unknown name."""
    nearest = difflib.get_close_matches(name, known, n=1)
    advice = f"; did you mean {nearest[0]!r}?" if nearest else ""
    return f"among {', '.join(sorted(known)) or 'nothing'}{advice}"


class _Form(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PublishedReferences(_Form):
    """Paths into published.yaml: the sum of the means at `of` less the sum of the means at `minus`."""

    of: list[str] = Field(min_length=1)
    minus: list[str] = []


class Comparison(_Form):
    """One statistic against one threshold: one verdict."""

    name: str = Field(min_length=1)
    statistic: str  # a name in posenc.claims.statistics.STATISTICS
    arguments: dict[str, Any]
    threshold: float
    direction: Literal["above", "below"]
    unit: str
    published: PublishedReferences | None = None


class Claim(_Form):
    """One claim of a paper; its comparisons form one family of tests."""

    id: str = Field(pattern=r"^[a-z][a-z0-9_]*_claim_[a-z]?[0-9]+$")
    number: int | str  # text where a paper's successor counts anew: G1
    title: str = Field(min_length=1)
    statement: str = Field(min_length=1)
    experiments: list[str] = Field(min_length=1)
    presets: list[Literal["laptop", "paper"]] = Field(min_length=1)  # smoke is too small to judge anything
    comparisons: list[Comparison] = Field(min_length=1)

    @property
    def paper(self) -> str:
        return re.sub(r"_claim_[a-z]?[0-9]+$", "", self.id)

    @model_validator(mode="after")
    def _names_agree(self) -> Claim:
        if self.id != f"{self.paper}_claim_{str(self.number).lower()}":
            raise ValueError(f"id {self.id!r} and number {self.number} differ; the id ends in the number")
        names = [comparison.name for comparison in self.comparisons]
        if len(set(names)) < len(names):
            raise ValueError(f"comparison names repeat: {', '.join(names)}; give each its own")
        return self


def read_claims(raw: Sequence[Mapping[str, Any]]) -> list[Claim]:
    """The claims of one paper, checked; one ClaimError for the first claim that is not well formed."""
    if not isinstance(raw, Sequence) or isinstance(raw, str) or not raw:
        raise ClaimError("claims.yaml: expected a list with at least one claim")
    claims = [_read_claim(index, item) for index, item in enumerate(raw)]
    ids = [claim.id for claim in claims]
    if len(set(ids)) < len(ids):
        raise ClaimError(f"claims.yaml: ids repeat: {', '.join(ids)}; give each claim its own")
    papers = sorted({claim.paper for claim in claims})
    if len(papers) > 1:
        raise ClaimError(f"claims.yaml: ids name several papers ({', '.join(papers)}); one file, one paper")
    return claims


def _read_claim(index: int, item: Any) -> Claim:
    name = item.get("id", f"number {index + 1} of the list") if isinstance(item, Mapping) else index + 1
    try:
        return Claim.model_validate(item)
    except ValidationError as error:
        mistakes = [f"{'.'.join(map(str, e['loc'])) or 'claim'}: {e['msg']}" for e in error.errors()]
        raise ClaimError(f"claims.yaml, claim {name}: {'; '.join(mistakes)}") from None
