"""Many kills of the whole smoke preset: in each round kill -9 by chance until a run ends, then compare all results.

Run by `make soak`. Every round has its own seed, which is printed: `python tests/soak.py --rounds 1 --seed <it>`.
"""

import argparse
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path

from faults import KINDS_OF_LONG_RUNS, left_after_2_s, mistakable, results_of, started, struck, undisturbed
from project import change_config, copy_project


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rounds", type=int, default=20)
    options.add_argument("--seed", type=int, default=0, help="of the first round; the next ones count on")
    asked = options.parse_args()

    place = Path(tempfile.mkdtemp(prefix="posenc-soak-"))
    whole = undisturbed(fresh(place / "undisturbed"))
    print(f"undisturbed: {len(whole.results)} files in {whole.seconds:.0f} s of processor time", flush=True)
    for seed in range(asked.seed, asked.seed + asked.rounds):
        folder, began = fresh(place / f"seed-{seed}"), time.monotonic()
        story, faults = soak(folder, random.Random(seed), whole.results, whole.seconds)
        print(f"seed {seed}: {', '.join(story) or 'never hit'}; {time.monotonic() - began:.0f} s", flush=True)
        if faults:
            sys.exit("\n  ".join([f"differs from the undisturbed run; kept: {folder}", *faults]))
        shutil.rmtree(folder)
    shutil.rmtree(place)
    print(f"{asked.rounds} rounds, all equal to the undisturbed run")


def fresh(folder: Path) -> Path:
    change_config(copy_project(folder), {"preset": "smoke"})
    return folder


def soak(folder: Path, chance: random.Random, right: dict[str, bytes], seconds: float) -> tuple[list[str], list[str]]:
    """One round to its end: the kills there were, and what was wrong after them.

    Early kills are the more likely ones, so that there are several; what comes late is reached by going on.
    """
    story: list[str] = []
    while True:
        kind, moment = chance.choice(KINDS_OF_LONG_RUNS), chance.uniform(0, seconds / 2)
        run = started(folder)
        hit = struck(kind, run, folder, moment, chance)
        code = run.wait()
        if not hit:
            break
        story.append(f"{kind} at {moment:.1f} s")
        faults = [f"still at work: {process}" for process in left_after_2_s(folder)]
        faults += [f"could be taken for a result: {name}" for name in mistakable(results_of(folder), right)]
        if faults:
            return story, faults
    if code:
        return story, [f"the last run ended with {code}: {folder / 'run.log'}"]
    found = results_of(folder)
    return story, [name for name in sorted(right.keys() | found.keys()) if right.get(name) != found.get(name)]


if __name__ == "__main__":
    main()
