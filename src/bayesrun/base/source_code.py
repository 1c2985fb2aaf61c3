"""The source of a user's function, as a digest: of what it can reach in its own module, and of the user's modules.

Comments, docstrings, layout and other functions of the same file do not count. Nothing is imported and nothing is run:
what a function imports when it is called is found in its text, so that it counts before the first call as after it.
"""

from __future__ import annotations

import ast
import contextlib
import functools
import hashlib
import importlib.machinery
import inspect
import site
import sys
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bayesrun.base.shipped import PACKAGE
from bayesrun.types import digest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

__all__ = ["executed", "file_of", "is_library", "source_digest"]

IMPORTERS = ("import_module", "__import__")
"""Functions that import what their first argument names."""

BY_NAME = frozenset({"globals", "vars", "eval", "exec", "locals"})
"""Functions by which code reaches what its text does not name."""


@contextlib.contextmanager
def executed() -> Iterator[set[str]]:
    """Note the files whose functions are called within, whatever way they were imported."""
    files: set[str] = set()
    before = sys.getprofile()
    sys.setprofile(lambda frame, event, _: files.add(frame.f_code.co_filename) if event == "call" else None)
    try:
        yield files
    finally:
        sys.setprofile(before)


def source_digest(function: Callable[..., object], files: Iterable[str] = ()) -> str:
    """Digest of what a function can reach: definitions of its own module, and the user's own modules that it imports.

    Of its module count the function itself, what is named in what counts, and statements that are run at import. All of
    it counts where that cannot be told from the text: for a function inside another one, a lambda, one that something
    was put around (a partial, a wrapper, an object's method), and code that looks names up. Of a module that is
    imported all counts.

    Parameters
    ----------
    function
        Any function.
    files
        Paths of further sources that it is known to run.

    Returns
    -------
    str
        The same in every process and from every folder.
    """
    texts = _sources(function)
    known = {path for _, path in texts}
    others = {path for path in map(_real, files) if _is_users(path) and path.is_file()} - known
    texts |= {(path.stem, path): _text(path) for path in others}
    return digest(sorted((name, text) for (name, _), text in texts.items()))


def file_of(name: str) -> Path | None:
    """Find the file of a module by its name, as an import would, without importing it or its packages."""
    loaded = getattr(sys.modules.get(name), "__file__", None)
    if loaded:
        return _real(loaded)
    folders: list[str] | None = None
    spec = None
    parts = name.split(".")
    for end in range(1, len(parts) + 1):
        spec = importlib.machinery.PathFinder.find_spec(".".join(parts[:end]), folders)
        if spec is None:
            return None
        folders = list(spec.submodule_search_locations or ())
    return _real(spec.origin) if spec is not None and spec.origin and spec.has_location else None


def _sources(function: Callable[..., object]) -> dict[tuple[str, Path], str]:
    """Digests of normalised source texts by module name and file."""
    made_of = _made_of(function)
    start = inspect.getmodule(made_of[-1])
    file = getattr(start, "__file__", None)
    if start is None or not file or not file.endswith(".py"):
        return {}
    own = (start.__name__, _real(file))
    waiting = [own, *_around(made_of[:-1])]
    texts: dict[tuple[str, Path], str] = {}
    while waiting:
        name, path = waiting.pop()
        if (name, path) in texts:
            continue
        tree = _tree(path, path.stat().st_mtime_ns)
        if (name, path) == own and len(made_of) == 1:  # what was put around it may be of the same module
            tree = _reached(tree, getattr(function, "__qualname__", ""))
        texts[name, path] = _hashed(tree)
        for other in _imported(tree, name, path):
            origin = file_of(other)
            if other.split(".")[0] != "bayesrun" and origin is not None and _is_users(origin):
                waiting.append((other, origin))
    return texts


def _made_of(function: Any) -> list[Any]:
    """Return a function and what it wraps, binds or fills in, down to what was written in a file."""
    found = [function]
    while True:
        inner = function.func if isinstance(function, functools.partial) else None
        function = inner or getattr(function, "__wrapped__", None) or getattr(function, "__func__", None)
        if function is None or any(function is one for one in found):
            return found
        found.append(function)


def _around(functions: Iterable[Any]) -> Iterator[tuple[str, Path]]:
    """Yield the user's modules that the code around a function is of: a wrapper has the name of what it wraps."""
    for function in functions:
        known = getattr(function, "__globals__", {})
        name, file = known.get("__name__"), known.get("__file__")
        if name and file and _is_users(_real(file)):
            yield name, _real(file)


def _real(file: str) -> Path:
    return Path(file).resolve()


def _text(path: Path) -> str:
    return _hashed(_tree(path, path.stat().st_mtime_ns))


def _hashed(tree: ast.Module) -> str:
    return hashlib.sha256(_meaning(tree).encode()).hexdigest()


def _reached(tree: ast.Module, qualname: str) -> ast.Module:
    """Leave out what a function of a module cannot reach; nothing where that is not sure."""
    first = qualname.split(".")[0]
    definitions: dict[str, list[ast.stmt]] = {}
    kept: list[ast.stmt] = []
    for statement in tree.body:
        names = _defined(statement)
        for name in names:
            definitions.setdefault(name, []).append(statement)
        if not names and not _is_main(statement):
            kept.append(statement)
    if "<" in qualname or first not in definitions:
        return tree
    waiting, seen = [*kept, *definitions[first]], set[int]()
    while waiting:
        statement = waiting.pop()
        if id(statement) in seen:
            continue
        seen.add(id(statement))
        named = set(_named(statement))
        if named & BY_NAME:
            return tree
        waiting += [other for name in named & definitions.keys() for other in definitions[name]]
    return ast.Module([statement for statement in tree.body if id(statement) in seen], [])


def _defined(statement: ast.stmt) -> list[str]:
    """Names that a statement binds and that matter by their use alone; none where running it does something."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
        return [] if statement.decorator_list else [statement.name]
    if isinstance(statement, ast.ClassDef):
        return [] if statement.decorator_list or statement.keywords else [statement.name]
    if isinstance(statement, ast.Import | ast.ImportFrom):
        names = [alias.asname or alias.name.split(".")[0] for alias in statement.names]
        return [] if "*" in names else names
    if isinstance(statement, ast.Assign | ast.AnnAssign):
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        names = [target.id for target in targets if isinstance(target, ast.Name)]
        return names if len(names) == len(targets) else []
    return []


def _is_main(statement: ast.stmt) -> bool:
    """Whether a statement is run only where its file is the program itself."""
    return isinstance(statement, ast.If) and ast.unparse(statement.test) in ("__name__ == '__main__'", "TYPE_CHECKING")


def _named(node: ast.AST) -> Iterator[str]:
    for inner in ast.walk(node):
        if isinstance(inner, ast.Name):
            yield inner.id
        elif isinstance(inner, ast.Global | ast.Nonlocal):
            yield from inner.names
        elif isinstance(inner, ast.Constant) and isinstance(inner.value, str) and inner.value.isidentifier():
            yield inner.value  # getattr(module, "name"), annotations in quotes


@functools.lru_cache(maxsize=256)
def _tree(path: Path, changed: int) -> ast.Module:  # noqa: ARG001 (a file that changed is read again)
    return ast.parse(path.read_bytes())


def _is_users(path: Path) -> bool:
    """Whether a file is neither Python's nor bayesrun's nor of an installed package."""
    return path.suffix == ".py" and not is_library(path)


@functools.lru_cache(maxsize=4096)
def is_library(file: str | Path) -> bool:
    """Whether a file is Python's, bayesrun's or of an installed package."""
    path = Path(file).resolve()
    return any(path.is_relative_to(folder) for folder in _library())


@functools.cache
def _library() -> tuple[Path, ...]:
    paths = sysconfig.get_paths()
    folders = [*(paths[name] for name in ("purelib", "platlib", "stdlib")), *site.getsitepackages()]
    return tuple(_real(str(folder)) for folder in (*folders, site.getusersitepackages(), PACKAGE))


def _imported(tree: ast.Module, name: str, path: Path) -> Iterator[str]:
    """Yield the full names of what a module may import, inside of its functions too."""
    package = name.split(".") if path.name == "__init__.py" else name.split(".")[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from _with_packages(alias.name)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            if base:
                yield from _with_packages(base)
            yield from (f"{base}.{alias.name}".strip(".") for alias in node.names)
        elif isinstance(node, ast.Call) and _called(node) in IMPORTERS and node.args:
            named = node.args[0]
            if isinstance(named, ast.Constant) and isinstance(named.value, str):
                yield from _with_packages(named.value.lstrip("."))


def _called(node: ast.Call) -> str:
    function = node.func
    return function.id if isinstance(function, ast.Name) else getattr(function, "attr", "")


def _with_packages(name: str) -> Iterator[str]:
    """Yield a module and the packages that are imported on the way to it."""
    parts = name.split(".")
    yield from (".".join(parts[:end]) for end in range(1, len(parts) + 1) if all(parts[:end]))


def _meaning(tree: ast.Module) -> str:
    """Text of a module without its docstrings."""
    copy = ast.parse(ast.unparse(tree))
    for node in ast.walk(copy):
        body = getattr(node, "body", None)
        if not isinstance(node, ast.Module | ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef) or not body:
            continue
        first = body[0]
        if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
            body[:1] = [] if len(body) > 1 else [ast.Pass()]
    return ast.unparse(copy)
