"""Plain values as text that is the same in every process, and its digest: what keys are made of."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from typing import Any

__all__ = ["SCHEMA_VERSION", "canonical_json", "digest"]

SCHEMA_VERSION = 2
"""Version of what is stored and hashed; raised when a key or a stored field changes its meaning."""


def canonical_json(value: Any) -> str:
    """Serialise plain values to JSON text that is the same in every process.

    Parameters
    ----------
    value
        Nested mappings, sequences, strings, numbers, booleans and None, or dataclasses of them.

    Returns
    -------
    str
        JSON with sorted keys and no spaces. Integers and equal floats differ (``36`` and ``36.0``).
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), default=_plain)


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} has no canonical JSON form")


def digest(value: Any, length: int = 16) -> str:
    """Hash plain values: the first `length` hexadecimal digits of SHA-256 of their canonical JSON."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()[:length]
