"""From an artefact's plan to its files: load what it names, call its function, write the results and a card."""

import importlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
from jinja2 import Template

from posenc.files import write_json
from posenc.papers.material import Material
from posenc.reporting.figures import write_figure
from posenc.reporting.tables import html_text, write_table
from posenc.signals.stored import read_signals

WRITERS: dict[str, Callable[[Any, Path], list[Path]]] = {"table": write_table, "figure": write_figure}


def draw_artefact(spec: Mapping[str, Any], caption: str, inputs: Any, outputs: Sequence[str]) -> None:
    """Make an artefact and its card, a JSON with title, caption and where its numbers come from.

    spec: the planner's dict. inputs: the rule's, with `records`, `summaries`, `reference` and `metrics`.
    """
    module, function = spec["function"].split(":")
    made = getattr(importlib.import_module(module), function)(material(spec, inputs))
    card = Path(next(path for path in outputs if path.endswith(".json")))
    WRITERS[spec["kind"]](made, card.with_suffix(""))
    summaries = [json.loads(Path(path).read_text()) for path in inputs.summaries]
    fitted = [found for found in summaries if "devices" in found]  # theory has none
    write_json(
        card,
        {
            "name": spec["name"],
            "title": spec["title"],
            "section": spec["section"],
            "kind": spec["kind"],
            "caption": filled(caption, spec),
            "table": html_text(made) if spec["kind"] == "table" else None,
            "devices": sorted({device for found in fitted for device in found["devices"]}),
            "precisions": sorted({precision for found in fitted for precision in found["precisions"]}),
            "files": {Path(path).suffix[1:]: Path(path).name for path in outputs},
        },
    )


def filled(caption: str, artefact: Mapping[str, Any]) -> str:
    """A caption's template with the artefact in the place where `snakemake --report` has it, on one line."""
    snakemake = SimpleNamespace(params=SimpleNamespace(artefact=artefact))
    return " ".join(Template(caption).render(snakemake=snakemake).split())


def material(spec: Mapping[str, Any], inputs: Any) -> Material:
    """What the artefact's function may look at."""

    def arrays(experiment: str, combination: str) -> dict[str, np.ndarray]:
        named = spec["pictures"][experiment]
        return read_arrays(named["arrays"][named["labels"].index(combination)])

    def signals(experiment: str) -> dict[str, dict[str, np.ndarray]]:
        named = spec["pictures"][experiment]
        stored, rows = read_signals(named["values"], named["rows"])
        whole = dict(stored)
        return {row["name"]: {name: array[i] for name, array in whole.items()} for i, row in enumerate(rows)}

    return Material(
        preset=spec["facts"]["preset"],
        facts=spec["facts"],
        published=spec["published"],
        records=by_experiment(inputs.records),
        arrays=arrays,
        signals=signals,
        theory={name: read_arrays(path) for name, path in spec["theory"].items()},
        measures={name: read_arrays(path) for name, path in spec["measures"].items()},
        metrics=[read_metrics(path) for path in inputs.metrics],
        reference=by_experiment(inputs.reference),
    )


def read_arrays(path: str) -> dict[str, np.ndarray]:
    """All arrays of an `.npz`."""
    with np.load(path, allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


def read_metrics(path: str) -> pd.DataFrame:
    """The encodings of an experiment, a row each."""
    return pd.DataFrame([row for members in json.loads(Path(path).read_text()).values() for row in members])


def by_experiment(paths: Sequence[str]) -> dict[str, pd.DataFrame]:
    """Records by the name of their file, which is the experiment's."""
    return {Path(path).stem: pd.read_parquet(path) for path in paths}
