"""Fits per second against the plain way to write them: a loop in PyTorch, and one in JAX where it is installed."""

import argparse
import importlib.metadata
import importlib.util
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from measuring import Row, Worker, answer_questions, ask_all, median, parser, save

from posenc.files import write_arrays
from posenc.signals.bundled import load_signal
from posenc.signals.stored import write_signals

NAME = "against_plain"
TITLE = "Fits per second against plain loops"
ABOUT = """
One bundled picture (astronaut), 128 pixels wide: 4,096 training points, 256 Gaussian features, 4 layers of width 128,
300 steps at learning rate 1e-3. Every contender gets two cores and does the same fits: same picture, random features,
initial weights and steps. Ours are the workflow's own fit jobs, two side by side with one thread each, which also
score the picture on the way and write their files. A plain loop (`benchmarks/plain_torch.py`,
`benchmarks/plain_jax.py`) is float32, one picture at a time, features computed once, the picture scored at the end.
Each was tried as one process with both cores and as two processes with one core each; the faster one is the baseline.
Turns alternate; times are medians over all turns. Starts of processes and JAX's compilation are left out. PSNR is of
the offset quarter, which no fit has seen.
"""
FASTER = {"torch": 2.0, "jax": 1.5}  # what we must reach
DECIBELS = 0.1
SIGMA, FEATURES, WIDTH, LEARNING_RATE = 4.0, 256, 128, 1e-3


class Contender(NamedTuple):
    """A way to fit, and how it uses the cores."""

    kind: str
    processes: int
    threads: int

    def __str__(self) -> str:
        processes = "1 process" if self.processes == 1 else f"{self.processes} processes"
        return f"{processes} of {self.threads} thread{'s' if self.threads > 1 else ''}"


CONTENDERS = [
    Contender(kind, processes, threads)
    for kind, ways in {"ours": [(2, 1)], "torch": [(1, 2), (2, 1)], "jax": [(1, 2), (2, 1)]}.items()
    for processes, threads in ways
]


class Settings(NamedTuple):
    """What is fitted."""

    size: int
    features: int
    width: int
    steps: int
    seeds: int


# ---- in the parent


def main() -> None:
    arguments = parser(NAME, __doc__)
    arguments.add_argument("--rounds", type=int, default=2, help="turns per seed (default: 2)")
    arguments.add_argument("--worker", nargs=3, metavar=("KIND", "CORE", "FOLDER"), help=argparse.SUPPRESS)
    options = arguments.parse_args()
    if options.worker:
        kind, core, folder = options.worker
        work(kind, None if core == "any" else int(core), Path(folder))
        return
    settings = Settings(32, 16, 16, 20, 2) if options.tiny else Settings(128, FEATURES, WIDTH, 300, 5)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2])
    contenders = [found for found in CONTENDERS if found.kind != "jax" or importlib.util.find_spec("jax")]
    with tempfile.TemporaryDirectory() as folder:
        prepare(Path(folder), settings)
        seconds, psnr = measured(contenders, Path(folder), settings, 1 if options.tiny else options.rounds)
    save(NAME, TITLE, ABOUT, rows_of(seconds, psnr), options)


def prepare(folder: Path, settings: Settings) -> None:
    """The picture, and by seed what every fit starts from: the engine's own draws."""
    import torch

    from posenc.encodings.gaussian import Gaussian
    from posenc.networks.mlp import MLP

    picture = load_signal({"name": "astronaut"}, {"size": settings.size, "shrink": 2}).arrays["values"]
    row = {"name": "astronaut", "set": "report", "source": "astronaut", "licence": "", "note": ""}
    write_signals({"values": picture[None]}, [row], folder / "signals.npz", folder / "signals.json")
    for seed in range(settings.seeds):
        draws = torch.Generator().manual_seed(seed)
        encoding = Gaussian(2, sigma=SIGMA, features=settings.features, generator=draws)
        network = MLP(encoding.out_dim, 3, width=settings.width, output="sigmoid", generator=draws)
        arrays = {name: parameter.detach()[0].numpy() for name, parameter in network.named_parameters()}
        write_arrays(folder / f"start_{seed}.npz", {"B": encoding.B.numpy(), **arrays})


def measured(
    contenders: list[Contender], folder: Path, settings: Settings, rounds: int
) -> tuple[dict[Contender, list[float]], dict[Contender, list[float]]]:
    """Seconds per fit of each turn, and the PSNR of each seed."""
    groups = {contender: workers_of(contender, folder) for contender in contenders}
    for workers in groups.values():  # warm up, and compile
        ask_all(workers, [0, settings._replace(steps=5)])
    seconds: dict[Contender, list[float]] = {contender: [] for contender in contenders}
    psnr: dict[Contender, list[float]] = {contender: [] for contender in contenders}
    for turn in range(rounds):
        for seed in range(settings.seeds):
            for contender, workers in groups.items():
                wall, answers = ask_all(workers, [seed, settings])
                seconds[contender].append(wall / len(workers))
                if turn == 0:
                    psnr[contender].append(answers[0])
    for workers in groups.values():
        for worker in workers:
            worker.close()
    return seconds, psnr


def workers_of(contender: Contender, folder: Path) -> list[Worker]:
    cores: list[Any] = ["any"] * contender.processes
    if contender.kind == "jax" and contender.threads == 1 and hasattr(os, "sched_getaffinity"):
        cores = sorted(os.sched_getaffinity(0))[: contender.processes]  # JAX takes as many threads as it sees cores
    command = [__file__, "--worker", contender.kind]
    threads = {"OMP_NUM_THREADS": str(contender.threads)}
    return [Worker([*command, str(core), str(folder)], **threads) for core in cores]


def rows_of(seconds: dict[Contender, list[float]], psnr: dict[Contender, list[float]]) -> list[Row]:
    """By plain loop: how much faster we are, and how our PSNR differs."""
    command = f"python benchmarks/{NAME}.py"
    ours = CONTENDERS[0]
    rows = []
    for kind, least in FASTER.items():
        ways = [contender for contender in seconds if contender.kind == kind]
        if not ways:
            missing = "waits for jax: pip install -e '.[bench]'"
            rows.append(Row(f"fits per second, ours over plain {kind}", command, None, "×", missing, least=least))
            continue
        best = min(ways, key=lambda contender: median(seconds[contender]))
        others = ", ".join(
            f"{way}: {median(seconds[way]) / median(seconds[ours]):.2f} ×" for way in ways if way != best
        )
        version = importlib.metadata.version(kind)
        ratio = median(seconds[best]) / median(seconds[ours])
        note = f"{kind} {version} as {best} (as {others})"
        rows.append(Row(f"fits per second, ours over plain {kind}", command, ratio, "×", note, least=least))
        mean, theirs = float(np.mean(psnr[ours])), float(np.mean(psnr[best]))
        note = f"{mean:.2f} dB beside {theirs:.2f} dB, means of {len(psnr[ours])} seeds"
        rows.append(Row(f"PSNR, ours beside plain {kind}", command, abs(mean - theirs), "dB", note, most=DECIBELS))
    return rows


# ---- in the workers


def work(kind: str, core: int | None, folder: Path) -> None:
    """Fit what is asked for, and answer with the PSNR."""
    if core is not None:
        os.sched_setaffinity(0, [core])
    fit: Callable[[int, Settings, Path], np.ndarray] = {"ours": fit_ours, "torch": fit_torch, "jax": fit_jax}[kind]
    with np.load(folder / "signals.npz") as arrays:
        true = arrays["values"][0] / 255.0

    def answer(question: Any) -> float:
        seed, settings = question[0], Settings(*question[1])
        error = (fit(seed, settings, folder) - true)[1::2, 1::2]
        return float(-10 * np.log10(np.mean(np.square(error, dtype=np.float64))))

    answer_questions(answer)


def start_of(seed: int, folder: Path) -> tuple[np.ndarray, np.ndarray, list[np.ndarray], list[np.ndarray]]:
    """Picture, B, weights and biases."""
    with np.load(folder / "signals.npz") as signals, np.load(folder / f"start_{seed}.npz") as start:
        layers = range(sum(name.startswith("weights") for name in start))
        weights, biases = ([start[f"{part}.{layer}"] for layer in layers] for part in ("weights", "biases"))
        return (signals["values"][0] / 255).astype(np.float32), start["B"], weights, biases


def fit_ours(seed: int, settings: Settings, folder: Path) -> np.ndarray:
    from posenc.training.fit import fit_combination

    outputs = {"values": "csv", "arrays": "npz", "weights": "safetensors", "provenance": "json"}
    outputs = {name: str(folder / f"{name}_{os.getpid()}.{suffix}") for name, suffix in outputs.items()}
    fit_combination(
        {
            "members": [{"use": "posenc.encodings.gaussian:Gaussian", "sigma": SIGMA, "features": settings.features}],
            "network": {"use": "posenc.networks.mlp:MLP", "depth": 4, "width": settings.width},
            "problem": {"use": "posenc.problems.image:ImageRegression"},
            "seed": seed,
            "sets": ["report"],
            "training": {
                "steps": settings.steps,
                "learning_rate": LEARNING_RATE,
                "log_every": 50,
                "precision": "auto",
            },
        },
        {"values": str(folder / "signals.npz"), "rows": str(folder / "signals.json")},
        outputs,
        device="cpu",
    )
    with np.load(outputs["arrays"]) as arrays:
        predicted: np.ndarray = arrays["astronaut"].astype(np.float32)
    return predicted


def fit_torch(seed: int, settings: Settings, folder: Path) -> np.ndarray:
    import plain_torch
    import torch

    picture, B, *layers = start_of(seed, folder)
    weights, biases = ([torch.from_numpy(array) for array in part] for part in layers)
    values, frequencies = torch.from_numpy(picture), torch.from_numpy(B)
    return plain_torch.fit(values, frequencies, weights, biases, settings.steps, LEARNING_RATE).numpy()


def fit_jax(seed: int, settings: Settings, folder: Path) -> np.ndarray:
    import plain_jax

    return np.asarray(plain_jax.fit(*start_of(seed, folder), settings.steps, LEARNING_RATE))


if __name__ == "__main__":
    main()
