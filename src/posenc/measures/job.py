"""A measure as a job of the workflow, on a device of its own."""

from collections.abc import Mapping
from typing import Any

from posenc.gpus import own_gpu


def measure_as_job(spec: Mapping[str, Any], outputs: Mapping[str, str], settings: Mapping[str, Any]) -> None:
    """Run a measure (see `run_measure`); settings: `device` and `slots_per_gpu`, which do not change results."""
    with own_gpu(settings["device"], settings["slots_per_gpu"]):
        # Only now: torch looks at the devices when it is imported.
        from posenc.measures.asked import run_measure

        run_measure(spec, outputs, settings["device"])
