"""The image artefacts of Fourier Features, from made-up records and blurred pictures."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from docutils.core import publish_doctree
from jinja2 import Template
from scipy.ndimage import gaussian_filter
from skimage import data

from posenc.papers.fourier_features import image
from posenc.papers.material import Figure, Material, Pictures, Table
from posenc.papers.reconstructions import first_signals, reconstructions
from posenc.papers.scores import divergence_notes, encoding_order, source_summary, with_variants_named
from posenc.reporting.figures import write_figure

PAPER = Path(__file__).parents[2] / "workflow/papers/fourier_features"
PUBLISHED = yaml.safe_load((PAPER / "published.yaml").read_text())
THIS_RUN = "this run (laptop scale, stand-in signals)"
FIGURES = [image.figure_6, image.figure_10, image.figure_15, image.figure_sweeps, image.figure_curves]
SIGMAS = {"none": [np.nan], "basic": [np.nan], "positional": [2.0, 3.0, 4.0], "gaussian": [1.25, 2.5, 5.0, 10.0]}
CHOSEN = {"positional": 3.0, "gaussian": 2.5}
BLUR = {"none": 2.0, "basic": 1.4, "positional": 0.7, "gaussian": 0.5}  # how soft a fit is, in pixels of 24
# The columns of the records, with the settings that are the same throughout.
RECORD: dict[str, Any] = {
    "paper": "fourier_features", "experiment": "image_natural", "preset": "laptop", "combination": "", "member": 0,
    "seed": 0, "encoding": "none", "sigma": np.nan, "bandwidth": np.nan, "features": np.nan, "variant": "",
    "network": "mlp", "depth": 4, "width": 64, "learning_rate": 1e-3, "steps": 200, "precision": "float32",
    "device": "cpu", "initialisation": "glorot", "normalised": None, "signal": "",
    "set": "report", "source": "", "item": np.nan, "replicate": np.nan, "condition": np.nan,
    "split": "test", "metric": "psnr", "step": 200, "value": np.nan, "status": "ok", "final": True, "chosen": True,
}  # fmt: skip
Arrays = dict[str, np.ndarray]


# Synthetic material


def label(encoding: str, sigma: float, seed: int, network: str = "mlp") -> str:
    """A readable combination, as the plan makes them."""
    return f"{encoding}{'' if np.isnan(sigma) else f'+sigma={sigma:g}'}/{network}/seed={seed}"


def natural_pictures(size: int) -> Pictures:
    """Crops of photographs that come with scikit-image, by area means."""
    shots = {"coffee": data.coffee(), "astronaut": data.astronaut(), "rocket": data.rocket(), "chelsea": data.chelsea()}
    crops = {}
    for name, shot in shots.items():
        factor = min(shot.shape[:2]) // size
        side = factor * size
        top, left = ((extent - side) // 2 for extent in shot.shape[:2])
        blocks = shot[top : top + side, left : left + side].reshape(size, factor, size, factor, 3)
        crops[name] = (blocks.mean(axis=(1, 3)) / 255).astype(np.float32)
    return crops


def text_pictures(size: int) -> Pictures:
    """Pieces of a scanned page, tinted."""
    page = data.page()[:size, :, None] / 255
    tints = np.array([(1.0, 0.3, 0.2), (0.2, 0.5, 1.0), (0.3, 0.8, 0.3)])
    pieces = (1 - (1 - page[:, 60 * i : 60 * i + size]) * tint for i, tint in enumerate(tints))
    return {f"text_{i}": piece.astype(np.float32) for i, piece in enumerate(pieces)}


def rebuilt(picture: np.ndarray, encoding: str, sigma: float, seed: int) -> np.ndarray:
    """A made-up reconstruction: softer below the chosen sigma, noisier above it."""
    ratio = 1.0 if np.isnan(sigma) else sigma / CHOSEN[encoding]
    soft = BLUR[encoding] * len(picture) / 24 / min(1.0, ratio)
    noise = np.random.default_rng(seed).normal(0, 0.02 * ratio, picture.shape)
    return (gaussian_filter(picture, (soft, soft, 0)) + noise).astype(np.float32)


def psnr(truth: np.ndarray, fit: np.ndarray, split: str) -> float:
    """PSNR over the pixels of a split."""
    pixels = {"train": np.s_[::2, ::2], "test": np.s_[1::2, 1::2], "all": np.s_[:, :]}[split]
    return float(-10 * np.log10(np.mean((truth[pixels] - fit[pixels]) ** 2)))


def fit_records(experiment: str, pictures: Pictures, sigmas: dict[str, list[float]]) -> pd.DataFrame:
    """Records of every encoding and sigma, two seeds; the first picture is for tuning, the others for the report."""
    combinations = [(name, sigma, seed) for name, swept in sigmas.items() for sigma in swept for seed in (0, 1)]
    rows = []
    for encoding, sigma, seed in combinations:
        for i, (signal, picture) in enumerate(pictures.items()):
            about = {
                "experiment": experiment, "encoding": encoding, "sigma": sigma, "seed": seed, "signal": signal,
                "combination": label(encoding, sigma, seed), "source": signal, "set": "tuning" if i == 0 else "report",
                "chosen": np.isnan(sigma) or sigma == CHOSEN[encoding],
            }  # fmt: skip
            fit = rebuilt(picture, encoding, sigma, seed)
            scores = {split: psnr(picture, fit, split) for split in ("train", "test", "all")}
            for split in ("train", "test"):
                for step in (50, 100, 150, 200):
                    value = scores[split] - 300 / step + 1.5
                    rows.append(RECORD | about | {"split": split, "step": step, "value": value, "final": step == 200})
            rows.append(RECORD | about | {"split": "all", "value": scores["all"]})
    return pd.DataFrame(rows)


def feature_records(pictures: Pictures) -> pd.DataFrame:
    """Records of the sweep over features and depth."""
    rows = [
        RECORD
        | {
            "experiment": "image_features", "encoding": "gaussian", "sigma": 2.5, "depth": depth, "features": features,
            "combination": label("gaussian", 2.5, 0, f"features={features}+depth={depth}"), "signal": signal,
            "source": signal, "set": "tuning" if i == 0 else "report", "split": "all",
            "value": 28 + i - 40 / (np.log2(features) * np.sqrt(depth)),
        }
        for depth in (2, 4, 8)
        for features in (16, 32, 64, 128, 256)
        for i, signal in enumerate(pictures)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def synthetic(size: int = 24, records: dict[str, pd.DataFrame] | None = None, **changed: Any) -> Material:
    """A material of all image experiments; `records` replaces those of some, `changed` other arguments."""
    natural, text = natural_pictures(size), text_pictures(size)
    pictures = {"image_natural": natural, "image_text": text, "image_scales": natural}
    scales = {"gaussian": [0.3, 0.6, 1.25, 2.5, 3.75, 5.0, 10.0, 20.0]}
    found = {
        "image_natural": fit_records("image_natural", natural, SIGMAS),
        "image_text": fit_records("image_text", text, SIGMAS),
        "image_scales": fit_records("image_scales", natural, scales),
        "image_features": feature_records(natural),
    } | (records or {})

    def arrays(experiment: str, combination: str) -> Arrays:
        rows = found[experiment]
        fit = rows[rows["combination"] == combination].iloc[0]
        named = rows.loc[rows["set"] == "report", "signal"].unique()
        return {name: rebuilt(pictures[experiment][name], fit["encoding"], fit["sigma"], fit["seed"]) for name in named}

    def signals(experiment: str) -> dict[str, Arrays]:
        return {name: {"values": values} for name, values in pictures[experiment].items()}

    arguments: dict[str, Any] = {
        "preset": "laptop",
        "facts": {"preset": "laptop", "scale": "laptop scale, stand-in signals", "paper_protocol": False},
        "published": PUBLISHED,
        "records": found,
        "arrays": arrays,
        "signals": signals,
        "reference": {},
    }
    return Material(**(arguments | changed))


def by_hand(values: dict[tuple[str, float, int], list[float]], experiment: str = "image_natural") -> pd.DataFrame:
    """Final test records of report signals a, b, …: (encoding, sigma, seed) -> a value per signal; NaN diverged."""
    return pd.DataFrame(
        RECORD
        | {
            "experiment": experiment, "encoding": encoding, "sigma": sigma, "seed": seed, "signal": "abcdef"[i],
            "combination": label(encoding, sigma, seed), "source": "abcdef"[i], "value": value,
            "status": "diverged" if np.isnan(value) else "ok",
            "chosen": np.isnan(sigma) or sigma == CHOSEN[encoding],
        }
        for (encoding, sigma, seed), found in values.items()
        for i, value in enumerate(found)
    )  # fmt: skip


def diverge(records: pd.DataFrame, encoding: str, signal: str, sigma: float = np.nan) -> pd.DataFrame:
    """The records as if, from the second score on, a signal's fits had diverged with every seed."""
    fits = (records["encoding"] == encoding) & (records["signal"] == signal) & (records["step"] > 50)
    fits &= np.isnan(sigma) | (records["sigma"] == sigma)
    return records.assign(status=records["status"].mask(fits, "diverged"), value=records["value"].mask(fits, np.nan))


@pytest.fixture(scope="module")
def material() -> Material:
    return synthetic()


# Published numbers


def test_published_numbers_are_the_papers() -> None:
    """A second transcription of Tables 1 and 3 and of the readings of Figure 6."""
    one = {
        "image_natural": [19.32, 21.71, 24.95, 25.57], "image_text": [18.40, 20.48, 27.57, 30.47],
        "shape": [0.864, 0.892, 0.960, 0.973], "ct_shepp": [16.75, 23.31, 26.89, 28.33],
        "ct_atlas": [15.44, 16.95, 19.55, 19.88], "mri_atlas": [26.14, 28.58, 32.23, 34.51],
        "nerf_lego": [22.41, 23.16, 25.28, 25.48],
    }  # fmt: skip
    for column, values in one.items():
        assert list(PUBLISHED["table_1"][column].items()) == list(zip(SIGMAS, values, strict=True))
    stds = {"natural": [2.48, 2.71, 3.72, 4.19], "text": [2.23, 1.96, 3.07, 2.11]}
    for column, spread in stds.items():
        means = PUBLISHED["table_1"][f"image_{column}"]
        expected = {name: {"mean": means[name], "std": std} for name, std in zip(SIGMAS, spread, strict=True)}
        assert PUBLISHED["table_3"][column] == expected
    six = {2: (17.6, 28.0), 4: (22.6, 28.4), 8: (25.6, 28.7)}
    for depth, (few, many) in six.items():
        assert PUBLISHED["figure_6"][f"depth_{depth}"] == {"frequencies_8": few, "frequencies_1024": many}


def test_every_published_number_has_source_and_mark() -> None:
    def leaves(node: Any, above: dict[str, Any]) -> Iterator[dict[str, Any]]:
        known = above | {key: node[key] for key in ("source", "mark") if key in node}
        for value in node.values():
            if isinstance(value, dict):
                yield from leaves(value, known)
            elif isinstance(value, float):
                yield known

    found = list(leaves(PUBLISHED, {}))
    assert len(found) > 60
    assert all(known.get("source") and known.get("mark") in ("P", "O", "F", "C") for known in found)


# Tables


def test_table_3_is_what_a_hand_computes() -> None:
    natural = by_hand(
        {
            ("none", np.nan, 0): [10, 20], ("none", np.nan, 1): [14, 20],
            ("gaussian", 2.5, 0): [20, 30, 40], ("gaussian", 5.0, 0): [90, 90, 90],
        }
    )  # fmt: skip
    table = image.table_3(synthetic(records={"image_natural": natural}))
    ours = table.frame["Natural", THIS_RUN]
    # Seeds first: signal a has 12, signal b 20.
    assert ours.loc["none", ["mean", "std", "n"]].tolist() == [16, 4, 2]
    assert np.isnan(ours.loc["none", "sigma"])
    assert ours.loc["gaussian"].tolist() == pytest.approx([30, np.sqrt(200 / 3), 2.5, 3])


def test_table_3_takes_final_test_rows_of_chosen_report_fits(material: Material) -> None:
    rows = material.records("image_text").query(
        "split == 'test' and metric == 'psnr' and set == 'report' and final and chosen and encoding == 'positional'"
    )
    signals = rows.groupby("signal")["value"].mean()
    ours = image.table_3(material).frame["Text", THIS_RUN].loc["positional"]
    assert ours["mean"] == pytest.approx(signals.mean())
    assert ours["std"] == pytest.approx(signals.std(ddof=0))
    assert ours["sigma"] == 3


def test_published_and_own_numbers_never_share_a_column(material: Material) -> None:
    """Whatever changes in the published numbers shows in their columns alone, and the other way round."""
    function = image.table_3

    def shifted(node: Any) -> Any:
        if isinstance(node, dict):
            return {key: shifted(value) for key, value in node.items()}
        return node + 100 if isinstance(node, float) else node

    def changed(table: Table) -> pd.Series:
        return ((table.frame - function(material).frame).abs() > 1).any()

    records = {name: fit_records(name, text_pictures(24), SIGMAS) for name in image.EXPERIMENTS.values()}
    own = {name: frame.assign(value=frame["value"] + 100) for name, frame in records.items()}
    columns = function(material).frame.columns
    is_published = np.array(["published" in column for column in columns])
    assert (changed(function(synthetic(published=shifted(PUBLISHED)))) == is_published).all()
    by_records = changed(function(synthetic(records=own)))
    assert by_records.any()
    assert not (by_records & is_published).any()
    assert all(("published" in column) != (THIS_RUN in column) for column in columns)


def test_scale_and_reference_have_headings_of_their_own(material: Material) -> None:
    facts = {"preset": "paper", "scale": "paper settings, signals as published", "paper_protocol": True}
    committed = material.records("image_natural").assign(preset="paper", device="cuda")
    table = image.table_3(synthetic(facts=facts, reference={"image_natural": committed}))
    own, reference = "reproduced (paper protocol)", "reference run (preset paper, cuda)"
    assert list(table.frame["Natural"].columns.unique(0)) == ["published", own, reference]
    assert list(table.frame["Text"].columns.unique(0)) == ["published", own]
    natural = table.frame["Natural"].sort_index(axis=1)
    pd.testing.assert_frame_equal(natural[own], natural[reference])


def test_diverged_fits_are_left_out_and_told() -> None:
    natural = by_hand(
        {
            ("none", np.nan, 0): [10, 20, np.nan], ("basic", np.nan, 0): [np.nan] * 3,
            ("gaussian", 2.5, 0): [20, 30, 40],
        }
    )  # fmt: skip
    table = image.table_3(synthetic(records={"image_natural": natural}))
    ours = table.frame["Natural", THIS_RUN]
    assert ours.loc["none", ["mean", "n"]].tolist() == [15, 2]
    assert ours.loc["basic"].isna().all()
    lost = "image_natural: diverged and left out: basic (3 of 3 fits), none (1 of 3 fits)."
    assert lost in table.notes
    assert "image_natural: not fitted at preset laptop: positional." in table.notes


def test_a_sweep_without_a_choice_is_told(material: Material) -> None:
    records = material.records("image_natural")
    unchosen = records.assign(chosen=records["chosen"] & (records["encoding"] != "gaussian"))
    table = image.table_3(synthetic(records={"image_natural": unchosen}))
    assert table.frame["Natural", THIS_RUN].loc["gaussian"].isna().all()
    assert "image_natural: no sigma could be chosen for gaussian." in table.notes


def test_variants_and_new_encodings_are_rows_of_their_own() -> None:
    one = by_hand({("none", np.nan, 0): [10, 20], ("gaussian", 2.5, 0): [20, 30]})
    other = one[one["encoding"] == "gaussian"].assign(network="siren", combination="other", value=25.0)
    new = one[one["encoding"] == "none"].assign(encoding="wavelet", combination="new")
    records = pd.concat([one, other, new], ignore_index=True)
    assert set(with_variants_named(one)["encoding"]) == {"none", "gaussian"}
    table = image.table_3(synthetic(records={"image_natural": records}))
    means = table.frame["Natural", THIS_RUN, "mean"].dropna().to_dict()
    assert means == {"none": 15, "gaussian, network mlp": 25, "gaussian, network siren": 25, "wavelet": 15}
    assert table.frame["Natural", "published", "mean"].loc["gaussian"] == 25.57


@pytest.mark.parametrize(
    ("setting", "values", "names"),
    [
        ("features", [64.0, 512.0], ["features 64", "features 512"]),
        ("initialisation", ["glorot", "lecun"], ["initialisation glorot", "initialisation lecun"]),
        ("normalised", [False, True], ["normalised False", "normalised True"]),
    ],
)
def test_any_parameter_with_several_values_tells_variants_apart(
    setting: str, values: list[Any], names: list[str]
) -> None:
    one = by_hand({("none", np.nan, 0): [10, 20], ("gaussian", 2.5, 0): [20, 30]})
    gaussian = one[one["encoding"] == "gaussian"]
    both = [gaussian.assign(**{setting: value}, combination=str(value)) for value in values]
    records = with_variants_named(pd.concat([one[one["encoding"] == "none"], *both], ignore_index=True))
    assert records["encoding"].unique().tolist() == ["none", *(f"gaussian, {name}" for name in names)]


# Stacked axes: one combination, several members


def stacked_sigmas(records: pd.DataFrame) -> pd.DataFrame:
    """The records as if all sigmas of an encoding had been fitted by one job per seed."""
    sigmas = records.groupby("encoding")["sigma"].transform(lambda column: column.rank(method="dense").fillna(1) - 1)
    labels = [label(name, np.nan, seed) for name, seed in zip(records["encoding"], records["seed"], strict=True)]
    return records.assign(combination=labels, member=sigmas.astype(int))


def stacked_material(material: Material, **changed: Any) -> Material:
    """The material with stacked sigmas in its two experiments of sweeps; what is shown lies below its member."""
    plain = {name: material.records(name) for name in ("image_natural", "image_scales")}
    stacked = {name: stacked_sigmas(records) for name, records in plain.items()}

    def arrays(experiment: str, combination: str) -> Arrays:
        if experiment not in stacked:
            return material.arrays(experiment, combination)
        rows = stacked[experiment][stacked[experiment]["combination"] == combination]
        own = plain[experiment].loc[rows.index, "combination"]
        members = dict(zip(rows["member"], own, strict=True))
        if len(members) == 1:
            return material.arrays(experiment, own.iloc[0])
        return {
            f"{member}/{name}": picture
            for member, one in members.items()
            for name, picture in material.arrays(experiment, one).items()
        }

    return synthetic(records=stacked | changed.pop("records", {}), arrays=arrays, **changed)


@pytest.mark.parametrize("function", FIGURES)
def test_figures_of_stacked_fits_are_those_of_fits_one_by_one(function: Any, material: Material) -> None:
    one_by_one, stacked = function(material).plotted, function(stacked_material(material)).plotted
    if "combination" in one_by_one:
        one_by_one, stacked = (plotted.drop(columns="combination") for plotted in (one_by_one, stacked))
    pd.testing.assert_frame_equal(stacked, one_by_one)


def test_pictures_of_stacked_fits_are_those_of_their_member(material: Material) -> None:
    shown, expected = (
        reconstructions(each, "image_scales", each.records("image_scales"), ["astronaut"], "all")
        for each in (stacked_material(material), material)
    )
    for ours, theirs in zip(shown.to_dict("records"), expected.to_dict("records"), strict=True):
        np.testing.assert_array_equal(ours["picture"], theirs["picture"])


def test_a_member_that_diverged_leaves_the_others_of_its_job_alone(material: Material) -> None:
    lost = diverge(stacked_sigmas(material.records("image_scales")), "gaussian", "astronaut", 20.0)
    made = image.figure_10(stacked_material(material, records={"image_scales": lost}))
    assert made.plotted.set_index("sigma")["status"].to_dict() == {
        sigma: "diverged" if sigma == 20 else "ok" for sigma in (0.3, 0.6, 1.25, 2.5, 3.75, 5.0, 10.0, 20.0)
    }
    natural = diverge(stacked_sigmas(material.records("image_natural")), "gaussian", "rocket", 10.0)
    (note,) = divergence_notes(natural, "image_natural")
    assert note == "image_natural: diverged and left out: gaussian at sigma 10 (2 of 6 fits)."


# What a material gives


def test_stored_arrays_become_pictures() -> None:
    stored = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    wave = np.linspace(-1, 1, 16, dtype=np.float32).reshape(4, 4, 1)
    half = np.linspace(-0.1, 1.1, 48, dtype=np.float16).reshape(4, 4, 3)
    made = synthetic(
        arrays=lambda experiment, combination: {"a": half},
        signals=lambda experiment: {"a": {"values": stored}, "wave": {"values": wave}},
    )
    truths = made.truths("image_natural")
    np.testing.assert_array_equal(truths["a"], stored.astype(np.float32) / 255)
    assert truths["wave"] is wave
    (picture,) = made.predictions("image_natural", label("none", np.nan, 0)).values()
    assert picture.dtype == np.float32
    np.testing.assert_array_equal(picture, half)  # not clipped


def test_arrays_of_studies_and_measures_are_given_by_name() -> None:
    spectrum, fine = {"eigenvalues": np.ones(3)}, {"psnr": np.zeros(2)}
    made = synthetic(theory={"spectra": spectrum}, measures={"finer": fine})
    assert made.theory("spectra") is spectrum
    assert made.measures("finer") is fine
    with pytest.raises(KeyError, match="finer"):
        made.theory("finer")


# Figures


@pytest.mark.parametrize("function", FIGURES)
def test_figures_write_three_files_and_the_same_bytes_twice(function: Any, material: Material, tmp_path: Path) -> None:
    first = write_figure(function(material), tmp_path / "first")
    second = write_figure(function(material), tmp_path / "second")
    assert [path.name for path in first] == ["first.pdf", "first.png", "first.csv"]
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]
    assert not pd.read_csv(first[2]).empty


def test_pictures_are_the_first_seeds_with_its_score(material: Material) -> None:
    plotted = image.figure_15(material).plotted
    assert plotted["signal"].unique().tolist() == ["astronaut", "rocket", "chelsea", "text_1", "text_2"]
    assert set(plotted["seed"]) == {0}
    assert set(plotted["sigma"].dropna()) == set(CHOSEN.values())
    row = plotted.query("signal == 'rocket' and encoding == 'gaussian'").iloc[0]
    same = material.records("image_natural").query(
        "combination == @row.combination and signal == 'rocket' and split == 'test' and final"
    )
    assert row["psnr"] == same["value"].item()


def test_sweep_of_pictures_scores_all_pixels(material: Material) -> None:
    made = image.figure_10(material)
    assert made.plotted["sigma"].is_monotonic_increasing
    assert set(made.plotted["split"]) == {"all"}
    assert len(made.figure.axes) == 1 + len(made.plotted) == 9


def texts(made: Figure) -> list[str]:
    """What is printed inside the panels."""
    return [text.get_text() for axes in made.figure.axes for text in axes.texts]


def test_diverged_and_missing_pictures_have_a_tile(material: Material, tmp_path: Path) -> None:
    natural = diverge(material.records("image_natural"), "gaussian", "rocket")
    text = material.records("image_text").query("encoding != 'basic'")
    made = image.figure_15(synthetic(records={"image_natural": natural, "image_text": text}))
    assert texts(made).count("diverged") == 1
    assert texts(made).count("not fitted") == 2
    assert made.plotted.query("status == 'diverged'")["psnr"].isna().all()
    scales = diverge(material.records("image_scales"), "gaussian", "astronaut", 20.0)
    swept = image.figure_10(synthetic(records={"image_scales": scales}))
    assert texts(swept) == ["diverged"]
    assert swept.figure.axes[-1].get_xlabel() == "σ = 20:  diverged"
    assert len(write_figure(swept, tmp_path / "swept")) == 3


def test_nothing_is_asked_for_combinations_that_diverged_altogether(material: Material) -> None:
    records = material.records("image_scales")
    lost = records.assign(status=records["status"].mask(records["sigma"] == 20, "diverged"))

    def arrays(experiment: str, combination: str) -> Arrays:
        assert "sigma=20/" not in combination
        return material.arrays(experiment, combination)

    assert texts(image.figure_10(synthetic(records={"image_scales": lost}, arrays=arrays))) == ["diverged"]


def test_figure_6_keeps_published_readings_apart(material: Material) -> None:
    committed = material.records("image_features").assign(preset="paper", device="cuda")
    made = image.figure_6(synthetic(reference={"image_features": committed}))
    own, _, published = made.figure.axes
    assert [len(axes.get_lines()) for axes in made.figure.axes] == [3, 3, 3]
    assert {line.get_linestyle() for line in published.get_lines()} == {"None"}
    readings = np.concatenate([line.get_xydata() for line in published.get_lines()])
    assert readings.tolist() == [[8, 17.6], [1024, 28.0], [8, 22.6], [1024, 28.4], [8, 25.6], [1024, 28.7]]
    # Features are sines and cosines; the axis counts frequencies, as the paper does.
    assert np.asarray(own.get_lines()[0].get_xdata()).tolist() == [8, 16, 32, 64, 128]
    assert sum(str(column).endswith("mean") for column in made.plotted) == 3


def test_figure_6_is_mean_and_spread_over_report_pictures(material: Material) -> None:
    scores = image.frequency_scores(material.records("image_features"))
    row = scores.query("depth == 4 and frequencies == 32").iloc[0]
    # Report pictures add 1, 2 and 3 dB to 28 - 40 / (6 * 2).
    assert row["mean"] == pytest.approx(30 - 40 / 12)
    assert row["std"] == pytest.approx(np.sqrt(2 / 3))
    assert row["n"] == 3


def test_sweeps_show_both_sets_and_the_choice(material: Material) -> None:
    made = image.figure_sweeps(material)
    assert len(made.plotted) == 2 * 2 * (2 + 3 + 4)  # picture sets, tuning and report, encodings with their sigmas
    panel = made.figure.axes[1]
    stars = [line for line in panel.get_lines() if line.get_marker() == "*"]
    assert [np.asarray(line.get_xdata()).tolist() for line in stars] == [[2.5]]


def test_spread_of_sweeps_is_over_sources() -> None:
    means = pd.DataFrame({"x": 0, "source": ["p", "p", "q"], "signal": ["p1", "p2", "q1"], "value": [10.0, 20.0, 25.0]})
    row = source_summary(means, ["x"]).iloc[0]
    assert row["mean"] == pytest.approx(55 / 3)
    assert row["std"] == 5  # of 15 and 25


def test_curves_leave_diverged_fits_out_and_say_so(material: Material) -> None:
    natural = diverge(material.records("image_natural"), "basic", "rocket")
    made = image.figure_curves(synthetic(records={"image_natural": natural}))
    assert made.notes == ["image_natural: diverged and left out: basic (2 of 6 fits)."]
    of_basic = made.plotted.query("pictures == 'Natural' and encoding == 'basic'")
    assert set(of_basic["n"]) == {2}  # at every step, so that a curve does not jump


def test_first_signals_come_from_different_sources() -> None:
    frame = pd.DataFrame({"set": "report", "signal": ["p1", "p2", "q1", "q2"], "source": ["p", "p", "q", "q"]})
    assert first_signals(frame, 3) == ["p1", "q1", "p2"]


def test_encodings_keep_the_papers_order() -> None:
    assert encoding_order(["wavelet", "gaussian", "none", "positional"]) == [
        "none",
        "positional",
        "gaussian",
        "wavelet",
    ]


def test_unknown_experiments_are_named(material: Material) -> None:
    with pytest.raises(KeyError, match="no records of experiment 'shape'; the artefact names: image_features"):
        material.records("shape")


# Captions


def test_every_artefact_has_a_caption_that_renders() -> None:
    artefacts = yaml.safe_load((PAPER / "paper.yaml").read_text())["artefacts"]
    shows = "Preset laptop. image_natural: 8 bundled report pictures of 96 x 96 pixels, seeds 0, 1."
    snakemake = SimpleNamespace(params=SimpleNamespace(artefact={"shows": shows}))
    for name in artefacts:
        text = Template((PAPER / "captions" / f"{name}.rst").read_text()).render(snakemake=snakemake)
        assert text.rstrip().endswith(shows)
        publish_doctree(text, settings_overrides={"halt_level": 2, "report_level": 2})
