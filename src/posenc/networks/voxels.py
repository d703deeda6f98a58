"""No network: a value per voxel, optimised as weights are."""

import torch
from torch import Tensor, nn

from posenc.networks.inputs import AxisFeatures, Features
from posenc.networks.outputs import OUTPUTS
from posenc.parameters import Count


class Voxels(nn.Module):
    """`stack` equal grids of `size` voxels per axis, one per signal: the baseline of the authors' CT and MRI notebooks.

    It takes coordinates in [0, 1)**d, so it goes with the encoding `none`, and gives the value of the voxel that a
    point lies in, through the output's activation. Every voxel starts at zero before it, with a sigmoid at mid-grey
    (where the authors' grids start is not known).
    """

    name = "voxels"
    only_encoding = "none"

    def __init__(self, in_dim: int, out_dim: int, *, size: Count, output: str = "linear", stack: int = 1) -> None:
        super().__init__()
        self.size = size
        self.values = nn.Parameter(torch.zeros(stack, size**in_dim, out_dim))
        self.output = OUTPUTS[output]()

    def forward(self, features: Features) -> Tensor:
        coordinates = list(features.unbind(-1)) if isinstance(features, Tensor) else axis_coordinates(features)
        places = [self.voxel_on_axis(coordinate) for coordinate in coordinates]
        if isinstance(features, Tensor):
            place = sum(along * self.size**axis for axis, along in enumerate(places))
        else:  # a grid, its last axis slowest
            place = places[0]
            for axis, along in enumerate(places[1:], start=1):
                place = (along[:, None] * self.size**axis + place).flatten()
        return self.output(self.values[:, place].float())

    def voxel_on_axis(self, coordinates: Tensor) -> Tensor:
        """The voxel `(n,)` that each coordinate lies in; one that is a voxel's edge but for rounding is on the edge."""
        return (coordinates.float() * self.size + 1e-3).floor().long().clamp(0, self.size - 1)

    def state_of(self, index: int) -> dict[str, Tensor]:
        """The voxels `(n, out)` of one grid of the stack, the first axis fastest, by name."""
        return {"values": self.values.detach()[index].clone()}


def axis_coordinates(axes: list[AxisFeatures]) -> list[Tensor]:
    """The coordinates of each axis of a grid. Raises ValueError where an encoding made something else of them."""
    if any(values.shape[1] != 1 for values, _ in axes):
        raise ValueError("voxels take coordinates; use them with the encoding none")
    return [values[:, 0] for values, _ in axes]
