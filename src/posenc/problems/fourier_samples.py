"""Magnetic resonance: learn a volume from an eighth of its Fourier coefficients (Tancik et al. 2020, appendix E.4)."""

import math
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from posenc.parameters import Positive
from posenc.problems.grid import Grid, half_open
from posenc.problems.score import Predict, Score, psnr

# Of the coefficients, what the paper's 200,000 draws at size 96 observe on average; the authors' draw gave .1256.
PAPER_SHARE = 0.1257579
PAPER_VARIANCE = 2.0
_SEED = 96  # of the mask: one mask for every signal, encoding and seed


class FourierSamples:
    """Volumes `values` `(signals, size, size, size, 1)` in [0, 1], of which some Fourier coefficients are observed.

    At every update the networks are asked for all voxels, at half-open coordinates (x, y, z) in [0, 1)**3, and what
    they give is transformed. `observed` is the share of the coefficients that the mask observes on average, `variance`
    the spread of the mask (see `observed_coefficients`); the defaults are the paper's at size 96. Scored is the volume
    itself, split `all`: PSNR with peak 1, the prediction clipped to [0, 1], as in the authors' code.
    """

    name = "fourier_samples"
    takes = ("phantom_volumes", "brain_volumes")  # kinds of signals
    output = "sigmoid"
    dimensions = 3
    channels = 1
    nyquist = 0.5  # of the voxels, all of which are asked for, in cycles per unit length, for each voxel of the side
    chosen_by = ("psnr", "all")
    fixed = True
    together = True

    def __init__(
        self, arrays: Mapping[str, Tensor], *, observed: Positive = 0.1257579, variance: Positive = 2.0
    ) -> None:
        volumes = arrays["values"]
        size = volumes.shape[1]
        if volumes.shape[1:] != (size, size, size, 1):
            shape = " x ".join(str(length) for length in volumes.shape[1:])
            raise ValueError(f"volumes of {shape}: Fourier samples take cubes of one channel")
        self.volume_shape = (size, size, size)
        self.volumes = volumes[..., 0]
        self.grid = Grid((half_open(size),) * 3)
        self.transform = MaskedFourier(observed_coefficients(size, observed, variance), volumes.device)

    def inputs(self, step: int) -> Grid:
        return self.grid

    def loss(self, values: Tensor, step: int) -> Tensor:
        """Half the mean over all coefficients of the squared errors of the observed ones, `(signals,)`.

        The transform is linear, so that of the error is the error of the transform.
        """
        error = values.reshape(len(values), *self.volume_shape) - self.volumes
        return 0.5 * self.transform.squares(error) / math.prod(self.volume_shape)

    def scores(self, predict: Predict, last: bool) -> Iterator[Score]:
        """PSNR of each whole volume."""
        predicted = predict(self.grid).reshape(self.volumes.shape)
        yield Score("psnr", "all", psnr(predicted.clamp(0, 1), self.volumes))

    def shown(self, predict: Predict) -> dict[str, Tensor]:
        """The predicted volume `(signals, size, size, size, 1)`, as float16."""
        predicted = predict(self.grid)
        return {"": predicted.reshape(len(predicted), *self.volume_shape, 1).half()}


def observed_coefficients(size: int, share: float = PAPER_SHARE, variance: float = PAPER_VARIANCE) -> Tensor:
    """Mask `(size, size, size)` of booleans, in the order of `torch.fft.fftn`: which coefficients are observed.

    As the authors' code: points are drawn from a Gaussian around the zero frequency, mean size / 2 and variance
    `variance` * size in bins along each axis, and cut to whole bins; a bin that was hit is observed. There are as many
    draws as observe the share on average: 200,000 at size 96. Draws outside the band are dropped (what the authors did
    with them is not known; at size 96 they are one in 600).

    Low frequencies are observed more densely than high ones, and at the paper's size nearly all of the lowest. A
    smaller size keeps that density, as a function of the fraction of the Nyquist frequency, with variance = 2 * size /
    96; with variance 2 the Gaussian would fill more of the band the smaller the size, and miss most of the low
    frequencies.
    """
    count = draws_that_observe(size, share, variance)
    generator = torch.Generator().manual_seed(_SEED)
    deviation = math.sqrt(variance * size)
    points = size / 2 + deviation * torch.randn(count, 3, generator=generator, dtype=torch.float64)
    bins = points.long()  # towards zero, as the authors' cast does
    bins = bins[((bins >= 0) & (bins < size)).all(dim=1)]
    mask = torch.zeros(size, size, size, dtype=torch.bool)
    mask[bins.unbind(dim=1)] = True
    if not mask.any():
        raise ValueError(f"observed: {share:g} of {size}^3 Fourier coefficients are none at all; raise it, or the size")
    return torch.fft.ifftshift(mask)


def draws_that_observe(size: int, share: float, variance: float) -> int:
    """The number of draws after which this share of the bins is hit on average, by bisection."""
    if share >= 1:
        raise ValueError(f"observed: {share:g} is a share of the Fourier coefficients and must stay below 1")
    along = bin_chances(size, variance)
    chances = (along[:, None, None] * along[:, None] * along).flatten()
    few, many = 0.0, 1.0
    while _expected_share(chances, many) < share:
        few, many = many, 2 * many
        if many > 2**30:
            raise ValueError(
                f"observed: {share:g} of {size}^3 Fourier coefficients take more than {2**30:,} draws of a Gaussian of"
                f" variance {variance:g} x size; lower it, or raise the variance"
            )
    while many - few > 0.5:
        middle = (few + many) / 2
        few, many = (middle, many) if _expected_share(chances, middle) < share else (few, middle)
    return round((few + many) / 2)


def bin_chances(size: int, variance: float) -> Tensor:
    """`(size,)`: how probable it is that a draw falls into each bin along one axis."""
    edges = torch.arange(size + 1, dtype=torch.float64)
    edges[0] = -1  # cutting towards zero puts what lies in (-1, 0) into the first bin
    return torch.special.ndtr((edges - size / 2) / math.sqrt(variance * size)).diff()


def _expected_share(chances: Tensor, draws: float) -> float:
    return float(-torch.expm1(draws * torch.log1p(-chances)).mean())


class MaskedFourier:
    """The observed Fourier coefficients of real volumes, unnormalised (numpy's and jax's default).

    The spectrum of a real volume says everything twice, so only half of it is computed; a coefficient counts as often
    as it and its mirror image are observed. Sums over the observed coefficients are those over the whole spectrum.
    """

    def __init__(self, mask: Tensor, device: torch.device | None = None) -> None:
        self.shape = tuple(mask.shape)
        mirrored = mask.flip(0, 1, 2).roll((1, 1, 1), (0, 1, 2))  # bin k at the place of bin -k
        half = self.shape[-1] // 2 + 1
        weights = mask.double() + mirrored.double()
        # Planes that are their own mirror image hold both of a pair.
        alone = [0, half - 1] if self.shape[-1] % 2 == 0 else [0]
        weights[..., alone] = mask[..., alone].double()
        self.weights = weights[..., :half].float().to(device)

    def squares(self, volumes: Tensor) -> Tensor:
        """`(stack, a, b, c)` to `(stack,)`: the sum over the observed coefficients of their squared magnitudes."""
        spectrum = torch.fft.rfftn(volumes, dim=(1, 2, 3))
        magnitudes = spectrum.real.square() + spectrum.imag.square()
        return (self.weights * magnitudes).sum(dim=(1, 2, 3))
