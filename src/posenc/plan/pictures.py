"""Which pictures an experiment uses: chosen from a source, split in tuning and report, checked before any job."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from posenc.plan.layers import ConfigError, Layer, origin_of
from posenc.signals import bundled, local
from posenc.signals.pictures import SignalError
from posenc.signals.published import load_manifest, not_available_message
from posenc.signals.sets import split


@dataclass(frozen=True)
class Source:
    """Where natural pictures come from, resolved from the config and POSENC_DATA."""

    origin: str
    folder: Path | None = None
    named_by: str = ""
    files: Sequence[Path] = field(default=())


def natural_source(
    data: Any, manifest: Path, layers: Sequence[Layer] = (), environment: Mapping[str, str] = os.environ
) -> Source:
    """The source of natural pictures. Raises ConfigError where a folder or file is not there."""

    def written(key: str) -> str:
        return f"{origin_of(['data', key], layers)}: data.{key}"

    folder, named_by = data.folder, written("folder")
    if folder is None and environment.get("POSENC_DATA"):
        folder, named_by = environment["POSENC_DATA"], "POSENC_DATA"
    origin = data.source
    if origin == "auto":
        origin = "local" if folder else "bundled"
    if origin == "published":
        raise ConfigError(
            f"{written('source')} = 'published': {not_available_message('natural', load_manifest(manifest)['natural'])}"
        )
    if origin == "bundled":
        return Source("bundled")
    if not folder:
        raise ConfigError(
            f"{written('source')} = 'local': no folder is named; set data.folder or the variable POSENC_DATA"
        )
    path = Path(folder).expanduser()
    try:
        files = local.image_files(path)
    except SignalError as error:
        raise ConfigError(f"{named_by} = {folder!r}: {error}") from None
    if unusable := next((file for file in files if "{" in str(file)), None):
        raise ConfigError(f"{named_by} = {folder!r}: {unusable}: Snakemake takes braces for a wildcard; rename it")
    return Source("local", path, named_by, files)


@dataclass(frozen=True)
class SignalSet:
    """The pictures of an experiment: the data job's spec, its folder name, and what to tell the user."""

    key: str
    spec: dict[str, Any]
    notes: tuple[str, ...] = ()


def signal_set(experiment: str, signals: Any, source: Source) -> SignalSet:
    """The pictures for an experiment's `signals` settings. Raises ConfigError where there are too few."""
    if signals.kind == "text":
        origin = "drawn"
        paths = {f"text_{index:02d}": "" for index in range(signals.tuning + signals.report)}
    elif source.origin == "bundled":
        origin = "bundled"
        paths = dict.fromkeys(bundled.available(signals.size, signals.shrink), "")
    else:
        origin = "local"
        paths = named_files(source.files)
    if len(paths) < 2:
        raise ConfigError(
            f"experiments.{experiment}.signals: {len(paths)} {origin} pictures of {signals.shrink * signals.size}"
            " pixels or more; at least 2 are needed, one to choose sigma and one to report on: lower size or shrink, or"
            " name a folder with more pictures in data.folder"
        )
    sets = split(list(paths), signals.tuning, signals.report)
    rows = [
        {"name": name, "set": which, "source": name, "path": paths[name]}
        for which, names in (("tuning", sets.tuning), ("report", sets.report))
        for name in names
    ]
    crop = f"{signals.size} x {signals.size} pixels"
    key = (
        f"{signals.kind}-{origin}+size={signals.size}+shrink={signals.shrink}"
        f"+tuning={len(sets.tuning)}+report={len(sets.report)}"
    )
    spec = {
        "kind": signals.kind,
        "use": f"posenc.signals.{origin}",
        "size": signals.size,
        "shrink": signals.shrink,
        "signals": rows,
    }
    note = f"{signals.kind}, {crop}: {sets.note}"
    return SignalSet(key, spec, (note,) if sets.note else ())


def named_files(files: Sequence[Path]) -> dict[str, str]:
    """A name for each file: its stem, with its folder where two share a stem."""
    stems = [path.stem for path in files]
    return {
        path.stem if stems.count(path.stem) == 1 else f"{path.parent.name}-{path.stem}{path.suffix}": str(path)
        for path in files
    }


def check_local_pictures(source: Source, specs: Sequence[Mapping[str, Any]]) -> list[str]:
    """Notes on what is converted. Decodes every local picture once; ConfigError names all that cannot be used."""
    crops = {(spec["size"], spec["shrink"]) for spec in specs if spec["kind"] == "natural"}
    if source.folder is None or not crops:
        return []
    size, shrink = max(crops, key=lambda crop: crop[0] * crop[1])
    try:
        checked = local.check_images(source.folder, size, shrink)
    except SignalError as error:
        raise ConfigError(f"{source.named_by}: {error}") from None
    return [f"{path}: {note}" for path, note in checked if note]
