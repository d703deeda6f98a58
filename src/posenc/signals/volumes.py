"""Scans of heads as volumes and as slices: NIfTI files of the user's, or drawn stand-ins where there are none.

A scan becomes a signal by exact area averaging: each axis is cut into `size` equal parts, and a voxel is the mean of
the scan over its box, voxels cut by its faces counted by the part inside. Scans that are no cubes are squeezed, as the
authors of Tancik et al. 2020 did with theirs. Values are divided by the largest one of the volume (`brain_volumes`) or
of the slice (`brain_slices`); where some are negative, the smallest one becomes 0 first.

Slices run across the first axis. As in the authors' code the outer ones are left out, 50 of 512 at either end; and so
are those that show next to nothing, with a mean below a tenth of the fullest slice's.
"""

import hashlib
import re
import struct
import warnings
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from posenc.signals.heads import head_name
from posenc.signals.pictures import SignalError
from posenc.signals.sets import Entry, Proposal, split
from posenc.signals.stored import Signal

LICENCE = "as the owner of the file states"

ENDINGS = (".nii", ".nii.gz")
LEFT_OUT = 50 / 512  # share of the slices that is left out at either end
FAINT = 0.1  # of the fullest slice's mean: below it a slice is left out

# What nibabel and zlib raise on damaged files. Faults of the machine (memory) pass through.
_DAMAGE = (OSError, ValueError, EOFError, LookupError, TypeError, OverflowError, struct.error, zlib.error)


class Scan(NamedTuple):
    """A scan as it lies in its file, checked."""

    values: NDArray[np.floating]  # (a, b, c), finite, not constant, scaled as the file's header says
    note: str  # what was converted, empty where nothing was


def propose(settings: Any, folder: Path | None) -> Proposal:
    """Slices or whole volumes of the scans in `folder`/volumes, or drawn heads where there are none.

    No scan is in both sets, with two exceptions: of a single scan, volumes report on it and tune on drawn heads, and
    slices for both sets are cut from it, none twice, as the paper's are.
    """
    paths = named_volumes(volume_files(folder)) if folder else {}
    if not paths:
        tuning, report = head_entries(settings.tuning), head_entries(settings.report, after=settings.tuning)
        return Proposal("drawn", tuning, report, (f"{settings.kind}: drawn stand-ins, no brains",))
    if settings.kind == "brain_slices":
        return propose_slices(settings, paths)
    if len(paths) == 1 and settings.tuning:
        tuning, note = head_entries(settings.tuning), "the one local volume reports; drawn heads choose sigma"
        return Proposal("local", tuning, volume_entries(paths), (f"brain_volumes: {note}",))
    sets = split(list(paths), settings.tuning, settings.report, "scans")
    tuning, report = (volume_entries({name: paths[name] for name in names}) for names in (sets.tuning, sets.report))
    return Proposal("local", tuning, report, (f"brain_volumes: {sets.note}",) if sets.note else ())


def propose_slices(settings: Any, paths: Mapping[str, Path]) -> Proposal:
    """Random slices of scans: of each set's scans in turn, no slice twice. Their source is the scan."""
    notes, cut = [], dict.fromkeys(paths, 0)
    if len(paths) == 1:
        (name,) = paths
        of_tuning, of_report = [name] * settings.tuning, [name] * settings.report
        notes.append(f"brain_slices: all slices, tuning and report, are of one scan, {name}")
    else:
        sets = split(list(paths), min(settings.tuning, len(paths) // 2), settings.report, "scans")
        of_tuning, of_report = (
            [names[i % len(names)] for i in range(count)] if names else []
            for names, count in ((sets.tuning, settings.tuning), (sets.report, settings.report))
        )
    entries = []
    for name in (*of_tuning, *of_report):
        entries.append(Entry(name=slice_name(name, cut[name]), source=name, path=str(paths[name])))
        cut[name] += 1
    return Proposal("local", entries[: settings.tuning], entries[settings.tuning :], tuple(notes))


def head_entries(count: int, after: int = 0) -> list[Entry]:
    """Drawn heads, from one index on."""
    names = [head_name(index) for index in range(after, after + count)]
    return [Entry(name=name, source=name, path="", use="posenc.signals.heads") for name in names]


def volume_entries(paths: Mapping[str, Path]) -> list[Entry]:
    return [Entry(name=name, source=name, path=str(path)) for name, path in paths.items()]


def check(spec: Mapping[str, Any]) -> list[str]:
    """Read every scan once, before any job; notes on what is converted. All bad files in one SignalError."""
    notes, problems = [], []
    for path in dict.fromkeys(entry["path"] for entry in spec["signals"] if entry["path"]):
        try:
            scan = read_scan(path)
            for entry in spec["signals"]:
                if entry["path"] == path and spec["kind"] == "brain_slices":
                    slice_of_rank(scan.values, entry, spec["size"])
        except SignalError as error:
            problems.append(str(error))
        else:
            notes += [f"{path}: {scan.note}"] if scan.note else []
    if problems:
        raise SignalError("\n".join(problems))
    return notes


def load_signal(asked: Mapping[str, str], spec: Mapping[str, Any]) -> Signal:
    """A volume `(size, size, size, 1)` or a slice `(size, size, 1)` of the scan in a file."""
    scan, size = read_scan(asked["path"]), spec["size"]
    if spec["kind"] == "brain_volumes":
        return Signal({"values": volume_of(scan.values, size)[..., None]}, LICENCE, scan.note)
    index = slice_of_rank(scan.values, asked, size)
    note = "; ".join(text for text in (f"slice {index} of {size} across the first axis", scan.note) if text)
    return Signal({"values": slice_of(scan.values, size, index)[..., None]}, LICENCE, note)


def volume_files(folder: str | Path) -> list[Path]:
    """The NIfTI files of the sub-folder `volumes` of a data folder, sorted by name; hidden files are skipped."""
    start = Path(folder) / "volumes"
    if not start.is_dir():
        return []
    return sorted(path for path in start.iterdir() if path.name.endswith(ENDINGS) and not path.name.startswith("."))


def read_scan(path: str | Path) -> Scan:
    """The volume in a NIfTI file; a `SignalError` says what keeps a file from being one."""
    import nibabel  # here, because importing this module must stay cheap
    from nibabel.filebasedimages import ImageFileError
    from nibabel.spatialimages import HeaderDataError

    path = Path(path)
    if not path.is_file():
        raise SignalError(f"{path}: {'a folder, not a file' if path.is_dir() else 'no such file'}; check the path")
    if path.stat().st_size == 0:
        raise SignalError(f"{path}: an empty file; copy or download it again")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image: Any = nibabel.load(path)
            shape = image.shape
            if image.get_data_dtype().kind not in "iuf":
                raise SignalError(f"{path}: values of type {image.get_data_dtype()}, expected one number per voxel")
            volume_shape = _volume_shape(path, shape)
            # float32 holds what 16 bits hold, and halves the memory of get_fdata's float64
            values = np.asanyarray(image.dataobj, dtype=np.float32).reshape(volume_shape)
            scaling = _scaling_note(image)
    except PermissionError:
        raise SignalError(f"{path}: may not be read; check the file's permissions") from None
    except SignalError:
        raise
    except (ImageFileError, HeaderDataError, *_DAMAGE) as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise SignalError(
            f"{path}: no NIfTI volume that can be read, or cut off ({reason}); copy or download it again"
        ) from None
    broken = values.size - int(np.isfinite(values).sum())
    if broken:
        raise SignalError(
            f"{path}: {broken} of {values.size} voxels are not finite numbers; set them to 0 and save again"
        )
    lowest, highest = float(values.min()), float(values.max())
    if lowest == highest:
        raise SignalError(f"{path}: every voxel is {lowest:g}, so there is nothing to learn; replace or remove it")
    notes = [
        "the one frame of a 4D file" if len(shape) > 3 else "",
        scaling,
        f"shifted by {-lowest:g}, so that the smallest value is 0" if lowest < 0 else "",
    ]
    values = values - lowest if lowest < 0 else values
    return Scan(values, "; ".join(note for note in notes if note))


def _volume_shape(path: Path, shape: Sequence[int]) -> tuple[int, int, int]:
    """The three axes of an array; further axes are allowed where they have one entry."""
    spelled = " x ".join(map(str, shape))
    if len(shape) < 3 or any(count != 1 for count in shape[3:]):
        what = f"{shape[3]} frames" if len(shape) == 4 else f"{len(shape)} axes"
        raise SignalError(f"{path}: an array of {spelled} ({what}), expected one volume of 3 axes; save a single frame")
    if min(shape[:3]) < 2:
        raise SignalError(f"{path}: an array of {spelled}, expected at least 2 voxels along each axis")
    return (shape[0], shape[1], shape[2])


def _scaling_note(image: Any) -> str:
    """What the header's slope and intercept did to the stored numbers; empty where they did nothing."""
    slope, intercept = image.dataobj.slope, image.dataobj.inter
    if (slope, intercept) == (1, 0):
        return ""
    return f"stored numbers scaled by the header: {slope:g} x value {'-' if intercept < 0 else '+'} {abs(intercept):g}"


def averaging(count: int, size: int) -> NDArray[np.float64]:
    """`(size, count)` weights that average `count` voxels over `size` equal parts; every row adds up to 1."""
    edges = np.arange(size + 1) * (count / size)
    first, last = edges[:-1, None], edges[1:, None]
    voxels = np.arange(count)
    overlap = np.minimum(last, voxels + 1) - np.maximum(first, voxels)
    return overlap.clip(0) * (size / count)


def volume_of(scan: NDArray[np.floating], size: int) -> NDArray[np.float32]:
    """`(size, size, size)` float32 in [0, 1]: the scan area-averaged, divided by the scan's largest value."""
    averaged = scan
    for _ in range(3):  # each turn averages the first axis and puts it last
        averaged = np.tensordot(averaged, averaging(averaged.shape[0], size), axes=(0, 1))
    return (averaged / scan.max()).astype(np.float32)


def slice_of(scan: NDArray[np.floating], size: int, index: int) -> NDArray[np.float32]:
    """`(size, size)` float32 in [0, 1]: slice `index` across the first axis of the averaged scan, its maximum 1.

    The last axis of the scan points upwards: heads that lie in their file as is common (towards the right, the front
    and the top) stand upright. Only the planes that the slice is made of are averaged: equal to a slice of the whole.
    """
    along = averaging(scan.shape[0], size)[index]
    plane = np.tensordot(along[along > 0], scan[along > 0], axes=1)
    values = averaging(plane.shape[0], size) @ plane @ averaging(plane.shape[1], size).T
    return np.rot90(values / values.max()).astype(np.float32)


def slices_to_choose_from(size: int) -> range:
    """Indices of the slices of a volume that are not left out at its ends."""
    margin = round(LEFT_OUT * size)
    return range(margin, size - margin)


def random_slices(name: str, scan: NDArray[np.floating], size: int) -> list[int]:
    """The slices of a scan that show enough, in an order drawn from its name alone."""
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")
    order = np.random.default_rng(seed).permutation(list(slices_to_choose_from(size)))
    means = averaging(scan.shape[0], size) @ scan.mean(axis=(1, 2), dtype=np.float64)
    return [index for index in order.tolist() if means[index] >= FAINT * means.max()]


def slice_of_rank(scan: NDArray[np.floating], asked: Mapping[str, str], size: int) -> int:
    """Where the slice that an entry asks for lies: its name counts the scan's slices in random order."""
    order = random_slices(asked["source"], scan, size)
    rank = slice_rank(asked["name"])
    if rank >= len(order):
        raise SignalError(
            f"{asked['path']}: {rank + 1} slices were asked for; at size {size} only {len(order)} show enough: ask for"
            " fewer, or add scans"
        )
    return order[rank]


def volume_name(path: str | Path) -> str:
    """A file's name as that of a signal: without its ending; whatever is no letter, digit, dot or dash becomes a _."""
    stem = re.sub(r"\.nii(\.gz)?$", "", Path(path).name)
    return re.sub(r"[^A-Za-z0-9._-]+", "_", stem)


def named_volumes(files: Sequence[Path]) -> dict[str, Path]:
    """The files by name. Raises SignalError where two share one, or where Snakemake could not take a path."""
    named: dict[str, Path] = {}
    for path in files:
        if "{" in str(path):
            raise SignalError(f"{path}: Snakemake takes braces for a wildcard; rename it")
        other = named.setdefault(volume_name(path), path)
        if other != path:
            raise SignalError(f"{path}: would be called {volume_name(path)} as {other.name} is; rename one of them")
    return named


def slice_name(volume: str, rank: int) -> str:
    """Name of the slice of a volume with this place in their random order."""
    return f"{volume}_slice_{rank:02d}"


def slice_rank(name: str) -> int:
    """Place of the slice with this name in the random order."""
    found = re.search(r"_slice_(\d{2,})$", name)
    if found is None:
        raise SignalError(f"no slice is called {name!r}; they are <volume>_slice_00, ...")
    return int(found[1])
