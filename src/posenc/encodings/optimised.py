"""Harmonics with the amplitudes that kernel regression finds best."""

from collections.abc import Mapping

import torch
from torch import Tensor

from posenc.encodings.weighted import WeightedFourier
from posenc.parameters import Positive


class Optimised(WeightedFourier):
    """Frequencies 1, 2, ..., m with amplitudes that minimise the predicted test error (Tancik et al. 2020, Figure 5).

    They are optimised for random signals whose spectrum falls as |k|^-alpha, by the theory study `best_amplitudes`,
    whose array `amplitudes/alpha=<alpha>` `(m,)` comes as part of `theory`. One dimension; features divided by ||a||.
    """

    name = "optimised"
    from_theory = "best_amplitudes"

    def __init__(self, in_dim: int, *, alpha: Positive, theory: Mapping[str, Tensor]) -> None:
        if in_dim != 1:
            raise ValueError(f"optimised: amplitudes are optimised for signals on a line, not in {in_dim} dimensions")
        name = f"amplitudes/alpha={alpha:g}"
        if name not in theory:
            known = ", ".join(sorted(theory)) or "nothing"
            raise ValueError(f"optimised: theory study {self.from_theory} has no array {name!r}; it has {known}")
        amplitudes = torch.as_tensor(theory[name])
        frequencies = torch.arange(1, len(amplitudes) + 1, dtype=torch.float32)[:, None]
        super().__init__(frequencies, amplitudes)
