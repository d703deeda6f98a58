"""Radiance fields: Table 7 and Figure 19.

Scores are PSNR in dB of whole views that were not trained on, at the last step. Experiment `radiance` has the encodings
of Table 1 and positional encoding with and without rotated frequencies, `radiance_original_pe` that of NeRF itself.
Means and deviations run over the views of a scene, after the mean over seeds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd

from posenc.papers.material import Column, Figure, Material, Table
from posenc.papers.scores import divergence_notes, is_of_diverged_fit, psnr_rows, summary
from posenc.reporting import style, tiles

EXPERIMENTS = ("radiance", "radiance_original_pe")
# Rows of Table 7 in its order, by their keys in published.yaml.
ROWS = {
    "none": "none",
    "basic": "basic",
    "original_positional_rotated": "original positional, rotated",
    "positional_rotated": "positional, rotated",
    "gaussian": "gaussian",
    "original_positional": "original positional, along axes",
    "positional": "positional, along axes",
}
VIEWS = (1, 4, 6)  # of the report views, as the authors' code shows them
REPORT_ROLE = 2  # of a scene's views


def rows_named(records: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """The records of the experiments in one frame, with a column `row`: the row of Table 7 a fit belongs to.

    An encoding that Table 7 does not have is a row of its own name.
    """
    together = pd.concat(records, ignore_index=True)
    encoding = together["encoding"].astype(str)
    positional = encoding == "positional"
    original = positional & together["variant"].eq("table_2")
    rotated = positional & together["rotated"].eq(True)  # a column with gaps
    key = ("original_" + encoding).where(original, encoding)
    key = (key + "_rotated").where(rotated, key)
    return together.assign(row=key.map(ROWS).fillna(encoding))


def row_order(rows: Iterable[str]) -> list[str]:
    """The rows: those of Table 7 in its order, then any other by name."""
    place = {row: index for index, row in enumerate(ROWS.values())}
    return sorted(set(rows), key=lambda row: (place.get(row, len(place)), row))


def view_scores(records: pd.DataFrame) -> pd.DataFrame:
    """row, signal, item, value: the PSNR of each held-out view at the chosen sigma, averaged over seeds."""
    final = psnr_rows(records[records["chosen"] & records["final"]], ["test"])
    return final.groupby(["row", "signal", "item"])["value"].mean().reset_index()


# Table 7


def table_7(material: Material) -> Table:
    """PSNR per scene, mean and deviation over its views: published, this run, and a reference run if there is one."""
    published = material.published["table_7"]
    records = rows_named(material.records(name) for name in EXPERIMENTS)
    runs = {material.run_title: records}
    committed = {name: material.reference(name) for name in EXPERIMENTS}
    found = {name: frame for name, frame in committed.items() if frame is not None}
    if found:
        runs[material.reference_title(list(found))] = rows_named(found.values())
    rows = row_order([*ROWS.values(), *(row for frame in runs.values() for row in frame["row"])])

    columns: dict[Column, pd.Series] = {}
    formats: dict[Column, str] = {}

    def put(title: str, scene: str, frame: Mapping[str, pd.Series]) -> None:
        for statistic, values in frame.items():
            columns[title, scene, statistic] = values.reindex(rows)
            formats[title, scene, statistic] = ".4g" if statistic == "sigma" else ".2f"

    numbers = pd.DataFrame({title: published[key] for key, title in ROWS.items()}, dtype=float).T
    put("published", "Lego", {name: numbers[name] for name in ("mean", "std")})
    for title, frame in runs.items():
        scores = view_scores(frame)
        for scene, of_scene in scores.groupby("signal", sort=False):
            over_views = summary(of_scene, ["row"]).set_index("row")
            put(title, str(scene), {name: over_views[name] for name in ("mean", "std")})
        if scores["signal"].nunique() > 1:
            put(title, "all scenes", {"mean": scores.groupby(["row", "signal"])["value"].mean().groupby("row").mean()})
        chosen = frame[frame["chosen"]].groupby("row")["sigma"].first()
        put(title, "all scenes", {"sigma": chosen})
    notes = [
        "PSNR in dB over all pixels of a held-out view, not clipped; mean and std (divisor n) over the views of a"
        f" scene: {view_counts(records)}. Views of one scene are not independent scenes.",
        "rotated: frequencies turned by 45 degrees about z, then about x. original: NeRF's frequencies, powers of two.",
        "sigma: gaussian in radians per unit of the scene, positional an exponent.",
        f"published: {published['source']}, Lego in 13 held-out views of 400 x 400 pixels, one seed. Its sigma, by the"
        f" code: gaussian {published['sigma']['gaussian']}, positional {published['sigma']['positional']}.",
        *(note for name in EXPERIMENTS for note in divergence_notes(material.records(name), name)),
    ]
    return Table(pd.DataFrame(columns, index=pd.Index(rows, name="encoding")), formats, notes)


def view_counts(records: pd.DataFrame) -> str:
    """How many views were scored, in words."""
    counts = view_scores(records).groupby("signal")["item"].nunique()
    return ", ".join(f"{count} of {scene}" for scene, count in counts.items()) or "none that did not diverge"


# Figure 19


def figure_19(material: Material) -> Figure:
    """Three held-out views of the first scene beside what each encoding renders, at its chosen sigma."""
    records = {name: rows_named([material.records(name)]) for name in EXPERIMENTS}
    scene = next(iter(records.values()))["signal"].iloc[0]
    stored = material.signals(EXPERIMENTS[0])[scene]
    truths = stored["images"][stored["roles"] == REPORT_ROLE].astype(np.float32) / 255
    views = views_shown(len(truths))
    shown = pd.concat([renders(material, name, frame, scene, views) for name, frame in records.items()])
    rows = row_order(shown["row"])
    with style.applied():
        grid = tiles.TileGrid(
            len(views),
            1 + len(rows),
            style.TEXT_WIDTH,
            left=1.2 * tiles.LINE,
            above=3.2 * tiles.LINE,
            below=0.2 * tiles.LINE,
        )
        for line, view in enumerate(views):
            truth = grid.tile(line, 0)
            tiles.show(truth, truths[view])
            tiles.label_left(truth, f"view {view}")
            if line == 0:
                tiles.title_above(truth, "truth")
            for column, row in enumerate(rows, start=1):
                axes = grid.tile(line, column)
                (fit,) = shown[(shown["row"] == row) & (shown["view"] == view)].to_dict("records")
                if fit["picture"] is None:
                    tiles.show_missing(axes, "diverged")
                else:
                    tiles.show(axes, fit["picture"])
                    tiles.score_inside(axes, f"{fit['psnr']:.1f}")
                if line == 0:
                    tiles.title_above(axes, row.replace("original ", "original\n").replace(", ", ",\n"))
    notes = [f"Scene {scene}. Printed is the PSNR of the view in dB."]
    return Figure(grid.figure, shown.drop(columns="picture").reset_index(drop=True), notes)


def views_shown(count: int) -> list[int]:
    """The views that the authors show, or the first three where there are fewer views."""
    return list(VIEWS) if max(VIEWS) < count else list(range(min(len(VIEWS), count)))


def renders(material: Material, experiment: str, records: pd.DataFrame, scene: str, views: list[int]) -> pd.DataFrame:
    """row, sigma, seed, view, psnr, picture: one per row of Table 7 and view, of several seeds the first.

    `picture` is (H, W, 3), or None where the fit diverged.
    """
    chosen = records[records["chosen"] & (records["signal"] == scene)]
    first = chosen.sort_values("seed", kind="stable").drop_duplicates("row")
    lost = set(chosen.loc[is_of_diverged_fit(chosen), "combination"])
    scores = psnr_rows(chosen[chosen["final"]], ["test"]).set_index(["combination", "item"])["value"]
    found = []
    for fit in first.to_dict("records"):
        diverged = fit["combination"] in lost
        pictures = None if diverged else material.arrays(experiment, fit["combination"])[scene].astype(np.float32)
        for view in views:
            found.append(
                {
                    **{name: fit[name] for name in ("row", "sigma", "seed")},
                    "scene": scene,
                    "view": view,
                    "psnr": np.nan if diverged else scores[fit["combination"], f"view_{view:02d}"],
                    "picture": None if pictures is None else pictures[view],
                }
            )
    return pd.DataFrame(found)
