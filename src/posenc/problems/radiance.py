"""Radiance fields: learn a scene's colour and density in space from its views (Tancik et al. 2020, appendix E.5).

A simplified NeRF: one network, no viewing direction, no second sampling of the ray where the first found density.
"""

import hashlib
import math
from collections.abc import Iterator, Mapping
from typing import Literal

import torch
from torch import Tensor

from posenc.parameters import Count, Positive
from posenc.problems.score import Predict, Score, psnr

_POINTS_AT_ONCE = 1 << 18  # of a view that is rendered
_FOR_EVER = 1e10  # length of the last interval of a ray: what is behind `far` looks like the last sample


class RadianceField:
    """Views of one scene, seen through a field of colour and density `(n, 4)`.

    A ray is asked at `samples` depths between `near` and `far`; colours pass a sigmoid, densities a ReLU, both here and
    not in the network, and are composited on black. A step takes the next `batch` rays of all training views, which are
    shuffled once; the last batch of a pass is what is left. Depths are drawn anew in each step, one in each interval;
    a view is rendered from the lower ends of the intervals, all as in the authors' code.

    The authors' encodings have no 2 pi, sin(b p). Ours have, so coordinates are p / (2 pi) for a place p of the scene:
    a frequency in cycles per unit length is one in radians per unit of the scene, and sigma is the authors' number.

    Rays go through the corners of pixels, (column - W / 2) / focal, as the authors' do (`pixels: corners`), which is
    half a pixel off; `pixels: centres` is right, and matters where pixels are large.

    Score items: `view_00`, ... of the tuning and of the report views. While it trains only the first tuning view is
    scored.
    """

    name = "radiance"
    takes = ("scenes",)  # kinds of signals
    output = "linear"
    dimensions = 3
    channels = 4
    chosen_by = ("psnr", "test")
    fixed = False
    together = False

    def __init__(
        self,
        arrays: Mapping[str, Tensor],
        *,
        seed: int,
        batch: Count = 1024,
        samples: Count = 128,
        near: Positive = 2.0,
        far: Positive = 6.0,
        pixels: Literal["corners", "centres"] = "corners",
    ) -> None:
        (self.images,) = arrays["images"]  # (views, H, W, 3) uint8
        (self.poses,) = arrays["poses"]  # (views, 4, 4)
        (self.focal,) = arrays["focal"].tolist()
        (roles,) = arrays["roles"]
        self.views = [torch.nonzero(roles == role).flatten().tolist() for role in range(3)]
        self.device = self.images.device
        self.seed, self.batch, self.offset = seed, batch, 0.5 if pixels == "centres" else 0.0
        self.depths = torch.linspace(near, far, samples, device=self.device)
        self.interval = (far - near) / samples
        per_view = self.images[0, ..., 0].numel()
        shuffled = torch.randperm(len(self.views[0]) * per_view, generator=_draws(seed, 0))
        training = torch.tensor(self.views[0])
        self.order = (training[shuffled // per_view] * per_view + shuffled % per_view).to(self.device)
        self.observed = torch.empty(0)
        self.drawn = torch.empty(0)
        self.kept: dict[int, Tensor] = {}  # report views as they were scored at the end

    def inputs(self, step: int) -> Tensor:
        """Coordinates `(rays * samples, 3)` of the samples of a step's rays, a ray after the other."""
        batches = -(-len(self.order) // self.batch)
        start = (step - 1) % batches * self.batch
        origins, directions, self.observed = self.look(self.order[start : start + self.batch])
        drawn = torch.rand(len(origins), len(self.depths), generator=_draws(self.seed, step)).to(self.device)
        self.drawn = self.depths + self.interval * drawn
        return coordinates(origins, directions, self.drawn)

    def loss(self, values: Tensor, step: int) -> Tensor:
        """Mean squared error of the colours of the step's rays, `(stack,)`."""
        return (composited(values, self.drawn) - self.observed).square().mean(dim=(1, 2))

    def scores(self, predict: Predict, last: bool) -> Iterator[Score]:
        """PSNR of views that were not trained on: peak 1, over all pixels and channels, not clipped."""
        for views, called in zip(self.views[1:], ("tuning", "report"), strict=True):
            for place, view in enumerate(views):
                if last or (called == "tuning" and place == 0):
                    rendered = self.rendered(predict, view)
                    if last and called == "report":
                        self.kept[view] = rendered.half()
                    error = psnr(rendered, self.images[view].float() / 255)
                    yield Score("psnr", "test", error, f"view_{place:02d}", called)

    def shown(self, predict: Predict) -> dict[str, Tensor]:
        """The rendered report views, `(stack, views, H, W, 3)` float16."""
        for view in set(self.views[2]) - set(self.kept):
            self.kept[view] = self.rendered(predict, view).half()
        views = [self.kept[view] for view in self.views[2]]
        return {"": torch.stack(views, dim=1)}

    def rendered(self, predict: Predict, view: int) -> Tensor:
        """A view through the field, `(stack, H, W, 3)`."""
        height, width = self.images.shape[1:3]
        pixels = torch.arange(view * height * width, (view + 1) * height * width, device=self.device)
        pieces = []
        for piece in pixels.split(max(1, _POINTS_AT_ONCE // len(self.depths))):
            origins, directions, _ = self.look(piece)
            depths = self.depths.expand(len(piece), -1)
            pieces.append(composited(predict(coordinates(origins, directions, depths)), depths))
        return torch.cat(pieces, dim=1).unflatten(1, (height, width))

    def look(self, pixels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Origins and directions `(n, 3)` of the rays through pixels, counted over all views, and colours there.

        Directions have unit depth: a ray at t is t in front of the camera, measured along its axis.
        """
        height, width = self.images.shape[1:3]
        view, row, column = pixels // (height * width), pixels // width % height, pixels % width
        x = (column + self.offset - width / 2) / self.focal
        y = -(row + self.offset - height / 2) / self.focal
        own = torch.stack([x, y, -torch.ones_like(x)], dim=1)
        poses = self.poses[view]
        # Summed, not multiplied: autocast and TF32 would reach into a matrix product.
        directions = (own[:, None, :] * poses[:, :3, :3]).sum(dim=2)
        return poses[:, :3, 3], directions, self.images[view, row, column].float() / 255


def coordinates(origins: Tensor, directions: Tensor, depths: Tensor) -> Tensor:
    """Places on rays in the encodings' coordinates, `(rays * samples, 3)`; depths: `(rays, samples)`."""
    places = origins[:, None, :] + depths[..., None] * directions[:, None, :]
    return places.reshape(-1, 3) / (2 * math.pi)


def composited(values: Tensor, depths: Tensor) -> Tensor:
    """Colours `(stack, rays, 3)` on black from the network's values `(stack, rays * samples, 4)` at depths."""
    values = values.unflatten(1, depths.shape)
    weights, _ = seen_weights(values[..., 3].relu(), depths)
    return (weights[..., None] * values[..., :3].sigmoid()).sum(dim=2)


def seen_weights(densities: Tensor, depths: Tensor) -> tuple[Tensor, Tensor]:
    """How much each sample `(..., samples)` adds to what a ray sees, and what is let through to the background.

    A sample stands for the interval up to the next one; the last one's has no end. Weights and background sum to one.
    """
    lengths = torch.cat([depths.diff(dim=-1), torch.full_like(depths[..., :1], _FOR_EVER)], dim=-1)
    thickness = densities * lengths
    passed = torch.cat([torch.zeros_like(thickness[..., :1]), thickness.cumsum(dim=-1)], dim=-1)
    return torch.exp(-passed[..., :-1]) * -torch.expm1(-thickness), torch.exp(-passed[..., -1])


def _draws(seed: int, step: int) -> torch.Generator:
    """Where the random numbers of a step come from; mixed, because a generator keeps 32 bits of its seed."""
    mixed = hashlib.sha256(f"{seed} {step}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(mixed[:4], "little"))
