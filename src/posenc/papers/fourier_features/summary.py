"""What the paper says about all tasks at once: Table 1 and Figure 1.

Scores are means over report signals, after the mean over seeds; each encoding at the sigma that tuning signals chose.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from posenc.papers.material import Arrays, Column, Figure, Material, Table
from posenc.papers.reconstructions import first_signals
from posenc.papers.scores import (
    ENCODINGS,
    divergence_notes,
    is_of_diverged_fit,
    metric_rows,
    signal_means,
    summary,
)
from posenc.reporting import style, tiles

COMPARED = {"none": "without\nFourier features", "gaussian": "with\nFourier features"}
REPORT_ROLE = 2  # of a scene's views
SHAPE_MEASURE = "shape_normals"


@dataclass(frozen=True)
class Task:
    """A column of Table 1: its key in published.yaml, its headings, and where this project's score is."""

    key: str
    task: str
    data: str
    experiment: str
    metric: str = "psnr"
    split: str = "all"
    where: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # by encoding, which of several

    @property
    def format(self) -> str:
        return ".3f" if self.metric == "iou" else ".2f"


TASKS = [
    Task("image_natural", "2D image", "Natural", "image_natural", split="test"),
    Task("image_text", "2D image", "Text", "image_text", split="test"),
    Task("shape", "3D shape", "IoU", "shapes", metric="iou", split="boundary"),
    Task("ct_shepp", "2D CT", "Shepp", "ct_shepp"),
    Task("ct_atlas", "2D CT", "ATLAS", "ct_brain"),
    Task("mri_atlas", "3D MRI", "ATLAS", "mri_brain"),
    Task(
        "nerf_lego",
        "NeRF",
        "Lego",
        "radiance",
        split="test",
        where={"positional": {"variant": "code", "rotated": True}},
    ),
]


def table_1(material: Material) -> Table:
    """The four encodings on all seven tasks: published, this run, and a reference run where there is one."""
    published = material.published["table_1"]
    columns: dict[Column, pd.Series] = {}
    formats: dict[Column, str] = {}

    def add(title: str, task: Task, values: pd.Series) -> None:
        columns[title, task.task, task.data] = values.reindex(ENCODINGS)
        formats[title, task.task, task.data] = task.format

    for task in TASKS:
        add("published", task, pd.Series(published[task.key], dtype=float))
    for task in TASKS:
        add(material.run_title, task, task_scores(material.records(task.experiment), task))
    referenced = [task for task in TASKS if material.reference(task.experiment) is not None]
    for task in referenced:
        committed = material.reference(task.experiment)
        assert committed is not None
        add(material.reference_title([task.experiment for task in referenced]), task, task_scores(committed, task))
    notes = [
        "PSNR in dB; 3D shape: IoU of points near the surface. 2D image: offset quarter of the pixels. NeRF: positional"
        " encoding with rotated frequencies; views that were not trained on.",
        "Columns bear the paper's names of its data; the caption says which signals this run had in their place.",
        f"published: {published['source']}.",
        *(note for task in TASKS for note in divergence_notes(material.records(task.experiment), task.experiment)),
    ]
    return Table(pd.DataFrame(columns, index=pd.Index(ENCODINGS, name="encoding")), formats, notes)


def task_scores(records: pd.DataFrame, task: Task) -> pd.Series:
    """Mean score by encoding."""
    found = records[records["chosen"] & records["final"] & (records["network"] == "mlp")]
    for encoding, settings in task.where.items():
        for setting, value in settings.items():
            found = found[(found["encoding"] != encoding) | (found[setting] == value)]
    rows = metric_rows(found, task.metric, [task.split])
    return summary(signal_means(rows, ["encoding"]), ["encoding"]).set_index("encoding")["mean"]


# Figure 1


@dataclass(frozen=True)
class Panel:
    """A column of Figure 1: how a picture comes from a signal's arrays, and from what its fit shows."""

    letter: str
    title: str
    experiment: str
    truth: Callable[[Arrays], np.ndarray]
    fitted: Callable[[np.ndarray], np.ndarray]
    measure: str = ""  # where the fit's picture is a measure


def middle_slice(volume: np.ndarray) -> np.ndarray:
    """The slice across the middle of the first axis, its last axis upwards, (size, size, 3)."""
    return np.repeat(np.rot90(volume[len(volume) // 2]).astype(np.float32), 3, axis=-1)


def first_view(arrays: Arrays) -> np.ndarray:
    """The first view of a scene that is reported on, (H, W, 3)."""
    return arrays["images"][np.flatnonzero(arrays["roles"] == REPORT_ROLE)[0]].astype(np.float32) / 255


PANELS = [
    Panel("b", "2D image", "image_natural", lambda a: a["values"].astype(np.float32) / 255, lambda found: found),
    Panel(
        "c", "3D shape", "shapes", lambda a: tiles.coloured_normals(a["normals"]), tiles.coloured_normals, SHAPE_MEASURE
    ),
    Panel("d", "3D MRI", "mri_brain", lambda a: middle_slice(a["values"]), middle_slice),
    Panel("e", "NeRF", "radiance", first_view, lambda views: views[0]),
]


def figure_1(material: Material) -> Figure:
    """Panels b to e of Figure 1: one signal of each task, its truth, and its fit without and with Gaussian features."""
    rows = ["truth", *COMPARED]
    plotted = []
    with style.applied():
        grid = tiles.TileGrid(len(rows), len(PANELS), style.TEXT_WIDTH, left=2.4 * tiles.LINE, above=1.3 * tiles.LINE)
        for column, panel in enumerate(PANELS):
            records = material.records(panel.experiment)
            signal = first_signals(records, 1)[0]
            cells = {row: grid.tile(place, column) for place, row in enumerate(rows)}
            tiles.title_above(cells["truth"], f"({panel.letter}) {panel.title}")
            tiles.show(cells["truth"], panel.truth(material.signals(panel.experiment)[signal]).astype(np.float32))
            for encoding in COMPARED:
                fit = chosen_fit(records, encoding, signal)
                if fit is None:
                    tiles.show_missing(cells[encoding], "diverged or not fitted")
                else:
                    tiles.show(cells[encoding], shown(material, panel, fit, signal).astype(np.float32))
                    named = {"panel": panel.letter, "experiment": panel.experiment, "signal": signal}
                    plotted.append(named | fit[["encoding", "sigma", "seed", "combination"]].to_dict())
            if column == 0:
                for row, label in {"truth": "truth", **COMPARED}.items():
                    tiles.label_left(cells[row], label)
    return Figure(grid.figure, pd.DataFrame(plotted))


def chosen_fit(records: pd.DataFrame, encoding: str, signal: str) -> pd.Series | None:
    """A record of the encoding's fit to a signal at the chosen sigma, of the first seed; None where it diverged."""
    good = records[records["chosen"] & ~is_of_diverged_fit(records)]
    found = good[(good["encoding"] == encoding) & (good["signal"] == signal)].sort_values("seed", kind="stable")
    return None if found.empty else found.iloc[0]


def shown(material: Material, panel: Panel, fit: pd.Series, signal: str) -> np.ndarray:
    """The picture of a fit."""
    if panel.measure:
        return panel.fitted(material.measures(panel.measure)[f"{fit['combination']}/{signal}"])
    return panel.fitted(material.predictions(panel.experiment, fit["combination"], fit["member"])[signal])
