"""Which combinations an experiment asks for, where each is kept, and the settings it is recorded under."""

import itertools
from collections.abc import Iterator
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
    """One choice of an encoding's parameters, of those of the problem that have several values, and of the seed."""

    encoding: dict[str, Any]
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
            Member(choice, seen, seed)
            for seed in experiment.seeds
            for seen in observations
            for choice in parameter_choices(encoding_part, grid, nyquist(experiment, seen), name)
        ]
        # Tuning signals are needed only where there is a sigma to choose.
        sweeps = len({choice.encoding.get("sigma") for choice in choices}) > 1
        sets = ["report", "tuning"] if sweeps and experiment.choose_sigma else ["report"]
        stacked_seeds = "seed" in experiment.stacked
        for members in together(choices, experiment.stacked):
            seed = {} if stacked_seeds else {"seed": members[0].seed}
            for network, network_grid in entries(experiment.networks).items():
                network_part = parts("networks")[network]
                for architecture in parameter_choices(network_part, network_grid, None, name):
                    yield Combination(
                        experiment=name,
                        encoding_label=label(encoding_part, in_common(members)),
                        network_label=label(network_part, architecture),
                        seed=seed.get("seed", ALL),
                        spec={
                            "members": [member_spec(encoding_part, member, stacked_seeds) for member in members],
                            "network": {"use": network_part.use, **said(network_part, architecture)},
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
                            {column: (member.encoding | architecture).get(column) for column in parameter_columns()}
                            | member.problem
                            | ({"seed": member.seed} if stacked_seeds else {})
                            for member in members
                        ],
                    )


def member_spec(encoding: Part, member: Member, stacked_seeds: bool) -> dict[str, Any]:
    """What a job is told of a member: the encoding, and the seed and what its problem has, where for itself."""
    spec: dict[str, Any] = {"use": encoding.use, **said(encoding, member.encoding)}
    if stacked_seeds:
        spec["seed"] = member.seed
    return spec | ({"problem": member.problem} if member.problem else {})


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
    """The choices in groups that differ in stacked parameters alone."""
    groups: dict[str, list[Member]] = {}
    for choice in choices:
        apart = {key: value for key, value in (choice.encoding | {"seed": choice.seed}).items() if key not in stacked}
        group = groups.setdefault(repr(apart), [])
        if choice not in group:  # asked for twice, it is there once
            group.append(choice)
    return list(groups.values())


def in_common(members: list[Member]) -> dict[str, Any]:
    """The encoding's parameters in which all members agree."""
    first, *others = [member.encoding for member in members]
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
