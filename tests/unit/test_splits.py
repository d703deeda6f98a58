"""Which samples problems on grids observe and score: of rows, pictures and clips."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from posenc.problems.grid import Grid
from posenc.problems.image import ImageRegression
from posenc.problems.row import RowRegression
from posenc.problems.video import VideoRegression
from posenc.training.checkpoints import Progress
from posenc.training.stack import fit_stack

Problem = Any
SIGNALS = 2


def drawn(*shape: int) -> Tensor:
    return torch.rand(SIGNALS, *shape, generator=torch.Generator().manual_seed(0))


def row(count: int = 24, **parameters: Any) -> tuple[Problem, Tensor]:
    values = drawn(count, 1)
    return RowRegression({"values": values[..., 0]}, **parameters), values


def image(height: int = 6, width: int = 8, **parameters: Any) -> tuple[Problem, Tensor]:
    values = drawn(height, width, 3)
    return ImageRegression({"values": values}, output_activation="linear", **parameters), values


def video(**parameters: Any) -> tuple[Problem, Tensor]:
    values = drawn(4, 6, 8, 3)
    return VideoRegression({"values": values}, **parameters), values


MADE: dict[str, Callable[[], tuple[Problem, Tensor]]] = {
    "row": lambda: row(),
    "row, stride 6": lambda: row(stride=6),
    "row, stride 10": lambda: row(stride=10),  # does not divide 24
    "image": lambda: image(),
    "image, rest": lambda: image(test="rest"),
    "image of odd sides, rest": lambda: image(5, 7, test="rest"),
    "image, random": lambda: image(sampling="random", seed=3),
    "video": lambda: video(),
    "video, random": lambda: video(sampling="random", seed=3),
}
# How many points train and test, written out by hand.
COUNTS = {
    "row": (12, 12),
    "row, stride 6": (4, 4),
    "row, stride 10": (3, 2),
    "image": (12, 12),
    "image, rest": (12, 36),
    "image of odd sides, rest": (12, 23),
    "image, random": (12, 36),
    "video": (24, 168),
    "video, random": (24, 168),
}


def indices(where: Grid | Tensor, values: Tensor) -> Tensor:
    """The places `(n,)` of points among all samples, stored in order; a point off the samples is an error."""
    points = where.points() if isinstance(where, Grid) else where
    lengths = torch.tensor(list(reversed(values.shape[1:-1])))
    scaled = points * lengths
    assert torch.allclose(scaled, scaled.round(), atol=1e-4) and (scaled.round() < lengths).all()
    place = torch.zeros(len(points), dtype=torch.long)
    for axis in reversed(range(len(lengths))):  # the first axis runs fastest
        place = place * lengths[axis] + scaled[:, axis].round().long()
    return place


def answering(values: Tensor) -> Callable[[Grid | Tensor], Tensor]:
    """A prediction that gives these samples wherever it is asked."""
    flat = values.flatten(1, -2)
    return lambda where: flat[:, indices(where, values)]


def scored(problem: Problem, values: Tensor) -> dict[str, Tensor]:
    found = list(problem.scores(answering(values), last=True))
    assert {(score.metric, score.item, score.set) for score in found} == {("psnr", "", "")}
    return {score.split: score.values for score in found}


def members(problem: Problem, values: Tensor) -> dict[str, set[int]]:
    """The samples of each split, found by spoiling one after the other and looking which scores drop."""
    found: dict[str, set[int]] = {"train": set(), "test": set(), "all": set()}
    for place in range(math.prod(values.shape[1:-1])):
        spoilt = values.clone()
        spoilt.flatten(1, -2)[:, place] += 0.1
        for split, psnr in scored(problem, spoilt).items():
            if psnr.isfinite().all():
                found[split].add(place)
    return found


def every_second(values: Tensor, first: int = 0) -> set[int]:
    numbers = torch.arange(math.prod(values.shape[1:-1])).reshape(values.shape[1:-1])
    return set(numbers[(slice(first, None, 2),) * numbers.ndim].flatten().tolist())


@pytest.mark.parametrize("name", MADE)
def test_the_engine_is_told_the_true_values_where_it_is_to_ask(name: str) -> None:
    problem, values = MADE[name]()
    assert problem.fixed and problem.inputs(0) is problem.inputs(5)
    targets = problem.targets()
    assert targets.shape == (SIGNALS, len(problem.inputs(0)), values.shape[-1])
    assert torch.equal(targets, answering(values)(problem.inputs(0)))
    assert (problem.channels, problem.dimensions) == (values.shape[-1], values.ndim - 2)


@pytest.mark.parametrize("name", MADE)
def test_splits_are_of_the_size_they_should_be_and_share_nothing(name: str) -> None:
    problem, values = MADE[name]()
    found = members(problem, values)
    assert (len(found["train"]), len(found["test"])) == COUNTS[name]
    assert found["train"].isdisjoint(found["test"])
    assert found["all"] == set(range(math.prod(values.shape[1:-1])))
    assert found["train"] == set(indices(problem.inputs(0), values).tolist())
    if "rest" in name or "random" in name or "video" in name:
        assert found["train"] | found["test"] == found["all"]


@pytest.mark.parametrize("name", MADE)
def test_every_score_is_the_psnr_of_its_split_alone(name: str) -> None:
    problem, values = MADE[name]()
    found = members(problem, values)
    spoilt = values.clone()
    for split, error in (("train", 0.1), ("test", 0.2)):
        spoilt.flatten(1, -2)[:, sorted(found[split])] += error
    psnr = scored(problem, spoilt)
    # One error for all points of a split: -20 log10 of it.
    assert psnr["train"].tolist() == pytest.approx([20.0] * SIGNALS, abs=1e-4)
    assert psnr["test"].tolist() == pytest.approx([-20 * math.log10(0.2)] * SIGNALS, abs=1e-4)
    squares = (0.01 * len(found["train"]) + 0.04 * len(found["test"])) / len(found["all"])
    assert psnr["all"].tolist() == pytest.approx([-10 * math.log10(squares)] * SIGNALS, abs=1e-4)


@pytest.mark.parametrize("name", MADE)
def test_all_is_scored_at_the_end_only_and_the_choice_is_by_what_is_scored_before(name: str) -> None:
    problem, values = MADE[name]()
    before = [(score.metric, score.split) for score in problem.scores(answering(values), last=False)]
    assert before == [("psnr", "train"), ("psnr", "test")]
    assert problem.chosen_by == ("psnr", "test")


def test_a_row_is_tested_halfway_between_its_training_points() -> None:
    for stride in (2, 4, 6, 16):
        problem, values = row(64, stride=stride)
        found = members(problem, values)
        assert found["train"] == set(range(0, 64, stride))
        assert found["test"] == set(range(stride // 2, 64, stride))


@pytest.mark.parametrize(
    ("stride", "train", "test"),
    [
        (2, 256, 256), (4, 128, 128), (6, 86, 85), (8, 64, 64), (12, 43, 43), (16, 32, 32), (22, 24, 23), (32, 16, 16),
    ],
)  # fmt: skip
def test_the_paper_s_steps_leave_its_numbers_of_points(stride: int, train: int, test: int) -> None:
    """Rethinking Positional Encoding's notebooks: all[::2s] and all[s::2s] of 512, s in 1, 2, 3, 4, 6, 8, 11, 16."""
    problem, _ = row(512, stride=stride)
    assert (len(problem.splits["train"].where), len(problem.splits["test"].where)) == (train, test)


def test_pictures_and_clips_are_observed_at_every_second_sample() -> None:
    for name in ("image", "image, rest", "image of odd sides, rest", "video"):
        problem, values = MADE[name]()
        assert members(problem, values)["train"] == every_second(values)
    problem, values = MADE["image"]()
    assert members(problem, values)["test"] == every_second(values, first=1)


@pytest.mark.parametrize("made", [image, video])
def test_random_samples_are_the_seed_s_and_the_same_for_all_signals(made: Any) -> None:
    observed = {
        seed: set(indices(made(sampling="random", seed=seed)[0].inputs(0), made()[1]).tolist()) for seed in (0, 1, 2)
    }
    again, values = made(sampling="random", seed=1)
    assert set(indices(again.inputs(0), values).tolist()) == observed[1]
    assert len({frozenset(places) for places in observed.values()}) == 3
    assert observed[0] != every_second(values)
    assert isinstance(again.inputs(0), Tensor)


def test_random_samples_lie_evenly_on_average() -> None:
    """Every pixel is as likely as any other: counts over 400 seeds are binomial, at most 5 deviations off."""
    seeds, values = 400, drawn(6, 8, 3)
    counts = torch.zeros(48)
    for seed in range(seeds):
        counts[indices(image(sampling="random", seed=seed)[0].inputs(0), values)] += 1
    assert counts.sum() == seeds * 12
    deviation = math.sqrt(seeds * 0.25 * 0.75)
    assert (counts - seeds / 4).abs().max() < 5 * deviation
    assert (counts - seeds / 4).std() > 0.5 * deviation  # not in turn


def test_the_rest_needs_no_scattered_points_where_the_observed_samples_are_a_grid() -> None:
    """Grids are what networks factor over; the rest is picked from the answers on the whole grid."""
    for problem, values in (image(test="rest"), video()):
        asked: list[Grid | Tensor] = []
        answer = answering(values)

        def ask(where: Grid | Tensor, asked: list[Any] = asked, answer: Any = answer) -> Tensor:
            asked.append(where)
            return answer(where)  # type: ignore[no-any-return]

        list(problem.scores(ask, last=True))
        assert all(isinstance(where, Grid) for where in asked)
        # The engine answers the same grid once: `test` and `all` must ask for the same one.
        assert len({id(where) for where in asked}) == 2


@pytest.mark.parametrize("name", [name for name in MADE if "video" not in name])
def test_shown_is_what_is_predicted_everywhere(name: str) -> None:
    problem, values = MADE[name]()
    ((key, kept),) = problem.shown(answering(values)).items()
    assert key == ""
    expected = values[..., 0] if "row" in name else values.half()
    assert torch.equal(kept, expected)


@pytest.mark.parametrize("name", ["video", "video, random"])
def test_of_a_clip_one_frame_is_kept_beside_the_true_one(name: str) -> None:
    problem, values = MADE[name]()
    other = drawn(4, 6, 8, 3).flip(1)
    kept = problem.shown(answering(other))
    assert list(kept) == ["", "true"]
    assert torch.equal(kept[""], other[:, 3].half()) and torch.equal(kept["true"], values[:, 3].half())
    if name == "video":  # nothing of the frame is observed
        frame = set(range(3 * 48, 4 * 48))
        assert frame.isdisjoint(members(problem, values)["train"])


@pytest.mark.parametrize(("frames", "number"), [(2, 1), (3, 1), (8, 5), (9, 5), (32, 17)])
def test_the_frame_is_one_of_the_clip_s_with_an_odd_number(frames: int, number: int) -> None:
    values = drawn(frames, 2, 2, 3)
    problem = VideoRegression({"values": values})
    assert torch.equal(problem.shown(answering(values))["true"], values[:, number].half())


@pytest.mark.parametrize("name", ["row", "video"])
def test_the_loss_is_the_mean_squared_error_of_each_signal(name: str) -> None:
    problem, _ = MADE[name]()
    shown = problem.targets() + torch.tensor([0.1, 0.3])[:, None, None]
    torch.testing.assert_close(problem.loss(shown, 1), torch.tensor([0.01, 0.09]))


def test_bytes_are_taken_to_one() -> None:
    stored = (255 * drawn(4, 4, 4, 3)).round().to(torch.uint8)
    assert torch.equal(VideoRegression({"values": stored}).splits["all"].targets, stored.flatten(1, 3).float() / 255)


def test_output_and_targets_of_a_picture_go_together() -> None:
    values = {"values": drawn(4, 4, 3)}
    assert ImageRegression(values, output_activation="linear").targets().shape == (SIGNALS, 4, 3)
    with pytest.raises(ValueError, match="closed form needs output_activation linear, not sigmoid"):
        ImageRegression(values).targets()
    assert RowRegression.output == VideoRegression.output == "linear"


# PSNR at its ends


def test_a_constant_signal_has_a_psnr_like_any_other() -> None:
    """The peak is 1, not the signal's range: infinite is an exact fit alone."""
    problem = RowRegression({"values": torch.full((SIGNALS, 8), 0.5)})
    assert scored(problem, torch.full((SIGNALS, 8, 1), 0.25))["test"].tolist() == pytest.approx([12.0412] * 2)
    exact = scored(problem, torch.full((SIGNALS, 8, 1), 0.5))
    assert all((psnr == math.inf).all() for psnr in exact.values())


def test_zero_for_white_noise_is_about_zero_decibels() -> None:
    noise = torch.randn(SIGNALS, 4096, generator=torch.Generator().manual_seed(0))
    found = scored(RowRegression({"values": noise}), torch.zeros(SIGNALS, 4096, 1))
    # The mean of 2048 squares has a deviation of sqrt(2 / 2048), which is 0.14 dB; five of them.
    assert all((psnr.abs() < 5 * 0.14).all() for psnr in found.values())


# Bad input


@pytest.mark.parametrize(
    ("shape", "parameters", "told"),
    [
        ((2, 24), {"stride": 3}, "row: stride 3 must be even"),
        ((2, 24), {"stride": 0}, "row: stride 0 must be even"),
        ((2, 24), {"stride": 24}, "row: stride 24 leaves one of 24 points to train on; it must be below 24"),
        ((2, 24), {"stride": 100}, "it must be below 24"),
        ((2, 2), {}, "row: stride 2 leaves one of 2 points"),
        ((2, 24, 1), {}, r"row: values of shape \(2, 24, 1\), expected \(signals, points\)"),
        ((24,), {}, r"row: values of shape \(24,\), expected"),
    ],
)
def test_rows_that_cannot_be_learnt_from(shape: tuple[int, ...], parameters: dict[str, int], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        RowRegression({"values": torch.zeros(shape)}, **parameters)


@pytest.mark.parametrize("shape", [(2, 4, 4, 3), (2, 4, 4, 4, 1), (2, 1, 4, 4, 3), (2, 4, 4, 1, 3)])
def test_clips_of_a_wrong_shape(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"expected \(signals, frames, height, width, 3\)"):
        VideoRegression({"values": torch.zeros(shape)})


# In the engine


GAUSSIAN = {"use": "posenc.encodings.gaussian:Gaussian", "sigma": 2.0, "features": 32}


@pytest.mark.parametrize(
    ("use", "parameters", "shape"),
    [
        ("row:RowRegression", {"stride": 4}, (32,)),
        ("image:ImageRegression", {"test": "rest", "output_activation": "linear"}, (8, 8, 3)),
        ("image:ImageRegression", {"sampling": "random"}, (8, 8, 3)),
        ("video:VideoRegression", {}, (4, 4, 4, 3)),
        ("video:VideoRegression", {"sampling": "random"}, (4, 4, 4, 3)),
    ],
)
def test_a_fit_learns_what_is_observed_and_its_records_are_of_what_it_shows(
    use: str, parameters: dict[str, Any], shape: tuple[int, ...]
) -> None:
    spec = {
        "members": [GAUSSIAN],
        "network": {"use": "posenc.networks.mlp:MLP", "depth": 3, "width": 64},
        "problem": {"use": f"posenc.problems.{use}", **parameters},
        "training": {"steps": 400, "learning_rate": 1e-2, "log_every": 25},
        "seed": 1,
    }
    values = drawn(*shape)
    rows = [{"name": name, "set": "report"} for name in "ab"]
    fitted = fit_stack(spec, 0, {"values": values}, rows, "float32", Progress())
    psnr = {
        (row["signal"], row["split"], row["step"]): row["value"] for row in fitted.values if row["metric"] == "psnr"
    }
    for index, name in enumerate("ab"):
        # Few points, many weights: noise is learnt by heart, and nothing is known of what lies between.
        assert psnr[name, "train", 400] > 40 > 20 > psnr[name, "test", 400]
        assert psnr[name, "train", 1] < 20
        if "video" not in use:
            error = (fitted.predictions[name].double() - values[index].double()).square().mean()
            # Pictures are kept in half precision: about 3 digits of each value, far below errors of 0.3.
            assert psnr[name, "all", 400] == pytest.approx(float(-10 * error.log10()), abs=1e-2)
    assert bool(fitted.weights) == ("row" not in use)  # of thousands of fits on rows they would fill the disk
