"""What the encodings of an experiment are like where it trains: stable rank and distance preservation."""

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from posenc.encodings.base import Encoding
from posenc.encodings.per_axis import PerAxis
from posenc.files import write_json
from posenc.memory import keep_freed_memory
from posenc.problems.grid import Grid
from posenc.signals.stored import read_signals
from posenc.theory.distance import half_width, similarity
from posenc.theory.stable_rank import kronecker_rank, rank_of_product, stable_rank
from posenc.training.fit import read_theory
from posenc.training.stack import NOT_OF_ENCODING, build, draws, encoding_of, problem_of, seed_of

# Displacements at which similarities are looked at, from half the domain before the middle to half behind it: evenly,
# so that no side lobe is missed, and in equal ratios towards 0, so that the narrowest peak is met.
EVEN, RATIOS, NEAREST = 1 << 11, 512, 1e-5


def run_metrics(spec: Mapping[str, Any], output: str) -> None:
    """Write the metrics of every member of every combination, as `{label: [{setting or metric: value}, ...]}`.

    spec: `signals` (npz and json) and `fits`: of each combination label, spec, maybe theory, and by which settings its
    members are known. Encodings are taken as they are before training. Members whose encodings are equal share what
    comes from those alone, and with equal places the ranks, too.
    """
    keep_freed_memory()
    arrays, _ = read_signals(spec["signals"]["npz"], spec["signals"]["json"])
    first = {name: torch.from_numpy(array[:1]) for name, array in arrays.items()}
    falls: dict[str, Falling] = {}
    known: dict[tuple[str, str], dict[str, Any]] = {}
    found: dict[str, list[dict[str, Any]]] = {}
    for fit in spec["fits"]:
        combination, theory = fit["spec"], read_theory(fit.get("theory"))
        for member, part in enumerate(combination["members"]):
            seen = problem_of(combination, member)
            problem = build(seen, first, seed=seed_of(combination, member))
            encoding = encoding_of(combination, member, problem.dimensions, draws(combination, member), theory)
            itself = repr([part | dict.fromkeys(NOT_OF_ENCODING), digest_of(encoding)])
            # At scattered places, too, one seed's are like another's.
            key = (itself, repr(seen))
            if itself not in falls:
                falls[itself] = falling_of(encoding)
            if key not in known:
                known[key] = metrics(encoding, problem.inputs(1), falls[itself])
            found.setdefault(fit["label"], []).append(fit["known_as"][member] | known[key])
    write_json(output, found)


@dataclass(frozen=True)
class Falling:
    """How the similarity of an encoding falls, wherever it is trained."""

    width: float | None
    width_closed: float | None
    note: str | None  # why there is no width


def falling_of(encoding: Encoding) -> Falling:
    """Half the width of an encoding's similarity at the level 0.1, from itself and by formula.

    An encoding for each axis stands for the Kronecker product of them.
    """
    displacements = displacements_of_both_kinds()
    axes = axes_of(encoding)
    falling = torch.stack([similarity(axis, displacements) for axis in axes]).prod(0)
    width, note = None, None
    if falling.isnan().any():
        note = "distance: some points have no features at all, since sigma is below what the centres resolve"
    elif (width := half_width(displacements, falling)) is None:
        note = "distance: similarity does not fall to 0.1 within the domain"
    return Falling(width, closed_width(axes, displacements), note)


def metrics(encoding: Encoding, places: Grid | torch.Tensor, falling: Falling | None = None) -> dict[str, Any]:
    """Stable rank of the training places' features, and half the width of their similarity at the level 0.1.

    `points`: how many places there are.
    `stable_rank`, `distance` (unit length, along the diagonal of the domain): computed from the encoding itself;
    `stable_rank_closed`, `distance_closed`: by formula, for infinitely many features. None where there is none;
    `metrics_note` says why for the first two. An encoding for each axis stands for the Kronecker product of them.
    `dimensions`: how many axes the domain has. falling: the encoding's, where it is known already.
    """
    falling = falling or falling_of(encoding)
    rank: float | None = None
    if not isinstance(encoding, PerAxis):
        rank = stable_rank(encoding, places)
    elif isinstance(places, Grid):
        rank = kronecker_rank(encoding, places)
    no_rank = None if rank is not None else "stable_rank: no rank of a Kronecker code is computed at scattered points"
    return {
        "dimensions": encoding.in_dim,
        "points": len(places),
        "stable_rank": rank,
        "distance": falling.width,
        "stable_rank_closed": closed_rank(axes_of(encoding), places),
        "distance_closed": falling.width_closed,
        "metrics_note": "; ".join(note for note in (no_rank, falling.note) if note) or None,
    }


def axes_of(encoding: Encoding) -> list[Encoding]:
    """The encodings of the axes, or the one of all."""
    return list(encoding.encodings) if isinstance(encoding, PerAxis) else [encoding]


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
    """What an encoding is beside its settings: one of all axes or one for each, and its random draws."""
    digest = hashlib.sha256(type(encoding).__name__.encode())
    for name, tensor in sorted(encoding.state_dict().items()):
        digest.update(name.encode() + tensor.numpy().tobytes())
    return digest.hexdigest()
