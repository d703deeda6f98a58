"""What several test modules share."""

import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from posenc.plan.combinations import Combination, combinations_of
from posenc.plan.model import Experiment


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Torch on one core, as a fit's job runs; only where some test module has imported it."""
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(1)
    yield


@pytest.fixture(scope="session")
def planned() -> Callable[..., list[Combination]]:
    """The planner's combinations of one small experiment: planned({"gaussian": {"sigma": 2}}, steps=10)."""

    def combinations(encodings: dict[str, Any], **settings: Any) -> list[Combination]:
        training: dict[str, Any] = {"steps": 20, "learning_rate": 1e-3, "reduced_precision": False, "log_every": 25}
        training |= {key: settings.pop(key) for key in ("optimizer", "decay_steps") if key in settings}
        experiment = Experiment.model_validate(
            {
                "title": "small",
                "problem": settings.pop("problem", "image"),
                "signals": {"kind": "natural", "size": settings.pop("size", 16), "tuning": 1, "report": 1},
                "stacked": settings.pop("stacked", []),
                "encodings": encodings,
                "networks": settings.pop("networks", {"mlp": {"depth": 3, "width": 32}}),
                "seeds": settings.pop("seeds", [0]),
                "training": training | {key: settings.pop(key) for key in list(settings) if key in training},
            }
        )
        return list(combinations_of("small", experiment, settings.pop("precision", "float32")))

    return combinations
