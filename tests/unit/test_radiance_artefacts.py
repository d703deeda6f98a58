"""Radiance fields: table, figure and claims, from records made up for them."""

import itertools
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from matplotlib.figure import Figure as Canvas

from posenc.claims.model import PublishedReferences, read_claims
from posenc.claims.published import published_value
from posenc.claims.statistics import evidence_for
from posenc.papers.fourier_features import radiance
from posenc.papers.material import Material

FOLDER = Path(__file__).parents[2] / "workflow" / "papers" / "fourier_features"
PUBLISHED = yaml.safe_load((FOLDER / "published.yaml").read_text())
CLAIMS = {claim["number"]: claim for claim in yaml.safe_load((FOLDER / "claims.yaml").read_text())}

# Mean PSNR of the made-up fits: encoding, variant, rotated -> dB.
LEVELS: dict[str, dict[tuple[str, str | None, bool | None], float]] = {
    "radiance": {
        ("none", None, None): 20.0,
        ("basic", None, None): 21.0,
        ("positional", "code", False): 26.0,
        ("positional", "code", True): 24.0,
        ("gaussian", None, None): 25.0,
    },
    "radiance_original_pe": {
        ("positional", "table_2", False): 24.5,
        ("positional", "table_2", True): 23.5,
    },
}
TITLES = [
    "none", "basic", "original positional, rotated", "positional, rotated", "gaussian",
    "original positional, along axes", "positional, along axes",
]  # fmt: skip


def records(experiment: str, scenes: int = 2, views: int = 7, seeds: tuple[int, ...] = (1,)) -> pd.DataFrame:
    """View k scores k tenths more than the level, scene s one dB more, seed two hundredths more."""
    rows = []
    for ((encoding, variant, rotated), level), scene, seed in itertools.product(
        LEVELS[experiment].items(), range(scenes), seeds
    ):
        common = {
            "experiment": experiment, "preset": "laptop", "device": "cpu", "member": 0,
            "combination": f"{encoding} {rotated} {seed}", "seed": seed, "encoding": encoding,
            "variant": variant, "rotated": rotated,
            "sigma": math.nan if encoding in ("none", "basic") else 5.0, "signal": f"blocks_{scene:02d}",
            "replicate": math.nan, "condition": math.nan, "step": 600, "status": "ok", "final": True, "chosen": True,
        }  # fmt: skip
        scored = [("loss", "train", "", "report", 0.01, None)]
        for set_, count in (("tuning", 1), ("report", views)):
            scored += [
                ("psnr", "test", f"view_{view:02d}", set_, level + view / 10 + scene + seed / 50, view)
                for view in range(count)
            ]
        for metric, split, item, set_, value, _ in scored:
            source = f"blocks_{scene:02d}" + (f"/{item}" if item else "")
            rows.append(
                common
                | {
                    "metric": metric,
                    "split": split,
                    "item": item or None,
                    "set": set_,
                    "value": value,
                    "source": source,
                }
            )
    return pd.DataFrame(rows)


def both(**settings: Any) -> dict[str, pd.DataFrame]:
    return {name: records(name, **settings) for name in LEVELS}


def picture(experiment: str, combination: str, view: int) -> np.ndarray:
    """A constant picture of its own for every fit and view."""
    value = (list(LEVELS[experiment]).index(named(experiment, combination)) + 1) / 10 + view / 100
    return np.full((6, 6, 3), value, dtype=np.float16)


def named(experiment: str, combination: str) -> tuple[str, str | None, bool | None]:
    encoding, rotated, _ = combination.split(" ")
    return next(key for key in LEVELS[experiment] if key[0] == encoding and str(key[2]) == rotated)


def material(
    found: dict[str, pd.DataFrame], reference: dict[str, pd.DataFrame] | None = None, views: int = 7
) -> Material:
    def arrays(experiment: str, combination: str) -> dict[str, np.ndarray]:
        return {
            f"blocks_{scene:02d}": np.stack([picture(experiment, combination, view) for view in range(views)])
            for scene in range(2)
        }

    def signals(experiment: str) -> dict[str, dict[str, np.ndarray]]:
        images = np.arange(views + 3, dtype=np.uint8)[:, None, None, None] * np.ones((1, 6, 6, 3), dtype=np.uint8)
        roles = np.array([0, 0, 1, *[2] * views], dtype=np.uint8)
        return {f"blocks_{scene:02d}": {"images": images, "roles": roles} for scene in range(2)}

    return Material(
        "laptop",
        {"preset": "laptop", "scale": "laptop scale, stand-in signals", "paper_protocol": False},
        {"table_7": PUBLISHED["table_7"]},
        found,
        arrays,
        signals,
        reference or {},
    )


# Table 7


def test_rows_are_told_apart_by_variant_and_rotation() -> None:
    frame = radiance.rows_named(both().values())
    assert radiance.row_order(frame["row"]) == TITLES
    assert radiance.row_order(["wavelets", "gaussian", "none", "wavelets"]) == ["none", "gaussian", "wavelets"]
    other = records("radiance").assign(encoding="wavelets")
    assert set(radiance.rows_named([other])["row"]) == {"wavelets"}


def test_rows_survive_the_parquet_file(tmp_path: Path) -> None:
    """Where some encodings have no rotation, the column comes back as objects with gaps."""
    records("radiance").to_parquet(tmp_path / "r.parquet")
    frame = radiance.rows_named([pd.read_parquet(tmp_path / "r.parquet")])
    assert (
        frame.groupby("row").size().to_dict()
        == radiance.rows_named([records("radiance")]).groupby("row").size().to_dict()
    )


def test_table_7_has_published_numbers_and_means_over_views_of_each_scene() -> None:
    table = radiance.table_7(material(both(seeds=(1, 3))))
    run = "this run (laptop scale, stand-in signals)"
    assert list(table.frame.index) == TITLES
    published = {name: table.frame["published", "Lego", name] for name in ("mean", "std")}
    assert published["mean"].tolist() == [22.41, 23.16, 24.81, 25.28, 25.48, 25.60, 26.27]
    assert published["std"].tolist() == [0.92, 0.90, 0.88, 0.83, 0.89, 0.76, 0.91]
    levels = np.array([20, 21, 23.5, 24, 25, 24.5, 26])
    spread = np.std(np.arange(7) / 10)
    for scene in range(2):
        np.testing.assert_allclose(table.frame[run, f"blocks_{scene:02d}", "mean"], levels + 0.3 + scene + 2 / 50)
        np.testing.assert_allclose(table.frame[run, f"blocks_{scene:02d}", "std"], spread)
    np.testing.assert_allclose(table.frame[run, "all scenes", "mean"], levels + 0.8 + 2 / 50)
    assert table.frame[run, "all scenes", "sigma"].isna().tolist() == [True, True, False, False, False, False, False]
    assert set(table.formats) == set(table.frame.columns)
    notes = " ".join(table.notes)
    assert "7 of blocks_00, 7 of blocks_01" in notes and "gaussian 26, positional 8" in notes


def test_one_scene_has_no_mean_over_scenes() -> None:
    table = radiance.table_7(material(both(scenes=1)))
    assert ("this run (laptop scale, stand-in signals)", "all scenes", "mean") not in table.frame.columns


def test_only_report_views_at_the_chosen_sigma_and_last_step_count() -> None:
    found = both()
    worse = found["radiance"].assign(value=0.0)
    found["radiance"] = pd.concat(
        [found["radiance"], worse.assign(final=False), worse.assign(chosen=False, sigma=9.0, combination="other")]
    )
    first, second = radiance.table_7(material(found)), radiance.table_7(material(both()))
    pd.testing.assert_frame_equal(first.frame, second.frame)


def test_diverged_fits_are_left_out_and_said() -> None:
    found = both()
    lost = (found["radiance"]["encoding"] == "gaussian") & (found["radiance"]["signal"] == "blocks_01")
    found["radiance"] = found["radiance"].assign(status=np.where(lost, "diverged", "ok"))
    table = radiance.table_7(material(found))
    run = "this run (laptop scale, stand-in signals)"
    assert math.isnan(table.frame.loc["gaussian", (run, "blocks_01", "mean")])
    assert table.frame.loc["gaussian", (run, "blocks_00", "mean")] == pytest.approx(25.32)
    assert any("radiance: diverged and left out: gaussian at sigma 5 (1 of 2 fits)" in note for note in table.notes)


def test_a_reference_run_has_columns_of_its_own() -> None:
    reference = {name: frame.assign(preset="paper", device="gpu") for name, frame in both(scenes=1).items()}
    table = radiance.table_7(material(both(), reference))
    assert table.frame["reference run (preset paper, gpu)", "blocks_00", "mean"].tolist() == pytest.approx(
        [20.32, 21.32, 23.82, 24.32, 25.32, 24.82, 26.32]
    )


# Figure 19


def test_figure_19_shows_the_authors_views_and_what_each_encoding_rendered() -> None:
    figure = radiance.figure_19(material(both(seeds=(3, 1))))
    assert isinstance(figure.figure, Canvas)
    assert len(figure.plotted) == 7 * 3
    assert figure.plotted["row"].unique().tolist() == [
        "none", "basic", "positional, along axes", "positional, rotated", "gaussian",
        "original positional, along axes", "original positional, rotated",
    ]  # fmt: skip
    assert figure.plotted["view"].unique().tolist() == [1, 4, 6]
    assert set(figure.plotted["scene"]) == {"blocks_00"} and set(figure.plotted["seed"]) == {1}
    scored = figure.plotted.set_index(["row", "view"])["psnr"]
    assert scored["gaussian", 4] == pytest.approx(25 + 0.4 + 1 / 50)

    titles = [axes.get_title().replace("\n", " ") for axes in figure.figure.axes if axes.get_title()]
    assert titles == ["truth", *TITLES]
    assert [axes.get_ylabel() for axes in figure.figure.axes if axes.get_ylabel()] == ["view 1", "view 4", "view 6"]
    tiles = {}
    for axes in figure.figure.axes:
        column = round((axes.get_position().x0 - figure.figure.axes[0].get_position().x0) / 0.1)
        tiles[round(-axes.get_position().y0, 3), column] = float(np.asarray(axes.images[0].get_array()).mean())
    assert len(tiles) == 24
    by_row = [[tiles[place] for place in sorted(tiles) if place[0] == y] for y in sorted({y for y, _ in tiles})]
    for shown, view in zip(by_row, (1, 4, 6), strict=True):
        assert shown[0] == pytest.approx((3 + view) / 255)
        expected = [0.1, 0.2, 0.2, 0.4, 0.5, 0.1, 0.3]  # as `picture` numbers them, in the order of the titles
        assert shown[1:] == pytest.approx([value + view / 100 for value in expected], abs=1e-3)


@pytest.mark.parametrize(("count", "shown"), [(13, [1, 4, 6]), (7, [1, 4, 6]), (6, [0, 1, 2]), (2, [0, 1])])
def test_fewer_views_are_shown_where_there_are_fewer(count: int, shown: list[int]) -> None:
    assert radiance.views_shown(count) == shown


def test_figure_19_says_where_a_fit_diverged() -> None:
    found = both()
    lost = found["radiance"]["encoding"] == "basic"
    found["radiance"] = found["radiance"].assign(status=np.where(lost, "diverged", "ok"))
    figure = radiance.figure_19(material(found))
    texts = [text.get_text() for axes in figure.figure.axes for text in axes.texts]
    assert texts.count("diverged") == 3
    assert figure.plotted.set_index("row").loc["basic", "psnr"].isna().all()


# Claims


def judged(number: int, found: dict[str, pd.DataFrame]) -> dict[str, Any]:
    """The comparisons of a claim that read radiance fields: their mean difference."""
    (claim,) = read_claims([CLAIMS[number]])
    return {
        comparison.name: evidence_for(comparison.statistic, found, comparison.arguments)
        for comparison in claim.comparisons
        if str(comparison.arguments.get("experiment", "")).startswith("radiance")
    }


def test_claim_18_compares_view_by_view_along_the_axes_and_rotated() -> None:
    found = judged(18, both())
    means = {name: float(np.mean(evidence.samples[0])) for name, evidence in found.items()}
    assert means == pytest.approx(
        {
            "positional, along the axes above rotated": 2.0,
            "original positional, along the axes above rotated": 1.0,
            "positional along the axes above gaussian": 1.0,
        }
    )
    for evidence in found.values():
        assert evidence.pairs == len(evidence.samples[0]) == 14  # views of two scenes
        np.testing.assert_allclose(evidence.samples[0], np.mean(evidence.samples[0]))  # paired: levels cancel


def test_claim_15_compares_rotated_frequencies_as_table_1_does() -> None:
    means = {name: float(np.mean(evidence.samples[0])) for name, evidence in judged(15, both()).items()}
    assert means == pytest.approx(
        {
            "basic above none, radiance fields": 1.0,
            "positional above basic, radiance fields": 3.0,
            "gaussian above positional, radiance fields": 1.0,
        }
    )


@pytest.mark.parametrize(
    ("number", "published"),
    [
        (15, {"basic above none, radiance fields": 0.75, "positional above basic, radiance fields": 2.12,
              "gaussian above positional, radiance fields": 0.20}),
        (18, {"positional, along the axes above rotated": 0.99,
              "original positional, along the axes above rotated": 0.79,
              "positional along the axes above gaussian": 0.79}),
    ],
)  # fmt: skip
def test_published_differences_are_those_of_table_7(number: int, published: dict[str, float]) -> None:
    (claim,) = read_claims([CLAIMS[number]])
    for comparison in claim.comparisons:
        if comparison.name in published:
            references = comparison.published
            assert isinstance(references, PublishedReferences)
            found = published_value(PUBLISHED, references)
            assert found is not None and found["value"] == pytest.approx(published.pop(comparison.name))
    assert not published


def test_published_numbers_of_the_table_and_the_notebook_agree() -> None:
    for row in radiance.ROWS:
        printed, notebook = PUBLISHED["table_7"][row], PUBLISHED["nerf_notebook"][row]
        for statistic in ("mean", "std"):
            assert printed[statistic] == pytest.approx(notebook[statistic], abs=0.0051)
    summary = PUBLISHED["table_1"]["nerf_lego"]
    in_table_1 = {"none": "none", "basic": "basic", "positional": "positional_rotated", "gaussian": "gaussian"}
    assert {name: PUBLISHED["table_7"][row]["mean"] for name, row in in_table_1.items()} == summary
