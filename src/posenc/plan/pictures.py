"""Which pictures an experiment uses: chosen from a source, split in tuning and report, checked before any job."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from posenc.plan.layers import ConfigError, Layer, origin_of
from posenc.signals import bundled, local, rows
from posenc.signals.pictures import SignalError
from posenc.signals.published import load_manifest, not_available_message
from posenc.signals.sets import Proposal, split

# Sub-folders of a data folder that hold other signals than pictures.
OTHER_KINDS = ("volumes", "meshes", "nerf", "video", "clips")


@dataclass(frozen=True)
class Source:
    """Where natural pictures come from, and the user's folder for all kinds, from the config and POSENC_DATA."""

    origin: str
    folder: Path | None = None
    named_by: str = ""
    files: Sequence[Path] = field(default=())
    data_folder: Path | None = None


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
    if not (path / "images").is_dir() and any((path / kind).is_dir() for kind in OTHER_KINDS):
        return Source("bundled", data_folder=path)
    try:
        files = local.image_files(path)
    except SignalError as error:
        raise ConfigError(f"{named_by} = {folder!r}: {error}") from None
    if unusable := next((file for file in files if "{" in str(file)), None):
        raise ConfigError(f"{named_by} = {folder!r}: {unusable}: Snakemake takes braces for a wildcard; rename it")
    return Source("local", path, named_by, files, path)


def natural_pictures(where: str, signals: Any, source: Source) -> tuple[Proposal, str]:
    """Pictures from the source, and the module that makes them. Raises ConfigError where there are too few."""
    if source.origin == "bundled":
        paths = dict.fromkeys(bundled.available(signals.size, signals.shrink), "")
    else:
        paths = named_files(source.files)
    return proposed(where, signals, paths, source.origin), f"posenc.signals.{source.origin}"


def picture_rows(where: str, signals: Any, source: Source) -> tuple[Proposal, str]:
    """Rows of pictures from the source, and the module that makes them. Raises ConfigError where there are too few."""
    if source.origin == "bundled":
        names = bundled.available(signals.size, signals.shrink, (*bundled.PICTURES, *bundled.GREY_PICTURES))
        paths = dict.fromkeys(names, "")
    else:
        paths = named_files(source.files)
    try:
        return rows.proposed(signals, paths, source.origin), rows.__name__
    except SignalError as error:
        raise ConfigError(f"{where}: {error}") from None


def text_pictures(where: str, signals: Any, source: Source) -> tuple[Proposal, str]:
    """As many drawn pictures as are asked for, and the module that makes them."""
    paths = {f"text_{index:02d}": "" for index in range(signals.tuning + signals.report)}
    return proposed(where, signals, paths, "drawn"), "posenc.signals.drawn"


def proposed(where: str, signals: Any, paths: Mapping[str, str], origin: str) -> Proposal:
    """The pictures by name, shared among the two sets."""
    if len(paths) < 2:
        raise ConfigError(
            f"{where}: {len(paths)} {origin} pictures of {signals.shrink * signals.size}"
            " pixels or more; at least 2 are needed, one to choose sigma and one to report on: lower size or shrink, or"
            " name a folder with more pictures in data.folder"
        )
    sets = split(list(paths), signals.tuning, signals.report)
    tuning, report = (
        [{"name": name, "source": name, "path": paths[name]} for name in names] for names in (sets.tuning, sets.report)
    )
    note = f"{signals.kind}, {signals.size} x {signals.size} pixels: {sets.note}"
    return Proposal(origin, tuning, report, (note,) if sets.note else ())


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
