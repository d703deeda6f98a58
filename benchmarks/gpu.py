"""Training on a GPU: pictures stacked, precision, jobs side by side, against a plain loop, and Table 3 as published.

Needs torch with CUDA and this repository, nothing else; Table 3 also Snakemake's environment, or at least safetensors.
Without CUDA every row says that it waits. `--device cpu --tiny` tries the benchmark itself.
"""

import argparse
import importlib.util
import json
import sys
import tempfile
import time
import types
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from measuring import Row, Worker, answer_questions, ask_all, by_turns, copy_project, median, parser, save, snakemake

if not importlib.util.find_spec("annotated_types"):
    # The kinds of values that parameters are annotated with speak to the planner alone, which does not run here.
    kinds = {name: lambda bound: bound for name in ("Ge", "Gt", "MultipleOf")}
    sys.modules["annotated_types"] = types.SimpleNamespace(**kinds)  # type: ignore[assignment]

import plain_torch
import products
import torch
from torch import Tensor

from posenc.encodings.gaussian import Gaussian
from posenc.networks.mlp import MLP
from posenc.problems.image import ImageRegression
from posenc.training.adam import Adam
from posenc.training.devices import matrix_products
from posenc.training.loop import Schedule, encode, lowered, train

NAME = "gpu"
TITLE = "On a GPU"
ABOUT = """
Gaussian features and a network of 4 layers, at the paper's size (65,536 points, 512 features, width 256) unless a row
says otherwise; pictures are noise, since their content takes no time. The share of the matrix rate is a step's
operations in matrix products (of all pictures in the stack) over its time, divided by the rate of one large bf16
product (8192³) in the same process, by turns with the steps; the aim is 35 %. A plain loop is
`benchmarks/plain_torch.py`, which trains one picture at a time.
"""
PARTS = ("stacks", "plain", "jobs", "table_3")
PRECISIONS = ("float32", "tf32", "bf16")
LEAST_SHARE, LEAST_RATIO, MOST_SECONDS = 0.20, 3.0, 180.0
STACKED = 16  # pictures that the figures with a threshold are about


class Size(NamedTuple):
    """A picture of `side` squared pixels, a quarter of them training points, and a network."""

    side: int
    features: int
    width: int

    def __str__(self) -> str:
        return f"{(self.side // 2) ** 2:,} points, {self.features} features, width {self.width}"


class Scale(NamedTuple):
    """What is measured, and how long: steps per turn, turns, side of the large product."""

    paper: Size
    small: Size
    stacks: tuple[int, ...]
    jobs: tuple[int, ...]
    steps: int
    rounds: int
    matrix: int


FULL = Scale(Size(512, 512, 256), Size(128, 256, 128), (1, 2, 4, 8, 16, 32), (1, 2, 4, 8), 20, 5, 8192)
TINY = Scale(Size(32, 16, 16), Size(32, 16, 16), (1, 16), (1, 2), 2, 1, 64)


class Training(NamedTuple):
    """An endless training of a stack, and the operations in matrix products of one step."""

    steps: Iterator[Any]
    operations: int


def training_of(size: Size, stack: int, precision: str, device: torch.device) -> Training:
    draws = torch.Generator().manual_seed(0)
    pictures = torch.rand(stack, size.side, size.side, 3, generator=draws).to(device)
    problem = ImageRegression({"values": pictures})
    encoding = Gaussian(2, sigma=10.0, features=size.features, generator=draws).to(device)
    network = MLP(encoding.out_dim, 3, width=size.width, output=problem.output, stack=stack, generator=draws).to(device)
    features = lowered(encode(encoding, problem.inputs(0), device), precision)
    adam, schedule = Adam(network.parameters()), Schedule(10**9, 1e-3, 25)
    ahead = range(1, schedule.steps)
    steps = train(lambda step: network(features), problem.loss, adam, schedule, ahead, precision, device)
    return Training(steps, products.operations(products.dense(network, len(problem.inputs(0)), precision)))


def finished(device: torch.device) -> None:
    """Wait for the device."""
    if device.type == "cuda":
        torch.cuda.synchronize()


def taking(steps: Iterator[Any], count: int, device: torch.device) -> Callable[[], None]:
    """A function that takes so many steps and waits for them."""

    def run() -> None:
        for _ in range(count):
            next(steps)
        finished(device)

    return run


# ---- stacks


def rows_of_stacks(scale: Scale, device: torch.device) -> list[Row]:
    rows = []
    for precision in precisions(device):
        for stack in scale.stacks:
            training = training_of(scale.paper, stack, precision, device)
            left, right = (torch.randn(scale.matrix, scale.matrix, device=device).bfloat16() for _ in range(2))
            out = torch.empty_like(left)

            def multiply(left: Tensor = left, right: Tensor = right, out: Tensor = out) -> None:
                for _ in range(scale.steps):
                    torch.mm(left, right, out=out)
                finished(device)

            blocks = {"step": taking(training.steps, scale.steps, device), "product": multiply}
            seconds = by_turns(blocks, scale.rounds)
            rate = 2 * scale.matrix**3 * scale.steps / median(seconds["product"])
            step = median(seconds["step"]) / scale.steps
            rows.append(row_of_stack(precision, stack, training.operations / step / rate, step, rate))
            del training, left, right, out, blocks, multiply
            if device.type == "cuda":
                torch.cuda.empty_cache()
    return rows


def row_of_stack(precision: str, stack: int, share: float | None, step: float = 0.0, rate: float = 0.0) -> Row:
    pictures = "1 picture" if stack == 1 else f"{stack} pictures stacked"
    note = (
        f"{1e3 * step / stack:.2f} ms per step and picture; bf16 rate {rate / 1e12:.0f} TFLOP/s"
        if share is not None
        else WAITING
    )
    least = LEAST_SHARE if (precision, stack) == ("bf16", STACKED) else None
    return Row(f"{precision}, {pictures}: share of the bf16 matrix rate", command("stacks"), share, "%", note, least)


def precisions(device: torch.device) -> Sequence[str]:
    return PRECISIONS if device.type == "cuda" else ("float32", "bf16")


# ---- against the plain loop


def rows_of_plain(scale: Scale, device: torch.device) -> list[Row]:
    """The stack in bf16 against one picture at a time, as users write it, and with bf16 autocast added."""
    ours = training_of(scale.paper, STACKED, "bf16", device)
    blocks = {
        "ours": taking(ours.steps, scale.steps, device),
        "float32": taking(plain_training(scale.paper, "float32", device), scale.steps, device),
        "bf16": taking(plain_training(scale.paper, "bf16", device), scale.steps, device),
    }
    seconds = {name: median(found) for name, found in by_turns(blocks, scale.rounds).items()}
    return [row_of_plain(name, STACKED * seconds[name] / seconds["ours"]) for name in ("float32", "bf16")]


def row_of_plain(precision: str, ratio: float | None) -> Row:
    plain = "plain loop, float32" if precision == "float32" else "plain loop with bf16 autocast"
    name = f"{STACKED} pictures stacked, bf16, over the {plain}: pictures per second"
    least = LEAST_RATIO if precision == "float32" else None
    return Row(name, command("plain"), ratio, "×", "" if ratio is not None else WAITING, least)


def plain_training(size: Size, precision: str, device: torch.device) -> Iterator[int]:
    draws = torch.Generator().manual_seed(0)
    B = (10 * torch.randn(size.features // 2, 2, generator=draws)).to(device)
    start = MLP(size.features, 3, width=size.width, output="sigmoid", generator=draws).to(device)
    layers = [[part.detach()[0] for part in parts] for parts in (start.weights, start.biases)]
    network = plain_torch.network_of(*layers)
    inputs = plain_torch.features_of(B, size.side, size.side)[::2, ::2].reshape(-1, size.features)
    targets = torch.rand(len(inputs), 3, generator=draws).to(device)
    steps = plain_torch.train(network, inputs, targets, 10**9, 1e-3)
    while True:
        with matrix_products(precision, device):
            step = next(steps)
        yield step


# ---- jobs side by side


def rows_of_jobs(scale: Scale, device: torch.device) -> list[Row]:
    """Steps per second of several processes together, over those of one."""
    rows = []
    for size in dict.fromkeys([scale.paper, scale.small]):
        for stack in (1, STACKED):
            question = [*size, stack, scale.steps * (1 if size == scale.paper else 5)]
            rates = {jobs: steps_per_second(jobs, question, scale.rounds, device) for jobs in scale.jobs}
            rows += [row_of_jobs(size, stack, jobs, rates[jobs] / rates[1]) for jobs in scale.jobs if jobs > 1]
    return rows


def steps_per_second(jobs: int, question: list[int], rounds: int, device: torch.device) -> float:
    workers = [Worker([__file__, "--worker", "--device", device.type], OMP_NUM_THREADS="1") for _ in range(jobs)]
    ask_all(workers, question)
    seconds = median(ask_all(workers, question)[0] for _ in range(rounds))
    for worker in workers:
        worker.close()
    return jobs * question[-1] / seconds


def row_of_jobs(size: Size, stack: int, jobs: int, ratio: float | None) -> Row:
    pictures = "1 picture" if stack == 1 else f"{stack} pictures"
    name = f"{jobs} jobs of {pictures} on one device, bf16, over one ({size})"
    return Row(name, command("jobs"), ratio, "×", "" if ratio is not None else WAITING)


def work(device: torch.device) -> None:
    """As a job: train what is asked for, and go on with it when it is asked again."""
    under_way: dict[tuple[int, ...], Iterator[Any]] = {}

    def answer(question: list[int]) -> None:
        *size, stack, steps = question
        key = (*size, stack)
        if key not in under_way:
            under_way[key] = training_of(Size(*size), stack, "bf16", device).steps
        taking(under_way[key], steps, device)()

    answer_questions(answer)


# ---- Table 3


def rows_of_table_3(tiny: bool, device: torch.device) -> list[Row]:
    """All of Table 3's fits at the scales of the paper: four encodings, natural pictures and text, 16 of each."""
    with tempfile.TemporaryDirectory() as temporary:
        whole = importlib.util.find_spec("snakemake") is not None and not tiny
        seconds = (workflow_seconds if whole else jobs_seconds)(Path(temporary), tiny, device)
    how = (
        "the whole workflow, from the command to the table" if whole else "the fit jobs one after another, no Snakemake"
    )
    return [row_of_table_3(seconds, how)]


def row_of_table_3(seconds: float | None, note: str) -> Row:
    name = "Table 3 at paper scale: 128 fits of 2,000 steps on 65,536 points"
    return Row(name, command("table_3"), seconds, "s", note, most=MOST_SECONDS)


def published_settings(folder: Path) -> dict[str, Any]:
    """The paper's own sigmas alone, on 16 pictures of each kind, none of which chooses a sigma."""
    sigmas = {"image_natural": (6, 10), "image_text": (5, 14)}
    return {
        "preset": "paper",
        "data": {"folder": str(folder)},
        "experiments": {
            name: {
                "signals": {"tuning": 1, "report": 16},
                "encodings": {"positional": {"sigma": positional}, "gaussian": {"sigma": gaussian}},
            }
            for name, (positional, gaussian) in sigmas.items()
        },
    }


def workflow_seconds(folder: Path, tiny: bool, device: torch.device) -> float:
    import numpy as np
    from PIL import Image

    pictures, project = folder / "pictures", copy_project(folder / "posenc")
    pictures.mkdir()
    draws = np.random.default_rng(0)
    for index in range(17):
        values = draws.integers(0, 256, (512, 512, 3), dtype=np.uint8)
        Image.fromarray(values).save(pictures / f"noise_{index:02d}.png")
    (project / "published.json").write_text(json.dumps(published_settings(pictures)))
    arguments = ["fourier_features_table_3", "--cores", "all", "--resources", "gpu=1"]
    return snakemake(project, *arguments, "--configfile", "published.json")[0]


def jobs_seconds(folder: Path, tiny: bool, device: torch.device) -> float:
    """Each combination in a process of its own, as a job of the workflow: Python's start and loading torch count."""
    size, pictures, steps = (16, 2, 3) if tiny else (512, 16, 2000)
    start = time.perf_counter()
    for encoding, learning_rate, precision in combinations_of_table_3()[: 2 if tiny else None]:
        training = {"steps": steps, "learning_rate": learning_rate, "log_every": 25, "precision": precision}
        worker = Worker([__file__, "--worker-fit", str(folder), "--device", device.type])
        worker.ask([encoding, training, size, pictures])
        worker.answer()
        worker.close()
    return time.perf_counter() - start


def combinations_of_table_3() -> list[tuple[dict[str, Any], float, str]]:
    """Encoding, learning rate and precision as the paper's experiments state them, natural pictures first."""
    names = {"none": "NoEncoding", "basic": "Basic", "positional": "Positional", "gaussian": "Gaussian"}
    found = []
    for positional, gaussian, plain_rate, plain_precision in ((6.0, 10.0, 1e-2, "float32"), (5.0, 14.0, 1e-3, "auto")):
        scales = {"positional": positional, "gaussian": gaussian}
        for name, cls in names.items():
            encoding: dict[str, Any] = {"use": f"posenc.encodings.{name}:{cls}"}
            if name in scales:
                found.append((encoding | {"sigma": scales[name], "features": 512}, 1e-3, "auto"))
            else:
                found.append((encoding, plain_rate, plain_precision))
    return found


def work_on_fits(folder: Path, device: torch.device) -> None:
    """Fit a combination, as a job does."""
    import numpy as np

    from posenc.signals.stored import write_signals
    from posenc.training.fit import fit_combination

    def answer(question: Any) -> None:
        encoding, training, size, pictures = question
        values = np.random.default_rng(0).integers(0, 256, (pictures, size, size, 3), dtype=np.uint8)
        rows = [{"name": f"noise_{index}", "set": "report"} for index in range(pictures)]
        signals = {"values": str(folder / "signals.npz"), "rows": str(folder / "signals.json")}
        write_signals({"values": values}, rows, signals["values"], signals["rows"])
        combination = {
            "members": [encoding],
            "network": {"use": "posenc.networks.mlp:MLP", "depth": 4, "width": 256},
            "problem": {"use": "posenc.problems.image:ImageRegression"},
            "seed": 0,
            "sets": ["report"],
            "training": training,
        }
        files = {name: str(folder / name) for name in ("values", "arrays", "weights", "provenance")}
        fit_combination(combination, signals, files, device.type)

    answer_questions(answer)


# ---- all


WAITING = "waiting for a GPU"


def command(part: str) -> str:
    return f"python benchmarks/{NAME}.py --only {part}"


def waiting_rows(parts: Sequence[str]) -> list[Row]:
    """What there is to measure, for a machine without CUDA."""
    stacks = [row_of_stack(precision, stack, None) for precision in PRECISIONS for stack in FULL.stacks]
    plain = [row_of_plain(precision, None) for precision in ("float32", "bf16")]
    jobs = [
        row_of_jobs(size, stack, count, None)
        for size in (FULL.paper, FULL.small)
        for stack in (1, STACKED)
        for count in FULL.jobs
        if count > 1
    ]
    rows = {"stacks": stacks, "plain": plain, "jobs": jobs, "table_3": [row_of_table_3(None, WAITING)]}
    return [row for part in parts for row in rows[part]]


def main() -> None:
    arguments = parser(NAME, __doc__, PARTS)
    arguments.add_argument("--device", choices=["cuda", "cpu"], default="cuda", help="cpu tries the benchmark itself")
    arguments.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    arguments.add_argument("--worker-fit", metavar="FOLDER", help=argparse.SUPPRESS)
    options = arguments.parse_args()
    device = torch.device(options.device)
    if options.worker:
        work(device)
        return
    if options.worker_fit:
        work_on_fits(Path(options.worker_fit), device)
        return
    parts = options.only or PARTS
    if device.type == "cuda" and not torch.cuda.is_available():
        save(NAME, TITLE, ABOUT, waiting_rows(parts), options, keep_measured=True)
        return
    if device.type == "cpu" and not options.tiny:
        arguments.error("--device cpu only tries the benchmark: add --tiny")
    scale = TINY if options.tiny else FULL
    measure = {
        "stacks": lambda: rows_of_stacks(scale, device),
        "plain": lambda: rows_of_plain(scale, device),
        "jobs": lambda: rows_of_jobs(scale, device),
        "table_3": lambda: rows_of_table_3(options.tiny, device),
    }
    save(NAME, TITLE, ABOUT, [row for part in parts for row in measure[part]()], options)


if __name__ == "__main__":
    main()
