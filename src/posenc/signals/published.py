"""The authors' own data files: what is known of them. Nothing is downloaded yet."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from posenc.signals.pictures import SignalError

FIELDS = ("file", "url", "sha256", "bytes", "licence", "used_by", "note")


def load_manifest(path: str | Path) -> dict[str, dict[str, Any]]:
    """The data manifest of a paper: name -> entry with the keys of `FIELDS`, null where unknown."""
    import yaml  # here, because importing this module must stay cheap

    try:
        manifest = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise SignalError(f"{path}: cannot be read as a data manifest ({error})") from None
    if not isinstance(manifest, dict):
        raise SignalError(f"{path}: a data manifest maps names to entries")
    for name, entry in manifest.items():
        keys = set(entry) if isinstance(entry, dict) else set()
        if keys != set(FIELDS):
            wrong = ", ".join(sorted(map(str, keys ^ set(FIELDS))))
            raise SignalError(
                f"{path}: entry {name!r} needs exactly the keys {', '.join(FIELDS)}; missing or unknown: {wrong}"
            )
    return manifest


def not_available_message(name: str, entry: Mapping[str, Any]) -> str:
    """What to tell a user who asks for published data, and what to use instead."""
    known = [entry.get("file"), entry.get("url"), f"licence: {entry.get('licence') or 'not stated'}"]
    described = ", ".join(str(fact) for fact in known if fact)
    return (
        f"published data {name!r} ({described}) cannot be downloaded by this version yet: "
        "use data.source: bundled or local"
    )
