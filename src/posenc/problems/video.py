"""Video regression: learn a clip from an eighth of its voxels (Zheng et al. 2022, arXiv 2205.08987)."""

from collections.abc import Iterator, Mapping
from typing import Literal

import torch
from torch import Tensor

from posenc.problems.grid import Grid
from posenc.problems.score import Predict, Score, psnr
from posenc.problems.splits import Split, at_random, off_grid, on_grid

OBSERVED = slice(0, None, 2)


class VideoRegression:
    """Clips `values` `(signals, T, H, W, 3)`, observed at every second voxel of each axis or at random.

    uint8 clips are taken to [0, 1], float32 ones as they are. Coordinates are half open, (x, y, t) in [0, 1)**3.
    Splits: `train` (the observed voxels [::2, ::2, ::2] or, with `sampling` random, an eighth of all, drawn from the
    fit's seed), `test` (the rest) and `all`. The loss is the mean squared error. PSNR: peak 1, over all voxels and
    channels of a clip at once, not clipped.

    Kept is one frame (a clip would fill the disk): the first in the middle or behind it whose number is odd, of which
    nothing is observed on the grid.
    """

    name = "video"
    takes = ("clips",)  # kinds of signals
    output = "linear"
    dimensions = 3
    channels = 3
    nyquist = 0.25  # of the observed voxels, in cycles per unit length, for each voxel of the side
    chosen_by = ("psnr", "test")
    fixed = True
    together = True

    def __init__(
        self, arrays: Mapping[str, Tensor], *, sampling: Literal["grid", "random"] = "grid", seed: int = 0
    ) -> None:
        values = arrays["values"]
        if values.ndim != 5 or values.shape[-1] != 3 or min(values.shape[1:4]) < 2:
            raise ValueError(
                f"video: values of shape {tuple(values.shape)}, expected (signals, frames, height, width, 3) with at"
                " least 2 voxels along each axis"
            )
        clips = values.float() / 255 if values.dtype == torch.uint8 else values
        if sampling == "random":
            self.splits = at_random(clips, 8, seed)
        else:
            everywhere = on_grid(clips, slice(None))
            self.splits = {
                "train": on_grid(clips, OBSERVED),
                "test": off_grid(clips, OBSERVED, everywhere),
                "all": everywhere,
            }
        self.frame_shape = tuple(clips.shape[2:])
        self.frame = frame_of(clips, self.splits["all"].where, clips.shape[1] // 2 | 1)

    def inputs(self, step: int) -> Grid | Tensor:
        return self.splits["train"].where

    def targets(self) -> Tensor:
        """The observed voxels `(signals, n, 3)`."""
        return self.splits["train"].targets

    def loss(self, values: Tensor, step: int) -> Tensor:
        """Mean squared error of each signal, `(signals,)`."""
        return (values - self.targets()).square().mean(dim=(1, 2))

    def scores(self, predict: Predict, last: bool) -> Iterator[Score]:
        """PSNR of the observed voxels and of the rest; at the end also of all."""
        for name in ("train", "test", "all") if last else ("train", "test"):
            split = self.splits[name]
            yield Score("psnr", name, psnr(split.values(predict), split.targets))

    def shown(self, predict: Predict) -> dict[str, Tensor]:
        """One frame `(signals, H, W, 3)` as predicted, and the `true` one, as float16."""
        frames = {"": self.frame.values(predict), "true": self.frame.targets}
        return {name: frame.reshape(len(frame), *self.frame_shape).half() for name, frame in frames.items()}


def frame_of(clips: Tensor, everywhere: Grid | Tensor, number: int) -> Split:
    """All voxels of one frame; frames lie one behind the other, time being the last axis."""
    if isinstance(everywhere, Grid):
        *plane, times = everywhere.axes
        where: Grid | Tensor = Grid((*plane, times[number : number + 1]))
    else:
        where = everywhere.unflatten(0, (len(clips[0]), -1))[number]
    return Split(where, clips[:, number].flatten(1, 2))
