"""Networks on the Kronecker product of the axes' features, which is never formed."""

import itertools
import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from posenc.networks.inputs import AxisFeatures, Blend, Features
from posenc.networks.least_squares import minimum_norm
from posenc.networks.outputs import OUTPUTS
from posenc.parameters import Count


class Kronecker(nn.Module):
    """`stack` equal networks on the code psi(z) x psi(y) x psi(x), one per signal (Zheng et al. 2022, "complex").

    The width of the code is the product of the axes' widths. On a grid, points last axis slowest, a dense layer of it
    is a product along each axis, (Psi(y) x Psi(x)) vec W = vec(Psi(x) W Psi(y)^T). `depth` counts dense layers: 1 is
    linear in the code, 2 has a hidden ReLU layer of `width` channels. As in the authors' code the first layer has no
    bias and starts uniform on +-1/sqrt(its channels), whatever the width of the code: those are `width`, or the outputs
    where depth is 1. The other layers start as torch's do. All networks of the stack start from the same draw.

    Scattered points come as a `Blend`: the first layer is taken on a virtual grid of `grid` points per axis (0: as many
    as the axis has features), and a point's is the weighted sum of those of its cell's corners.
    """

    name = "kronecker"
    each_axis = True  # is given an encoding of one coordinate for each axis
    closed_form_depth = 1  # the one that `solve` is for

    def __init__(
        self,
        in_dim: int,
        out_dim: int,
        *,
        depth: Count = 1,
        width: Count = 256,
        grid: Count = 0,  # the default is no count: the axes' own numbers of features
        axis_widths: Sequence[int],
        output: str = "linear",
        stack: int = 1,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.grid = grid
        channels = [*[width] * (depth - 1), out_dim]
        # Channels, then the axes, the last one first: as the points of a grid.
        first = uniform((channels[0], *reversed(axis_widths)), channels[0], generator)
        self.first = nn.Parameter(first.repeat(stack, *[1] * first.ndim))
        self.weights, self.biases = nn.ParameterList(), nn.ParameterList()
        for fan_in, fan_out in itertools.pairwise(channels):
            weight, bias = (uniform(shape, fan_in, generator) for shape in ((fan_out, fan_in), (fan_out, 1)))
            self.weights.append(nn.Parameter(weight.repeat(stack, 1, 1)))
            self.biases.append(nn.Parameter(bias.repeat(stack, 1, 1)))
        self.output = OUTPUTS[output]()

    def forward(self, features: Features | Blend) -> Tensor:
        if isinstance(features, Tensor):
            raise ValueError("kronecker takes the features of each axis, or points blended on a grid")
        if isinstance(features, Blend):
            hidden = blended(along_axes(features.axes, self.first), features)
        else:
            hidden = along_axes(features, self.first)
        for weight, bias in zip(self.weights, self.biases, strict=True):
            hidden = torch.baddbmm(bias, weight, torch.relu_(hidden))  # channels first: as the first layer gives them
        # In one piece: what a loss does with it would take longer in strides.
        return self.output(hidden.float().transpose(1, 2).contiguous())

    @torch.no_grad()
    def solve(self, features: Features | Blend, targets: Tensor) -> None:
        """Take the weights of least norm that come closest to targets `(stack, n, out_dim)` on a grid, with depth 1.

        W = pinv(Psi(x)) S pinv(Psi(y))^T: minimum-norm least squares along one axis after the other.
        """
        if not isinstance(self.output, nn.Identity):
            raise ValueError("least squares gives what stands before the output; take a linear one")
        if len(self.weights):
            raise ValueError("kronecker has a closed form with depth 1 alone")
        if isinstance(features, Blend | Tensor):
            raise ValueError("kronecker has a closed form on a grid alone, not at scattered points")
        lengths = [len(values) for values, _ in reversed(features)]
        found = targets.double().transpose(1, 2).unflatten(2, lengths)  # (stack, out_dim, last axis, ..., first axis)
        for axis, (values, _) in enumerate(features):
            along = found.movedim(-1 - axis, 0)
            solution = minimum_norm(values, along.flatten(1))
            found = solution.unflatten(1, along.shape[1:]).movedim(0, -1 - axis)
        self.first.copy_(found)

    def state_of(self, index: int) -> dict[str, Tensor]:
        """Weights of one network of the stack, by name: the first `(channels, last axis, ..., first axis)`."""
        return {name: parameter.detach()[index].clone() for name, parameter in self.named_parameters()}


def uniform(shape: tuple[int, ...], width: int, generator: torch.Generator) -> Tensor:
    """A draw on +-1/sqrt(width)."""
    bound = 1 / math.sqrt(width)
    return torch.empty(shape).uniform_(-bound, bound, generator=generator)


def along_axes(axes: Sequence[AxisFeatures], weight: Tensor) -> Tensor:
    """A dense layer `(stack, channels, last axis, ..., first axis)` of the code on a grid: `(stack, channels, n)`."""
    values = torch.matmul(weight, axes[0].values.T)
    for features, _ in axes[1:]:  # (..., features of the axis, points so far) -> (..., points so far)
        values = torch.matmul(features, values).flatten(-2)
    return values


def blended(values: Tensor, blend: Blend) -> Tensor:
    """Values `(stack, channels, grid points)` as the points of a blend have them: `(stack, channels, n)`."""
    summed: Tensor = WeightedSums.apply(values.float().flatten(0, 1), blend)
    return summed.unflatten(0, values.shape[:2])


class WeightedSums(torch.autograd.Function):
    """Columns `(channels, n)` that are sums of weighted columns `(channels, grid points)`.

    The gradient is such a sum, too, from the grid's side; torch's own adds row after row, which takes twenty times as
    long. Weights have none: what they come from is fixed. Both ways what comes out lies channel after channel: products
    of matrices, and what is done entry by entry, take several times as long where it does not.
    """

    @staticmethod
    def forward(ctx: Any, values: Tensor, blend: Blend) -> Tensor:
        ctx.blend = blend
        table = values.T.contiguous()
        sums = nn.functional.embedding_bag(blend.corners, table, per_sample_weights=blend.weights, mode="sum")
        return sums.T.contiguous()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        points, weights, starts = ctx.blend.from_the_grid
        table = gradient.T.contiguous()
        sums = nn.functional.embedding_bag(points, table, starts, per_sample_weights=weights, mode="sum")
        return sums.T.contiguous(), None
