"""What all benchmarks share: timing by turns, rows with what they must reach, the machine, copies of the project."""

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
# What is measured is the package beside this folder, whichever one is installed.
sys.path.insert(0, str(ROOT / "src"))


@dataclass(frozen=True)
class Row:
    """One figure of the page.

    value: None where it could not be measured here, and `note` then says what it waits for. unit: `%` (of a fraction),
    `×`, `s`, `GiB`, `dB`. least, most: what must be reached, if anything.
    """

    name: str
    command: str
    value: float | None
    unit: str
    note: str = ""
    least: float | None = None
    most: float | None = None


def parser(name: str, about: str, parts: Sequence[str] = ()) -> argparse.ArgumentParser:
    """Arguments that every benchmark takes."""
    found = argparse.ArgumentParser(
        prog=f"python benchmarks/{name}.py", description=about, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    if parts:
        found.add_argument("--only", nargs="+", choices=parts, help="measure these alone and keep the others' results")
    found.add_argument("--tiny", action="store_true", help="sizes that show nothing but that the benchmark runs")
    found.add_argument("--results", type=Path, help=f"folder of results (default: {RESULTS.relative_to(ROOT)})")
    found.add_argument("--commit", help="what was measured, where this is no clone that knows its commit")
    return found


# ---- time


def by_turns(blocks: Mapping[str, Callable[[], Any]], rounds: int) -> dict[str, list[float]]:
    """Seconds of each block in every round, A B A B …, after one that is not counted: a busy moment hits all alike."""
    seconds: dict[str, list[float]] = {name: [] for name in blocks}
    for turn in range(rounds + 1):
        for name, block in blocks.items():
            start = time.perf_counter()
            block()
            if turn:
                seconds[name].append(time.perf_counter() - start)
    return seconds


def median(numbers: Iterable[float]) -> float:
    return statistics.median(numbers)


# ---- results


def save(
    name: str, title: str, about: str, rows: Sequence[Row], options: argparse.Namespace, keep_measured: bool = False
) -> None:
    """Print the rows, and write them to `<name>.json`; tiny ones only where a folder is named."""
    check_the_package()
    for row in rows:
        print(f"{row.name}: {shown(row.value, row.unit)}{f' ({row.note})' if row.note else ''}", flush=True)
    if options.tiny and not options.results:
        return
    path = (options.results or RESULTS) / f"{name}.json"
    run = {"machine": machine(), "commit": options.commit or commit(), "date": f"{datetime.now(UTC):%Y-%m-%d}"}
    new = [asdict(row) | {"run": None if row.value is None else run} for row in rows]
    old = stored(path)["rows"] if path.is_file() else []
    partial = bool(getattr(options, "only", None))
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {"title": title, "about": " ".join(about.split()), "rows": merged(old, new, partial, keep_measured)}
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def check_the_package() -> None:
    """End where another package than this folder's neighbour was measured."""
    import posenc

    if not Path(str(posenc.__file__)).is_relative_to(ROOT):
        sys.exit(f"what was measured is {posenc.__file__}, not the package of {ROOT}: nothing was written")


def merged(
    old: Sequence[dict[str, Any]], new: Sequence[dict[str, Any]], partial: bool, keep_measured: bool
) -> list[dict[str, Any]]:
    """Rows of a file after a run: all are new, unless it was a partial one.

    keep_measured: a row that could not be measured now stays as another machine measured it.
    """
    before = {row["name"]: row for row in old}
    kept = before if keep_measured else {}
    found = dict(before) if partial else {}
    for row in new:
        name = row["name"]
        found[name] = kept[name] if row["value"] is None and name in kept else row
    return list(found.values())


def stored(path: Path) -> dict[str, Any]:
    """What `save` wrote."""
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def shown(value: float | None, unit: str) -> str:
    """A value as it is read."""
    if value is None:
        return "–"
    if unit == "%":
        return f"{100 * value:.1f} %"
    return f"{value:.2f} {unit}" if value < 100 else f"{value:.0f} {unit}"


# ---- machine


def machine() -> str:
    """One line on what decides about speed; nothing that names the machine."""
    import torch

    from posenc.training.devices import cpu_name, has_bf16_units

    cpu = torch.device("cpu")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    parts = [cpu_name(), f"{cores} cores", f"{'with' if has_bf16_units(cpu) else 'without'} bf16 units"]
    parts += [torch.cuda.get_device_name(device) for device in range(torch.cuda.device_count())]
    return ", ".join([*parts, platform.system(), f"Python {platform.python_version()}", f"torch {torch.__version__}"])


def commit() -> str:
    """The commit that is checked out, and whether its files were changed since; results are no such change."""
    try:
        head = git("rev-parse", "--short=10", "HEAD").strip()
        changed = git("status", "--porcelain", "--", ".", ":!benchmarks/results", ":!docs/benchmarks.md")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return f"{head} with changes" if changed else head


def git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True).stdout


# ---- the project


def copy_project(folder: Path) -> Path:
    """The project as from a fresh clone: no results."""
    for name in project_files():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, folder / name)
    return folder


def project_files() -> list[str]:
    """Its own files, relative to the root."""
    try:
        listed = git("ls-files", "-co", "--exclude-standard", "-z").split("\0")
    except (OSError, subprocess.CalledProcessError):  # no clone, but an unpacked archive
        parts = (ROOT / name for name in ("Snakefile", "config.yaml", "src", "workflow", "profiles", "envs"))
        paths = (path for part in parts for path in (part.rglob("*") if part.is_dir() else [part]))
        listed = [str(path.relative_to(ROOT)) for path in paths if "__pycache__" not in path.parts]
    return [name for name in listed if (ROOT / name).is_file()]


def snakemake(folder: Path, *arguments: str) -> tuple[float, subprocess.CompletedProcess[str]]:
    """Run Snakemake in a folder, as users do; its seconds and what it printed. Ends this process where it fails."""
    steering = ("POSENC_DATA", "POSENC_RUN", "PYTHONPATH", "SNAKEMAKE_PROFILE")
    environment = {key: value for key, value in os.environ.items() if key not in steering}
    command = [sys.executable, "-m", "snakemake", *arguments]
    start = time.perf_counter()
    run = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    seconds = time.perf_counter() - start
    if run.returncode:
        sys.exit(f"snakemake {' '.join(arguments)} failed:\n{run.stdout[-2000:]}{run.stderr[-4000:]}")
    return seconds, run


# ---- workers


class Worker:
    """A process of its own that measures when it is told to: a line of JSON goes in, a line comes back."""

    def __init__(self, command: Sequence[str], **environment: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **environment},
        )

    def ask(self, question: Any) -> None:
        assert self.process.stdin
        self.process.stdin.write(json.dumps(question) + "\n")
        self.process.stdin.flush()

    def answer(self) -> Any:
        assert self.process.stdout
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"a measuring process ended with exit code {self.process.wait()}; its error stands above")
        return json.loads(line)

    def close(self) -> None:
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait()


def ask_all(workers: Sequence[Worker], question: Any) -> tuple[float, list[Any]]:
    """Ask all at once; seconds until the last one has answered, and their answers."""
    start = time.perf_counter()
    for worker in workers:
        worker.ask(question)
    answers = [worker.answer() for worker in workers]
    return time.perf_counter() - start, answers


def answer_questions(work: Callable[[Any], Any]) -> None:
    """What a worker does: answer each line until there are no more."""
    for line in sys.stdin:
        print(json.dumps(work(json.loads(line))), flush=True)
