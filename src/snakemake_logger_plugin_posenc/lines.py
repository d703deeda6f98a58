"""The words of the progress display: pure functions, but for the reading of a failed job's log."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping, Sequence

TAIL_BYTES = 32_768  # enough for the last lines of a log, little for a huge one


def duration(seconds: float) -> str:
    """E.g. `45 s`, `1 min 52 s`, `2 h 5 min`."""
    minutes, rest = divmod(max(0, round(seconds)), 60)
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def time_left(seconds: float | None) -> str:
    """As precise as an estimate deserves: tens of seconds, then minutes, then five minutes."""
    if seconds is None:
        return "estimating time left"
    if seconds < 8:
        return "a few seconds left"
    step = 10 if seconds < 55 else 60 if seconds < 3570 else 300
    return f"about {duration(max(step, round(seconds / step) * step)).removesuffix(' 0 s')} left"


def jobs(count: int) -> str:
    return f"{count} job" if count == 1 else f"{count} jobs"


def plan(planned: Mapping[str, int]) -> str:
    """E.g. `96 jobs to do: 62 fit, 3 collect, 1 all`, the most numerous rules first."""
    rules = sorted(planned, key=lambda rule: -planned[rule])
    return f"{jobs(sum(planned.values()))} to do: " + ", ".join(f"{planned[rule]} {rule}" for rule in rules)


def status(
    done: int,
    total: int,
    failed: int,
    elapsed: float,
    left: float | None,
    running: Sequence[str],
    verb: str = "running",
) -> str:
    """E.g. `37/96 jobs (39 %), 1 min 52 s elapsed, about 3 min left; running: fit coffee`."""
    text = f"{done}/{total} jobs ({100 * done // total} %)" + (f", {failed} failed" if failed else "")
    text += f", {duration(elapsed)} elapsed, {time_left(left)}"
    more = f" and {len(running) - 2} more" if len(running) > 2 else ""
    return text + (f"; {verb}: {', '.join(running[:2])}{more}" if running else "")


def says_full(message: str) -> bool:
    """Whether Snakemake ran out of space for its own notes; it then advises on permissions."""
    return any(os.strerror(code) in message for code in (errno.ENOSPC, errno.EDQUOT))


def conclusion(done: int, total: int, failed: Sequence[str], elapsed: float, full: bool = False) -> str:
    """The last words of a run. Jobs that failed are named again: their reports may be far above."""
    again = "run the same command to continue"
    if full:
        again = f"no space is left for Snakemake's notes in .snakemake: free some, then {again}"
    if failed:
        head = f"failed: {jobs(len(failed))} failed, {done} of {total} done in {duration(elapsed)}; {again}"
        return "\n".join([head, *(f"  failed: {name}" for name in failed)])
    if done < total:
        return f"stopped: {done} of {jobs(total)} done in {duration(elapsed)}; {again}"
    return f"done: {jobs(done)} in {duration(elapsed)}"


def failure(name: str, rule: str, outputs: Sequence[str], logs: Sequence[str], tail: int) -> str:
    """Report of a failed job, with the last `tail` lines of its logs (0: all that was read)."""
    report = [f"failed: {name}", f"  rule: {rule}", *(f"  output: {path}" for path in outputs)]
    for path in logs:
        found = log_lines(path)[-tail:]
        report.append(f"  log: {path}" + ("" if found else " (empty or not there)"))
        report += [f"  | {line}" for line in found]
    return "\n".join(report)


def log_lines(path: str) -> list[str]:
    """The last lines of a log file; none when it cannot be read."""
    try:
        with open(path, "rb") as file:
            file.seek(max(0, os.path.getsize(path) - TAIL_BYTES))
            return file.read().decode(errors="replace").rstrip().splitlines()
    except OSError:
        return []
