"""Which encodings, networks and problems exist, read from their source without importing them."""

import ast
import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal

from posenc import parameters

PACKAGE = Path(__file__).resolve().parents[1]
# Names that an annotation may use; everything else (a torch.Generator, say) is no parameter of the config.
VOCABULARY = {
    **{name: kind for name, kind in vars(parameters).items() if not name.startswith("_")},
    **{kind.__name__: kind for kind in (int, float, str, bool)},
    "Literal": Literal,
}


@dataclass(frozen=True)
class Parameter:
    """A configurable keyword argument: its annotation and default (`...` where it must be given)."""

    annotation: Any
    default: Any


@dataclass(frozen=True)
class Part:
    """A class that a combination can be built from."""

    name: str
    use: str
    doc: str
    attributes: dict[str, Any] = field(default_factory=dict)
    parameters: dict[str, Parameter] = field(default_factory=dict)
    methods: frozenset[str] = frozenset()


@cache
def parts(folder: str) -> dict[str, Part]:
    """The classes of `src/posenc/<folder>` that carry a `name`, by that name."""
    found = {}
    for path in sorted((PACKAGE / folder).glob("*.py")):
        body = ast.parse(path.read_text()).body
        classes = {node.name: node for node in body if isinstance(node, ast.ClassDef)}
        for node in classes.values():
            if "name" in (attributes := class_attributes(node)):
                part = Part(
                    name=attributes["name"],
                    use=f"posenc.{folder}.{path.stem}:{node.name}",
                    doc=inspect.cleandoc(ast.get_docstring(node) or ""),
                    attributes=attributes,
                    parameters=init_parameters(node, classes),
                    methods=methods(node, classes),
                )
                found[part.name] = part
    return found


def class_attributes(node: ast.ClassDef) -> dict[str, Any]:
    """Literal values assigned in the class body."""
    attributes = {}
    for statement in node.body:
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
            try:
                attributes[statement.targets[0].id] = ast.literal_eval(statement.value)
            except ValueError:
                continue
    return attributes


def methods(node: ast.ClassDef, classes: Mapping[str, ast.ClassDef]) -> frozenset[str]:
    """Names of the methods of a class and of its bases in the same module."""
    own = {statement.name for statement in node.body if isinstance(statement, ast.FunctionDef)}
    bases = [classes[base.id] for base in node.bases if isinstance(base, ast.Name) and base.id in classes]
    return frozenset(own.union(*(methods(base, classes) for base in bases)))


def init_parameters(node: ast.ClassDef, classes: Mapping[str, ast.ClassDef]) -> dict[str, Parameter]:
    """The keyword-only arguments of `__init__` whose annotation is in the vocabulary and that are not the engine's.

    A class without `__init__` has that of its base, where the base is among the classes of its module.
    """
    init = next((f for f in node.body if isinstance(f, ast.FunctionDef) and f.name == "__init__"), None)
    if init is None:
        bases = [classes[base.id] for base in node.bases if isinstance(base, ast.Name) and base.id in classes]
        return init_parameters(bases[0], classes) if bases else {}
    found = {}
    for argument, default in zip(init.args.kwonlyargs, init.args.kw_defaults, strict=True):
        if argument.annotation is None or argument.arg in ("output", "stack", "seed"):
            continue
        try:
            annotation = eval(ast.unparse(argument.annotation), {"__builtins__": {}}, VOCABULARY)  # our own source
        except (NameError, AttributeError):
            continue
        found[argument.arg] = Parameter(annotation, ... if default is None else ast.literal_eval(default))
    return found
