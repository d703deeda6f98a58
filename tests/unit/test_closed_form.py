"""The engine with networks that are linear in their weights: least squares, encodings per axis, and layers' ranks."""

import csv
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file
from torch import Tensor

from posenc.encodings.gaussian import Gaussian
from posenc.encodings.none import NoEncoding
from posenc.encodings.per_axis import PerAxis
from posenc.encodings.positional import Positional
from posenc.files import write_arrays, write_json
from posenc.measures.asked import put_back, untrained
from posenc.networks.inputs import Blend
from posenc.networks.kronecker import Kronecker
from posenc.plan import model
from posenc.plan.combinations import Combination
from posenc.plan.registry import Part, parts
from posenc.problems.grid import Grid, half_open
from posenc.training import loop
from posenc.training.checkpoints import Progress
from posenc.training.fit import fit_combination
from posenc.training.ranks import stable_ranks
from posenc.training.stack import asking, build, encoding_of, fit_stack
from posenc.training.values import Fitted, Records

CPU = torch.device("cpu")
GAUSSIAN = {"use": "posenc.encodings.gaussian:Gaussian", "sigma": 2.0, "features": 12}
LINEAR = {"use": "posenc.networks.linear:Linear"}
KRONECKER = {"use": "posenc.networks.kronecker:Kronecker", "depth": 1, "width": 8}
MLP = {"use": "posenc.networks.mlp:MLP", "depth": 3, "width": 8}
SURFACE = {"use": "toy:Surface"}
FILES = ("values", "arrays", "weights")


def spec_of(**changes: Any) -> dict[str, Any]:
    training = {"steps": 40, "learning_rate": 1e-2, "log_every": 10, "precision": "float32", "optimizer": "adam"}
    return (
        {
            "members": [GAUSSIAN],
            "network": LINEAR,
            "problem": SURFACE,
            "seed": 3,
            "sets": ["report", "tuning"],
        }
        | {"training": training | changes.pop("training", {})}
        | changes
    )


SOLVED = {"steps": 1, "optimizer": "least_squares"}


def surfaces(count: int = 2, height: int = 5, width: int = 6) -> Tensor:
    return torch.rand(count, height, width, 1, generator=torch.Generator().manual_seed(0))


def fit(spec: Mapping[str, Any], values: Tensor, member: int = 0) -> Fitted:
    rows = [{"name": f"surface_{i}", "set": "report"} for i in range(len(values))]
    return fit_stack(spec, member, {"values": values}, rows, "float32", Progress())


@pytest.fixture
def signals(tmp_path: Path) -> dict[str, str]:
    """Paths of two surfaces."""
    write_arrays(tmp_path / "surfaces.npz", {"values": surfaces().numpy()})
    write_json(tmp_path / "surfaces.json", [{"name": name, "set": "report"} for name in ("first", "second")])
    return {"values": str(tmp_path / "surfaces.npz"), "rows": str(tmp_path / "surfaces.json")}


def outputs_in(folder: Path) -> dict[str, str]:
    folder.mkdir(exist_ok=True)
    ends = {"values": "csv", "arrays": "npz", "weights": "safetensors", "provenance": "json"}
    return {name: str(folder / f"{name}.{end}") for name, end in ends.items()}


def rows_in(path: str) -> list[dict[str, str]]:
    with Path(path).open() as lines:
        return list(csv.DictReader(lines))


# Encodings per axis


def test_features_per_axis_stand_side_by_side_and_depend_on_their_axis_alone() -> None:
    first, second = (
        Gaussian(1, sigma=2.0, features=4, generator=torch.Generator().manual_seed(0)),
        Positional(1, sigma=3.0, features=6),
    )
    encoding, points = PerAxis([first, second]), torch.rand(9, 2)
    assert (encoding.in_dim, encoding.out_dim) == (2, 10)
    assert torch.equal(encoding(points), torch.cat([first(points[:, :1]), second(points[:, 1:])], dim=1))
    assert [columns.tolist() for columns in encoding.axis_columns()] == [[0, 1, 2, 3], [4, 5, 6, 7, 8, 9]]
    frequencies = encoding.frequencies()
    assert frequencies is not None
    assert torch.equal(frequencies[:2, :1], first.B) and torch.equal(frequencies[2:, 1:], second.B)
    assert not frequencies[:2, 1:].any() and not frequencies[2:, :1].any()
    assert encoding.bandwidth() == first.bandwidth()
    assert PerAxis([first, NoEncoding(1)]).frequencies() is None
    with pytest.raises(ValueError, match="one dimension"):
        PerAxis([Positional(2, sigma=1.0, features=4)])


def test_a_network_that_takes_the_axes_apart_has_one_encoding_for_each_with_one_draw() -> None:
    encoding = encoding_of(spec_of(network=KRONECKER), 0, 3, torch.Generator().manual_seed(3), None)
    assert isinstance(encoding, PerAxis)
    assert [along.out_dim for along in encoding.encodings] == [12, 12, 12]
    alone = Gaussian(1, sigma=2.0, features=12, generator=torch.Generator().manual_seed(3))
    assert all(torch.equal(along.B, alone.B) for along in encoding.encodings)  # type: ignore[arg-type]
    together = encoding_of(spec_of(), 0, 3, torch.Generator().manual_seed(3), None)
    assert isinstance(together, Gaussian) and together.B.shape == (6, 3)


@pytest.mark.parametrize("dimensions", [1, 2, 3])
def test_it_is_given_the_axes_of_a_grid_and_points_as_a_blend(dimensions: int) -> None:
    encoding = PerAxis([Positional(1, sigma=2.0, features=6) for _ in range(dimensions)])
    grid = Grid(tuple(half_open(4 + axis) for axis in range(dimensions)))
    by_axis = loop.encode(encoding, grid, CPU)
    assert isinstance(by_axis, list) and len(by_axis) == dimensions
    for axis, (values, columns) in enumerate(by_axis):
        assert torch.equal(values, encoding.encodings[axis](grid.axes[axis][:, None]))
        assert torch.equal(columns, encoding.axis_columns()[axis])
    blended = loop.encode(encoding, grid.points(), CPU, 5)
    assert isinstance(blended, Blend)
    assert [len(values) for values, _ in blended.axes] == [5] * dimensions


@pytest.mark.parametrize("points_per_slab", [7, 1000])
@pytest.mark.parametrize("scattered", [False, True])
def test_predictions_in_slabs_are_those_of_the_whole(
    points_per_slab: int, scattered: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoding = PerAxis([Positional(1, sigma=2.0, features=6) for _ in range(2)])
    generator = torch.Generator().manual_seed(0)
    network = Kronecker(12, 3, depth=2, width=8, axis_widths=[6, 6], stack=2, grid=5, generator=generator)
    grid = Grid((half_open(5), half_open(9)))
    where = grid.points() if scattered else grid
    whole = network(loop.encode(encoding, where, CPU, 5)).detach()
    monkeypatch.setattr(loop, "POINTS_PER_SLAB", points_per_slab)
    torch.testing.assert_close(loop.predict(network, encoding, where, CPU), whole, rtol=1e-5, atol=1e-6)


def test_a_network_that_learnt_from_blended_points_shows_a_grid_blended_too() -> None:
    values = surfaces(1)
    for scattered in (False, True):
        problem = build(SURFACE | {"scattered": scattered}, {"values": values})
        encoding = PerAxis([Gaussian(1, sigma=2.0, features=12, generator=torch.Generator().manual_seed(0))] * 2)
        network = Kronecker(24, 1, axis_widths=[12, 12], generator=torch.Generator().manual_seed(1), grid=7)
        shown = asking(network, encoding, problem, CPU)(problem.grid)
        points, grid = (
            network(loop.encode(encoding, where, CPU, 7)).detach() for where in (problem.grid.points(), problem.grid)
        )
        torch.testing.assert_close(shown, points if scattered else grid)
        assert float((points - grid).abs().max()) > 0.01  # which of them matters


# Least squares


@pytest.mark.parametrize("network", [LINEAR, KRONECKER], ids=["linear", "kronecker"])
def test_a_fit_by_least_squares_gives_the_values_of_least_squares(
    network: dict[str, Any], signals: dict[str, str], tmp_path: Path
) -> None:
    spec, outputs = (
        spec_of(network=network, training=SOLVED, members=[GAUSSIAN | {"features": 4}]),
        outputs_in(tmp_path / "fit"),
    )
    fit_combination(spec, signals, outputs, "cpu")
    grid = Grid((torch.arange(6) / 6, torch.arange(5) / 5))
    drawn = torch.Generator().manual_seed(3)
    if network is LINEAR:
        features = Gaussian(2, sigma=2.0, features=4, generator=drawn)(grid.points())
        columns = torch.cat([features, torch.ones(30, 1)], dim=1).double()
    else:
        along = Gaussian(1, sigma=2.0, features=4, generator=drawn)
        columns = torch.kron(*(along(axis[:, None]).double() for axis in reversed(grid.axes)))
    targets = surfaces().double().flatten(1, 2)
    expected = columns @ torch.linalg.lstsq(columns.expand(2, -1, -1), targets, driver="gelsd").solution
    rows = rows_in(outputs["values"])
    for index, name in enumerate(("first", "second")):
        shown = np.load(outputs["arrays"])[name]
        np.testing.assert_allclose(shown.flatten(), expected[index, :, 0], atol=1e-5)
        found = {row["metric"]: (row["step"], float(row["value"])) for row in rows if row["signal"] == name}
        error = float((expected[index] - targets[index]).square().mean())
        assert error > 1e-3  # not by heart
        assert found["error"] == ("1", pytest.approx(error, rel=1e-4))
        # As everywhere, a loss is that before its update.
        assert found["loss"][0] == "1" and found["loss"][1] > 2 * error
    assert json.loads(Path(outputs["provenance"]).read_text())["diverged"] == 0


def test_a_fit_of_a_wide_linear_model_knows_its_points_by_heart() -> None:
    result = fit(spec_of(training=SOLVED, members=[GAUSSIAN | {"features": 200}]), surfaces())
    errors = [row["value"] for row in result.values if row["metric"] == "error"]
    assert len(errors) == 2 and max(errors) < 1e-9  # 90 dB and more


def offering(monkeypatch: pytest.MonkeyPatch, targets: bool, fixed: bool = True) -> None:
    """The planner knows the problem `image` as one whose targets are offered, or not."""
    known = dict(parts("problems"))
    image = vars(known["image"])
    methods = known["image"].methods - {"targets"} | ({"targets"} if targets else set())
    known["image"] = Part(**image | {"methods": methods, "attributes": image["attributes"] | {"fixed": fixed}})
    monkeypatch.setattr(model, "parts", lambda folder: known if folder == "problems" else parts(folder))


def planned_by(planned: Callable[..., list[Combination]], **settings: Any) -> list[Combination]:
    chosen = {"problem": {"image": {"output_activation": "linear"}}, "optimizer": "least_squares", "steps": 1}
    return planned({"gaussian": {"sigma": 2}}, **chosen | {"networks": {"linear": {}}} | settings)


def test_the_planner_lets_least_squares_pass_where_there_is_a_closed_form(
    planned: Callable[..., list[Combination]], monkeypatch: pytest.MonkeyPatch
) -> None:
    offering(monkeypatch, targets=True)
    found = planned_by(planned, networks={"linear": {}, "kronecker": {"depth": 1}})
    assert [one.spec["network"]["use"].split(":")[1] for one in found] == ["Kronecker", "Linear"]
    assert all(one.spec["training"]["optimizer"] == "least_squares" for one in found)


@pytest.mark.parametrize(
    ("settings", "offered", "message"),
    [
        ({"steps": 2}, {"targets": True}, "steps must be 1, not 2"),
        ({}, {"targets": False}, "problem image has no closed form"),
        ({}, {"targets": True, "fixed": False}, "problem image has no closed form"),
        ({"problem": "image"}, {"targets": True}, "the problem's output is sigmoid; it must be linear"),
        (
            {"networks": {"mlp": {}}},
            {"targets": True},
            r"networks\.mlp has no closed form; those of kronecker and linear do",
        ),
        ({"networks": {"kronecker": {"depth": [1, 2]}}}, {"targets": True}, r"networks\.kronecker\.depth must be 1"),
        (
            {
                "networks": {"kronecker": {"depth": 1}},
                "problem": {"image": {"output_activation": "linear", "sampling": "random"}},
            },
            {"targets": True},
            r"networks\.kronecker has a closed form on a grid alone, and problem\.image\.sampling is random; use adam",
        ),
    ],
)
def test_the_planner_refuses_least_squares_where_there_is_none(
    planned: Callable[..., list[Combination]],
    monkeypatch: pytest.MonkeyPatch,
    settings: dict[str, Any],
    offered: dict[str, bool],
    message: str,
) -> None:
    offering(monkeypatch, **offered)
    with pytest.raises(ValidationError, match=rf"training\.optimizer = least_squares: {message}"):
        planned_by(planned, **settings)


def test_an_encoding_s_own_steps_must_be_one_too(
    planned: Callable[..., list[Combination]], monkeypatch: pytest.MonkeyPatch
) -> None:
    offering(monkeypatch, targets=True)
    with pytest.raises(ValidationError, match="steps must be 1, not 7"):
        planned(
            {"gaussian": {"sigma": 2, "training": {"steps": 7}}},
            problem={"image": {"output_activation": "linear"}},
            optimizer="least_squares",
            steps=1,
            networks={"linear": {}},
        )


def test_a_virtual_grid_is_a_count_where_it_is_given() -> None:
    (parameter,) = [found for name, found in parts("networks")["kronecker"].parameters.items() if name == "grid"]
    assert parameter.default == 0
    assert "axis_widths" not in parts("networks")["kronecker"].parameters


# Layers' ranks


def stable_rank(matrix: Tensor) -> float:
    singular = torch.linalg.svdvals(matrix.double())
    return float(singular.square().sum() / singular[0] ** 2)


@pytest.mark.parametrize("shape", [(3, 20, 8), (3, 8, 20)])
def test_stable_ranks_are_those_of_the_singular_values(shape: tuple[int, ...]) -> None:
    matrices = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    expected = [stable_rank(matrix) for matrix in matrices]
    assert stable_ranks(matrices).tolist() == pytest.approx(expected, rel=1e-12)
    assert stable_ranks(torch.eye(7)[None]).tolist() == pytest.approx([7])
    assert stable_ranks(torch.ones(1, 5, 6)).tolist() == pytest.approx([1])


def test_a_layer_of_zeros_has_rank_zero_and_one_that_is_not_a_number_no_rank() -> None:
    matrices = torch.stack([torch.zeros(4, 6), torch.full((4, 6), torch.nan), torch.ones(4, 6), torch.ones(4, 6)])
    matrices[3, 1, 2] = torch.inf
    dead, undefined, sound, infinite = stable_ranks(matrices).tolist()
    assert (dead, sound) == (0, pytest.approx(1))
    assert undefined != undefined and infinite != infinite


@pytest.mark.parametrize("training", [{"learning_rate": 1e30}, SOLVED], ids=["adam", "least squares"])
def test_fits_that_diverge_are_recorded_as_such_ranks_and_all(training: dict[str, Any]) -> None:
    network = MLP if training is not SOLVED else LINEAR
    problem = SURFACE | {"layer_ranks": True}
    values = surfaces(2)
    if training is SOLVED:
        values[0, 1, 1] = torch.nan
    result = fit(spec_of(network=network, problem=problem, training=training), values)
    last = {row["signal"]: row["status"] for row in result.values if row["metric"] == "error"}
    assert last["surface_0"] == "diverged"
    assert last["surface_1"] == ("ok" if training is SOLVED else "diverged")


def test_ranks_of_input_and_hidden_layers_are_recorded_at_every_scored_step() -> None:
    spec = spec_of(network=MLP, problem=SURFACE | {"layer_ranks": True}, training={"steps": 25})
    result = fit(spec, surfaces())
    rows = [row for row in result.values if row["metric"] == "stable_rank"]
    assert {(row["item"], row["step"]) for row in rows} == {
        (item, step) for item in ("input", "layer 1", "layer 2") for step in (1, 11, 21, 25)
    }
    assert {row["split"] for row in rows} == {"train"}
    # At the end they are those of the weights that are kept.
    features = Gaussian(2, sigma=2.0, features=12, generator=torch.Generator().manual_seed(3))(
        Grid((torch.arange(6) / 6, torch.arange(5) / 5)).points()
    )
    for index in range(2):
        hidden, expected = features, {"input": stable_rank(features)}
        for layer in (0, 1):
            weight, bias = (result.weights[f"surface_{index}.{kind}.{layer}"] for kind in ("weights", "biases"))
            hidden = (hidden @ weight + bias).clamp(min=0)
            expected[f"layer {layer + 1}"] = stable_rank(hidden)
        last = {row["item"]: row["value"] for row in rows if row["step"] == 25 and row["signal"] == f"surface_{index}"}
        assert last == pytest.approx(expected, rel=1e-5)


def test_recording_ranks_changes_nothing_else() -> None:
    with_ranks, without = (
        fit(spec_of(network=MLP, problem=SURFACE | {"layer_ranks": wanted}), surfaces()) for wanted in (True, False)
    )
    assert [row for row in with_ranks.values if row["metric"] != "stable_rank"] == without.values
    assert all(torch.equal(with_ranks.weights[name], tensor) for name, tensor in without.weights.items())


@pytest.mark.parametrize("network", [LINEAR, KRONECKER], ids=["linear", "kronecker"])
def test_networks_without_hidden_layers_have_the_rank_of_their_input_alone(network: dict[str, Any]) -> None:
    result = fit(spec_of(network=network, problem=SURFACE | {"layer_ranks": True}), surfaces())
    assert {row["item"] for row in result.values if row["metric"] == "stable_rank"} == {"input"}


# Side by side, members and checkpoints

KINDS: dict[str, dict[str, Any]] = {
    "linear": {"network": LINEAR},
    "linear, by axes": {"members": [{"use": "posenc.encodings.positional:Positional", "sigma": 2.0, "features": 12}]},
    "linear, solved": {"training": SOLVED},
    "mlp with ranks": {"network": MLP, "problem": SURFACE | {"layer_ranks": True}},
    "kronecker": {"network": KRONECKER | {"depth": 2}},
    "kronecker, solved": {"network": KRONECKER, "training": SOLVED},
    "kronecker, scattered": {"network": KRONECKER | {"depth": 2, "grid": 5}, "problem": SURFACE | {"scattered": True}},
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_stack_is_so_many_single_fits(kind: str) -> None:
    spec, values = spec_of(**KINDS[kind]), surfaces(3)
    together = fit(spec, values)
    for index in range(3):
        alone = fit(spec, values[index : index + 1])
        ours = [row["value"] for row in together.values if row["signal"] == f"surface_{index}"]
        assert ours == pytest.approx([row["value"] for row in alone.values], rel=1e-3, abs=1e-6)
        for name, tensor in alone.weights.items():
            stacked = together.weights[name.replace("surface_0", f"surface_{index}")]
            torch.testing.assert_close(stacked, tensor, rtol=1e-3, atol=1e-3)


class Killed(BaseException):
    """Stands for a kill: nothing of ours catches it."""


def interrupted(
    spec: Mapping[str, Any], signals: Mapping[str, str], outputs: Mapping[str, str], path: Path, scored: int
) -> None:
    """A fit that saves after every update and is killed when it has scored so many times."""
    report, left = Records.report, iter(range(scored))

    def killing(self: Records, step: int, steps: int) -> None:
        report(self, step, steps)
        if next(left, None) is None:
            raise Killed

    with pytest.MonkeyPatch.context() as patch, pytest.raises(Killed):
        patch.setattr(Records, "report", killing)
        fit_combination(spec, signals, outputs, "cpu", checkpoint(path))


def checkpoint(path: Path) -> dict[str, Any]:
    return {"path": str(path), "code": "digest", "seconds": 0.0}


@pytest.mark.parametrize("scored", [1, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_a_killed_fit_goes_on_to_the_same_bytes(
    kind: str, scored: int, signals: dict[str, str], tmp_path: Path
) -> None:
    spec = spec_of(**KINDS[kind])
    # A second member with a problem of its own: killed in the first, or where there is one score each, in the second.
    spec["members"] = [*spec["members"], spec["members"][0] | {"problem": {"scale": 2.0}}]
    whole, resumed, path = outputs_in(tmp_path / "whole"), outputs_in(tmp_path / "resumed"), tmp_path / "a"
    fit_combination(spec, signals, whole, "cpu")
    interrupted(spec, signals, resumed, path, scored)
    fit_combination(spec, signals, resumed, "cpu", checkpoint(path))
    for name in FILES:
        assert Path(whole[name]).read_bytes() == Path(resumed[name]).read_bytes(), name
    assert json.loads(Path(resumed["provenance"]).read_text())["resumed"] is True


@pytest.mark.parametrize("kind", ["linear", "kronecker"])
def test_a_member_s_problem_is_the_combination_s_with_its_own_parameters(
    kind: str, signals: dict[str, str], tmp_path: Path
) -> None:
    spec = spec_of(**KINDS[kind], problem=SURFACE | {"layer_ranks": True, "scale": 3.0})
    spec["members"] = [GAUSSIAN, GAUSSIAN | {"problem": {"scale": 0.5}}]
    together = outputs_in(tmp_path / "together")
    fit_combination(spec, signals, together, "cpu")
    for member, scale in enumerate((3.0, 0.5)):
        own = spec | {"members": [GAUSSIAN], "problem": spec["problem"] | {"scale": scale}}
        alone = outputs_in(tmp_path / f"alone {member}")
        fit_combination(own, signals, alone, "cpu")
        ours = [row | {"member": "0"} for row in rows_in(together["values"]) if row["member"] == str(member)]
        assert ours == rows_in(alone["values"])
        assert any(row["metric"] == "stable_rank" for row in ours)
        for name, array in np.load(alone["arrays"]).items():
            np.testing.assert_array_equal(np.load(together["arrays"])[f"{member}/{name}"], array)
    assert rows_in(outputs_in(tmp_path / "alone 0")["values"]) != rows_in(outputs_in(tmp_path / "alone 1")["values"])


@pytest.mark.parametrize("kind", KINDS)
def test_kept_weights_show_what_the_fit_showed(kind: str, signals: dict[str, str], tmp_path: Path) -> None:
    spec, outputs = spec_of(**KINDS[kind]), outputs_in(tmp_path / "fit")
    spec["members"] = [*spec["members"], spec["members"][0] | {"problem": {"scale": 2.0}}]
    fit_combination(spec, signals, outputs, "cpu")
    weights = load_file(outputs["weights"])
    for member in (0, 1):
        problem = build(spec["problem"] | {"scale": 1.0 + member}, {"values": surfaces()[1:]})
        encoding, network = untrained(spec, member, problem, None)
        put_back(encoding, network, weights, f"{member}/", "second")
        shown = asking(network, encoding, problem, CPU)(problem.grid)
        expected = torch.from_numpy(np.load(outputs["arrays"])[f"{member}/second"])
        torch.testing.assert_close(shown[0, :, 0], expected, rtol=1e-4, atol=1e-5)


def test_a_blended_fit_learns_a_smooth_surface() -> None:
    network = KRONECKER | {"depth": 2, "width": 32, "grid": 9}
    x, y = torch.arange(6) / 6, torch.arange(5)[:, None] / 5
    surface = 0.5 + 0.5 * (2 * torch.pi * x).sin() * (2 * torch.pi * y).cos()
    spec = spec_of(network=network, problem=SURFACE | {"scattered": True}, training={"steps": 300})
    errors = [row["value"] for row in fit(spec, surface[None, ..., None]).values if row["metric"] == "error"]
    assert errors[-1] < 1e-3 < 0.05 < errors[0]
