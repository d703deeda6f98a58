"""Configuration layers: merge them, validate the result, and say where a mistake stands."""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from posenc.plan.scales import number


class ConfigError(ValueError):
    """A mistake of the user; its text is the whole message."""


@dataclass(frozen=True)
class Layer:
    """Settings and where they stand (a file, or `--config`)."""

    origin: str
    settings: dict[str, Any]


def read_layer(path: Path, root: Path) -> Layer:
    """A YAML file as a layer. Raises ConfigError where it is missing or not a mapping."""
    origin = str(path.relative_to(root)) if path.is_relative_to(root) else str(path)
    try:
        content = yaml.safe_load(path.read_text())
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{origin}: cannot be read: {error}") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{origin}: is not valid YAML: {' '.join(str(error).split())}") from None
    if content is None:
        content = {}
    if not isinstance(content, dict):
        raise ConfigError(f"{origin}: must hold `key: value` lines, not a {type(content).__name__}")
    return Layer(origin, content)


def merge(layers: Sequence[Layer]) -> dict[str, Any]:
    """Later layers win: mappings merge, everything else is replaced."""
    merged: dict[str, Any] = {}
    for layer in layers:
        merge_into(merged, layer.settings)
    return merged


def merge_into(target: dict[str, Any], settings: Mapping[str, Any]) -> None:
    for key, value in settings.items():
        if isinstance(value, Mapping):
            if not isinstance(target.get(key), dict):
                target[key] = {}
            merge_into(target[key], value)
        else:
            target[key] = value


def validate(model: type[BaseModel], layers: Sequence[Layer]) -> Any:
    """The merged layers as a `model`. Raises ConfigError with every mistake, a line each."""
    merged = merge(layers)
    try:
        return model.model_validate(merged)
    except ValidationError as error:
        schema = model.model_json_schema()
        found = dict.fromkeys(describe(mistake, layers, schema) for mistake in error.errors())
        raise ConfigError("\n".join(found)) from None


def describe(mistake: Any, layers: Sequence[Layer], schema: dict[str, Any]) -> str:
    """`file: key = value: what is allowed, nearest match` of one pydantic error."""
    location = [step for step in mistake["loc"] if step != "absolute"]
    kind = mistake["type"]
    unknown = kind in ("extra_forbidden", "invalid_key")
    written = location if unknown else written_part(location, layers)
    where = f"{origin_of(written, layers)}: {dotted(written)}"
    value = f" = {mistake['input']!r}" if not isinstance(mistake["input"], dict | list) else ""
    if unknown:
        allowed = allowed_keys(location[:-1], schema)
        return f"{where}: unknown key; allowed here: {', '.join(allowed)}{nearest(location[-1], allowed)}"
    if kind == "missing":
        return f"{where}: is missing and has no default"
    if kind == "literal_error":
        expected = mistake["ctx"]["expected"]
        choices = [choice.strip("' ") for choice in expected.replace(" or ", ", ").split(",")]
        return f"{where}{value}: must be one of {', '.join(choices)}{nearest(mistake['input'], choices)}"
    if kind == "too_short":
        return f"{where}: is an empty list; name at least one value"
    reason = REASONS.get(kind, mistake["msg"].removeprefix("Value error, "))
    limits = {name: number(limit) for name, limit in mistake.get("ctx", {}).items() if isinstance(limit, int | float)}
    return f"{where}{value}: {reason.format(**limits) if kind in REASONS else reason}"


REASONS = {
    "float_parsing": "must be a number",
    "float_type": "must be a number",
    "int_parsing": "must be a whole number",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "finite_number": "must be a finite number",
    "greater_than": "must be greater than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "multiple_of": "must be a multiple of {multiple_of}",
    "model_type": "must be a mapping of keys to values",
    "bool_parsing": "must be true or false",
}


def nearest(word: Any, allowed: Sequence[str]) -> str:
    match = difflib.get_close_matches(str(word), allowed, n=1, cutoff=0.5)
    return f"; did you mean {match[0]!r}?" if match else ""


def dotted(location: Sequence[str | int]) -> str:
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in location).lstrip(".")


def written_part(location: Sequence[str | int], layers: Sequence[Layer]) -> list[str | int]:
    """The location as the user wrote it: without an index where a single value stands for a list of one."""
    location = list(location)
    if location and isinstance(location[-1], int):
        for layer in reversed(layers):
            found, value = look_up(layer.settings, location[:-1])
            if found:
                return location if isinstance(value, list) else location[:-1]
    return location


def origin_of(location: Sequence[str | int], layers: Sequence[Layer]) -> str:
    """The last layer that sets this key, or the longest part of its path that one sets."""
    for length in range(len(location), 0, -1):
        for layer in reversed(layers):
            if look_up(layer.settings, location[:length])[0]:
                return layer.origin
    return layers[-1].origin if layers else "configuration"


def look_up(settings: Any, location: Sequence[str | int]) -> tuple[bool, Any]:
    """Whether there is a value at a location, and the value."""
    for step in location:
        try:
            settings = settings[step]
        except (KeyError, IndexError, TypeError):
            return False, None
    return True, settings


def allowed_keys(location: Sequence[str | int], schema: dict[str, Any]) -> list[str]:
    """Keys that the JSON schema allows at a location."""
    node = resolve(schema, schema)
    for step in location:
        node = resolve(node.get("items", {}) if isinstance(step, int) else node["properties"][step], schema)
    return list(node.get("properties", {}))


def resolve(node: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """Follow references, and of alternatives take the one that has keys."""
    while True:
        if "$ref" in node:
            node = schema["$defs"][node["$ref"].rsplit("/", 1)[1]]
        elif "anyOf" in node:
            resolved = [resolve(option, schema) for option in node["anyOf"]]
            return next((option for option in resolved if "properties" in option), resolved[0])
        else:
            return node
