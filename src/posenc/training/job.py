"""A fit as a job of the workflow: on a device of its own, and able to go on where a killed job stopped."""

from collections.abc import Mapping
from typing import Any

from posenc.gpus import gpu_facts, own_gpu


def fit_as_job(
    params: Mapping[str, Any], signals: Mapping[str, str], outputs: Mapping[str, str], settings: Mapping[str, Any]
) -> None:
    """Fit `params["combination"]` (see `fit_combination`).

    settings: what does not change results: `device`, `slots_per_gpu`, `checkpoint_seconds`.
    """
    with own_gpu(settings["device"], settings["slots_per_gpu"]) as gpu:
        # Only now: torch looks at the devices when it is imported.
        from posenc.training.fit import fit_combination

        checkpoint = {
            "path": params["checkpoint"],
            "code": params["code"],
            "seconds": settings["checkpoint_seconds"],
        }
        fit_combination(
            params["combination"],
            signals,
            outputs,
            settings["device"],
            checkpoint,
            gpu_facts(gpu),
            settings["slots_per_gpu"],
        )
