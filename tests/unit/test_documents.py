"""Generated documents equal the committed ones."""

import json

import jsonschema
import numpy as np
import pytest
import yaml
from project import ROOT

from posenc.plan.documents import COSTS, PAGE, SCHEMA, documents
from posenc.plan.registry import parts


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


def test_the_page_names_every_problem_encoding_and_network_with_its_parameters() -> None:
    page = documents()[PAGE]
    sections = {"problems": "problem", "encodings": "encodings", "networks": "networks"}
    for folder, key in sections.items():
        _, _, section = page.partition(f"### `experiments.<name>.{key}`\n")
        assert section, key
        section = section.split("\n### ")[0]
        for name, part in parts(folder).items():
            _, _, entry = section.partition(f"#### `{name}`\n")
            entry = entry.split("\n#### ")[0]
            assert part.doc.splitlines()[0] in entry
            assert all(f"| `{parameter}` |" in entry for parameter in part.parameters), name
    for name in ("image", "none", "basic", "positional", "gaussian", "mlp"):
        assert f"#### `{name}`" in page
    assert "\n\n\n" not in page


@pytest.mark.parametrize(
    ("problem", "valid"),
    [
        ("image", True),
        ({"image": {}}, True),
        ({"image": {"output_activation": "tanh"}}, True),
        ({"image": None}, True),  # takes it out of a lower layer
        ("picture", False),
        ({"picture": {}}, False),
        ({"image": {"output_activation": "relu"}}, False),
        ({"image": {"size": 2}}, False),
    ],
)
def test_the_schema_takes_a_problem_as_the_model_does(problem: object, valid: bool) -> None:
    validator = jsonschema.Draft202012Validator(json.loads(documents()[SCHEMA]))
    assert validator.is_valid({"experiments": {"image_natural": {"problem": problem}}}) == valid


def test_costs_are_those_of_the_paper_s_networks() -> None:
    """262,144 multiplications a point (the last layer's three columns left out), 65,536 points, 2000 updates."""
    row = next(line for line in documents()[COSTS].splitlines() if line.startswith("| `image_features` |"))
    jobs, fits, operations = (cell.strip() for cell in row.split("|")[2:5])
    products = sum(features * 256 + hidden * 256**2 for features in 2 ** np.arange(4, 12) for hidden in (0, 2, 6))
    assert (int(jobs), int(fits)) == (24, 24 * 16)
    assert float(operations) == pytest.approx(6 * products * 65_536 * 2000 * 16, rel=0.05)
