"""Passwords, tokens and keys are taken out of every text that is written down or shown.

They stand in addresses, as user info or in the query, in the environment, and in configs under names that say so. Who
is connected to gets them; what is stored, logged, tracked or printed has them not.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any, Final, cast

__all__ = ["HIDDEN", "is_secret", "keep_to_oneself", "public", "public_address", "without_secrets"]

HIDDEN: Final = "***"
"""What stands where a secret was."""

SHORTEST: Final = 6
"""Characters of a value that is looked for in messages: a shorter one is in any text."""

_known: set[str] = set()
"""What this process was given under secret names in configs."""

_NAME = re.compile(
    r"pass(word|wd|phrase|code)|(^|[-_.])(pass|pwd)$|secret|tokens?($|[-_.])|credential|signature|authorization"
    r"|(^|[-_.])(key|auth|sig|pat|api_?key|access_?key)$|(?-i:[a-z]Key$)",
    re.IGNORECASE,
)
_USER = re.compile(r"(?P<scheme>\b[A-Za-z][A-Za-z0-9+.-]*://)[^\s/?#\"'<>]*@")
_QUERY = re.compile(r"(?P<name>[?&;](?P<key>[\w.%-]+)=)(?P<value>[^\s&;#\"'<>]+)")


def is_secret(name: str) -> bool:
    """Whether what has this name (of a key, a variable, a parameter of an address) is to be kept to oneself.

    Examples
    --------
    >>> [is_secret(name) for name in ("password", "api_key", "AWS_SECRET_ACCESS_KEY", "X-Amz-Signature", "sig")]
    [True, True, True, True, True]
    >>> [is_secret(name) for name in ("tokenizer", "key_rate", "passes", "passengers", "author", "sigma")]
    [False, False, False, False, False, False]
    """
    return _NAME.search(name) is not None


def keep_to_oneself(config: Any) -> None:
    """Note what a config has under secret names, so that no message of this process says it, whoever raises it."""
    if isinstance(config, Mapping):
        for name, one in config.items():
            if isinstance(one, str) and len(one) >= SHORTEST and is_secret(str(name)):
                _known.add(one)
            keep_to_oneself(one)
    elif isinstance(config, list | tuple):
        for one in config:
            keep_to_oneself(one)


def public_address(text: str) -> str:
    """Take user info, and what is secret by name in queries, out of the addresses in a text.

    Examples
    --------
    >>> public_address("https://me:pw@host/my.csv?year=2020&sig=abc")
    'https://host/my.csv?year=2020&sig=***'
    """
    return _QUERY.sub(_of_query, _USER.sub(r"\g<scheme>", text)) if "://" in text else text


def without_secrets(message: str) -> str:
    """Take out of a message what addresses in it, secret variables of the environment and `keep_to_oneself` hold.

    Examples
    --------
    >>> without_secrets("cannot read https://me:pw@host/my.csv (401)")
    'cannot read https://host/my.csv (401)'
    """
    text = public_address(message)
    for secret in _values():
        text = text.replace(secret, HIDDEN)
    return text


def public[T](value: T) -> T:
    """Take secrets out of a config: of addresses, under secret names, and what secret variables hold.

    A text that only has the value of a variable inside stays, since a password may be a word that a config needs.

    Examples
    --------
    >>> public({"env_vars": {"API_TOKEN": "abc", "MODE": "fast"}, "uri": "http://me:pw@host"})
    {'env_vars': {'API_TOKEN': '***', 'MODE': 'fast'}, 'uri': 'http://host'}
    """
    return cast("T", _public(value, frozenset(_values())))


def _public(value: Any, secrets: frozenset[str]) -> Any:
    if isinstance(value, str):
        return HIDDEN if value in secrets else public_address(value)
    if isinstance(value, Mapping):
        return {
            name: HIDDEN if isinstance(one, str) and one and is_secret(str(name)) else _public(one, secrets)
            for name, one in value.items()
        }
    if type(value) in (list, tuple):
        return type(value)(_public(one, secrets) for one in value)
    return value


def _of_query(found: re.Match[str]) -> str:
    return found["name"] + (HIDDEN if is_secret(found["key"]) else found["value"])


def _values() -> tuple[str, ...]:
    """Return what secret variables and keys hold, the longest first, since one may be part of another."""
    found = {value for name, value in os.environ.items() if len(value) >= SHORTEST and is_secret(name)}
    return tuple(sorted(_known | {v for v in found if not v.startswith("/")}, key=len, reverse=True))
