"""A config as its file states it: head, choices and keys, each with its default as written and its comments.

Hydra composes values without comments, so that the text is read here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import yaml

from bayesrun.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["ConfigFile", "Entry", "head_of", "read_config"]

TARGET: Final = "_target_"
GLOBAL: Final = "# @package _global_"
EXAMPLE: Final = re.compile(r"(?:^|:\s+|\s{3,})(?P<command>bayesrun \S.*)$")
CHOICE: Final = re.compile(r"(?:(?:override|optional)\s+)*/?(?P<group>[\w/]+)(?:@\S+)?")


class _Loader(yaml.SafeLoader):
    """Reads 1e-3 as a number, as Hydra does."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?(\d[\d_]*)(\.\d*)?[eE][-+]?\d+"), list("-+0123456789")
)


@dataclass(frozen=True)
class Entry:
    """A key.

    Parameters
    ----------
    name
        Of the key.
    default
        Its value as the file writes it, in one line.
    value
        The same as plain mappings, lists and values.
    inline, above
        Comments behind it, and in the lines before it.
    below
        The entries of a section.
    """

    name: str
    default: str
    value: Any
    inline: str = ""
    above: str = ""
    below: tuple[Entry, ...] = ()


@dataclass(frozen=True)
class ConfigFile:
    """A config.

    Parameters
    ----------
    path
        The file.
    head
        The comment that it begins with, without command lines.
    examples
        Command lines of that comment.
    entries
        Its keys but for ``defaults`` and ``_target_``.
    target
        The function that it names.
    chosen
        Group to the config of it that this one brings.
    bases
        Names of configs of its own group that it is made on.
    is_global
        Whether its keys are sections of the whole config, rather than keys of its group.
    """

    path: Path
    head: str = ""
    examples: tuple[str, ...] = ()
    entries: tuple[Entry, ...] = ()
    target: str | None = None
    chosen: Mapping[str, str] = field(default_factory=dict)
    bases: tuple[str, ...] = ()
    is_global: bool = False


def read_config(path: Path) -> ConfigFile:
    """Read the file of a config.

    Raises
    ------
    ConfigError
        If it has no keys at its top, or is no text in UTF-8.
    yaml.MarkedYAMLError
        If it is no YAML.
    """
    text = _text(path)
    lines = text.splitlines()
    loader = _Loader(text)
    loader.name = str(path)
    node = loader.get_single_node()
    if node is not None and not isinstance(node, yaml.MappingNode):
        raise ConfigError(f"{path}: it has no keys; wanted KEY: VALUE lines")
    head = _head(lines)
    told, commands = _told(head)
    entries = _entries(node, text, lines, loader, start=len(head)) if node is not None else ()
    top = {entry.name: entry for entry in entries}
    chosen, bases = _defaults(top["defaults"].value if "defaults" in top else ())
    target = top[TARGET].value if TARGET in top else None
    return ConfigFile(
        path,
        told,
        commands,
        tuple(entry for entry in entries if entry.name not in ("defaults", TARGET)),
        target if isinstance(target, str) else None,
        chosen,
        bases,
        any(line.strip() == GLOBAL for line in head),
    )


def head_of(path: Path) -> str:
    """Read the comment that a config begins with, and nothing else of it."""
    return _told(_head(_text(path).splitlines()))[0]


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: byte {error.start + 1} is no UTF-8; save the file as UTF-8") from None


def _told(head: list[str]) -> tuple[str, tuple[str, ...]]:
    """Take the command lines out of a head."""
    told = [_comment(line) for line in head if line.strip() != GLOBAL]
    commands = {line: found["command"] for line in told if (found := EXAMPLE.search(line))}
    rest = [line.removesuffix(commands.get(line, "")).rstrip(" :") for line in told]
    return " ".join(line for line in rest if line), tuple(commands.values())


def _head(lines: list[str]) -> list[str]:
    end = next((at for at, line in enumerate(lines) if not line.startswith("#")), len(lines))
    return lines[:end]


def _comment(line: str) -> str:
    return line.strip().lstrip("#").strip()


def _entries(
    node: yaml.MappingNode, text: str, lines: list[str], loader: _Loader, *, start: int = 0
) -> tuple[Entry, ...]:
    """Read the pairs of a mapping; comments before line `start` are of something else."""
    found: list[Entry] = []
    for key, value in node.value:
        inline = _behind(key, value, lines)
        above: list[str] = []
        line = key.start_mark.line
        margin = " " * key.start_mark.column + "#"
        while line > start and lines[line - 1].startswith(margin):
            line -= 1
            above.insert(0, _comment(lines[line]))
        nested = isinstance(value, yaml.MappingNode) and not value.flow_style
        plain = loader.construct_document(value)
        found.append(
            Entry(
                str(key.value),
                _written(value, plain, text),
                plain,
                inline,
                " ".join(above),
                _entries(value, text, lines, loader, start=key.end_mark.line + 1) if nested else (),
            )
        )
    return tuple(found)


def _behind(key: yaml.Node, value: yaml.Node, lines: list[str]) -> str:
    """Return the comment behind a key and its value, and the lines that go on below it."""
    is_block = isinstance(value, yaml.CollectionNode) and not value.flow_style
    is_text = isinstance(value, yaml.ScalarNode) and value.style in ("|", ">")
    mark = key.end_mark if is_block or is_text or value.start_mark.index == value.end_mark.index else value.end_mark
    rest = lines[mark.line][mark.column :] if mark.line < len(lines) else ""
    found = re.search(r"(?:^|\s|:)#(.*)$", rest)
    if found is None:
        return ""
    told = [found[1].strip()]
    deeper = " " * (key.start_mark.column + 1)  # one that begins where the key does is about the next key
    for line in () if is_block or is_text else lines[mark.line + 1 :]:
        if not (line.startswith(deeper) and line.lstrip().startswith("#")):
            break
        told.append(_comment(line))
    return " ".join(told)


def _written(node: yaml.Node, value: Any, text: str) -> str:
    """Write a value as the file has it, or in a line where it takes several there."""
    if isinstance(node, yaml.ScalarNode):
        raw = text[node.start_mark.index : node.end_mark.index]
        return " ".join((str(value) if node.style in ("|", ">") else raw).split()) or "null"
    if isinstance(node, yaml.CollectionNode) and node.flow_style:
        return " ".join(text[node.start_mark.index : node.end_mark.index].split())
    return yaml.safe_dump(value, default_flow_style=True, sort_keys=False, allow_unicode=True, width=10**6).strip()


def _defaults(listed: Any) -> tuple[dict[str, str], tuple[str, ...]]:
    """Read a list of defaults: what is chosen from other groups, and configs of its own group."""
    chosen: dict[str, str] = {}
    bases: list[str] = []
    for item in listed if isinstance(listed, list) else ():
        if isinstance(item, Mapping):
            for key, name in item.items():
                group = CHOICE.fullmatch(str(key))
                if group and isinstance(name, str) and not group["group"].startswith("hydra"):
                    chosen[group["group"]] = name
        elif isinstance(item, str) and item != "_self_" and "@" not in item and not item.startswith("/"):
            bases.append(item)
    return chosen, tuple(bases)
