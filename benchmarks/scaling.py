"""How planning grows with the number of combinations, rendering and training with the size of the picture."""

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from measuring import ROOT, Row, by_turns, copy_project, median, parser, save, snakemake

NAME = "scaling"
TITLE = "Growth with combinations and with pixels"
ABOUT = """
Planning: a process of its own reads and checks the settings and names every combination and its files; seconds count
from its start to its end, memory is its peak. The dry run is Snakemake's in a fresh copy of the project. Rendering: a
process of its own shows a whole picture by a network of 4 layers of width 256 with 512 Gaussian features, in float32,
memory again at its peak, everything included. Training: a step with 256 Gaussian features and width 128 on one thread
in the precision that `auto` takes, turns alternating between the sizes.
"""
COMBINATIONS, SIDES, TRAINED = [10, 1000, 10_000], [512, 1024, 2048, 4096], [64, 128, 256, 512]
TINY_COMBINATIONS, TINY_SIDES, TINY_TRAINED = [10, 20], [32, 64], [16, 32]
DRY_JOBS, TINY_DRY_JOBS = 2000, 60
MOST_SECONDS, MOST_GIB = {"plan": 5.0, "dry run": 10.0}, {"plan": 1.0, "picture": 4.0}


class Process(NamedTuple):
    """What a process of its own took, and what it answered."""

    seconds: float
    peak_gib: float
    answer: Any


def in_a_process(part: str, number: int) -> Process:
    start = time.perf_counter()
    command = [sys.executable, __file__, "--child", part, str(number)]
    run = subprocess.run(command, capture_output=True, text=True)
    seconds = time.perf_counter() - start
    if run.returncode:
        sys.exit(f"{part} {number} failed:\n{run.stderr}")
    found = json.loads(run.stdout.splitlines()[-1])
    return Process(seconds, found["peak"] / 2**30, found["answer"])


def settings_of(combinations: int) -> dict[str, Any]:
    """A config in which one experiment has so many combinations: a long sweep of sigma."""
    sweep = [round(1 + index / 1000, 3) for index in range(combinations)]
    left_out = dict.fromkeys(("none", "basic", "positional"))
    one_network = {"mlp": {"depth": 4, "width": 32}}
    experiments = {
        "image_natural": {"encodings": {**left_out, "gaussian": {"sigma": sweep, "features": 32}}},
        "image_text": {"encodings": {**left_out, "gaussian": {"sigma": 1, "features": 32}}},
        "image_features": {"encodings": {"gaussian": {"sigma": 1, "features": 32}}, "networks": one_network},
        "image_scales": {"encodings": {"gaussian": {"sigma": 1, "features": 32}}},
    }
    return {"preset": "smoke", "experiments": experiments}


# ---- in the parent


def rows_of_plans(counts: list[int]) -> list[Row]:
    command = f"python benchmarks/{NAME}.py --only plan"
    found = {count: in_a_process("plan", count) for count in counts}
    rows = []
    for count, process in found.items():
        assert process.answer == count, f"{process.answer} combinations were planned, not {count}"
        limits = count == max(counts)
        rows += [
            Row(f"plan of {count:,} combinations: time", command, process.seconds, "s",
                most=MOST_SECONDS["plan"] if limits else None),
            Row(f"plan of {count:,} combinations: memory", command, process.peak_gib, "GiB",
                most=MOST_GIB["plan"] if limits else None),
        ]  # fmt: skip
    return rows


def rows_of_dry_run(jobs: int) -> list[Row]:
    with tempfile.TemporaryDirectory() as temporary:
        folder = copy_project(Path(temporary) / "posenc")
        (folder / "many.json").write_text(json.dumps(settings_of(jobs)))
        seconds, run = snakemake(folder, "-n", "--configfile", "many.json")
    planned = int(re.findall(r"^total +(\d+)$", run.stdout, re.MULTILINE)[-1])
    command = f"python benchmarks/{NAME}.py --only dry_run"
    note = f"{planned:,} jobs"
    return [Row(f"Snakemake's dry run of {jobs:,} fits", command, seconds, "s", note, most=MOST_SECONDS["dry run"])]


def rows_of_pictures(sides: list[int]) -> list[Row]:
    command = f"python benchmarks/{NAME}.py --only pictures"
    found = {side: in_a_process("picture", side) for side in sides}
    first = found[sides[0]].answer / sides[0] ** 2
    rows = []
    for side, process in found.items():
        most = MOST_GIB["picture"] if side == max(sides) else None
        name = f"rendering {side} × {side} pixels"
        rows.append(Row(f"{name}: memory", command, process.peak_gib, "GiB", most=most))
        if side != sides[0]:
            ratio = process.answer / side**2 / first
            rows.append(Row(f"{name}: time per pixel over that of {sides[0]} × {sides[0]}", command, ratio, "×"))
    return rows


def rows_of_points(sides: list[int], rounds: int) -> list[Row]:
    import torch

    from posenc.encodings.gaussian import Gaussian
    from posenc.memory import keep_freed_memory
    from posenc.networks.mlp import MLP
    from posenc.problems.image import ImageRegression
    from posenc.training.adam import Adam
    from posenc.training.devices import choose_precision
    from posenc.training.loop import Schedule, train
    from posenc.training.stack import network_at

    torch.set_num_threads(1)
    keep_freed_memory()  # as a fit does
    device = torch.device("cpu")
    precision, schedule = choose_precision("auto", device), Schedule(10**9, 1e-3, 25)
    trainings = {}
    for side in sides:
        draws = torch.Generator().manual_seed(0)
        problem = ImageRegression({"values": torch.rand(1, side, side, 3, generator=draws)})
        encoding = Gaussian(2, sigma=4.0, features=256, generator=draws)
        network = MLP(encoding.out_dim, 3, width=128, output=problem.output, generator=draws)
        values_at = network_at(problem, encoding, network, precision, device)
        adam, steps = Adam(network.parameters()), range(1, schedule.steps)
        trainings[side] = train(values_at, problem.loss, adam, schedule, steps, precision, device)
    most_points = max(sides) ** 2

    def some_steps(side: int) -> None:
        """As many as make all sizes take about as long."""
        for _ in range(most_points // side**2):
            next(trainings[side])

    seconds = by_turns({str(side): partial(some_steps, side) for side in sides}, rounds)
    per_point = {side: median(seconds[str(side)]) for side in sides}
    command = f"python benchmarks/{NAME}.py --only points"
    first, *others = sides

    def name(side: int) -> str:
        return f"training step on {(side // 2) ** 2:,} points: time per point over that of {(first // 2) ** 2:,}"

    return [Row(name(side), command, per_point[side] / per_point[first], "×", precision) for side in others]


def main() -> None:
    arguments = parser(NAME, __doc__, ["plan", "dry_run", "pictures", "points"])
    arguments.add_argument("--child", nargs=2, metavar=("PART", "NUMBER"), help=argparse.SUPPRESS)
    options = arguments.parse_args()
    if options.child:
        part, number = options.child
        answer = {"plan": planned, "picture": rendered}[part](int(number))
        print(json.dumps({"answer": answer, "peak": peak_memory()}))
        return
    tiny = options.tiny
    measure = {
        "plan": lambda: rows_of_plans(TINY_COMBINATIONS if tiny else COMBINATIONS),
        "dry_run": lambda: rows_of_dry_run(TINY_DRY_JOBS if tiny else DRY_JOBS),
        "pictures": lambda: rows_of_pictures(TINY_SIDES if tiny else SIDES),
        "points": lambda: rows_of_points(TINY_TRAINED if tiny else TRAINED, 1 if tiny else 7),
    }
    rows = [row for part in options.only or measure for row in measure[part]()]
    save(NAME, TITLE, ABOUT, rows, options)


# ---- in processes of their own


def planned(count: int) -> int:
    """How many combinations the experiment of the long sweep has, once those of all and their files are named."""
    from posenc.plan.layers import Layer
    from posenc.plan.workflow import make_plan

    plan = make_plan(ROOT, [Layer("the benchmark", settings_of(count))], {})
    files = {name: set(plan.fits(name, "values.csv")) for name in plan.experiments}
    return len(files["image_natural"])


def rendered(side: int) -> float:
    """Seconds to show a picture."""
    import torch

    from posenc.encodings.gaussian import Gaussian
    from posenc.memory import keep_freed_memory
    from posenc.networks.mlp import MLP
    from posenc.problems.grid import Grid, half_open
    from posenc.training.loop import predict

    keep_freed_memory()  # as a fit does
    draws = torch.Generator().manual_seed(0)
    encoding = Gaussian(2, sigma=10.0, features=512, generator=draws)
    network = MLP(encoding.out_dim, 3, width=256, output="sigmoid", generator=draws)
    predict(network, encoding, Grid((half_open(32), half_open(32))), torch.device("cpu"))
    start = time.perf_counter()
    shown = predict(network, encoding, Grid((half_open(side), half_open(side))), torch.device("cpu"))
    seconds = time.perf_counter() - start
    assert shown.shape == (1, side**2, 3)
    return seconds


def peak_memory() -> int:
    """Largest resident size of this process in bytes; `getrusage` would count what it was forked from, too."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("the kernel does not tell a process's peak memory")


if __name__ == "__main__":
    main()
