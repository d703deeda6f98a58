"""How large the weights of networks are: counted, not trained."""

import torch

from posenc.encodings.gaussian import Gaussian
from posenc.networks.mlp import MLP
from posenc.theory.study import Found, Inputs

BYTES = 4  # of a float32
MEGABYTE = 1e6


def network_sizes(inputs: Inputs) -> Found:
    """Weights and biases of networks behind Gaussian features, and the megabytes (10**6 bytes) they take in float32.

    Parameters: `networks`, by name `dimensions`, `features`, `channels`, `depth` and `width`. The fixed frequencies
    are not counted: they follow from a seed.
    """
    rows = []
    for name, asked in inputs.parameters["networks"].items():
        draws = torch.Generator().manual_seed(0)
        encoding = Gaussian(asked["dimensions"], sigma=1.0, features=asked["features"], generator=draws)
        shape = {"depth": asked["depth"], "width": asked["width"]}
        network = MLP(encoding.out_dim, asked["channels"], **shape, generator=draws)
        count = sum(parameter.numel() for parameter in network.parameters())
        about = {"encoding": Gaussian.name, "condition": name}
        rows.append({**about, "metric": "parameters", "value": float(count)})
        rows.append({**about, "metric": "megabytes", "value": count * BYTES / MEGABYTE})
    return Found(rows)
