"""What a whole run costs beside its work: wall time x cores less fits, studies and metrics."""

import json
import os
import tempfile
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import psutil
from measuring import Row, copy_project, parser, save, snakemake

from posenc.plan.layers import Layer
from posenc.plan.machine import MEGABYTE, fit_memory_mb
from posenc.plan.workflow import make_plan

NAME = "overhead"
TITLE = "What a run costs beside its work"
ABOUT = """
A preset in a fresh copy of the project, from the command to the finished report: wall time × cores, less the seconds
that the fits' provenance states (× their threads) and those of the jobs of theory studies, metrics of encodings and
measures, as a share of wall time × cores. A fit's seconds start after Python and torch are there, so starting a fit's
job counts as overhead. Stages are told by Snakemake's own notes on when a job began and when its files were there; what
is in none of them is Snakemake itself, ends of processes, and cores that had nothing to do. A job's memory is the
largest resident size of its processes together that was seen while it ran. As jobs declare what they need and never
start beyond what is free, a machine does not swap as long as no fit takes more than it declares.
"""
MOST_OUTSIDE, MOST_GIB, MOST_OF_DECLARED = 0.20, 1.5, 1.0
SECONDS_BETWEEN_LOOKS = 0.2
STUDIES = "theory studies, metrics and measures"
STAGES = {
    "fit": "starting fits, and their files",
    "prepare_signals": "signals",
    "collect": "records",
    "concatenate": "records",
    "judge_claims": "claims",
    "render_overview": "pages",
}


def stage(rule: str) -> str:
    if rule.startswith(("theory_", "measure_")):
        return STUDIES
    return STAGES.get(rule) or ("pages" if rule.endswith("_notebook") else "tables and figures")


def seconds_in_fits(provenances: Iterable[Mapping[str, Any]]) -> float:
    """Seconds × threads."""
    return sum(found["seconds"] * found.get("threads", 1) for found in provenances)


def seconds_by_stage(notes: Iterable[Mapping[str, Any]]) -> Counter[str]:
    """From Snakemake's notes on files, of which a job has several, all with its log's name."""
    jobs: dict[tuple[str, ...], list[tuple[float, float]]] = {}
    for note in notes:
        jobs.setdefault((note["rule"], *note["log"]), []).append((note["starttime"], note["endtime"]))
    found: Counter[str] = Counter()
    for (rule, *_), times in jobs.items():
        found[stage(rule)] += max(end for _, end in times) - min(start for start, _ in times)  # type: ignore[assignment]
    return found


class Run(NamedTuple):
    """A finished run of a preset."""

    preset: str
    wall: float
    cores: int
    provenances: list[dict[str, Any]]
    notes: list[dict[str, Any]]
    largest: int  # bytes of a job
    of_declared: float  # the most that a fit took of the memory it declares

    @property
    def jobs(self) -> int:
        return len({(note["rule"], *note["log"]) for note in self.notes})


def rows_of(run: Run) -> list[Row]:
    """The share outside fits, where it goes, and memory."""
    command = f"python benchmarks/{NAME}.py --preset {run.preset}"
    total, fits = run.wall * run.cores, seconds_in_fits(run.provenances)
    stages = seconds_by_stage(run.notes)
    rest = total - sum(stages.values())
    work = fits + stages.pop(STUDIES, 0)
    stages[STAGES["fit"]] -= fits  # type: ignore[assignment]
    stages["Snakemake itself, ends of processes, idle cores"] = rest  # type: ignore[assignment]
    each = (total - work) / run.jobs
    note = f"{run.jobs} jobs, {each:.2f} core seconds each; wall time {run.wall:.0f} s on {run.cores} cores"
    # What must be reached is about the laptop run; smaller ones only show that the benchmark works.
    outside, gib, declared = (MOST_OUTSIDE, MOST_GIB, MOST_OF_DECLARED) if run.preset == "laptop" else [None] * 3
    name = f"{run.preset} preset"
    parts = [Row(f"{name}, of which: {part}", command, seconds / total, "%") for part, seconds in stages.most_common()]
    return [
        Row(
            f"{name}: share outside fits, studies and metrics", command, (total - work) / total, "%", note, most=outside
        ),
        *parts,
        Row(f"{name}: memory of the largest job", command, run.largest / 2**30, "GiB", most=gib),
        Row(f"{name}: most memory a fit took of what it declares", command, run.of_declared, "%", most=declared),
    ]


@contextmanager
def largest_job() -> Iterator[list[int]]:
    """A list of one number that grows: bytes of the largest job of the Snakemake that is run meanwhile."""
    largest, ended = [0], threading.Event()

    def watch() -> None:
        while not ended.wait(SECONDS_BETWEEN_LOOKS):
            for snakemake_itself in psutil.Process().children():
                with suppress(psutil.NoSuchProcess):
                    largest[0] = max([largest[0], *map(memory_of, jobs_of(snakemake_itself))])

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield largest
    finally:
        ended.set()
        watcher.join()


def jobs_of(snakemake_itself: psutil.Process) -> Iterator[psutil.Process]:
    """Its children, and in the place of the fork server that server's."""
    for child in snakemake_itself.children():
        with suppress(psutil.NoSuchProcess):
            yield from child.children() if "posenc.forkserver" in child.cmdline() else [child]


def memory_of(job: psutil.Process) -> int:
    """Bytes of a process and all below it."""
    found = 0
    with suppress(psutil.NoSuchProcess):
        for process in [job, *job.children(recursive=True)]:
            with suppress(psutil.NoSuchProcess):
                found += process.memory_info().rss
    return found


def of_declared(folder: Path, preset: str) -> float:
    """The most that a fit of a finished run took of the memory it declares."""
    plan = make_plan(folder, [Layer("the benchmark", {"preset": preset})], {})
    shares = []
    for name in plan.experiments:
        files = plan.fits(name, "provenance.json")
        for combination, file in zip(plan.combinations[name].values(), files, strict=True):
            size = (*plan.points(name), plan.axes(name))
            declared = fit_memory_mb(combination.spec, *size, on_gpu=False) * MEGABYTE
            shares.append(json.loads((folder / file).read_text())["peak_memory"] / declared)
    return max(shares)


def finished(preset: str) -> Run:
    """Run a preset in a fresh copy of the project."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = copy_project(Path(temporary) / "posenc")
        with largest_job() as largest:
            wall, _ = snakemake(folder, "--cores", "all", "--config", f"preset={preset}", "device=cpu")
        provenances = [json.loads(path.read_text()) for path in folder.glob("results/*/fits/**/provenance.json")]
        notes = [json.loads(path.read_text()) for path in folder.glob(".snakemake/metadata/*") if path.is_file()]
        share = of_declared(folder, preset)
    return Run(preset, wall, os.cpu_count() or 1, provenances, notes, largest[0], share)


def main() -> None:
    arguments = parser(NAME, __doc__)
    arguments.add_argument("--preset", default="laptop", help="preset to run (default: laptop)")
    options = arguments.parse_args()
    save(NAME, TITLE, ABOUT, rows_of(finished("smoke" if options.tiny else options.preset)), options)


if __name__ == "__main__":
    main()
