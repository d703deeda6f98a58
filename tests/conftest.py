"""Fast tests run first. Two processes share the test files (`-n 2` in pyproject.toml; `-n 0` runs all in one)."""

from pathlib import Path

import pytest

WORKFLOW = Path(__file__).parent / "workflow"
# Of those that start Snakemake, the ones that keep one core busy, the longest first. Then come the ones that run cases
# side by side on all cores, so that none is idle at the end, when there is one file left.
ONE_BY_ONE = (
    "test_slurm.py", "test_rethinking.py", "test_results.py", "test_kinds.py", "test_interruptions.py",
    "test_new_encoding.py",
)  # fmt: skip


def turn(path: Path) -> int:
    if not path.is_relative_to(WORKFLOW):
        return 0
    return 1 + ONE_BY_ONE.index(path.name) if path.name in ONE_BY_ONE else 1 + len(ONE_BY_ONE)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that start Snakemake come after all others; in their order otherwise."""
    items.sort(key=lambda item: turn(item.path))
