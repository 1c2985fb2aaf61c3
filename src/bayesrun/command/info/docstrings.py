"""What the source of a function says of it: its docstring in numpydoc's form, roles of data, variables of a model.

The source is read and never imported: neither PyMC is, nor is anything of a user's run.
"""

from __future__ import annotations

import ast
import inspect
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from bayesrun.base.source_code import file_of
from bayesrun.command.info.formulas import formula_lines, in_text
from bayesrun.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

__all__ = ["SEEN", "Docs", "Role", "Source", "docs_of", "source_of"]

SECTION: Final = re.compile(r"^(?P<title>[A-Z][\w ]*)\n-{3,}[ \t]*$", re.MULTILINE)
GOOGLE: Final = re.compile(
    r"^(?:(?P<of>Args|Arguments|Parameters|Params)|[A-Z][a-z]+):[ \t]*\n(?P<body>(?:[ \t]+.*\n?|\n)+)", re.M
)
"""A section in Google's form; those that are none of parameters are left out."""
FIELD: Final = re.compile(r"^:param (?:[\w\[\], ]+ )?(?P<name>\w+):[ \t]*(?P<told>.*(?:\n[ \t]+.*)*)", re.M)
"""A parameter in the form of Sphinx."""
BLOCK: Final = re.compile(r"^\.\. (?P<name>[\w-]+)::(?P<first>.*)\n(?P<rest>(?:[ \t]+.*\n|[ \t]*\n)*)", re.MULTILINE)
ROLE_OF_TEXT: Final = re.compile(r":(?P<role>[\w:]+):`(?P<text>[^`]*)`")
TICKS: Final = re.compile(r"``([^`]+)``|`([^`]+)`_{0,2}")
SEE: Final = re.compile(r"^See `(?P<path>[\w.]+)`")
NO_PRIOR: Final = frozenset(["Model", "Data", "MutableData", "ConstantData", "Deterministic", "Potential"])
"""What a module of PyMC has that takes a name and is no random variable."""
SILENT: Final = ("dims", "shape", "size", "initval", "rng", "observed", "transform", "default_transform")
"""Arguments that are no part of what a variable is distributed as."""
SEEN: Final = ", observed: "
"""In the line of a variable: what it is conditioned on follows."""
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
    ConfigError
        If the file is no Python.
    """
    module, _, name = path.rpartition(".")
    for _ in range(DEEPEST):
        file = file_of(module) if module else None
        if file is None or file.suffix != ".py":
            return None
        tree = _parsed(file)
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


def _parsed(file: Path) -> ast.Module:
    try:
        return ast.parse(file.read_bytes(), str(file))  # bytes, whose first lines may state their encoding
    except SyntaxError as error:
        place = f"{file}, line {error.lineno}" if error.lineno else str(file)
        raise ConfigError(f"{place}: this is no Python: {error.msg}") from None


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
    others = {} if heads else dict(_other_parameters(front))
    front = front if heads else re.sub(r"^:\w+[^:\n]*:.*(?:\n[ \t]+.*)*", "", GOOGLE.sub("", front), flags=re.M)
    formula: list[str] = []
    for block in BLOCK.finditer(f"{front}\n"):
        if block["name"] == "math":
            formula += formula_lines(block["first"] + " " + block["rest"])
    paragraphs = [_plain(part) for part in re.split(r"\n\s*\n", BLOCK.sub("\n", f"{front}\n")) if part.strip()]
    return Docs(
        paragraphs[0] if paragraphs else "",
        tuple(paragraphs[1:]),
        tuple(formula),
        others | {name: _followed(name, told, module) for name, told in _parameters(sections.get("Parameters", ""))},
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


def _other_parameters(text: str) -> Iterator[tuple[str, str]]:
    """Yield what a docstring in the form of Google or of Sphinx says of its parameters."""
    for section in GOOGLE.finditer(text):
        for entry in re.split(r"\n(?=\S)", inspect.cleandoc(section["body"])) if section["of"] else ():
            name, _, told = entry.partition(":")
            if re.fullmatch(r"\*{0,2}\w+(\s*\(.*\))?", name.strip()):
                yield re.findall(r"\w+", name)[0], _plain(told)
    for found in FIELD.finditer(text):
        yield found["name"], _plain(found["told"])


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
    """Return the names by which a module has PyMC, and the distributions that it imports from there."""
    found = {"pm"}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.asname or alias.name for alias in node.names if alias.name == "pymc"}
        elif isinstance(node, ast.ImportFrom) and node.module == "pymc":
            found |= {alias.asname or alias.name for alias in node.names}
    return frozenset(found)


def _variables(function: ast.AST, aliases: frozenset[str]) -> Iterator[str]:
    """Yield ``mu ~ Normal(0, prior_sd), by group`` for each random variable that is stated by PyMC's own call."""
    for node in _calls(function):
        kind, name = _distribution(node.func, aliases), _name(node.args[0]) if node.args else None
        if kind is None or name is None:
            continue
        words = {word.arg: ast.unparse(word.value) for word in node.keywords if word.arg}
        given = [*map(ast.unparse, node.args[1:]), *(f"{k}={v}" for k, v in words.items() if k not in SILENT)]
        seen = f"{SEEN}{words['observed']}" if "observed" in words else ""
        by = f", by {words['dims']}".replace("'", "") if "dims" in words else ""
        yield f"{name} ~ {kind}({', '.join(given)}){by}{seen}"


def _distribution(function: ast.expr, aliases: frozenset[str]) -> str | None:
    """Return the distribution that a call is of; None where it is no call of one of PyMC's."""
    kind: str | None = None
    if isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name) and function.value.id in aliases:
        kind = function.attr
    elif isinstance(function, ast.Name) and function.id in aliases:
        kind = function.id
    return kind if kind is not None and kind[:1].isupper() and kind not in NO_PRIOR else None


def _name(node: ast.expr) -> str | None:
    """Return the name of a variable as the code has it, also one that is made up there."""
    if isinstance(node, ast.JoinedStr):
        return ast.unparse(node)[2:-1]
    value = getattr(node, "value", None)
    return value if isinstance(value, str) else None


def _calls(function: ast.AST) -> Sequence[ast.Call]:
    """List the calls within a function in the order of its lines."""
    found = [node for node in ast.walk(function) if isinstance(node, ast.Call)]
    return sorted(found, key=lambda node: (node.lineno, node.col_offset))
