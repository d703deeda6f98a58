"""Variance over draws against the number of features: Gaussian and random Fourier features (R-F10 and R-F11).

The two encodings have scales of one stable rank for infinitely many features. A draw is a seed: new weights and, for
random features, new frequencies. Means and deviations run over draws, after the mean over signals.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from posenc.papers.curves import PSNR, line_with_spread
from posenc.papers.material import Column, Figure, Material, Table
from posenc.papers.scores import divergence_notes, encoding_order, late, psnr_rows
from posenc.reporting import style

PUBLISHED_TITLE = "published (printed or digitised)"
PANELS = {"train": f"train {PSNR}", "test": f"test {PSNR}", "stable_rank": "stable rank"}


@dataclass(frozen=True)
class Study:
    """One of the two experiments, which is also its published group, and which of its splits the paper calls test."""

    experiment: str
    name: str
    test: str


ROW = Study("row_features", "1D", "test")
# The paper's test in two dimensions is of all pixels, those trained on included.
PICTURE = Study("picture_features", "2D", "all")


def figure_features(material: Material) -> Figure:
    """R-F10: one dimension, linear model."""
    return figure_of(material, ROW)


def figure_picture_features(material: Material) -> Figure:
    """R-F11: pictures, deep network."""
    return figure_of(material, PICTURE)


def figure_of(material: Material, study: Study) -> Figure:
    """Train and test PSNR and stable rank over the number of features; this run above, published numbers below."""
    published = material.published[study.experiment]
    frames = {material.run_title: over_draws(material, study), PUBLISHED_TITLE: published_values(published)}
    encodings = encoding_order(name for frame in frames.values() for name in frame["encoding"])
    colours = style.encoding_colours(encodings)
    with style.applied():
        figure = style.new_figure(style.TEXT_WIDTH, 4.4)
        panels = figure.subplots(len(frames), len(PANELS), sharex="row")
        for line_of_panels, (title, frame) in zip(panels, frames.items(), strict=True):
            for axes, (quantity, label) in zip(line_of_panels, PANELS.items(), strict=True):
                for encoding in encodings:
                    line = frame[(frame["encoding"] == encoding) & (frame["quantity"] == quantity)]
                    look: dict[str, Any] = {"color": colours[encoding], "marker": "o", "label": encoding}
                    if title == PUBLISHED_TITLE:  # hollow, as all published numbers
                        look |= {"markerfacecolor": "white", "linewidth": 0.8}
                    line_with_spread(axes, "features", line, **look)
                axes.set(ylabel=label, xlabel="features")
            line_of_panels[0].set_title(title, loc="left")
        figure.legend(handles=panels[0, 0].get_lines(), loc="outside upper center", ncols=len(encodings))
    draws = frames[material.run_title]["draws"].max()
    notes = [
        f"This run: mean and standard deviation over {draws} draws. {test_of(study)}",
        f"published: {published['source']}, {published['unit']}; {published['readings']['source']}.",
        *published["notes"],
        *divergence_notes(material.records(study.experiment), study.experiment),
    ]
    by = ["encoding", "features", "quantity"]
    columns = [frame.set_index(by).add_prefix(f"{title}: ") for title, frame in frames.items()]
    return Figure(figure, pd.concat(columns, axis=1).sort_index().reset_index(), notes)


def test_of(study: Study) -> str:
    if study.test == "all":
        return "Test is of all pixels, those trained on included, as in the authors' code, after the last update."
    return "PSNR is the mean over the last 100 updates."


def over_draws(material: Material, study: Study) -> pd.DataFrame:
    """encoding, features, quantity, mean, std (divisor n), draws."""
    splits = {"train": "train", study.test: "test"}
    rows = late(psnr_rows(material.records(study.experiment), splits))
    scores = rows.assign(quantity=rows["split"].map(splits))
    ranks = rows.assign(quantity="stable_rank", value=rows["stable_rank"])
    by = ["encoding", "features", "quantity"]
    draws = pd.concat([scores, ranks]).groupby([*by, "seed"])["value"].mean()
    groups = draws.groupby(by)
    found = pd.DataFrame({"mean": groups.mean(), "std": groups.std(ddof=0), "draws": groups.size()}).reset_index()
    return found.assign(std=found["std"].where(found["draws"] > 1))


def published_values(published: Mapping[str, Any]) -> pd.DataFrame:
    """encoding, features, quantity, mean: what is printed, and what was read off the plots."""
    frames = []
    for group in (published, published["readings"]):
        for encoding in ("gaussian", "shifted_gaussian"):
            for quantity, values in group.get(encoding, {}).items():
                if quantity in PANELS:
                    about = {"encoding": encoding, "features": published["features"], "quantity": quantity}
                    frames.append(pd.DataFrame({**about, "mean": values}))
    return pd.concat(frames, ignore_index=True)


def seconds(published: Mapping[str, Any]) -> str:
    """How long the authors' runs took, if that is known."""
    found = published["gaussian"].get("seconds", [])
    return f" Seconds, random Fourier features: {', '.join(map(str, found))}." if found else ""


def table_features(material: Material) -> Table:
    """Train and test PSNR and stable rank of both encodings over the number of features, in 1D and in 2D."""
    studies = [ROW, PICTURE]
    frames = {
        "published": {study.name: published_values(material.published[study.experiment]) for study in studies},
        material.run_title: {study.name: over_draws(material, study) for study in studies},
    }
    by = ["study", "encoding", "features", "quantity"]
    values = {
        title: pd.concat(frame.assign(study=name) for name, frame in of_studies.items()).set_index(by)
        for title, of_studies in frames.items()
    }
    keys = sorted({key[:3] for frame in values.values() for key in frame.index})
    labels = [f"{study}, {encoding}, {features:g} features" for study, encoding, features in keys]
    columns: dict[Column, pd.Series] = {}
    for quantity, label in PANELS.items():
        places = pd.MultiIndex.from_tuples([(*key, quantity) for key in keys])
        for title, frame in values.items():
            for statistic in [name for name in ("mean", "std") if name in frame]:
                columns[label, title, statistic] = pd.Series(frame[statistic].reindex(places).to_numpy(), labels)
    frame = pd.DataFrame(columns, index=pd.Index(labels, name="setting"))
    notes = [
        *(f"{study.name}: {test_of(study)}" for study in studies),
        *(
            f"{study.name}: this run has {frames[material.run_title][study.name]['draws'].max()} draws. published:"
            f" {published['source']}, {published['unit']}; {published['readings']['source']}.{seconds(published)}"
            for study in studies
            for published in [material.published[study.experiment]]
        ),
        *dict.fromkeys(note for study in studies for note in material.published[study.experiment]["notes"]),
        *(note for study in studies for note in divergence_notes(material.records(study.experiment), study.experiment)),
    ]
    return Table(frame, {column: ".1f" if column[0] == "stable rank" else ".2f" for column in columns}, notes)
