"""How much of a training step is matrix products: their time by themselves over the time of the step."""

import argparse
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import products
import torch
from measuring import Row, Worker, answer_questions, by_turns, median, parser, save, shown

from posenc.encodings.base import Encoding
from posenc.encodings.basic import Basic
from posenc.encodings.gaussian import Gaussian
from posenc.encodings.none import NoEncoding
from posenc.encodings.positional import Positional
from posenc.memory import keep_freed_memory
from posenc.networks.inputs import Blend
from posenc.networks.mlp import MLP
from posenc.problems.image import ImageRegression
from posenc.training.adam import Adam
from posenc.training.devices import choose_precision
from posenc.training.loop import Schedule, encode, train
from posenc.training.stack import network_at

NAME = "efficiency"
TITLE = "A training step against its matrix products"
ABOUT = """
One picture, one thread, a network of 4 layers, each row in a process of its own, as a fit is. The step is the
engine's own training loop: forward, backward and Adam. Its matrix products are done once more by themselves (forward,
gradients of the weights, and of the inputs except in the first layer) in the same process, shapes, layouts and
precision, by turns with the step. The share is their time over the step's, the median over all turns. Where the first
layer is a sum over the axes of the grid, only the products that are left are counted; the share by the products of a
dense first layer, which the sum saves, stands beside and may exceed 100 %.
"""
ENCODINGS: dict[str, Callable[[int, torch.Generator], Encoding]] = {
    "none": lambda features, draws: NoEncoding(2),
    "basic": lambda features, draws: Basic(2),
    "positional": lambda features, draws: Positional(2, sigma=4.0, features=features),
    "gaussian": lambda features, draws: Gaussian(2, sigma=4.0, features=features, generator=draws),
}
LEAST = 0.75  # of a gaussian step in bf16
SECONDS_PER_TURN = 0.1


class Size(NamedTuple):
    """A picture of `side` squared pixels, a quarter of them training points, and a network."""

    side: int
    features: int
    width: int

    def __str__(self) -> str:
        return f"{(self.side // 2) ** 2} points, {self.features} features, width {self.width}"


SIZES, TINY = [Size(128, 256, 128), Size(256, 512, 256)], [Size(32, 16, 16)]


class Measured(NamedTuple):
    """Shares by the products that are done and by those of a dense first layer, and what they were made of."""

    done: float
    dense: float
    milliseconds: float  # of a step
    rate: float  # of the bare products, in GFLOP/s


def measured(encoding: Encoding, size: Size, precision: str, rounds: int, draws: torch.Generator) -> Measured:
    problem = ImageRegression({"values": torch.rand(1, size.side, size.side, 3, generator=draws)})
    network = MLP(encoding.out_dim, 3, width=size.width, output=problem.output, generator=draws)
    grid, device = problem.inputs(0), torch.device("cpu")
    features = encode(encoding, grid, device)
    assert not isinstance(features, Blend)  # which is of networks that take the axes apart
    done = products.of_step(network, features, len(grid), precision)
    dense = products.dense(network, len(grid), precision)
    training = endless_training(problem, encoding, network, precision, device)
    blocks: dict[str, Callable[[], Any]] = {
        "step": lambda: next(training),
        "done": products.runner(done, device),
        "dense": products.runner(dense, device),
    }
    times = times_to_fill(SECONDS_PER_TURN, blocks["step"])
    seconds = by_turns({name: repeated(block, times) for name, block in blocks.items()}, rounds)

    def share(name: str) -> float:
        return median(alone / step for alone, step in zip(seconds[name], seconds["step"], strict=True))

    rate = times * products.operations(done) / median(seconds["done"]) / 1e9
    return Measured(share("done"), share("dense"), 1e3 * median(seconds["step"]) / times, rate)


def endless_training(
    problem: ImageRegression, encoding: Encoding, network: MLP, precision: str, device: torch.device
) -> Iterator[Any]:
    """The engine's own loop, an update whenever it is asked for one."""
    values_at = network_at(problem, encoding, network, precision, device)
    adam, schedule = Adam(network.parameters()), Schedule(10**9, 1e-3, 25)
    return train(values_at, problem.loss, adam, schedule, range(1, schedule.steps), precision, device)


def times_to_fill(seconds: float, block: Callable[[], Any]) -> int:
    """How often to do something to fill so many seconds."""
    block()
    start = time.perf_counter()
    block()
    return max(1, round(seconds / (time.perf_counter() - start)))


def repeated(block: Callable[[], Any], times: int) -> Callable[[], None]:
    def run() -> None:
        for _ in range(times):
            block()

    return run


def answer(question: Any) -> Measured:
    name, size, precision, rounds = question
    torch.set_num_threads(1)
    keep_freed_memory()  # as a fit does
    draws = torch.Generator().manual_seed(0)
    size = Size(*size)
    return measured(ENCODINGS[name](size.features, draws), size, precision, rounds, draws)


def row(name: str, size: Size, wanted: str, rounds: int) -> Row:
    """Measured in a process of its own: how memory is handed out depends on what a process did before."""
    precision = choose_precision(wanted, torch.device("cpu"))
    worker = Worker([__file__, "--worker"], OMP_NUM_THREADS="1")
    worker.ask([name, size, precision, rounds])
    found = Measured(*worker.answer())
    worker.close()
    by_dense = "" if name == "gaussian" else f"by the dense products {shown(found.dense, '%')}; "
    return Row(
        name=f"{name}, {wanted} ({precision}), {size}" if wanted == "auto" else f"{name}, {precision}, {size}",
        command=f"python benchmarks/{NAME}.py --only {name}",
        value=found.done,
        unit="%",
        note=f"{by_dense}products at {found.rate:.0f} GFLOP/s",
        least=LEAST if name == "gaussian" and precision == "bf16" else None,
    )


def main() -> None:
    arguments = parser(NAME, __doc__, list(ENCODINGS))
    arguments.add_argument("--rounds", type=int, default=15, help="turns of step and products (default: 15)")
    arguments.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    options = arguments.parse_args()
    if options.worker:
        answer_questions(answer)
        return
    rows = [
        row(name, size, wanted, 1 if options.tiny else options.rounds)
        for name in options.only or ENCODINGS
        for size in (TINY if options.tiny else SIZES)
        for wanted in ("auto", "float32")
    ]
    save(NAME, TITLE, ABOUT, rows, options)


if __name__ == "__main__":
    main()
