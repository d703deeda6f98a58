"""Generated documents equal the committed ones."""

import json

import jsonschema
import numpy as np
import pytest
import yaml
from project import ROOT

from posenc.plan.documents import COSTS, PAGE, SCHEMA, documents


@pytest.mark.parametrize("path", [SCHEMA, PAGE, COSTS], ids=str)
def test_the_committed_document_is_the_generated_one(path: object) -> None:
    content = {str(name): text for name, text in documents().items()}[str(path)]
    assert (ROOT / str(path)).read_text() == content, f"{path} is out of date: run `make docs`"


def test_nothing_else_is_generated() -> None:
    assert set(documents()) == {SCHEMA, PAGE, COSTS}


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


def test_costs_are_those_of_the_paper_s_networks() -> None:
    """262,144 multiplications a point (the last layer's three columns left out), 65,536 points, 2000 updates."""
    row = next(line for line in documents()[COSTS].splitlines() if line.startswith("| `image_features` |"))
    jobs, fits, operations = (cell.strip() for cell in row.split("|")[2:5])
    products = sum(features * 256 + hidden * 256**2 for features in 2 ** np.arange(4, 12) for hidden in (0, 2, 6))
    assert (int(jobs), int(fits)) == (24, 24 * 16)
    assert float(operations) == pytest.approx(6 * products * 65_536 * 2000 * 16, rel=0.05)
