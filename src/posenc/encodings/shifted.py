"""Shifted encodings: one function, moved to equispaced centres along each axis (Zheng et al. 2021, "shifted basis")."""

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor

from posenc.encodings.base import Encoding, bounded_rank
from posenc.parameters import Count, Positive


class Shifted(Encoding, ABC):
    """psi_j(v) = phi(u - t_j), t_j = j / m on [0, 1): a function phi about m centres on each of some lines u.

    Lines are the axes; with `diagonals`, in two dimensions, also (x + y) / 2 and (x - y + 1) / 2 (Zheng et al. 2022,
    code). `features` counts those of all lines, so m = features // lines and what does not divide is dropped; they run
    line by line. `normalised` features are divided by their norm at the middle of the domain; the authors divide by the
    largest norm of the points at hand, which for a profile much narrower than the domain is the same.

    Closed forms are for one axis without ends and infinitely many centres. They give the stable rank of equispaced
    points, N until it meets its plateau, and the similarity D(delta).
    """

    norm = 1.0

    def __init__(self, in_dim: int, features: int, diagonals: bool) -> None:
        if diagonals and in_dim != 2:
            raise ValueError(f"{self.name}: diagonals are lines of two dimensions, not of {in_dim}")
        lines = in_dim + 2 if diagonals else in_dim
        if features < lines:
            raise ValueError(f"{self.name}: {features} features are too few for {lines} lines (at least {lines})")
        centres = features // lines
        super().__init__(in_dim, lines * centres)
        self.centres, self.diagonals = centres, diagonals  # centres: m, of one line

    @abstractmethod
    def along(self, positions: Tensor) -> Tensor:
        """Features `(..., m)` of positions `(...)` along a line, not normalised."""

    def plateau(self) -> float | None:
        """The stable rank of very many points on a circle; None where it has no closed form."""
        return None

    def positions(self, coordinates: Tensor) -> Tensor:
        """Where points `(..., d)` lie along the lines, `(..., lines)`, in float32 at least."""
        axes = coordinates.to(torch.promote_types(coordinates.dtype, torch.float32))
        if not self.diagonals:
            return axes
        x, y = axes.unbind(-1)
        return torch.stack([x, y, (x + y) / 2, (x - y + 1) / 2], dim=-1)

    def forward(self, coordinates: Tensor) -> Tensor:
        features = self.along(self.positions(coordinates)).flatten(-2)
        return features if self.norm == 1.0 else features / self.norm

    def norm_at_middle(self) -> float:
        """The norm of the features at the middle of the domain, to divide by."""
        middle = torch.full((self.in_dim,), 0.5, dtype=torch.float64)
        norm = float(self.along(self.positions(middle)).norm())
        if norm == 0:
            raise ValueError(
                f"{self.name}: no feature reaches the middle of the domain, so there is no norm to divide by; give more"
                f" than {self.centres} centres per line, a larger sigma, or normalised: false"
            )
        return norm

    def axis_columns(self) -> list[Tensor] | None:
        return None if self.diagonals else list(torch.arange(self.out_dim).split(self.centres))

    def closed_rank(self, samples: int) -> float | None:
        plateau = self.plateau()
        return None if plateau is None else bounded_rank(plateau, samples)

    def bandwidth(self) -> float | None:
        """Sigma of the Gaussian random features of the same stable rank, in cycles per unit length."""
        plateau = self.plateau()
        return None if plateau is None or math.isinf(plateau) else plateau / math.sqrt(2 * math.pi)


class Profile(Shifted):
    """A shifted encoding whose phi is a function of the displacement; what its classes have in common."""

    @abstractmethod
    def profile(self, displacements: Tensor) -> Tensor:
        """Phi at displacements u - t_j, elementwise."""

    def along(self, positions: Tensor) -> Tensor:
        centres = torch.arange(self.centres, dtype=positions.dtype, device=positions.device) / self.centres
        return self.profile(positions[..., None] - centres)


class Bump(Profile):
    """A phi around its centre, of width sigma in unit lengths, on the line from 0 to 1 or, `periodic`, on a circle.

    On the circle displacements are wrapped to [-1/2, 1/2), as in the circulant matrices of the authors' notebooks; on
    the line points near its ends have fewer centres within reach, as where they compute phi itself.
    """

    def __init__(
        self,
        in_dim: int,
        *,
        sigma: Positive,
        features: Count = 512,
        periodic: bool = False,
        diagonals: bool = False,
        normalised: bool = False,
    ) -> None:
        super().__init__(in_dim, features, diagonals)
        self.sigma, self.periodic = sigma, periodic
        if normalised:
            self.norm = self.norm_at_middle()

    def profile(self, displacements: Tensor) -> Tensor:
        return self.bump(wrapped(displacements) if self.periodic else displacements)

    @abstractmethod
    def bump(self, displacements: Tensor) -> Tensor:
        """Phi at displacements on the line, elementwise."""


class ShiftedGaussian(Bump):
    """phi(u) = exp(-u^2 / (2 sigma^2)), sigma a length (Zheng et al. 2021, "Gaussian"; their code has it as RBF, too).

    Stable rank min(N, 1 / (2 sqrt(pi) sigma)), D = exp(-delta^2 / (4 sigma^2)) (Zheng et al. 2022, Proposition 2).
    """

    name = "shifted_gaussian"
    sigma_unit = "length"
    features_per_axis = 1

    def bump(self, displacements: Tensor) -> Tensor:
        """As the formula says, but 0 short of the least normal number: from there on exponentials take five times as
        long, and with many narrow bumps nearly all are of that kind."""
        exponents = -0.5 * (displacements / self.sigma).square()
        lowest = 1 + math.log(torch.finfo(exponents.dtype).tiny)
        return torch.where(exponents > lowest, exponents.clamp(min=lowest).exp(), 0.0)

    def plateau(self) -> float:
        return 1 / (2 * math.sqrt(math.pi) * self.sigma)

    def closed_similarity(self, displacements: Tensor) -> Tensor:
        return (-0.25 * (displacements / self.sigma).square()).exp()


class Rectangle(Bump):
    """phi(u) = 1 where |u| < sigma, else 0: sigma is the half-width, a length (Zheng et al. 2021).

    Stable rank min(N, 1 / (2 sigma)), D = max(0, 1 - |delta| / (2 sigma)).
    """

    name = "rectangle"
    sigma_unit = "length"
    features_per_axis = 1

    def bump(self, displacements: Tensor) -> Tensor:
        return (displacements.abs() < self.sigma).to(displacements.dtype)

    def plateau(self) -> float:
        return 1 / (2 * self.sigma)

    def closed_similarity(self, displacements: Tensor) -> Tensor:
        return (1 - displacements.abs() / (2 * self.sigma)).clamp(min=0)


class Triangle(Bump):
    """phi(u) = max(0, 1 - |u| / sigma): sigma is half the base, a length (Zheng et al. 2022, "Tri").

    Stable rank min(N, 2 / (3 sigma)); D is a cubic B-spline that ends at 2 sigma. The authors' code has
    (2 sigma - |delta|)^2 / 4 for it, which is not the integral of the product.
    """

    name = "triangle"
    sigma_unit = "length"
    features_per_axis = 1

    def bump(self, displacements: Tensor) -> Tensor:
        return (1 - displacements.abs() / self.sigma).clamp(min=0)

    def plateau(self) -> float:
        return 2 / (3 * self.sigma)

    def closed_similarity(self, displacements: Tensor) -> Tensor:
        s = displacements.abs() / self.sigma
        return torch.where(s < 1, 1 - 1.5 * s**2 + 0.75 * s**3, 0.25 * (2 - s).clamp(min=0) ** 3)


class Sinc(Bump):
    """phi(u) = sin(pi u / sigma) / (pi u / sigma), sigma a length: all frequencies up to 1 / (2 sigma) alike.

    Ours; the authors have none. Stable rank min(N, 1 / sigma), D = phi(delta). Its tails reach far: within the domain
    the ends cut the stable rank by 3 % at sigma 0.05, and wrapped around a circle by 16 % however small sigma is, for
    its spectrum then overshoots beside its edge (Gibbs).
    """

    name = "sinc"
    sigma_unit = "length"
    features_per_axis = 1

    def bump(self, displacements: Tensor) -> Tensor:
        return torch.sinc(displacements / self.sigma)

    def plateau(self) -> float:
        return 1 / self.sigma

    def closed_similarity(self, displacements: Tensor) -> Tensor:
        return torch.sinc(displacements / self.sigma)


class Wave(Profile):
    """A phi of sigma periods per unit length. A whole number of them goes round the circle by itself.

    The closed forms are those of a whole number, and of more than 2 sigma points.
    """

    def __init__(
        self,
        in_dim: int,
        *,
        sigma: Positive,
        features: Count = 512,
        diagonals: bool = False,
        normalised: bool = False,
    ) -> None:
        super().__init__(in_dim, features, diagonals)
        self.sigma = sigma
        if normalised:
            self.norm = self.norm_at_middle()


class SquareWave(Wave):
    """phi(u) = 1 in the first half of a period, -1 in the second; sigma periods per unit (Zheng et al. 2021).

    Stable rank pi^2 / 4, D a triangle wave between 1 and -1. `binary` has 0 instead of -1: stable rank 2, D between 1
    and 0. The authors train with 0 and 1 and rank -1 and 1.
    """

    name = "square_wave"
    sigma_unit = "cycles"
    features_per_axis = 1

    def __init__(
        self,
        in_dim: int,
        *,
        sigma: Positive,
        features: Count = 512,
        binary: bool = False,
        diagonals: bool = False,
        normalised: bool = False,
    ) -> None:
        super().__init__(in_dim, sigma=sigma, features=features, diagonals=diagonals)
        self.low = 0 if binary else -1
        if normalised:
            self.norm = self.norm_at_middle()

    def profile(self, displacements: Tensor) -> Tensor:
        turns = self.sigma * displacements
        return torch.where(turns - turns.floor() < 0.5, 1, self.low).to(turns.dtype)

    def plateau(self) -> float:
        return 2.0 if self.low == 0 else math.pi**2 / 4

    def closed_similarity(self, displacements: Tensor) -> Tensor:
        return 1 - 2 * (1 - self.low) * wrapped(self.sigma * displacements).abs()


class Sine(Wave):
    """phi(u) = sin(2 pi sigma u) + offset, sigma in cycles per unit (Zheng et al. 2021; their figure has offset 0.7).

    Stable rank (offset^2 + 1/2) / max(offset^2, 1/4), 2 without offset; D = (cos(2 pi sigma delta) + 2 offset^2) /
    (1 + 2 offset^2).
    """

    name = "sine"
    sigma_unit = "cycles"
    features_per_axis = 1

    def __init__(
        self,
        in_dim: int,
        *,
        sigma: Positive,
        features: Count = 512,
        offset: float = 0.0,
        diagonals: bool = False,
        normalised: bool = False,
    ) -> None:
        super().__init__(in_dim, sigma=sigma, features=features, diagonals=diagonals)
        self.offset = offset
        if normalised:
            self.norm = self.norm_at_middle()

    def profile(self, displacements: Tensor) -> Tensor:
        return torch.sin(2 * math.pi * self.sigma * displacements) + self.offset

    def plateau(self) -> float:
        constant = self.offset**2
        return (constant + 0.5) / max(constant, 0.25)

    def closed_similarity(self, displacements: Tensor) -> Tensor:
        constant = 2 * self.offset**2
        return (torch.cos(2 * math.pi * self.sigma * displacements) + constant) / (1 + constant)


class SineSquared(Wave):
    """phi(u) = sin^2(pi sigma u): sigma periods per unit. Ours; the authors have none.

    Stable rank 3/2, D = (2 + cos(2 pi sigma delta)) / 3, which never falls below a third.
    """

    name = "sine_squared"
    sigma_unit = "cycles"
    features_per_axis = 1

    def profile(self, displacements: Tensor) -> Tensor:
        return torch.sin(math.pi * self.sigma * displacements).square()

    def plateau(self) -> float:
        return 1.5

    def closed_similarity(self, displacements: Tensor) -> Tensor:
        return (2 + torch.cos(2 * math.pi * self.sigma * displacements)) / 3


class Impulse(Shifted):
    """1 in the bin floor(u m), 0 in all others: points of different bins have nothing in common (Zheng et al. 2021).

    Stable rank N, D = 1 at 0 and else 0.
    """

    name = "impulse"
    features_per_axis = 1

    def __init__(
        self, in_dim: int, *, features: Count = 512, diagonals: bool = False, normalised: bool = False
    ) -> None:
        super().__init__(in_dim, features, diagonals)
        if normalised:
            self.norm = self.norm_at_middle()

    def along(self, positions: Tensor) -> Tensor:
        bins = torch.arange(self.centres, device=positions.device)
        return (bin_of(positions, self.centres)[..., None] == bins).to(positions.dtype)

    def plateau(self) -> float:
        return math.inf

    def closed_similarity(self, displacements: Tensor) -> Tensor:
        return (displacements == 0).to(displacements.dtype)


class RandomNoise(Shifted):
    """White noise e ~ N(0, 1)^m moved by the bin of u: psi_j = e[(floor(u m) - j) mod m] (Zheng et al. 2021).

    That is row floor(u m) of the circulant matrix of e, the same on all lines. The draw comes from `generator` alone.
    No closed forms: of finitely many features the stable rank is well below N.
    """

    name = "random_noise"
    features_per_axis = 1

    noise: Tensor

    def __init__(
        self,
        in_dim: int,
        *,
        features: Count = 512,
        diagonals: bool = False,
        normalised: bool = False,
        generator: torch.Generator,
    ) -> None:
        super().__init__(in_dim, features, diagonals)
        self.register_buffer("noise", torch.randn(self.centres, generator=generator))
        if normalised:
            self.norm = self.norm_at_middle()

    def along(self, positions: Tensor) -> Tensor:
        # Rows of the circulant matrix as windows of the noise, backwards and twice: the matrix itself is never made.
        backwards = self.noise.to(positions.dtype).flip(0)
        rows = torch.cat([backwards, backwards]).unfold(0, self.centres, 1)
        return rows[self.centres - 1 - bin_of(positions, self.centres)]


def wrapped(displacements: Tensor) -> Tensor:
    """Displacements on a circle of length 1, in [-1/2, 1/2)."""
    return displacements - (displacements + 0.5).floor()


def bin_of(positions: Tensor, count: int) -> Tensor:
    """floor(u count) on a circle of `count` bins, as integers.

    A coordinate i / N that float32 has rounded down must not fall out of the bin that it begins: all are moved up by
    2^-23, more than that rounding.
    """
    return ((positions + 2.0**-23) * count).floor().long() % count
