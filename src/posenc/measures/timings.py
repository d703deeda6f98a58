"""How long fits take: several methods side by side in one process (Zheng et al. 2022, times in their Colab)."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from posenc.encodings.base import Encoding
from posenc.theory.study import Found, Inputs
from posenc.training.least_squares import LeastSquares, solved
from posenc.training.loop import Schedule, encode, train
from posenc.training.stack import (
    architecture_of,
    build,
    draws,
    encoding_of,
    load_class,
    network_at,
    network_of,
    optimizer_of,
    problem_of,
    seed_of,
)

Spec = Mapping[str, Any]  # of a combination
CPU = torch.device("cpu")
UNENDING = range(1, 1 << 40)  # more updates than there is time for
BASELINE = "simple"


class Times(NamedTuple):
    """Seconds of a fit of one signal."""

    preparing: float  # features and first weights
    update: float  # one update, or the solution in closed form
    steps: int

    @property
    def whole(self) -> float:
        return self.preparing + self.steps * self.update


def timings(inputs: Inputs) -> Found:
    """Seconds of whole fits, and how many times less than those of the method `simple` they are.

    Fits are those that the run's preset plans, of one signal, on one thread of the CPU, as the workflow fits there; all
    methods of a task take the signal of `simple` and the same number of updates.
    Updates take equally long, so that only a few are made; the solution in closed form is made whole, several times.
    Not counted are reading the signal, scoring, and Python's start.

    Parameters: `steps`, the number of updates of a whole fit; `tasks`, by name the methods, each with `experiment` and
    `encoding`, and whether it takes the `deepest` of its networks or the shallowest; `rounds`; `updates` and `seconds`:
    of each fit in each round at least so many updates, and for so long. In every round all methods take their turn, so
    that what slows the machine for a while slows them alike; a round before the first is not counted. What is not
    planned is left out, and with `simple` the whole task. Rows: metrics `seconds`, `seconds_per_update` and `speed_up`;
    a round stands as `signal` and `source`, for it is what is repeated, a task as `condition`, a method as `item`.
    """
    asked = inputs.parameters
    rows: list[dict[str, Any]] = []
    with one_thread():
        for task, methods in asked["tasks"].items():
            found = {name: planned_fit(inputs.plans[about["experiment"]], about) for name, about in methods.items()}
            fits = {name: spec for name, spec in found.items() if spec is not None}
            if BASELINE not in fits:
                continue
            arrays = first_signal(inputs, methods[BASELINE]["experiment"])
            for number in range(asked["rounds"] + 1):
                times = {
                    name: time_fit(spec, arrays, asked["steps"], asked["updates"], asked["seconds"])
                    for name, spec in fits.items()
                }
                if number:
                    about = {"signal": f"round {number}", "source": f"round {number}", "condition": task}
                    rows += [about | {"encoding": methods[row["item"]]["encoding"]} | row for row in rows_of(times)]
    return Found(rows)


@contextmanager
def one_thread() -> Iterator[None]:
    """Torch on one core, as a fit's job runs."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def planned_fit(plans: Sequence[Spec], method: Mapping[str, Any]) -> Spec | None:
    """Of an experiment's combinations the method's, of one member, or None where its encoding is not among them."""
    found = [
        {**spec, "members": [member]}
        for spec in plans
        for member in spec["members"]
        if load_class(member).name == method["encoding"]
    ]
    if not found:
        return None
    return (max if method["deepest"] else min)(found, key=lambda spec: architecture_of(spec, 0).get("depth", 1))


def first_signal(inputs: Inputs, experiment: str) -> dict[str, Tensor]:
    """The arrays of the first report signal, `(1, ...)` each."""
    stored, rows = inputs.signals[experiment]
    first = next(index for index, row in enumerate(rows) if row["set"] == "report")
    return {name: torch.from_numpy(array[[first]]) for name, array in dict(stored).items()}


def time_fit(spec: Spec, arrays: Mapping[str, Tensor], steps: int, updates: int, seconds: float) -> Times:
    """Time a fit of so many steps by its first updates, the very first left out, or its solution in closed form."""
    settings = spec["training"]
    problem = build(problem_of(spec, 0), arrays, seed=seed_of(spec, 0))
    started = time.perf_counter()
    generator = draws(spec, 0)
    encoding = encoding_of(spec, 0, problem.dimensions, generator, None)
    network = network_of(spec, 0, encoding, problem, 1, generator)
    optimizer = optimizer_of(settings, network.parameters())
    if isinstance(optimizer, LeastSquares):
        made = time.perf_counter()
        return Times(made - started, mean_seconds(solutions(network, encoding, problem), updates, seconds), 1)
    schedule = Schedule(steps, settings["learning_rate"], settings["log_every"], settings.get("decay_steps"))
    values_at = network_at(problem, encoding, network, settings["precision"], CPU)
    fit = train(values_at, problem.loss, optimizer, schedule, UNENDING, settings["precision"], CPU)
    made = time.perf_counter()
    next(fit)
    return Times(made - started, mean_seconds(fit, updates, seconds), steps)


def solutions(network: nn.Module, encoding: Encoding, problem: Any) -> Iterator[Any]:
    """The closed form again and again, from the coordinates on."""
    while True:
        yield from solved(network, encode(encoding, problem.inputs(0), CPU), problem)


def mean_seconds(work: Iterator[Any], times: int, seconds: float) -> float:
    """Seconds of one turn of some work, of at least so many turns that take so long."""
    started = time.perf_counter()
    done, passed = 0, 0.0
    while done < times or passed < seconds:
        next(work)
        done, passed = done + 1, time.perf_counter() - started
    return passed / done


def rows_of(times: Mapping[str, Times]) -> Iterator[dict[str, Any]]:
    """The rows of one round."""
    for name, taken in times.items():
        about = {"item": name, "steps": taken.steps}
        yield {"metric": "seconds", "value": taken.whole} | about
        yield {"metric": "seconds_per_update", "value": taken.update} | about
        if name != BASELINE:
            yield {"metric": "speed_up", "value": times[BASELINE].whole / taken.whole} | about
