"""Random frequencies of other laws than the normal one (Tancik et al. 2020, Table 2)."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from posenc.encodings.base import FourierEncoding
from posenc.parameters import EvenCount, Positive

# In one dimension a frequency is a draw of the law itself. In more, where the paper only says "isotropic" and has no
# code, it is a random direction, uniform on the sphere, times a draw of the law: a length, or its negative, which
# gives the same features up to the sines' signs. (The normal law's entries are independent instead: `gaussian`.)


def isotropic(lengths: Tensor, in_dim: int, generator: torch.Generator) -> Tensor:
    """Frequencies `(m, in_dim)` of the given lengths `(m,)`, in random directions where there are several axes."""
    if in_dim == 1:
        return lengths[:, None]
    directions = torch.randn(len(lengths), in_dim, generator=generator)
    return lengths[:, None] * directions / directions.norm(dim=1, keepdim=True)


class Sampled(FourierEncoding, ABC):
    """Frequencies of random lengths, in random directions where d > 1; the laws below say which lengths.

    `features` counts sines and cosines; sigma is in cycles per unit length. `normalised` divides the features by the
    root of the number of frequencies. The draw comes from `generator` alone, lengths first.
    """

    def __init__(
        self,
        in_dim: int,
        *,
        sigma: Positive,
        features: EvenCount = 512,
        normalised: bool = False,
        generator: torch.Generator,
    ) -> None:
        lengths = self.lengths(sigma, features // 2, generator)
        super().__init__(isotropic(lengths, in_dim, generator), normalised)

    @staticmethod
    @abstractmethod
    def lengths(sigma: float, count: int, generator: torch.Generator) -> Tensor:
        """`(count,)` draws of the law; a negative one is the opposite direction."""


class Uniform(Sampled):
    """Frequencies sigma U, U uniform on [0, 1), in random directions where d > 1 (Tancik et al. 2020, Table 2).

    sigma is the largest frequency.
    """

    name = "uniform"
    sigma_unit = "cycles"

    @staticmethod
    def lengths(sigma: float, count: int, generator: torch.Generator) -> Tensor:
        return sigma * torch.rand(count, generator=generator)


class UniformLog(Sampled):
    """Frequencies sigma^U, U uniform on [0, 1), in random directions where d > 1 (Tancik et al. 2020, Table 2).

    Their density is 1 / (b log sigma) between 1 and sigma: the random counterpart of log-spaced frequencies. sigma is
    the largest frequency (below 1, the smallest).
    """

    name = "uniform_log"
    sigma_unit = "cycles"

    @staticmethod
    def lengths(sigma: float, count: int, generator: torch.Generator) -> Tensor:
        drawn: Tensor = sigma ** torch.rand(count, generator=generator)
        return drawn


class Laplace(Sampled):
    """Frequencies sigma L, L of density exp(-|b|) / 2, in random directions where d > 1 (Tancik et al. 2020, Table 2).

    sigma is the mean absolute frequency; the root of the mean square is sqrt(2) sigma.
    """

    name = "laplace"
    sigma_unit = "cycles"

    @staticmethod
    def lengths(sigma: float, count: int, generator: torch.Generator) -> Tensor:
        uniform = torch.rand(2, count, generator=generator)
        # A difference of two exponential draws; 1 - U is never 0.
        return sigma * ((1 - uniform[0]).log() - (1 - uniform[1]).log())
