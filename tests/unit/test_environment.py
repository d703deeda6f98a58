"""One set of pins: pip's lock, conda's file and the project's dependencies agree."""

import re
import sys
import tomllib
from pathlib import Path

import yaml
from project import ROOT

PIN = re.compile(r"([\w.-]+)==(\S+)")


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def pins(lines: list[str]) -> dict[str, str]:
    """Version by package, each pinned exactly and once."""
    found = {}
    for line in lines:
        match = PIN.fullmatch(line)
        assert match, f"not pinned as name==version: {line}"
        assert canonical(match[1]) not in found, f"pinned twice: {line}"
        found[canonical(match[1])] = match[2]
    return found


def lock() -> dict[str, str]:
    lines = (line.split("#")[0].strip() for line in (ROOT / "envs/requirements.txt").read_text().splitlines())
    return pins([line for line in lines if line])


def conda() -> tuple[list[str], list[str]]:
    """Conda's own packages, and those it leaves to pip."""
    listed = yaml.safe_load((ROOT / "envs/environment.yaml").read_text())["dependencies"]
    (pip,) = (entry["pip"] for entry in listed if isinstance(entry, dict))
    return [entry for entry in listed if isinstance(entry, str)], pip


def project() -> dict[str, list[str]]:
    """Names that pyproject.toml depends on, by group."""
    table = tomllib.loads((ROOT / "pyproject.toml").read_text())
    groups = {
        "run": table["project"]["dependencies"],
        "build": table["build-system"]["requires"],
        **table["project"]["optional-dependencies"],
    }
    return {
        group: [canonical(re.split(r"[<>=!~\[; ]", entry)[0]) for entry in names] for group, names in groups.items()
    }


def test_conda_and_pip_get_the_same_versions() -> None:
    assert pins(conda()[1]) == lock()


def test_conda_gives_a_python_that_the_project_takes() -> None:
    (python,) = (entry.split("=")[1] for entry in conda()[0] if entry.startswith("python="))
    least = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"].removeprefix(">=")
    assert tuple(map(int, python.split("."))) >= tuple(map(int, least.split(".")))


def test_every_dependency_is_pinned() -> None:
    for group, names in project().items():
        if group != "bench":
            assert [name for name in names if name not in lock()] == [], group


def test_what_the_benchmarks_add_is_pinned_where_it_is_named() -> None:
    extra = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]["bench"]
    assert "jax" in pins(extra)
    assert set(map(canonical, pins(extra))) & set(lock()) == set()


def test_what_is_imported_is_a_stated_dependency() -> None:
    distributions = {"IPython": "ipykernel", "PIL": "pillow", "skimage": "scikit-image", "yaml": "pyyaml"}
    carried = {"jupyter_client": "ipykernel", "mpl_toolkits": "matplotlib", "traitlets": "nbconvert"}
    text = "\n".join(path.read_text() for path in (ROOT / "src").rglob("*.py"))
    imported = set(re.findall(r"^\s*(?:from|import) (\w+)", text, re.MULTILINE)) - {"posenc"}
    stated = set(project()["run"])
    missing = {
        name
        for name in imported - set(sys.stdlib_module_names)
        if canonical((distributions | carried).get(name, name)) not in stated and not name.startswith("snakemake_")
    }
    assert missing == set()


def test_torch_is_the_version_that_the_numbers_were_made_with() -> None:
    assert lock()["torch"] == "2.13.0"


def test_no_index_or_path_is_named() -> None:
    for path in (Path("envs/requirements.txt"), Path("envs/environment.yaml"), Path("Makefile")):
        assert not re.search(
            r"--(extra-)?index-url|--find-links|@ (file|git|http)|://(?!\S*conda)", (ROOT / path).read_text()
        )
