"""Profiles say how runs behave: the same in each, but for where jobs run."""

from typing import Any

import pytest
import yaml
from project import ROOT

# What differs by where jobs run.
PLACE = {"executor", "cores", "resources"}


def profile(name: str) -> dict[str, Any]:
    return yaml.safe_load((ROOT / "profiles" / name / "profile.yaml").read_text())


def test_a_cluster_runs_by_the_same_rules_as_one_machine() -> None:
    shared = {key: value for key, value in profile("default").items() if key not in PLACE}
    assert {key: profile("slurm").get(key) for key in shared} == shared


@pytest.mark.parametrize("name", [path.name for path in (ROOT / "profiles").iterdir()])
def test_a_profile_never_says_what_is_computed(name: str) -> None:
    assert not profile(name).keys() & {"config", "configfile", "configfiles"}


def test_slurm_counts_gpus_itself() -> None:
    assert "resources" not in profile("slurm")
