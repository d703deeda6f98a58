"""One frequency per axis."""

import torch

from posenc.encodings.base import FourierEncoding


class Basic(FourierEncoding):
    """gamma(v) = [sin(2 pi v), cos(2 pi v)]: B is the identity (Tancik et al. 2020, section 6.1, "basic")."""

    name = "basic"

    def __init__(self, in_dim: int, *, normalised: bool = False) -> None:
        super().__init__(torch.eye(in_dim), normalised)
