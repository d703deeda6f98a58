"""Normal maps of a fitted shape (Tancik et al. 2020, Figure 16; procedure of the authors' notebook)."""

from collections.abc import Callable

import torch
from torch import Tensor

from posenc.measures.asked import Asked
from posenc.signals import camera

Ask = Callable[[Tensor], Tensor]  # points (n, 3) in [0, 1]**3 -> logits (n,)
RAYS_AT_A_TIME = 1 << 13
DEPTHS_AT_A_TIME = 16
REFINED = 1.275  # half width of the second pass, in spacings of the first: 0.01 for 256 samples over 2, as published


def shape_normals(asked: Asked) -> dict[str, Tensor]:
    """The fit's normal map (side, side, 3), float16, as large as the truth's.

    Parameters: `samples_per_pixel` of the side, but at least `fewest_samples` in each of the two passes.
    """
    side = asked.arrays["normals"].shape[1]
    samples = max(asked.parameters["fewest_samples"], int(asked.parameters["samples_per_pixel"] * side))
    return {"": normal_map(lambda points: asked.predict(points)[0, :, 0], asked.arrays["box"][0], side, samples).half()}


def normal_map(ask: Ask, box: Tensor, side: int, samples: int) -> Tensor:
    """(side, side, 3) normals of the surface where the logits turn positive, 0 where the camera sees none.

    Each ray is asked at `samples` depths, and once more at as many around the first of them that is inside. Normals are
    those of the points found, by differences to the next pixel. Outside the box (2, 3) nothing is inside.
    """
    rays = camera.rays(side)
    origin = torch.from_numpy(rays.origin).float().to(box.device)
    directions = torch.from_numpy(rays.directions).float().to(box.device)
    flat = directions.reshape(-1, 3)
    depths = torch.linspace(*camera.depth_range(box.cpu().numpy()), samples, device=box.device)
    depth = torch.cat([first_depths(ask, box, origin, some, depths) for some in flat.split(RAYS_AT_A_TIME)])
    return normals_of_depths(depth.reshape(side, side), origin, directions)


def first_depths(ask: Ask, box: Tensor, origin: Tensor, directions: Tensor, depths: Tensor) -> Tensor:
    """(n,) depths at which rays (n, 3) first are inside, looked for at equispaced depths; infinite where never."""
    coarse = first_inside(ask, box, origin, directions, depths.expand(len(directions), -1))
    hit = torch.isfinite(coarse)
    spread = torch.linspace(-1, 1, len(depths), device=box.device) * (REFINED * (depths[1] - depths[0]))
    refined = first_inside(ask, box, origin, directions[hit], coarse[hit, None] + spread)
    # the second pass need not have a sample at the very depth of the first, and may miss what is thinner than a step
    coarse[hit] = torch.where(torch.isfinite(refined), refined, coarse[hit])
    return coarse


def first_inside(ask: Ask, box: Tensor, origin: Tensor, directions: Tensor, depths: Tensor) -> Tensor:
    """(n,) the first of each ray's rising depths (n, samples) that is inside, infinite where none is.

    From front to back, some depths at a time: a ray that has met the surface is not asked any further.
    """
    found = torch.full((len(directions),), torch.inf, device=box.device)
    for some in depths.split(DEPTHS_AT_A_TIME, dim=1):
        (left,) = torch.nonzero(torch.isinf(found), as_tuple=True)
        inside = asked_inside(ask, box, origin + directions[left, None] * some[left, :, None])
        found[left] = torch.where(inside, some[left], torch.inf).amin(dim=1)
    return found


def asked_inside(ask: Ask, box: Tensor, points: Tensor) -> Tensor:
    """Whether points (..., 3) are inside: only those in the box are asked."""
    inside = ((points >= box[0]) & (points <= box[1])).all(dim=-1)
    if inside.any():
        inside[inside.clone()] = ask(points[inside]) > 0
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
