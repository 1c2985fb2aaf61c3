"""How words are spelled: the nearest right one, for error messages, and how tables write no and yes."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["EXACT", "PAIRS", "did_you_mean", "known_order", "nearest"]

PAIRS: Final = (("no", "yes"), ("n", "y"), ("false", "true"), ("f", "t"), ("0", "1"), ("0.0", "1.0"), ("off", "on"))
"""Pairs of labels, whatever their case, of which the second is the event."""

EXACT: Final = 2**53
"""From here on a float64 does not tell a whole number from its neighbours, so that two labels may be one."""


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


def known_order(labels: Sequence[Any]) -> tuple[Any, Any] | None:
    """Return two labels with the event last, where everybody knows which that is (no, yes); None elsewhere."""
    if len(labels) != 2:
        return None
    plain = [str(label).strip().lower() for label in labels]
    for pair in PAIRS:
        if tuple(plain) == pair:
            return labels[0], labels[1]
        if tuple(reversed(plain)) == pair:
            return labels[1], labels[0]
    return None
