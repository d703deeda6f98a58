"""The matrix products of a training step, by themselves: what a step's time is held against."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import measuring  # noqa: F401  (first: it puts the package on the path)
import torch
from torch import Tensor

from posenc.networks.inputs import Features
from posenc.networks.mlp import MLP


class Product(NamedTuple):
    """`(rows, inner) @ (inner, columns)` for each of `stack` networks, with operands laid out as a step has them."""

    stack: int
    rows: int
    inner: int
    columns: int
    transposed: str  # "", "left" or "right": the operand that is the transpose of what lies in memory
    dtype: torch.dtype

    @property
    def operations(self) -> int:
        """Multiplications and additions."""
        return 2 * self.stack * self.rows * self.inner * self.columns


def layer(stack: int, points: int, inner: int, outer: int, dtype: torch.dtype, first: bool) -> list[Product]:
    """Forward and gradient of the weights; gradient of the inputs except in a first layer, whose inputs stay."""
    forward = Product(stack, points, inner, outer, "", dtype)
    weights = Product(stack, inner, points, outer, "left", dtype)
    inputs = Product(stack, points, outer, inner, "right", dtype)
    return [forward, weights] if first else [forward, weights, inputs]


def of_step(network: MLP, features: Features, points: int, precision: str) -> list[Product]:
    """The products that a step really does: a first layer that is summed over axes has a small one per axis."""
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    (stack, inner, outer), *others = (weight.shape for weight in network.weights)
    if isinstance(features, Tensor):
        products = layer(stack, points, inner, outer, dtype, first=True)
    else:  # these stay in float32
        products = [
            product
            for axis in features
            for product in layer(stack, len(axis.values), len(axis.columns), outer, torch.float32, first=True)
        ]
    for stack, inner, outer in others:
        products += layer(stack, points, inner, outer, dtype, first=False)
    return products


def dense(network: MLP, points: int, precision: str) -> list[Product]:
    """The products of a step whose first layer is a product, too."""
    return of_step(network, torch.empty(0), points, precision)


def runner(products: Sequence[Product], device: torch.device) -> Callable[[], None]:
    """A function that does all of them, into memory that is there already."""
    prepared = [operands(product, device) for product in products]

    def run() -> None:
        for multiply, left, right, out in prepared:
            multiply(left, right, out=out)

    return run


def operands(product: Product, device: torch.device) -> tuple[Callable[..., Tensor], Tensor, Tensor, Tensor]:
    stack, rows, inner, columns, transposed, dtype = product
    draws = torch.Generator(device).manual_seed(0)

    def drawn(first: int, second: int, is_transposed: bool) -> Tensor:
        shape = (stack, second, first) if is_transposed else (stack, first, second)
        values = torch.randn(shape, generator=draws, device=device).to(dtype)
        return values.mT if is_transposed else values

    left, right = drawn(rows, inner, transposed == "left"), drawn(inner, columns, transposed == "right")
    out = torch.empty(stack, rows, columns, dtype=dtype, device=device)
    # A product of a single network need not go through the batched kernel, which is slower on a CPU.
    if stack == 1:
        return torch.mm, left[0], right[0], out[0]
    return torch.bmm, left, right, out


def operations(products: Sequence[Product]) -> int:
    return sum(product.operations for product in products)
