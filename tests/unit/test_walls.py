"""The walls between the package's rooms: who imports whom, and what stays outside (DESIGN: "rooms and walls")."""

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
from project import ROOT

from posenc import forkserver
from posenc.plan.digests import closure, module_path
from posenc.plan.registry import PACKAGE, parts

LEAVES = {"parameters", "files", "gpus", "memory", "pool"}  # facts and file formats that every room may use
SUBJECTS = {"problems", "networks", "encodings", "signals"}
# Which other rooms a room may import from; `posenc.<room>` is a package or a module.
MAY_IMPORT = {
    "parameters": set(),
    "files": set(),
    "gpus": set(),
    "memory": set(),
    "pool": set(),
    "jobs": set(),
    "forkserver": {"jobs"},
    "records": set(),
    "encodings": set(),
    "networks": set(),
    "problems": set(),
    "signals": set(),
    "training": SUBJECTS,
    "measures": SUBJECTS | {"training", "theory"},
    "theory": SUBJECTS,
    "plan": {"signals", "claims"},
    "claims": set(),
    "papers": {"reporting"},
    "reporting": {"papers", "claims", "signals"},
}
HEAVY = {"torch", "safetensors"}
NEVER = {
    "encodings": {"yaml", "snakemake", "pathlib", "os", "pandas", "numpy", "matplotlib"},
    "networks": {"yaml", "snakemake", "pathlib", "os", "pandas", "numpy", "matplotlib"},
    "problems": {"yaml", "snakemake", "pathlib", "os", "pandas", "numpy", "matplotlib"},
    "training": {"yaml", "pandas", "matplotlib"},
    "theory": {"yaml", "matplotlib"},
    "plan": HEAVY | {"pandas", "matplotlib", "scipy"},
    "signals": HEAVY,
    "records": HEAVY,
    "claims": HEAVY | {"matplotlib", "yaml"},
    "papers": HEAVY | {"yaml", "pathlib", "os"},
    "reporting": HEAVY,
    "jobs": HEAVY,
    "gpus": HEAVY,
    "pool": HEAVY,
}
FILES = sorted(PACKAGE.rglob("*.py"))


@cache
def imports(path: Path) -> frozenset[str]:
    """Dotted names that a file imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import is not seen by the digests"
            assert node.names[0].name != "*", f"{path}: what a star imports is not seen by the digests"
            found |= {node.module or ""} | {f"{node.module}.{alias.name}" for alias in node.names}
    return frozenset(found)


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def rooms_imported(path: Path) -> set[str]:
    return {name.split(".")[1] for name in imports(path) if name.startswith("posenc.")}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_room_imports_only_what_it_may(path: Path) -> None:
    own = room(path)
    if own == "__init__":
        assert imports(path) == frozenset()
        return
    assert own in MAY_IMPORT, f"a new room: say in this test what {own} may import"
    assert rooms_imported(path) - {own} - LEAVES <= MAY_IMPORT[own]
    assert not {name.split(".")[0] for name in imports(path)} & (NEVER.get(own, set()) | {"snakemake"})


@pytest.mark.parametrize("name", ["encodings", "networks", "problems", "signals"])
def test_packages_of_parts_import_nothing_themselves(name: str) -> None:
    """A combination's code is what it names: an import here would tie every part to every combination."""
    (docstring,) = ast.parse((PACKAGE / name / "__init__.py").read_text()).body
    assert isinstance(docstring, ast.Expr)


@pytest.mark.parametrize("kind", ["encodings", "networks", "problems"])
def test_a_fit_s_code_has_no_plan_and_no_records_in_it(kind: str) -> None:
    for part in parts(kind).values():
        path = module_path(part.use.split(":")[0])
        assert path
        found = closure(frozenset([ROOT / "workflow/scripts/fit.py", path]))
        found = {file for file in found if file.is_relative_to(PACKAGE)}
        rooms = {room(file) for file in found} - {"__init__"}
        assert rooms <= {"jobs", "training"} | SUBJECTS | LEAVES
        # Of subjects that it does not name, a fit sees what all of their kind share; of signals how they are stored.
        shared = {
            "encodings/base.py",
            "encodings/per_axis.py",
            "networks/inputs.py",
            "problems/grid.py",
            "problems/score.py",
            "signals/stored.py",
        }
        others = {file for file in found if room(file) in SUBJECTS - {kind} and file.name != "__init__.py"}
        assert {file.relative_to(PACKAGE).as_posix() for file in others} <= shared


def test_modules_are_imported_by_name_only_where_digests_know_it() -> None:
    by_name = {path.relative_to(PACKAGE).as_posix() for path in FILES if "import_module(" in path.read_text()}
    # Parts of a combination (`Plan.fit_digest`), makers of signals (`signals_digest`), an artefact's function
    # (`artefact_digest`), a study's (`study_digest`) and a measure's (`measure_digest`).
    named = {"training/stack.py", "signals/sets.py", "reporting/artefacts.py", "theory/study.py", "measures/asked.py"}
    assert by_name - named == {"forkserver.py"}
    assert not any(name.startswith("posenc") for name in forkserver.IMPORTED)


def test_planning_imports_nothing_heavy() -> None:
    code = "import sys; import posenc.plan.workflow, posenc.plan.runs; print(*sorted(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    loaded = set(run.stdout.split())
    assert not loaded & {"torch", "pandas", "matplotlib", "scipy", "skimage", "snakemake", "nibabel", "trimesh"}


def test_a_job_s_frame_imports_nothing_heavy() -> None:
    code = "import sys; import posenc.jobs; print(*sorted(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert not set(run.stdout.split()) & {"torch", "pandas", "numpy", "pydantic"}


@pytest.mark.parametrize("path", sorted((ROOT / "workflow/scripts").glob("*.py")), ids=lambda path: path.stem)
def test_a_script_only_unpacks_and_calls(path: Path) -> None:
    first, frame = ast.parse(path.read_text()).body
    assert ast.unparse(first) == "from posenc.jobs import job"
    assert isinstance(frame, ast.With)
    assert ast.unparse(frame.items[0].context_expr) == "job(snakemake.log[0])"
    imported, called = frame.body
    assert isinstance(imported, ast.ImportFrom)
    assert isinstance(called, ast.Expr)
    assert isinstance(called.value, ast.Call)


def test_every_script_is_called_by_a_rule() -> None:
    rules = "".join(path.read_text() for path in (ROOT / "workflow/rules").glob("*.smk"))
    for path in (ROOT / "workflow/scripts").glob("*.py"):
        assert f'"../scripts/{path.name}"' in rules, path
