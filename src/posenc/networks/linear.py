"""Linear models of the features, several at once."""

import math

import torch
from torch import Tensor, nn

from posenc.networks.inputs import AxisFeatures, Features
from posenc.networks.least_squares import minimum_norm
from posenc.networks.mlp import summed_over_axes
from posenc.networks.outputs import OUTPUTS


class Linear(nn.Module):
    """`stack` equal linear layers with bias side by side, one per signal: w psi(x) + b (Zheng et al. 2021, section 3).

    Features `(n, in_dim)`, shared by all, become values `(stack, n, out_dim)` in one matrix product. Weights and biases
    start uniform on +-1/sqrt(in_dim), torch's default, which the authors use; every layer of the stack from the same
    draw.
    """

    name = "linear"

    def __init__(
        self, in_dim: int, out_dim: int, *, output: str = "linear", stack: int = 1, generator: torch.Generator
    ) -> None:
        super().__init__()
        bound = 1 / math.sqrt(in_dim)
        weight = torch.empty(out_dim, in_dim).uniform_(-bound, bound, generator=generator)
        bias = torch.empty(1, out_dim).uniform_(-bound, bound, generator=generator)
        self.weight = nn.Parameter(weight.repeat(stack, 1, 1))
        self.bias = nn.Parameter(bias.repeat(stack, 1, 1))
        self.output = OUTPUTS[output]()

    def forward(self, features: Features) -> Tensor:
        if not isinstance(features, Tensor):
            return self.output(summed_over_axes(features, self.weight.transpose(1, 2), self.bias).float())
        # So few rows times a matrix take half the time of a matrix times so few columns.
        values = torch.addmm(self.bias.reshape(-1, 1), self.weight.flatten(0, 1), features.T)
        return self.output(values.float().unflatten(0, self.weight.shape[:2]).transpose(1, 2))

    def squared_errors(self, features: Tensor, targets: Tensor) -> "SquaredErrors":
        """The mean squared errors of targets `(stack, n, out_dim)`, without an output's activation."""
        return SquaredErrors(self, features, targets)

    @torch.no_grad()
    def solve(self, features: Features, targets: Tensor) -> None:
        """Take the weights and biases of least norm that come closest to targets `(stack, n, out_dim)`."""
        if not isinstance(self.output, nn.Identity):
            raise ValueError("least squares gives what stands before the output; take a linear one")
        points = features if isinstance(features, Tensor) else at_points(features)
        with_bias = torch.cat([points, points.new_ones(len(points), 1)], dim=1)
        found = minimum_norm(with_bias, targets.transpose(0, 1).flatten(1))  # (in_dim + 1, stack * out_dim)
        by_output = found.T.reshape(*self.weight.shape[:2], -1)
        self.weight.copy_(by_output[..., :-1])
        self.bias.copy_(by_output[..., -1][:, None])

    def state_of(self, index: int) -> dict[str, Tensor]:
        """Weight `(out, in)` and bias `(1, out)` of one layer of the stack, by name."""
        return {name: parameter.detach()[index].clone() for name, parameter in self.named_parameters()}


class SquaredErrors:
    """Mean squared errors of linear models at points that stay, and their gradients by two matrix products.

    Where models are small, autograd takes longer than the processor, and so does every tensor that is made anew.
    """

    def __init__(self, model: Linear, features: Tensor, targets: Tensor) -> None:
        self.stack, out_dim, _ = model.weight.shape
        self.features = features
        self.targets = targets.transpose(1, 2).flatten(0, 1)
        self.errors, self.scaled = torch.empty_like(self.targets), torch.empty_like(self.targets)
        self.scale = 2 / (len(features) * out_dim)
        model.weight.grad, model.bias.grad = torch.zeros_like(model.weight), torch.zeros_like(model.bias)
        self.weight, self.weight_gradient = model.weight.detach().flatten(0, 1), model.weight.grad.flatten(0, 1)
        self.bias, self.bias_gradient = model.bias.detach().view(-1, 1), model.bias.grad.view(-1, 1)

    @torch.no_grad()
    def differentiate(self) -> None:
        """Leave the gradients in the parameters, as `backward` of the sum of the losses would."""
        torch.addmm(self.bias, self.weight, self.features.T, out=self.errors).sub_(self.targets)
        torch.mul(self.errors, self.scale, out=self.scaled)
        torch.mm(self.scaled, self.features, out=self.weight_gradient)
        torch.sum(self.scaled, dim=1, keepdim=True, out=self.bias_gradient)

    def losses(self) -> Tensor:
        """Their values `(stack,)` at the weights that were differentiated last."""
        return self.errors.square().view(self.stack, -1).mean(dim=1)


def at_points(axes: list[AxisFeatures]) -> Tensor:
    """The features `(n, in_dim)` of a grid's points, last axis slowest, from those of its axes."""
    lengths = [len(values) for values, _ in reversed(axes)]
    features = axes[0].values.new_zeros(*lengths, sum(len(columns) for _, columns in axes))
    for axis, (values, columns) in enumerate(axes):
        shape = [1] * len(axes)
        shape[-1 - axis] = len(values)
        features[..., columns] = values.reshape(*shape, -1).expand(*lengths, -1)
    return features.flatten(0, -2)
