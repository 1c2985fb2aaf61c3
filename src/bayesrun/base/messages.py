"""Messages: errors in one line, the first few of many names, and what two have in common but for their numbers."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from bayesrun.base.secrets import without_secrets

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["few", "first_line", "in_one_line", "without_numbers"]


_NUMBER = re.compile(
    r"0x[0-9a-fA-F]+|(?<![A-Za-z_])[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?|\b[-+]?(?:nan|inf)\b", re.IGNORECASE
)
_SEVERAL = re.compile(r"#(?:[,;\s]+#)+")


def few(names: Sequence[str], most: int) -> str:
    """List names, of many the first ones and how many more there are.

    Examples
    --------
    >>> few(["a", "b", "c"], 2)
    'a, b and 1 more'
    """
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f"{', '.join(names[:most])}{more}"


def first_line(error: BaseException) -> str:
    """Return the first line that an error says, without secrets in it; empty where it says nothing."""
    lines = without_secrets(str(error)).strip().splitlines()
    return lines[0] if lines else ""


def in_one_line(error: BaseException) -> str:
    r"""Name the type of an error, and the first line that it says.

    Examples
    --------
    >>> in_one_line(ValueError("no root found\nbetween 0 and 1"))
    'ValueError: no root found'
    """
    return f"{type(error).__name__}: {first_line(error)}"


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
