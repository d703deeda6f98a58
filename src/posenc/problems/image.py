"""Image regression: learn a picture from every second pixel (Tancik et al. 2020, section 6.1 and appendix E.1)."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from posenc.problems.grid import Grid, half_open
from posenc.problems.score import Predict, Score, psnr


@dataclass(frozen=True)
class Split:
    """Points that are scored together, with the true values `(signals, n, channels)` there."""

    grid: Grid
    targets: Tensor


class ImageRegression:
    """Pictures `values` `(signals, H, W, channels)`, observed at the pixels [::2, ::2].

    uint8 pictures are taken to [0, 1], float32 ones as they are. Coordinates are half open, (x, y) in [0, 1)**2.
    Splits: `train` (the observed pixels), `test` (the offset quarter [1::2, 1::2]; Table 3) and `all` (every pixel,
    the observed ones, too; Figures 6 and 11). PSNR: peak 1, all channels, not clipped.
    """

    name = "image"
    takes = ("natural", "text", "sinusoids")  # kinds of signals
    dimensions = 2
    nyquist = 0.25  # of the observed pixels, in cycles per unit length, for each pixel of the side
    chosen_by = ("psnr", "test")
    fixed = True
    together = True

    def __init__(
        self,
        arrays: Mapping[str, Tensor],
        *,
        output_activation: Literal["sigmoid", "tanh", "linear"] = "sigmoid",
    ) -> None:
        values = arrays["values"]
        pictures = values.float() / 255 if values.dtype == torch.uint8 else values
        height, width = pictures.shape[1:3]
        x, y = half_open(width), half_open(height)
        self.output = output_activation
        self.picture_shape = tuple(pictures.shape[1:])
        self.channels = pictures.shape[-1]
        self.splits = {
            "train": _split(pictures, x, y, slice(0, None, 2)),
            "test": _split(pictures, x, y, slice(1, None, 2)),
            "all": _split(pictures, x, y, slice(None)),
        }

    def inputs(self, step: int) -> Grid:
        return self.splits["train"].grid

    def loss(self, values: Tensor, step: int) -> Tensor:
        """Half the mean squared error of each signal, `(signals,)`."""
        return 0.5 * (values - self.splits["train"].targets).square().mean(dim=(1, 2))

    def scores(self, predict: Predict, last: bool) -> Iterator[Score]:
        """PSNR of the observed pixels and of the offset quarter; at the end also of all."""
        for split in ("train", "test", "all") if last else ("train", "test"):
            yield Score("psnr", split, psnr(predict(self.splits[split].grid), self.splits[split].targets))

    def shown(self, predict: Predict) -> dict[str, Tensor]:
        """The predicted picture `(signals, H, W, channels)`, as float16."""
        everywhere = predict(self.splits["all"].grid)
        return {"": everywhere.reshape(len(everywhere), *self.picture_shape).half()}


def _split(pictures: Tensor, x: Tensor, y: Tensor, pixels: slice) -> Split:
    chosen = pictures[:, pixels, pixels]
    return Split(Grid((x[pixels], y[pixels])), chosen.reshape(len(pictures), -1, pictures.shape[-1]))
