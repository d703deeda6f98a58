"""Image regression: learn a picture from a quarter of its pixels (Tancik et al. 2020, section 6.1 and appendix E.1)."""

from collections.abc import Iterator, Mapping
from typing import Literal

import torch
from torch import Tensor

from posenc.problems.grid import Grid
from posenc.problems.score import Predict, Score, psnr
from posenc.problems.splits import at_random, off_grid, on_grid

OBSERVED, OFFSET = slice(0, None, 2), slice(1, None, 2)


class ImageRegression:
    """Pictures `values` `(signals, H, W, channels)`, observed at the pixels [::2, ::2] or at random.

    uint8 pictures are taken to [0, 1], float32 ones as they are. Coordinates are half open, (x, y) in [0, 1)**2.
    Splits: `train` (the observed pixels), `test` and `all` (every pixel, the observed ones, too; Figures 6 and 11).
    `test` is the offset quarter [1::2, 1::2] (Table 3) or, with `rest`, every pixel that is not observed. With
    `sampling` random, a quarter of all pixels is drawn from the fit's seed, and `test` is the rest whatever is asked,
    since there is no offset quarter. The loss is half the mean squared error, as in the authors' code, or without
    `halved` the whole, as in that of Zheng et al. (2021, 2022): it matters beside weight decay. PSNR: peak 1, all
    channels, not clipped.
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
        test: Literal["offset", "rest"] = "offset",
        sampling: Literal["grid", "random"] = "grid",
        halved: bool = True,
        seed: int = 0,
    ) -> None:
        values = arrays["values"]
        pictures = values.float() / 255 if values.dtype == torch.uint8 else values
        self.output = output_activation
        self.share_of_error = 0.5 if halved else 1.0
        self.picture_shape = tuple(pictures.shape[1:])
        self.channels = pictures.shape[-1]
        if sampling == "random":
            self.splits = at_random(pictures, 4, seed)
        else:
            everywhere = on_grid(pictures, slice(None))
            self.splits = {
                "train": on_grid(pictures, OBSERVED),
                "test": on_grid(pictures, OFFSET) if test == "offset" else off_grid(pictures, OBSERVED, everywhere),
                "all": everywhere,
            }

    def inputs(self, step: int) -> Grid | Tensor:
        return self.splits["train"].where

    def targets(self) -> Tensor:
        """The observed pixels `(signals, n, channels)`. Raises ValueError where the output has an activation."""
        if self.output != "linear":
            raise ValueError(f"image: a solution in closed form needs output_activation linear, not {self.output}")
        return self.splits["train"].targets

    def loss(self, values: Tensor, step: int) -> Tensor:
        """The mean squared error of each signal, `(signals,)`, or half of it."""
        return self.share_of_error * (values - self.splits["train"].targets).square().mean(dim=(1, 2))

    def scores(self, predict: Predict, last: bool) -> Iterator[Score]:
        """PSNR of the observed pixels and of those that test; at the end also of all."""
        for name in ("train", "test", "all") if last else ("train", "test"):
            split = self.splits[name]
            yield Score("psnr", name, psnr(split.values(predict), split.targets))

    def shown(self, predict: Predict) -> dict[str, Tensor]:
        """The predicted picture `(signals, H, W, channels)`, as float16."""
        everywhere = self.splits["all"].values(predict)
        return {"": everywhere.reshape(len(everywhere), *self.picture_shape).half()}
