"""Regression in one dimension: a function on [0, 1) from every so many of its points (Tancik et al. 2020)."""

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn

from posenc.parameters import Count
from posenc.problems.grid import Grid, half_open
from posenc.problems.score import Predict, Score, psnr


class LineRegression(nn.Module):
    """Functions `values` `(signals, N)` on N equispaced points of [0, 1), observed at every `factor`-th.

    Splits: `train` (the observed points) and `test` (the others, none where `factor` is 1). The loss is half the *sum*
    of squares, as in the authors' 1D notebooks, so that a learning rate times steps is the time of kernel regression.
    Metrics: `mse`, lower is better; `residual`, |FFT of the training residual| at the frequencies named in `bins`
    ("1 5 15"), not normalised, an item each; at the end `psnr` over all points, peak 1.

    Kept are the values on all points before and after training, and with `keeps_path` those at every scored step.
    """

    name = "line"
    takes = ("functions", "bumps")  # kinds of signals
    output = "linear"
    dimensions = 1
    channels = 1
    spacing = "factor"
    chosen_by = ("psnr", "all")
    fixed = True
    together = True
    keeps_start = True
    side_by_side_on_cpu = 10
    keeps_weights = False

    def __init__(
        self, arrays: Mapping[str, Tensor], *, factor: Count = 2, bins: str = "", keeps_path: bool = False
    ) -> None:
        super().__init__()
        self.functions = arrays["values"].float()
        count = self.functions.shape[1]
        if count % factor:
            raise ValueError(f"line: factor {factor} does not divide the {count} points")
        self.bins = [int(word) for word in bins.split()]
        if any(not 0 <= frequency <= count // factor // 2 for frequency in self.bins):
            raise ValueError(
                f"line: bins {bins!r} go beyond the frequency {count // factor // 2} of the training points"
            )
        places = half_open(count)
        self.everywhere = Grid((places,))
        self.observed = Grid((places[::factor],))
        self.observed_values = self.functions[:, ::factor]
        self.is_train = torch.arange(count, device=self.functions.device) % factor == 0
        self.keeps_path = keeps_path
        self.path: list[Tensor] = []

    def inputs(self, step: int) -> Grid:
        return self.observed

    def targets(self) -> Tensor:
        """The observed values `(signals, n, 1)`."""
        return self.observed_values[..., None]

    def loss(self, values: Tensor, step: int) -> Tensor:
        """Half the sum of squares of each signal, `(signals,)`."""
        return 0.5 * (values[..., 0] - self.observed_values).square().sum(dim=1)

    def scores(self, predict: Predict, last: bool) -> Iterator[Score]:
        """Mean squared errors and the training residual's magnitudes; at the end the PSNR."""
        values = predict(self.everywhere)[..., 0]
        if self.keeps_path:
            self.path.append(values)
        residuals = values.double() - self.functions.double()
        train = residuals[:, self.is_train]
        yield Score("mse", "train", train.square().mean(dim=1))
        if not self.is_train.all():
            yield Score("mse", "test", residuals[:, ~self.is_train].square().mean(dim=1))
        magnitudes = torch.fft.fft(train).abs()
        for frequency in self.bins:
            yield Score("residual", "train", magnitudes[:, frequency], item=f"bin {frequency}")
        if last:
            yield Score("psnr", "all", psnr(values, self.functions))

    def shown(self, predict: Predict) -> dict[str, Tensor]:
        """Values everywhere `(signals, N)` in float32; `path` `(signals, scored steps, N)`."""
        kept = {"": predict(self.everywhere)[..., 0]}
        return kept | ({"path": torch.stack(self.path, dim=1)} if self.path else {})

    def get_extra_state(self) -> Tensor:
        """The path so far, for a fit that is killed and goes on: `(scored steps, signals, N)`."""
        return torch.stack(self.path) if self.path else self.functions.new_empty(0, *self.functions.shape)

    def set_extra_state(self, state: Tensor) -> None:
        self.path = list(state.to(self.functions.device))
