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

import hypothesis
import numpy as np
import pytest
import yaml
from hypothesis import strategies as st
from PIL import Image
from project import COMBINATIONS, PAPER, RETHINKING, ROOT, SIGNAL_SETS, SIGNAL_SETS_OF_RETHINKING, copy_project
from pydantic import ValidationError

from posenc.claims.model import Claim
from posenc.plan.combinations import parameter_columns
from posenc.plan.layers import ConfigError, Layer
from posenc.plan.model import chosen_problem, entries, problem_choices
from posenc.plan.papers import Paper
from posenc.plan.registry import parts
from posenc.plan.scales import number, sigma_of_nyquist
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


@hypothesis.given(st.floats(allow_nan=False, allow_infinity=False) | st.integers())
@hypothesis.settings(deadline=None)  # other work on the machine counts
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
    assert parts("problems")["image"].attributes["nyquist"] * 512 == 128  # 256 x 256 training pixels


@pytest.mark.parametrize("fraction", [0.0078125, 0.05, 0.5, 1])
def test_of_nyquist_gives_the_sigma_whose_frequency_is_that_fraction(fraction: float) -> None:
    wanted = fraction * 128
    assert sigma_of_nyquist(fraction, 128, "cycles") == pytest.approx(wanted, rel=1e-3)
    assert 2 ** sigma_of_nyquist(fraction, 128, "exponent") - 1 == pytest.approx(wanted, rel=5e-3)


def test_of_nyquist_keeps_the_paper_s_values_at_the_paper_s_size() -> None:
    combinations = plan_of("paper").combinations["image_scales"].values()
    sigmas = [member["sigma"] for found in combinations for member in found.members]
    assert sigmas == [1, 2, 4, 8, 10, 16, 32, 64]


# ---- combinations


@pytest.mark.parametrize("preset", COMBINATIONS)
def test_the_number_of_combinations(preset: str) -> None:
    found = plan_of(preset).combinations
    expected = COMBINATIONS[preset] | RETHINKING[preset]
    assert {name: len(combinations) for name, combinations in found.items()} == expected


@pytest.mark.parametrize("preset", PRESETS)
def test_a_grid_is_the_product_of_its_lists(preset: str) -> None:
    plan = plan_of(preset)
    for name, experiment in plan.experiments.items():
        stacked = experiment.stacked
        networks = [grid.model_dump() for grid in entries(experiment.networks).values()]
        seeds = len(experiment.seeds)
        architectures = seeds * sum(math.prod(len(values) for values in lists.values()) for lists in networks)
        apart = (1 if "seed" in stacked else seeds) * sum(
            math.prod(len(values) for key, values in lists.items() if key not in stacked) for lists in networks
        )
        jobs = members = 0
        for grid in entries(experiment.encodings).values():
            lists = grid.model_dump(exclude={"training", "sigma"})
            if hasattr(grid, "sigma"):
                lists["sigma"] = grid.sigma.absolute or grid.sigma.of_nyquist
            members += len(problem_choices(experiment)) * math.prod(len(values) for values in lists.values())
            jobs += math.prod(len(values) for key, values in lists.items() if key not in stacked)
        found = plan.combinations[name]
        assert len(found) == jobs * apart
        assert sum(len(one.members) for one in found.values()) == members * architectures


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
    specs += [plan.study_spec(name) for name in plan.studies]
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


IMAGE = {
    "test": "offset",
    "sampling": "grid",
    "halved": True,
}  # what is observed of a picture where nothing else is said


def test_a_combination_says_all_that_a_fit_needs() -> None:
    plan = plan_of("paper")
    label = "gaussian+sigma=10+features=512/mlp+depth=4+width=256/seed=0"
    assert plan.combinations["image_natural"][label].spec == {
        "members": [{"use": "posenc.encodings.gaussian:Gaussian", "sigma": 10.0, "features": 512}],
        "network": {"use": "posenc.networks.mlp:MLP", "depth": 4, "width": 256},
        "problem": {"use": "posenc.problems.image:ImageRegression"} | IMAGE | {"output_activation": "sigmoid"},
        "seed": 0,
        "sets": ["report", "tuning"],
        "training": {
            "steps": 2000,
            "learning_rate": 1e-3,
            "optimizer": "adam",
            "decay_steps": None,
            "weight_decay": 0.0,
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
    assert (found.spec["training"]["learning_rate"], found.spec["members"][0]["sigma"]) == (1e-4, 2.0)


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
    assert settings["chosen_by"] == ["psnr", "test"]
    first = settings["combinations"][0]
    (member,) = first.pop("members")
    assert first == {
        "combination": "gaussian+sigma=2+features=8/mlp+depth=2+width=32/seed=0",
        "seed": 0, "encoding": "gaussian", "network": "mlp", "optimizer": "adam",
        "learning_rate": 1e-3, "steps": 30,
    }  # fmt: skip
    stated = {"sigma": 2.0, "features": 8, "normalised": False, "depth": 2, "width": 32, "initialisation": "glorot"}
    assert member == dict.fromkeys(parameter_columns()) | stated


def test_there_is_a_column_for_every_parameter_of_encodings_and_networks() -> None:
    columns = parameter_columns()
    assert columns[:5] == ("sigma", "features", "variant", "depth", "width")
    assert list(columns[5:]) == sorted(columns[5:])
    named = {
        name for folder in ("encodings", "networks") for part in parts(folder).values() for name in part.parameters
    }
    assert set(columns) == named
    assert len(columns) == len(named)


# ---- stacked axes


def test_one_job_takes_all_values_of_a_stacked_axis() -> None:
    grid = {"sigma": [1, 2, 4], "features": [8, 16]}
    encodings = {"none": {}, "basic": None, "positional": None, "gaussian": grid}
    stacked, apart = (
        plan_with(experiments=natural(encodings=encodings, stacked=axes)).combinations["image_natural"]
        for axes in ("sigma", [])
    )
    assert list(stacked) == [
        "gaussian+features=8/mlp+depth=4+width=32/seed=0",
        "gaussian+features=16/mlp+depth=4+width=32/seed=0",
        "none/mlp+depth=4+width=32/seed=0",
    ]
    first = stacked["gaussian+features=8/mlp+depth=4+width=32/seed=0"]
    assert [(member["sigma"], member["features"]) for member in first.spec["members"]] == [(1, 8), (2, 8), (4, 8)]
    assert [(member["sigma"], member["features"]) for member in first.members] == [(1, 8), (2, 8), (4, 8)]
    # Nothing is lost, and nothing else is different.
    for one in stacked.values():
        for spec, settings in zip(one.spec["members"], one.members, strict=True):
            (own,) = [found for found in apart.values() if found.members == [settings]]
            assert own.spec == one.spec | {"members": [spec]}
            assert own.settings == one.settings
    assert sum(len(one.members) for one in stacked.values()) == len(apart) == 7


def test_several_axes_may_be_stacked_and_one_value_stays_in_the_name() -> None:
    encodings = {"none": None, "basic": None, "positional": None}
    both = plan_with(
        experiments=natural(
            encodings=encodings | {"gaussian": {"sigma": [1, 2], "features": [8, 16]}}, stacked=["sigma", "features"]
        )
    )
    assert labels(both, "image_natural") == ["gaussian/mlp+depth=4+width=32/seed=0"]
    one = plan_with(
        experiments=natural(encodings=encodings | {"gaussian": {"sigma": 2, "features": 8}}, stacked=["sigma"])
    )
    assert labels(one, "image_natural") == ["gaussian+sigma=2+features=8/mlp+depth=4+width=32/seed=0"]


def test_one_job_takes_all_seeds_where_they_are_stacked() -> None:
    grids = {"none": None, "basic": None, "positional": None, "gaussian": {"sigma": [1, 2], "features": 8}}
    stacked, apart = (
        plan_with(experiments=natural(encodings=grids, seeds=[0, 7], stacked=axes)).combinations["image_natural"]
        for axes in (["sigma", "seed"], [])
    )
    (found,) = [one for label, one in stacked.items() if "gaussian" in label]
    assert found.label == "gaussian+features=8/mlp+depth=4+width=32/seed=all"
    assert [(member["sigma"], member["seed"]) for member in found.members] == [(1, 0), (1, 7), (2, 0), (2, 7)]
    assert "seed" not in found.spec and "seed" not in found.settings  # each member has its own
    for spec, settings in zip(found.spec["members"], found.members, strict=True):
        label = f"gaussian+sigma={settings['sigma']:g}+features=8/mlp+depth=4+width=32/seed={settings['seed']}"
        of_all = {"members": [{key: value for key, value in spec.items() if key != "seed"}], "seed": spec["seed"]}
        assert apart[label].spec == found.spec | of_all
        assert apart[label].settings | {"seed": settings["seed"]} == found.settings | {"seed": settings["seed"]}


def test_a_member_asked_for_twice_is_there_once() -> None:
    plan = plan_with(experiments=natural(encodings={"gaussian": {"sigma": [1, 1.0, 2]}}, stacked=["sigma"]))
    (found,) = [each for label, each in plan.combinations["image_natural"].items() if "gaussian" in label]
    assert [member["sigma"] for member in found.members] == [1, 2]


def test_a_job_s_memory_is_that_of_its_largest_member() -> None:
    def declared(stacked: list[str]) -> list[int]:
        encodings = {"none": None, "basic": None, "positional": None, "gaussian": {"sigma": 1, "features": [8, 512]}}
        settings = natural(signals={"size": 256, "shrink": 1}, encodings=encodings, stacked=stacked)
        plan, found = plan_with(experiments=settings), []
        for label in labels(plan, "image_natural"):
            encoding, network, seed = label.split("/")
            wildcards = SimpleNamespace(experiment="image_natural", encoding=encoding, network=network, seed=seed[5:])
            found.append(plan.fit_memory_mb(wildcards, 1, elsewhere=False))
            assert plan.fit_threads(wildcards, cores=64) >= 1
            assert list(plan.fit_inputs(wildcards)) == ["values", "rows"]
        return found

    small, large = declared([])
    assert 600 <= small < large
    assert declared(["features"]) == [large]


# ---- lesser parameters


def test_a_lesser_parameter_is_named_only_where_it_is_not_at_its_default() -> None:
    networks = {"mlp": {"initialisation": ["glorot", "lecun"]}}
    encodings = {"none": {"shift": [0, -0.5]}, "basic": None, "positional": None, "gaussian": {"sigma": 1}}
    plan = plan_with(experiments=natural(encodings=encodings, networks=networks))
    mlp, lecun = "mlp+depth=4+width=32", "mlp+depth=4+width=32+initialisation=lecun"
    assert labels(plan, "image_natural") == [
        *(f"gaussian+sigma=1+features=32/{network}/seed=0" for network in (mlp, lecun)),
        *(f"none/{network}/seed=0" for network in (mlp, lecun)),
        *(f"none+shift=-0.5/{network}/seed=0" for network in (mlp, lecun)),
    ]
    spec = plan.combinations["image_natural"][f"none+shift=-0.5/{lecun}/seed=0"].spec
    assert spec["members"] == [{"use": "posenc.encodings.none:NoEncoding", "shift": -0.5}]
    assert spec["network"]["initialisation"] == "lecun"
    normalised = plan_with(experiments=natural(encodings={"basic": {"normalised": [False, True]}}))
    assert labels(normalised, "image_natural")[:2] == [
        "basic/mlp+depth=4+width=32/seed=0",
        "basic+normalised=True/mlp+depth=4+width=32/seed=0",
    ]


def test_a_problem_s_parameters_go_to_its_fits() -> None:
    plan = plan_with(experiments=natural(problem={"image": {"output_activation": "tanh"}}))
    specs = [found.spec["problem"] for found in plan.combinations["image_natural"].values()]
    expected = {"use": "posenc.problems.image:ImageRegression"} | IMAGE | {"output_activation": "tanh"}
    assert specs == [expected] * len(specs)
    assert {chosen_problem(experiment)[0].name for experiment in plan.experiments.values()} >= {"image"}


def test_gradient_descent_and_decay_go_to_the_fits() -> None:
    plan = plan_with(experiments=natural(training={"optimizer": "sgd", "decay_steps": 10}))
    trainings = [found.spec["training"] for found in plan.combinations["image_natural"].values()]
    assert {(training["optimizer"], training["decay_steps"]) for training in trainings} == {("sgd", 10)}


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
    assert len(set(keys.values())) == len(plan.signal_specs) == SIGNAL_SETS + SIGNAL_SETS_OF_RETHINKING


def test_no_source_both_tunes_and_is_reported_on() -> None:
    for preset in PRESETS:
        for name, found in plan_of(preset).signal_sets.items():
            sources = {which: {row["source"] for row in found.spec["signals"] if row["set"] == which}
                       for which in ("tuning", "report")}  # fmt: skip
            assert sources["tuning"] or not plan_of(preset).experiments[name].signals.tuning
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


@pytest.mark.parametrize("kind", ["volumes", "meshes", "nerf", "clips"])
def test_a_folder_with_other_kinds_of_data_alone_leaves_pictures_bundled(kind: str, tmp_path: Path) -> None:
    (tmp_path / kind).mkdir()
    (tmp_path / kind / "preview.png").touch()  # no picture to learn
    plan = plan_with(data={"folder": str(tmp_path)})
    assert (plan.source.origin, plan.source.data_folder) == ("bundled", tmp_path)
    assert plan.signal_files(plan.signal_sets["image_natural"].key) == []
    assert plan.signal_sets["image_natural"] == plan_of("smoke").signal_sets["image_natural"]
    assert f"data of {tmp_path}" in plan.summary()
    assert "bundled and drawn signals" in plan_of("smoke").summary()


def test_pictures_beside_other_kinds_are_used_from_their_own_folder(folder: Path, tmp_path: Path) -> None:
    both = tmp_path / "both"
    (both / "volumes").mkdir(parents=True)
    (both / "images").mkdir()
    for path in folder.glob("*.png"):
        path.rename(both / "images" / path.name)
    plan = plan_with(data={"folder": str(both)})
    assert (plan.source.origin, plan.source.data_folder) == ("local", both)
    files = plan.signal_files(plan.signal_sets["image_natural"].key)
    assert files == [str(both / "images" / f"{name}.png") for name in ("a", "b", "c")]


def test_a_folder_without_any_data_is_still_a_mistake(tmp_path: Path) -> None:
    (tmp_path / "letters").mkdir()
    with pytest.raises(ConfigError, match="no image files in this folder"):
        plan_with(data={"folder": str(tmp_path)})


WAVES = {"kind": "sinusoids", "radii": [2, 4], "angles": 5, "tuning": 0, "report": 1}


def test_another_kind_s_signals_have_its_settings_and_conditions() -> None:
    plan = plan_with(experiments={"image_scales": {"signals": WAVES}})
    found = plan.signal_sets["image_scales"]
    assert found.key == "sinusoids-drawn+size=32+shrink=4+tuning=0+report=10+radii=2-4+angles=5"
    assert found.spec["use"] == "posenc.signals.sinusoids"
    assert {name: found.spec[name] for name in ("kind", "size", "radii", "angles")} == {
        "kind": "sinusoids", "size": 32, "radii": [2, 4], "angles": 5,
    }  # fmt: skip
    rows = found.spec["signals"]
    assert rows[1] == {
        "name": "radius_2_angle_01", "set": "report", "source": "wave_1_1", "path": "", "condition": "45",
    }  # fmt: skip
    assert len(rows) == 10
    assert found.modules == ["posenc.signals.sinusoids"]
    assert plan.signals_digest(found.key) != plan.signals_digest(plan.signal_sets["image_text"].key)
    assert plan.shows(["image_scales"]) == (
        "Preset smoke. image_scales: 10 drawn report plane waves on 32 x 32 pixels, seed 0."
    )
    # A setting that another kind has leaves these signals' folder alone.
    assert "radii" not in plan.signal_sets["image_natural"].key


def test_signals_by_the_paper_s_own_recipe_are_as_published() -> None:
    settings = {"image_scales": {"signals": WAVES}}
    plan = make_plan(ROOT, [Layer("config.yaml", {"preset": "paper", "experiments": settings})], {})
    waves, pictures = plan.facts_of(["image_scales"]), plan.facts_of(["image_scales", "image_text"])
    assert waves == {"preset": "paper", "paper_protocol": True, "scale": "paper settings, signals as published"}
    assert pictures == {"preset": "paper", "paper_protocol": False, "scale": "paper settings, stand-in signals"}
    assert plan.artefact_spec("fourier_features_figure_10")["facts"] == waves
    assert plan.artefact_spec("fourier_features_table_3")["facts"]["paper_protocol"] is False
    smoke = plan_with(experiments=settings)
    assert smoke.facts_of(["image_scales"])["paper_protocol"] is False  # not at the paper's settings
    assert smoke.facts_of(["image_scales"])["scale"] == "smoke scale, signals as published"


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
        assert set(artefact.experiments) <= {*plan.experiments, *plan.studies}, target
        assert set(artefact.pictures) <= set(artefact.experiments), target
        assert set(artefact.theory) <= set(plan.studies), target
        assert set(artefact.published) <= set(paper.published), target


def test_no_caption_is_left_over() -> None:
    captions = {
        (paper.name, path.stem)
        for paper in plan_of("laptop").papers.values()
        for path in (paper.folder / "captions").iterdir()
    }
    assert captions == {(paper.name, name) for paper, name, _ in plan_of("laptop").artefacts.values()}


def test_claims_are_well_formed_and_read_what_there_is() -> None:
    plan = plan_of("laptop")
    for name, paper in plan.papers.items():
        claims = [Claim.model_validate(claim) for claim in paper.claims]
        assert {used for claim in claims for used in claim.experiments} <= {*plan.experiments, *plan.studies}
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


# ---- theory

STUDIES = """
spectrum:
  title: Spectra of Kernels
  function: posenc.theory.study:run_study
  signals: [image_text]
  fits: [image_scales]
  parameters: {sigmas: [1, 2]}
bare:
  title: Nothing but formulas
  function: posenc.theory.study:run_study
"""


@pytest.fixture
def with_theory(tmp_path: Path) -> Plan:
    root = copy_project(tmp_path / "posenc")
    (root / PAPER / "theory.yaml").write_text(STUDIES)
    about = yaml.safe_load((root / PAPER / "paper.yaml").read_text())
    about["artefacts"]["figure_6"] |= {"experiments": ["image_features", "bare"], "theory": ["spectrum"]}
    (root / PAPER / "paper.yaml").write_text(yaml.safe_dump(about))
    return make_plan(root, [Layer("config.yaml", {"preset": "smoke", "papers": PAPER.name})], {})


def test_a_study_reads_the_signals_and_fits_it_names(with_theory: Plan) -> None:
    plan = with_theory
    assert list(plan.studies) == ["spectrum", "bare"]
    inputs = plan.study_inputs("spectrum")
    assert inputs["arrays"] == plan.fits("image_scales", "arrays.npz")
    sets = ("image_text", "image_scales")
    assert inputs["signals"] == [plan.signals(name, f"signals.{end}") for name in sets for end in ("npz", "json")]
    spec = plan.study_spec("spectrum")
    assert json.loads(json.dumps(spec)) == spec
    assert builtin(spec)
    assert spec["common"] == {"paper": "fourier_features", "experiment": "spectrum", "preset": "smoke"}
    assert (spec["function"], spec["parameters"]) == ("posenc.theory.study:run_study", {"sigmas": [1, 2]})
    assert list(spec["signals"]) == list(sets)
    fits = spec["fits"]["image_scales"]
    assert [fit["arrays"] for fit in fits] == inputs["arrays"]
    combinations = list(plan.combinations["image_scales"].values())
    assert [fit["spec"] for fit in fits] == [found.spec for found in combinations]
    assert plan.study_inputs("bare") == {"arrays": [], "signals": []}


def test_studies_lie_beside_the_records_and_artefacts_may_read_both(with_theory: Plan) -> None:
    plan = with_theory
    inputs = plan.artefact_inputs("fourier_features_figure_6")
    assert inputs["records"] == ["results/smoke/records/image_features.parquet", "results/smoke/theory/bare.parquet"]
    assert inputs["summaries"] == ["results/smoke/records/image_features.json", "results/smoke/theory/bare.json"]
    assert inputs["theory"] == ["results/smoke/theory/spectrum.npz"]
    spec = plan.artefact_spec("fourier_features_figure_6")
    assert spec["theory"] == {"spectrum": "results/smoke/theory/spectrum.npz"}
    assert spec["shows"].endswith("; bare: nothing but formulas, exact at every preset.")
    assert {f"results/smoke/theory/{name}.parquet" for name in ("spectrum", "bare")} <= set(plan.on_the_way)
    assert plan.study_digest("spectrum") == plan.study_digest("bare")  # the same function


def test_a_paper_without_studies_has_none() -> None:
    papers = plan_of("smoke").papers.values()
    assert {name for paper in papers for name in paper.theory} == set(plan_of("smoke").studies)
    for paper in papers:
        assert (paper.folder / "theory.yaml").is_file() == bool(paper.theory)


@pytest.mark.parametrize(
    ("text", "said"),
    [("a: {title: T}", "function"), ("a: {title: T, function: 'm:f', fit: [x]}", "fit\n  Extra inputs are not")],
)
def test_a_study_that_is_not_well_formed_is_refused(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "theory.yaml").write_text(text)
    with pytest.raises(ValidationError, match=said):
        Paper("p", tmp_path).theory  # noqa: B018
