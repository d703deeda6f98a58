"""Image regression: learn a picture from every second pixel (Tancik et al. 2020, section 6.1 and appendix E.1)."""

from dataclasses import dataclass

import torch
from torch import Tensor

from posenc.problems.grid import Grid, half_open


@dataclass(frozen=True)
class Split:
    """Points that are scored together, with the true values `(signals, n, channels)` there."""

    grid: Grid
    targets: Tensor


class ImageRegression:
    """Pictures `(signals, H, W, channels)` in [0, 1], observed at the pixels [::2, ::2].

    Coordinates are half open, (x, y) in [0, 1)**2. Splits: `train` (the observed pixels), `test` (the offset quarter
    [1::2, 1::2]; Table 3) and `all` (every pixel, observed ones included; Figure 6). The training Nyquist frequency is
    H / 4 cycles per unit length.
    """

    name = "image"
    output = "sigmoid"
    dimensions = 2
    curve_splits = ("train", "test")

    def __init__(self, pictures: Tensor) -> None:
        height, width = pictures.shape[1:3]
        x, y = half_open(width), half_open(height)
        self.picture_shape = tuple(pictures.shape[1:])
        self.channels = pictures.shape[-1]
        self.splits = {
            "train": _split(pictures, x, y, slice(0, None, 2)),
            "test": _split(pictures, x, y, slice(1, None, 2)),
            "all": _split(pictures, x, y, slice(None)),
        }

    @staticmethod
    def loss(values: Tensor, targets: Tensor) -> Tensor:
        """Half the mean squared error of each signal, `(signals,)`."""
        return 0.5 * (values - targets).square().mean(dim=(1, 2))

    @staticmethod
    def psnr(values: Tensor, targets: Tensor) -> Tensor:
        """Peak signal-to-noise ratio of each signal in dB, `(signals,)`: peak 1, all channels, not clipped."""
        return -10 * torch.log10((values.double() - targets.double()).square().mean(dim=(1, 2)))


def _split(pictures: Tensor, x: Tensor, y: Tensor, pixels: slice) -> Split:
    chosen = pictures[:, pixels, pixels]
    return Split(Grid((x[pixels], y[pixels])), chosen.reshape(len(pictures), -1, pictures.shape[-1]))
