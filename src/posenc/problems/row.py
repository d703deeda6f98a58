"""Regression on rows of pictures and on white noise (Zheng, Ramasinghe, Lucey 2021, Rethinking Positional Encoding)."""

from collections.abc import Iterator, Mapping

from torch import Tensor

from posenc.parameters import EvenCount
from posenc.problems.grid import Grid
from posenc.problems.score import Predict, Score, psnr
from posenc.problems.splits import on_grid


class RowRegression:
    """Functions `values` `(signals, N)` on N equispaced points of [0, 1), observed at every `stride`-th.

    Splits: `train` [::stride], `test` [stride // 2::stride], halfway between, and `all` (every point, the observed
    ones, too). N need not be a multiple of the stride: both splits end where the row does. The loss is the mean squared
    error. PSNR: peak 1 whatever the signal's range, not clipped; so it is defined for a constant signal, infinite for
    an exact fit alone, and 0 dB for white noise of variance 1 predicted as zero. `layer_ranks` has the engine record
    the stable rank of every layer at each scored step.

    Kept is the prediction on all points.
    """

    name = "row"
    takes = ("rows", "white_noise")  # kinds of signals
    output = "linear"
    dimensions = 1
    channels = 1
    spacing = "stride"
    chosen_by = ("psnr", "test")
    fixed = True
    fits_squares = True
    together = True
    side_by_side_on_cpu = 10
    keeps_weights = False

    def __init__(self, arrays: Mapping[str, Tensor], *, stride: EvenCount = 2, layer_ranks: bool = False) -> None:
        values = arrays["values"].float()
        if values.ndim != 2:
            raise ValueError(f"row: values of shape {tuple(values.shape)}, expected (signals, points)")
        count = values.shape[1]
        if stride < 2 or stride % 2:
            raise ValueError(f"row: stride {stride} must be even, for test points to lie halfway between")
        if stride >= count:
            raise ValueError(f"row: stride {stride} leaves one of {count} points to train on; it must be below {count}")
        self.layer_ranks = layer_ranks
        samples = {"train": slice(0, None, stride), "test": slice(stride // 2, None, stride), "all": slice(None)}
        self.splits = {name: on_grid(values[..., None], chosen) for name, chosen in samples.items()}

    def inputs(self, step: int) -> Grid | Tensor:
        return self.splits["train"].where

    def targets(self) -> Tensor:
        """The observed values `(signals, n, 1)`."""
        return self.splits["train"].targets

    def loss(self, values: Tensor, step: int) -> Tensor:
        """Mean squared error of each signal, `(signals,)`."""
        return (values - self.targets()).square().mean(dim=(1, 2))

    def scores(self, predict: Predict, last: bool) -> Iterator[Score]:
        """PSNR of the observed points and of those halfway between; at the end also of all."""
        for name in ("train", "test", "all") if last else ("train", "test"):
            split = self.splits[name]
            yield Score("psnr", name, psnr(split.values(predict), split.targets))

    def shown(self, predict: Predict) -> dict[str, Tensor]:
        """Values everywhere `(signals, N)` in float32."""
        return {"": self.splits["all"].values(predict)[..., 0]}
