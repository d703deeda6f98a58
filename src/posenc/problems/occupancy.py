"""Occupancy of shapes: learn inside from outside at random points (Tancik et al. 2020, section 6.3, appendix E.2)."""

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn

from posenc.parameters import Count
from posenc.pool import box_points
from posenc.problems.score import Predict, Score

SPLITS = ("uniform", "boundary")
POINTS_ON_THE_WAY = 1 << 13  # of each split that are scored before the last update


class Occupancy:
    """A mesh in [0, 1]**3 as `posenc.signals.meshes` labels it, asked at `batch` points of its pool in each update.

    Update t takes the t-th batch of the pool, which starts over at its end: at the paper's settings no point comes
    twice. The networks give logits; loss: mean binary cross entropy. IoU: points with a positive logit against points
    inside, on the splits `uniform` (in the bounding box) and `boundary` (near the surface). Before the last update only
    the first 8192 points of each are asked. Meshes have boxes and points of their own, so each is fitted by itself.
    """

    name = "occupancy"
    takes = ("shapes",)  # kinds of signals
    output = "linear"
    dimensions = 3
    channels = 1
    chosen_by = ("iou", "boundary")
    fixed = False
    together = False

    def __init__(self, arrays: Mapping[str, Tensor], *, batch: Count = 32768) -> None:
        self.bits = arrays["train_labels"][0]
        self.batches = 8 * len(self.bits) // batch
        if not self.batches:
            raise ValueError(f"occupancy: a batch of {batch} points needs a pool of as many; raise signals.pool")
        self.batch = batch
        self.box = arrays["box"][0].cpu().numpy()
        self.tests = {split: (arrays[f"{split}_points"][0], arrays[f"{split}_labels"][0]) for split in SPLITS}

    def first(self, step: int) -> int:
        """The number in the pool of the first point of an update."""
        return (step - 1) % self.batches * self.batch

    def inputs(self, step: int) -> Tensor:
        """The points of an update, `(batch, 3)`."""
        return torch.from_numpy(box_points(self.box, self.first(step), self.batch)).to(self.bits.device)

    def targets(self, step: int) -> Tensor:
        """Which of them lie inside, `(batch,)` float32 of 0 and 1."""
        first = self.first(step)
        return unpacked(self.bits, first, first + self.batch).float()

    def loss(self, values: Tensor, step: int) -> Tensor:
        """Mean binary cross entropy, `(1,)`."""
        targets = self.targets(step).expand(len(values), -1)
        return nn.functional.binary_cross_entropy_with_logits(values[..., 0], targets, reduction="none").mean(dim=1)

    def scores(self, predict: Predict, last: bool) -> Iterator[Score]:
        for split, (points, bits) in self.tests.items():
            asked = points if last else points[:POINTS_ON_THE_WAY]
            inside = unpacked(bits, 0, len(asked))
            yield Score("iou", split, iou(predict(asked)[..., 0] > 0, inside))

    def shown(self, predict: Predict) -> dict[str, Tensor]:
        """Nothing: pictures of the shape are a measure."""
        return {}


def iou(found: Tensor, inside: Tensor) -> Tensor:
    """Points in both over points in either, `(stack,)`, 1 where there are none: found `(stack, n)`, inside `(n,)`."""
    both, either = (found & inside).sum(dim=-1), (found | inside).sum(dim=-1)
    return torch.where(either == 0, 1.0, both.double() / either)


def unpacked(bits: Tensor, first: int, end: int) -> Tensor:
    """Labels first .. end - 1 of packed bits, `(end - first,)` bool; eight to a byte, first bit highest."""
    packed = bits[first // 8 : (end + 7) // 8]
    shifts = torch.arange(7, -1, -1, device=bits.device, dtype=torch.uint8)
    return ((packed[:, None] >> shifts) & 1).flatten()[first % 8 : first % 8 + end - first].bool()
