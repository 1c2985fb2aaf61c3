"""What the config chooses by name: an importable function with its keyword arguments."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Target"]


@dataclass(frozen=True)
class Target:
    """An importable function and the keyword arguments that the config gives it.

    Parameters
    ----------
    name
        The name of the config that chose it (``hierarchical``, ``nuts``, ``eight_schools``).
    path
        Its import path, ``package.module.function``.
    params
        Keyword arguments, plain values only.
    """

    name: str
    path: str
    params: Mapping[str, Any] = field(default_factory=dict)
