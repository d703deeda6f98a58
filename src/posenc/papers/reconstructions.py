"""Which pictures a figure shows: a row per reconstruction with its score and where it is from."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from posenc.papers.material import Material
from posenc.papers.scores import is_of_diverged_fit
from posenc.reporting import tiles


def first_signals(records: pd.DataFrame, count: int) -> list[str]:
    """The first report signals, each from a source picture of its own as long as there are any."""
    signals = records[records["set"] == "report"].drop_duplicates("signal")
    nth_of_source = signals.groupby("source").cumcount()
    return signals.loc[nth_of_source.sort_values(kind="stable").index, "signal"].head(count).tolist()


def reconstructions(
    material: Material, experiment: str, records: pd.DataFrame, signals: list[str], split: str
) -> pd.DataFrame:
    """One row per encoding, sigma and signal; `picture` is (H, W, 3), or None where the fit diverged.

    Of several seeds the first is shown, and `psnr`, over the pixels of `split`, is that seed's.
    """
    scores = records[(records["metric"] == "psnr") & (records["split"] == split) & records["final"]]
    diverged = records[is_of_diverged_fit(records)]
    first_seeds = records.sort_values("seed", kind="stable").drop_duplicates(["encoding", "sigma"])
    rows = []
    for _, fit in first_seeds.iterrows():
        combination, member = fit["combination"], fit["member"]
        lost = set(diverged.loc[is_of(diverged, combination, member), "signal"])
        # Nothing is asked for a combination that has nothing to show.
        pictures = material.predictions(experiment, combination, member) if set(signals) - lost else {}
        psnr = scores[is_of(scores, combination, member)].set_index("signal")["value"]
        for signal in signals:
            rows.append(
                {
                    "experiment": experiment,
                    "signal": signal,
                    **fit[["encoding", "sigma", "seed", "combination"]],
                    "split": split,
                    "psnr": np.nan if signal in lost else psnr[signal],
                    "status": "diverged" if signal in lost else "ok",
                    "picture": None if signal in lost else pictures[signal],
                }
            )
    return pd.DataFrame(rows)


def is_of(records: pd.DataFrame, combination: str, member: int) -> pd.Series:
    return (records["combination"] == combination) & (records["member"] == member)


def draw(axes: Axes, shown: pd.DataFrame) -> None:
    """Draw the one reconstruction in `shown`, or say why there is none."""
    if shown.empty:
        tiles.show_missing(axes, "not fitted")
    elif shown["status"].item() == "diverged":
        tiles.show_missing(axes, "diverged")
    else:
        tiles.show(axes, shown["picture"].item())


def draw_scored(axes: Axes, fit: pd.DataFrame) -> None:
    """The reconstruction with its PSNR printed into it."""
    draw(axes, fit)
    if (fit["status"] == "ok").any():
        tiles.score_inside(axes, score(fit))


def score(fit: pd.DataFrame) -> str:
    """The PSNR of the one reconstruction in `fit`."""
    return "diverged" if fit["status"].item() == "diverged" else f"{fit['psnr'].item():.2f} dB"


def without_pictures(shown: pd.DataFrame) -> pd.DataFrame:
    """What a figure of pictures plots, as numbers."""
    return shown.drop(columns="picture").reset_index(drop=True)
