"""Nearest right spellings, for error messages; it judges nothing."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["did_you_mean", "nearest"]


def nearest(name: str, names: Iterable[str]) -> str | None:
    """Return the name that is most like `name`, whatever its case: one that starts like it, or a close match."""
    by_lower = {other.lower(): other for other in names}
    wanted = name.lower()
    starts = sorted(
        other for other in by_lower if len(wanted) > 2 and (other.startswith(wanted) or wanted.startswith(other))
    )
    found = starts or difflib.get_close_matches(wanted, by_lower, n=1)
    return by_lower[found[0]] if found else None


def did_you_mean(name: str, names: Iterable[str], prefix: str = "") -> str:
    """Word the hint, ``did you mean sampler.draws? ``, or nothing where no name is near."""
    near = nearest(name, names)
    return f"did you mean {prefix}{near}? " if near else ""
