"""Writing by rename: what a killed writer leaves goes with the next one, and two writers never mix."""

import subprocess
import sys
from pathlib import Path

import numpy as np

from posenc.files import write_arrays, write_bytes

# A writer that is stopped between the temporary file and the rename; what is left then shows on stdout.
WRITER = """
import os, signal, sys
from posenc import files

replace = os.replace
def stopped(*paths):
    print("written", flush=True)
    {stop}
    replace(*paths)
os.replace = stopped
files.write_bytes(sys.argv[1], b"new")
"""


def writer(path: Path, stop: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", WRITER.format(stop=stop), str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_killed_writer_leaves_the_old_file_and_a_hidden_one_that_the_next_writer_removes(tmp_path: Path) -> None:
    path, other = tmp_path / "a.csv", tmp_path / "a.csv.gz"
    write_bytes(path, b"old")
    write_bytes(other, b"other")
    killed = writer(path, "os.kill(os.getpid(), signal.SIGKILL)")
    killed.communicate(timeout=30)
    assert killed.returncode == -9
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == [f".a.csv.{killed.pid}", "a.csv", "a.csv.gz"]
    write_bytes(other, b"other")  # of another file
    assert names(tmp_path) == [f".a.csv.{killed.pid}", "a.csv", "a.csv.gz"]
    write_bytes(path, b"newer")
    assert names(tmp_path) == ["a.csv", "a.csv.gz"]
    assert (path.read_bytes(), other.read_bytes()) == (b"newer", b"other")


def test_of_two_writers_the_slower_one_fails(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    with writer(path, "input()") as slow:
        assert slow.stdout
        assert slow.stdout.readline() == "written\n"
        write_bytes(path, b"newer")
        _, err = slow.communicate("\n", timeout=30)
    assert slow.returncode == 1
    assert "FileNotFoundError" in err
    assert path.read_bytes() == b"newer"
    assert names(tmp_path) == ["a.csv"]


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    code = (
        "import resource, sys; from posenc.files import write_bytes\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "write_bytes(sys.argv[1], bytes(2000))"
    )
    failed = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True)
    assert failed.stderr.endswith(f"File too large: '{path}'\n")
    assert names(tmp_path) == []


def test_arrays_go_round_with_their_shape_and_type_and_repeat_to_the_byte(tmp_path: Path) -> None:
    arrays = {
        "signal/part": np.arange(6.0).reshape(2, 3),
        "turned": np.arange(6.0).reshape(2, 3).T,
        "single": np.array(2.5, dtype=np.float16),
        "none": np.zeros((0, 4), dtype=np.int64),
    }
    write_arrays(tmp_path / "a.npz", arrays)
    with np.load(tmp_path / "a.npz", allow_pickle=False) as read:
        assert read.files == list(arrays)
        for name, array in arrays.items():
            assert (read[name].shape, read[name].dtype) == (array.shape, array.dtype)
            np.testing.assert_array_equal(read[name], array)
    write_arrays(tmp_path / "b.npz", {**arrays, "turned": np.ascontiguousarray(arrays["turned"])})
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
