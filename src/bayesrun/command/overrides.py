"""The command line before Hydra reads it: what people type is put into Hydra's grammar.

Hydra refuses blanks-with-operators, parentheses and tildes outside quotes, and a key that no file has. Both are
let in here: values are quoted where they do not parse, and keys are judged by bayesrun's schema, which knows the
nearest right spelling. Mappings and lists that Hydra's grammar does not take are read as YAML, whose keys may be
quoted: names of variables are keys, and Hydra's have no quotes and ASCII letters only.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from bayesrun.command.wording import nearest
from bayesrun.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["VALUED", "decoded", "flags", "has_encoded", "refuse_wrong_flags", "to_hydra"]

DOTTED = re.compile(r"^(?!hydra\.)[A-Za-z_]\w*(\.[\w-]+)+$")
VALUED = frozenset(
    ["--config-dir", "-cd", "--config-path", "-cp", "--config-name", "-cn", "--package", "-p", "--cfg", "-c"]
)
"""Flags of Hydra whose value is the next word."""

ALONE = ("run", "multirun", "cfg", "info", "shell_completion")
"""What Hydra does one of at a time."""

MARKS = ("data.separator", "data.decimal", "data.thousands", "data.comment")
"""Keys whose value is a sign, of which the shell may have taken the quotes: ``data.decimal=,``."""

OPENING, CLOSING, QUOTES = "([{", ")]}", "'\""
NAMING = f"{QUOTES}`"
"""What encloses a text, or in a formula the name of a column."""

NAMED = re.compile(
    r"^(?P<key>(?!hydra\.)\+{0,2}[A-Za-z_]\w*(?:\.[\w-]+)*)\."
    r"(?P<name>`(?:[^`]|``)+`|\"[^\"]+\"|'[^']+')=(?P<value>.*)$",
    re.DOTALL,
)
"""``study.truth.`dose:arm`=0.3``: a name that is no key of Hydra's, at the end of one."""
UNQUOTED = re.compile(
    r"^(?P<key>(?!hydra\.)\+{0,2}[A-Za-z_]\w*(?:\.[A-Za-z_][\w-]*)*)\.(?P<name>[^.=@/~'\"`]*[^\w.=@/~'\"`-][^=@/~'\"`]*)="
    r"(?P<value>.*)$",
    re.DOTALL | re.ASCII,
)
"""The same without quotes: ``study.truth.dose:arm=0.3``."""
TICKED = re.compile(r"([{,]\s*)`((?:[^`]|``)+)`(?=\s*:)")
"""A key of a mapping in backticks."""
PLAIN = re.compile(r"[A-Za-z_][\w-]*|[-+]?\d+(\.\d+)?", re.ASCII)
"""A key that Hydra reads as it is meant."""
ESCAPED = re.compile(r"([\\:()\[\]{}=, ])")
ESCAPABLE = re.compile(r"[A-Za-z_][\w\-+.$%*@?|/:()\[\]{}=, ]*[\w)\]]", re.ASCII)
"""A key whose characters Hydra reads, some after a backslash."""
ENCODED = "_key_"
"""Begins a key that is written in hexadecimal digits until Hydra has composed."""


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


def decoded(values: Any) -> Any:
    """Give the keys of mappings back that Hydra's grammar does not take.

    Parameters
    ----------
    values
        Plain mappings, lists and values, as Hydra composed them.
    """
    if isinstance(values, Mapping):
        return {
            bytes.fromhex(key.removeprefix(ENCODED)).decode() if has_encoded(key) else key: decoded(value)
            for key, value in values.items()
        }
    return [decoded(value) for value in values] if isinstance(values, list) else values


def has_encoded(text: object) -> bool:
    """Whether a text has a key that `decoded` gives back."""
    return isinstance(text, str) and ENCODED in text


def _one(argument: str) -> str:
    if named := NAMED.match(argument) or UNQUOTED.match(argument):
        argument = f"{named['key']}={_of_name(named['name'], named['value'])}"
    key, equals, value = argument.partition("=")
    bare = key.lstrip("+~")
    if argument.startswith("hydra.") or not equals:
        return argument
    if bare in MARKS and len(value) == 1:
        value = _quoted(value)
    parts = [_structure(part) for part in _split(value)]
    if _parses(f"{key}={','.join(parts)}"):
        value = ",".join(parts)
    elif not _parses(argument):
        quoted = ",".join(part if _parses(f"{key}={part}") else _quote(part) for part in parts)
        if _parses(f"{key}={quoted}"):
            value = quoted
    prefix = "++" if DOTTED.match(bare) and not key.startswith("~") else key[: len(key) - len(bare)]
    return f"{prefix}{bare}={value}"


def _of_name(name: str, value: str) -> str:
    """Write a mapping of one name to a value, for Hydra to merge into the one that is there."""
    plain = name[1:-1].replace("``", "`") if name.startswith("`") else name.strip("'\"")
    inner = _structure(value)
    return f"{{{_key(plain)}: {inner if _parses(f'x={inner}') else _quoted(value)}}}"


def _structure(text: str) -> str:
    """Write a mapping or list in Hydra's grammar, if it is none as it stands and YAML reads it as one."""
    stripped = text.strip()
    if stripped[:1] not in ("{", "[") or (_parses(f"x={stripped}") and not _is_misread(_parsed(f"x={stripped}"))):
        return text
    import yaml

    quoted = TICKED.sub(lambda m: m[1] + _double_quoted(m[2].replace("``", "`")), stripped)
    try:
        node = yaml.compose(quoted, yaml.SafeLoader)
    except yaml.YAMLError:
        return text
    found = _written(node)
    return found if _parses(f"x={found}") else text


def _is_misread(value: Any) -> bool:
    """Whether Hydra took ``a:b: 1`` for the value ``b: 1`` of a."""
    if isinstance(value, Mapping):
        return any((type(inner) is str and ": " in inner) or _is_misread(inner) for inner in value.values())
    return isinstance(value, list) and any(map(_is_misread, value))


def _written(node: Any) -> str:
    """Write a node of YAML in Hydra's grammar."""
    if node.id == "mapping":
        return f"{{{', '.join(_pair(key, value) for key, value in node.value)}}}"
    if node.id == "sequence":
        return f"[{', '.join(map(_written, node.value))}]"
    text = str(node.value)
    if node.style is None:
        return text if text and _parses(f"x=[{text}]") else (_quoted(text) if text else "null")
    return _quoted(text)


def _pair(key: Any, value: Any) -> str:
    name, colon, text = str(key.value).rpartition(":")
    if colon and key.style is None and not value.value:  # a:1, which is a key to YAML, and a pair to Hydra
        return f"{_key(name, quoted=False)}: {text if _parses(f'x=[{text}]') else _quoted(text)}"
    return f"{_key(str(key.value), quoted=bool(key.style))}: {_written(value)}"


def _key(name: str, *, quoted: bool = True) -> str:
    if PLAIN.fullmatch(name) and not (quoted and _is_value(name)):
        return name
    if ESCAPABLE.fullmatch(name) and not _is_value(name):
        return ESCAPED.sub(r"\\\1", name)
    return ENCODED + name.encode().hex()


def _is_value(name: str) -> bool:
    """Whether Hydra reads a word as something else than text, or could take it for an encoded key."""
    return has_encoded(name) or not (_parses(f"x=[{name}]") and isinstance(_parsed(f"x=[{name}]")[0], str))


def _parses(override: str) -> bool:
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    try:
        OverridesParser.create().parse_override(override)
    except HydraException:
        return False
    return True


def _parsed(override: str) -> Any:
    from hydra.core.override_parser.overrides_parser import OverridesParser

    return OverridesParser.create().parse_override(override).value()


def _split(value: str) -> list[str]:
    """Split at commas that are outside brackets, quotes and backticks: the values of a sweep."""
    parts, depth, start, quote = [], 0, 0, ""
    for position, character in enumerate(value):
        if character in NAMING and quote in ("", character):
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
    return _quoted(text)


def _quoted(text: str) -> str:
    # Hydra reads a backslash as itself, unless a quote follows
    return '"' + re.sub(r'(\\*)("|$)', lambda m: m[1] * 2 + ("\\" + m[2] if m[2] else ""), text) + '"'


def _double_quoted(text: str) -> str:
    """Quote a text for YAML."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
