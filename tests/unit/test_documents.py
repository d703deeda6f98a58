"""Generated documents equal the committed ones."""

import json

import jsonschema
import pytest
import yaml
from project import ROOT

from posenc.plan.documents import PAGE, SCHEMA, documents


@pytest.mark.parametrize("path", [SCHEMA, PAGE], ids=str)
def test_the_committed_document_is_the_generated_one(path: object) -> None:
    content = {str(name): text for name, text in documents().items()}[str(path)]
    assert (ROOT / str(path)).read_text() == content, f"{path} is out of date: run `make docs`"


def test_nothing_else_is_generated() -> None:
    assert set(documents()) == {SCHEMA, PAGE}


@pytest.mark.parametrize(
    "name", ["config.yaml", *(f"workflow/presets/{name}.yaml" for name in ("smoke", "laptop", "paper"))]
)
def test_the_schema_accepts_what_the_project_ships(name: str) -> None:
    settings = yaml.safe_load((ROOT / name).read_text())
    jsonschema.validate(settings, json.loads(documents()[SCHEMA]))


def test_the_schema_refuses_what_the_model_refuses() -> None:
    validator = jsonschema.Draft202012Validator(json.loads(documents()[SCHEMA]))
    sigma = {"image_natural": {"encodings": {"gaussian": {"sigma": 0}}}}
    for settings in ({"presett": "smoke"}, {"preset": "smok"}, {"experiments": sigma}, {"device": None}):
        assert not validator.is_valid(settings), settings


def test_the_page_names_every_encoding_and_network() -> None:
    page = documents()[PAGE]
    for name in ("none", "basic", "positional", "gaussian", "mlp"):
        assert f"#### `{name}`" in page
