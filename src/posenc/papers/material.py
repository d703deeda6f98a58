"""What an artefact is made from (`Material`) and what it makes (`Table`, `Figure`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure as Canvas

Pictures = dict[str, np.ndarray]  # signal name -> (H, W, channels) float32
Arrays = dict[str, np.ndarray]  # by name

# Columns of a table are plain names, or tuples from the outermost heading to the innermost.
Column = str | tuple[str, ...]


class Material:
    """Everything one artefact may look at: records, pictures, published numbers and what kind of run this is."""

    def __init__(
        self,
        preset: str,
        facts: Mapping[str, Any],
        published: Mapping[str, Any],
        records: Mapping[str, pd.DataFrame],
        arrays: Callable[[str, str], Arrays],
        signals: Callable[[str], dict[str, Arrays]],
        reference: Mapping[str, pd.DataFrame],
        theory: Mapping[str, Arrays] | None = None,
        measures: Mapping[str, Arrays] | None = None,
        metrics: Sequence[pd.DataFrame] = (),
    ) -> None:
        """Take everything ready made; arrays are asked for when they are drawn.

        facts: {"preset": "laptop", "scale": "laptop scale, stand-in signals", "paper_protocol": False}.
        published: the groups of published.yaml the artefact names, under their own names ({"table_3": {...}}).
        records: experiment or theory study -> records. reference: experiment -> committed records at paper scale.
        arrays(experiment, combination): what its fits show: `signal` or `signal/name`, below `member/` of stacked axes.
        signals(experiment): signal -> its arrays as stored. theory, measures: arrays by study or measure.
        metrics: encodings and their metrics, of each experiment of all papers.
        """
        self.preset = preset
        self.facts = facts
        self.published = published
        self.arrays = arrays
        self.signals = signals
        self.metrics = metrics
        self._records = records
        self._reference = reference
        self._theory = theory or {}
        self._measures = measures or {}

    def predictions(self, experiment: str, combination: str, member: int = 0) -> Pictures:
        """Report signal -> its prediction (H, W, channels) in float32, which may leave [0, 1]."""
        found, records = self.arrays(experiment, combination), self.records(experiment)
        if records.loc[records["combination"] == combination, "member"].max() > 0:
            of_member = f"{member}/"
            found = {name.removeprefix(of_member): found[name] for name in found if name.startswith(of_member)}
        return {name: array.astype(np.float32) for name, array in found.items()}

    def truths(self, experiment: str) -> Pictures:
        """Signal -> its values (H, W, channels) in float32; those of pictures in [0, 1]."""
        found = {name: arrays["values"] for name, arrays in self.signals(experiment).items()}
        return {
            name: values.astype(np.float32) / 255 if values.dtype == np.uint8 else values
            for name, values in found.items()
        }

    def theory(self, study: str) -> Arrays:
        """The arrays of a theory study."""
        return self._theory[study]

    def measures(self, measure: str) -> Arrays:
        """The arrays of a measure."""
        return self._measures[measure]

    def records(self, experiment: str) -> pd.DataFrame:
        """The records of one experiment of this run."""
        if experiment not in self._records:
            named = ", ".join(sorted(self._records)) or "none"
            raise KeyError(f"no records of experiment {experiment!r}; the artefact names: {named}")
        return self._records[experiment]

    @property
    def experiments(self) -> list[str]:
        """The experiments and theory studies that the artefact names, in its order."""
        return list(self._records)

    def reference(self, experiment: str) -> pd.DataFrame | None:
        """The committed records of this experiment at paper scale, or None."""
        return self._reference.get(experiment)

    @property
    def run_title(self) -> str:
        """The heading over this run's numbers: it says at what scale they were made."""
        return "reproduced (paper protocol)" if self.facts["paper_protocol"] else f"this run ({self.facts['scale']})"

    def reference_title(self, experiments: list[str]) -> str:
        """The heading over the reference numbers of these experiments, all of which must have some."""
        found = pd.concat([self._reference[name][["preset", "device"]] for name in experiments])
        presets, devices = ("/".join(sorted(found[column].unique())) for column in found)
        return f"reference run (preset {presets}, {devices})"


@dataclass(frozen=True)
class Table:
    """Numbers in full precision; how they are shown is left to the writers.

    `frame`: the index holds the row labels. `formats`: column -> format spec, such as ".2f".
    `notes`: sentences set below.
    """

    frame: pd.DataFrame
    formats: dict[Column, str]
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Figure:
    """A drawn figure, the tidy frame of what it plots, and notes set below it."""

    figure: Canvas
    plotted: pd.DataFrame
    notes: list[str] = field(default_factory=list)
