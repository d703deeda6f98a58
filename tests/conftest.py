"""Fast tests run first."""

from pathlib import Path

import pytest

WORKFLOW = Path(__file__).parent / "workflow"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that start Snakemake come after all others, in their order otherwise."""
    items.sort(key=lambda item: item.path.is_relative_to(WORKFLOW))
