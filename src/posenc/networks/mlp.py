"""Fully connected networks, several at once."""

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from posenc.networks.inputs import AxisFeatures, Features
from posenc.networks.outputs import OUTPUTS
from posenc.parameters import Count


class MLP(nn.Module):
    """`stack` equal ReLU networks side by side, one per signal, each of `depth` dense layers and `width` channels.

    "4 layers" of the paper is depth 4: three hidden ReLU layers and one linear output layer. Features `(n, in_dim)`,
    shared by all networks, become values `(stack, n, out_dim)`. Features that come by the axes of a grid never become
    `(n, in_dim)`: the first layer is a sum over the axes, so it costs a product per axis instead of one per point.

    `initialisation` as the authors' (Tancik et al. 2020, code). `glorot`, of the tasks: Glorot-normal weights, which in
    their library is a normal truncated at two standard deviations and rescaled to variance 2 / (fan_in + fan_out), and
    biases N(0, 0.01**2). `lecun`, of the studies in one dimension: weights N(0, 1 / fan_in) and biases 0, the standard
    parameterisation with W_std 1 and b_std 0. `uniform`, torch's default, of Zheng et al. (2021, 2022): weights and
    biases uniform on +-1 / sqrt(fan_in). All networks of the stack start from the same draw, as the authors used
    one key for every picture.
    """

    name = "mlp"

    def __init__(
        self,
        in_dim: int,
        out_dim: int,
        *,
        depth: Count = 4,
        width: Count = 256,
        initialisation: Literal["glorot", "lecun", "uniform"] = "glorot",
        output: str = "linear",
        stack: int = 1,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        widths = [in_dim, *[width] * (depth - 1), out_dim]
        self.weights = nn.ParameterList()
        self.biases = nn.ParameterList()
        for fan_in, fan_out in itertools.pairwise(widths):
            if initialisation == "glorot":
                weight = glorot_normal(fan_in, fan_out, generator)
                bias = 0.01 * torch.randn(1, fan_out, generator=generator)
            elif initialisation == "lecun":
                weight = torch.randn(fan_in, fan_out, generator=generator) / math.sqrt(fan_in)
                bias = torch.zeros(1, fan_out)
            else:
                bound = 1 / math.sqrt(fan_in)
                weight = torch.empty(fan_in, fan_out).uniform_(-bound, bound, generator=generator)
                bias = torch.empty(1, fan_out).uniform_(-bound, bound, generator=generator)
            self.weights.append(nn.Parameter(weight.repeat(stack, 1, 1)))
            self.biases.append(nn.Parameter(bias.repeat(stack, 1, 1)))
        self.output = OUTPUTS[output]()

    def forward(self, features: Features) -> Tensor:
        hidden = self.first_layer(features)
        for weight, bias in zip(self.weights[1:], self.biases[1:], strict=True):
            hidden = dense(torch.relu_(hidden), weight, bias)  # in place: no copy in memory
        return self.output(hidden.float())

    def first_layer(self, features: Features) -> Tensor:
        """What the first layer gives, before its ReLU: `(stack, n, width)`."""
        if isinstance(features, Tensor):
            return dense(features.expand(len(self.weights[0]), *features.shape), self.weights[0], self.biases[0])
        return summed_over_axes(features, self.weights[0], self.biases[0])

    def hidden(self, features: Features) -> Iterator[Tensor]:
        """Activations `(stack, n, width)` of each hidden layer, after its ReLU."""
        hidden = self.first_layer(features)
        for weight, bias in zip(self.weights[1:], self.biases[1:], strict=True):
            hidden = torch.relu(hidden)
            yield hidden
            hidden = dense(hidden, weight, bias)

    def state_of(self, index: int) -> dict[str, Tensor]:
        """Weights `(in, out)` and biases `(1, out)` of one network of the stack, by name."""
        return {name: parameter.detach()[index].clone() for name, parameter in self.named_parameters()}


def dense(hidden: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return torch.baddbmm(bias, hidden, weight)


def summed_over_axes(axes: Sequence[AxisFeatures], weight: Tensor, bias: Tensor) -> Tensor:
    """What `dense` gives on a grid, `(stack, n, width)` with the last axis slowest, from the features of its axes.

    The products are small and autocast does not reach them; only their sum over the grid is rounded to what that
    computes in.
    """
    device = weight.device.type
    reduced = torch.is_autocast_enabled(device)
    with torch.autocast(device, enabled=False):
        along = [torch.matmul(values, weight[:, columns]) for values, columns in axes]
        along[0] = along[0] + bias
    if reduced:
        along = [part.to(torch.get_autocast_dtype(device)) for part in along]
    total = along[0]
    for part in along[1:]:
        total = (part[:, :, None] + total[:, None]).flatten(1, 2)
    return total


def glorot_normal(fan_in: int, fan_out: int, generator: torch.Generator) -> Tensor:
    """A `(fan_in, fan_out)` draw of the truncated normal with variance 2 / (fan_in + fan_out)."""
    truncated_std = 0.87962566103423978  # of a standard normal cut at two standard deviations
    std = math.sqrt(2 / (fan_in + fan_out)) / truncated_std
    weight = torch.empty(fan_in, fan_out)
    return nn.init.trunc_normal_(weight, 0.0, std, -2 * std, 2 * std, generator=generator)
