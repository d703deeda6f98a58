"""A fit of one picture, written as plainly as possible from the formulas: what the engine is held against.

Nothing here comes from the package. One picture, one list of parameters, no modules, no optimizer, no batching.
"""

import math

import torch
from torch import Tensor


def fitted(
    picture: Tensor, B: Tensor, weights: list[Tensor], biases: list[Tensor], steps: int, learning_rate: float
) -> Tensor:
    """The picture `(H, W, 3)` that the network shows after `steps` of full-batch Adam on every second pixel of it.

    B: `(m, 2)` in cycles per unit length; weights `(in, out)` and biases `(1, out)` to start from.
    """
    height, width = picture.shape[:2]
    points = torch.tensor([[[column / width, row / height] for column in range(width)] for row in range(height)])
    phases = 2 * math.pi * (points @ B.T)
    features = torch.cat([phases.sin(), phases.cos()], dim=-1)
    parameters = [tensor.clone().requires_grad_() for pair in zip(weights, biases, strict=True) for tensor in pair]

    def network(values: Tensor) -> Tensor:
        for layer in range(0, len(parameters) - 2, 2):
            values = torch.relu(values @ parameters[layer] + parameters[layer + 1])
        return torch.sigmoid(values @ parameters[-2] + parameters[-1])

    first = [torch.zeros_like(parameter) for parameter in parameters]
    second = [torch.zeros_like(parameter) for parameter in parameters]
    for step in range(1, steps + 1):
        loss = 0.5 * (network(features[::2, ::2]) - picture[::2, ::2]).square().mean()
        for i, gradient in enumerate(torch.autograd.grad(loss, parameters)):
            first[i] = 0.9 * first[i] + 0.1 * gradient
            second[i] = 0.999 * second[i] + 0.001 * gradient**2
            mean, square = first[i] / (1 - 0.9**step), second[i] / (1 - 0.999**step)
            parameters[i].data -= learning_rate * mean / (square.sqrt() + 1e-8)
    return network(features).detach()


def psnr(shown: Tensor, true: Tensor) -> float:
    """In dB, peak 1, not clipped."""
    return float(-10 * torch.log10((shown - true).square().mean()))
