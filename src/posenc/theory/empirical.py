"""The tangent kernel of one finite network, as it is initialised or trained."""

import copy

import torch
from torch import Tensor, nn


def empirical_kernel(network: nn.Module, features: Tensor) -> Tensor:
    """Theta `(n, n)`: inner products of the output's gradients in all parameters, at features `(n, d)`.

    The network gives one value per point, as a `posenc.networks.mlp.MLP` with a stack of one and one output. Computed
    in float64, as far as the network lets it; memory is n times the number of parameters.
    """
    network = copy.deepcopy(network).double()
    values = network(features.double()).reshape(-1)
    parameters = list(network.parameters())
    each = torch.eye(len(values), dtype=values.dtype, device=values.device)
    # Batched products with the transposed Jacobian (torch.func's vmap): one backward pass for all outputs.
    gradients = torch.autograd.grad(values, parameters, each, is_grads_batched=True)
    rows = [gradient.flatten(start_dim=1).double() for gradient in gradients]
    return torch.stack([row @ row.T for row in rows]).sum(0)
