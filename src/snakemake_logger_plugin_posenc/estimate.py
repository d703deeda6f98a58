"""How far a run is and how long the rest of it takes: arithmetic alone, on times given by the caller."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

HALF_LIFE = 60.0  # seconds after which observed concurrency counts half: the phases of a run differ in it
LEAST_CONCURRENCY = 0.1  # keeps the estimate finite when nothing has run for a while


class Progress:
    """The jobs of one run. `planned` counts the jobs of each rule; `now` is in seconds, on any one clock."""

    def __init__(self, planned: Mapping[str, int]) -> None:
        self.planned = dict(planned)
        self.total = sum(self.planned.values())
        self.running: dict[int, tuple[str, float]] = {}  # job -> rule, start; oldest first
        self.failures: dict[int, str] = {}  # job -> rule
        self._done: Counter[str] = Counter()
        self._seconds: Counter[str] = Counter()  # rule -> summed durations of its finished jobs
        self._observed = 0.0  # until when concurrency is observed
        self._weight = self._busy = 0.0  # time observed and time of jobs in it, both fading

    @property
    def done(self) -> int:
        return self._done.total()

    def started(self, job: int, rule: str, now: float) -> None:
        """A job starts, for the first time or again after a failure."""
        self._observe(now)
        self.failures.pop(job, None)
        self.running[job] = (rule, now)

    def finished(self, job: int, now: float) -> None:
        self._observe(now)
        rule, start = self.running.pop(job)
        self._done[rule] += 1
        self._seconds[rule] += max(0.0, now - start)  # type: ignore[assignment]

    def failed(self, job: int, rule: str, now: float) -> None:
        """A job failed; how long that took says nothing about the others."""
        self._observe(now)
        self.running.pop(job, None)
        self.failures[job] = rule

    def remaining(self, now: float) -> float | None:
        """Seconds until the last job is done, or None while there is too little to tell.

        Every job left counts with its rule's mean duration, a running one with what is left of that; the sum
        is divided by the concurrency observed. A rule with many jobs must have a finished one; one with few
        counts with the mean of all finished jobs until then. Jobs that wait for a failed one still count.
        """
        self._observe(now)
        failed = Counter(self.failures.values())
        left = {rule: n - self._done[rule] - failed[rule] for rule, n in self.planned.items()}
        left = {rule: n for rule, n in left.items() if n > 0}
        if not left:
            return 0.0
        many = {rule for rule in left if self.planned[rule] >= max(3.0, self.total / 10)}
        grown = self.total > sum(self.planned.values())  # a checkpoint added jobs of rules unknown here
        if not self.done or grown or any(not self._done[rule] for rule in many):
            return None

        def mean(rule: str) -> float:
            rules = [rule] if self._done[rule] else list(self._done)
            return sum(self._seconds[name] for name in rules) / sum(self._done[name] for name in rules)

        work = sum(n * mean(rule) for rule, n in left.items())
        rest = [max(0.0, mean(rule) - max(0.0, now - start)) for rule, start in self.running.values()]
        work += sum(rest) - sum(mean(rule) for rule, _ in self.running.values())
        return max([*rest, work / min(self.concurrency(), sum(left.values()))])

    def concurrency(self) -> float:
        """Mean number of jobs side by side since the first one started, the last minutes counting most."""
        if not self._weight:
            return max(1.0, len(self.running))
        return max(LEAST_CONCURRENCY, self._busy / self._weight)

    def _observe(self, now: float) -> None:
        """Count the time since the last event with the number of jobs that ran in it."""
        keep = 0.5 ** (max(0.0, now - self._observed) / HALF_LIFE)
        if self.running or self._weight:
            self._weight = self._weight * keep + (1 - keep)
            self._busy = self._busy * keep + (1 - keep) * len(self.running)
        self._observed = max(now, self._observed)
