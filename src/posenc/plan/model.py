"""The configuration as one typed model. Schema, docs page and error messages all come from here."""

import itertools
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, create_model, model_validator
from pydantic.json_schema import SkipJsonSchema

from posenc.parameters import Count, Positive
from posenc.plan.layers import nearest
from posenc.plan.registry import Part, parts
from posenc.plan.signals import KINDS

Preset = Literal["smoke", "laptop", "paper"]


def as_list(value: Any) -> Any:
    """One value is a list of one."""
    return value if isinstance(value, list) else [value]


def one_or_more(kind: Any) -> BeforeValidator:
    """`as_list`, said in the schema, too."""
    return BeforeValidator(as_list, json_schema_input_type=kind | list[kind])


def as_scales(value: Any) -> Any:
    """A plain value or list of scales is absolute."""
    return value if isinstance(value, dict) else {"absolute": as_list(value)}


class Model(BaseModel):
    """Unknown keys are mistakes; numbers may be given as text, as `1e-4` is in YAML."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class Scales(Model):
    """Values of sigma: absolute, or as fractions of the training Nyquist frequency (`of_nyquist`)."""

    absolute: SkipJsonSchema[list[Positive] | None] = Field(None, min_length=1)
    of_nyquist: Annotated[list[Positive], BeforeValidator(as_list)] | None = Field(None, min_length=1)

    @model_validator(mode="after")
    def one_kind(self) -> "Scales":
        if (self.absolute is None) == (self.of_nyquist is None):
            raise ValueError("give sigma as a list of values or as {of_nyquist: [fractions]}")
        return self


class Data(Model):
    """Where pictures come from."""

    source: Literal["auto", "bundled", "local", "published"] = Field(
        "auto", description="`auto` takes your folder if one is named here or in POSENC_DATA, else the bundled pictures"
    )
    folder: str | None = Field(None, description="folder with your pictures; also given by the variable POSENC_DATA")


class Signals(Model):
    """What an experiment is fitted to. Which other settings than kind, size, tuning and report count is the kind's."""

    kind: Literal[tuple(KINDS)] = Field(description="what the signals are; docs/data.md describes each kind")  # type: ignore[valid-type]
    size: Annotated[int, Field(ge=8, multiple_of=2)] = Field(description="samples along each axis: pixels, voxels")
    shrink: Count = Field(1, description="average this many pixels of the source into one, per axis, before use")
    tuning: Annotated[int, Field(ge=0)] = Field(description="how many signals choose sigma")
    report: Count = Field(description="how many other signals are reported on")
    radii: Annotated[list[Count], one_or_more(Count)] | None = Field(
        None, description="of `sinusoids`: cycles per unit length"
    )
    angles: Annotated[int, Field(ge=2)] | None = Field(
        None, description="of `sinusoids`: how many directions, from 0 to 180 degrees"
    )
    train_views: Count | None = Field(None, description="of `scenes`: views that are learnt from")
    tuning_views: Count | None = Field(None, description="of `scenes`: views that choose sigma")
    report_views: Count | None = Field(None, description="of `scenes`: views that are reported on")
    pool: Annotated[int, Field(ge=8, multiple_of=8)] | None = Field(
        None, description="of `shapes`: points that training draws from; no point comes twice where there are enough"
    )
    test: Count | None = Field(None, description="of `shapes`: points that each score counts")
    alpha: Annotated[list[Positive], one_or_more(Positive)] | None = Field(
        None, description="of `functions`: exponents by which their spectra fall; tuning and report count for each"
    )
    band_limited: bool | None = Field(
        None, description="of `functions`: whether frequencies from a quarter of the points on are left out"
    )
    per_picture: Count | None = Field(None, description="of `rows`: how many rows are of the same picture")
    scaled: Literal["each", "jointly"] | None = Field(
        None, description="of `functions`: stretched to [-0.5, 0.5] each, or all of an alpha together"
    )


class TrainingOverride(Model):
    """Settings of training that one encoding may have for itself."""

    steps: Count | None = Field(None, description="updates")
    learning_rate: Positive | None = Field(None, description="of the optimizer")
    reduced_precision: bool | None = Field(None, description="whether bf16 or TF32 may be used for matrix products")


class Training(Model):
    """How the weights are found: Adam (0.9, 0.999, 1e-8), plain gradient descent, or minimum-norm least squares."""

    steps: Count = Field(description="updates")
    learning_rate: Positive = Field(description="of the optimizer")
    optimizer: Literal["adam", "sgd", "least_squares"] = Field(
        "adam",
        description="Adam, gradient descent without momentum, or least squares in one step, of linear networks",
    )
    decay_steps: Count | None = Field(
        None, description="the learning rate falls to a tenth in so many updates, evenly; null keeps it"
    )
    weight_decay: Annotated[float, Field(ge=0)] = Field(
        0.0, description="of Adam: so much of each weight is added to its gradient"
    )
    reduced_precision: bool = Field(description="whether bf16 or TF32 may be used for matrix products")
    log_every: Count = Field(25, description="score after updates 1, 1 + log_every, ...")
    report_step: Count | None = Field(
        None, description="the update whose scores are reported; the last one unless given"
    )

    @model_validator(mode="after")
    def scored(self) -> "Training":
        if self.report_step and self.report_step != self.steps and (self.report_step - 1) % self.log_every:
            raise ValueError(
                f"report_step {self.report_step} is not scored: take 1 + a multiple of log_every ({self.log_every})"
            )
        if self.report_step and self.report_step > self.steps:
            raise ValueError(f"report_step {self.report_step} is after the last of {self.steps} steps")
        return self

    @model_validator(mode="after")
    def decayed(self) -> "Training":
        if self.weight_decay and self.optimizer != "adam":
            raise ValueError(f"weight_decay = {self.weight_decay:g}: optimizer {self.optimizer} has none; leave it out")
        return self


def model_of(name: str, doc: str, fields: dict[str, Any]) -> type[BaseModel]:
    """A model whose keys are known only when the code is read; each a pair of type and default."""
    return create_model(name, __base__=Model, __doc__=doc, **fields)


def grid_model(part: Part, *, trains: bool) -> type[BaseModel]:
    """Model of an encoding's, network's or problem's entry: each parameter a value or a list of values."""
    fields: dict[str, Any] = {}
    for name, parameter in part.parameters.items():
        default = parameter.default if parameter.default is ... else [parameter.default]
        if name == "sigma":
            kind: Any = Annotated[Scales, BeforeValidator(as_scales, json_schema_input_type=scales_input())]
        else:
            value: Any = parameter.annotation
            values: Any = list[value]
            kind = Annotated[
                values, Field(min_length=1), BeforeValidator(as_list, json_schema_input_type=value | values)
            ]
        fields[name] = (kind, default)
    if trains:
        fields["training"] = (TrainingOverride, Field(default_factory=lambda: TrainingOverride()))
    return model_of(f"{part.name}_grid", part.doc.split("\n\n")[0], fields)


def scales_input() -> Any:
    return Positive | list[Positive] | Scales


def grids_model(folder: str, *, trains: bool) -> type[BaseModel]:
    """Model of the mapping from names to entries; `null` takes an entry of a lower layer out."""
    fields: dict[str, Any] = {
        name: (grid_model(part, trains=trains) | None, None) for name, part in parts(folder).items()
    }
    return model_of(folder, f"Which {folder} are tried; null leaves one out.", fields)


def choice_model(folder: str) -> type[BaseModel]:
    """Model of the mapping from one name to its parameters."""
    fields: dict[str, Any] = {
        name: (grid_model(part, trains=False) | None, None) for name, part in parts(folder).items()
    }
    return model_of(folder, f"One of the {folder}, with its parameters.", fields)


def as_problem(value: Any) -> Any:
    """A plain name is a problem without parameters."""
    if not isinstance(value, str):
        return value
    if value not in parts("problems"):
        names = list(parts("problems"))
        raise ValueError(f"must be one of {', '.join(names)}{nearest(value, names)}")
    return {value: {}}


def stackable() -> tuple[str, ...]:
    """The seed, and every parameter that an encoding, a network or a problem has."""
    folders = ("encodings", "networks", "problems")
    named = (name for folder in folders for part in parts(folder).values() for name in part.parameters)
    return tuple(dict.fromkeys(["seed", *named]))


EncodingGrids = grids_model("encodings", trains=True)
NetworkGrids = grids_model("networks", trains=False)
ProblemChoice = choice_model("problems")


Seed = Annotated[int, Field(ge=0)]


class Experiment(Model):
    """One grid of combinations: every encoding x sigma x network x seed, fitted to the same signals."""

    title: str
    problem: Annotated[
        ProblemChoice,  # type: ignore[valid-type]
        BeforeValidator(as_problem, json_schema_input_type=Literal[tuple(parts("problems"))] | ProblemChoice),
    ] = Field(description="what is observed and how it is scored: a name, or a name with its parameters")
    signals: Signals
    encodings: EncodingGrids  # type: ignore[valid-type]
    networks: NetworkGrids  # type: ignore[valid-type]
    training: Training
    choose_sigma: bool = Field(
        True, description="whether tuning signals choose one sigma of a sweep; a sweep that is only shown needs none"
    )
    stacked: Annotated[list[Literal[stackable()]], BeforeValidator(as_list)] = Field(  # type: ignore[valid-type]
        [],
        description="the seed, and parameters of encodings, of networks and of the problem, whose values one job takes"
        " all: for short fits",
    )
    seeds: Annotated[list[Seed], Field(min_length=1), one_or_more(Seed)] = Field(
        description="each seed draws its own random features and initial weights"
    )

    @model_validator(mode="after")
    def one_problem(self) -> "Experiment":
        if len(entries(self.problem)) != 1:
            raise ValueError("problem: name exactly one")
        return self

    @model_validator(mode="after")
    def swept_problems_are_stacked(self) -> "Experiment":
        problem, _ = chosen_problem(self)
        apart = [name for name in swept(getattr(self.problem, problem.name)) if name not in self.stacked]
        if apart:
            raise ValueError(
                f"problem.{problem.name}.{apart[0]}: has several values, which one job takes all; list it in stacked"
            )
        return self

    @model_validator(mode="after")
    def signals_of_the_problem(self) -> "Experiment":
        problem, _ = chosen_problem(self)
        takes = problem.attributes.get("takes", (self.signals.kind,))
        if self.signals.kind not in takes:
            raise ValueError(f"signals.kind = {self.signals.kind!r}: problem {problem.name} takes {', '.join(takes)}")
        return self

    @model_validator(mode="after")
    def something_to_do(self) -> "Experiment":
        for name in ("encodings", "networks"):
            if not entries(getattr(self, name)):
                raise ValueError(f"{name}: empty grid; name at least one")
        return self

    @model_validator(mode="after")
    def encodings_that_networks_take(self) -> "Experiment":
        for network in entries(self.networks):
            only = parts("networks")[network].attributes.get("only_encoding")
            others = [name for name in entries(self.encodings) if only and name != only]
            if others:
                raise ValueError(
                    f"networks.{network} takes the encoding {only} alone, not {', '.join(others)}; give it"
                    " an experiment of its own"
                )
        return self

    @model_validator(mode="after")
    def closed_forms(self) -> "Experiment":
        if self.training.optimizer != "least_squares":
            return self
        overrides = [getattr(entry, "training", None) for entry in entries(self.encodings).values()]
        steps = [self.training.steps, *(override.steps for override in overrides if override and override.steps)]
        if max(steps) > 1:
            raise ValueError(f"training.optimizer = least_squares: steps must be 1, not {max(steps)}")
        problem, parameters = chosen_problem(self)
        if "targets" not in problem.methods or not problem.attributes.get("fixed"):
            raise ValueError(f"training.optimizer = least_squares: problem {problem.name} has no closed form")
        output = parameters.get("output_activation", problem.attributes.get("output", "linear"))
        if output != "linear":
            raise ValueError(f"training.optimizer = least_squares: the problem's output is {output}; it must be linear")
        for name, entry in entries(self.networks).items():
            part = parts("networks")[name]
            depth = part.attributes.get("closed_form_depth")
            if "solve" not in part.methods:
                able = [other.name for other in parts("networks").values() if "solve" in other.methods]
                raise ValueError(
                    f"training.optimizer = least_squares: networks.{name} has no closed form; those of"
                    f" {' and '.join(able)} do"
                )
            if depth and any(given != depth for given in entry.depth):  # type: ignore[attr-defined]
                raise ValueError(f"training.optimizer = least_squares: networks.{name}.depth must be {depth}")
            if part.attributes.get("each_axis") and parameters.get("sampling", "grid") != "grid":
                raise ValueError(
                    f"training.optimizer = least_squares: networks.{name} has a closed form on a grid alone, and"
                    f" problem.{problem.name}.sampling is {parameters['sampling']}; use adam"
                )
        return self

    @model_validator(mode="after")
    def enough_points(self) -> "Experiment":
        batch, pool = chosen_problem(self)[1].get("batch"), self.signals.pool
        if batch and pool and batch > pool:
            raise ValueError(f"problem: a batch of {batch} points must be at most signals.pool = {pool}")
        return self

    @model_validator(mode="after")
    def enough_samples(self) -> "Experiment":
        stride, size = chosen_problem(self)[1].get("stride"), self.signals.size
        if stride and stride >= size:
            raise ValueError(f"problem: a stride of {stride} must be below signals.size = {size}")
        return self

    @model_validator(mode="after")
    def diagonals_of_two_axes(self) -> "Experiment":
        axes = self.axes_of_encodings()
        for name, entry in entries(self.encodings).items():
            if any(getattr(entry, "diagonals", [])) and axes != 2:
                raise ValueError(
                    f"encodings.{name}.diagonals: are lines between two axes, and here an encoding has {axes}"
                )
        return self

    def axes_of_encodings(self) -> int:
        """How many coordinates an encoding is given: one, where every network takes the axes apart."""
        apart = all(parts("networks")[name].attributes.get("each_axis") for name in entries(self.networks))
        axes: int = 1 if apart else chosen_problem(self)[0].attributes["dimensions"]
        return axes

    @model_validator(mode="after")
    def enough_features(self) -> "Experiment":
        axes = self.axes_of_encodings()
        for name, entry in entries(self.encodings).items():
            least = axes * parts("encodings")[name].attributes.get("features_per_axis", 0)
            for features in getattr(entry, "features", []):
                if features < least:
                    raise ValueError(
                        f"encodings.{name}.features = {features}: must be at least {least} for {axes} axes"
                    )
        return self


def entries(grids: BaseModel) -> dict[str, BaseModel]:
    """The entries that are there, in the registry's order."""
    return {name: entry for name in type(grids).model_fields if (entry := getattr(grids, name)) is not None}


def chosen_problem(experiment: Experiment) -> tuple[Part, dict[str, Any]]:
    """An experiment's problem and its parameters; of those with several values, the first."""
    ((name, grid),) = entries(experiment.problem).items()
    return parts("problems")[name], {key: values[0] for key, values in grid.model_dump().items()}


def problem_choices(experiment: Experiment) -> list[dict[str, Any]]:
    """Every choice of those parameters of an experiment's problem that have several values; one empty without any."""
    ((_, grid),) = entries(experiment.problem).items()
    found = swept(grid)
    return [dict(zip(found, values, strict=True)) for values in itertools.product(*found.values())]


def swept(grid: BaseModel) -> dict[str, list[Any]]:
    """The parameters of an entry that have several values."""
    return {name: values for name, values in grid.model_dump().items() if len(values) > 1}


def config_model(papers: dict[str, list[str]]) -> type[BaseModel]:
    """Model of the whole configuration, given each paper's experiments by name."""
    experiments = model_of(
        "experiments",
        "Settings of single experiments, over those of the paper and the preset.",
        {name: (Experiment, ...) for names in papers.values() for name in names},
    )
    fields: dict[str, Any] = {
        "preset": (Preset, Field("laptop", description="scale: smoke (a minute), laptop (default), paper (GPUs)")),
        "papers": (
            Annotated[list[Literal[tuple(papers)]], Field(min_length=1), BeforeValidator(as_list)],  # type: ignore[misc]
            Field(list(papers), description="which papers to reproduce"),
        ),
        "device": (Literal["auto", "cpu", "cuda"], Field("auto", description="where fits run")),
        "precision": (
            Literal["auto", "float32", "tf32", "bf16"],
            Field("auto", description="of matrix products, where an experiment allows less than float32"),
        ),
        "slots_per_gpu": (
            Count,
            Field(1, description="fits that share one GPU; more than 1 pays where fits are small"),
        ),
        "checkpoint_seconds": (
            Positive,
            Field(60.0, description="a fit that takes longer saves its state this often, to go on from after a kill"),
        ),
        "data": (Data, Field(default_factory=lambda: Data())),
        "experiments": (experiments, ...),
    }
    return model_of("config", "Configuration of posenc.", fields)
