"""Generated documents equal the committed ones."""

import json

import jsonschema
import pytest
import yaml
from project import ROOT

from posenc.plan.documents import PAGE, SCHEMA, documents
from posenc.plan.registry import parts


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
