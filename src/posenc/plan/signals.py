"""Which signals an experiment is fitted to: proposed by their kind, under a folder name of their own."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any, NamedTuple

from posenc.plan.layers import ConfigError
from posenc.plan.pictures import Source, natural_pictures, picture_rows, text_pictures
from posenc.signals import bumps, clips, functions, meshes, phantoms, rows, scenes, sinusoids, volumes, white_noise
from posenc.signals.pictures import SignalError
from posenc.signals.sets import Proposal

NOT_IN_SPEC = ("tuning", "report")  # they are told by the entries themselves


class Kind(NamedTuple):
    """A kind of signal."""

    module: ModuleType | None  # with `propose` and `load_signal`; what is made of pictures has `PICTURES` to propose it
    described: str  # of so many: filled with the settings, `{s}` with the plural's where there are several
    as_published: bool = False  # whether the paper's own signals are drawn by the same recipe


KINDS: dict[str, Kind] = {
    "natural": Kind(None, "picture{s} of {size} x {size} pixels"),
    "text": Kind(None, "picture{s} of {size} x {size} pixels"),
    "sinusoids": Kind(sinusoids, "plane wave{s} on {size} x {size} pixels", as_published=True),
    "scenes": Kind(scenes, "scene{s}, each seen in {report_views} views of {size} x {size} pixels"),
    "phantoms": Kind(phantoms, "phantom{s} of {size} x {size} pixels", as_published=True),
    "phantom_volumes": Kind(phantoms, "phantom{s} of {size} x {size} x {size} voxels"),
    "brain_slices": Kind(volumes, "slice{s} of heads of {size} x {size} pixels"),
    "brain_volumes": Kind(volumes, "head{s} of {size} x {size} x {size} voxels"),
    "shapes": Kind(meshes, "closed shape{s}"),
    "functions": Kind(functions, "function{s} on {size} points", as_published=True),
    "bumps": Kind(bumps, "bump{s} on {size} points", as_published=True),
    "rows": Kind(rows, "row{s} of {size} pixels"),
    "white_noise": Kind(white_noise, "noise signal{s} of {size} points", as_published=True),
    "clips": Kind(clips, "clip{s} of {size} frames of {size} x {size} pixels"),
}
PICTURES: dict[str, Callable[..., tuple[Proposal, str]]] = {
    "natural": natural_pictures,
    "text": text_pictures,
    "rows": picture_rows,
}


@dataclass(frozen=True)
class SignalSet:
    """The signals of an experiment: the data job's spec, its folder name, and what to tell the user."""

    key: str
    spec: dict[str, Any]
    origin: str
    notes: tuple[str, ...] = ()

    @property
    def shown(self) -> str:
        """How many report signals of what kind there are, in words."""
        count = sum(row["set"] == "report" for row in self.spec["signals"])
        described = KINDS[self.spec["kind"]].described.format(**self.spec, s="s" if count != 1 else "")
        return f"{count} {self.origin} report {described}"

    @property
    def as_published(self) -> bool:
        return self.origin == "published" or KINDS[self.spec["kind"]].as_published

    @property
    def modules(self) -> list[str]:
        """The modules that make the signals."""
        return sorted({self.spec["use"], *(row["use"] for row in self.spec["signals"] if "use" in row)})


def signal_set(experiment: str, settings: Any, source: Source) -> SignalSet:
    """The signals for an experiment's `signals` settings. Raises ConfigError where there are too few."""
    kind, where = KINDS[settings.kind], f"experiments.{experiment}.signals"
    if settings.kind in PICTURES:
        proposal, use = PICTURES[settings.kind](where, settings, source)
    else:
        assert kind.module
        use = kind.module.__name__
        try:
            proposal = kind.module.propose(settings, source.data_folder)
        except SignalError as error:
            raise ConfigError(f"{where}: {error}") from None
    given = settings.model_dump(exclude_none=True)
    counts = {"tuning": len(proposal.tuning), "report": len(proposal.report)}
    facts = {name: value for name, value in (given | counts).items() if name != "kind"}
    key = "+".join(
        [f"{settings.kind}-{proposal.origin}", *(f"{name}={spelled(value)}" for name, value in facts.items())]
    )
    rows = [
        {"name": entry["name"], "set": which, **{name: text for name, text in entry.items() if name != "name"}}
        for which, entries in (("tuning", proposal.tuning), ("report", proposal.report))
        for entry in entries
    ]
    spec = {name: value for name, value in given.items() if name not in NOT_IN_SPEC} | {"use": use, "signals": rows}
    return SignalSet(key, dict(sorted(spec.items())), proposal.origin, proposal.notes)


def spelled(value: Any) -> str:
    """A setting as it stands in a folder name: no comma, where Snakemake would cut."""
    return "-".join(map(str, value)) if isinstance(value, list) else str(value)


def check_local_signals(sets: Mapping[str, SignalSet]) -> list[str]:
    """Look into the user's files before any job, kind by kind; notes on them. Raises ConfigError for unusable ones."""
    notes: list[str] = []
    for found in sets.values():
        check = getattr(KINDS[found.spec["kind"]].module, "check", None)
        if found.origin == "local" and check:
            try:
                notes += check(found.spec)
            except SignalError as error:
                raise ConfigError(str(error)) from None
    return list(dict.fromkeys(notes))
