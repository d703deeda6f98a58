"""Digests of code, so that a job reruns when the code it runs has changed, and only then.

A digest covers the syntax trees of a file and of every module of this package that it imports, directly or not,
without comments and docstrings. Dates, whitespace and files that merely lie beside do not count.
"""

import ast
import hashlib
import json
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from posenc.plan.registry import PACKAGE


@cache
def tree_of(path: Path) -> ast.Module:
    """Syntax tree of a file without docstrings; of a notebook, that of its code."""
    tree = ast.parse(notebook_code(path) if path.suffix == ".ipynb" else path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if (
                isinstance(first, ast.Expr)
                and isinstance(first.value, ast.Constant)
                and isinstance(first.value.value, str)
            ):
                node.body = node.body[1:] or [ast.Pass()]
    return tree


def notebook_code(path: Path) -> str:
    """The code of a notebook's cells, without the lines that are for IPython."""
    cells = json.loads(path.read_text())["cells"]
    code = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    return "\n".join(line for line in code.splitlines() if not line.lstrip().startswith(("%", "!")))


@cache
def code_text(path: Path) -> str:
    return ast.unparse(tree_of(path))


def module_path(module: str) -> Path | None:
    """The file of a module of this package, or None for any other module."""
    if module.split(".")[0] != PACKAGE.name:
        return None
    base = PACKAGE.joinpath(*module.split(".")[1:])
    return next((path for path in (base.with_suffix(".py"), base / "__init__.py") if path.is_file()), None)


@cache
def imported_by(tree: ast.AST) -> frozenset[Path]:
    """Files of this package that a tree imports, the packages on their way included."""
    modules: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            modules |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    packages = {
        ".".join(module.split(".")[:length]) for module in modules for length in range(1, module.count(".") + 2)
    }
    return frozenset(path for module in packages if (path := module_path(module)))


@cache
def closure(paths: frozenset[Path]) -> frozenset[Path]:
    """The files and all of this package that they import."""
    found: set[Path] = set()
    waiting = list(paths)
    while waiting:
        path = waiting.pop()
        if path not in found:
            found.add(path)
            waiting += imported_by(tree_of(path))
    return frozenset(found)


@cache
def code_digest(script: Path, *modules: str, notebook: Path | None = None) -> str:
    """Digest of a script with what it imports, of modules that it is told by name to import, of a notebook it runs."""
    named = [path for module in modules if (path := module_path(module))]
    files = closure(frozenset([script, *named, *([notebook] if notebook else [])]))
    return digest(code_text(path) for path in sorted(files))


@cache
def function_digest(script: Path, function: str) -> str:
    """Digest of a script and one `module:function` that it is told to call.

    Of the function's own module only the function and what it uses there count, so that editing one plot of a module
    leaves the others alone.
    """
    module, name = function.split(":")
    path = module_path(module)
    if path is None:
        raise ValueError(f"{function}: no such module in this package")
    body = tree_of(path).body
    if not any(name in names_defined(node) for node in body):
        raise ValueError(f"{function}: the module has no such function")
    # What defines no name (a setting made on import, say) may matter to all.
    used = {node for node in body if not names_defined(node)}
    names = {name}
    while True:
        names.update(*map(names_used, used))
        more = {node for node in body if names & set(names_defined(node))} - used
        if not more:
            break
        used |= more
    imported = closure(frozenset([script]).union(*map(imported_by, used))) - {path}
    return digest([*(text_of(node) for node in body if node in used), *(code_text(file) for file in sorted(imported))])


# Many functions use the same nodes.


@cache
def names_used(node: ast.stmt) -> frozenset[str]:
    return frozenset(found.id for found in ast.walk(node) if isinstance(found, ast.Name))


@cache
def text_of(node: ast.stmt) -> str:
    return ast.unparse(node)


def names_defined(node: ast.stmt) -> list[str]:
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return [node.name]
    if isinstance(node, ast.Import | ast.ImportFrom):
        return [(alias.asname or alias.name).split(".")[0] for alias in node.names]
    if isinstance(node, ast.Assign | ast.AnnAssign):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        return [target.id for target in targets if isinstance(target, ast.Name)]
    return []


def digest(texts: Iterable[str]) -> str:
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:16]
