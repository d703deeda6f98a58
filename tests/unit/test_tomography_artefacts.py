"""Tables 5 and 6, Figures 17 and 18 and their sweeps, from made-up records and pictures."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from jinja2 import Template

from posenc.claims.judge import judge_claims
from posenc.papers.fourier_features import tomography
from posenc.papers.material import Figure, Material, Table
from posenc.reporting.figures import write_figure
from posenc.signals import heads, phantoms

PAPER = Path(__file__).parents[2] / "workflow/papers/fourier_features"
PUBLISHED = yaml.safe_load((PAPER / "published.yaml").read_text())
THIS_RUN = "this run (laptop scale, stand-in signals)"
LEVELS = {"none": 15.0, "basic": 18.0, "positional": 22.0, "gaussian": 23.0}
SIGMAS: dict[str, list[float]] = {
    "none": [np.nan], "basic": [np.nan], "positional": [2.0, 3.0], "gaussian": [1.0, 2.0, 4.0],
}  # fmt: skip
CHOSEN = {"positional": 3.0, "gaussian": 2.0}
SIGNALS = {"tuning": ["s0"], "report": ["s1", "s2", "s3", "s4"]}
DRAWN = {
    "ct_shepp": lambda index: phantoms.phantom("phantoms", index, 16),
    "ct_brain": lambda index: heads.head_slice(index, 16)[..., None],
    "mri_brain": lambda index: heads.head_volume(index, 12)[..., None],
}
FIGURES = [tomography.figure_17, tomography.figure_18, tomography.figure_tomography_sweeps]


def row(experiment: str, encoding: str, member: int, sigma: float, which: str, signal: str, **given: Any) -> Any:
    off = 0.0 if np.isnan(sigma) else abs(np.log2(sigma / CHOSEN[encoding]))
    network = "voxels" if experiment.endswith("_voxels") else "mlp"
    return {
        "experiment": experiment, "preset": "laptop", "combination": f"{encoding}/{network}/seed=0", "member": member,
        "seed": 0, "encoding": encoding, "sigma": sigma, "bandwidth": np.nan, "features": 128.0, "variant": "code",
        "network": network, "depth": 4.0, "width": 64.0, "learning_rate": 1e-3, "steps": 300, "device": "cpu",
        "signal": signal, "set": which, "source": signal, "item": np.nan, "replicate": np.nan, "condition": np.nan,
        "split": "all", "metric": "psnr", "step": 300, "status": "ok", "final": True,
        "value": LEVELS[encoding] - off + 0.25 * int(signal[1]) ** 1.5,
        "chosen": np.isnan(sigma) or sigma == CHOSEN[encoding],
    } | given  # fmt: skip


def records(experiment: str) -> pd.DataFrame:
    """All encodings, sigma on a stacked axis; of a voxel experiment the one combination."""
    sigmas = {"none": [np.nan]} if experiment.endswith("_voxels") else SIGMAS
    return pd.DataFrame(
        [
            row(experiment, encoding, member, sigma, which, signal)
            for encoding, swept in sigmas.items()
            for member, sigma in enumerate(swept)
            for which, signals in SIGNALS.items()
            for signal in signals
            if which == "report" or len(swept) > 1
        ]
    )


def material(changed: dict[str, pd.DataFrame] | None = None, **given: Any) -> Material:
    names = [name for kind in (*tomography.CT, *tomography.MRI) for name in (kind.experiment, kind.voxels)]
    found = {name: records(name) for name in names} | (changed or {})

    def signals(experiment: str) -> dict[str, dict[str, np.ndarray]]:
        draw: Callable[[int], np.ndarray] = DRAWN[experiment.removesuffix("_voxels")]
        return {f"s{index}": {"values": draw(index)} for index in range(5)}

    def arrays(experiment: str, combination: str) -> dict[str, np.ndarray]:
        of = (
            found[experiment]
            .query("combination == @combination and set == 'report'")
            .drop_duplicates(["member", "signal"])
        )
        several = of["member"].nunique() > 1
        return {
            f"{fit.member}/{fit.signal}" if several else fit.signal: np.float16(
                signals(experiment)[fit.signal]["values"] * 0.5 + 0.1 * fit.member
            )
            for fit in of.itertuples()
        }

    arguments: dict[str, Any] = {
        "preset": "laptop",
        "facts": {"preset": "laptop", "scale": "laptop scale, stand-in signals", "paper_protocol": False},
        "published": PUBLISHED,
        "records": found,
        "arrays": arrays,
        "signals": signals,
        "reference": {},
    }
    return Material(**(arguments | given))


def texts(made: Figure) -> list[str]:
    return [text.get_text() for text in made.figure.findobj(lambda artist: hasattr(artist, "get_text"))]


def test_published_numbers_are_the_papers() -> None:
    """A second transcription of Tables 5 and 6 and of the notebooks' outputs."""
    tables = {
        ("table_5", "shepp"): [(16.75, 3.64), (23.31, 4.66), (26.89, 1.46), (28.33, 1.15)],
        ("table_5", "atlas"): [(15.44, 1.28), (16.95, 0.72), (19.55, 1.09), (19.88, 1.23)],
        ("table_6", "atlas"): [(26.14, 1.45), (28.58, 2.45), (32.23, 3.08), (34.51, 2.72)],
    }
    for (table, column), numbers in tables.items():
        printed = [(entry["mean"], entry["std"]) for entry in PUBLISHED[table][column].values()]
        assert printed == numbers and list(PUBLISHED[table][column]) == list(LEVELS)
        one = "mri_atlas" if table == "table_6" else f"ct_{column}"
        assert list(PUBLISHED["table_1"][one].values()) == [mean for mean, _ in numbers]
    for notebook, column, voxels in (("ct_notebook", "shepp", 24.99), ("mri_notebook", "atlas", 32.71)):
        printed = {name: value for name, value in PUBLISHED[notebook][column].items() if isinstance(value, float)}
        assert printed.pop("voxel_grid") == voxels
        assert printed == PUBLISHED["table_1"]["ct_shepp" if notebook == "ct_notebook" else "mri_atlas"]
    sweep = {2: 32.24, 3: 33.15, 4: 33.36, 5: 33.47, 6: 33.25}
    found = tomography.published_sweeps(PUBLISHED).query("experiment == 'mri_brain'")
    assert dict(zip(found["sigma"], found["published"], strict=True)) == sweep
    assert len(tomography.published_sweeps(PUBLISHED).query("experiment == 'ct_shepp'")) == 7


@pytest.mark.parametrize(
    ("function", "kinds"), [(tomography.table_5, tomography.CT), (tomography.table_6, tomography.MRI)]
)
def test_tables_hold_mean_and_spread_over_report_signals_at_the_chosen_sigma(
    function: Callable[[Material], Table], kinds: list[tomography.Data]
) -> None:
    given = material()
    frame = function(given).frame
    assert list(frame.index) == [*LEVELS, tomography.VOXELS]
    for kind in kinds:
        for encoding in LEVELS:
            rows = given.records(kind.experiment).query("encoding == @encoding and chosen and set == 'report'")
            ours = frame[kind.label][THIS_RUN].loc[encoding]
            assert ours["mean"] == pytest.approx(rows["value"].mean())
            assert ours["std"] == pytest.approx(rows["value"].std(ddof=0))
            assert ours["n"] == 4
            assert ours["sigma"] == pytest.approx(CHOSEN.get(encoding, np.nan), nan_ok=True)
        voxels = given.records(kind.voxels).query("set == 'report'")["value"]
        assert frame.loc[tomography.VOXELS, (kind.label, THIS_RUN, "mean")] == pytest.approx(voxels.mean())


def test_the_published_voxel_grid_stands_in_the_notebooks_column_alone() -> None:
    frame = tomography.table_5(material()).frame
    published = frame["Shepp"]
    assert published.loc[tomography.VOXELS, ("published, notebook", "mean")] == 24.99
    assert published.loc[tomography.VOXELS, "published"].isna().all()
    assert "published, notebook" not in frame["ATLAS"]
    assert (
        tomography.table_6(material()).frame.loc[tomography.VOXELS, ("ATLAS", "published, notebook", "mean")] == 32.71
    )


def test_a_reference_run_has_columns_of_its_own() -> None:
    committed = records("ct_shepp").assign(preset="paper", device="cuda")
    committed["value"] += 7
    frame = tomography.table_5(material(reference={"ct_shepp": committed})).frame["Shepp"]
    reference = "reference run (preset paper, cuda)"
    assert frame.loc["basic", (reference, "mean")] == pytest.approx(frame.loc["basic", (THIS_RUN, "mean")] + 7)
    assert np.isnan(frame.loc[tomography.VOXELS, (reference, "mean")])  # not committed


def test_diverged_fits_of_one_member_are_left_out_and_told() -> None:
    broken = records("ct_shepp")
    lost = (broken["encoding"] == "gaussian") & (broken["sigma"] == 2) & (broken["signal"] == "s1")
    broken.loc[lost, "status"] = "diverged"
    given = material({"ct_shepp": broken})
    table = tomography.table_5(given)
    assert table.frame.loc["gaussian", ("Shepp", THIS_RUN, "n")] == 3
    assert "ct_shepp: diverged and left out: gaussian at sigma 2 (1 of 4 fits)." in table.notes
    shown = tomography.figure_17(given)
    assert "diverged" in texts(shown)
    assert shown.plotted.query("experiment == 'ct_shepp'")["status"].tolist().count("diverged") == 1


@pytest.mark.parametrize("function", FIGURES)
def test_figures_write_three_files_and_the_same_bytes_twice(
    function: Callable[[Material], Figure], tmp_path: Path
) -> None:
    first, second = (write_figure(function(material()), tmp_path / name) for name in ("a", "b"))
    assert [path.suffix for path in first] == [".pdf", ".png", ".csv"]
    assert all(one.read_bytes() == other.read_bytes() for one, other in zip(first, second, strict=True))


def test_pictures_are_those_of_the_chosen_member() -> None:
    plotted = tomography.figure_17(material()).plotted
    chosen = plotted[plotted["encoding"] == "gaussian"]
    assert (chosen["sigma"] == 2).all() and (chosen["signal"] == "s1").all()
    truth = DRAWN["ct_shepp"](1).astype(np.float64)
    expected = np.abs(truth - (0.5 * truth + 0.1)).mean()  # member 1 of the stacked axis
    (mean_error,) = chosen.loc[chosen["experiment"] == "ct_shepp", "mean_error"]
    assert mean_error == pytest.approx(expected, rel=1e-2)
    psnr = chosen.loc[chosen["experiment"] == "ct_shepp", "psnr"].item()
    assert psnr == row("ct_shepp", "gaussian", 1, 2.0, "report", "s1")["value"]


def test_volumes_show_their_middle_slice_upright() -> None:
    volume = np.zeros((4, 3, 5, 1))
    volume[2, 0, 4] = 1  # at the front and on top
    picture = tomography.flat(volume)
    assert picture.shape == (5, 3) and picture[0, 0] == 1
    made = tomography.figure_18(material())
    assert any("middle slice" in note for note in made.notes)
    assert texts(made).count("absolute error") == 1


def test_error_maps_share_one_scale() -> None:
    made = tomography.figure_17(material())
    maps = [image for axes in made.figure.axes for image in axes.images if image.get_cmap().name == "magma"]
    assert len(maps) == 2 * 5
    assert len({image.get_clim() for image in maps}) == 1
    assert maps[0].get_clim()[0] == 0


def test_sweeps_show_both_sets_the_choice_and_readings_apart() -> None:
    made = tomography.figure_tomography_sweeps(material())
    ours = made.plotted[made.plotted["published"].isna()]
    assert set(ours["experiment"]) == {"ct_shepp", "ct_brain", "mri_brain"}
    assert set(ours.loc[ours["encoding"] == "gaussian", "set"]) == {"tuning", "report"}
    assert made.plotted.loc[made.plotted["published"].notna(), "mean"].isna().all()
    titles = [axes.get_title() for axes in made.figure.axes if axes.get_visible()]
    assert titles.count("positional, published") == titles.count("gaussian, published") == 1


def test_the_claims_compare_encodings_and_never_the_voxel_grid() -> None:
    claims = [claim for claim in yaml.safe_load((PAPER / "claims.yaml").read_text()) if claim["number"] == 15]
    found = {name: records(name) for name in ("ct_shepp", "ct_brain", "mri_brain")}
    for frame in found.values():  # what each signal gains differs
        frame["value"] += 0.05 * frame["signal"].str[1].astype(float) * frame["encoding"].map(list(LEVELS).index)
    (judged,) = judge_claims(claims, found, PUBLISHED, "laptop")["claims"]
    ours = {
        comparison["name"]: comparison
        for comparison in judged["comparisons"]
        if comparison["name"].endswith(("CT of phantoms", "CT of heads", "MRI of heads"))
    }
    assert len(ours) == 9
    assert {comparison["verdict"] for comparison in ours.values()} == {"holds"}
    assert ours["gaussian above positional, MRI of heads"]["published"]["value"] == pytest.approx(2.28)
    assert ours["basic above none, CT of phantoms"]["published"]["value"] == pytest.approx(6.56)
    assert not any("voxels" in name for name in claims[0]["experiments"])


@pytest.mark.parametrize("name", ["table_5", "table_6", "figure_17", "figure_18", "figure_tomography_sweeps"])
def test_artefacts_are_declared_and_captioned(name: str) -> None:
    about = yaml.safe_load((PAPER / "paper.yaml").read_text())["artefacts"][name]
    module, function = about["function"].split(":")
    assert module == tomography.__name__ and hasattr(tomography, function)
    caption = Template((PAPER / "captions" / f"{name}.rst").read_text())
    shown = caption.render(snakemake=SimpleNamespace(params=SimpleNamespace(artefact={"shows": "Preset laptop."})))
    assert shown.strip().endswith("Preset laptop.")
