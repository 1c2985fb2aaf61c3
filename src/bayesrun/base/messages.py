"""What two messages have in common that differ in their numbers only."""

from __future__ import annotations

import re

__all__ = ["without_numbers"]

_NUMBER = re.compile(
    r"0x[0-9a-fA-F]+|(?<![A-Za-z_])[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?|\b[-+]?(?:nan|inf)\b", re.IGNORECASE
)
_SEVERAL = re.compile(r"#(?:[,;\s]+#)+")


def without_numbers(message: str) -> str:
    """Put ``#`` where a message has a number, or several in a row.

    Numbers that are part of a name stay: ``x1`` is not ``x2``.

    Examples
    --------
    >>> without_numbers("ValueError: scale -0.31 < 0 in row 17 of x1")
    'ValueError: scale # < # in row # of x1'
    >>> without_numbers("got [1.0, 2e-3, nan]") == without_numbers("got [3.0]")
    True
    """
    return _SEVERAL.sub("#", _NUMBER.sub("#", message))
