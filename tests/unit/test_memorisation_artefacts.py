"""The artefacts of memorisation, sweeps over samples, encodings of full rank and variance, from made-up records."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from memorised import (
    LOGGED,
    PAPER,
    PUBLISHED,
    STEPS,
    STRIDES,
    THIS_RUN,
    TRUTH,
    made_up_arrays,
    made_up_signals,
    material,
    row_reconstruction_records,
    scales_records,
    training_records,
)  # fmt: skip

from posenc.papers.material import Figure, Material
from posenc.papers.rethinking import features, full_rank, memorisation, samples, three_scales
from posenc.reporting.figures import write_figure
from posenc.reporting.tables import html_text, latex_text, markdown_text

OF_OTHERS = ("complexity", "embedders")  # modules with tests of their own
ARTEFACTS = {
    name: artefact
    for name, artefact in yaml.safe_load((PAPER / "paper.yaml").read_text())["artefacts"].items()
    if artefact["function"].split(":")[0].split(".")[-1] not in OF_OTHERS
}
MODULES = [memorisation, samples, full_rank, features, three_scales]


@pytest.fixture(scope="module")
def made_up() -> Material:
    return material()


def function_of(artefact: dict[str, Any]) -> Any:
    module, name = artefact["function"].split(":")
    return getattr(next(found for found in MODULES if found.__name__ == module), name)


@pytest.mark.parametrize("name", ARTEFACTS)
def test_every_artefact_is_made_from_what_it_names_and_has_a_caption(name: str, tmp_path: Path) -> None:
    artefact, whole = ARTEFACTS[name], material()

    def arrays(experiment: str, combination: str) -> dict[str, np.ndarray]:
        assert experiment in artefact["pictures"]
        return made_up_arrays(experiment, combination)

    def signals(experiment: str) -> dict[str, dict[str, np.ndarray]]:
        assert experiment in artefact["pictures"]
        return made_up_signals(experiment)

    named = Material(
        preset="laptop",
        facts=whole.facts,
        published={group: PUBLISHED[group] for group in artefact.get("published", [])},
        records={experiment: whole.records(experiment) for experiment in artefact["experiments"]},
        arrays=arrays,
        signals=signals,
        reference={},
    )
    made = function_of(artefact)(named)
    if isinstance(made, Figure):
        assert not made.plotted.empty
        assert {path.suffix for path in write_figure(made, tmp_path / name)} == {".pdf", ".png", ".csv"}
    else:
        assert all(text(made) for text in (html_text, latex_text, markdown_text))
        published = [column for column in made.frame if any("published" in level for level in column)]
        assert published and len(published) < len(made.frame.columns)
    assert any("ublished" in note for note in made.notes) or name == "figure_memorisation"
    caption = (PAPER / "captions" / f"{name}.rst").read_text()
    assert caption.endswith("{{ snakemake.params.artefact.shows }}\n")
    assert "(R-F" in artefact["title"] and artefact["kind"] == name.split("_")[0]


# Memorisation


def test_time_averages_leave_out_the_last_100_updates_and_finals_have_nothing_else(made_up: Material) -> None:
    records = training_records(noise=False)
    gaussian = records[
        (records["encoding"] == "gaussian") & (records["metric"] == "psnr") & (records["split"] == "train")
    ]
    table = memorisation.table_memorisation(made_up).frame.loc["gaussian, rows of pictures, train"]
    early, last = gaussian[gaussian["step"] <= STEPS - 100], gaussian[gaussian["step"] > STEPS - 100]
    assert sorted(last["step"].unique()) == [301, 321, 341, 361, 381, 400]
    assert table["time average", THIS_RUN, "mean"] == pytest.approx(early["value"].mean())
    assert table["final", THIS_RUN, "mean"] == pytest.approx(last["value"].mean())
    assert table["final", THIS_RUN, "std"] == pytest.approx(math.sqrt(2 / 3))  # pictures at 0, 1 and 2 dB
    assert table["time average", "published", "mean"] == 39.50
    assert table["final", "published (readings)", "value"] == 50.5


def test_layers_stand_in_order_and_ranks_are_means_over_signals(made_up: Material) -> None:
    assert memorisation.in_order(["layer 10", "layer 2", "input", "layer 1"]) == [
        "input", "layer 1", "layer 2", "layer 10",
    ]  # fmt: skip
    plotted = memorisation.figure_layer_ranks(made_up).plotted
    last = plotted[(plotted["step"] == STEPS) & (plotted["encoding"] == "gaussian") & (plotted["signals"] == "rows")]
    assert last.set_index("item")["mean"].to_dict() == pytest.approx(
        {"input": 10.6, "layer 1": 2.75, "layer 2": 1.6, "layer 3": 1.2, "layer 4": 1.1}
    )


# Samples


def test_thresholds_are_those_of_the_curve_at_its_own_scales(made_up: Material) -> None:
    table = samples.table_thresholds(made_up).frame
    adam, solved = f"{THIS_RUN}, Adam", f"{THIS_RUN}, least squares"
    for count in (256, 128, 64, 32):
        row = table.loc[count]
        assert row["first σN with train > 100 dB", adam] == pytest.approx(0.7)
        assert row["stable rank / N there", adam] == pytest.approx(0.282 / 0.7)
        assert row["σN of best train PSNR", adam] == pytest.approx(0.7)
        assert row["last σN with test within 3 dB of best", adam] == pytest.approx(0.13)
        assert row["last σN with test within 3 dB of best", solved] == pytest.approx(0.35)
        assert row["best test PSNR (dB)", adam] == pytest.approx(6 + 2.5 * math.log2(count))
    assert table.loc[256, ("first σN with train > 100 dB", "published")] == 0.66
    assert math.isnan(table.loc[43, ("first σN with train > 100 dB", adam)])


def test_models_that_never_memorise_have_no_threshold() -> None:
    records = scales_records().assign(value=lambda found: found["value"].clip(upper=60))
    table = samples.table_thresholds(material(row_scales=records)).frame
    assert math.isnan(table.loc[64, ("first σN with train > 100 dB", f"{THIS_RUN}, Adam")])
    assert table.loc[64, ("first σN with train > 100 dB", f"{THIS_RUN}, least squares")] == pytest.approx(0.7)


def test_sigma_n_is_sigma_times_the_number_of_samples() -> None:
    found = samples.with_samples(pd.DataFrame({"points": [256.0, 86.0, 24.0], "sigma": [0.01, 0.02, 0.01]}))
    assert found["samples"].tolist() == [256, 86, 24]
    assert found["scale"].tolist() == pytest.approx([2.56, 1.72, 0.24])


def test_curves_of_all_n_lie_on_one_another_over_sigma_n(made_up: Material) -> None:
    plotted = samples.figure_collapse(made_up).plotted
    assert set(plotted["solver"]) == {"Adam", "least squares"}
    memorised = plotted[(plotted["split"] == "train") & (plotted["mean"] > 100) & (plotted["solver"] == "Adam")]
    assert memorised.groupby("samples")["scale"].max().tolist() == pytest.approx([0.7] * 4)


def test_key_points_are_ticks_on_the_curve_and_stars_its_highest_training_score(made_up: Material) -> None:
    figure = samples.figure_samples(made_up).figure
    test, train = figure.axes[:2]
    ticks = [line for line in test.get_lines() if line.get_marker() == "|"]
    assert [tick.get_xdata().tolist() for tick in ticks] == [
        pytest.approx([1.33 / count, 0.133 / count]) for count in (32, 64, 128, 256)
    ]
    stars = [float(line.get_xdata()[0]) for line in train.get_lines() if line.get_marker() == "*"]
    assert stars == pytest.approx([0.7 / count for count in (32, 64, 128, 256)])
    assert test.xaxis_inverted()


def test_printed_results_without_a_value_are_left_out() -> None:
    found = samples.published_sweep(PUBLISHED["samples"])
    assert len(found) == 2 * (4 * 17 + 14)
    one = found[(found["samples"] == 43) & (found["sigma"] == 0.00041)].set_index("split")["mean"]
    assert one.to_dict() == {"train": 129.6, "test": 7.7}


# Full rank and waves


def test_full_rank_table_has_late_means_and_the_mean_rank_of_draws(made_up: Material) -> None:
    row = full_rank.table_full_rank(made_up).frame.loc["random_noise, rows of pictures, N = 64"]
    late = [step for step in LOGGED if step > STEPS - 100]
    assert row["train", THIS_RUN, "mean"] == pytest.approx(130 * np.mean(late) / STEPS)
    assert row["test", THIS_RUN, "std"] == pytest.approx(math.sqrt(2 / 3))
    assert row["stable rank", THIS_RUN, "mean"] == pytest.approx(0.7 * 64 + 0.5)
    assert (row["train", "published", "mean"], row["test", "published", "std"]) == (124.2, 0.91)


def test_waves_show_training_at_most_samples_and_late_means_everywhere(made_up: Material) -> None:
    made = full_rank.figure_waves(made_up)
    levels = made.plotted[(made.plotted["panel"] == "last 100 updates") & (made.plotted["signals"] == "rows")]
    assert len(levels) == len(STRIDES) * 3 * 2 * 2
    assert "no number is known" in made.notes[0]
    drawn = [axes.get_title() for axes in made.figure.axes]
    assert drawn == [
        f"{wave}, {panel}" for wave in ("sine", "square_wave") for panel in ("rows, N = 256", "rows", "white noise")
    ]


# Features


def test_means_and_deviations_run_over_draws_and_the_plane_is_tested_on_all_pixels(made_up: Material) -> None:
    line, plane = (features.over_draws(made_up, study) for study in (features.ROW, features.PICTURE))
    random = line[(line["encoding"] == "gaussian") & (line["features"] == 400)].set_index("quantity")
    assert random.loc["test", "mean"] == pytest.approx(8 + math.log2(400) + 4.5)
    assert random.loc["test", "std"] == pytest.approx(math.sqrt(8.25))
    assert random.loc["stable_rank", "mean"] == pytest.approx(40.5)
    assert random.loc["test", "draws"] == 10
    fixed = plane[(plane["encoding"] == "shifted_gaussian") & (plane["features"] == 50)].set_index("quantity")
    assert fixed.loc["test", "mean"] == pytest.approx(21 + math.log2(50) + 0.45)
    assert fixed.loc["train", "mean"] == pytest.approx(20 + math.log2(50) + 0.45)


def test_features_table_keeps_published_and_own_settings_apart(made_up: Material) -> None:
    table = features.table_features(made_up).frame
    published = table.loc["2D, gaussian, 1000 features"]
    assert published["test PSNR (dB)", "published", "mean"] == 29.16
    assert math.isnan(published["test PSNR (dB)", THIS_RUN, "mean"])
    both = table.loc["1D, shifted_gaussian, 100 features"]
    assert both["train PSNR (dB)", "published", "mean"] == 27.4
    assert both["train PSNR (dB)", THIS_RUN, "std"] == pytest.approx(0.1 * math.sqrt(8.25))


# Three scales


def test_rows_go_from_large_to_small_sigma_with_their_own_predictions(made_up: Material) -> None:
    made = three_scales.figure_rows(made_up)
    assert list(made.plotted["curve"].unique()) == ["truth", "σ = 0.01", "σ = 0.002", "σ = 0.0003"]
    last = made.plotted[(made.plotted["curve"] == "σ = 0.0003") & (made.plotted["signal"] == "row_1")]
    assert last["value"].to_numpy() == pytest.approx(0.6 * TRUTH)
    printed = [text.get_text() for axes in made.figure.axes for text in axes.texts]
    assert printed[:3] == ["131.0 / 30.0 dB", "131.0 / 33.0 dB", "131.0 / 12.0 dB"]


def test_a_row_whose_fit_diverged_says_so() -> None:
    records = row_reconstruction_records()
    lost = (records["member"] == 1) & (records["signal"] == "row_0")
    records.loc[lost, ["status", "value"]] = ["diverged", np.nan]
    made = three_scales.figure_rows(material(row_reconstructions=records))
    assert [text.get_text() for axes in made.figure.axes for text in axes.texts].count("diverged") == 1
    assert any("diverged and left out: shifted_gaussian at sigma 0.002 (1 of 3 fits)" in note for note in made.notes)


def test_pictures_go_from_large_to_small_sigma(made_up: Material) -> None:
    made = three_scales.figure_pictures(made_up)
    assert made.plotted["psnr"].tolist() == pytest.approx([21, 22, 25, 26, 20, 21])
    assert any("not of one picture" in note for note in made.notes)


# Published numbers


def test_published_numbers_are_those_of_the_notebooks() -> None:
    """A second transcription of some of each group."""
    assert PUBLISHED["memorisation"]["shifted_gaussian"]["noise_train"] == {"mean": 10.85, "std": 0.91}
    rows = PUBLISHED["memorisation"]["rows_test"]
    assert {name: (len(values), values[-1]) for name, values in rows.items()} == {
        "none": (10, 22.85), "basic": (10, 29.05), "gaussian": (10, 31.39), "shifted_gaussian": (10, 30.74),
    }  # fmt: skip
    # Means of the rows are those printed for all runs.
    for name, values in rows.items():
        assert np.mean(values) == pytest.approx(PUBLISHED["memorisation"][name]["rows_test"]["mean"], abs=0.006)
    lengths = {len(found[split]) for name, found in PUBLISHED["samples"].items() if name[:2] == "n_" for split in found}
    assert lengths == {len(PUBLISHED["samples"]["sigma"])} == {17}
    assert PUBLISHED["thresholds"]["n_64"] == {
        "best_test": 22.15, "best_sigma": 0.02121, "memorised_from": 0.77, "rank_share": 0.37, "train_maximum": 0.44,
        "kept_to": 0.124,
    }  # fmt: skip
    assert PUBLISHED["full_rank"]["n_16"]["random_noise_noise"]["test"] == {"mean": 0.62, "std": 1.61}
    assert PUBLISHED["picture_features"]["gaussian"]["seconds"][-1] == 1722
    assert PUBLISHED["row_reconstructions"]["small"] == {
        "sigma": 0.0003, "train": [121.9, 121.6, 124.9], "all": [12.35, 12.37, 14.90],
    }  # fmt: skip
    assert [PUBLISHED["picture_reconstructions"][size]["test"] for size in ("large", "middle", "small")] == [
        25.01, 23.14, 20.58,
    ]  # fmt: skip


def test_every_published_group_says_where_it_is_from() -> None:
    for name, group in PUBLISHED.items():
        if name.startswith("complexity_"):  # of the successor, with tests of its own
            continue
        assert group["source"] and group["unit"] and group["mark"] in ("O", "F", "C", "D")
