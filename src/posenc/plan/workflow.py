"""The plan that the Snakefile works from: every path, parameter and list of inputs a rule asks for."""

import os
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from posenc.plan.combinations import Combination, combinations_of
from posenc.plan.digests import code_digest, function_digest
from posenc.plan.layers import ConfigError, Layer, read_layer, validate
from posenc.plan.machine import (
    SNAKEMAKE_MB,
    check_device,
    fit_memory_mb,
    free_memory_mb,
    gpus_here,
    threads_per_fit,
)
from posenc.plan.model import config_model
from posenc.plan.papers import Artefact, Paper, papers_in
from posenc.plan.pictures import SignalSet, Source, check_local_pictures, natural_source, signal_set

SUFFIXES = {"table": ("csv", "md", "tex"), "figure": ("png", "pdf", "csv")}


@dataclass(frozen=True)
class Plan:
    """A validated configuration and all that follows from it."""

    root: Path
    config: Any
    papers: Mapping[str, Paper]
    source: Source

    @property
    def preset(self) -> str:
        return self.config.preset

    @property
    def results(self) -> str:
        return f"results/{self.preset}"

    @property
    def reports(self) -> str:
        return f"reports/{self.preset}"

    # Experiments and their combinations

    @cached_property
    def experiments(self) -> dict[str, Any]:
        """Settings of the experiments of the chosen papers, by name."""
        return {
            name: getattr(self.config.experiments, name) for paper in self.papers.values() for name in paper.experiments
        }

    @cached_property
    def paper_of(self) -> dict[str, str]:
        return {name: paper.name for paper in self.papers.values() for name in paper.experiments}

    @cached_property
    def combinations(self) -> dict[str, dict[str, Combination]]:
        """By experiment, the combinations by label. A combination asked for twice is there once."""
        return {
            name: {found.label: found for found in combinations_of(name, experiment, self.config.precision)}
            for name, experiment in self.experiments.items()
        }

    def combination(self, wildcards: Any) -> Combination:
        return self.combinations[wildcards.experiment][
            f"{wildcards.encoding}/{wildcards.network}/seed={wildcards.seed}"
        ]

    def fit_spec(self, wildcards: Any) -> dict[str, Any]:
        return self.combination(wildcards).spec

    def fit_digest(self, wildcards: Any) -> str:
        spec = self.combination(wildcards).spec
        parts = (spec[part]["use"].split(":")[0] for part in ("encoding", "network", "problem"))
        return code_digest(self.script("fit"), *parts)

    def fits(self, experiment: str, file: str) -> list[str]:
        """One file of every combination of an experiment."""
        return [f"{self.results}/fits/{experiment}/{label}/{file}" for label in self.combinations[experiment]]

    def records(self, experiments: Iterable[str], suffix: str = "parquet") -> list[str]:
        return [f"{self.results}/records/{name}.{suffix}" for name in experiments]

    def collect_settings(self, experiment: str) -> dict[str, Any]:
        """What `collect` joins to the values of an experiment's fits, in the order of `fits`."""
        return {
            "paper": self.paper_of[experiment],
            "experiment": experiment,
            "preset": self.preset,
            "report_step": self.experiments[experiment].training.report_step,
            "combinations": [
                {"combination": label, **found.settings} for label, found in self.combinations[experiment].items()
            ],
        }

    # Signals

    @cached_property
    def signal_sets(self) -> dict[str, SignalSet]:
        """By experiment, the pictures it is fitted to; experiments with the same settings share them."""
        return {
            name: signal_set(name, experiment.signals, self.source) for name, experiment in self.experiments.items()
        }

    @cached_property
    def signal_specs(self) -> dict[str, dict[str, Any]]:
        """By folder name under results/signals, the spec of its data job."""
        return {found.key: found.spec for found in self.signal_sets.values()}

    def signals(self, experiment: str, file: str) -> str:
        return f"results/signals/{self.signal_sets[experiment].key}/{file}"

    def signal_files(self, key: str) -> list[str]:
        """Files of the user's that a signal set reads."""
        return [row["path"] for row in self.signal_specs[key]["signals"] if row["path"]]

    def signals_digest(self, key: str) -> str:
        return code_digest(self.script("prepare_signals"), self.signal_specs[key]["use"])

    # Artefacts, claims, reports

    @cached_property
    def artefacts(self) -> dict[str, tuple[Paper, str, Artefact]]:
        """Every artefact by the name of its rule, `<paper>_<artefact>`."""
        return {
            f"{paper.name}_{name}": (paper, name, artefact)
            for paper in self.papers.values()
            for name, artefact in paper.about.artefacts.items()
        }

    def artefact_files(self, target: str) -> dict[str, str]:
        """The files of an artefact by suffix; `json` is its card: title, caption, and what it was made from."""
        paper, name, artefact = self.artefacts[target]
        stem = f"{self.reports}/{paper.name}/{artefact.kind}s/{name}"
        return {suffix: f"{stem}.{suffix}" for suffix in (*SUFFIXES[artefact.kind], "json")}

    def artefact_inputs(self, target: str) -> dict[str, list[str]]:
        _, _, artefact = self.artefacts[target]
        return {
            "records": self.records(artefact.experiments),
            "summaries": self.records(artefact.experiments, "json"),
            "reference": self.reference_records(artefact.experiments),
            "arrays": [path for name in artefact.pictures for path in self.fits(name, "arrays.npz")],
            "signals": [
                self.signals(name, file) for name in artefact.pictures for file in ("signals.npz", "signals.json")
            ],
        }

    def reference_records(self, experiments: Iterable[str]) -> list[str]:
        """Committed records of runs at the paper's scale, where there are any."""
        paths = (self.root / "reports" / "reference" / f"{name}.parquet" for name in experiments)
        return [self.relative(path) for path in paths if path.is_file()]

    def artefact_spec(self, target: str) -> dict[str, Any]:
        """What an artefact's job is told: a plain dict, and all that its caption's template needs."""
        paper, name, artefact = self.artefacts[target]
        return {
            "name": name,
            "paper": paper.name,
            "title": artefact.title,
            "section": artefact.section,
            "kind": artefact.kind,
            "function": artefact.function,
            "published": {group: paper.published[group] for group in artefact.published},
            "pictures": {
                experiment: {
                    "labels": list(self.combinations[experiment]),
                    "rows": self.signals(experiment, "signals.json"),
                    "values": self.signals(experiment, "signals.npz"),
                    "arrays": self.fits(experiment, "arrays.npz"),
                }
                for experiment in artefact.pictures
            },
            "facts": self.facts,
            "shows": self.shows(artefact.experiments),
        }

    def artefact_digest(self, target: str) -> str:
        return function_digest(self.script("draw_artefact"), self.artefacts[target][2].function)

    @property
    def facts(self) -> dict[str, Any]:
        """What every column title and caption must say of this run's scale."""
        authors = self.source.origin == "published"
        pictures = "the authors' pictures" if authors else "stand-in pictures"
        scale = "paper settings" if self.preset == "paper" else f"{self.preset} scale"
        return {
            "preset": self.preset,
            "paper_protocol": self.preset == "paper" and authors,
            "scale": f"{scale}, {pictures}",
        }

    def shows(self, experiments: Iterable[str]) -> str:
        """One sentence: preset, signals and seeds behind an artefact."""
        parts = []
        for name in experiments:
            settings, spec = self.experiments[name], self.signal_sets[name].spec
            count = sum(row["set"] == "report" for row in spec["signals"])
            origin = spec["use"].rsplit(".", 1)[1]
            seeds = ", ".join(str(seed) for seed in settings.seeds)
            parts.append(
                f"{name}: {count} {origin} report picture{'s' if count != 1 else ''} of {spec['size']} x {spec['size']}"
                f" pixels, seed{'s' if len(settings.seeds) > 1 else ''} {seeds}"
            )
        return f"Preset {self.preset}. {'; '.join(parts)}."

    def captions_context(self, paper: str) -> dict[str, Any]:
        """For captions of files that belong to a paper as a whole."""
        return {"title": self.papers[paper].about.title, "shows": self.shows(self.papers[paper].experiments)}

    def paper_spec(self, paper: str) -> dict[str, Any]:
        """What a paper's notebook is told of its experiments."""
        return {
            "paper": paper,
            "title": self.papers[paper].about.title,
            "citation": self.papers[paper].about.citation,
            "preset": self.preset,
            "facts": self.facts,
            "experiments": {
                name: {"title": self.experiments[name].title, "combinations": len(self.combinations[name])}
                for name in self.papers[paper].experiments
            },
        }

    def claim_experiments(self, paper: str) -> list[str]:
        """Experiments that a paper's claims read."""
        return sorted({name for claim in self.papers[paper].claims for name in claim["experiments"]})

    @property
    def on_the_way(self) -> list[str]:
        """Results that others are made from. A lost one comes back only where a run asks for it by name."""
        return [
            *(path for name in self.experiments for path in self.fits(name, "values.csv")),
            *self.records(self.experiments),
            *(path for target in self.artefacts for path in self.artefact_files(target).values()),
            *(f"{self.reports}/{paper}/claims.json" for paper in self.papers),
        ]

    # Scripts and resources

    @property
    def overview(self) -> Path:
        """The notebook behind the overview page."""
        return self.root / "workflow" / "report" / "overview.ipynb"

    def script(self, name: str) -> Path:
        return self.root / "workflow" / "scripts" / f"{name}.py"

    def relative(self, path: Path) -> str:
        """A path of the project as seen from the working folder."""
        return os.path.relpath(path)

    def digest(self, script: str, notebook: Path | None = None) -> str:
        return code_digest(self.script(script), notebook=notebook)

    @cached_property
    def gpus(self) -> int:
        """How many GPUs this machine has for fits."""
        return gpus_here(self.config.device, os.environ)

    @property
    def gpus_per_fit(self) -> int:
        """1 where fits run on a GPU, here or (`cuda`) on the machines that a cluster sends them to."""
        return int(self.config.device == "cuda" or self.gpus > 0)

    def fit_memory_mb(self, wildcards: Any, attempt: int, elsewhere: bool) -> int:
        """Host memory of a fit's job, here or on a cluster; twice as much at the second attempt."""
        size = self.experiments[wildcards.experiment].signals.size
        fit = fit_memory_mb(self.fit_spec(wildcards), size, self.gpus_per_fit > 0)
        return attempt * (fit + SNAKEMAKE_MB * elsewhere)

    def fit_threads(self, wildcards: Any, cores: int) -> int:
        size = self.experiments[wildcards.experiment].signals.size
        fits = sum(len(found) for found in self.combinations.values())
        return threads_per_fit(self.fit_spec(wildcards), size, cores, fits)

    @property
    def how_to_run(self) -> dict[str, Any]:
        """Settings that fits obey but their results do not depend on."""
        names = ("device", "slots_per_gpu", "checkpoint_seconds")
        return {name: getattr(self.config, name) for name in names}

    def summary(self) -> str:
        """What a run is about to do, for people."""
        jobs = sum(len(found) for found in self.combinations.values())
        where = {"bundled": "bundled pictures", "local": f"pictures of {self.source.folder}"}[self.source.origin]
        lines = [f"posenc: preset {self.preset}, {jobs} combinations, {where}"]
        lines += dict.fromkeys(note for found in self.signal_sets.values() for note in found.notes)
        return "\n        ".join(lines)


def make_plan(root: Path, user_layers: Iterable[Layer], environment: Mapping[str, str] = os.environ) -> Plan:
    """Validate the merged layers and plan. Raises ConfigError with every mistake in one message."""
    user_layers = list(user_layers)
    known = {paper.name: paper for paper in papers_in(root / "workflow" / "papers")}
    model = config_model({name: list(paper.experiments) for name, paper in known.items()})
    defaults = [
        Layer(f"workflow/papers/{name}/experiments.yaml", {"experiments": paper.experiments})
        for name, paper in known.items()
    ]
    preset = next((layer.settings["preset"] for layer in reversed(user_layers) if "preset" in layer.settings), "laptop")
    preset_path = root / "workflow" / "presets" / f"{preset}.yaml"
    # An unknown preset has no file; the model then says which ones there are.
    presets = [read_layer(preset_path, root)] if preset_path.is_file() else []
    config = validate(model, [*defaults, *presets, *user_layers])
    chosen = {name: known[name] for name in config.papers}
    manifest = known["fourier_features"].folder / "data.yaml"
    return Plan(root, config, chosen, natural_source(config.data, manifest, user_layers, environment))


def with_nulls(value: Any) -> Any:
    """Settings of `--config`, where Snakemake leaves `null` as text."""
    if isinstance(value, dict):
        return {key: with_nulls(entry) for key, entry in value.items()}
    return None if value == "null" else value


def bound_to_this_machine(plan: Plan, workflow: Any) -> list[str]:
    """Let jobs take no more memory together than is free; notes on the devices. Raises ConfigError."""
    counted = workflow.global_resources
    if "mem_mb" not in counted:
        workflow.register_resource("mem_mb", free_memory_mb())
    asked = int(counted["gpu"].value) if "gpu" in counted else None
    config = plan.config
    return check_device(config.device, config.precision, plan.gpus, asked, config.slots_per_gpu)


def plan_for_snakemake(workflow: Any) -> Plan:
    """The plan of a Snakemake run, or the end of it with one message.

    Layers: config.yaml beside the Snakefile, then each --configfile, then --config. The merged settings also become
    Snakemake's `config`, for what fits read there without depending on it.
    """
    root = Path(workflow.basedir)
    try:
        files = [root / "config.yaml", *workflow.config_settings.configfiles]
        layers = [read_layer(path, root) for path in files]
        plan = make_plan(root, [*layers, Layer("--config", with_nulls(dict(workflow.config_settings.config)))])
        workflow.config.update(plan.how_to_run)
        # Everything that can be wrong is asked for here, before any job.
        plan.combinations, plan.signal_sets  # noqa: B018
        if workflow.is_main_process:
            notes = check_local_pictures(plan.source, [found.spec for found in plan.signal_sets.values()])
            # A number of nodes means that jobs run elsewhere.
            if workflow.resource_settings.nodes is None:
                notes += bound_to_this_machine(plan, workflow)
            print("\n        ".join([plan.summary(), *notes]), file=sys.stderr)
    except ConfigError as error:
        lines = str(error).splitlines()
        count = sum(not line.startswith(" ") for line in lines)  # indented lines go on with the one above
        intro = "a mistake" if count == 1 else f"{count} mistakes"
        sys.exit("\n  ".join([f"posenc: nothing was started, because of {intro} in the settings:", *lines]))
    return plan
