"""The command line before Hydra reads it: what people type is put into Hydra's grammar.

Hydra refuses blanks-with-operators, parentheses and tildes outside quotes, and a key that no file has. Both are
let in here: values are quoted where they do not parse, and keys are judged by bayesrun's schema, which knows the
nearest right spelling.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["to_hydra"]

DOTTED = re.compile(r"^(?!hydra\.)[A-Za-z_]\w*(\.[\w-]+)+$")
VALUED = frozenset(
    ["--config-dir", "-cd", "--config-path", "-cp", "--config-name", "-cn", "--package", "-p", "--cfg", "-c"]
)
"""Flags of Hydra whose value is the next word."""

OPENING, CLOSING, QUOTES = "([{", ")]}", "'\""


def to_hydra(arguments: Iterable[str]) -> list[str]:
    """Rewrite overrides so that Hydra's grammar takes them, and put flags before them.

    Flags may stand anywhere on the line, which Hydra's own parser does not allow.

    Examples
    --------
    >>> to_hydra(["-m", "model=formula", "model.formula=y ~ a + (1|g),y ~ a", "sampler.draws=10"])
    ['-m', 'model=formula', '++model.formula="y ~ a + (1|g)","y ~ a"', '++sampler.draws=10']
    """
    flags, overrides = [], []
    valued = False
    for argument in arguments:
        if valued or argument.startswith("-") or ("=" not in argument and not argument.startswith("~")):
            flags.append(argument)
        else:
            overrides.append(_one(argument))
        valued = argument in VALUED
    return flags + overrides


def _one(argument: str) -> str:
    key, equals, value = argument.partition("=")
    bare = key.lstrip("+~")
    if argument.startswith("hydra.") or not equals:
        return argument
    if not _parses(argument):
        quoted = ",".join(part if _parses(f"{key}={part}") else _quote(part) for part in _split(value))
        if _parses(f"{key}={quoted}"):
            value = quoted
    prefix = "++" if DOTTED.match(bare) and not key.startswith("~") else key[: len(key) - len(bare)]
    return f"{prefix}{bare}={value}"


def _parses(override: str) -> bool:
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    try:
        OverridesParser.create().parse_override(override)
    except HydraException:
        return False
    return True


def _split(value: str) -> list[str]:
    """Split at commas that are outside brackets and quotes: the values of a sweep."""
    parts, depth, start, quote = [], 0, 0, ""
    for position, character in enumerate(value):
        if character in QUOTES and quote in ("", character):
            quote = "" if quote else character
        depth += 0 if quote else (character in OPENING) - (character in CLOSING)
        if character == "," and depth == 0 and not quote:
            parts.append(value[start:position])
            start = position + 1
    return [*parts, value[start:]]


def _quote(value: str) -> str:
    text = value.strip()
    if len(text) > 1 and text[0] == text[-1] and text[0] in QUOTES:
        return text
    # Hydra reads a backslash as itself, unless a quote follows
    return '"' + re.sub(r'(\\*)("|$)', lambda m: m[1] * 2 + ("\\" + m[2] if m[2] else ""), text) + '"'
