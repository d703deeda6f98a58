"""Radiance fields: the march through known fields, its gradients, its rays and draws, and how views are scored."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from posenc.encodings.gaussian import Gaussian
from posenc.encodings.none import NoEncoding
from posenc.encodings.positional import Positional
from posenc.plan.machine import points_of
from posenc.plan.registry import parts
from posenc.problems.radiance import RadianceField, composited, coordinates, seen_weights
from posenc.signals import scenes, tracer
from posenc.signals.tracer import Sphere
from posenc.training.checkpoints import Progress
from posenc.training.stack import fit_stack

Field = Callable[[Tensor], Tensor]  # places of the scene (n, 3) -> values (n, 4)


def arrays(size: int = 12, counts: tuple[int, int, int] = (3, 2, 2)) -> dict[str, Tensor]:
    drawn = scenes.drawn_views(0, size, counts)
    return {name: torch.from_numpy(np.asarray(values))[None] for name, values in drawn.items()}


def asked(field: Field) -> Callable[[Any], Tensor]:
    """A field in the place of a network: it is asked in the encodings' coordinates."""
    return lambda points: field(2 * math.pi * points)[None]


def coloured(densities: Tensor, colours: Tensor) -> Tensor:
    """Network values that stand for these densities and colours."""
    return torch.cat([torch.logit(colours, eps=1e-6), densities[..., None]], dim=-1)


# Rotated frequencies


def rotation_about(axis: int, degrees: float) -> np.ndarray:
    """The right-handed rotation matrix about a coordinate axis."""
    i, j = (axis + 1) % 3, (axis + 2) % 3
    matrix = np.eye(3)
    matrix[i, i] = matrix[j, j] = math.cos(math.radians(degrees))
    matrix[j, i] = math.sin(math.radians(degrees))
    matrix[i, j] = -matrix[j, i]
    return matrix


@pytest.mark.parametrize("variant", ["code", "table_2", "section_6"])
def test_rotated_frequencies_are_turned_about_z_and_then_about_x(variant: Any) -> None:
    plain, rotated = (Positional(3, sigma=4.0, features=60, variant=variant, rotated=turn) for turn in (False, True))
    turn = rotation_about(0, 45) @ rotation_about(2, 45)
    np.testing.assert_allclose(rotated.B, plain.B.numpy() @ turn.T, rtol=1e-6, atol=1e-6)
    # The same as turning the signal the other way: b' . v = b . (turn^T v)
    points = torch.rand(50, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    torch.testing.assert_close(rotated(points), plain(points @ torch.from_numpy(turn)), rtol=0, atol=1e-5)
    assert rotated.bandwidth() == pytest.approx(plain.bandwidth())


def test_rotated_frequencies_leave_the_axes_but_for_the_constant() -> None:
    rotated = Positional(3, sigma=4.0, features=60, rotated=True)
    assert ((rotated.B != 0).sum(dim=1)[1:10] > 1).all()
    assert rotated.axis_columns() is None
    assert Positional(3, sigma=4.0, features=60).axis_columns() is not None


def test_rotation_in_two_dimensions_is_one_turn_and_in_one_dimension_none() -> None:
    half = math.sqrt(0.5)
    plain, rotated = (Positional(2, sigma=4.0, features=40, rotated=turn).B for turn in (False, True))
    torch.testing.assert_close(rotated, plain @ torch.tensor([[half, -half], [half, half]]).T)
    assert torch.equal(Positional(1, sigma=4.0, rotated=True).B, Positional(1, sigma=4.0).B)


# Compositing


@given(seed=st.integers(0, 1000), samples=st.integers(1, 40), scale=st.floats(0.01, 100))
@settings(max_examples=50, deadline=None)
def test_weights_and_background_sum_to_one(seed: int, samples: int, scale: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    densities = scale * torch.rand(5, samples, generator=generator, dtype=torch.float64)
    depths = torch.rand(5, samples, generator=generator, dtype=torch.float64).sort(dim=1).values
    densities[0], densities[1, -1] = 0, 0
    weights, background = seen_weights(densities, depths)
    assert (weights >= 0).all() and (background >= 0).all()
    torch.testing.assert_close(weights.sum(dim=1) + background, torch.ones(5, dtype=torch.float64))
    assert background[0] == 1  # nothing is there
    if samples > 1:
        assert 0 < background[1] <= 1  # the endless last interval is empty
    assert (background[2:] == 0).all()  # and here it is not


def test_weights_are_those_of_the_recursion_sample_by_sample() -> None:
    generator = torch.Generator().manual_seed(0)
    densities = 3 * torch.rand(20, 9, generator=generator, dtype=torch.float64)
    depths = 2 + torch.rand(20, 9, generator=generator, dtype=torch.float64).cumsum(dim=1)
    weights, background = seen_weights(densities, depths)
    for ray in range(20):
        left = 1.0
        for sample in range(9):
            length = float(depths[ray, sample + 1] - depths[ray, sample]) if sample < 8 else 1e10
            alpha = 1 - math.exp(-float(densities[ray, sample]) * length)
            assert float(weights[ray, sample]) == pytest.approx(left * alpha, abs=1e-12)
            left *= 1 - alpha
        assert float(background[ray]) == pytest.approx(left, abs=1e-12)


@pytest.mark.parametrize("density", [0.1, 0.7, 3.0])
def test_a_slab_of_constant_density_lets_through_what_the_formula_says(density: float) -> None:
    depths = torch.linspace(2, 6, 801, dtype=torch.float64)[None]
    inside = (depths >= 3 - 1e-9) & (depths < 4.5 - 1e-9)
    values = coloured(density * inside.double(), torch.tensor([0.8, 0.3, 0.5]).double().expand(1, 801, 3))
    seen = composited(values, depths)
    opacity = 1 - math.exp(-density * 1.5)
    torch.testing.assert_close(seen[0, 0], opacity * torch.tensor([0.8, 0.3, 0.5]).double())


def test_a_ball_of_constant_density_lets_through_by_the_length_of_its_chords() -> None:
    density, radius, focal = 1.3, 0.8, 30.0
    pose = tracer.looking_at_origin(0.4, 0.6, 4.0)
    x = np.linspace(2.0, 18.0, 9)
    origins, directions = (
        torch.from_numpy(np.array(found)) for found in tracer.camera_rays(pose, focal, x, np.full(9, 9.0), 20)
    )
    depths = torch.linspace(2, 6, 4001, dtype=torch.float64).expand(9, -1)
    places = 2 * math.pi * coordinates(origins, directions, depths)
    inside = (places.norm(dim=1) < radius).double().unflatten(0, (9, -1))
    seen = composited(
        coloured(density * inside, torch.full((9, 4001, 3), 1 - 1e-9).double()).flatten(0, 1)[None], depths
    )
    # Depth runs along the camera's axis: half a chord is a root over the squared length of the direction.
    squared = directions.square().sum(dim=1)
    along = (origins * directions).sum(dim=1)
    half = (along.square() - squared * (16 - radius**2)).clamp(min=0).sqrt() / squared
    expected = 1 - torch.exp(-density * 2 * half)
    assert (expected == 0).any() and expected.max() > 0.7
    torch.testing.assert_close(seen[0, :, 0], expected, atol=2e-3, rtol=0)


def test_only_positive_densities_count_and_colours_pass_a_sigmoid() -> None:
    depths = torch.linspace(2, 6, 3)[None]
    values = torch.tensor([[[5.0, 0.0, -5.0, -1.0], [2.0, 0.0, -2.0, 1e4], [0.0, 0.0, 0.0, 1e4]]])
    torch.testing.assert_close(composited(values, depths)[0, 0], torch.tensor([2.0, 0.0, -2.0]).sigmoid())
    assert (composited(values - torch.tensor([0.0, 0.0, 0.0, 2e4]), depths) == 0).all()


def test_gradients_of_compositing_are_those_of_finite_differences() -> None:
    generator = torch.Generator().manual_seed(3)
    depths = 2 + torch.rand(4, 6, generator=generator, dtype=torch.float64).cumsum(dim=1)
    values = torch.randn(2, 24, 4, generator=generator, dtype=torch.float64)
    values[..., 3] += 0.05 * values[..., 3].sign()  # away from the ReLU's corner
    values.unflatten(1, (4, 6))[:, :, -1, 3] = -1.0  # and from the step of the endless interval
    values.requires_grad_()
    assert torch.autograd.gradcheck(lambda v: composited(v, depths), values)


def test_stacked_fields_are_composited_each_by_itself() -> None:
    generator = torch.Generator().manual_seed(3)
    depths, values = torch.linspace(2, 6, 5).expand(4, -1), torch.randn(3, 20, 4, generator=generator)
    for together, alone in zip(composited(values, depths), values, strict=True):
        torch.testing.assert_close(together, composited(alone[None], depths)[0])


# Rays


@pytest.mark.parametrize(("pixels", "offset"), [("corners", 0.0), ("centres", 0.5)])
def test_rays_are_those_of_the_camera_through_each_pixel(pixels: Any, offset: float) -> None:
    given_arrays = arrays(size=12)
    problem = RadianceField(given_arrays, seed=0, pixels=pixels)
    pixel = torch.tensor([5, 144 * 4 + 12 * 3 + 7, 144 * 6 + 143])  # view, row, column: 0 0 5, 4 3 7, 6 11 11
    origins, directions, colours = problem.look(pixel)
    for ray, (view, row, column) in enumerate([(0, 0, 5), (4, 3, 7), (6, 11, 11)]):
        pose = given_arrays["poses"][0, view].double().numpy()
        place = (np.array([float(column) + offset]), np.array([float(row) + offset]))
        expected = tracer.camera_rays(pose, float(given_arrays["focal"]), *place, 12)
        np.testing.assert_allclose(origins[ray], expected[0][0], rtol=1e-6)
        np.testing.assert_allclose(directions[ray], expected[1][0], atol=1e-6)
        np.testing.assert_allclose(colours[ray], given_arrays["images"][0, view, row, column] / 255)


@pytest.mark.parametrize(("pixels", "place"), [("corners", 6), ("centres", None)])
def test_the_ray_through_the_middle_meets_the_origin(pixels: Any, place: int | None) -> None:
    problem = RadianceField(arrays(size=12), seed=0, pixels=pixels)
    origins, directions, _ = problem.look(torch.arange(144))
    nearest = torch.linalg.cross(origins, directions).norm(dim=1) / directions.norm(dim=1)
    if place is None:  # between the middle four
        middle = [12 * row + column for row in (5, 6) for column in (5, 6)]
        assert sorted(nearest.argsort()[:4].tolist()) == middle
        torch.testing.assert_close(nearest[middle], nearest[middle][:1].expand(4), rtol=1e-3, atol=1e-6)
    else:
        assert int(nearest.argmin()) == 12 * place + place
        assert nearest.min() < 1e-5


def test_frequencies_are_in_radians_per_unit_of_the_scene() -> None:
    origins, directions = torch.zeros(1, 3), torch.tensor([[0.3, -0.2, 0.9]])
    asked_at = coordinates(origins, directions, torch.tensor([[2.0, 2.5]]))
    places = torch.tensor([[0.6, -0.4, 1.8], [0.75, -0.5, 2.25]])
    torch.testing.assert_close(NoEncoding(3, scale=2 * math.pi)(asked_at), places)
    # The authors' sin(b p), with b = 2^0 ... 2^8 along each axis: nine of them.
    original = Positional(3, sigma=8.0, features=54, variant="table_2")
    phases = (places[:, :, None] * 2.0 ** torch.arange(9)).flatten(1)
    expected = torch.cat([phases.sin(), phases.cos()], dim=1)
    torch.testing.assert_close(original(asked_at), expected, atol=2e-4, rtol=0)
    gaussian = Gaussian(3, sigma=26.0, features=8, generator=torch.Generator().manual_seed(0))
    frequencies = 26 * torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(gaussian(asked_at)[:, :4], (places @ frequencies.T).sin(), atol=1e-4, rtol=0)


# Steps


def test_a_step_asks_its_rays_at_one_depth_in_each_interval() -> None:
    problem = RadianceField(arrays(), seed=0, batch=10, samples=8, near=2.0, far=6.0)
    points = problem.inputs(1)
    assert points.shape == (80, 3)
    origins, directions, observed = problem.look(problem.order[:10])
    assert torch.equal(observed, problem.observed)
    places = 2 * math.pi * points.unflatten(0, (10, 8))
    depths = ((places - origins[:, None]) * directions[:, None]).sum(2) / directions.square().sum(1, keepdim=True)
    torch.testing.assert_close(depths, problem.drawn, atol=1e-5, rtol=0)
    share = (problem.drawn - torch.linspace(2, 6, 8)) / 0.5
    assert (share >= -1e-6).all() and (share < 1 + 1e-6).all()
    assert share.std() > 0.2  # drawn, not fixed


def test_the_same_seed_and_step_give_the_same_draw_whatever_came_before() -> None:
    first, resumed, other = (RadianceField(arrays(), seed=seed, batch=50, samples=4) for seed in (3, 3, 4))
    for step in range(1, 6):
        reached = first.inputs(step)
    assert torch.equal(resumed.inputs(5), reached)
    assert torch.equal(resumed.observed, first.observed)
    assert not torch.equal(other.inputs(5), reached)
    assert not torch.equal(first.inputs(6), reached)


def test_batches_run_through_all_training_pixels_and_then_again() -> None:
    problem = RadianceField(arrays(), seed=0, batch=100, samples=2)
    rays = 3 * 144  # of three training views
    seen = [problem.inputs(step) is not None and len(problem.observed) for step in range(1, 11)]
    assert seen == [100, 100, 100, 100, 32] * 2
    assert sorted(problem.order.tolist()) == list(range(rays))
    assert problem.order[:100].tolist() != list(range(100))
    # The second pass is in the first one's order.
    problem.inputs(2)
    second = problem.observed
    problem.inputs(7)
    assert torch.equal(problem.observed, second)


def test_loss_is_the_mean_squared_error_of_the_rays() -> None:
    problem = RadianceField(arrays(), seed=0, batch=20, samples=4)
    points = problem.inputs(1)
    empty = torch.zeros(2, len(points), 4)
    black, white = problem.observed.square().mean(), (problem.observed - 1).square().mean()
    white_wall = torch.full((2, len(points), 4), 1e4)
    torch.testing.assert_close(problem.loss(empty, 1), black.expand(2))
    torch.testing.assert_close(problem.loss(white_wall, 1), white.expand(2))


# Views


def ball_views(side: int, counts: tuple[int, int, int]) -> tuple[dict[str, Tensor], Sphere]:
    """Views of an opaque ball whose colour is its place, lit evenly."""
    ball = Sphere((0.1, 0.0, -0.1), 0.8, lambda points: 0.5 + 0.4 * points)
    poses = np.concatenate([scenes.cameras(count, phase=role) for role, count in enumerate(counts)])
    focal = 1.4 * side
    images = []
    for pose in poses:
        x, y = (axis.ravel() + 0.5 for axis in np.meshgrid(np.arange(side), np.arange(side)))
        origins, directions = tracer.camera_rays(pose, focal, x, y, side)
        depth = ball.hits(origins, directions)
        points = origins + np.where(np.isfinite(depth), depth, 0)[:, None] * directions
        colours = np.where(np.isfinite(depth)[:, None], ball.texture(points), 0)
        images.append(np.rint(255 * colours).astype(np.uint8).reshape(side, side, 3))
    found = scenes.scene_arrays(np.stack(images), poses, focal, counts)
    return {name: torch.from_numpy(np.asarray(values))[None] for name, values in found.items()}, ball


def test_an_opaque_ball_looks_like_the_ray_tracers() -> None:
    given_arrays, ball = ball_views(20, (1, 1, 2))
    problem = RadianceField(given_arrays, seed=0, samples=400, pixels="centres")

    def field(places: Tensor) -> Tensor:
        inside = (places - torch.tensor(ball.centre)).norm(dim=1) < ball.radius
        return coloured(1e4 * inside.float(), 0.5 + 0.4 * places.clamp(-1.2, 1.2))

    images = given_arrays["images"][0].float() / 255
    for view in range(4):
        rendered = problem.rendered(asked(field), view)[0]
        silhouette = (rendered.sum(dim=2) > 0) != (images[view].sum(dim=2) > 0)
        assert silhouette.float().mean() < 0.02  # rays that graze the ball for less than an interval
        difference = (rendered - images[view])[~silhouette].abs()
        assert difference.max() < 0.02  # an interval is 0.01 deep
        assert rendered.max() > 0.6
    scored = {(score.set, score.item): float(score.values) for score in problem.scores(asked(field), True)}
    assert set(scored) == {("tuning", "view_00"), ("report", "view_00"), ("report", "view_01")}
    assert min(scored.values()) > 20
    # Half a pixel off is seen: the corners' rays miss.
    off = RadianceField(given_arrays, seed=0, samples=400, pixels="corners")
    scored_off = [float(score.values) for score in off.scores(asked(field), True)]
    assert np.mean(scored_off) < np.mean(list(scored.values())) - 3


def test_scores_are_of_views_that_were_not_trained_on() -> None:
    given_arrays = arrays(counts=(3, 2, 4))
    problem = RadianceField(given_arrays, seed=0, samples=4)
    nothing = asked(lambda places: torch.zeros(len(places), 4))
    during = list(problem.scores(nothing, False))
    assert [(score.metric, score.split, score.set, score.item) for score in during] == [
        ("psnr", "test", "tuning", "view_00")
    ]
    last = list(problem.scores(nothing, True))
    assert [(score.set, score.item) for score in last] == [
        *(("tuning", f"view_{view:02d}") for view in range(2)),
        *(("report", f"view_{view:02d}") for view in range(4)),
    ]
    assert torch.equal(last[0].values, during[0].values)
    for score, view in zip(last, (3, 4, 5, 6, 7, 8), strict=True):  # black everywhere
        error = np.square(given_arrays["images"][0, view].numpy() / 255).mean()
        assert float(score.values) == pytest.approx(-10 * math.log10(error), rel=1e-6)


def test_what_is_shown_are_the_report_views_as_they_were_scored() -> None:
    def field(places: Tensor) -> Tensor:
        return coloured(5 * (places.norm(dim=1) < 1).float(), (0.5 + 0.4 * places).clamp(0, 1))

    problem, again = (RadianceField(arrays(), seed=0, samples=6) for _ in range(2))
    asked_for = []

    def counted(points: Any) -> Tensor:
        asked_for.append(len(points))
        return asked(field)(points)

    scored = list(problem.scores(counted, True))
    assert len(scored) == 4
    asked_for.clear()
    shown = problem.shown(counted)[""]
    assert asked_for == []  # rendered already
    assert shown.shape == (1, 2, 12, 12, 3) and shown.dtype == torch.float16
    torch.testing.assert_close(shown[:, 1], problem.rendered(asked(field), 6).half())
    assert torch.equal(again.shown(asked(field))[""], shown)  # without a score before


def test_a_view_is_rendered_in_pieces_without_seams(monkeypatch: pytest.MonkeyPatch) -> None:
    def field(places: Tensor) -> Tensor:
        return coloured(5 * (places.norm(dim=1) < 1).float(), (0.5 + 0.4 * places).clamp(0, 1))

    problem = RadianceField(arrays(), seed=0, samples=6)
    whole = problem.rendered(asked(field), 2)
    monkeypatch.setattr("posenc.problems.radiance._POINTS_AT_ONCE", 50)
    torch.testing.assert_close(problem.rendered(asked(field), 2), whole)


# A fit


def test_a_short_fit_learns_where_the_ball_is() -> None:
    given_arrays, _ = ball_views(12, (20, 1, 2))
    combination = {
        "members": [{"use": "posenc.encodings.gaussian:Gaussian", "sigma": 2.0, "features": 32}],
        "network": {"use": "posenc.networks.mlp:MLP", "depth": 3, "width": 32},
        "problem": {
            "use": "posenc.problems.radiance:RadianceField", "batch": 64, "samples": 16, "pixels": "centres",
        },
        "training": {"steps": 150, "learning_rate": 5e-3, "log_every": 50},
        "seed": 1,
    }  # fmt: skip
    rows = [{"name": "ball", "set": "report"}]
    found = fit_stack(combination, 0, given_arrays, rows, "float32", Progress())
    scored = {(row["step"], row["set"], row["item"]): row["value"] for row in found.values if row["metric"] == "psnr"}
    assert {key[0] for key in scored} == {1, 51, 101, 150}
    assert [key[1:] for key in scored if key[0] == 150] == [
        ("tuning", "view_00"), ("report", "view_00"), ("report", "view_01"),
    ]  # fmt: skip
    black = -10 * math.log10(float((given_arrays["images"][0, 21:].float() / 255).square().mean()))
    assert scored[150, "report", "view_00"] > black + 5
    assert found.predictions["ball"].shape == (2, 12, 12, 3)
    assert {row["status"] for row in found.values} == {"ok"}


def test_the_planner_counts_the_samples_of_a_batch_of_rays() -> None:
    part = parts("problems")["radiance"]
    assert set(part.parameters) == {"batch", "samples", "near", "far", "pixels"}  # the seed is the fit's
    assert points_of(part, {name: found.default for name, found in part.parameters.items()}, 400) == (1024 * 128,) * 2
