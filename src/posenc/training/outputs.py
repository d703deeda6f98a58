"""What a fit writes: values and weights."""

import csv
import io
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import save
from torch import Tensor

from posenc.files import write_bytes

VALUE_COLUMNS = (
    "member", "signal", "set", "item", "replicate", "condition", "split", "metric", "step", "value", "status",
)  # fmt: skip


def write_values(path: str | Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Values as CSV; numbers keep every digit, columns a row lacks stay empty."""
    text = io.StringIO()
    writer = csv.DictWriter(text, VALUE_COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_bytes(path, text.getvalue().encode())


def write_weights(path: str | Path, weights: Mapping[str, Tensor]) -> None:
    """Weights as safetensors."""
    write_bytes(path, save({name: tensor.cpu().contiguous() for name, tensor in weights.items()}))
