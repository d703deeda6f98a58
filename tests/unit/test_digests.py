"""Digests of code: what changes them, and what does not. On a copy of the package that is edited."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from project import PAPER, copy_project, edit_code, edit_text, edit_words

from posenc.plan import digests
from posenc.plan.layers import Layer
from posenc.plan.workflow import Plan, make_plan

IMAGE = "papers/fourier_features/image.py"

# The package remembers what it has worked out, by path. Copies differ in a file or two of a hundred: here it is of a
# single file remembered by content, and of what depends on several not at all.
CACHED = (digests.imported_by, digests.closure, digests.code_digest, digests.function_digest)


def by_content(function: Any) -> Callable[[Path], Any]:
    known: dict[tuple[str, bytes], Any] = {}

    def found(path: Path) -> Any:
        content = (path.suffix, path.read_bytes())
        if content not in known:
            known[content] = function.__wrapped__(path)
        return known[content]

    return found


BY_CONTENT = {name: by_content(getattr(digests, name)) for name in ("tree_of", "code_text")}


class Copy:
    """The project in another place, and the digests of its smoke plan."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.package = root / "src" / "posenc"

    def plan(self) -> Plan:
        for function in CACHED:
            function.cache_clear()
        return make_plan(self.root, [Layer("config.yaml", {"preset": "smoke", "papers": PAPER.name})], {})

    def fits(self, plan: Plan | None = None) -> dict[str, str]:
        """Digest of every fit by `experiment/label`."""
        plan, found = plan or self.plan(), {}
        for experiment, combinations in plan.combinations.items():
            for label in combinations:
                encoding, network, seed = label.replace("seed=", "").split("/")
                wildcards = SimpleNamespace(experiment=experiment, encoding=encoding, network=network, seed=seed)
                found[f"{experiment}/{label}"] = plan.fit_digest(wildcards)
        return found

    def artefacts(self, plan: Plan | None = None) -> dict[str, str]:
        plan = plan or self.plan()
        return {name: plan.artefact_digest(target) for target, (_, name, _) in plan.artefacts.items()}

    def others(self, plan: Plan | None = None) -> dict[str, str]:
        """Digests of all other jobs."""
        plan = plan or self.plan()
        (paper,) = plan.papers.values()
        return {
            **{key.split("+")[0]: plan.signals_digest(key) for key in plan.signal_specs},
            **{script: plan.digest(script) for script in ("collect", "concatenate", "judge_claims")},
            **{study: plan.study_digest(study) for study in plan.studies},
            **{measure: plan.measure_digest(measure) for measure in plan.measures},
            "render_paper": plan.digest("render_paper", paper.notebook),
            "render_overview": plan.digest("render_overview", plan.overview),
        }

    def all(self) -> dict[str, str]:
        plan = self.plan()
        return self.fits(plan) | self.artefacts(plan) | self.others(plan)


def changed(before: dict[str, str], after: dict[str, str]) -> set[str]:
    assert list(before) == list(after)
    return {name for name in before if before[name] != after[name]}


@pytest.fixture(scope="session")
def untouched(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """All digests of the project as it is; its place does not count (a test below says so)."""
    with pytest.MonkeyPatch.context() as patched:
        return copied(tmp_path_factory.mktemp("untouched") / "posenc", patched).all()


def copied(root: Path, monkeypatch: pytest.MonkeyPatch) -> Copy:
    copy_project(root)
    monkeypatch.setattr(digests, "PACKAGE", root / "src" / "posenc")
    for name, function in BY_CONTENT.items():
        monkeypatch.setattr(digests, name, function)
    return Copy(root)


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Copy:
    return copied(tmp_path / "posenc", monkeypatch)


def test_words_and_blank_lines_do_not_count(copy: Copy, untouched: dict[str, str]) -> None:
    before = untouched
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


STUDIES = {"kernel_spectra", "best_amplitudes", "line_theory", "network_sizes"}
MEASURES = {"shape_normals"}


@pytest.mark.parametrize(
    ("module", "function", "fits", "others"),
    [
        ("encodings/gaussian.py", "__init__", "/gaussian[+/]", MEASURES),
        ("encodings/positional.py", "axis_frequencies", "/positional[+/]", MEASURES),
        ("encodings/none.py", "forward", "/none[+/]", MEASURES),
        ("encodings/trained.py", "drift", "/gaussian_trained[+/]", set()),
        ("networks/voxels.py", "forward", "/voxels[+/]", set()),
        ("problems/projections.py", "loss", "^ct_", set()),
        ("problems/occupancy.py", "loss", "^shapes/", MEASURES),
        ("encodings/base.py", "forward", "", MEASURES),
        ("networks/mlp.py", "forward", "/mlp[+/]", MEASURES),
        ("problems/grid.py", "points", "", MEASURES),
        ("problems/score.py", "psnr", "", MEASURES),
        ("training/loop.py", "train", "", MEASURES),
        ("training/adam.py", "step", "", MEASURES),
        ("training/sgd.py", "step", "", MEASURES),
        ("training/stack.py", "fit_stack", "", MEASURES),
        ("training/values.py", "report", "", MEASURES),
    ],
)
def test_a_fit_and_what_asks_it_change_with_the_code_that_they_run(
    module: str, function: str, fits: str, others: set[str], copy: Copy, untouched: dict[str, str]
) -> None:
    before = untouched
    edit_code(copy.package / module, function)
    expected = {name for name in before if "/seed=" in name and re.search(fits, name)}
    assert expected
    # Theory has networks and encodings in it, too; which ones is its own matter.
    assert changed(before, copy.all()) - STUDIES == expected | others


@pytest.mark.parametrize(
    ("module", "function", "expected"),
    [
        ("records.py", "is_chosen", {"collect", "concatenate"}),
        ("claims/statistics.py", "paired_difference", {"judge_claims"}),
        ("signals/drawn.py", "text_picture", {"text-drawn"}),
        ("signals/bundled.py", "load", {"natural-bundled"}),
        ("signals/heads.py", "head_slice", {"brain_slices-drawn", "brain_volumes-drawn"}),
        ("reporting/show.py", "claims", {"render_paper", "render_overview"}),
        ("signals/sinusoids.py", "load_signal", {"sinusoids-drawn"}),
        ("theory/study.py", "run_study", STUDIES),
        ("plan/signals.py", "signal_set", set()),
        ("plan/combinations.py", "label", set()),
        ("plan/digests.py", "closure", set()),
    ],
)
def test_other_jobs_change_with_the_code_that_they_run(
    module: str, function: str, expected: set[str], copy: Copy, untouched: dict[str, str]
) -> None:
    before = untouched
    edit_code(copy.package / module, function)
    assert changed(before, copy.all()) == expected


@pytest.mark.parametrize("name", ["table_3", "figure_6", "figure_10", "figure_sweeps"])
def test_an_artefact_changes_with_its_own_function_alone(name: str, copy: Copy, untouched: dict[str, str]) -> None:
    before = untouched
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

    before, fits = digested(), copy.fits()
    assert list(before) == ["one", "two"]
    edit_code(path, "one")
    assert changed(before, digested()) == {"one"}
    assert changed(fits, copy.fits()) == set()
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
