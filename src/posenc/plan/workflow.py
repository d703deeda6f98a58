"""The plan that the Snakefile works from: every path, parameter and list of inputs a rule asks for."""

import os
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from posenc.plan.combinations import Combination, combinations_of
from posenc.plan.digests import code_digest, digest, function_digest
from posenc.plan.layers import ConfigError, Layer, read_layer, validate
from posenc.plan.machine import (
    SNAKEMAKE_MB,
    check_codes,
    check_device,
    code_weights,
    fit_memory_mb,
    free_memory_mb,
    gpus_here,
    points_of,
    threads_per_fit,
)
from posenc.plan.model import chosen_problem, config_model
from posenc.plan.papers import Artefact, Measure, Paper, Study, papers_in
from posenc.plan.pictures import Source, check_local_pictures, natural_source
from posenc.plan.registry import parts
from posenc.plan.signals import SignalSet, check_local_signals, signal_set

STUDY_MB = 1500
METRICS_OF = ("members", "network", "problem", "seed")  # of a combination, what decides its metrics
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
        return code_digest(self.script("fit"), *modules_of([self.combination(wildcards).spec]))

    def fit_inputs(self, wildcards: Any) -> dict[str, str]:
        """A fit's signals, and the arrays of the theory study that its encoding is made from, if it is."""
        return {
            "values": self.signals(wildcards.experiment, "signals.npz"),
            "rows": self.signals(wildcards.experiment, "signals.json"),
            **self.theory_of(self.combination(wildcards)),
        }

    def theory_of(self, combination: Combination) -> dict[str, str]:
        """The arrays that the combination's encoding is made from, if it is."""
        attributes = parts("encodings")[combination.settings["encoding"]].attributes
        study = attributes.get("from_theory")
        return {"theory": f"{self.results}/theory/{study}.npz"} if study else {}

    def fits(self, experiment: str, file: str) -> list[str]:
        """One file of every combination of an experiment."""
        return [f"{self.results}/fits/{experiment}/{label}/{file}" for label in self.combinations[experiment]]

    def records(self, names: Iterable[str], suffix: str = "parquet") -> list[str]:
        """Records of experiments and theory studies, or (`json`) the summaries beside them."""
        folders = {name: "theory" if name in self.studies else "records" for name in names}
        return [f"{self.results}/{folder}/{name}.{suffix}" for name, folder in folders.items()]

    def collect_settings(self, experiment: str) -> dict[str, Any]:
        """What `collect` joins to the values of an experiment's fits, in the order of `fits`."""
        problem, _ = chosen_problem(self.experiments[experiment])
        return {
            "paper": self.paper_of[experiment],
            "experiment": experiment,
            "preset": self.preset,
            "report_step": self.experiments[experiment].training.report_step,
            "chosen_by": list(problem.attributes["chosen_by"]) if self.experiments[experiment].choose_sigma else None,
            "combinations": [
                {"combination": label, **found.settings, "members": found.members}
                for label, found in self.combinations[experiment].items()
            ],
        }

    # Metrics

    def metrics(self, experiment: str) -> str:
        """The metrics of an experiment's encodings."""
        return f"{self.results}/metrics/{experiment}.json"

    def metrics_inputs(self, wildcards: Any) -> dict[str, list[str]]:
        """Signals say where an experiment trains; some encodings are made from a theory study."""
        theory = [
            path
            for found in self.combinations[wildcards.experiment].values()
            for path in self.theory_of(found).values()
        ]
        return {"signals": self.signal_pairs([wildcards.experiment]), "theory": list(dict.fromkeys(theory))}

    def metrics_spec(self, experiment: str) -> dict[str, Any]:
        """What the job of an experiment's metrics is told: a plain dict."""
        return {
            "signals": {file: self.signals(experiment, f"signals.{file}") for file in ("npz", "json")},
            "fits": [
                {
                    "label": label,
                    "spec": {part: found.spec[part] for part in METRICS_OF if part in found.spec},
                    **self.theory_of(found),
                    "known_as": [
                        {"paper": self.paper_of[experiment], "experiment": experiment}
                        | {part: found.settings[part] for part in ("encoding", "network")}
                        | {name: value for name, value in member.items() if value is not None}
                        for member in found.members
                    ],
                }
                for label, found in self.combinations[experiment].items()
            ],
        }

    def metrics_digest(self, experiment: str) -> str:
        specs = [found.spec for found in self.combinations[experiment].values()]
        return code_digest(self.script("measure_encodings"), *modules_of(specs))

    # Theory

    @cached_property
    def studies(self) -> dict[str, tuple[Paper, Study]]:
        """Theory studies by name."""
        return {name: (paper, study) for paper in self.papers.values() for name, study in paper.theory.items()}

    def study_inputs(self, name: str) -> dict[str, list[str]]:
        _, study = self.studies[name]
        return {
            "arrays": [path for experiment in study.fits for path in self.fits(experiment, "arrays.npz")],
            "signals": self.signal_pairs([*study.signals, *study.fits]),
        }

    def study_spec(self, name: str) -> dict[str, Any]:
        """What a theory study's job is told: a plain dict."""
        paper, study = self.studies[name]
        return {
            "common": {"paper": paper.name, "experiment": name, "preset": self.preset},
            "function": study.function,
            "parameters": study.parameters,
            "signals": {
                experiment: {file: self.signals(experiment, f"signals.{file}") for file in ("npz", "json")}
                for experiment in dict.fromkeys([*study.signals, *study.fits])
            },
            "fits": {
                experiment: [
                    {"arrays": path, "spec": found.spec, "settings": found.settings}
                    for path, found in zip(
                        self.fits(experiment, "arrays.npz"), self.combinations[experiment].values(), strict=True
                    )
                ]
                for experiment in study.fits
            },
            "plans": {
                experiment: [found.spec for found in self.combinations[experiment].values()]
                for experiment in study.plans
            },
        }

    def study_digest(self, name: str) -> str:
        _, study = self.studies[name]
        own = function_digest(self.script("study"), study.function)
        if not study.timed:
            return own
        specs = [found.spec for experiment in study.plans for found in self.combinations[experiment].values()]
        return digest([own, code_digest(self.script("study"), *modules_of(specs))])

    def study_threads(self, name: str, cores: int) -> int:
        """One; all cores, so that nothing runs beside it, where it measures times."""
        return cores if self.studies[name][1].timed else 1

    def study_memory_mb(self, name: str) -> int:
        """Memory of a study, which may make the fits that it times."""
        _, study = self.studies[name]
        timed = study.plans if study.timed else []
        fits = [
            fit_memory_mb(found.spec, *self.points(experiment), self.axes(experiment), on_gpu=False)
            for experiment in timed
            for found in self.combinations[experiment].values()
        ]
        return max([STUDY_MB, *fits])

    # Measures

    @cached_property
    def measures(self) -> dict[str, tuple[Paper, Measure]]:
        """Measures by name."""
        return {name: (paper, measure) for paper in self.papers.values() for name, measure in paper.measures.items()}

    def measure_inputs(self, name: str) -> dict[str, list[str]]:
        """Records, since they say which sigma is chosen; weights of all fits, since that is not known before."""
        experiment = self.measures[name][1].experiment
        theory = [fit["theory"] for fit in self.measured_fits(experiment) if "theory" in fit]
        return {
            "records": self.records([experiment]),
            "weights": self.fits(experiment, "weights.safetensors"),
            "signals": self.signal_pairs([experiment]),
            "theory": list(dict.fromkeys(theory)),
        }

    def measure_spec(self, name: str) -> dict[str, Any]:
        """What a measure's job is told: a plain dict."""
        measure = self.measures[name][1]
        return {
            "function": measure.function,
            "parameters": measure.parameters,
            "records": self.records([measure.experiment])[0],
            "signals": {file: self.signals(measure.experiment, f"signals.{file}") for file in ("npz", "json")},
            "fits": self.measured_fits(measure.experiment),
        }

    def measured_fits(self, experiment: str) -> list[dict[str, Any]]:
        """Label, spec and files of every combination of an experiment."""
        weights = self.fits(experiment, "weights.safetensors")
        return [
            {"label": label, "spec": found.spec, "weights": path, **self.theory_of(found)}
            for path, (label, found) in zip(weights, self.combinations[experiment].items(), strict=True)
        ]

    def measure_digest(self, name: str) -> str:
        measure = self.measures[name][1]
        specs = [found.spec for found in self.combinations[measure.experiment].values()]
        return code_digest(self.script("measure"), measure.function.split(":")[0], *modules_of(specs))

    def signal_pairs(self, experiments: Iterable[str]) -> list[str]:
        """The signal files of experiments, each set once."""
        files = ("signals.npz", "signals.json")
        return list(dict.fromkeys(self.signals(name, file) for name in experiments for file in files))

    # Signals

    @cached_property
    def signal_sets(self) -> dict[str, SignalSet]:
        """By experiment, the signals it is fitted to; experiments with the same settings share them."""
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
        """Files of the user's that a signal set reads; of a folder (a scene's views) all that are in it."""
        paths = dict.fromkeys(row["path"] for row in self.signal_specs[key]["signals"] if row["path"])
        return [file for path in paths for file in files_of(Path(path))]

    def signals_digest(self, key: str) -> str:
        (found,) = {tuple(found.modules) for found in self.signal_sets.values() if found.key == key}
        return code_digest(self.script("prepare_signals"), *found)

    # Artefacts, claims, reports

    @cached_property
    def artefacts(self) -> dict[str, tuple[Paper, str, Artefact]]:
        """Every artefact by the name of its rule, `<paper>_<artefact>`; it reads those experiments that are planned."""
        known = {*self.experiments, *self.studies}
        return {
            f"{paper.name}_{name}": (
                paper,
                name,
                artefact.model_copy(update={"experiments": [read for read in artefact.experiments if read in known]}),
            )
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
            "signals": self.signal_pairs(artefact.pictures),
            "theory": [f"{self.results}/theory/{name}.npz" for name in artefact.theory],
            "measures": [f"{self.results}/measures/{name}.npz" for name in artefact.measures],
            "metrics": [self.metrics(name) for name in self.experiments] if artefact.metrics else [],
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
            "theory": {name: f"{self.results}/theory/{name}.npz" for name in artefact.theory},
            "measures": {name: f"{self.results}/measures/{name}.npz" for name in artefact.measures},
            "facts": self.facts_of([*artefact.experiments, *artefact.pictures]),
            "shows": self.shows(artefact.experiments),
        }

    def artefact_digest(self, target: str) -> str:
        return function_digest(self.script("draw_artefact"), self.artefacts[target][2].function)

    @property
    def facts(self) -> dict[str, Any]:
        """What every page must say of this run's scale."""
        return self.facts_of(self.experiments)

    def facts_of(self, experiments: Iterable[str]) -> dict[str, Any]:
        """What column titles and captions must say of the scale of these experiments."""
        published = all(self.signal_sets[name].as_published for name in experiments if name in self.experiments)
        signals = "signals as published" if published else "stand-in signals"
        scale = "paper settings" if self.preset == "paper" else f"{self.preset} scale"
        return {
            "preset": self.preset,
            "paper_protocol": self.preset == "paper" and published,
            "scale": f"{scale}, {signals}",
        }

    def shows(self, experiments: Iterable[str]) -> str:
        """One sentence: preset, signals and seeds behind an artefact."""
        sentences = []
        for name in experiments:
            if name in self.studies:
                study = self.studies[name][1]
                how = "measured on one thread of this machine" if study.timed else "exact at every preset"
                sentences.append(f"{name}: {study.title[0].lower()}{study.title[1:]}, {how}")
                continue
            found = self.experiments[name].seeds
            seeds = ", ".join(str(seed) for seed in found)
            sentences.append(f"{name}: {self.signal_sets[name].shown}, seed{'s' if len(found) > 1 else ''} {seeds}")
        return f"Preset {self.preset}. {'; '.join(sentences)}."

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
            *(self.metrics(name) for name in self.experiments),
            *self.records([*self.experiments, *self.studies]),
            *(f"{self.results}/measures/{name}.npz" for name in self.measures),
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
        size = (*self.points(wildcards.experiment), self.axes(wildcards.experiment))
        fit = fit_memory_mb(self.fit_spec(wildcards), *size, self.gpus_per_fit > 0)
        return attempt * (fit + SNAKEMAKE_MB * elsewhere)

    def fit_threads(self, wildcards: Any, cores: int) -> int:
        fits = sum(len(found) for found in self.combinations.values())
        return threads_per_fit(self.fit_spec(wildcards), self.points(wildcards.experiment)[0], cores, fits)

    def axes(self, experiment: str) -> int:
        """How many dimensions an experiment's points have."""
        axes: int = chosen_problem(self.experiments[experiment])[0].attributes["dimensions"]
        return axes

    def code_weights(self) -> dict[str, int]:
        """The largest product of codes in each experiment, in weights."""
        return {
            name: max(code_weights(one.spec, self.axes(name)) for one in found.values())
            for name, found in self.combinations.items()
        }

    def points(self, experiment: str) -> tuple[int, int]:
        """How many points the networks of an experiment are asked for at an update, and where all are shown."""
        settings = self.experiments[experiment]
        return points_of(*chosen_problem(settings), settings.signals.size)

    @property
    def how_to_run(self) -> dict[str, Any]:
        """Settings that fits obey but their results do not depend on."""
        names = ("device", "slots_per_gpu", "checkpoint_seconds")
        return {name: getattr(self.config, name) for name in names}

    def summary(self) -> str:
        """What a run is about to do, for people."""
        jobs = sum(len(found) for found in self.combinations.values())
        folder = self.source.data_folder
        where = f"data of {folder}" if folder else "bundled and drawn signals"
        lines = [f"posenc: preset {self.preset}, {jobs} combinations, {where}"]
        lines += dict.fromkeys(note for found in self.signal_sets.values() for note in found.notes)
        return "\n        ".join(lines)


def files_of(path: Path) -> list[str]:
    """The file, or all files of the folder that are not hidden."""
    if not path.is_dir():
        return [str(path)]
    below = sorted(found for found in path.rglob("*") if found.is_file())
    return [str(found) for found in below if not any(part.startswith(".") for part in found.relative_to(path).parts)]


def modules_of(specs: Iterable[Mapping[str, Any]]) -> list[str]:
    """The modules that combinations name."""
    uses = {part["use"] for spec in specs for part in (*spec["members"], spec["network"], spec["problem"])}
    return sorted({use.split(":")[0] for use in uses})


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
    counted, free = workflow.global_resources, free_memory_mb()
    if "mem_mb" not in counted:
        workflow.register_resource("mem_mb", free)
    if not plan.gpus:  # a GPU's own memory is asked by the fit
        check_codes(plan.code_weights(), free)
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
            notes += check_local_signals(plan.signal_sets)
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
