"""What a paper's folder declares: title, experiments, artefacts, claims, published numbers."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import Field

from posenc.plan.model import Model


class Artefact(Model):
    """A table or figure: the function that makes it and what it reads."""

    title: str
    section: str = Field(description="subcategory in the report")
    kind: Literal["table", "figure"]
    function: str = Field(description="module:function, called with the material")
    experiments: list[str] = Field(min_length=1, description="experiments whose records it reads")
    pictures: list[str] = Field([], description="experiments whose predicted and true pictures it reads")
    published: list[str] = Field([], description="groups of published.yaml that it shows")


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

    @property
    def notebook(self) -> Path:
        return self.folder / "notebook.ipynb"

    def caption(self, artefact: str) -> Path:
        return self.folder / "captions" / f"{artefact}.rst"

    def _read(self, name: str) -> Any:
        return yaml.safe_load((self.folder / name).read_text())


def papers_in(folder: Path) -> Iterator[Paper]:
    """The papers below workflow/papers, by name."""
    for experiments in sorted(folder.glob("*/experiments.yaml")):
        yield Paper(experiments.parent.name, experiments.parent)
