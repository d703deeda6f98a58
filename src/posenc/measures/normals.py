"""Normal maps of a fitted shape (Tancik et al. 2020, Figure 16; procedure of the authors' notebook)."""

from collections.abc import Callable

import torch
from torch import Tensor

from posenc.signals import camera

Ask = Callable[[Tensor], Tensor]  # points (n, 3) in [0, 1]**3 -> logits (n,)
RAYS_AT_A_TIME = 1 << 12
REFINED = 1.275  # half width of the second pass, in spacings of the first: 0.01 for 256 samples, as published


def normal_map(ask: Ask, box: Tensor, side: int, samples: int) -> Tensor:
    """(side, side, 3) normals of the surface where the logits turn positive, 0 where the camera sees none.

    Each ray is asked at `samples` depths, and once more at as many around the first of them that is inside. Normals are
    those of the points found, by differences to the next pixel. Outside the box (2, 3) nothing is inside.
    """
    rays = camera.rays(side)
    origin = torch.from_numpy(rays.origin).float().to(box.device)
    directions = torch.from_numpy(rays.directions).float().to(box.device)
    flat = directions.reshape(-1, 3)
    depth = torch.cat([first_depths(ask, box, origin, some, samples) for some in flat.split(RAYS_AT_A_TIME)])
    return normals_of_depths(depth.reshape(side, side), origin, directions)


@torch.no_grad()
def first_depths(ask: Ask, box: Tensor, origin: Tensor, directions: Tensor, samples: int) -> Tensor:
    """(n,) depths at which rays (n, 3) first are inside; infinite for those that never are."""
    depths = torch.linspace(camera.NEAR, camera.FAR, samples, device=box.device)
    inside = asked_inside(ask, box, origin + directions[:, None] * depths[:, None])
    hit = inside.any(dim=1)
    coarse = depths[inside.int().argmax(dim=1)[hit]]
    spread = torch.linspace(-1, 1, samples, device=box.device) * (REFINED * (depths[1] - depths[0]))
    around = coarse[:, None] + spread
    again = asked_inside(ask, box, origin + directions[hit][:, None] * around[..., None])
    refined = around.gather(1, again.int().argmax(dim=1, keepdim=True))[:, 0]
    found = torch.full((len(directions),), torch.inf, device=box.device)
    # the second pass need not have a sample at the very depth of the first, and may miss what is thinner than a step
    found[hit] = torch.where(again.any(dim=1), refined, coarse)
    return found


def asked_inside(ask: Ask, box: Tensor, points: Tensor) -> Tensor:
    """Whether points (..., 3) are inside: only those in the box are asked."""
    near = ((points >= box[0]) & (points <= box[1])).all(dim=-1)
    inside = torch.zeros_like(near)
    inside[near] = ask(points[near]) > 0
    return inside


def normals_of_depths(depth: Tensor, origin: Tensor, directions: Tensor) -> Tensor:
    """(H, W, 3) unit normals from depths (H, W): none in the last row and column and beside the background."""
    points = origin + directions * depth[..., None]
    along_rows, along_columns = points[:-1, :-1] - points[1:, :-1], points[:-1, :-1] - points[:-1, 1:]
    normals = torch.linalg.cross(along_rows, along_columns)
    normals = normals / normals.norm(dim=-1, keepdim=True).clamp_min(1e-12)
    seen = torch.isfinite(depth)
    known = seen[:-1, :-1] & seen[1:, :-1] & seen[:-1, 1:]
    picture = torch.zeros_like(points)
    picture[:-1, :-1] = torch.where(known[..., None], normals, 0.0)
    return picture
