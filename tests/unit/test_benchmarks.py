"""The benchmarks measure what they say, and their page says what they measured. Nothing here is about speed."""

import argparse
import importlib
import importlib.util
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import against_plain
import efficiency
import measuring
import numpy as np
import overhead
import page
import plain
import plain_torch
import products
import pytest
import torch
from project import ROOT
from torch.utils.flop_counter import FlopCounterMode

from posenc.networks.mlp import MLP
from posenc.problems.image import ImageRegression
from posenc.training.loop import encode

CPU = torch.device("cpu")
SCRIPTS = sorted(path.stem for path in (ROOT / "benchmarks").glob("*.py") if "__main__" in path.read_text())
MEASURING = [name for name in SCRIPTS if name != "page"]
# What must be reached, by the row's name.
GOALS = {
    "gaussian, auto (bf16), 4096 points, 256 features, width 128": "≥ 75 %",
    "gaussian, auto (bf16), 16384 points, 512 features, width 256": "≥ 75 %",
    "fits per second, ours over plain torch": "≥ 2 ×",
    "fits per second, ours over plain jax": "≥ 1.5 ×",
    "PSNR, ours beside plain torch": "≤ 0.1 dB",
    "PSNR, ours beside plain jax": "≤ 0.1 dB",
    "laptop preset: share outside fits, studies and metrics": "≤ 20 %",
    "laptop preset: memory of the largest job": "≤ 1.5 GiB",
    "laptop preset: most memory a fit took of what it declares": "≤ 100 %",
    "plan of 10,000 combinations: time": "≤ 5 s",
    "plan of 10,000 combinations: memory": "≤ 1 GiB",
    "Snakemake's dry run of 2,000 fits": "≤ 10 s",
    "rendering 4096 × 4096 pixels: memory": "≤ 4 GiB",
    "bf16, 16 pictures stacked: share of the bf16 matrix rate": "≥ 20 %",
    "16 pictures stacked, bf16, over the plain loop, float32: pictures per second": "≥ 3 ×",
    "Table 3 at paper scale: 128 fits of 2,000 steps on 65,536 points": "≤ 180 s",
}


def row(**changes: Any) -> dict[str, Any]:
    """A row as it is stored."""
    run = {"machine": "a processor, 2 cores", "commit": "0123456789", "date": "2026-01-01"}
    plain_row = {"name": "a", "command": "python a.py", "value": 0.5, "unit": "%", "note": ""}
    return {**plain_row, "least": None, "most": None, "run": run, **changes}


# ---- the page


def test_the_page_is_the_one_of_the_committed_results() -> None:
    assert (ROOT / "docs/benchmarks.md").read_text() == page.page(), (
        "docs/benchmarks.md is out of date: run `make docs`"
    )


def test_what_must_be_reached_is_on_the_page() -> None:
    sections = [measuring.stored(measuring.RESULTS / f"{name}.json") for name in page.ORDER]
    rows = [found for section in sections for found in section["rows"]]
    assert {found["name"]: page.threshold(found) for found in rows if page.threshold(found)} == GOALS


def test_every_benchmark_is_in_the_page_s_order_and_in_make_bench() -> None:
    assert set(page.ORDER) == set(MEASURING)
    recipe = (ROOT / "Makefile").read_text().split("\nbench:")[1].split("\n\n")[0]
    assert [line.split("/")[-1] for line in recipe.splitlines() if "benchmarks/" in line][:-1] == [
        f"{name}.py" for name in page.ORDER
    ]


@pytest.mark.parametrize(
    ("found", "answer"),
    [
        (row(value=0.75, least=0.75), True),
        (row(value=0.7499, least=0.75), False),
        (row(value=0.1, most=0.1), True),
        (row(value=0.11, most=0.1), False),
        (row(value=None, least=0.75), None),
        (row(value=0.5), None),
    ],
)
def test_a_limit_is_held_or_not(found: dict[str, Any], answer: bool | None) -> None:
    assert page.held(found) is answer


def test_the_summary_counts_what_must_be_reached() -> None:
    rows = [row(least=0.1), row(most=0.1), row(least=0.9), row(value=None, least=1), row()]
    assert page.summary(rows) == ("Of 4 figures that must reach something, 1 do, 2 do not, and 1 are not measured yet.")


def test_rows_name_their_run_where_there_are_several(tmp_path: Path) -> None:
    def written(*rows: dict[str, Any]) -> str:
        (tmp_path / "gpu.json").write_text(json.dumps({"title": "T", "about": "", "rows": rows}))
        return page.page(tmp_path)

    other = row(name="b", run={"machine": "a GPU", "commit": "abc", "date": "2026-01-02"})
    assert "| on |" not in written(row())
    text = written(row(), other, row(name="c", value=None, note="waiting for a GPU", run=None, least=0.2))
    assert "1. a processor, 2 cores; commit 0123456789, 2026-01-01\n2. a GPU; commit abc, 2026-01-02\n" in text
    assert "| a | 50.0 % |  |  |  | `python a.py` | 1 |\n| b | 50.0 % |  |  |  | `python a.py` | 2 |\n" in text
    assert "| c | – | waiting for a GPU | ≥ 20 % |  | `python a.py` |  |\n" in text


# ---- results


def test_a_whole_run_replaces_the_rows_and_a_partial_one_its_own() -> None:
    old, new = [row(name="a"), row(name="b")], [row(name="b", value=0.7), row(name="c")]
    assert measuring.merged(old, new, partial=False, keep_measured=False) == new
    assert measuring.merged(old, new, partial=True, keep_measured=False) == [old[0], *new]


def test_what_cannot_be_measured_here_stays_only_where_it_is_asked_for() -> None:
    old, new = [row(name="a"), row(name="gone")], [row(name="a", value=None, run=None), row(name="b", value=None)]
    assert measuring.merged(old, new, partial=False, keep_measured=True) == [old[0], new[1]]
    assert measuring.merged(old, new, partial=False, keep_measured=False) == new


@pytest.mark.parametrize("name", SCRIPTS)
def test_help_says_what_a_script_does(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", [f"{name}.py", "--help"])
    script = importlib.import_module(name)
    with pytest.raises(SystemExit) as end:
        script.main()
    assert end.value.code == 0
    assert script.__doc__.splitlines()[0] in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("name", "arguments"),
    # An encoding that mixes the axes and one that does not stand for all.
    [
        ("efficiency", ["--only", "positional", "gaussian"]),
        ("against_plain", []),
        ("scaling", []),
        ("gpu", ["--device", "cpu"]),
    ],
)
def test_a_tiny_run_gives_rows_for_the_page(name: str, arguments: list[str], tmp_path: Path) -> None:
    """All but `overhead`, which runs a preset."""
    command = [sys.executable, str(ROOT / "benchmarks" / f"{name}.py"), "--tiny", "--results", str(tmp_path)]
    run = subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=600)
    assert run.returncode == 0, run.stderr
    rows = measuring.stored(tmp_path / f"{name}.json")["rows"]
    unmeasured = {found["name"] for found in rows if found["value"] is None}
    assert unmeasured == (set() if importlib.util.find_spec("jax") else {"fits per second, ours over plain jax"}) & {
        found["name"] for found in rows
    }
    assert all(found["value"] >= 0 for found in rows if found["name"] not in unmeasured)
    assert all(found["name"] in page.page(tmp_path) for found in rows)


def test_without_cuda_the_gpu_s_rows_wait_and_measured_ones_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gpu = importlib.import_module("gpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(sys, "argv", ["gpu.py", "--results", str(tmp_path)])
    gpu.main()
    waiting = measuring.stored(tmp_path / "gpu.json")
    assert {(found["value"], found["note"]) for found in waiting["rows"]} == {(None, "waiting for a GPU")}
    waiting["rows"][0] |= {"value": 0.3, "note": "", "run": row()["run"]}
    (tmp_path / "gpu.json").write_text(json.dumps(waiting))
    gpu.main()
    assert measuring.stored(tmp_path / "gpu.json") == waiting


# ---- what is measured


@pytest.mark.parametrize("precision", ["float32", "bf16"])
@pytest.mark.parametrize("name", efficiency.ENCODINGS)
def test_the_products_are_those_of_a_step(name: str, precision: str) -> None:
    draws = torch.Generator().manual_seed(0)
    problem = ImageRegression({"values": torch.rand(1, 16, 16, 3, generator=draws)})
    encoding = efficiency.ENCODINGS[name](8, draws)
    network = MLP(encoding.out_dim, 3, depth=4, width=12, output="sigmoid", generator=draws)
    observed = problem.inputs(1)
    found = products.of_step(network, encode(encoding, observed, CPU), len(observed), precision)
    training = efficiency.endless_training(problem, encoding, network, precision, CPU)
    with FlopCounterMode(display=False) as step:
        next(training)
    with FlopCounterMode(display=False) as alone:
        products.runner(found, CPU)()
    assert products.operations(found) == step.get_total_flops() == alone.get_total_flops()
    dense = products.operations(products.dense(network, len(observed), precision))
    assert (dense == products.operations(found)) == (name == "gaussian")


def test_products_of_a_stack_count_every_network() -> None:
    def operations(stack: int) -> int:
        network = MLP(8, 3, width=12, stack=stack, generator=torch.Generator().manual_seed(0))
        found = products.dense(network, 64, "float32")
        with FlopCounterMode(display=False) as alone:
            products.runner(found, CPU)()
        assert alone.get_total_flops() == products.operations(found)
        return products.operations(found)

    assert operations(5) == 5 * operations(1)


Fit = Callable[..., Any]


@pytest.fixture(scope="module")
def fitted() -> tuple[list[Any], np.ndarray]:
    """What a plain loop is given, and the picture that the formulas give for it."""
    draws = torch.Generator().manual_seed(3)
    picture = torch.rand(12, 16, 3, generator=draws)
    B = 2 * torch.randn(5, 2, generator=draws)
    shapes = [(10, 8), (8, 8), (8, 3)]
    weights = [torch.randn(shape, generator=draws) / shape[0] ** 0.5 for shape in shapes]
    biases = [0.01 * torch.randn(1, shape[1], generator=draws) for shape in shapes]
    return [picture, B, weights, biases, 25, 1e-2], plain.fitted(picture, B, weights, biases, 25, 1e-2).numpy()


def test_the_plain_loop_in_torch_is_the_formulas(fitted: tuple[list[Any], np.ndarray]) -> None:
    np.testing.assert_allclose(plain_torch.fit(*fitted[0]).numpy(), fitted[1], atol=1e-4)


@pytest.mark.skipif(not importlib.util.find_spec("jax"), reason="jax is not installed: pip install -e '.[bench]'")
def test_the_plain_loop_in_jax_is_the_formulas(fitted: tuple[list[Any], np.ndarray]) -> None:
    picture, B, weights, biases, *rest = fitted[0]
    arrays = [[tensor.numpy() for tensor in part] for part in (weights, biases)]
    shown = importlib.import_module("plain_jax").fit(picture.numpy(), B.numpy(), *arrays, *rest)
    np.testing.assert_allclose(np.asarray(shown), fitted[1], atol=1e-4)


def test_every_contender_starts_from_the_engine_s_own_draws(tmp_path: Path) -> None:
    """With no steps to speak of, all show the same picture."""
    settings = against_plain.Settings(size=16, features=8, width=8, steps=1, seeds=2)
    against_plain.prepare(tmp_path, settings)
    ours, theirs = (fit(1, settings, tmp_path) for fit in (against_plain.fit_ours, against_plain.fit_torch))
    np.testing.assert_allclose(ours, theirs, atol=5e-3)
    assert np.abs(ours - against_plain.fit_torch(0, settings, tmp_path)).max() > 0.05


def test_the_faster_way_of_a_plain_loop_is_the_baseline() -> None:
    ours, one, two, *_ = against_plain.CONTENDERS
    assert (ours.kind, one.kind, two.kind) == ("ours", "torch", "torch")
    seconds = {ours: [1.0, 1.0, 9.0], one: [4.0, 4.0, 4.0], two: [2.5, 9.0, 2.5]}
    psnr = {ours: [20.0, 22.0], one: [30.0, 30.0], two: [20.5, 21.7]}
    speed, quality, missing = against_plain.rows_of(seconds, psnr)
    assert speed.value == 2.5
    assert "as 2 processes of 1 thread (as 1 process of 2 threads: 4.00 ×)" in speed.note
    assert quality.value == pytest.approx(0.1)
    assert (missing.name, missing.value) == ("fits per second, ours over plain jax", None)


def test_overhead_is_what_no_fit_study_or_metric_used() -> None:
    """Two cores for 100 s; two fits of 40 s of which one has two threads, in jobs of 50 s and 45 s."""

    def note(rule: str, start: float, end: float) -> dict[str, Any]:
        return {"rule": rule, "log": [f"{rule}{int(start)}.log"], "starttime": start, "endtime": end}

    run = overhead.Run(
        preset="laptop",
        wall=100.0,
        cores=2,
        provenances=[{"seconds": 40.0, "threads": 1}, {"seconds": 40.0, "threads": 2}],
        notes=[
            note("fit", 0, 49),
            note("fit", 0.5, 50),
            note("fit", 50, 95),
            note("collect", 95, 97),
            note("x", 97, 98),
            note("measure_encodings", 98, 99),
        ],
        largest=2**30,
        of_declared=0.5,
    )
    values = {found.name.removeprefix("laptop preset"): found.value for found in overhead.rows_of(run)}
    assert run.jobs == 5
    assert values.pop(": share outside fits, studies and metrics") == pytest.approx(0.395)
    parts = {name.removeprefix(", of which: "): share for name, share in values.items() if "of which" in name}
    assert sum(share for share in parts.values() if share) == pytest.approx(0.395)
    assert (parts["records"], parts["tables and figures"]) == (pytest.approx(0.01), pytest.approx(0.005))


def test_turns_alternate_and_the_first_is_not_counted() -> None:
    order: list[str] = []
    seconds = measuring.by_turns({name: lambda name=name: order.append(name) for name in "ab"}, rounds=2)
    assert order == list("ababab")
    assert {name: len(found) for name, found in seconds.items()} == {"a": 2, "b": 2}


def test_a_tiny_run_writes_no_results_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measuring, "RESULTS", tmp_path)
    rows = [measuring.Row("a", "python a.py", 1.0, "s")]
    options = argparse.Namespace(tiny=True, results=None, commit="c", only=None)
    measuring.save("a", "A", "", rows, options)
    assert list(tmp_path.iterdir()) == []
    measuring.save("a", "A", "", rows, argparse.Namespace(**{**vars(options), "tiny": False}))
    assert [found["value"] for found in measuring.stored(tmp_path / "a.json")["rows"]] == [1.0]
