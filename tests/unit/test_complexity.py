"""Simple and complex codes: tables, figure, published numbers and claims from made-up records."""

import zlib
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from jinja2 import Template

from posenc.claims.complexity import difference_of_extremes
from posenc.claims.evidence import Evidence, NoRecordsError
from posenc.claims.judge import judge_claims
from posenc.claims.model import ClaimError
from posenc.papers.material import Figure, Material, Table
from posenc.papers.rethinking import complexity
from posenc.papers.rethinking.complexity import CLOSED_FORM, method_order, published_method
from posenc.reporting.figures import write_figure
from posenc.reporting.tables import latex_text, markdown_text

PAPER = Path(__file__).parents[2] / "workflow/papers/rethinking"


def of_paper(stem: str) -> Any:
    return yaml.safe_load((PAPER / f"{stem}.yaml").read_text())


def own(content: Any) -> Any:
    return [claim for claim in content if str(claim["number"]).startswith("G")]


PUBLISHED = of_paper("published")
CLAIMS = {claim["number"]: claim for claim in own(of_paper("claims"))}
THIS_RUN = "this run (laptop scale, stand-in signals)"
ENCODINGS = ["linear_frequency", "positional", "gaussian", "triangle", "shifted_gaussian"]
SHIFTED = ("triangle", "shifted_gaussian")
SIGNALS = ["s0", "s1", "s2", "s3"]


def level(experiment: str, encoding: str, depth: int) -> float:
    """A PSNR as the authors have it, more or less."""
    place = 0.1 * ENCODINGS.index(encoding)
    if experiment.endswith("simple"):
        return {1: 13.0, 2: 19.0}.get(depth, 22.0) - place
    if experiment.endswith("solved"):
        return 22.4 + place
    if experiment == "clips_random_complex":
        return 18.0 + place
    linear = 22.6 if encoding in SHIFTED else 19.0
    if experiment.startswith("clips"):
        linear -= 1.5
    return linear + place if depth == 1 else 22.7 + 0.3 * place


def chance(*names: str) -> float:
    """Up to 0.05 dB by which fits differ, the same at every run."""
    return 0.05 * zlib.crc32(" ".join(names).encode()) / 2**32


def depths_of(experiment: str) -> list[int]:
    if experiment.endswith("simple"):
        return [1, 2, 5] if experiment.startswith("pictures") else [1, 2, 6]
    return [1, 2] if experiment.endswith("complex") else [1]


def row(experiment: str, encoding: str, depth: int, signal: str, split: str, **given: Any) -> dict[str, Any]:
    network = "mlp" if experiment.endswith("simple") else "kronecker"
    solved = experiment.endswith("solved")
    extra = {"train": 3.0, "test": 0.0, "all": 1.0}[split]
    number, own = int(signal[1:]), chance(experiment, encoding, str(depth), signal)
    return {
        "experiment": experiment, "preset": "laptop", "combination": f"{encoding}/{network}+depth={depth}/seed=0",
        "member": 0, "seed": 0, "encoding": encoding, "sigma": 0.25 * (1 + ENCODINGS.index(encoding)) + 0.01 * solved,
        "bandwidth": np.nan, "features": 64.0, "variant": None, "network": network, "depth": float(depth),
        "width": 64.0, "optimizer": "least_squares" if solved else "adam", "learning_rate": 1.0, "steps": 100,
        "device": "cpu", "diagonals": network == "mlp" and encoding in SHIFTED, "signal": signal, "set": "report",
        "source": signal, "item": None, "replicate": None, "condition": None, "split": split, "metric": "psnr",
        "step": 100, "status": "ok", "final": True, "chosen": True,
        "value": level(experiment, encoding, depth) + extra + 0.5 * number**1.5 + own,
    } | given  # fmt: skip


def records(experiment: str) -> pd.DataFrame:
    return pd.DataFrame(
        [
            row(experiment, encoding, depth, signal, split)
            for encoding in ENCODINGS
            for depth in depths_of(experiment)
            for signal in SIGNALS
            for split in ("train", "test", "all")
        ]
    )


def times(rounds: int = 5) -> pd.DataFrame:
    """Records of the study, with 50, 60 and 700 times as fast fits."""
    faster = {
        ("pictures", "complex"): 50.0, ("pictures", "closed form"): 700.0, ("clips", "complex"): 60.0,
        ("pictures", "simple"): 1.0, ("clips", "simple"): 1.0,
    }  # fmt: skip
    rows = []
    for (task, item), factor in faster.items():
        encoding = "gaussian" if item == "simple" else "shifted_gaussian"
        for number in range(1, rounds + 1):
            about = {
                "experiment": "complexity_timings", "preset": "laptop", "condition": task, "item": item,
                "encoding": encoding, "signal": f"round {number}", "source": f"round {number}", "set": "report",
                "split": "all", "step": 0, "seed": 0, "status": "ok", "final": True, "chosen": True,
                "steps": 1 if item == "closed form" else 100, "replicate": None,
            }  # fmt: skip
            seconds = 10.0 * (1 + 0.01 * number) / factor
            rows.append(about | {"metric": "seconds", "value": seconds})
            rows.append(about | {"metric": "seconds_per_update", "value": seconds / about["steps"]})
            if item != "simple":
                rows.append(about | {"metric": "speed_up", "value": factor * (1 + 0.01 * number)})
    return pd.DataFrame(rows)


def every() -> dict[str, pd.DataFrame]:
    names = [name for task in (*complexity.PICTURES, *complexity.CLIPS) for name in task.experiments]
    return {name: records(name) for name in names} | {"complexity_timings": times()}


def picture(signal: str) -> np.ndarray:
    ramp = np.linspace(0, 1, 16, dtype=np.float32)
    return np.stack(
        [ramp[:, None] * np.ones(16, np.float32), ramp * np.ones((16, 1), np.float32), np.full((16, 16), 0.5)], -1
    )


def material(changed: dict[str, pd.DataFrame] | None = None, **given: Any) -> Material:
    arguments: dict[str, Any] = {
        "preset": "laptop",
        "facts": {"preset": "laptop", "scale": "laptop scale, stand-in signals", "paper_protocol": False},
        "published": PUBLISHED,
        "records": every() | (changed or {}),
        "arrays": lambda experiment, combination: {signal: np.float16(0.8 * picture(signal)) for signal in SIGNALS},
        "signals": lambda experiment: {signal: {"values": picture(signal)} for signal in SIGNALS},
        "reference": {},
    }
    return Material(**(arguments | given))


# Names


def test_methods_are_named_by_code_and_hidden_layers_and_stand_in_the_authors_order() -> None:
    named = complexity.with_methods(pd.concat([records(name) for name in complexity.PICTURES[0].experiments]))
    assert method_order(named["method"]) == [
        "simple, linear", "simple, 1 hidden", "simple, 4 hidden", "complex, linear", "complex, 1 hidden", CLOSED_FORM,
    ]  # fmt: skip
    assert published_method("simple_depth_6") == "simple, 5 hidden"
    assert set(named["encoding"]) == set(ENCODINGS)  # depths do not become part of an encoding's name


def test_an_encoding_at_several_scales_has_a_row_for_each() -> None:
    swept = records("pictures_solved")
    swept = pd.concat(
        [swept, swept[swept["encoding"] == "gaussian"].assign(sigma=9.0, combination="other")], ignore_index=True
    )
    names = set(complexity.with_methods(swept)["encoding"])
    assert {"gaussian, sigma 0.76", "gaussian, sigma 9"} < names
    assert "triangle" in names


# Tables


def test_pictures_stand_beside_the_published_ones_by_sampling() -> None:
    made = complexity.table_pictures(material())
    assert isinstance(made, Table)
    row = made.frame.loc["complex, linear, shifted_gaussian"]
    assert row["pixels on a grid", "published", "archway"] == 22.85
    assert row["pixels at random", "published", "lion"] == 30.71
    values = records("pictures_complex").query("encoding == 'shifted_gaussian' and depth == 1 and split == 'test'")[
        "value"
    ]
    assert row["pixels on a grid", THIS_RUN, "mean"] == pytest.approx(values.mean())
    assert row["pixels on a grid", THIS_RUN, "std"] == pytest.approx(values.std(ddof=0))
    assert row["pixels on a grid", THIS_RUN, "n"] == len(SIGNALS)
    # Nothing solves scattered points in closed form, and the page has no one-hidden-layer simple code.
    assert np.isnan(made.frame.loc[f"{CLOSED_FORM}, gaussian"]["pixels at random", THIS_RUN, "mean"])
    assert np.isnan(made.frame.loc["simple, 1 hidden, gaussian"]["pixels on a grid", "published", "archway"])
    assert len(made.frame) == 6 * len(ENCODINGS)
    assert any("329,475" in note for note in made.notes)
    assert markdown_text(made)
    assert latex_text(made)


def test_clips_carry_the_warnings_about_the_authors_files() -> None:
    made = complexity.table_clips(material())
    assert made.frame.loc["simple, 5 hidden, gaussian"]["voxels at random", "published", "video 3"] == 11.63
    text = " ".join(made.notes)
    assert all(word in text for word in ("depth labels are unreliable", "collapsed (black)", "agree to both decimals"))


def test_what_diverged_is_left_out_and_said() -> None:
    lost = records("clips_simple")
    lost.loc[(lost["encoding"] == "triangle") & (lost["depth"] == 6) & (lost["signal"] == "s1"), "status"] = "diverged"
    made = complexity.table_clips(material({"clips_simple": lost}))
    assert made.frame.loc["simple, 5 hidden, triangle"]["voxels on a grid", THIS_RUN, "n"] == 3
    assert made.frame.loc["simple, linear, triangle"]["voxels on a grid", THIS_RUN, "n"] == 4
    assert any("diverged and left out: simple, 5 hidden, triangle at sigma 1 (1 of 4 fits)" in n for n in made.notes)


def test_a_reference_run_has_columns_of_its_own() -> None:
    reference = {
        name: records(name).assign(preset="paper", device="cuda") for name in complexity.PICTURES[0].experiments
    }
    frame = complexity.table_pictures(material(reference=reference)).frame
    titles = {column[1] for column in frame.columns if column[0] == "pixels on a grid"}
    assert titles == {"published", THIS_RUN, "reference run (preset paper, cuda)"}
    assert {column[1] for column in frame.columns if column[0] == "pixels at random"} == {"published", THIS_RUN}


def test_the_closed_form_is_compared_signal_by_signal() -> None:
    solved = records("pictures_solved")
    solved.loc[solved["signal"] == "s3", "value"] += 1
    frame = complexity.table_closed_form(material({"pictures_solved": solved})).frame
    descent = (
        records("pictures_complex").query("depth == 1 and split == 'test'").set_index(["encoding", "signal"])["value"]
    )
    closed = solved.query("split == 'test'").set_index(["encoding", "signal"])["value"]
    expected = (closed - descent).loc["triangle"]
    row = frame.loc["triangle"]
    assert row["pictures", THIS_RUN, "closed form less descent"] == pytest.approx(expected.mean())
    assert row["pictures", THIS_RUN, "std of that"] == pytest.approx(expected.std(ddof=0))
    assert row["pictures", THIS_RUN, "closed form, sigma"] == pytest.approx(1.01)
    assert row["pictures", "published sigma", "closed form"] == 1 / 256
    printed = frame["pictures", "published PSNR, all pixels", "closed form"]
    assert printed["shifted_gaussian"] == 23.63
    assert printed.notna().sum() == 1


def test_times_are_means_over_rounds_beside_the_published_ones() -> None:
    frame = complexity.table_timings(material()).frame
    ours = f"{THIS_RUN}, one thread of this machine"
    assert list(frame.index) == [
        "pictures: simple", "pictures: complex", "pictures: closed form", "clips: simple", "clips: complex",
        "clips: complex smoothed",
    ]  # fmt: skip
    row = frame.loc["pictures: closed form"]
    assert row["published, one GPU", "seconds"] == 0.021
    assert row["published, one GPU", "times faster"] == 919
    assert row[ours, "times faster"] == pytest.approx(700 * 1.03)
    assert (row[ours, "least"], row[ours, "most"]) == pytest.approx((700 * 1.01, 700 * 1.05))
    assert row[ours, "updates"] == 1
    expected = records("pictures_solved").query("encoding == 'shifted_gaussian' and split == 'all'")["value"].mean()
    assert row[ours, "PSNR, all"] == pytest.approx(expected)
    deep = records("pictures_simple").query("encoding == 'gaussian' and depth == 5 and split == 'all'")["value"].mean()
    assert frame.loc["pictures: simple"][ours, "PSNR, all"] == pytest.approx(deep)
    assert np.isnan(frame.loc["clips: complex smoothed"][ours, "seconds"].item())
    assert np.isnan(frame.loc["pictures: simple"][ours, "times faster"])


def test_times_of_fewer_fits_leave_the_published_ones_alone() -> None:
    found = times()
    frame = complexity.table_timings(material({"complexity_timings": found[found["condition"] == "pictures"]})).frame
    assert np.isnan(float(frame.loc["clips: complex"][f"{THIS_RUN}, one thread of this machine", "seconds"]))
    assert frame.loc["clips: complex"]["published, one GPU", "seconds"] == 4.49


# Figure


def test_the_figure_shows_every_method_and_encoding(tmp_path: Path) -> None:
    made = complexity.figure_complexity(material())
    assert isinstance(made, Figure)
    pictures = made.plotted[made.plotted["combination"].notna()]
    assert len(pictures) == 6 * len(ENCODINGS)
    means = made.plotted[made.plotted["combination"].isna()]
    found = means.set_index(["signals", "sampling", "method", "encoding"])["mean"]
    values = records("clips_random_complex").query("encoding == 'triangle' and depth == 2 and split == 'test'")["value"]
    assert found["clips", "random", "complex, 1 hidden", "triangle"] == pytest.approx(values.mean())
    # A panel for each task, a tile for each fit, one truth.
    assert len(made.figure.axes) == 4 + 6 * len(ENCODINGS) + 1
    assert all(path.stat().st_size for path in write_figure(made, tmp_path / "figure"))


def test_the_figure_says_what_is_missing() -> None:
    lost = records("pictures_complex")
    lost = lost[lost["encoding"] != "triangle"]
    lost.loc[lost["encoding"] == "gaussian", "status"] = "diverged"
    made = complexity.figure_complexity(material({"pictures_complex": lost}))
    texts = [text.get_text() for text in made.figure.findobj(lambda artist: hasattr(artist, "get_text"))]
    assert texts.count("not fitted") == 2
    assert texts.count("diverged") == 2


# Claims


def difference(first: dict[str, Any], second: dict[str, Any], found: dict[str, pd.DataFrame]) -> Evidence:
    return difference_of_extremes(found, first=first, second=second)  # type: ignore[arg-type]


TEST = {"metric": "psnr", "split": "test"}


def test_extremes_are_taken_signal_by_signal_after_the_mean_over_seeds() -> None:
    def of(encoding: str, signal: str, *values: float) -> list[dict[str, Any]]:
        about = {"experiment": "e", "encoding": encoding, "depth": 1, "signal": signal, "source": signal}
        fixed = TEST | {"set": "report", "final": True, "chosen": True, "status": "ok", "item": None, "replicate": None}
        return [about | fixed | {"seed": seed, "value": value} for seed, value in enumerate(values)]

    frame = pd.DataFrame(
        [
            *of("a", "s", 1, 3),
            *of("b", "s", 4, 4),
            *of("a", "t", 9, 9),
            *of("b", "t", 5, 11),
            *of("c", "t", 0, 0),
            *of("c", "s", 0, 0),
        ]
    )
    found = {"e": frame}
    best = {"experiment": "e", "where": TEST, "encodings": ["a", "b"]}
    worst = best | {"extreme": "worst"}
    evidence = difference(best, worst, found)
    np.testing.assert_allclose(evidence.samples[0], [4 - 2, 9 - 8])
    assert (evidence.pairs, evidence.diverged) == (2, 0)
    all_worst = {"experiment": "e", "where": TEST, "extreme": "worst"}
    np.testing.assert_allclose(difference(best, all_worst, found).samples[0], [4, 9])
    lost = frame.copy()
    lost.loc[(lost["encoding"] == "b") & (lost["signal"] == "t") & (lost["seed"] == 0), "status"] = "diverged"
    evidence = difference(best, worst, {"e": lost})
    np.testing.assert_allclose(evidence.samples[0], [2])
    assert (evidence.pairs, evidence.diverged) == (1, 1)
    assert evidence.notes == ("1 of 2 sources left out, a fit diverged",)


@pytest.mark.parametrize(
    ("side", "message"),
    [
        ({"where": TEST}, "experiment is missing"),
        ({"experiment": "pictures_simple", "where": TEST, "extreme": "top"}, "'top', expected best or worst"),
        ({"experiment": "pictures_simple", "where": TEST, "encoding": []}, "did you mean 'encodings'"),
    ],
)
def test_a_wrong_side_is_named(side: dict[str, Any], message: str) -> None:
    right = {"experiment": "pictures_simple", "where": TEST}
    with pytest.raises(ClaimError, match=message):
        difference(right, side, every())


def test_a_side_without_records_is_not_judged() -> None:
    right = {"experiment": "pictures_simple", "where": TEST}
    with pytest.raises(NoRecordsError, match=r"no records of pictures_simple with .*encoding among sinc"):
        difference(right, right | {"encodings": ["sinc"]}, every())


def verdicts(changed: dict[str, pd.DataFrame] | None = None) -> dict[str, str]:
    judged = judge_claims(list(CLAIMS.values()), every() | (changed or {}), PUBLISHED, "paper")
    return {claim["number"]: claim["verdict"] for claim in judged["claims"]}


def test_claims_hold_on_records_like_the_published_ones() -> None:
    assert verdicts() == {f"G{number}": "holds" for number in range(1, 7)}


def raised(experiment: str, by: float, query: str) -> dict[str, pd.DataFrame]:
    frame = records(experiment)
    frame.loc[frame.query(query).index, "value"] += by
    return {experiment: frame}


@pytest.mark.parametrize(
    ("number", "changed"),
    [
        ("G1", lambda: raised("pictures_simple", 3, "encoding == 'positional' and depth == 5")),
        ("G2", lambda: raised("pictures_complex", 2.5, "encoding == 'gaussian' and depth == 1")),
        ("G2", lambda: raised("pictures_random_complex", -1, "encoding == 'gaussian' and depth == 2")),
        ("G3", lambda: raised("pictures_random_simple", 5, "encoding == 'triangle' and depth == 1")),
        ("G4", lambda: {"complexity_timings": times().assign(value=times()["value"] / 2)}),
        ("G5", lambda: raised("clips_complex", 3, "encoding == 'shifted_gaussian' and depth == 1")),
        ("G5", lambda: raised("clips_complex", -3, "depth == 2")),
        ("G6", lambda: raised("clips_random_complex", 7, "encoding == 'linear_frequency' and depth == 2")),
    ],
)
def test_each_claim_fails_where_it_should(number: str, changed: Callable[[], dict[str, pd.DataFrame]]) -> None:
    found = verdicts(changed())
    assert found[number] == "fails"


def test_published_differences_are_the_ledger_s() -> None:
    judged = judge_claims(list(CLAIMS.values()), every(), PUBLISHED, "paper")["claims"]
    values = {c["number"]: [round(one["published"]["value"], 2) for one in c["comparisons"]] for c in judged}
    assert values == {
        "G1": [0.47, 0.62], "G2": [2.88, 4.16, 0.34, 0.25], "G3": [8.30, 11.45], "G4": [42.9, 62.3, 919],
        "G5": [1.38, 0.20], "G6": [0.93],
    }  # fmt: skip


# Published numbers and captions


def margins(group: str, sampling: str, first: str, second: str, encoding: str | None) -> list[float]:
    """Of each published signal: an encoding's (or the best) PSNR by one method less the best by another."""
    found = PUBLISHED[group][sampling].values()
    over = [scores[first][encoding] if encoding else max(scores[first].values()) for scores in found]
    return [round(a - max(scores[second].values()), 2) for a, scores in zip(over, found, strict=True)]


def test_published_numbers_differ_by_what_was_read_off_the_page() -> None:
    """Differences and ranges that were noted down by themselves."""
    for encoding, expected in {
        "shifted_gaussian": [0.47, 0.48, 0.62, 0.30],
        "triangle": [0.39, 0.31, -0.20, 0.14],
    }.items():
        found = [
            margins("complexity_pictures", sampling, "complex_depth_1", "simple_depth_5", encoding)
            for sampling in ("grid", "random")
        ]
        assert found[0] + found[1] == expected
    pictures = PUBLISHED["complexity_pictures"]
    linear = [v for s in ("grid", "random") for p in pictures[s].values() for v in p["simple_depth_1"].values()]
    assert (min(linear), max(linear)) == (12.42, 18.64)
    clips = ("complexity_clips", "grid")
    assert margins(*clips, "complex_depth_1", "simple_depth_6", "shifted_gaussian") == [-1.38, -0.36]
    assert margins(*clips, "complex_depth_2", "simple_depth_6", None) == [0.20, 0.87]
    clips = ("complexity_clips", "random")
    assert margins(*clips, "complex_depth_2", "simple_depth_6", None) == [-0.93, round(20.55 - 22.95, 2)]
    assert margins(*clips, "complex_depth_2", "simple_depth_1", None)[1] == round(20.55 - 23.31, 2)


@pytest.mark.parametrize(
    "name", ["table_pictures", "table_clips", "table_closed_form", "table_timings", "figure_complexity"]
)
def test_captions_end_with_what_the_artefact_shows(name: str) -> None:
    caption = (PAPER / "captions" / f"{name}.rst").read_text()
    artefact = {"shows": "Preset laptop."}
    text = Template(caption).render(snakemake=SimpleNamespace(params=SimpleNamespace(artefact=artefact)))
    assert text.endswith("Preset laptop.")
