"""Published numbers looked up by path, so that no claim types a number twice."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from posenc.claims.model import ClaimError, PublishedReferences, among


def published_value(published: Mapping[str, Any], references: PublishedReferences | None) -> dict[str, Any] | None:
    """{"value", "source"} of a sum of published means, or None where a number is not published."""
    if references is None:
        return None
    plus = [_mean_and_source(published, path) for path in references.of]
    minus = [_mean_and_source(published, path) for path in references.minus]
    means = [mean for mean, _ in plus] + [None if mean is None else -mean for mean, _ in minus]
    known = [mean for mean in means if mean is not None]
    if len(known) < len(means):
        return None
    sources = dict.fromkeys(source for _, source in plus + minus)
    return {"value": float(sum(known)), "source": "; ".join(sources)}


def _mean_and_source(published: Mapping[str, Any], path: str) -> tuple[float | None, str]:
    """The mean (or the single number) at a dotted path, and the source stated by its innermost group."""
    node: Any = published
    source: str | None = None
    for key in path.split("."):
        if not isinstance(node, Mapping) or key not in node:
            raise ClaimError(f"published number {path!r} is not in published.yaml: {_advice(node, key)}")
        node = node[key]
        if isinstance(node, Mapping):
            source = node.get("source", source)
    if isinstance(node, Mapping) and "mean" in node:
        node = node["mean"]
    if node is not None and (isinstance(node, bool) or not isinstance(node, int | float)):
        raise ClaimError(f"published number {path!r} is not a number; point at a mean or at a single reading")
    if source is None:
        raise ClaimError(f"published number {path!r} has no source; add a 'source' to its group in published.yaml")
    return node, source


def _advice(node: Any, key: str) -> str:
    keys = [str(known) for known in node] if isinstance(node, Mapping) else []
    return f"no {key!r} {among(key, keys)}"
