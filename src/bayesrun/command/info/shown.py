"""What is told of choices, as lines for a terminal and as plain values for machines."""

from __future__ import annotations

import itertools
import textwrap
from typing import TYPE_CHECKING, Any, Final

from yaml import MarkedYAMLError

from bayesrun.command.info.about import NOTHING, about, options_of, sentence
from bayesrun.command.info.config_files import head_of
from bayesrun.errors import BayesrunError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from bayesrun.command.info.about import About, Key
    from bayesrun.command.info.catalogue import Catalogue
    from bayesrun.command.info.docstrings import Role

__all__ = ["as_values", "lines", "listing"]

INDENT: Final = "  "
KEY_WIDTH: Final = 22
DEFAULT_WIDTH: Final = 16
"""Columns of a key and its default at most; longer ones get a line of their own."""
LEAST_WIDTH: Final = 20
"""Columns of what is beside them, however narrow the terminal is."""


def listing(catalogue: Catalogue, groups: Sequence[str], width: int) -> list[str]:
    """List groups with their choices, a line or two each, and the sections that have none."""
    usual = catalogue.main().chosen
    found: list[str] = []
    for group in groups:
        names = catalogue.names(group)
        column = max(map(len, names), default=0)
        found.append(f"{group}=NAME" if group in usual else f"+{group}=NAME")
        for name in names:
            default = " (default)" if usual.get(group) == name else ""
            found += _row([(name, column)], _sentence(catalogue, group, name) + default, width)
        found.append("")
    if len(groups) > 1:
        found.append("Sections of every config")
        sections = catalogue.sections()
        column = max(map(len, sections))
        for section in sections:
            found += _row([(section, column)], sentence(options_of(catalogue, section).what), width)
        found += ["", "bayesrun info GROUP=NAME, or a section, tells of its keys"]
    return found if found[-1:] != [""] else found[:-1]


def _sentence(catalogue: Catalogue, group: str, name: str) -> str:
    """Say what a choice is; one that cannot be read is listed with the others."""
    try:
        what = head_of(catalogue.path_of(group, name)) or about(catalogue, group, name).what
    except (BayesrunError, MarkedYAMLError):
        return f"cannot be read: bayesrun info {group}={name} says why"
    return sentence(what) or "no description"


def lines(found: About, width: int) -> list[str]:
    """Write what is told of a choice."""
    head = [found.word, *_wrapped(found.what, width)]
    for text in found.paragraphs:
        head += ["", *_wrapped(text, width)]
    parts = [
        _part("Formula", (line for text in found.formula for line in _wrapped(text, width))),
        _part("Priors", (line for text in found.priors for line in _wrapped(text, width, hanging=True))),
        _part("Data", _roles(found, width)),
        *_key_parts(found, width),
        _part("With it", (_indented(f"{group}={name}") for group, name in found.chosen.items())),
        _part("For example", map(_indented, found.examples)),
        _part("References", (line for text in found.references for line in _wrapped(text, width, hanging=True))),
        _part("Written in", (_indented(str(path)) for path in found.files)),
        _part("Not told", (line for text in found.lacking for line in _wrapped(text, width, hanging=True))),
    ]
    return list(itertools.chain(head, *parts))


def as_values(found: About) -> dict[str, Any]:
    """Give what is told of a choice as plain values."""
    return {
        "choice": found.word,
        "what": found.what,
        "paragraphs": list(found.paragraphs),
        "formula": list(found.formula),
        "priors": list(found.priors),
        "data": found.data,
        "roles": [{**vars(role)} for role in found.roles],
        "keys": [
            {"key": key.path, "default": key.value, "meaning": key.meaning, "read": key.meaning != NOTHING}
            for key in found.keys
        ],
        "sections": dict(found.notes),
        "chosen": dict(found.chosen),
        "examples": list(found.examples),
        "references": list(found.references),
        "files": [str(path) for path in found.files],
        "lacking": list(found.lacking),
    }


def _part(title: str, body: Iterable[str]) -> list[str]:
    inner = list(body)
    return ["", title, *inner] if inner else []


def _indented(text: str) -> str:
    return INDENT + text


def _wrapped(text: str, width: int, *, hanging: bool = False) -> list[str]:
    further = INDENT * 2 if hanging else INDENT
    return textwrap.wrap(
        text, width, initial_indent=INDENT, subsequent_indent=further, break_long_words=False, break_on_hyphens=False
    )


def _roles(found: About, width: int) -> Iterator[str]:
    if not found.roles:
        yield from _wrapped(found.data, width)
        return
    name_column = max(len(role.name) for role in found.roles)
    kind_column = max(len(_kind(role)) for role in found.roles)
    for role in found.roles:
        yield from _row([(role.name, name_column), (_kind(role), kind_column)], _what(role), width)


def _kind(role: Role) -> str:
    return f"{role.kind}, optional" if role.optional else role.kind


def _what(role: Role) -> str:
    return f"{role.doc}; in the unit of {role.unit}" if role.unit else role.doc


def _key_parts(found: About, width: int) -> Iterator[list[str]]:
    """Write the keys by sections; those that mean nothing here are named at the end of theirs."""
    sections = itertools.groupby(found.keys, key=lambda key: key.path.partition(".")[0])
    for section, members in sections:
        keys = list(members)
        read = [key for key in keys if key.meaning != NOTHING]
        columns = _columns(read)
        body: list[str] = []
        if section in found.notes:
            body += [*_wrapped(found.notes[section], width), ""]
        for together in _together(read):
            body += _key_rows(together, columns, found.untold, width)
        unread = ", ".join(_short(key) for key in keys if key.meaning == NOTHING)
        if unread:
            body += _wrapped(f"{NOTHING}: {unread}", width, hanging=True)
        title = f"Keys, typed {section}.KEY=VALUE" if any("." in key.path for key in keys) else "Key"
        yield _part(title, body)


def _together(keys: Iterable[Key]) -> Iterator[list[Key]]:
    """Put keys of one meaning, which follow each other, side by side."""
    for meaning, members in itertools.groupby(keys, key=lambda key: key.meaning):
        found = list(members)
        yield from [found] if meaning is not None else [[key] for key in found]


def _short(key: Key) -> str:
    return key.path.partition(".")[2] or key.path


def _columns(keys: Iterable[Key]) -> tuple[int, int]:
    """Return how wide the columns of keys and defaults are: as the longest of those that may stand in one."""
    listed = list(keys)
    names = [len(_short(key)) for key in listed]
    defaults = [len(_default(key)) for key in listed]
    return (
        max((size for size in names if size <= KEY_WIDTH), default=0),
        max((size for size in defaults if size <= DEFAULT_WIDTH), default=0),
    )


def _key_rows(keys: Sequence[Key], columns: tuple[int, int], untold: str, width: int) -> list[str]:
    """Write keys of one meaning below each other, and the meaning beside them."""
    start = len(INDENT) + sum(column + 2 for column in columns)
    meaning = keys[0].meaning or f"no description: {untold}"
    told = textwrap.wrap(meaning, max(width - start, LEAST_WIDTH), break_long_words=False, break_on_hyphens=False)
    found: list[str] = []
    for key in keys:
        name, default = _short(key), _default(key)
        if len(name) <= columns[0] and len(default) <= columns[1]:
            text = told.pop(0) if told else ""
            found.append(f"{INDENT}{name:{columns[0]}}  {default:{columns[1]}}  {text}".rstrip())
        else:
            further = " " * (len(INDENT) + columns[0] + 2)
            found += textwrap.wrap(
                default, width, initial_indent=f"{INDENT}{name:{columns[0]}}  ", subsequent_indent=further
            )
    return [*found, *(" " * start + text for text in told)]


def _default(key: Key) -> str:
    return "must be given" if key.value == "???" else key.default


def _row(cells: Sequence[tuple[str, int]], text: str, width: int) -> list[str]:
    """Write cells in their columns and a text behind them."""
    start = len(INDENT) + sum(column + 2 for _, column in cells)
    padded = INDENT + "".join(f"{cell:{column}}  " for cell, column in cells)
    body = textwrap.wrap(text, max(width - start, LEAST_WIDTH), break_long_words=False, break_on_hyphens=False)
    first, *rest = body or [""]
    return [(padded + first).rstrip(), *(" " * start + line for line in rest)]
