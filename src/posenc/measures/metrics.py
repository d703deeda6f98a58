"""What the encodings of an experiment are like where it trains: stable rank and distance preservation."""

import hashlib
import math
from collections.abc import Mapping
from typing import Any

import torch

from posenc.encodings.base import Encoding
from posenc.encodings.per_axis import PerAxis
from posenc.files import write_json
from posenc.problems.grid import Grid
from posenc.signals.stored import read_signals
from posenc.theory.distance import half_width, similarity
from posenc.theory.stable_rank import kronecker_rank, rank_of_product, stable_rank
from posenc.training.fit import read_theory
from posenc.training.stack import build, draws, encoding_of, problem_of, seed_of

# Displacements at which similarities are looked at, from half the domain before the middle to half behind it: evenly,
# so that no side lobe is missed, and in equal ratios towards 0, so that the narrowest peak is met.
EVEN, RATIOS, NEAREST = 1 << 11, 512, 1e-5


def run_metrics(spec: Mapping[str, Any], output: str) -> None:
    """Write the metrics of every member of every combination, as `{label: [{setting or metric: value}, ...]}`.

    spec: `signals` (npz and json) and `fits`: of each combination label, spec, maybe theory, and by which settings its
    members are known. Encodings are taken as they are before training. Members whose encodings and places are equal
    share their numbers.
    """
    arrays, _ = read_signals(spec["signals"]["npz"], spec["signals"]["json"])
    first = {name: torch.from_numpy(array[:1]) for name, array in arrays.items()}
    known: dict[tuple[str, str], dict[str, Any]] = {}
    found: dict[str, list[dict[str, Any]]] = {}
    for fit in spec["fits"]:
        combination, theory = fit["spec"], read_theory(fit.get("theory"))
        for member, part in enumerate(combination["members"]):
            seen = problem_of(combination, member)
            problem = build(seen, first, seed=seed_of(combination, member))
            encoding = encoding_of(combination, member, problem.dimensions, draws(combination, member), theory)
            # At scattered places, too, one seed's are like another's.
            key = (repr([part | {"seed": None, "network": None}, seen]), digest_of(encoding))
            if key not in known:
                known[key] = metrics(encoding, problem.inputs(1))
            found.setdefault(fit["label"], []).append(fit["known_as"][member] | known[key])
    write_json(output, found)


def metrics(encoding: Encoding, places: Grid | torch.Tensor) -> dict[str, Any]:
    """Stable rank of the training places' features, and half the width of their similarity at the level 0.1.

    `points`: how many places there are.
    `stable_rank`, `distance` (unit length, along the diagonal of the domain): computed from the encoding itself;
    `stable_rank_closed`, `distance_closed`: by formula, for infinitely many features. None where there is none;
    `metrics_note` says why for the first two. An encoding for each axis stands for the Kronecker product of them.
    `dimensions`: how many axes the domain has.
    """
    displacements = displacements_of_both_kinds()
    notes = []
    if isinstance(encoding, PerAxis):
        rank = kronecker_rank(encoding, places) if isinstance(places, Grid) else None
        axes = list(encoding.encodings)
        falling = torch.stack([similarity(axis, displacements) for axis in axes]).prod(0)
    else:
        rank = stable_rank(encoding, places)
        axes = [encoding]
        falling = similarity(encoding, displacements)
    if rank is None:
        notes.append("stable_rank: no rank of a Kronecker code is computed at scattered points")
    width = None
    if falling.isnan().any():
        notes.append("distance: some points have no features at all, since sigma is below what the centres resolve")
    elif (width := half_width(displacements, falling)) is None:
        notes.append("distance: similarity does not fall to 0.1 within the domain")
    return {
        "dimensions": encoding.in_dim,
        "points": len(places),
        "stable_rank": rank,
        "distance": width,
        "stable_rank_closed": closed_rank(axes, places),
        "distance_closed": closed_width(axes, displacements),
        "metrics_note": "; ".join(notes) or None,
    }


def displacements_of_both_kinds() -> torch.Tensor:
    """Rising, from -1/2 to 1/2, float64."""
    even = torch.linspace(-0.5, 0.5, EVEN + 1, dtype=torch.float64)
    near = torch.logspace(math.log10(NEAREST), math.log10(0.5), RATIOS, dtype=torch.float64)[:-1]
    return torch.cat([even, near, -near]).unique()


def closed_rank(axes: list[Encoding], places: Grid | torch.Tensor) -> float | None:
    """By formula, where each encoding is of one axis of a grid."""
    if not isinstance(places, Grid) or len(axes) != places.dimensions:
        return None
    ranks = [encoding.closed_rank(len(axis)) for encoding, axis in zip(axes, places.axes, strict=True)]
    known = [rank for rank in ranks if rank is not None]
    return rank_of_product(known) if len(known) == len(ranks) else None


def closed_width(axes: list[Encoding], displacements: torch.Tensor) -> float | None:
    """By formula, where each encoding is of one axis."""
    found = [encoding.closed_similarity(displacements) for encoding in axes if encoding.in_dim == 1]
    known = [falling for falling in found if falling is not None]
    return half_width(displacements, torch.stack(known).prod(0)) if known and len(known) == len(axes) else None


def digest_of(encoding: Encoding) -> str:
    """What an encoding's random draws are, beside its settings."""
    digest = hashlib.sha256()
    for name, tensor in sorted(encoding.state_dict().items()):
        digest.update(name.encode() + tensor.numpy().tobytes())
    return digest.hexdigest()
