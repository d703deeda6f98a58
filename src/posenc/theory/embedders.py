"""Stable rank and distance preservation of encodings on a line (Zheng et al. 2021): what the studies' jobs call.

Ids such as R-F3 name groups of the authors' figures; the paper's own numbers for them are not known. As in their code,
N points i / N lie on [0, 1) and shifted encodings on a circle, where their features are a circulant matrix; where a row
says `condition: line`, the circle is cut open and centres lie on [0, 1) alone. Random Fourier features know no circle.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from scipy.stats import spearmanr
from torch import Tensor

from posenc.encodings.base import Encoding, FourierEncoding
from posenc.encodings.gaussian import Gaussian
from posenc.encodings.shifted import (
    Bump,
    Impulse,
    Profile,
    Rectangle,
    ShiftedGaussian,
    Sinc,
    Sine,
    SineSquared,
    SquareWave,
    Triangle,
    wrapped,
)
from posenc.theory.distance import half_width, similarity
from posenc.theory.stable_rank import Line, circle_rank, rank_of, stable_rank, stationary_gram, toeplitz_gram
from posenc.theory.study import Found, Inputs

KNOWN = (Gaussian, Impulse, Rectangle, ShiftedGaussian, Sinc, Sine, SineSquared, SquareWave, Triangle)
EVEN_STEPS = 1 << 14  # at least so many displacements around the circle
# Uneven displacements: steps of 4 %, between which straight lines err by less than 0.1 % of a half-width.
NARROWEST = 1e-5
_AWAY = torch.logspace(math.log10(NARROWEST), math.log10(0.5), 300, dtype=torch.float64)
AROUND = torch.cat([-_AWAY.flip(0), torch.zeros(1, dtype=torch.float64), _AWAY])
SHOWN_EVERY = 16  # of the even displacements, in curves
CLEAR_OF_KNEE = 1.8  # times the plateau: with as many points the minimum in the formula has no bearing
TRADE_OFF = math.sqrt(math.log(10) / math.pi)  # stable rank times half-width of a Gaussian D: 0.856


def built(described: Mapping[str, Any], features: int, seed: int = 0) -> Encoding:
    """The one-dimensional encoding that {encoding, sigma, ...} describe, on a circle if it can be."""
    asked: dict[str, Any] = {**described, "features": features}
    name = asked.pop("encoding")
    for known in KNOWN:
        if known.name == name:
            if known is Gaussian:
                asked["generator"] = torch.Generator().manual_seed(seed)
            if issubclass(known, Bump):
                asked["periodic"] = True
            return known(1, **asked)
    names = ", ".join(known.name for known in KNOWN)
    raise ValueError(f"theory of embedders: no encoding {name!r} among {names}")


def rank(encoding: Encoding, samples: int) -> float:
    """Stable rank of `samples` equispaced points; functions on a circle have as many centres as divide by them."""
    if isinstance(encoding, Profile):
        return circle_rank(encoding.profile, samples, encoding.centres)
    return stable_rank(encoding, torch.arange(samples, dtype=torch.float64)[:, None] / samples)


def limit_rank(encoding: Encoding, samples: int) -> float:
    """As `rank`; of random features the one of infinitely many, whose inner products are the closed similarity."""
    return line_rank(encoding, samples) if isinstance(encoding, FourierEncoding) else rank(encoding, samples)


def line_rank(encoding: Encoding, samples: int) -> float:
    """Stable rank of `samples` points on the line; of random features that of infinitely many, from D."""
    points = torch.arange(samples, dtype=torch.float64) / samples
    if isinstance(encoding, FourierEncoding):
        return rank_of(toeplitz_gram(closed(encoding, points)))
    return stable_rank(cut_open(encoding), points[:, None])


def cut_open(encoding: Encoding) -> Encoding:
    """The encoding on the line instead of the circle."""
    if isinstance(encoding, Bump):
        return type(encoding)(1, sigma=encoding.sigma, features=encoding.centres)
    return encoding


def closed(encoding: Encoding, displacements: Tensor) -> Tensor:
    """The closed form of D, which all encodings here have."""
    found = encoding.closed_similarity(displacements)
    assert found is not None
    return found


def falling(encoding: Encoding) -> tuple[Tensor, Tensor]:
    """Displacements from -1/2 to 1/2, in even steps of at most 1 / 16384 (impulses: in uneven ones), and D there."""
    if isinstance(encoding, FourierEncoding):
        ahead = similarity_ahead(encoding, 1 / EVEN_STEPS, EVEN_STEPS // 2 + 1)
        similar = torch.cat([ahead.flip(0)[:-1], ahead])
    elif isinstance(encoding, Profile):
        around = similarity_around(encoding)
        similar = torch.cat([around.roll(len(around) // 2), around[len(around) // 2, None]])
    else:
        return AROUND, similarity(encoding, AROUND)
    return torch.linspace(-0.5, 0.5, len(similar), dtype=torch.float64), similar


def similarity_ahead(encoding: FourierEncoding, step: float, count: int) -> Tensor:
    """D(i step), i = 0 ... count - 1: the first column of the Gram matrix of points on a line, divided by its first."""
    first = np.zeros(count)
    first[0] = 1.0
    column = torch.from_numpy(stationary_gram(encoding, Line(0.0, step, count, 0.0)).times(first))
    return column / column[0]


def similarity_around(encoding: Profile) -> Tensor:
    """D of a centre and of points at even steps ahead of it, once round the circle; centres are some of the points.

    Points that lie alike between centres have the same features, moved: their inner products with those of the centre
    are a correlation, so one Fourier transform is all that each part of the spacing of centres takes.
    """
    parts = math.ceil(EVEN_STEPS / encoding.centres)
    places = torch.arange(encoding.centres * parts, dtype=torch.float64) / (encoding.centres * parts)
    profile = encoding.profile(wrapped(places)).reshape(encoding.centres, parts)
    spectra = torch.fft.rfft(profile, dim=0)
    products = torch.fft.irfft(spectra[:, :1].conj() * spectra, n=encoding.centres, dim=0)
    norms = profile.norm(dim=0)
    return (products / (norms[0] * norms)).flatten()


def width(encoding: Encoding) -> float | None:
    """Half the measure of the displacements at which D is above 0.1; None where it is never below."""
    return half_width(*falling(encoding))


def closed_width(encoding: Encoding) -> float | None:
    """As `width`, by the closed form; 0 where no width can be told from it."""
    found = half_width(AROUND, closed(encoding, AROUND))
    return 0.0 if found is not None and found < NARROWEST else found


def formula_rank(encoding: Encoding, samples: int) -> float:
    """The closed form of the stable rank, which all encodings here have."""
    found = encoding.closed_rank(samples)
    assert found is not None
    return found


def plateau(encoding: Encoding) -> float:
    """The stable rank of infinitely many points, by formula; infinite where there is no bound."""
    found = formula_rank(encoding, 1 << 62)
    return found if found < 1 << 60 else math.inf


def ranges(parts: Iterable[Sequence[int]]) -> list[int]:
    """[first, last, step] of each part, last included where a step meets it, as one list."""
    return [number for first, last, step in parts for number in range(first, last + 1, step)]


def label(described: Mapping[str, Any]) -> str:
    """What tells embedders of a study apart: `sine/1/0.7`."""
    return "/".join(str(value) if isinstance(value, str) else f"{value:g}" for value in described.values())


# R-F3, R-F4 and R-F5: over the number of points and over the displacement


def embedder_curves(inputs: Inputs) -> Found:
    """Stable rank over N and similarity over the displacement of some embedders, beside their formulas.

    Arrays: `samples`, and below `<label>/` `rank`, `rank_closed`, `displacements`, `similarity`, `similarity_closed`.
    Rows, by embedder in the order of the parameters (`place`): `half_width`; `rank_error`, the largest relative
    difference from the formula at N of at least 1.8 times the plateau; `knee`, the stable rank of as many points as the
    plateau over the plateau; `similarity_error` of functions with a width, the largest difference of D from its closed
    form on the line, where nothing comes round. Further `exact_rank` at the last N and `exact_width`, where random
    features are infinitely many, and `rank_correlation` of the two over all embedders (Spearman).
    """
    asked = inputs.parameters
    samples = ranges(asked["samples"])
    found = Found([], {"samples": np.array(samples)})
    ordered: list[tuple[float, float]] = []
    for place, described in enumerate(asked["embedders"]):
        encoding = built(described, asked["features"])
        name, about = label(described), {**described, "place": place, "features": asked["features"]}
        level = plateau(encoding)
        ranks = np.array([rank(encoding, number) for number in samples])
        formula = np.array([formula_rank(encoding, number) for number in samples])
        found.arrays[f"{name}/rank"], found.arrays[f"{name}/rank_closed"] = ranks, formula
        displacements, similar = falling(encoding)
        wide = half_width(displacements, similar)
        facts = {
            "half_width": wide,
            "exact_rank": limit_rank(encoding, samples[-1]),
            "exact_width": closed_width(encoding) if isinstance(encoding, FourierEncoding) else wide,
        }
        every = slice(None, None, SHOWN_EVERY if len(displacements) > EVEN_STEPS else 1)
        shown = {
            "displacements": displacements,
            "similarity": similar,
            "similarity_closed": closed(encoding, displacements),
        }
        found.arrays.update({f"{name}/{what}": values[every].numpy() for what, values in shown.items()})
        if isinstance(encoding, Bump):
            on_line = similarity(cut_open(encoding), AROUND)
            facts["similarity_error"] = float((on_line - closed(encoding, AROUND)).abs().max())
        ordered.append((float(facts["exact_rank"] or 0), float(facts["exact_width"] or math.inf)))
        clear = np.array(samples) >= CLEAR_OF_KNEE * level
        if clear.any():
            facts["rank_error"] = float(np.abs(ranks / formula - 1)[clear].max())
        if math.isfinite(level):
            facts["knee"] = rank(encoding, round(level)) / level
        found.rows.extend(
            {"metric": metric, **about, "value": value} for metric, value in facts.items() if value is not None
        )
    if len(ordered) > 2:
        correlation = float(spearmanr(*zip(*ordered, strict=True)).statistic)
        found.rows.append({"metric": "rank_correlation", "value": correlation})
    return found


# The plateaus


def plateaus(inputs: Inputs) -> Found:
    """Stable ranks of many points (`condition`): by `formula`, on the `circle`, on the `line`, of `draws`.

    Of random features circle and line are those of infinitely many, from their D, which is cut off half-way round the
    circle. Rows also have `rank_error`, relative to the formula, and the `half_width` by closed form.
    """
    asked = inputs.parameters
    samples = asked["samples"]
    rows: list[dict[str, Any]] = []
    for place, described in enumerate(asked["embedders"]):
        encoding = built(described, asked["features"])
        about = {**described, "place": place, "features": asked["features"], "samples": samples}
        values = {"formula": formula_rank(encoding, samples), "line": line_rank(encoding, samples)}
        if isinstance(encoding, FourierEncoding):
            around = closed(encoding, wrapped(torch.arange(samples, dtype=torch.float64) / samples))
            values["circle"] = samples * float(around[0] / torch.fft.rfft(around).abs().max())
        else:
            values["circle"] = rank(encoding, samples)
        rows += [
            {"metric": "stable_rank", **about, "condition": where, "value": value} for where, value in values.items()
        ]
        rows += [
            {
                "metric": "rank_error",
                **about,
                "condition": where,
                "value": abs(values[where] / values["formula"] - 1),
            }
            for where in ("circle", "line")
        ]
        if isinstance(encoding, FourierEncoding):
            for draw in range(asked["draws"]):
                value = rank(built(described, asked["features"], seed=draw), samples)
                rows.append({"metric": "stable_rank", **about, "condition": "draws", **of_draw(draw), "value": value})
        if (at := closed_width(encoding)) is not None:
            rows.append({"metric": "half_width", **about, "condition": "formula", "value": at})
    return Found(rows)


def of_draw(draw: int, features: int | None = None) -> dict[str, Any]:
    """How rows name a draw of frequencies: draws are what random features are independent in."""
    name = f"draw_{draw}" if features is None else f"draw_{draw} of {features}"
    return {"signal": name, "source": name, "seed": draw}


# Finitely many random features


def random_feature_counts(inputs: Inputs) -> Found:
    """Random Fourier features over their number: `rank_over_formula` and `root_d_rms`, a row per draw and number.

    The latter is the root of the mean square difference of D from its closed form over displacements, times the root of
    the number of features: about 1 if D converges as 1 / sqrt(d).
    """
    asked = inputs.parameters
    rows: list[dict[str, Any]] = []
    for features in asked["features"]:
        for draw in range(asked["draws"]):
            # A stream for each number of features: draws of different numbers have nothing in common.
            encoding = built({"encoding": "gaussian", "sigma": asked["sigma"]}, features, seed=features + draw)
            about = {"encoding": "gaussian", "sigma": asked["sigma"], "features": features, **of_draw(draw)}
            displacements, similar = falling(encoding)
            off = similar - closed(encoding, displacements)
            facts = {
                "rank_over_formula": rank(encoding, asked["samples"]) / plateau(encoding),
                "root_d_rms": math.sqrt(features) * float(off.square().mean().sqrt()),
            }
            rows += [{"metric": metric, **about, "value": value} for metric, value in facts.items()]
    return Found(rows)


# R-F6: stable rank against half-width


def trade_off(inputs: Inputs) -> Found:
    """Stable rank and half-width at random scales of shifted Gaussians and random Fourier features, N points for N.

    Scales as the authors draw them: u uniform on [0, 1), 10^(2 u - 3) and 100^u. Rows per point: `stable_rank`,
    `half_width`, and `over_curve`, their product over that of the closed forms, sqrt(ln 10 / pi). Then the
    `largest_deviation` of `over_curve` from 1.
    """
    asked = inputs.parameters
    uniform = np.random.default_rng(asked["seed"]).random((len(asked["features"]), asked["scales"]))
    rows: list[dict[str, Any]] = []
    for features, shares in zip(asked["features"], uniform, strict=True):
        for draw, share in enumerate(shares.tolist()):
            for name, sigma in (("shifted_gaussian", 10 ** (2 * share - 3)), ("gaussian", 100**share)):
                encoding = built({"encoding": name, "sigma": sigma}, features, seed=features + draw)
                about = {"encoding": name, "sigma": sigma, "features": features, **of_draw(draw, features)}
                ranked, wide = rank(encoding, features), width(encoding)
                assert wide is not None
                facts = {"stable_rank": ranked, "half_width": wide, "over_curve": ranked * wide / TRADE_OFF}
                rows += [{"metric": metric, **about, "value": value} for metric, value in facts.items()]
    for name in ("shifted_gaussian", "gaussian"):
        deviations = [abs(row["value"] - 1) for row in rows if (row["metric"], row["encoding"]) == ("over_curve", name)]
        rows.append({"metric": "largest_deviation", "encoding": name, "value": max(deviations)})
    return Found(rows)
