"""The study of times: what it counts, whose fits it makes, what runs beside it. Nothing here is about speed."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from project import PAPER, copy_project, edit_code

from posenc.measures import timings
from posenc.plan import digests
from posenc.plan.combinations import Combination
from posenc.plan.layers import Layer
from posenc.plan.machine import fit_memory_mb
from posenc.plan.workflow import STUDY_MB, Plan, make_plan
from posenc.theory.study import Inputs

Planned = Callable[..., list[Combination]]
LINEAR = {"image": {"output_activation": "linear", "test": "rest"}}
METHODS = {
    "simple": {"experiment": "simple", "encoding": "gaussian", "deepest": True},
    "complex": {"experiment": "complex", "encoding": "shifted_gaussian", "deepest": False},
    "closed form": {"experiment": "solved", "encoding": "shifted_gaussian", "deepest": False},
}


@pytest.fixture
def plans(planned: Planned) -> dict[str, list[dict[str, Any]]]:
    """Specs of a deep and a linear network, of linear and hidden Kronecker codes, and of the closed form."""
    shifted = {"shifted_gaussian": {"sigma": 0.05, "features": 12}}
    every = {
        "simple": planned(
            {"gaussian": {"sigma": 2, "features": 16}, "none": {}},
            networks={"mlp": {"depth": [1, 4], "width": 16}},
            problem=LINEAR,
            steps=40,
        ),
        "complex": planned(shifted, networks={"kronecker": {"depth": [2, 1], "width": 8}}, problem=LINEAR, steps=70),
        "solved": planned(
            shifted, networks={"kronecker": {"depth": 1}}, problem=LINEAR, steps=1, optimizer="least_squares"
        ),
    }
    return {name: [found.spec for found in combinations] for name, combinations in every.items()}


def inputs(plans: dict[str, list[dict[str, Any]]], **parameters: Any) -> Inputs:
    """A tuning and a report picture for every experiment, those of `simple` smaller."""
    rows = [{"name": name, "source": name, "set": name} for name in ("tuning", "report")]
    draw = np.random.default_rng(0)
    signals = {
        name: ({"values": draw.random((2, size, size, 3), dtype=np.float32)}, rows)
        for name, size in {"simple": 16, "complex": 24, "solved": 24}.items()
    }
    asked = {"tasks": {"pictures": METHODS}, "steps": 50, "rounds": 2, "updates": 2, "seconds": 0.0} | parameters
    return Inputs(asked, signals, {}, plans)


def test_every_round_times_every_method_and_compares_it_with_the_simple_one(plans: Any) -> None:
    rows = timings.timings(inputs(plans)).rows
    found = {(row["source"], row["item"], row["metric"]): row for row in rows}
    assert len(found) == len(rows) == 2 * (3 * 2 + 2)
    for number in ("round 1", "round 2"):
        for item in METHODS:
            row = found[number, item, "seconds"]
            assert (row["signal"], row["condition"]) == (number, "pictures")
            assert row["encoding"] == METHODS[item]["encoding"]
            # As many updates as are asked for, whatever the experiments say.
            assert row["steps"] == (1 if item == "closed form" else 50)
            assert row["value"] > row["steps"] * found[number, item, "seconds_per_update"]["value"] > 0
        simple = found[number, "simple", "seconds"]["value"]
        for item in ("complex", "closed form"):
            assert found[number, item, "speed_up"]["value"] == simple / found[number, item, "seconds"]["value"]


def test_a_method_takes_its_deepest_or_shallowest_network_and_the_signal_of_the_simple_one(
    plans: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[tuple[int, tuple[int, ...]]] = []

    def kept(spec: Any, arrays: Any, *rest: Any) -> timings.Times:
        made.append((spec["network"]["depth"], tuple(arrays["values"].shape)))
        return timings.Times(1.0, 1.0, 1)

    monkeypatch.setattr(timings, "time_fit", kept)
    timings.timings(inputs(plans, rounds=1))
    assert made == 2 * [(4, (1, 16, 16, 3)), (1, (1, 16, 16, 3)), (1, (1, 16, 16, 3))]  # the first round is not counted


def test_what_is_not_planned_is_left_out(plans: Any) -> None:
    without = plans | {"complex": []}
    assert {row["item"] for row in timings.timings(inputs(without)).rows} == {"simple", "closed form"}
    assert timings.timings(inputs(plans | {"simple": plans["complex"]})).rows == []


def test_a_fit_s_seconds_are_those_of_preparing_and_of_all_updates() -> None:
    assert timings.Times(preparing=3.0, update=0.5, steps=40).whole == 23.0


@pytest.mark.parametrize(("least", "seconds", "turns"), [(4, 0.0, 4), (1, 7.0, 4), (1, 6.0, 3)])
def test_work_is_repeated_until_both_limits_are_met(
    monkeypatch: pytest.MonkeyPatch, least: int, seconds: float, turns: int
) -> None:
    clock, done = [100.0], []

    def work() -> Iterator[None]:
        while True:
            clock[0] += 2.0
            done.append(clock[0])
            yield

    monkeypatch.setattr(timings.time, "perf_counter", lambda: clock[0])
    assert timings.mean_seconds(work(), least, seconds) == 2.0
    assert len(done) == turns


def test_timing_uses_one_thread_and_gives_the_others_back() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with timings.one_thread():
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


# ---- the plan

STUDIES = """
clock:
  title: Times of fits (R-F1)
  function: posenc.measures.timings:timings
  timed: true
  signals: [image_scales]
  plans: [image_scales]
formula:
  title: Formulas
  function: posenc.measures.timings:timings
  plans: [image_scales]
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = copy_project(tmp_path / "posenc")
    (root / PAPER / "theory.yaml").write_text(STUDIES)
    about = yaml.safe_load((root / PAPER / "paper.yaml").read_text())
    about["artefacts"] = {}
    (root / PAPER / "paper.yaml").write_text(yaml.safe_dump(about))
    return root


def plan_at(root: Path) -> Plan:
    return make_plan(root, [Layer("config.yaml", {"preset": "smoke", "papers": ["fourier_features"]})], {})


def test_a_study_of_times_takes_all_cores_and_the_memory_of_its_largest_fit(root: Path) -> None:
    plan = plan_at(root)
    assert [plan.study_threads(name, 8) for name in ("clock", "formula")] == [8, 1]
    assert [plan.study_memory_mb(name) for name in ("clock", "formula")] == [STUDY_MB, STUDY_MB]
    larger = {"image_scales": {"signals": {"size": 512}, "encodings": {"gaussian": {"features": 4096}}}}
    layers = [Layer("config.yaml", {"preset": "smoke", "papers": ["fourier_features"], "experiments": larger})]
    large = make_plan(root, layers, {})
    fits = [found.spec for found in large.combinations["image_scales"].values()]
    size = (*large.points("image_scales"), large.axes("image_scales"))
    most = max(fit_memory_mb(spec, *size, on_gpu=False) for spec in fits)
    assert large.study_memory_mb("clock") == most > STUDY_MB
    assert large.study_memory_mb("formula") == STUDY_MB


def test_captions_do_not_call_times_exact(root: Path) -> None:
    shown = plan_at(root).shows(["clock", "formula"])
    assert "clock: times of fits (R-F1), measured on one thread of this machine" in shown
    assert "formula: formulas, exact at every preset" in shown


def test_times_are_measured_again_when_the_code_of_the_fits_has_changed(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cached = (digests.tree_of, digests.code_text, digests.closure, digests.code_digest, digests.function_digest)

    def digested() -> dict[str, str]:
        for function in (*cached, digests.imported_by):
            function.cache_clear()
        plan = plan_at(root)
        return {name: plan.study_digest(name) for name in plan.studies}

    monkeypatch.setattr(digests, "PACKAGE", root / "src" / "posenc")
    try:
        before = digested()
        edit_code(root / "src/posenc/encodings/gaussian.py", "__init__")
        after = digested()
        assert after["clock"] != before["clock"]
        assert after["formula"] == before["formula"]
    finally:
        for function in (*cached, digests.imported_by):
            function.cache_clear()
