"""One picture after the other in PyTorch, as one writes it without this project: float32, modules, torch's Adam."""

import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn


def features_of(B: Tensor, height: int, width: int) -> Tensor:
    """Sines and cosines `(height, width, 2 m)` of a picture's pixels, x first."""
    y, x = torch.meshgrid(
        torch.arange(height, device=B.device) / height, torch.arange(width, device=B.device) / width, indexing="ij"
    )
    phases = 2 * math.pi * torch.stack([x, y], dim=-1) @ B.T
    return torch.cat([phases.sin(), phases.cos()], dim=-1)


def network_of(weights: Sequence[Tensor], biases: Sequence[Tensor]) -> nn.Sequential:
    """ReLU layers and a sigmoid, starting from weights `(in, out)` and biases `(1, out)`."""
    layers: list[nn.Module] = []
    for weight, bias in zip(weights, biases, strict=True):
        linear = nn.Linear(weight.shape[0], weight.shape[1], device=weight.device)
        with torch.no_grad():
            linear.weight.copy_(weight.T)
            linear.bias.copy_(bias[0])
        layers += [linear, nn.ReLU()]
    return nn.Sequential(*layers[:-1], nn.Sigmoid())


def train(network: nn.Module, inputs: Tensor, targets: Tensor, steps: int, learning_rate: float) -> Iterator[int]:
    """Full-batch Adam; yields after each update."""
    optimizer = torch.optim.Adam(network.parameters(), lr=learning_rate)
    for step in range(steps):
        optimizer.zero_grad()
        loss = 0.5 * (network(inputs) - targets).square().mean()
        loss.backward()
        optimizer.step()
        yield step


def fit(
    picture: Tensor, B: Tensor, weights: Sequence[Tensor], biases: Sequence[Tensor], steps: int, learning_rate: float
) -> Tensor:
    """The picture `(H, W, 3)` that the network shows after training on every second pixel."""
    features = features_of(B, *picture.shape[:2])
    network = network_of(weights, biases)
    inputs, targets = features[::2, ::2].reshape(-1, features.shape[-1]), picture[::2, ::2].reshape(-1, 3)
    for _ in train(network, inputs, targets, steps, learning_rate):
        pass
    with torch.no_grad():
        shown: Tensor = network(features)
    return shown
