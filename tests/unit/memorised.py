"""Made-up records of the experiments on memorisation, samples, full rank and variance, for several test modules."""

from __future__ import annotations

import math
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from posenc.papers.material import Material

PAPER = Path(__file__).parents[2] / "workflow/papers/rethinking"
PUBLISHED = yaml.safe_load((PAPER / "published.yaml").read_text())
SIZE = 512
STEPS = 400
LOGGED = [*range(1, STEPS, 20), STEPS]
STRIDES = [2, 4, 8, 16]
SCALES = [25.0, 5.0, 1.5, 1.0, 0.7, 0.5, 0.35, 0.2, 0.14, 0.13, 0.12, 0.1, 0.05]  # sigma N
THIS_RUN = "this run (laptop scale, stand-in signals)"
RECORD: dict[str, Any] = {
    "combination": "c", "member": 0, "seed": 0, "encoding": "shifted_gaussian", "sigma": np.nan, "stable_rank": np.nan,
    "distance": np.nan, "features": np.nan, "variant": None, "network": "linear", "depth": np.nan, "width": np.nan,
    "learning_rate": 1e-3, "steps": STEPS, "device": "cpu", "points": 256.0, "signal": "a", "set": "report",
    "source": "picture_a", "item": None, "replicate": None, "condition": None, "split": "test", "metric": "psnr",
    "step": STEPS, "value": np.nan, "status": "ok", "final": True, "chosen": True,
}  # fmt: skip


def frame(rows: list[dict[str, Any]]) -> pd.DataFrame:
    found = pd.DataFrame([RECORD | row for row in rows])
    return found.assign(final=found["step"] == found["steps"])


def of_signals(count: int = 3) -> list[dict[str, Any]]:
    return [{"signal": f"row_{i}", "source": f"picture_{i}", "lift": float(i)} for i in range(count)]


def training_records(noise: bool) -> pd.DataFrame:
    """PSNR that rises with the logarithm of the step, ranks that end at the published readings."""
    final = {"none": 26.0, "basic": 33.0, "gaussian": 50.0, "shifted_gaussian": 47.0}
    rows = []
    for (encoding, level), signal, seed, step in product(final.items(), of_signals(), (0, 1), LOGGED):
        about = {"encoding": encoding, "combination": f"{encoding}/{seed}", "seed": seed, "step": step, **signal}
        train = 5 + (level / (3 if noise else 1) - 5) * math.log(step) / math.log(STEPS) + signal["lift"]
        rows.append(about | {"split": "train", "value": train})
        rows.append(about | {"split": "test", "value": -1.0 if noise else min(train, 30)})
        for layer, rank in enumerate(PUBLISHED["layer_ranks"][encoding]["noise" if noise else "rows"]):
            item = f"layer {layer}" if layer else "input"
            value = rank * (1 - 0.3 * (layer > 1) * (1 - step / STEPS))
            found = {"metric": "stable_rank", "split": "train", "item": item, "value": value}
            rows.append(about | found | {"source": f"{signal['source']}/{item}"})
    return frame(rows)


def made_up_psnr(scale: float, samples: int, solved: bool) -> dict[str, float]:
    """Memorised from sigma N = 0.7 on; the test breaks down below 0.13, of least squares below 0.3."""
    memorised, broken = scale < 0.75, scale < (0.3 if solved else 0.125)
    smooth = 5 + 2.5 * math.log2(samples) - 2 * max(0.0, math.log2(scale))
    return {"train": 130 + scale if memorised else smooth + 1, "test": 8.0 if broken else smooth}


def scales_records(solved: bool = False) -> pd.DataFrame:
    rows = []
    steps = [1] if solved else LOGGED[-8:]
    for member, (stride, scale) in enumerate(product(STRIDES, SCALES)):
        found = made_up_psnr(scale, SIZE // stride, solved)
        for signal, step, split in product(of_signals(), steps, ("train", "test")):
            late = step > STEPS - 100 or solved
            rows.append(
                {
                    "member": member, "points": SIZE / stride, "sigma": scale * stride / SIZE, "step": step,
                    "split": split, "stable_rank": SIZE / stride * min(1.0, 0.282 / scale), **signal,
                    "steps": 1 if solved else STEPS, "value": found[split] + signal["lift"] if late else 0.0,
                }
            )  # fmt: skip
    return frame(rows)


def impulse_records(noise: bool) -> pd.DataFrame:
    rows = []
    for (member, stride), signal, seed, step, encoding in product(
        enumerate(STRIDES), of_signals(), (0, 1), LOGGED, ("impulse", "random_noise")
    ):
        count = SIZE // stride
        about = {
            "encoding": encoding, "combination": f"{encoding}/{seed}", "member": member, "points": SIZE / stride,
            "seed": seed, "stable_rank": count if encoding == "impulse" else 0.7 * count + seed, "step": step, **signal,
        }  # fmt: skip
        rows.append(about | {"split": "train", "value": 130 * step / STEPS})
        rows.append(about | {"split": "test", "value": 0.0 if noise else 11.0 + signal["lift"]})
    return frame(rows)


def wave_records(noise: bool) -> pd.DataFrame:
    rows = []
    frequencies = [1.0] if noise else [1.0, 5.0, 50.0]
    for (member, (stride, sigma)), step, encoding, split in product(
        enumerate(product(STRIDES, frequencies)), LOGGED, ("square_wave", "sine"), ("train", "test")
    ):
        about = {
            "encoding": encoding,
            "combination": encoding,
            "member": member,
            "points": SIZE / stride,
            "sigma": sigma,
        }
        rows.append(about | {"step": step, "split": split, "value": 15 - sigma / 50 + step / STEPS - stride / 8})
    return frame(rows)


def features_records(counts: list[int], plane: bool) -> pd.DataFrame:
    """Random features that spread over draws, Gaussian ones that hardly do; behind in 1D, ahead in the plane."""
    rows = []
    for (member, count), encoding, seed in product(enumerate(counts), ("gaussian", "shifted_gaussian"), range(10)):
        random = encoding == "gaussian"
        about = {"encoding": encoding, "combination": f"{encoding}/{seed}", "member": member, "features": float(count)}
        about |= {"seed": seed, "stable_rank": 56.0 - (20 - seed if random else 0)}
        for split in ("train", "test", "all"):
            level = (
                20
                + math.log2(count)
                + (12 if plane else -12) * random
                + (seed if random else 0.1 * seed)
                + (split == "all")
            )
            rows.append(about | {"split": split, "value": level, "step": STEPS})
    return frame(rows)


def row_reconstruction_records() -> pd.DataFrame:
    rows = []
    for (member, sigma), signal, split in product(
        enumerate((0.01, 0.002, 0.0003)), of_signals(), ("train", "test", "all")
    ):
        value = {"train": 131.0, "test": 20.0, "all": (30.0, 33.0, 12.0)[member]}[split] + signal["lift"]
        rows.append({"member": member, "sigma": sigma, "split": split, "value": value, **signal})
    return frame(rows)


def picture_reconstruction_records() -> pd.DataFrame:
    rows = [
        {"combination": f"s{sigma}", "sigma": sigma, "split": split, "value": level + signal["lift"], **signal}
        for (sigma, level), signal, split in product(
            ((0.07, 21.0), (0.003, 25.0), (0.001, 20.0)), of_signals(), ("train", "test", "all")
        )
    ]
    return frame(rows)


TRUTH = (0.5 + 0.4 * np.sin(2 * np.pi * np.arange(SIZE) / 100)).astype(np.float32)
PICTURE = np.random.default_rng(0).random((16, 16, 3), dtype=np.float32)


def made_up_signals(experiment: str) -> dict[str, dict[str, np.ndarray]]:
    values = PICTURE if experiment.startswith("picture") else TRUTH
    return {f"row_{i}": {"values": values} for i in range(3)}


def made_up_arrays(experiment: str, combination: str) -> dict[str, np.ndarray]:
    if experiment.startswith("picture"):
        return {f"row_{i}": PICTURE * 0.9 for i in range(3)}
    return {f"{member}/row_{i}": TRUTH * (1 - 0.2 * member) for member in range(3) for i in range(3)}


def made_up_records() -> dict[str, pd.DataFrame]:
    """Experiment -> its records."""
    return {
        "row_training": training_records(noise=False), "noise_training": training_records(noise=True),
        "row_scales": scales_records(), "row_scales_solved": scales_records(solved=True),
        "row_impulses": impulse_records(noise=False), "noise_impulses": impulse_records(noise=True),
        "row_waves": wave_records(noise=False), "noise_waves": wave_records(noise=True),
        "row_features": features_records([100, 400, 1000], plane=False),
        "picture_features": features_records([12, 50, 125], plane=True),
        "row_reconstructions": row_reconstruction_records(),
        "picture_reconstructions": picture_reconstruction_records(),
    }  # fmt: skip


def material(**replaced: pd.DataFrame) -> Material:
    return Material(
        preset="laptop",
        facts={"preset": "laptop", "scale": "laptop scale, stand-in signals", "paper_protocol": False},
        published=PUBLISHED,
        records=made_up_records() | replaced,
        arrays=made_up_arrays,
        signals=made_up_signals,
        reference={},
    )
