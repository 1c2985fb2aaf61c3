"""What the source of a function says of it: its docstring in numpydoc's form, roles of data, variables of a model.

The source is read and never imported: neither PyMC is, nor is anything of a user's run.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from bayesrun.base.source_code import file_of
from bayesrun.command.info.formulas import formula_lines, in_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

__all__ = ["Docs", "Role", "Source", "docs_of", "source_of"]

SECTION: Final = re.compile(r"^(?P<title>[A-Z][\w ]*)\n-{3,}[ \t]*$", re.MULTILINE)
BLOCK: Final = re.compile(r"^\.\. (?P<name>[\w-]+)::(?P<first>.*)\n(?P<rest>(?:[ \t]+.*\n|[ \t]*\n)*)", re.MULTILINE)
ROLE_OF_TEXT: Final = re.compile(r":(?P<role>[\w:]+):`(?P<text>[^`]*)`")
TICKS: Final = re.compile(r"``([^`]+)``|`([^`]+)`_{0,2}")
SEE: Final = re.compile(r"^See `(?P<path>[\w.]+)`")
NO_PRIOR: Final = frozenset(["Model", "Data", "MutableData", "ConstantData", "Deterministic", "Potential"])
"""What a module of PyMC has that takes a name and is no random variable."""
SILENT: Final = ("dims", "shape", "size", "initval", "rng", "observed", "transform", "default_transform")
"""Arguments that are no part of what a variable is distributed as."""
DEEPEST: Final = 8
"""Modules that a name is followed through, one handing it on to the next."""


@dataclass(frozen=True)
class Docs:
    """A docstring by its parts, as plain text.

    Parameters
    ----------
    summary
        Its first paragraph.
    paragraphs
        The others before the first section.
    formula
        Of all ``.. math::`` blocks, one relation a line.
    parameters
        Name to what it means, in the order of the docstring.
    references
        Of the section of that name.
    """

    summary: str = ""
    paragraphs: tuple[str, ...] = ()
    formula: tuple[str, ...] = ()
    parameters: Mapping[str, str] = field(default_factory=dict)
    references: tuple[str, ...] = ()


@dataclass(frozen=True)
class Role:
    """An array that a model asks of its data, as its module states it."""

    name: str
    kind: str
    doc: str
    optional: bool = False
    unit: str | None = None


@dataclass(frozen=True)
class Source:
    """What the source of a function says.

    Parameters
    ----------
    file
        Where it is.
    docs
        Its own docstring.
    module
        Docstring of its module.
    roles
        Of the module's ``DATA``, where that is written out.
    variables
        Random variables of the model that it builds, as the code states them.
    """

    file: Path
    docs: Docs
    module: Docs
    roles: tuple[Role, ...] = ()
    variables: tuple[str, ...] = ()


def source_of(path: str) -> Source | None:
    """Read the source of a function or class.

    Parameters
    ----------
    path
        ``package.module.function``.

    Returns
    -------
    Source or None
        None where there is no file of that name, or no such definition in it.

    Raises
    ------
    SyntaxError
        If the file is no Python.
    """
    module, _, name = path.rpartition(".")
    for _ in range(DEEPEST):
        file = file_of(module) if module else None
        if file is None or file.suffix != ".py":
            return None
        tree = ast.parse(file.read_text(encoding="utf-8"), str(file))
        found = [one for one in tree.body if isinstance(one, _DEFINITIONS) and one.name == name]
        if found:
            return Source(
                file,
                docs_of(_docstring(found[-1]), module),
                docs_of(_docstring(tree), module),
                tuple(_roles(tree)),
                tuple(_variables(found[-1], _aliases(tree))),
            )
        handed_on = _handed_on(tree, name, module, is_package=file.name == "__init__.py")
        if handed_on is None:
            return None
        module, _, name = handed_on.rpartition(".")
    return None


_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def _docstring(node: ast.Module | ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> str:
    return ast.get_docstring(node) or ""


def _handed_on(tree: ast.Module, name: str, module: str, *, is_package: bool) -> str | None:
    """Find where a module has a name from, if it imports it."""
    for node in tree.body:
        for alias in node.names if isinstance(node, ast.ImportFrom) else ():
            if isinstance(node, ast.ImportFrom) and (alias.asname or alias.name) == name:
                package = module.split(".") if is_package else module.split(".")[:-1]
                above = package[: len(package) - node.level + 1] if node.level else []
                return ".".join([*above, *([node.module] if node.module else []), alias.name])
    return None


def docs_of(text: str, module: str = "") -> Docs:
    """Take a docstring apart.

    Parameters
    ----------
    text
        Without indentation.
    module
        Where it stands: what a parameter is said to be described by (``See `X```) is looked for there.
    """
    heads = list(SECTION.finditer(text))
    ends = [*(head.start() for head in heads), len(text)][1:]
    sections = {head["title"].strip(): text[head.end() : end] for head, end in zip(heads, ends, strict=True)}
    front = text[: heads[0].start()] if heads else text
    formula: list[str] = []
    for block in BLOCK.finditer(f"{front}\n"):
        if block["name"] == "math":
            formula += formula_lines(block["first"] + " " + block["rest"])
    paragraphs = [_plain(part) for part in re.split(r"\n\s*\n", BLOCK.sub("\n", f"{front}\n")) if part.strip()]
    return Docs(
        paragraphs[0] if paragraphs else "",
        tuple(paragraphs[1:]),
        tuple(formula),
        {name: _followed(name, told, module) for name, told in _parameters(sections.get("Parameters", ""))},
        tuple(_plain(part) for part in re.split(r"\n\s*\n", sections.get("References", "")) if part.strip()),
    )


def _plain(text: str) -> str:
    """Write the marked-up text of a docstring as people read it, in one line."""
    flat = " ".join(text.split())
    flat = ROLE_OF_TEXT.sub(lambda m: in_text(m["text"]) if m["role"] == "math" else f"`{m['text']}`", flat)
    return TICKS.sub(lambda m: m[1] or m[2], flat)


def _parameters(section: str) -> Iterator[tuple[str, str]]:
    """Yield each parameter with its marked-up description; those that share one have it each."""
    for entry in re.split(r"\n(?=\S)", section.strip("\n")):
        head, _, body = entry.partition("\n")
        names = [name.strip().lstrip("*").strip("`") for name in re.split(r"\s*:(?:\s|$)", head)[0].split(",")]
        yield from ((name, " ".join(body.split())) for name in names if name)


def _followed(name: str, told: str, module: str) -> str:
    """Read on where a description says that it stands in another docstring."""
    see = SEE.match(told)
    if see is None or not module:
        return _plain(told)
    parts = [] if "." in see["path"] else module.split(".")
    for end in range(len(parts), -1, -1):  # a module may mean what its package has
        other = source_of(".".join([*parts[:end], see["path"]]))
        if other is not None and name in other.docs.parameters:
            return other.docs.parameters[name]
    return _plain(told)


def _roles(tree: ast.Module) -> Iterator[Role]:
    for node in tree.body:
        if not isinstance(node, ast.Assign | ast.AnnAssign):
            continue
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        value = node.value if any(isinstance(one, ast.Name) and one.id == "DATA" for one in targets) else None
        if isinstance(value, ast.Dict):
            for key, role in zip(value.keys, value.values, strict=True):
                if isinstance(key, ast.Constant) and isinstance(role, ast.Call):
                    yield _role(str(key.value), role)


def _role(name: str, call: ast.Call) -> Role:
    given = dict(zip(("kind", "doc", "optional", "unit", "series"), call.args, strict=False))
    given |= {word.arg: word.value for word in call.keywords if word.arg}
    values = {key: node.value if isinstance(node, ast.Constant) else ast.unparse(node) for key, node in given.items()}
    unit = values.get("unit")
    return Role(
        name,
        str(values.get("kind", "")),
        str(values.get("doc", "")),
        bool(values.get("optional", False)),
        None if unit is None else str(unit),
    )


def _aliases(tree: ast.Module) -> frozenset[str]:
    """Return the names by which a module has PyMC."""
    found = {"pm"}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.asname or alias.name for alias in node.names if alias.name == "pymc"}
    return frozenset(found)


def _variables(function: ast.AST, aliases: frozenset[str]) -> Iterator[str]:
    """Yield ``mu ~ Normal(0, prior_sd)  [group]`` for each random variable that is stated by PyMC's own call."""
    for node in _calls(function):
        if not (
            isinstance(node.func, ast.Attribute)
            and isinstance(node.func.value, ast.Name)
            and node.func.value.id in aliases
            and node.func.attr[:1].isupper()
            and node.func.attr not in NO_PRIOR
            and node.args
            and isinstance(name := getattr(node.args[0], "value", None), str)
        ):
            continue
        words = {word.arg: ast.unparse(word.value) for word in node.keywords if word.arg}
        given = [*map(ast.unparse, node.args[1:]), *(f"{k}={v}" for k, v in words.items() if k not in SILENT)]
        seen = f", observed: {words['observed']}" if "observed" in words else ""
        by = f", by {words['dims']}".replace("'", "") if "dims" in words else ""
        yield f"{name} ~ {node.func.attr}({', '.join(given)}){by}{seen}"


def _calls(function: ast.AST) -> Sequence[ast.Call]:
    """List the calls within a function in the order of its lines."""
    found = [node for node in ast.walk(function) if isinstance(node, ast.Call)]
    return sorted(found, key=lambda node: (node.lineno, node.col_offset))
