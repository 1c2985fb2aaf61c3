"""The command line before Hydra reads it: what people type is put into Hydra's grammar.

Hydra refuses blanks-with-operators, parentheses and tildes outside quotes, and a key that no file has. Both are
let in here: values are quoted where they do not parse, and keys are judged by bayesrun's schema, which knows the
nearest right spelling.
"""

from __future__ import annotations

import argparse
import re
from typing import TYPE_CHECKING

from bayesrun.command.wording import nearest
from bayesrun.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["VALUED", "flags", "refuse_wrong_flags", "to_hydra"]

DOTTED = re.compile(r"^(?!hydra\.)[A-Za-z_]\w*(\.[\w-]+)+$")
VALUED = frozenset(
    ["--config-dir", "-cd", "--config-path", "-cp", "--config-name", "-cn", "--package", "-p", "--cfg", "-c"]
)
"""Flags of Hydra whose value is the next word."""

ALONE = ("run", "multirun", "cfg", "info", "shell_completion")
"""What Hydra does one of at a time."""

OPENING, CLOSING, QUOTES = "([{", ")]}", "'\""


def to_hydra(arguments: Iterable[str]) -> list[str]:
    """Rewrite overrides so that Hydra's grammar takes them, and put flags before them.

    Flags may stand anywhere on the line, which Hydra's own parser does not allow.

    Raises
    ------
    ConfigError
        If a flag at the end lacks its value.

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
    if valued:  # Hydra would take an override for it
        raise ConfigError(f"{argument}: it has no value; wanted {argument} VALUE")
    return flags + overrides


def flags() -> list[str]:
    """List the flags of Hydra in full."""
    return sorted(name for action in _parser()._actions for name in action.option_strings if name.startswith("--"))


def refuse_wrong_flags(words: Sequence[str]) -> None:
    """Refuse flags that Hydra does not have or cannot do together; itself it prints its whole usage.

    Parameters
    ----------
    words
        In Hydra's grammar, flags first.

    Raises
    ------
    ConfigError
        With the nearest right flag.
    """
    try:
        read, unknown = _parser().parse_known_args(words)
    except argparse.ArgumentError as error:
        raise ConfigError(f"{error.argument_name}: {error.message}; bayesrun --help names the flags") from None
    if unknown:
        raise ConfigError(f"{unknown[0]}: there is no such flag; {nearest(unknown[0], [*flags(), '-m'])}")
    asked = [f"--{name.replace('_', '-')}" for name in ALONE if getattr(read, name)]
    if len(asked) > 1:
        raise ConfigError(f"{' and '.join(asked)}: one at a time; leave out all but one")
    if read.resolve and not (read.cfg or read.help):
        raise ConfigError("--resolve: it says how a config is printed; add --cfg job")


def _parser() -> argparse.ArgumentParser:
    from hydra._internal.utils import get_args_parser

    parser = get_args_parser()
    parser.exit_on_error = False
    return parser


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
