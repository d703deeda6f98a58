"""Which combinations an experiment asks for, where each is kept, and the settings it is recorded under."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from posenc.plan.layers import ConfigError
from posenc.plan.model import Scales, entries
from posenc.plan.registry import Part, parts
from posenc.plan.scales import number, sigma_of_nyquist

# Columns that every record has; empty where an encoding or network lacks the parameter.
PARAMETER_COLUMNS = ("sigma", "features", "variant", "depth", "width")


@dataclass(frozen=True)
class Combination:
    """experiment x encoding x sigma x network x seed: one job."""

    experiment: str
    encoding_label: str
    network_label: str
    seed: int
    spec: dict[str, Any]
    settings: dict[str, Any]

    @property
    def label(self) -> str:
        """Its folder below the experiment's."""
        return f"{self.encoding_label}/{self.network_label}/seed={self.seed}"


def combinations_of(name: str, experiment: Any, precision: str) -> Iterator[Combination]:
    """All combinations of a validated experiment, in config order."""
    problem = parts("problems")[experiment.problem]
    for encoding, grid in entries(experiment.encodings).items():
        encoding_part = parts("encodings")[encoding]
        training = experiment.training.model_dump(exclude={"report_step"})
        training |= grid.training.model_dump(exclude_none=True)  # type: ignore[attr-defined]
        # Where an experiment does not allow less, it is float32 whatever is wanted.
        training["precision"] = precision if training.pop("reduced_precision") else "float32"
        choices = list(parameter_choices(encoding_part, grid, experiment, name))
        # Tuning pictures are needed only where there is a sigma to choose.
        sweeps = len({choice.get("sigma") for choice in choices}) > 1
        sets = ["report", "tuning"] if sweeps and experiment.choose_sigma else ["report"]
        for parameters in choices:
            for network, network_grid in entries(experiment.networks).items():
                network_part = parts("networks")[network]
                for architecture in parameter_choices(network_part, network_grid, experiment, name):
                    for seed in experiment.seeds:
                        yield Combination(
                            experiment=name,
                            encoding_label=label(encoding, parameters),
                            network_label=label(network, architecture),
                            seed=seed,
                            spec={
                                "encoding": {"use": encoding_part.use, **parameters},
                                "network": {"use": network_part.use, **architecture},
                                "problem": {"use": problem.use},
                                "seed": seed,
                                "sets": sets,
                                "training": training,
                            },
                            settings={
                                "seed": seed,
                                "encoding": encoding,
                                "network": network,
                                **{column: (parameters | architecture).get(column) for column in PARAMETER_COLUMNS},
                                "learning_rate": training["learning_rate"],
                                "steps": training["steps"],
                            },
                        )


def parameter_choices(part: Part, grid: Any, experiment: Any, name: str) -> Iterator[dict[str, Any]]:
    """Every choice of an entry's parameters, in the order its class declares them."""
    values = []
    for parameter in part.parameters:
        given = getattr(grid, parameter)
        values.append(sigmas(part, grid, experiment, name) if isinstance(given, Scales) else given)
    for choice in itertools.product(*values):
        yield dict(zip(part.parameters, choice, strict=True))


def sigmas(part: Part, grid: Any, experiment: Any, name: str) -> list[float]:
    """Absolute values of an entry's sigma."""
    if grid.sigma.of_nyquist is None:
        return grid.sigma.absolute
    if any(variant == "section_6" for variant in getattr(grid, "variant", [])):
        raise ConfigError(
            f"experiments.{name}.encodings.{part.name}: variant section_6 takes sigma as a base; give its values, not"
            " of_nyquist"
        )
    unit, size = part.attributes["sigma_unit"], experiment.signals.size
    return [sigma_of_nyquist(fraction, size, unit) for fraction in grid.sigma.of_nyquist]


def label(name: str, parameters: dict[str, Any]) -> str:
    """`gaussian+sigma=10+features=512`; never a comma, where Snakemake would cut."""
    texts = [f"{key}={value if isinstance(value, str) else number(value)}" for key, value in parameters.items()]
    return "+".join([name, *texts])
