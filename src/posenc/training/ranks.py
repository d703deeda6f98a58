"""Stable ranks of what a network makes of its inputs, layer by layer."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from posenc.encodings.base import Encoding
from posenc.problems.grid import Grid


@torch.no_grad()
def layer_ranks(
    encoding: Encoding, network: nn.Module, where: Grid | Tensor, device: torch.device
) -> Iterator[tuple[str, Tensor]]:
    """Stable ranks of the features, `input` `(1,)`, and of the hidden activations, `layer 1` ... `(stack,)`.

    Networks without hidden layers have the first alone.
    """
    points = where.points() if isinstance(where, Grid) else where
    features = encoding(points.to(device))
    yield "input", stable_ranks(features[None])
    hidden: Any = getattr(network, "hidden", lambda _: ())
    for number, activations in enumerate(hidden(features), start=1):
        yield f"layer {number}", stable_ranks(activations)


def stable_ranks(matrices: Tensor) -> Tensor:
    """||A||_F**2 / ||A||_2**2 of each of `(stack, n, width)`, `(stack,)`, from the smaller Gram matrix in float64."""
    matrices = matrices.double()
    if matrices.shape[1] > matrices.shape[2]:
        matrices = matrices.mT
    gram = matrices @ matrices.mT
    largest = torch.linalg.eigvalsh(gram)[:, -1]
    return gram.diagonal(dim1=1, dim2=2).sum(dim=1) / largest
