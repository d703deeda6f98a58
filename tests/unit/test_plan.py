"""The plan: which combinations there are, where they are kept, and what each job is told."""

import importlib
import json
import math
import os
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from project import COMBINATIONS, PAPER, ROOT

from posenc.claims.model import Claim
from posenc.plan.layers import Layer
from posenc.plan.scales import number, sigma_of_nyquist, training_nyquist
from posenc.plan.workflow import Plan, make_plan

PRESETS = ("smoke", "laptop", "paper")


@cache
def plan_of(preset: str) -> Plan:
    return make_plan(ROOT, [Layer("config.yaml", {"preset": preset})], {})


def plan_with(environment: dict[str, str] | None = None, **settings: Any) -> Plan:
    """A smoke plan with settings over it."""
    return make_plan(ROOT, [Layer("config.yaml", {"preset": "smoke", **settings})], environment or {})


def natural(**settings: Any) -> dict[str, Any]:
    return {"image_natural": settings}


def labels(plan: Plan, experiment: str) -> list[str]:
    return list(plan.combinations[experiment])


def sets_of(plan: Plan, experiment: str) -> dict[str, list[str]]:
    return {label: found.spec["sets"] for label, found in plan.combinations[experiment].items()}


# ---- numbers and scales


@given(st.floats(allow_nan=False, allow_infinity=False) | st.integers())
def test_a_number_reads_back_the_same_and_has_no_trailing_zero(value: float) -> None:
    text = number(value)
    assert type(value)(text) == value
    assert not text.endswith(".0")
    assert not set(text) & set(",/ {}")


@pytest.mark.parametrize(
    ("value", "text"), [(10.0, "10"), (10, "10"), (0.5, "0.5"), (1e-4, "0.0001"), (1e-5, "1e-05"), (1e22, "1e+22")]
)
def test_numbers_as_people_write_them(value: float, text: str) -> None:
    assert number(value) == text


def test_the_training_nyquist_is_half_the_training_grid() -> None:
    assert training_nyquist(512) == 128  # 256 x 256 training pixels


@pytest.mark.parametrize("fraction", [0.0078125, 0.05, 0.5, 1])
def test_of_nyquist_gives_the_sigma_whose_frequency_is_that_fraction(fraction: float) -> None:
    wanted = fraction * 128
    assert sigma_of_nyquist(fraction, 512, "cycles") == pytest.approx(wanted, rel=1e-3)
    assert 2 ** sigma_of_nyquist(fraction, 512, "exponent") - 1 == pytest.approx(wanted, rel=5e-3)


def test_of_nyquist_keeps_the_paper_s_values_at_the_paper_s_size() -> None:
    sigmas = [found.settings["sigma"] for found in plan_of("paper").combinations["image_scales"].values()]
    assert sigmas == [1, 2, 4, 8, 10, 16, 32, 64]


# ---- combinations


@pytest.mark.parametrize("preset", COMBINATIONS)
def test_the_number_of_combinations(preset: str) -> None:
    found = plan_of(preset).combinations
    assert {name: len(combinations) for name, combinations in found.items()} == COMBINATIONS[preset]


@pytest.mark.parametrize("preset", PRESETS)
def test_a_grid_is_the_product_of_its_lists(preset: str) -> None:
    plan = plan_of(preset)
    for name, experiment in plan.experiments.items():
        architectures = math.prod(len(values) for values in experiment.networks.mlp.model_dump().values())
        expected = 0
        for encoding in ("none", "basic", "positional", "gaussian"):
            if (grid := getattr(experiment.encodings, encoding)) is not None:
                lists = grid.model_dump(exclude={"training", "sigma"}).values()
                sigmas = (grid.sigma.absolute or grid.sigma.of_nyquist) if hasattr(grid, "sigma") else [0]
                expected += math.prod(map(len, [*lists, sigmas]))
        assert len(plan.combinations[name]) == expected * architectures * len(experiment.seeds)


@pytest.mark.parametrize(
    ("preset", "experiment", "expected"),
    [
        ("paper", "image_natural", "gaussian+sigma=10+features=512/mlp+depth=4+width=256/seed=0"),
        ("paper", "image_natural", "positional+sigma=6+features=512+variant=code/mlp+depth=4+width=256/seed=0"),
        ("paper", "image_natural", "none/mlp+depth=4+width=256/seed=0"),
        ("paper", "image_features", "gaussian+sigma=10+features=2048/mlp+depth=8+width=256/seed=0"),
        ("smoke", "image_scales", "gaussian+sigma=0.4+features=32/mlp+depth=4+width=32/seed=0"),
    ],
)
def test_paths_are_readable_and_stable(preset: str, experiment: str, expected: str) -> None:
    plan = plan_of(preset)
    assert expected in labels(plan, experiment)
    assert f"results/{preset}/fits/{experiment}/{expected}/values.csv" in plan.fits(experiment, "values.csv")


def test_paths_of_the_smoke_preset_in_config_order() -> None:
    assert labels(plan_of("smoke"), "image_text") == [
        "basic/mlp+depth=4+width=32/seed=0",
        "gaussian+sigma=1+features=32/mlp+depth=4+width=32/seed=0",
        "gaussian+sigma=2+features=32/mlp+depth=4+width=32/seed=0",
        "none/mlp+depth=4+width=32/seed=0",
        "positional+sigma=3+features=32+variant=code/mlp+depth=4+width=32/seed=0",
    ]


def strings(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        yield from (text for entry in node.items() for text in strings(entry))
    elif isinstance(node, list | tuple):
        yield from (text for entry in node for text in strings(entry))
    elif isinstance(node, str):
        yield node


@pytest.mark.parametrize("preset", PRESETS)
def test_no_path_has_a_character_that_snakemake_reads(preset: str) -> None:
    plan = plan_of(preset)
    files = [[*plan.fits(name, "values.csv"), plan.signals(name, "signals.npz")] for name in plan.experiments]
    files += [list(plan.artefact_files(target).values()) for target in plan.artefacts]
    assert [path for path in strings(files) if set(path) & set(",{} *?[]'\"")] == []


@pytest.mark.parametrize("preset", PRESETS)
def test_what_a_job_is_told_is_plain(preset: str) -> None:
    plan = plan_of(preset)
    specs: list[Any] = [found.spec for name in plan.experiments for found in plan.combinations[name].values()]
    specs += [plan.collect_settings(name) for name in plan.experiments]
    specs += plan.signal_specs.values()
    specs += [plan.artefact_spec(target) for target in plan.artefacts]
    specs += [plan.paper_spec(paper) for paper in plan.papers] + [plan.facts]
    for spec in specs:
        assert json.loads(json.dumps(spec)) == spec
        assert builtin(spec)


def builtin(node: Any) -> bool:
    """Whether a value is of dicts, lists and plain values alone, subclasses excluded."""
    if type(node) is dict:
        return all(type(key) is str and builtin(value) for key, value in node.items())
    if type(node) is list:
        return all(builtin(value) for value in node)
    return node is None or type(node) in (str, int, float, bool)


def test_a_combination_says_all_that_a_fit_needs() -> None:
    plan = plan_of("paper")
    label = "gaussian+sigma=10+features=512/mlp+depth=4+width=256/seed=0"
    assert plan.combinations["image_natural"][label].spec == {
        "encoding": {"use": "posenc.encodings.gaussian:Gaussian", "sigma": 10.0, "features": 512},
        "network": {"use": "posenc.networks.mlp:MLP", "depth": 4, "width": 256},
        "problem": {"use": "posenc.problems.image:ImageRegression"},
        "seed": 0,
        "sets": ["report", "tuning"],
        "training": {
            "steps": 2000,
            "learning_rate": 1e-3,
            "log_every": 25,
            "precision": "auto",
        },
    }


def test_one_encoding_may_be_trained_in_its_own_way() -> None:
    found = plan_of("paper").combinations["image_natural"]["basic/mlp+depth=4+width=256/seed=0"]
    assert found.spec["training"]["learning_rate"] == found.settings["learning_rate"] == 1e-2
    assert found.spec["training"]["precision"] == "float32"  # whatever config.yaml wants
    assert found.spec["training"]["steps"] == 2000


def test_tuning_pictures_are_fitted_only_where_a_sigma_is_chosen() -> None:
    both, report = ["report", "tuning"], ["report"]
    assert [sets for label, sets in sets_of(plan_of("smoke"), "image_natural").items()] == [
        report, both, both, report, report,  # basic, gaussian twice, none, positional
    ]  # fmt: skip
    # No sweep, but of features; and a sweep of sigma that is only shown.
    assert set(map(tuple, sets_of(plan_of("smoke"), "image_features").values())) == {("report",)}
    assert set(map(tuple, sets_of(plan_of("smoke"), "image_scales").values())) == {("report",)}
    # The same sigma twice is no sweep, and one combination.
    twice = plan_with(experiments=natural(encodings={"gaussian": {"sigma": [1, 1.0]}}))
    gaussian = {label: sets for label, sets in sets_of(twice, "image_natural").items() if "gaussian" in label}
    assert gaussian == {"gaussian+sigma=1+features=32/mlp+depth=4+width=32/seed=0": report}


def test_numbers_may_be_written_as_text() -> None:
    plan = plan_with(experiments=natural(training={"learning_rate": "1e-4"}, encodings={"gaussian": {"sigma": "2"}}))
    found = plan.combinations["image_natural"]["gaussian+sigma=2+features=32/mlp+depth=4+width=32/seed=0"]
    assert (found.spec["training"]["learning_rate"], found.spec["encoding"]["sigma"]) == (1e-4, 2.0)


def test_null_takes_an_encoding_out_and_an_empty_entry_puts_one_in() -> None:
    taken = plan_with(experiments=natural(encodings={"gaussian": None, "positional": None}))
    assert [label.split("/")[0] for label in labels(taken, "image_natural")] == ["basic", "none"]
    put = plan_with(experiments={"image_features": {"encodings": {"none": {}}}})
    assert "none/mlp+depth=2+width=32/seed=0" in labels(put, "image_features")


def test_one_value_stands_for_a_list_of_one() -> None:
    one = plan_with(experiments=natural(seeds=3, networks={"mlp": {"depth": 2}}))
    listed = plan_with(experiments=natural(seeds=[3], networks={"mlp": {"depth": [2]}}))
    assert labels(one, "image_natural") == labels(listed, "image_natural")
    assert labels(one, "image_natural")[0] == "basic/mlp+depth=2+width=32/seed=3"


def test_records_name_combinations_in_the_order_of_their_files() -> None:
    plan = plan_of("smoke")
    settings = plan.collect_settings("image_features")
    folders = [Path(path).parent for path in plan.fits("image_features", "values.csv")]
    root = Path("results/smoke/fits/image_features")
    assert [root / found["combination"] for found in settings["combinations"]] == folders
    assert settings["combinations"][0] == {
        "combination": "gaussian+sigma=2+features=8/mlp+depth=2+width=32/seed=0",
        "seed": 0, "encoding": "gaussian", "network": "mlp", "sigma": 2.0, "features": 8, "variant": None,
        "depth": 2, "width": 32, "learning_rate": 1e-3, "steps": 30,
    }  # fmt: skip


def test_a_job_finds_its_combination_by_wildcards() -> None:
    plan = plan_of("smoke")
    for experiment, combinations in plan.combinations.items():
        for label, found in combinations.items():
            encoding, network, seed = label.split("/")
            wildcards = SimpleNamespace(
                experiment=experiment, encoding=encoding, network=network, seed=seed.removeprefix("seed=")
            )
            assert plan.fit_spec(wildcards) == found.spec


def test_plans_are_the_same_in_every_process() -> None:
    code = (
        "import json, sys; sys.path.insert(0, sys.argv[1]); from test_plan import plan_of\n"
        "plan = plan_of('smoke')\n"
        "print(json.dumps([[{label: found.spec for label, found in combinations.items()}"
        " for combinations in plan.combinations.values()], plan.signal_specs,"
        " [[plan.artefact_spec(t), plan.artefact_digest(t), plan.artefact_inputs(t)] for t in plan.artefacts],"
        " [plan.digest(script) for script in ('fit', 'collect', 'judge_claims')],"
        " plan.digest('render_paper', plan.overview), plan.on_the_way]))"
    )
    here = Path(__file__).parent
    found = set()
    for seed in ("0", "1", "2"):
        environment = os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join([str(here.parent)])}
        run = subprocess.run(
            [sys.executable, "-c", code, str(here)], capture_output=True, text=True, env=environment, cwd=ROOT
        )
        assert run.returncode == 0, run.stderr
        found.add(run.stdout)
    assert len(found) == 1


# ---- pictures


def test_experiments_with_the_same_pictures_share_them() -> None:
    plan = plan_of("smoke")
    keys = {name: found.key for name, found in plan.signal_sets.items()}
    assert keys["image_natural"] == keys["image_features"]
    assert len(set(keys.values())) == len(plan.signal_specs) == 3


def test_no_source_both_tunes_and_is_reported_on() -> None:
    for preset in PRESETS:
        for found in plan_of(preset).signal_sets.values():
            sources = {which: {row["source"] for row in found.spec["signals"] if row["set"] == which}
                       for which in ("tuning", "report")}  # fmt: skip
            assert sources["tuning"]
            assert sources["report"]
            assert not sources["tuning"] & sources["report"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a", "b", "c"):
        Image.fromarray(np.zeros((140, 150, 3), np.uint8)).save(tmp_path / f"{name}.png")
    return tmp_path


def test_a_folder_is_used_wherever_it_is_named(folder: Path) -> None:
    by_config = plan_with(data={"folder": str(folder)})
    by_environment = plan_with({"POSENC_DATA": str(folder)})
    for plan in (by_config, by_environment):
        assert plan.source.origin == "local"
        files = plan.signal_files(plan.signal_sets["image_natural"].key)
        assert files == [str(folder / f"{name}.png") for name in ("a", "b", "c")]
    assert plan_with({"POSENC_DATA": str(folder)}, data={"source": "bundled"}).source.origin == "bundled"
    assert plan_of("smoke").source.origin == "bundled"


def test_only_published_pictures_at_the_paper_s_settings_are_its_protocol(folder: Path) -> None:
    assert plan_of("paper").facts["paper_protocol"] is False
    assert "stand-in" in plan_of("paper").facts["scale"]
    assert plan_with(data={"folder": str(folder)}).facts["paper_protocol"] is False


# ---- the papers' own files


def test_every_artefact_has_its_function_and_caption_and_reads_what_there_is() -> None:
    plan = plan_of("laptop")
    for target, (paper, name, artefact) in plan.artefacts.items():
        module, function = artefact.function.split(":")
        assert callable(getattr(importlib.import_module(module), function)), target
        assert paper.caption(name).read_text().strip(), target
        assert set(artefact.experiments) <= set(plan.experiments), target
        assert set(artefact.pictures) <= set(artefact.experiments), target
        assert set(artefact.published) <= set(paper.published), target


def test_no_caption_is_left_over() -> None:
    captions = {path.stem for path in (ROOT / PAPER / "captions").iterdir()}
    assert captions == {name for _, name, _ in plan_of("laptop").artefacts.values()}


def test_claims_are_well_formed_and_read_what_there_is() -> None:
    plan = plan_of("laptop")
    for name, paper in plan.papers.items():
        claims = [Claim.model_validate(claim) for claim in paper.claims]
        assert {used for claim in claims for used in claim.experiments} <= set(plan.experiments)
        assert all(claim.paper == name for claim in claims)
        assert set(plan.claim_experiments(name)) == {used for claim in claims for used in claim.experiments}


def test_every_published_group_says_its_source() -> None:
    for paper in plan_of("laptop").papers.values():
        for name, group in paper.published.items():
            nested = [entry for entry in group.values() if isinstance(entry, dict)]
            assert "source" in group or all("source" in entry for entry in nested), name


def test_an_artefact_s_job_gets_only_the_published_numbers_it_shows() -> None:
    plan = plan_of("smoke")
    assert list(plan.artefact_spec("fourier_features_table_3")["published"]) == ["table_3"]
    assert plan.artefact_spec("fourier_features_figure_10")["published"] == {}


def test_an_artefact_reads_only_the_experiments_it_names() -> None:
    inputs = plan_of("smoke").artefact_inputs("fourier_features_figure_10")
    assert inputs["records"] == ["results/smoke/records/image_scales.parquet"]
    assert len(inputs["arrays"]) == 2
    assert plan_of("smoke").artefact_inputs("fourier_features_table_3")["arrays"] == []


def test_a_caption_says_preset_pictures_and_seeds() -> None:
    assert plan_of("smoke").shows(["image_scales"]) == (
        "Preset smoke. image_scales: 1 bundled report picture of 32 x 32 pixels, seed 0."
    )
