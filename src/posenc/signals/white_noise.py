"""White noise: independent N(0, 1) values (Zheng, Ramasinghe, Lucey 2021), which nothing but memory can reproduce."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from posenc.signals.sets import Entry, Proposal
from posenc.signals.stored import Signal

LICENCE = "drawn by this project"

_SEED = 2021  # of the whole kind; a draw adds its index


def propose(settings: Any, folder: Path | None) -> Proposal:
    """As many draws as are asked for, the first ones to tune; each is a source of its own."""
    names = [f"noise_{index:02d}" for index in range(settings.tuning + settings.report)]
    entries = [Entry(name=name, source=name, path="") for name in names]
    return Proposal("drawn", entries[: settings.tuning], entries[settings.tuning :])


def load_signal(asked: Mapping[str, str], spec: Mapping[str, Any]) -> Signal:
    """`values` `(size,)` float32; the numbers depend on the name alone, and a longer draw begins with a shorter one."""
    index = int(asked["name"].removeprefix("noise_"))
    draw = np.random.default_rng([_SEED, index]).standard_normal(spec["size"])
    return Signal({"values": draw.astype(np.float32)}, LICENCE, "")
