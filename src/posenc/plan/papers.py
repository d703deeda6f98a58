"""What a paper's folder declares: title, experiments, artefacts, claims, published numbers."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import Field

from posenc.plan.model import Model

# libyaml's, where there is one: Python's own takes a third of a second for the two papers.
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Artefact(Model):
    """A table or figure: the function that makes it and what it reads."""

    title: str
    section: str = Field(description="subcategory in the report")
    kind: Literal["table", "figure"]
    function: str = Field(description="module:function, called with the material")
    experiments: list[str] = Field(description="experiments and theory studies whose records it reads")
    pictures: list[str] = Field([], description="experiments whose signals and predictions it reads")
    theory: list[str] = Field([], description="theory studies whose arrays it reads")
    measures: list[str] = Field([], description="measures whose arrays it reads")
    metrics: bool = Field(False, description="it reads the metrics of the encodings of all papers' experiments")
    published: list[str] = Field([], description="groups of published.yaml that it shows")


class Study(Model):
    """An entry of theory.yaml: something computed without training; its records and arrays bear its name."""

    title: str
    function: str = Field(description="module:function, called with the study's inputs")
    signals: list[str] = Field([], description="experiments whose signals it reads")
    fits: list[str] = Field([], description="experiments whose fits' arrays it reads")
    plans: list[str] = Field([], description="experiments whose settings it goes by, without their fits")
    timed: bool = Field(
        False, description="it measures times: nothing runs beside it, and it runs again when what it times has changed"
    )
    parameters: dict[str, Any] = Field({})


class Measure(Model):
    """An entry of measures.yaml: an experiment's trained networks, at the chosen sigma, asked again."""

    title: str
    function: str = Field(description="module:function, called with each chosen network")
    experiment: str
    parameters: dict[str, Any] = Field({})


class PaperFile(Model):
    """paper.yaml."""

    title: str
    citation: str
    artefacts: dict[str, Artefact]


@dataclass(frozen=True)
class Paper:
    """A paper's folder under workflow/papers."""

    name: str
    folder: Path

    @cached_property
    def about(self) -> PaperFile:
        return PaperFile.model_validate(self._read("paper.yaml"))

    @cached_property
    def experiments(self) -> dict[str, Any]:
        return self._read("experiments.yaml")

    @cached_property
    def published(self) -> dict[str, Any]:
        return self._read("published.yaml")

    @cached_property
    def claims(self) -> list[dict[str, Any]]:
        return self._read("claims.yaml")

    @cached_property
    def theory(self) -> dict[str, Study]:
        return {name: Study.model_validate(study) for name, study in self._optional("theory.yaml").items()}

    @cached_property
    def measures(self) -> dict[str, Measure]:
        return {name: Measure.model_validate(measure) for name, measure in self._optional("measures.yaml").items()}

    @property
    def notebook(self) -> Path:
        return self.folder / "notebook.ipynb"

    def caption(self, artefact: str) -> Path:
        return self.folder / "captions" / f"{artefact}.rst"

    def _optional(self, name: str) -> Any:
        return self._read(name) if (self.folder / name).is_file() else {}

    def _read(self, name: str) -> Any:
        return yaml.load((self.folder / name).read_text(), LOADER)


def papers_in(folder: Path) -> Iterator[Paper]:
    """The papers below workflow/papers, by name."""
    for experiments in sorted(folder.glob("*/experiments.yaml")):
        yield Paper(experiments.parent.name, experiments.parent)
