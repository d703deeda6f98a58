"""How the similarity of encoded points falls with their distance (Zheng et al. 2021, "distance preservation")."""

import torch
from torch import Tensor

from posenc.encodings.base import Encoding

MIDDLE = 0.5
BYTES_PER_SLAB = 1 << 20  # of features at once: what stays in the cache takes an eighth of the time


@torch.no_grad()
def similarity(encoding: Encoding, displacements: Tensor) -> Tensor:
    """D(delta) = <psi(mid), psi(mid + delta)> / (|psi(mid)| |psi(mid + delta)|) `(n,)`, in float64.

    mid is the middle of the domain, (1/2, ..., 1/2), and delta `(n,)` moves all coordinates alike, along the diagonal.
    The authors' "distance" D: 1 at 0, and the smaller the farther. nan where a point has no features.
    """
    middle = encoding(torch.full((encoding.in_dim,), MIDDLE, dtype=torch.float64))
    found = []
    for slab in (MIDDLE + displacements.double()).split(max(1, BYTES_PER_SLAB // (8 * len(middle)))):
        features = encoding(slab[:, None].expand(-1, encoding.in_dim))
        found.append(features @ middle / (features.norm(dim=-1) * middle.norm()))
    return torch.cat(found)


def half_width(displacements: Tensor, similarity: Tensor, level: float = 0.1) -> float | None:
    """Half the measure of the displacements at which D > level, straight lines between the given ones.

    displacements `(n,)` rise from -1/2 to 1/2 and similarity `(n,)` is theirs. None where D does not fall to the level
    anywhere: the width would be that of the domain, not of D.
    """
    steps = displacements.double().diff()
    if len(steps) == 0 or not bool((steps > 0).all()):
        raise ValueError("half width: give at least two displacements, in rising order")
    above = similarity.double() - level
    if not bool((above <= 0).any()):
        return None
    low = torch.minimum(above[:-1], above[1:])
    high = torch.maximum(above[:-1], above[1:])
    # A step between two sides of the level counts with the part of it that lies above.
    share = torch.where(low > 0, 1.0, (high / (high - low).clamp(min=torch.finfo(torch.float64).tiny)).clamp(min=0))
    return float((steps * share).sum() / 2)
