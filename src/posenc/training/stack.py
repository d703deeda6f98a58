"""Fits side by side: one network per signal, each trained and scored on its own signal."""

import copy
import importlib
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from posenc.encodings.base import Encoding
from posenc.encodings.per_axis import PerAxis
from posenc.networks.inputs import Blend, Features
from posenc.problems.grid import Grid
from posenc.problems.score import Predict
from posenc.training.adam import Adam
from posenc.training.checkpoints import Progress
from posenc.training.least_squares import LeastSquares, solved
from posenc.training.loop import (
    POINTS_PER_SLAB,
    Differentiable,
    Optimizer,
    Schedule,
    encode,
    lowered,
    predict,
    train,
    train_by_gradients,
)
from posenc.training.ranks import layer_ranks
from posenc.training.sgd import SGD
from posenc.training.values import Fitted, Records

NOT_OF_ENCODING = ("seed", "problem", "network")  # what a member has beside its encoding
OPTIMIZERS: dict[str, Callable[..., Optimizer]] = {"adam": Adam, "sgd": SGD, "least_squares": LeastSquares}


def fit_stack(
    combination: Mapping[str, Any],
    member: int,
    arrays: Mapping[str, Tensor],
    rows: list[dict[str, str]],
    precision: str,
    progress: Progress,
    theory: Mapping[str, Tensor] | None = None,
) -> Fitted:
    """Fit some signals side by side, from where an earlier process left them if it did.

    member: which of the combination's. arrays: those of the signals, `(signals, ...)`, on the device. theory: what a
    theory study found, for encodings that are made from it.
    """
    device = next(iter(arrays.values())).device
    settings = combination["training"]
    generator = draws(combination, member)
    problem = build(problem_of(combination, member), arrays, seed=seed_of(combination, member))
    encoding = encoding_of(combination, member, problem.dimensions, generator, theory).to(device)
    network = network_of(combination, member, encoding, problem, len(rows), generator).to(device)
    # What is saved to go on from after a kill: of a problem, what it gathers on the way.
    model = nn.ModuleDict({"encoding": encoding, "network": network, **gathering(problem)})
    schedule = Schedule(
        settings["steps"], settings["learning_rate"], settings["log_every"], settings.get("decay_steps")
    )
    optimizer = optimizer_of(settings, model.parameters())
    records = Records(rows, member)

    ask = asking(network, encoding, problem, device)
    shown = {f"start{slash(name)}": kept for name, kept in problem.shown(ask).items()} if keeps_start(problem) else {}
    done = progress.resume(model, optimizer, records)
    steps = range(done + 1, schedule.steps + 1)
    if isinstance(optimizer, LeastSquares):
        updates = solved(network, encode(encoding, problem.inputs(0), device), problem) if steps else iter(())
    elif by_itself := own_gradients(network, encoding, problem, precision, device):
        updates = train_by_gradients(by_itself, optimizer, schedule, steps)
    else:
        values_at = network_at(problem, encoding, network, precision, device)
        updates = train(values_at, problem.loss, optimizer, schedule, steps, precision, device)
    final = remembered(ask)  # what is scored at the end is shown, too
    for step, losses in updates:
        if schedule.is_logged(step):
            last = step == schedule.steps
            records.add("loss", "train", step, losses())
            for score in problem.scores(final if last else ask, last):
                records.add(score.metric, score.split, step, score.values, score.item, score.set)
            if (drift := encoding.drift()) is not None:
                records.add("drift", "encoding", step, drift.expand(len(rows)))
            if ranks_layers(problem):
                for item, ranks in layer_ranks(encoding, network, problem.inputs(step), device):
                    records.add("stable_rank", "train", step, ranks.expand(len(rows)), item)
            records.report(step, schedule.steps)
        progress.offer(model, optimizer, records, step)

    shown |= problem.shown(final)
    return Fitted(
        records.values,
        {
            f"{row['name']}{slash(name)}": kept[i].cpu()
            for i, row in enumerate(rows)
            if row["set"] == "report"
            for name, kept in shown.items()
        },
        {
            f"{row['name']}.{name}": tensor.cpu()
            for i, row in enumerate(rows)
            for name, tensor in (network.state_of(i) | trained_state(encoding)).items()  # type: ignore[operator]
            if keeps_weights(problem)
        },
    ).of_member(member, len(combination["members"]))


def optimizer_of(settings: Mapping[str, Any], parameters: Iterable[nn.Parameter]) -> Optimizer:
    """What a training asks for."""
    kind, decay = settings.get("optimizer", "adam"), settings.get("weight_decay")
    return OPTIMIZERS[kind](parameters, weight_decay=decay) if decay else OPTIMIZERS[kind](parameters)


def network_at(
    problem: Any, encoding: Encoding, network: nn.Module, precision: str, device: torch.device
) -> Callable[[int], Tensor]:
    """Values of the networks at the places of a step. Features that stay the same are computed once."""

    def features_at(step: int) -> Any:
        return lowered(encode(encoding, problem.inputs(step), device, getattr(network, "grid", 0)), precision)

    if problem.fixed and not is_trained(encoding):
        features = features_at(0)
        return lambda step: network(features)
    return lambda step: network(features_at(step))


def own_gradients(
    network: Any, encoding: Encoding, problem: Any, precision: str, device: torch.device
) -> Differentiable | None:
    """The loss of networks that know its gradients by themselves."""
    knows = hasattr(network, "squared_errors") and fits_squares(problem)
    if not knows or is_trained(encoding) or precision != "float32":
        return None
    loss: Differentiable = network.squared_errors(encode(encoding, problem.inputs(0), device), problem.targets())
    return loss


def asking(network: nn.Module, encoding: Encoding, problem: Any, device: torch.device) -> Predict:
    """Asks the networks. Those that learn from blended points are asked at blended points, on a grid, too.

    The features of a problem's splits, which it asks about again and again, are kept where they are small and fixed.
    """
    blends = isinstance(encoding, PerAxis) and isinstance(problem.inputs(1), Tensor)
    keeps = problem.fixed and not is_trained(encoding)
    splits = [split.where for split in problem.splits.values()] if keeps and hasattr(problem, "splits") else []
    kept: dict[int, Features | Blend] = {}

    def places_of(where: Grid | Tensor) -> Grid | Tensor:
        return where.points() if blends and isinstance(where, Grid) else where

    @torch.no_grad()
    def ask(where: Grid | Tensor) -> Tensor:
        if not any(where is split for split in splits) or not is_small(len(where), encoding.out_dim):
            return predict(network, encoding, places_of(where), device)
        if id(where) not in kept:
            kept[id(where)] = encode(encoding, places_of(where), device, getattr(network, "grid", 0))
        values: Tensor = network(kept[id(where)])
        return values

    return ask


def is_small(points: int, features: int) -> bool:
    """Whether features of so many points may be kept: 16 MiB at most, and no more points than are asked at once."""
    return points <= POINTS_PER_SLAB and points * features <= 1 << 22


def remembered(ask: Callable[[Grid | Tensor], Tensor]) -> Callable[[Grid | Tensor], Tensor]:
    """Asks about the same grid only once."""
    answers: dict[int, Tensor] = {}

    def asked(where: Grid | Tensor) -> Tensor:
        if isinstance(where, Tensor):
            return ask(where)
        if id(where) not in answers:
            answers[id(where)] = ask(where)
        return answers[id(where)]

    return asked


def keeps_start(problem: Any) -> bool:
    """Whether what the networks give before the first update is kept, too."""
    return getattr(problem, "keeps_start", False)


def ranks_layers(problem: Any) -> bool:
    """Whether the stable ranks of the features and of the hidden layers are recorded."""
    return getattr(problem, "layer_ranks", False)


def fits_squares(problem: Any) -> bool:
    """Whether the loss is the mean squared error of `targets()` at the same points of one axis at every step."""
    return getattr(problem, "fits_squares", False)


def keeps_weights(problem: Any) -> bool:
    """Whether the trained weights are kept: of very many fits that nobody asks again they would fill the disk."""
    return getattr(problem, "keeps_weights", True)


def gathering(problem: Any) -> dict[str, nn.Module]:
    """The problem, if it has a state that grows while it is scored."""
    return {"problem": problem} if isinstance(problem, nn.Module) else {}


def is_trained(encoding: Encoding) -> bool:
    """Whether the encoding has parameters that are trained with the weights."""
    return next(encoding.parameters(), None) is not None


def trained_state(encoding: Encoding) -> dict[str, Tensor]:
    return {f"encoding.{name}": parameter.detach().clone() for name, parameter in encoding.named_parameters()}


def slash(name: str) -> str:
    return f"/{name}" if name else ""


def seed_of(combination: Mapping[str, Any], member: int) -> int:
    """A member's seed: the combination's, if it has none for itself."""
    seed: int = combination["members"][member].get("seed", combination.get("seed"))
    return seed


def draws(combination: Mapping[str, Any], member: int) -> torch.Generator:
    """Where a fit's random numbers come from: on the CPU, so that every device starts from the same; encoding first."""
    return torch.Generator().manual_seed(seed_of(combination, member))


def problem_of(combination: Mapping[str, Any], member: int) -> dict[str, Any]:
    """A member's problem: the combination's, but for the parameters that the member has for itself."""
    return {**combination["problem"], **combination["members"][member].get("problem", {})}


def architecture_of(combination: Mapping[str, Any], member: int) -> dict[str, Any]:
    """A member's network: the combination's, but for the parameters that the member has for itself."""
    return {**combination["network"], **combination["members"][member].get("network", {})}


def encoding_of(
    combination: Mapping[str, Any],
    member: int,
    dimensions: int,
    generator: torch.Generator,
    theory: Mapping[str, Tensor] | None,
) -> Encoding:
    """A member's encoding; for a network that takes the axes apart, the same of one coordinate on every axis.

    The same draw, too: the authors of Kronecker codes give every axis one encoding (Zheng et al. 2022, code).
    """
    part = {name: value for name, value in combination["members"][member].items() if name not in NOT_OF_ENCODING}
    if not getattr(load_class(combination["network"]), "each_axis", False):
        encoding: Encoding = build(part, dimensions, generator=generator, theory=theory)
        return encoding
    along = build(part, 1, generator=generator, theory=theory)
    return PerAxis([copy.deepcopy(along) for _ in range(dimensions)])


def network_of(
    combination: Mapping[str, Any],
    member: int,
    encoding: Encoding,
    problem: Any,
    stack: int,
    generator: torch.Generator,
) -> nn.Module:
    """A member's networks, so many side by side."""
    about = {"output": problem.output, "stack": stack, "generator": generator}
    if isinstance(encoding, PerAxis):
        about["axis_widths"] = [along.out_dim for along in encoding.encodings]
    network: nn.Module = build(architecture_of(combination, member), encoding.out_dim, problem.channels, **about)
    return network


def load_class(part: Mapping[str, Any]) -> Any:
    """The class that a part of a combination names as `module:class`."""
    module, name = part["use"].split(":")
    return getattr(importlib.import_module(module), name)


def build(part: Mapping[str, Any], *given: Any, **offered: Any) -> Any:
    """A problem, encoding or network from its part of the combination; of what is offered it gets what it asks for."""
    cls = load_class(part)
    accepted = inspect.signature(cls).parameters
    parameters = {name: value for name, value in part.items() if name != "use"}
    return cls(*given, **parameters, **{name: value for name, value in offered.items() if name in accepted})
