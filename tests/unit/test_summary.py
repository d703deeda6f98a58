"""Table 1 and Figure 1: every task in its column, with the scores and pictures of the right fits."""

import itertools
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from posenc.papers.fourier_features import summary
from posenc.papers.material import Arrays, Material
from posenc.papers.scores import ENCODINGS

PUBLISHED = yaml.safe_load((Path(__file__).parents[2] / "workflow/papers/fourier_features/published.yaml").read_text())
THIS_RUN = "this run (laptop scale)"
SIDE = 6


def level(task: summary.Task, encoding: str, sigma: float) -> float:
    """A score that tells task, encoding and sigma apart."""
    return 10 * summary.TASKS.index(task) + ENCODINGS.index(encoding) + sigma / 100


def task_records(task: summary.Task) -> pd.DataFrame:
    """Two sigmas of which the larger is chosen, two report signals around the level, other splits and steps far off."""
    rows = []
    variants: dict[str, list[dict[str, Any]]] = {name: [{}] for name in ENCODINGS}
    if task.experiment == "radiance":
        variants["positional"] = [{"variant": "code", "rotated": True}, {"variant": "code", "rotated": False}]
    for encoding, sigma, signal in itertools.product(ENCODINGS, (1.0, 2.0), ("a", "b")):
        for number, variant in enumerate(variants[encoding]):
            common = {
                "experiment": task.experiment, "encoding": encoding, "sigma": sigma, "signal": signal, "seed": 0,
                "source": signal, "set": "report", "status": "ok", "network": "mlp", "member": 0, "step": 9,
                "combination": f"{encoding}/{sigma}/{number}", "metric": task.metric, "split": task.split,
                "chosen": sigma == 2.0, "final": True, "preset": "laptop", "device": "cpu", "variant": None,
                "rotated": False, **variant,
            }  # fmt: skip
            value = level(task, encoding, sigma) + 500 * number + (1 if signal == "a" else -1)
            rows += [
                common | {"value": value},
                common | {"value": -1.0, "split": "train"},
                common | {"value": -1.0, "step": 1, "final": False},
            ]
    return pd.DataFrame(rows)


def shown_of(experiment: str, combination: str) -> Arrays:
    """What a fit shows of each signal: a brightness that tells its encoding."""
    brightness = 0.2 * (1 + ENCODINGS.index(combination.split("/")[0]))
    shape = {"mri_brain": (SIDE, SIDE, SIDE, 1), "radiance": (2, SIDE, SIDE, 3)}.get(experiment, (SIDE, SIDE, 3))
    return {name: np.full(shape, brightness, dtype=np.float16) for name in ("a", "b")}


def signals_of(experiment: str) -> dict[str, Arrays]:
    one: Arrays = {
        "image_natural": {"values": np.full((SIDE, SIDE, 3), 255, dtype=np.uint8)},
        "shapes": {"normals": np.ones((SIDE, SIDE, 3), dtype=np.float16)},
        "mri_brain": {"values": np.ones((SIDE, SIDE, SIDE, 1), dtype=np.float32)},
        "radiance": {"images": np.full((3, SIDE, SIDE, 3), 255, dtype=np.uint8), "roles": np.array([0, 1, 2])},
    }[experiment]
    return {"a": one, "b": one}


def material(**changed: Any) -> Material:
    records = {task.experiment: task_records(task) for task in summary.TASKS} | changed.pop("records", {})
    normals = {
        f"{combination}/{name}": shown_of("shapes", combination)[name]
        for combination in records["shapes"]["combination"].unique()
        for name in ("a", "b")
    }
    arguments: dict[str, Any] = {
        "preset": "laptop",
        "facts": {"preset": "laptop", "scale": "laptop scale", "paper_protocol": False},
        "published": PUBLISHED,
        "records": records,
        "arrays": shown_of,
        "signals": signals_of,
        "reference": {},
        "measures": {summary.SHAPE_MEASURE: normals},
    }
    return Material(**(arguments | changed))


def test_table_1_has_seven_columns_published_beside_ours() -> None:
    table = summary.table_1(material())
    assert list(table.frame.columns.unique(0)) == ["published", THIS_RUN]
    assert [len(table.frame[title].columns) for title in ("published", THIS_RUN)] == [7, 7]
    assert list(table.frame.index) == ENCODINGS
    for task in summary.TASKS:
        ours = table.frame[THIS_RUN, task.task, task.data]
        assert ours.tolist() == pytest.approx([level(task, encoding, 2.0) for encoding in ENCODINGS]), task.key
        theirs = table.frame["published", task.task, task.data]
        assert theirs.to_dict() == PUBLISHED["table_1"][task.key]
        assert table.formats[THIS_RUN, task.task, task.data] == (".3f" if task.key == "shape" else ".2f")


def test_every_published_column_is_a_task() -> None:
    columns = {key for key, entry in PUBLISHED["table_1"].items() if isinstance(entry, dict)}
    assert columns == {task.key for task in summary.TASKS}


def test_a_reference_run_has_columns_of_its_own() -> None:
    (shapes,) = (task for task in summary.TASKS if task.experiment == "shapes")
    committed = task_records(shapes).assign(preset="paper", device="cuda")
    frame = summary.table_1(material(reference={"shapes": committed})).frame
    assert list(frame["reference run (preset paper, cuda)"]) == [("3D shape", "IoU")]


def test_fits_that_diverged_are_left_out_and_said() -> None:
    (task,) = (task for task in summary.TASKS if task.experiment == "ct_shepp")
    records = task_records(task)
    lost = (records["encoding"] == "gaussian") & (records["signal"] == "a")
    records.loc[lost, ["status", "value"]] = ["diverged", math.nan]
    table = summary.table_1(material(records={"ct_shepp": records}))
    assert table.frame.loc["gaussian", (THIS_RUN, "2D CT", "Shepp")] == pytest.approx(level(task, "gaussian", 2.0) - 1)
    assert any("ct_shepp: diverged and left out: gaussian" in note for note in table.notes)


def test_figure_1_shows_truth_and_both_fits_of_each_task() -> None:
    made = summary.figure_1(material())
    pictures = [axes.get_images()[0].get_array() for axes in made.figure.axes]
    assert [float(np.asarray(picture).max()) for picture in pictures] == pytest.approx(
        [1.0, 0.2, 0.8, 1.0, 0.6, 0.9, *[1.0, 0.2, 0.8] * 2], abs=1e-3
    )
    titles = [axes.get_title() for axes in made.figure.axes if axes.get_title()]
    assert titles == ["(b) 2D image", "(c) 3D shape", "(d) 3D MRI", "(e) NeRF"]
    assert made.plotted.groupby("panel")["encoding"].apply(list).tolist() == [["none", "gaussian"]] * 4
    assert set(made.plotted["sigma"]) == {2.0}


def test_figure_1_says_where_a_fit_is_missing() -> None:
    (task,) = (task for task in summary.TASKS if task.experiment == "mri_brain")
    records = task_records(task).query("encoding != 'none'")
    made = summary.figure_1(material(records={"mri_brain": records}))
    said = [text.get_text() for axes in made.figure.axes for text in axes.texts]
    assert said == ["diverged or not fitted"]
