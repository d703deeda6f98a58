"""GPUs: which ones a process may use, and that none is lent twice. The driver is a stand-in of a few lines."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from project import ROOT, with_driver

from posenc import gpus
from posenc.gpus import Gpu, GpuError, own_gpu, visible_gpus
from posenc.plan import machine
from posenc.plan.layers import ConfigError, Layer
from posenc.plan.machine import (
    check_codes,
    check_device,
    code_weights,
    fit_memory_mb,
    free_memory_mb,
    gpus_here,
    has_bf16_units,
    points_of,
    threads_per_fit,
)
from posenc.plan.registry import Part, parts
from posenc.plan.workflow import make_plan

UUIDS = ("GPU-fake-0", "GPU-fake-1", "GPU-fake-2")


@pytest.fixture
def driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Puts an nvidia-smi on the path that answers for so many devices."""
    for name in ("CUDA_VISIBLE_DEVICES", *gpus.SCHEDULER_JOBS):
        monkeypatch.delenv(name, raising=False)
    return lambda count: monkeypatch.setenv("PATH", with_driver(tmp_path / f"{count}-gpus", count))


@pytest.mark.parametrize(
    ("mask", "expected"),
    [
        (None, [0, 1, 2]),
        ("0", [0]),
        ("2,0", [2, 0]),
        (" 1 , 2 ", [1, 2]),
        (UUIDS[1], [1]),
        (f"{UUIDS[2]},{UUIDS[0]}", [2, 0]),
        ("", []),
        ("-1", []),
        ("NoDevFiles", []),
    ],
)
def test_a_mask_leaves_what_it_names(mask: str | None, expected: list[int], driver: Callable[[int], None]) -> None:
    driver(3)
    environment = {} if mask is None else {"CUDA_VISIBLE_DEVICES": mask}
    assert [gpu.index for gpu in visible_gpus(environment)] == expected


def test_devices_are_those_of_the_driver(driver: Callable[[int], None]) -> None:
    driver(2)
    assert gpus.gpus_of_driver() == [Gpu(i, UUIDS[i], "Fake card") for i in range(2)]
    program = Path(shutil.which("nvidia-smi") or "")
    program.write_text(program.read_text() + "exit 9\n")  # installed, but it reaches no device
    assert gpus.gpus_of_driver() == []


def test_without_a_driver_there_are_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert visible_gpus({}) == visible_gpus({"CUDA_VISIBLE_DEVICES": "0"}) == []


def test_part_of_a_device_keeps_its_name(driver: Callable[[int], None]) -> None:
    driver(1)
    (gpu,) = visible_gpus({"CUDA_VISIBLE_DEVICES": "MIG-1234"})
    assert (gpu.index, gpu.uuid) == (None, "MIG-1234")


@pytest.mark.parametrize("mask", ["3", "0,7", "GPU-real", "GPU-fake", "first", "0,,1"])
def test_a_mask_that_names_no_device_is_refused(mask: str, driver: Callable[[int], None]) -> None:
    driver(3)
    with pytest.raises(GpuError, match=rf"CUDA_VISIBLE_DEVICES={mask}: '.*' names no GPU .* there are 0 \(GPU-fake-0"):
        visible_gpus({"CUDA_VISIBLE_DEVICES": mask})


# Leases


def test_a_lease_shows_its_device_alone(driver: Callable[[int], None], tmp_path: Path) -> None:
    driver(3)
    with own_gpu("auto", folder=tmp_path / "leases") as gpu:
        assert gpu is not None
        assert os.environ["CUDA_VISIBLE_DEVICES"] == gpu.uuid
    assert "CUDA_VISIBLE_DEVICES" not in os.environ


def test_no_lease_without_a_device_or_on_the_cpu(driver: Callable[[int], None], tmp_path: Path) -> None:
    for device, count in (("auto", 0), ("cpu", 3)):
        driver(count)
        with own_gpu(device, folder=tmp_path / "leases") as gpu:
            assert gpu is None
    assert not (tmp_path / "leases").exists()


def test_what_a_scheduler_gave_is_taken_as_it_is(
    driver: Callable[[int], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver(3)
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    with own_gpu("auto", folder=tmp_path / "leases") as gpu:
        assert gpu is not None
        assert (gpu.index, os.environ["CUDA_VISIBLE_DEVICES"]) == (1, "1")
    assert not (tmp_path / "leases").exists()
    # None given: what the node shows belongs to other jobs.
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert gpus_here("auto", os.environ) == 0
    with own_gpu("auto", folder=tmp_path / "leases") as gpu:
        assert gpu is None
        assert os.environ["CUDA_VISIBLE_DEVICES"] == ""
    assert "CUDA_VISIBLE_DEVICES" not in os.environ
    # Several: a whole node was given to one Snakemake, whose jobs must share it out.
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1,2")
    with own_gpu("auto", folder=tmp_path / "leases") as gpu:
        assert gpu is not None
        assert os.environ["CUDA_VISIBLE_DEVICES"] == gpu.uuid in UUIDS[1:]


def test_devices_are_shared_only_when_all_are_in_use(driver: Callable[[int], None], tmp_path: Path) -> None:
    driver(3)
    held = [gpus.take_one(visible_gpus({}), 2, tmp_path) for _ in range(6)]
    assert {gpu.uuid for gpu, _ in held[:3]} == {gpu.uuid for gpu, _ in held[3:]} == set(UUIDS)


# One process of many that lease again and again: each writes when it has a device and when it gives it back.
LEASER = """
import os, sys, time
from pathlib import Path
from posenc import gpus
gpus.SECONDS_BETWEEN_TRIES = 0.002
folder, log, rounds = Path(sys.argv[1]), os.open(sys.argv[2], os.O_WRONLY | os.O_APPEND), int(sys.argv[3])
devices = [gpus.Gpu(i, f"GPU-{i}", "fake") for i in range(3)]
for _ in range(rounds):
    gpu, lock = gpus.take_one(devices, 1, folder)
    os.write(log, f"+{gpu.uuid}\\n".encode())
    time.sleep(0.001)
    os.write(log, f"-{gpu.uuid}\\n".encode())
    lock.release()
"""


def test_sixteen_processes_never_hold_one_of_three_devices_twice(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.touch()
    command = [sys.executable, "-c", LEASER, str(tmp_path / "leases"), str(log), "13"]
    processes = [subprocess.Popen(command) for _ in range(16)]
    assert [process.wait(timeout=120) for process in processes] == [0] * 16
    held: set[str] = set()
    lines = log.read_text().splitlines()
    assert len(lines) == 2 * 16 * 13  # 208 rounds
    for line in lines:
        if line[0] == "+":
            assert line[1:] not in held
            held.add(line[1:])
        else:
            held.remove(line[1:])
    assert {line[1:] for line in lines} == {"GPU-0", "GPU-1", "GPU-2"}


HOLDER = """
import sys, time
from pathlib import Path
from posenc import gpus
lease = gpus.take_one([gpus.Gpu(0, "GPU-0", "fake")], 1, Path(sys.argv[1]))
print("held", flush=True)
time.sleep(60)
"""


def test_a_killed_process_gives_its_device_back(tmp_path: Path) -> None:
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    got = threading.Event()

    def take() -> None:
        gpus.take_one([Gpu(0, "GPU-0", "fake")], 1, tmp_path)
        got.set()

    waiting = threading.Thread(target=take, daemon=True)
    waiting.start()
    assert not got.wait(timeout=1.5)
    holder.send_signal(signal.SIGKILL)
    killed = time.monotonic()
    assert got.wait(timeout=5), f"still waiting {time.monotonic() - killed:.0f} s after the kill"
    holder.communicate()


# What the plan says of a machine


def test_a_device_or_precision_that_is_not_there_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"device = 'cuda': this machine shows no GPU.*; use auto"):
        check_device("cuda", "auto", gpus=0, asked=1, slots=1)
    with pytest.raises(ConfigError, match=r"precision = 'tf32': only GPUs have it.*; use auto or float32"):
        check_device("auto", "tf32", gpus=0, asked=1, slots=1)
    assert check_device("cuda", "tf32", gpus=1, asked=1, slots=1) == []
    assert check_device("auto", "auto", gpus=0, asked=4, slots=1) == []  # without a GPU, gpu=4 counts for nothing


def test_more_gpus_than_there_are_is_said() -> None:
    (note,) = check_device("auto", "auto", gpus=2, asked=5, slots=2)
    assert note == (
        "5 fits on GPUs at once were asked for; 2 GPUs with slots_per_gpu 2 take 4: the others wait for their turn"
    )
    assert check_device("auto", "auto", gpus=2, asked=4, slots=2) == []


def test_bf16_without_units_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "has_bf16_units", lambda: False)
    (note,) = check_device("auto", "bf16", gpus=0, asked=None, slots=1)
    assert "no units for it; fits will be slower" in note
    assert check_device("auto", "bf16", gpus=1, asked=None, slots=1) == []


def test_units_are_read_from_the_kernel_s_list(tmp_path: Path) -> None:
    info = tmp_path / "cpuinfo"
    assert not has_bf16_units(info)
    for flags, expected in (("fpu avx512_bf16 sse", True), ("amx_bf16", True), ("avx512f avx512_bf16x", False)):
        info.write_text(f"processor : 0\nflags : {flags}\n")
        assert has_bf16_units(info) == expected


def test_a_bad_mask_is_a_mistake_of_the_settings_unless_fits_run_on_the_cpu(driver: Callable[[int], None]) -> None:
    driver(1)
    with pytest.raises(ConfigError, match="names no GPU"):
        gpus_here("auto", {"CUDA_VISIBLE_DEVICES": "4"})
    assert gpus_here("cpu", {"CUDA_VISIBLE_DEVICES": "4"}) == 0
    assert gpus_here("cuda", {}) == 1


@pytest.mark.parametrize(
    ("device", "count", "expected"), [("auto", 0, 0), ("auto", 2, 1), ("cpu", 2, 0), ("cuda", 2, 1), ("cuda", 0, 1)]
)
def test_a_fit_asks_for_a_gpu_where_it_will_use_one(
    device: str, count: int, expected: int, driver: Callable[[int], None]
) -> None:
    driver(count)
    plan = make_plan(ROOT, [Layer("test", {"preset": "smoke", "device": device})], {})
    assert plan.gpus_per_fit == expected


SPEC = {"members": [{"features": 512}], "network": {"depth": 4, "width": 256}}
IMAGE = parts("problems")["image"]


@pytest.mark.parametrize(
    ("attributes", "parameters", "size", "expected"),
    [
        ({"dimensions": 2, "nyquist": 0.25}, {}, 512, (256**2, 512**2)),  # every second pixel per axis
        ({"dimensions": 1, "nyquist": 0.25}, {"scale": 2.0}, 64, (32, 64)),
        ({"dimensions": 3, "nyquist": 0.5}, {}, 48, (48**3, 48**3)),  # all of them
        ({"dimensions": 3}, {"batch": 4096}, 128, (4096, 4096)),  # drawn at every step, whatever the size
        ({"dimensions": 3}, {"batch": 1024, "samples": 64}, 100, (65536, 65536)),  # points along rays
    ],
)
def test_points_of_a_problem_are_those_of_a_grid_or_of_a_batch(
    attributes: dict[str, Any], parameters: dict[str, Any], size: int, expected: tuple[int, int]
) -> None:
    assert points_of(Part("made up", "", "", attributes), parameters, size) == expected


def test_memory_of_a_fit_grows_with_its_points_and_on_a_gpu() -> None:
    small, large = (fit_memory_mb(SPEC, *points_of(IMAGE, {}, size), axes=2, on_gpu=False) for size in (128, 512))
    # 256 x 256 points, each with 512 features in 6 bytes and 4 x 256 numbers in 10: 872 MB; and 268 MB of a slab.
    assert (small, large) == (600 + 54 + 67, 600 + 872 + 268)
    points = points_of(IMAGE, {}, 512)
    assert fit_memory_mb(SPEC, *points, axes=2, on_gpu=True) == large + 2500
    assert fit_memory_mb(SPEC | {"members": [{}]}, *points, axes=2, on_gpu=False) == 600 + 671 + 134
    # Members are fitted one after the other: the largest counts. A network without layers has values alone.
    assert (
        fit_memory_mb(SPEC | {"members": [{"features": 8}, {"features": 512}, {}]}, *points, axes=2, on_gpu=False)
        == large
    )
    assert fit_memory_mb({"members": [{}], "network": {}}, 1000, 1000, axes=2, on_gpu=False) == 600


def test_the_weights_of_a_product_of_codes_count_and_must_fit() -> None:
    use = parts("networks")["kronecker"].use
    linear = {"members": [{"features": 64}, {"features": 8}], "network": {"use": use, "depth": 1, "width": 256}}
    hidden = linear | {"network": {"use": use, "depth": 2, "width": 256}}
    assert code_weights(linear, axes=3) == 3 * 64**3 and code_weights(hidden, axes=2) == 256 * 64**2
    # Stacked depths: the deep member has few features.
    stacked = hidden | {"members": [{"features": 64, "network": {"depth": 1}}, {"features": 8}]}
    assert code_weights(stacked, axes=3) == max(3 * 64**3, 256 * 8**3)
    assert code_weights(SPEC | {"network": {"use": parts("networks")["mlp"].use, "depth": 4, "width": 256}}, 3) == 0
    small, large = (fit_memory_mb(spec, 1000, 1000, axes=3, on_gpu=False) for spec in (linear, hidden))
    assert large - small == pytest.approx(24e-6 * 64**3 * (256 - 3), abs=4)
    check_codes({"clips": 10**9}, free_mb=24_000)
    with pytest.raises(
        ConfigError, match=r"experiments\.clips: .* 1\.0e\+09 weights, or 24 GB .* where 23 GB are free; lower"
    ):
        check_codes({"clips": 10**9}, free_mb=23_000)


def test_free_memory_is_that_of_this_machine() -> None:
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert 1 < free_memory_mb() <= total // 1_000_000


@pytest.mark.parametrize(
    ("size", "cores", "fits", "threads"),
    [(128, 2, 37, 1), (512, 16, 48, 1), (512, 16, 3, 5), (512, 16, 16, 1), (128, 2, 1, 2), (32, 16, 1, 1)],
)
def test_threads_go_to_large_fits_that_leave_cores_over(size: int, cores: int, fits: int, threads: int) -> None:
    assert threads_per_fit(SPEC, points_of(IMAGE, {}, size)[0], cores, fits) == threads


def test_the_planned_slab_is_the_one_that_fits_use() -> None:
    from posenc.training import loop

    assert machine.POINTS_PER_SLAB == loop.POINTS_PER_SLAB
