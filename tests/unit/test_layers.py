"""Layers of settings: which one wins, and what a mistake's message says."""

from pathlib import Path
from typing import Any

import pytest
from project import PAPER, ROOT

from posenc.plan.layers import ConfigError, Layer, merge, read_layer
from posenc.plan.model import chosen_problem
from posenc.plan.registry import parts
from posenc.plan.workflow import make_plan, with_nulls

GAUSSIAN = "experiments.image_natural.encodings.gaussian"


def natural(**settings: Any) -> dict[str, Any]:
    return {"experiments": {"image_natural": settings}}


def gaussian(**settings: Any) -> dict[str, Any]:
    return natural(encodings={"gaussian": settings})


def message(*layers: Layer, preset: str = "smoke") -> str:
    with pytest.raises(ConfigError) as caught:
        make_plan(ROOT, [Layer("config.yaml", {"preset": preset}), *layers], {}).combinations  # noqa: B018
    return str(caught.value)


# ---- merging


def test_mappings_merge_and_everything_else_is_replaced() -> None:
    low = Layer("low", {"a": {"x": 1, "y": [1, 2]}, "b": [1], "c": 3, "d": {"x": 1}})
    high = Layer("high", {"a": {"y": [3], "z": None}, "b": {"x": 1}, "d": 4})
    assert merge([low, high]) == {"a": {"x": 1, "y": [3], "z": None}, "b": {"x": 1}, "c": 3, "d": 4}


def test_merging_leaves_the_layers_alone() -> None:
    low, high = Layer("low", {"a": {"x": 1}}), Layer("high", {"a": {"x": 2}})
    merge([low, high])["a"]["x"] = 3
    assert (low.settings, high.settings) == ({"a": {"x": 1}}, {"a": {"x": 2}})


def test_of_nyquist_takes_the_place_of_a_list_and_a_list_that_of_of_nyquist() -> None:
    fractions, values = {"sigma": {"of_nyquist": [0.5]}}, {"sigma": [1, 2]}
    assert merge([Layer("a", values), Layer("b", fractions)]) == fractions
    assert merge([Layer("a", fractions), Layer("b", values)]) == values


def test_later_layers_win_in_the_documented_order() -> None:
    def steps(*layers: Layer, preset: str = "smoke") -> int:
        plan = make_plan(ROOT, [Layer("config.yaml", {"preset": preset}), *layers], {})
        return plan.experiments["image_natural"].training.steps

    config, file, line = (
        Layer(name, natural(training={"steps": n})) for name, n in (("c", 11), ("f", 21), ("--config", 31))
    )
    assert steps(preset="paper") == 2000  # the paper's own settings
    assert steps() == 30  # the preset over them
    assert steps(config) == 11
    assert steps(config, file) == 21
    assert steps(config, file, line) == 31


def test_the_last_layer_chooses_the_preset() -> None:
    assert make_plan(ROOT, [], {}).preset == "laptop"
    layers = [Layer("config.yaml", {"preset": "paper"}), Layer("--config", {"preset": "smoke"})]
    assert make_plan(ROOT, layers, {}).preset == "smoke"


def test_null_from_the_command_line_is_null_at_any_depth() -> None:
    assert with_nulls({"a": {"b": "null", "c": "x"}, "d": "null"}) == {"a": {"b": None, "c": "x"}, "d": None}


# ---- reading


def test_a_file_is_a_layer_named_as_seen_from_the_project(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("preset: smoke\n")
    assert read_layer(tmp_path / "mine.yaml", tmp_path) == Layer("mine.yaml", {"preset": "smoke"})
    assert read_layer(tmp_path / "mine.yaml", tmp_path / "other").origin == str(tmp_path / "mine.yaml")


@pytest.mark.parametrize("text", ["", "# nothing but a comment\n", "---\n"])
def test_an_empty_file_is_an_empty_layer(text: str, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(text)
    assert read_layer(tmp_path / "config.yaml", tmp_path).settings == {}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"preset: [smoke\n", "config.yaml: is not valid YAML: while parsing a flow sequence"),
        (b"a: 1\n\tb: 2\n", "config.yaml: is not valid YAML"),
        (b"- smoke\n", "config.yaml: must hold `key: value` lines, not a list"),
        (b"smoke\n", "config.yaml: must hold `key: value` lines, not a str"),
        (b"a: \xff\n", "config.yaml: cannot be read"),
        (None, "config.yaml: cannot be read"),
    ],
)
def test_a_file_that_is_no_layer_is_named(content: bytes | None, said: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "config.yaml").write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        read_layer(tmp_path / "config.yaml", tmp_path)
    assert str(caught.value).startswith(said)
    assert "\n" not in str(caught.value)


# ---- mistakes


def test_a_mistake_is_said_of_the_layer_that_makes_it() -> None:
    low, high = Layer("mine.yaml", gaussian(sigma=-1)), Layer("--config", gaussian(features=3))
    assert message(low, high).splitlines() == [
        f"mine.yaml: {GAUSSIAN}.sigma = -1: must be greater than 0",
        f"--config: {GAUSSIAN}.features = 3: must be a multiple of 2",
    ]


def test_a_mistake_that_a_later_layer_takes_back_is_none() -> None:
    layers = [Layer("mine.yaml", gaussian(sigma=-1)), Layer("--config", gaussian(sigma=1))]
    assert make_plan(ROOT, layers, {}).experiments["image_natural"].encodings.gaussian.sigma.absolute == [1]


def test_a_mistake_of_several_keys_is_said_of_the_layer_that_set_one_of_them_last() -> None:
    layer = Layer("mine.yaml", natural(training={"report_step": 22, "log_every": 10, "steps": 30}))
    assert message(layer) == (
        "mine.yaml: experiments.image_natural.training: "
        "report_step 22 is not scored: take 1 + a multiple of log_every (10)"
    )


def test_an_index_is_shown_only_where_a_list_is_written() -> None:
    assert f"{GAUSSIAN}.sigma = -1:" in message(Layer("mine.yaml", gaussian(sigma=-1)))
    assert f"{GAUSSIAN}.sigma[1] = -1:" in message(Layer("mine.yaml", gaussian(sigma=[1, -1])))
    assert f"{GAUSSIAN}.sigma.of_nyquist = -1:" in message(Layer("mine.yaml", gaussian(sigma={"of_nyquist": -1})))
    assert f"{GAUSSIAN}.sigma.of_nyquist[0] = -1:" in message(Layer("m", gaussian(sigma={"of_nyquist": [-1]})))
    assert "papers = 'x':" in message(Layer("mine.yaml", {"papers": "x"}))
    assert "papers[0] = 'x':" in message(Layer("mine.yaml", {"papers": ["x"]}))


def test_the_nearest_match_is_offered_only_where_one_is_near() -> None:
    assert message(Layer("m", natural(trainin={}))).endswith("; did you mean 'training'?")
    assert "did you mean" not in message(Layer("m", natural(xyzzy={})))
    assert message(Layer("m", {"device": "cude"})).endswith("; did you mean 'cuda'?")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"presets": "smoke"}, "presets: unknown key; allowed here: preset, papers, device, precision, slots_per_gpu,"),
        ({1: 2}, "[1]: unknown key; allowed here: preset, papers"),
        ({"papers": ["x"]}, "papers[0] = 'x': must be one of fourier_features"),
        ({"papers": []}, "papers: is an empty list; name at least one value"),
        ({"experiments": {"image": {}}}, "experiments.image: unknown key; allowed here: image_natural, image_text"),
        ({"experiments": 3}, "experiments = 3: must be a mapping of keys to values"),
        ({"data": {"source": "web"}}, "data.source = 'web': must be one of auto, bundled, local, published"),
        (
            natural(signals={"kind": "phantoms"}),
            "signals.kind = 'phantoms': problem image takes natural, text, sinusoids",
        ),
        (
            natural(problem="picture"),
            "problem = 'picture': must be one of fourier_samples, image, line, occupancy, projections, radiance",
        ),
        (
            natural(encodings={"gausian": {}}),
            "encodings.gausian: unknown key; allowed here: basic, gaussian, linear_frequency, none, optimised, p",
        ),
        (natural(networks={"mlp": None}), "image_natural: networks: empty grid; name at least one"),
        (natural(networks={"mlp": {"depth": 0}}), "networks.mlp.depth = 0: must be at least 1"),
        (natural(networks={"mlp": {"depth": 2.5}}), "networks.mlp.depth = 2.5: must be a whole number"),
        (natural(networks={"mlp": {"width": "wide"}}), "networks.mlp.width = 'wide': must be a whole number"),
        (natural(networks={"mlp": {"width": []}}), "networks.mlp.width: is an empty list"),
        (natural(seeds=[]), "seeds: is an empty list"),
        (natural(seeds=[0, -1]), "seeds[1] = -1: must be at least 0"),
        (natural(signals={"size": 33}), "signals.size = 33: must be a multiple of 2"),
        (natural(signals={"tuning": -1}), "signals.tuning = -1: must be at least 0"),
        (natural(signals={"report": 0}), "signals.report = 0: must be at least 1"),
        (natural(signals={"kind": "sound"}), "signals.kind = 'sound': must be one of natural, text, sinusoids"),
        (natural(signals={"radii": [2, 0]}), "signals.radii[1] = 0: must be at least 1"),
        (natural(signals={"angles": 1}), "signals.angles = 1: must be at least 2"),
        (natural(problem={"picture": {}}), "problem.picture: unknown key; allowed here: "),
        (natural(problem={"image": {"size": 3}}), "problem.image.size: unknown key; allowed here: output_activation"),
        (
            natural(problem={"image": {"output_activation": "relu"}}),
            "image.output_activation = 'relu': must be one of ",
        ),
        (natural(problem={"image": None}), "image_natural: problem: name exactly one"),
        (natural(problem={}), "image_natural: problem: name exactly one"),
        (natural(problem=3), "problem = 3: must be a mapping of keys to values"),
        (natural(stacked=["sigmas"]), "stacked[0] = 'sigmas': must be one of "),
        (natural(stacked="sigmas"), "stacked = 'sigmas': must be one of "),
        (
            natural(training={"optimizer": "sdg"}),
            "training.optimizer = 'sdg': must be one of adam, sgd, least_squares; did you mean",
        ),
        (natural(training={"decay_steps": 0}), "training.decay_steps = 0: must be at least 1"),
        (natural(choose_sigma="perhaps"), "choose_sigma = 'perhaps': must be true or false"),
        (gaussian(normalised=2), "gaussian.normalised = 2: must be true or false"),
        (natural(encodings={"none": {"scale": "far"}}), "none.scale = 'far': must be a number"),
        (
            natural(networks={"mlp": {"initialisation": "he"}}),
            "mlp.initialisation = 'he': must be one of glorot, lecun",
        ),
        (natural(training={"learning_rate": "fast"}), "training.learning_rate = 'fast': must be a number"),
        (natural(training={"learning_rate": float("nan")}), "training.learning_rate = nan: must be"),
        (natural(training={"report_step": 99}), "training: report_step 99 is "),
        (gaussian(sigma=0), "gaussian.sigma = 0: must be greater than 0"),
        (gaussian(sigma=float("inf")), "gaussian.sigma = inf: must be a finite number"),
        (gaussian(sigma="wide"), "gaussian.sigma = 'wide': must be a number"),
        (gaussian(sigma=[]), "gaussian.sigma: is an empty list"),
        (gaussian(sigma={"of_nyquist": []}), "gaussian.sigma.of_nyquist: is an empty list"),
        (gaussian(sigma={"nyquist": 1}), "gaussian.sigma.nyquist: unknown key; allowed here: of_nyquist; did you mea"),
        (gaussian(sigma={}), "gaussian.sigma: give sigma as a list of values or as {of_nyquist: [fractions]}"),
        (gaussian(features=1), "gaussian.features = 1: must be a multiple of 2"),
        (gaussian(features=-2), "gaussian.features = -2: must be at least 2"),
        (gaussian(features=7), "gaussian.features = 7: must be a multiple of 2"),
        (
            gaussian(variant="code"),
            "gaussian.variant: unknown key; allowed here: sigma, features, normalised, training",
        ),
        (gaussian(training={"step": 5}), "gaussian.training.step: unknown key; allowed here: steps, learning_rate"),
    ],
)
def test_every_bad_value_gives_one_clear_line(settings: dict[Any, Any], said: str) -> None:
    # smoke gives sigma as a list; merged with a mapping, the mapping stands alone
    found = message(Layer("mine.yaml", settings))
    assert said in found
    assert found.startswith("mine.yaml: ")
    assert "\n" not in found


@pytest.mark.parametrize(
    ("signals", "said"),
    [
        (
            {"kind": "sinusoids"},
            "experiments.image_natural.signals: sinusoids need radii (cycles per unit length); give",
        ),
        (
            {"kind": "sinusoids", "radii": 2},
            "image_natural.signals: sinusoids need angles (how many, from 0 to 180 deg",
        ),
        ({"shrink": 1000}, "image_natural.signals: 0 bundled pictures of 32000 pixels or more; at least 2 are needed"),
    ],
)
def test_signals_that_cannot_be_had_give_one_clear_line(signals: dict[str, Any], said: str) -> None:
    plan = make_plan(ROOT, [Layer("mine.yaml", {"preset": "smoke", **natural(signals=signals)})], {})
    with pytest.raises(ConfigError) as caught:
        plan.signal_sets  # noqa: B018
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(len(parts("problems")) < 2, reason="there is one problem only")
def test_two_problems_are_refused_and_null_takes_one_out() -> None:
    """A lower layer's mapping merges with that of a higher one."""
    first, second = (Layer(f"{name}.yaml", natural(problem={name: {}})) for name in list(parts("problems"))[:2])
    assert message(first, second).endswith("experiments.image_natural: problem: name exactly one")
    taken = Layer("third.yaml", natural(problem=dict.fromkeys([first.origin.removesuffix(".yaml")])))
    plan = make_plan(ROOT, [Layer("config.yaml", {"preset": "smoke"}), first, second, taken], {})
    (part, _) = chosen_problem(plan.experiments["image_natural"])
    assert part.name == second.origin.removesuffix(".yaml")


def test_a_problem_is_a_name_or_a_mapping_of_one() -> None:
    def chosen(problem: Any) -> Any:
        plan = make_plan(ROOT, [Layer("config.yaml", {"preset": "smoke", **natural(problem=problem)})], {})
        part, parameters = chosen_problem(plan.experiments["image_natural"])
        return part.name, parameters

    others = {"test": "offset", "sampling": "grid", "halved": True}
    assert chosen("image") == chosen({"image": {}}) == ("image", {"output_activation": "sigmoid"} | others)
    assert chosen({"image": {"output_activation": "tanh"}}) == ("image", {"output_activation": "tanh"} | others)


def test_a_preset_that_is_not_there_is_named_with_those_that_are() -> None:
    assert message(preset="laptp") == (
        "config.yaml: preset = 'laptp': must be one of smoke, laptop, paper; did you mean 'laptop'?"
    )


def test_a_mistake_of_the_project_itself_names_the_project_s_file() -> None:
    path = PAPER / "experiments.yaml"
    layers = [Layer(str(path), natural(encodings={"none": {"sigma": 1}})), Layer("config.yaml", {})]
    assert message(*layers).startswith(f"{path}: experiments.image_natural.encodings.none.sigma: unknown key")


def test_scales_of_nyquist_are_refused_where_sigma_is_no_frequency() -> None:
    settings = natural(encodings={"positional": {"sigma": {"of_nyquist": 0.5}, "variant": "section_6"}})
    found = message(Layer("mine.yaml", settings))
    assert "experiments.image_natural.encodings.positional: variant section_6 takes sigma as a base" in found


@pytest.mark.parametrize(
    ("data", "environment", "said"),
    [
        ({"folder": "/not/there"}, {}, "mine.yaml: data.folder = '/not/there': "),
        ({}, {"POSENC_DATA": "/not/there"}, "POSENC_DATA = '/not/there': "),
        ({"source": "local"}, {}, "mine.yaml: data.source = 'local': no folder is named"),
        ({"source": "published"}, {}, "mine.yaml: data.source = 'published': "),
    ],
)
def test_pictures_that_are_not_there_are_said_with_the_key_that_asks_for_them(
    data: dict[str, str], environment: dict[str, str], said: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        make_plan(ROOT, [Layer("mine.yaml", {"preset": "smoke", "data": data})], environment)
    assert str(caught.value).startswith(said)
