"""Which combinations an experiment asks for, where each is kept, and the settings it is recorded under."""

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from posenc.plan.layers import ConfigError
from posenc.plan.model import Scales, chosen_problem, entries, problem_choices
from posenc.plan.registry import Part, parts
from posenc.plan.scales import number, nyquist_per_sample, sigma_of_nyquist


@cache
def parameter_columns() -> tuple[str, ...]:
    """A column for every parameter of an encoding or network; every record has all, empty where it lacks one."""
    named = {
        name for folder in ("encodings", "networks") for part in parts(folder).values() for name in part.parameters
    }
    return (*LEADING, *sorted(named - set(LEADING)))


ALL = "all"  # the seed of a job that takes all of them
LEADING = ("sigma", "features", "variant", "depth", "width")


@dataclass(frozen=True)
class Combination:
    """experiment x encoding x sigma x network x seed: one job.

    Where axes are stacked, it has several members, equal but for those parameters; its seed may be `all`.
    """

    experiment: str
    encoding_label: str
    network_label: str
    seed: int | str
    spec: dict[str, Any]
    settings: dict[str, Any]
    members: list[dict[str, Any]]

    @property
    def label(self) -> str:
        """Its folder below the experiment's."""
        return f"{self.encoding_label}/{self.network_label}/seed={self.seed}"


@dataclass(frozen=True)
class Member:
    """One choice of the parameters of encoding and network, of those of the problem with several values, and a seed."""

    encoding: dict[str, Any]
    architecture: dict[str, Any]
    problem: dict[str, Any]
    seed: int


def combinations_of(name: str, experiment: Any, precision: str) -> Iterator[Combination]:
    """All combinations of a validated experiment, in config order."""
    problem, observed = chosen_problem(experiment)
    observations = problem_choices(experiment)
    observed = {key: value for key, value in observed.items() if key not in observations[0]}
    for encoding, grid in entries(experiment.encodings).items():
        encoding_part = parts("encodings")[encoding]
        training = experiment.training.model_dump(exclude={"report_step"})
        training |= grid.training.model_dump(exclude_none=True)  # type: ignore[attr-defined]
        # Where an experiment does not allow less, it is float32 whatever is wanted.
        training["precision"] = precision if training.pop("reduced_precision") else "float32"
        choices = [
            (choice, seen)
            for seen in observations
            for choice in parameter_choices(encoding_part, grid, nyquist(experiment, seen), name)
        ]
        # Tuning signals are needed only where there is a sigma to choose.
        sweeps = len({choice.get("sigma") for choice, _ in choices}) > 1
        sets = ["report", "tuning"] if sweeps and experiment.choose_sigma else ["report"]
        for network, network_grid in entries(experiment.networks).items():
            network_part = parts("networks")[network]
            every = [
                Member(choice, architecture, seen, seed)
                for choice, seen in choices
                for architecture in parameter_choices(network_part, network_grid, None, name)
                for seed in experiment.seeds
            ]
            for members in together(every, experiment.stacked):
                seed = {} if "seed" in experiment.stacked else {"seed": members[0].seed}
                yield Combination(
                    experiment=name,
                    encoding_label=label(encoding_part, in_common([member.encoding for member in members])),
                    network_label=label(network_part, in_common([member.architecture for member in members])),
                    seed=seed.get("seed", ALL),
                    spec={
                        "members": [member_spec(encoding_part, member, experiment.stacked) for member in members],
                        "network": {"use": network_part.use, **said(network_part, members[0].architecture)},
                        "problem": {"use": problem.use, **observed},
                        **seed,
                        "sets": sets,
                        "training": training,
                    },
                    settings={
                        **seed,
                        "encoding": encoding,
                        "network": network,
                        "optimizer": training["optimizer"],
                        "learning_rate": training["learning_rate"],
                        "steps": training["steps"],
                    },
                    members=[
                        {column: (member.encoding | member.architecture).get(column) for column in parameter_columns()}
                        | member.problem
                        | ({} if seed else {"seed": member.seed})
                        for member in members
                    ],
                )


def member_spec(encoding: Part, member: Member, stacked: list[str]) -> dict[str, Any]:
    """What a job is told of a member: the encoding, and what it has for itself of seed, problem and network."""
    spec: dict[str, Any] = {"use": encoding.use, **said(encoding, member.encoding)}
    if "seed" in stacked:
        spec["seed"] = member.seed
    if member.problem:
        spec["problem"] = member.problem
    if of_network := {key: value for key, value in member.architecture.items() if key in stacked}:
        spec["network"] = of_network
    return spec


def networks_of(spec: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The network of each member of a combination's spec."""
    return [{**spec["network"], **member.get("network", {})} for member in spec["members"]]


def nyquist(experiment: Any, choice: dict[str, Any]) -> float | None:
    """The Nyquist frequency of the observed points, in cycles per unit length, for a choice of the swept parameters."""
    problem, parameters = chosen_problem(experiment)
    per_sample = nyquist_per_sample(problem.attributes, parameters | choice)
    return None if per_sample is None else per_sample * experiment.signals.size


def parameter_choices(part: Part, grid: Any, nyquist: float | None, name: str) -> Iterator[dict[str, Any]]:
    """Every choice of an entry's parameters, in the order its class declares them."""
    values = []
    for parameter in part.parameters:
        given = getattr(grid, parameter)
        values.append(sigmas(part, grid, nyquist, name) if isinstance(given, Scales) else given)
    for choice in itertools.product(*values):
        yield dict(zip(part.parameters, choice, strict=True))


def sigmas(part: Part, grid: Any, nyquist: float | None, name: str) -> list[float]:
    """Absolute values of an entry's sigma."""
    if grid.sigma.of_nyquist is None:
        return grid.sigma.absolute
    if any(variant == "section_6" for variant in getattr(grid, "variant", [])):
        raise ConfigError(
            f"experiments.{name}.encodings.{part.name}: variant section_6 takes sigma as a base; give its values, not"
            " of_nyquist"
        )
    if nyquist is None:
        raise ConfigError(
            f"experiments.{name}.encodings.{part.name}: sigma cannot be given of_nyquist, since this problem draws its"
            " points anywhere; give its values"
        )
    unit = part.attributes["sigma_unit"]
    return [sigma_of_nyquist(fraction, nyquist, unit) for fraction in grid.sigma.of_nyquist]


def together(choices: list[Member], stacked: list[str]) -> list[list[Member]]:
    """The choices in groups that differ in stacked axes alone."""
    groups: dict[str, list[Member]] = {}
    for choice in choices:
        axes = choice.encoding | choice.architecture | {"seed": choice.seed}
        apart = {key: value for key, value in axes.items() if key not in stacked}
        group = groups.setdefault(repr(apart), [])
        if choice not in group:  # asked for twice, it is there once
            group.append(choice)
    return list(groups.values())


def in_common(members: list[dict[str, Any]]) -> dict[str, Any]:
    """The parameters in which all members agree."""
    first, *others = members
    return {key: value for key, value in first.items() if all(other[key] == value for other in others)}


def said(part: Part, parameters: dict[str, Any]) -> dict[str, Any]:
    """Parameters as specs and labels have them: of the lesser ones, what stands at its default is not mentioned."""
    return {key: value for key, value in parameters.items() if key in LEADING or value != part.parameters[key].default}


def label(part: Part, parameters: dict[str, Any]) -> str:
    """`gaussian+sigma=10+features=512`; never a comma, where Snakemake would cut."""
    texts = [
        f"{key}={value if isinstance(value, str) else number(value)}" for key, value in said(part, parameters).items()
    ]
    return "+".join([part.name, *texts])
