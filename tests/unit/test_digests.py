"""Digests of code: what changes them, and what does not. On a copy of the package that is edited."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from project import PAPER, copy_project, edit_code, edit_text, edit_words

from posenc.plan import digests
from posenc.plan.layers import Layer
from posenc.plan.workflow import Plan, make_plan

CACHED = (digests.tree_of, digests.code_text, digests.closure, digests.code_digest, digests.function_digest)
IMAGE = "papers/fourier_features/image.py"


class Copy:
    """The project in another place, and the digests of its smoke plan."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.package = root / "src" / "posenc"

    def plan(self) -> Plan:
        for function in CACHED:
            function.cache_clear()
        return make_plan(self.root, [Layer("config.yaml", {"preset": "smoke"})], {})

    def fits(self) -> dict[str, str]:
        """Digest of every fit by `experiment/label`."""
        plan, found = self.plan(), {}
        for experiment, combinations in plan.combinations.items():
            for label in combinations:
                encoding, network, seed = label.replace("seed=", "").split("/")
                wildcards = SimpleNamespace(experiment=experiment, encoding=encoding, network=network, seed=seed)
                found[f"{experiment}/{label}"] = plan.fit_digest(wildcards)
        return found

    def artefacts(self) -> dict[str, str]:
        plan = self.plan()
        return {name: plan.artefact_digest(target) for target, (_, name, _) in plan.artefacts.items()}

    def others(self) -> dict[str, str]:
        """Digests of all other jobs."""
        plan = self.plan()
        (paper,) = plan.papers.values()
        return {
            **{key.split("+")[0]: plan.signals_digest(key) for key in plan.signal_specs},
            **{script: plan.digest(script) for script in ("collect", "concatenate", "judge_claims")},
            "render_paper": plan.digest("render_paper", paper.notebook),
            "render_overview": plan.digest("render_overview", plan.overview),
        }

    def all(self) -> dict[str, str]:
        return self.fits() | self.artefacts() | self.others()


def changed(before: dict[str, str], after: dict[str, str]) -> set[str]:
    assert list(before) == list(after)
    return {name for name in before if before[name] != after[name]}


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Copy:
    root = copy_project(tmp_path / "posenc")
    monkeypatch.setattr(digests, "PACKAGE", root / "src" / "posenc")
    return Copy(root)


def test_words_and_blank_lines_do_not_count(copy: Copy) -> None:
    before = copy.all()
    for path in copy.package.rglob("*.py"):
        edit_words(path)
    edit_text(copy.package / "encodings/gaussian.py", '    """Random Fourier', '    """Edited. Random Fourier')
    edit_text(copy.package / "encodings/gaussian.py", "        super()", "        # edited\n\n        super()")
    assert changed(before, copy.all()) == set()


def test_the_place_of_the_project_does_not_count(copy: Copy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = copy.all()
    elsewhere = Copy(copy_project(tmp_path / "a" / "longer path"))
    monkeypatch.setattr(digests, "PACKAGE", elsewhere.package)
    assert changed(before, elsewhere.all()) == set()


@pytest.mark.parametrize(
    ("module", "function", "encodings"),
    [
        ("encodings/gaussian.py", "__init__", {"gaussian"}),
        ("encodings/positional.py", "axis_frequencies", {"positional"}),
        ("encodings/none.py", "forward", {"none"}),
        ("encodings/base.py", "forward", {"none", "basic", "positional", "gaussian"}),
        ("networks/mlp.py", "forward", {"none", "basic", "positional", "gaussian"}),
        ("problems/grid.py", "points", {"none", "basic", "positional", "gaussian"}),
        ("training/loop.py", "train", {"none", "basic", "positional", "gaussian"}),
        ("problems/score.py", "psnr", {"none", "basic", "positional", "gaussian"}),
        ("training/adam.py", "step", {"none", "basic", "positional", "gaussian"}),
        ("training/sgd.py", "step", {"none", "basic", "positional", "gaussian"}),
        ("training/stack.py", "fit_stack", {"none", "basic", "positional", "gaussian"}),
        ("training/values.py", "report", {"none", "basic", "positional", "gaussian"}),
    ],
)
def test_a_fit_changes_with_the_code_that_it_runs(module: str, function: str, encodings: set[str], copy: Copy) -> None:
    before = copy.all()
    edit_code(copy.package / module, function)
    expected = {name for name in copy.fits() if name.split("/")[1].split("+")[0] in encodings}
    assert changed(before, copy.all()) == expected


@pytest.mark.parametrize(
    ("module", "function", "expected"),
    [
        ("records.py", "is_chosen", {"collect", "concatenate"}),
        ("claims/statistics.py", "paired_difference", {"judge_claims"}),
        ("signals/drawn.py", "text_picture", {"text-drawn"}),
        ("signals/bundled.py", "load", {"natural-bundled"}),
        ("signals/sets.py", "load_signals", {"natural-bundled", "text-drawn"}),
        ("reporting/show.py", "claims", {"render_paper", "render_overview"}),
        # No signals of the smoke preset are made by it, and no study is among its jobs.
        ("signals/sinusoids.py", "load_signal", set()),
        ("theory/study.py", "run_study", set()),
        ("plan/signals.py", "signal_set", set()),
        ("plan/combinations.py", "label", set()),
        ("plan/digests.py", "closure", set()),
    ],
)
def test_other_jobs_change_with_the_code_that_they_run(
    module: str, function: str, expected: set[str], copy: Copy
) -> None:
    before = copy.all()
    edit_code(copy.package / module, function)
    assert changed(before, copy.all()) == expected


@pytest.mark.parametrize("name", ["table_1", "table_3", "figure_1", "figure_6", "figure_10", "figure_sweeps"])
def test_an_artefact_changes_with_its_own_function_alone(name: str, copy: Copy) -> None:
    before = copy.all()
    edit_code(copy.package / IMAGE, name)
    assert changed(before, copy.all()) == {name}


def test_all_artefacts_change_with_the_style_they_share(copy: Copy) -> None:
    before = copy.artefacts()
    edit_text(copy.package / "reporting/artefacts.py", "def material(", "EDITED = 1\n\n\ndef material(")
    assert changed(before, copy.artefacts()) == set(before)


def test_a_script_is_part_of_its_jobs_code(copy: Copy) -> None:
    before = copy.all()
    edit_text(copy.root / "workflow/scripts/fit.py", "    fit_as_job(", "    # edited\n    fit_as_job(")
    assert changed(before, copy.all()) == set()
    edit_text(copy.root / "workflow/scripts/fit.py", "with job(", "edited = 1\nwith job(")
    assert changed(before, copy.all()) == set(copy.fits())


def test_a_study_changes_with_its_own_function_and_the_frame_it_runs_in(copy: Copy) -> None:
    path = copy.package / "theory" / "made_up.py"
    path.write_text('"""Studies."""\n\n\ndef one() -> int:\n    return 1\n\n\ndef two() -> int:\n    return 2\n')
    entry = "{name}: {{title: T, function: 'posenc.theory.made_up:{name}'}}\n"
    studies = copy.root / PAPER / "theory.yaml"
    studies.write_text("".join(entry.format(name=name) for name in ("one", "two")))

    def digested() -> dict[str, str]:
        plan = copy.plan()
        return {name: plan.study_digest(name) for name in plan.studies}

    before, others = digested(), copy.all()
    assert list(before) == ["one", "two"]
    edit_code(path, "one")
    assert changed(before, digested()) == {"one"}
    assert changed(others, copy.all()) == set()
    before = digested()
    edit_code(copy.package / "theory" / "study.py", "run_study")
    assert changed(before, digested()) == {"one", "two"}


def test_signals_of_a_kind_change_with_the_module_that_makes_them(copy: Copy) -> None:
    waves = {"kind": "sinusoids", "radii": [2], "angles": 3, "tuning": 0}

    def digested() -> dict[str, str]:
        for function in CACHED:
            function.cache_clear()
        layer = Layer("config.yaml", {"preset": "smoke", "experiments": {"image_scales": {"signals": waves}}})
        plan = make_plan(copy.root, [layer], {})
        return {key.split("+")[0]: plan.signals_digest(key) for key in plan.signal_specs}

    before = digested()
    edit_code(copy.package / "signals" / "sinusoids.py", "load_signal")
    assert changed(before, digested()) == {"sinusoids-drawn"}


def test_a_notebook_brings_what_its_code_imports(copy: Copy) -> None:
    path = copy.root / "workflow/report/overview.ipynb"
    notebook = json.loads(path.read_text())
    before = copy.others()

    def with_cell(kind: str, source: str) -> set[str]:
        cell = {"cell_type": kind, "id": "new", "metadata": {}, "source": source}
        path.write_text(json.dumps(notebook | {"cells": [*notebook["cells"], cell]}))
        return changed(before, copy.others())

    # What it says is an input file of the job; its digest is of code alone, IPython's own lines left out.
    assert with_cell("markdown", "Edited") == set()
    assert with_cell("code", "# edited\n%matplotlib inline\n!ls\n") == set()
    assert with_cell("code", "import posenc.records") == {"render_overview"}
    before = copy.others()
    edit_code(copy.package / "records.py", "is_final")
    assert changed(before, copy.others()) == {"collect", "concatenate", "render_overview"}


# ---- one function of a module

MODULE = '''"""Two figures."""
import math

from posenc.reporting import style
from posenc.papers import scores

LIMIT = 1
OTHER: int = 2
PAIR, TWIN = 3, 4

math.seterr = None


def helper() -> int:
    return LIMIT


def first() -> int:
    """A figure."""
    return helper() + style.X


def second() -> int:
    return OTHER + scores.X
'''


@pytest.fixture
def module(copy: Copy) -> Path:
    path = copy.package / "papers" / "made_up.py"
    path.write_text(MODULE)
    return path


def both(copy: Copy) -> tuple[str, str]:
    script = copy.plan().script("draw_artefact")
    first, second = (digests.function_digest(script, f"posenc.papers.made_up:{name}") for name in ("first", "second"))
    return first, second


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("A figure.", "The figure.", (False, False)),
        ("return helper() + style.X", "return helper() - style.X", (True, False)),
        ("    return LIMIT", "    return LIMIT + 1", (True, False)),
        ("LIMIT = 1", "LIMIT = 5", (True, False)),
        ("OTHER: int = 2", "OTHER: int = 5", (False, True)),
        ("import style", "import tables as style", (True, False)),
        # What is not tied to a single name may matter to all.
        ("PAIR, TWIN = 3, 4", "PAIR, TWIN = 3, 5", (True, True)),
        ("math.seterr = None", "math.seterr = 1", (True, True)),
    ],
)
def test_of_the_module_only_what_the_function_uses_counts(
    old: str, new: str, expected: tuple[bool, bool], copy: Copy, module: Path
) -> None:
    before = both(copy)
    edit_text(module, old, new)
    assert tuple(one != other for one, other in zip(before, both(copy), strict=True)) == expected


def test_imported_modules_count_for_the_functions_that_use_them(copy: Copy, module: Path) -> None:
    first, second = both(copy)
    (copy.package / "papers" / "scores.py").write_text("X = 1\n")
    assert both(copy)[0] == first
    assert both(copy)[1] != second


@pytest.mark.parametrize("function", ["posenc.papers.made_up:third", "posenc.papers.not_there:first", "json:dumps"])
def test_a_function_that_is_not_there_is_an_error(function: str, copy: Copy, module: Path) -> None:
    with pytest.raises(ValueError, match="no such"):
        digests.function_digest(copy.plan().script("draw_artefact"), function)
