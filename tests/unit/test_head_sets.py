"""Which phantoms, slices and volumes an experiment gets: drawn ones, a single scan, several, and what is refused."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nibabel
import numpy as np
import pytest

from posenc.plan.layers import Layer, read_layer
from posenc.plan.workflow import make_plan
from posenc.signals import phantoms, volumes
from posenc.signals.pictures import SignalError
from posenc.signals.sets import Proposal, load_signals

ROOT = Path(__file__).parents[2]


def settings(kind: str, size: int = 16, tuning: int = 2, report: int = 3) -> Any:
    return SimpleNamespace(kind=kind, size=size, tuning=tuning, report=report)


def scans(folder: Path, *names: str, shape: tuple[int, int, int] = (20, 18, 16)) -> Path:
    (folder / "volumes").mkdir(exist_ok=True)
    for index, name in enumerate(names):
        values = np.random.default_rng(index).integers(1, 256, shape, dtype=np.uint8)
        nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), folder / "volumes" / name)
    return folder


def names(proposal: Proposal) -> tuple[list[str], list[str]]:
    tuning, report = ([entry["name"] for entry in entries] for entries in (proposal.tuning, proposal.report))
    return tuning, report


def spec(asked: Any, proposal: Proposal) -> dict[str, Any]:
    """The data job's, as the plan makes it."""
    module = phantoms if asked.kind.startswith("phantom") else volumes
    return {
        "use": module.__name__,
        "kind": asked.kind,
        "size": asked.size,
        "signals": [
            {**entry, "set": which}
            for which, entries in (("tuning", proposal.tuning), ("report", proposal.report))
            for entry in entries
        ],
    }


@pytest.mark.parametrize(
    ("kind", "shape"),
    [
        ("phantoms", (16, 16, 1)), ("phantom_volumes", (16, 16, 16, 1)),
        ("brain_slices", (16, 16, 1)), ("brain_volumes", (16, 16, 16, 1)),
    ],
)  # fmt: skip
def test_without_scans_all_signals_are_drawn_and_independent(tmp_path: Path, kind: str, shape: tuple[int, ...]) -> None:
    asked = settings(kind)
    module = phantoms if kind.startswith("phantom") else volumes
    for folder in (None, tmp_path):
        proposal = module.propose(asked, folder)
        assert proposal.origin == "drawn"
        entries = [*proposal.tuning, *proposal.report]
        assert [len(proposal.tuning), len(proposal.report)] == [2, 3]
        assert len({entry["source"] for entry in entries}) == 5 and not any(entry["path"] for entry in entries)
    arrays, rows = load_signals(spec(asked, proposal))
    assert arrays["values"].shape == (5, *shape) and arrays["values"].dtype == np.float32
    assert len({array.tobytes() for array in arrays["values"]}) == 5
    assert all(row["licence"] == "drawn by this project" for row in rows)
    assert all(("stand-in" in row["note"]) == kind.startswith("brain") for row in rows)
    assert bool(proposal.notes) == kind.startswith("brain")


def test_slices_of_one_scan_serve_both_sets_and_are_one_source(tmp_path: Path) -> None:
    asked = settings("brain_slices")
    proposal = volumes.propose(asked, scans(tmp_path, "one.nii.gz"))
    tuning, report = names(proposal)
    assert proposal.origin == "local" and len(tuning) == 2 and len(report) == 3
    assert len({*tuning, *report}) == 5
    assert {entry["source"] for entry in (*proposal.tuning, *proposal.report)} == {"one"}
    assert "all slices, tuning and report, are of one scan, one" in proposal.notes[0]
    arrays, rows = load_signals(spec(asked, proposal))
    assert arrays["values"].shape == (5, 16, 16, 1)
    assert [float(array.max()) for array in arrays["values"]] == [1.0] * 5
    scan = volumes.read_scan(tmp_path / "volumes" / "one.nii.gz").values
    index = volumes.random_slices("one", scan, 16)[2]  # after the two that tune
    assert np.array_equal(arrays["values"][2, ..., 0], volumes.slice_of(scan, 16, index))
    assert rows[2]["name"] == "one_slice_02" and rows[2]["note"] == f"slice {index} of 16 across the first axis"


def test_slices_of_several_scans_share_none_between_the_sets(tmp_path: Path) -> None:
    proposal = volumes.propose(settings("brain_slices"), scans(tmp_path, "a.nii", "b.nii", "c.nii"))
    tuning, report = ({entry["source"] for entry in entries} for entries in (proposal.tuning, proposal.report))
    assert tuning == {"a"} and report == {"b", "c"}
    assert len({*names(proposal)[0], *names(proposal)[1]}) == 5


def test_more_slices_than_there_are(tmp_path: Path) -> None:
    asked = settings("brain_slices", size=8, report=9)
    with pytest.raises(SignalError, match="at size 8 only 6 show enough"):
        volumes.check(spec(asked, volumes.propose(asked, scans(tmp_path, "a.nii"))))


def test_one_volume_reports_and_drawn_heads_tune(tmp_path: Path) -> None:
    asked = settings("brain_volumes")
    proposal = volumes.propose(asked, scans(tmp_path, "a.nii"))
    assert names(proposal) == (["head_00", "head_01"], ["a"])
    assert "drawn heads choose sigma" in proposal.notes[0]
    arrays, rows = load_signals(spec(asked, proposal))
    assert arrays["values"].shape == (3, 16, 16, 16, 1)
    assert [row["licence"] for row in rows] == ["drawn by this project"] * 2 + [volumes.LICENCE]


def test_several_volumes_are_split(tmp_path: Path) -> None:
    folder = scans(tmp_path, "a.nii", "b.nii", "c.nii")
    proposal = volumes.propose(settings("brain_volumes"), folder)
    assert names(proposal) == (["a"], ["b", "c"])
    assert "3 independent" in proposal.notes[0]
    assert names(volumes.propose(settings("brain_volumes", tuning=1, report=2), folder)) == (["a"], ["b", "c"])


def test_two_files_of_one_name_and_braces(tmp_path: Path) -> None:
    with pytest.raises(SignalError, match="rename one of them"):
        volumes.propose(settings("brain_volumes"), scans(tmp_path, "a.nii", "a.nii.gz"))
    (tmp_path / "x").mkdir()
    with pytest.raises(SignalError, match="braces"):
        volumes.propose(settings("brain_volumes"), scans(tmp_path / "x", "a{1}.nii"))


def test_all_unusable_files_are_named_before_any_job(tmp_path: Path) -> None:
    folder = scans(tmp_path, "a.nii", "b.nii", "c.nii", "d.nii")
    (folder / "volumes" / "b.nii").write_bytes(b"")
    nibabel.save(nibabel.Nifti1Image(np.zeros((4, 4, 4), np.uint8), np.eye(4)), folder / "volumes" / "c.nii")
    asked = settings("brain_volumes", tuning=1)
    with pytest.raises(SignalError) as caught:
        volumes.check(spec(asked, volumes.propose(asked, folder)))
    first, second = str(caught.value).splitlines()
    assert "b.nii: an empty file" in first and "c.nii: every voxel is 0" in second


def test_notes_on_conversions_are_told(tmp_path: Path) -> None:
    folder = scans(tmp_path, "a.nii")
    values = np.random.default_rng(0).normal(size=(8, 8, 8, 1)).astype(np.float32)
    nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), folder / "volumes" / "a.nii")
    asked = settings("brain_volumes")
    (note,) = volumes.check(spec(asked, volumes.propose(asked, folder)))
    assert note.startswith(str(folder)) and "4D" in note and "shifted" in note


def test_the_exact_ct_protocol_is_the_papers_for_one_phantom() -> None:
    layers = [read_layer(ROOT / "config.yaml", ROOT), read_layer(ROOT / "tests/configs/ct_exact.yaml", ROOT)]
    plan = make_plan(ROOT, layers, {})
    rates = {"none": 1e-2, "basic": 1e-2, "positional": 1e-3, "gaussian": 1e-3}
    found = {combination.settings["encoding"]: combination for combination in plan.combinations["ct_shepp"].values()}
    assert set(found) == set(rates)
    for name, combination in found.items():
        spec, training = combination.spec, combination.spec["training"]
        assert (training["steps"], training["learning_rate"]) == (1000, rates[name])
        assert spec["problem"]["angles"] == 20 and spec["sets"] == ["report"]
        assert (spec["network"]["depth"], spec["network"]["width"]) == (4, 256)
    assert [found[name].members[0]["sigma"] for name in ("positional", "gaussian")] == [3, 4]
    signals = plan.signal_sets["ct_shepp"]
    assert signals.spec["size"] == 512 and sum(row["set"] == "report" for row in signals.spec["signals"]) == 1
    assert plan.signal_sets["ct_shepp_voxels"].key == signals.key


def test_voxels_stand_alone() -> None:
    layers = [
        read_layer(ROOT / "config.yaml", ROOT),
        Layer("--config", {"experiments": {"ct_shepp_voxels": {"encodings": {"basic": {}}}}}),
    ]
    with pytest.raises(ValueError, match="voxels takes the encoding none alone, not basic"):
        make_plan(ROOT, layers, {})
