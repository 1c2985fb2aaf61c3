"""Which fits of a broken batch are tried again, and what is told of the times that each was started; it starts none."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from bayesrun.types import Batch, Try

__all__ = ["MOST_BESIDE", "next_tries", "spent", "told", "tried_again"]

MOST_BESIDE = 5
"""How often a fit is tried again whose node or cluster was gone. That does not count as a try: it was beside what ended
them, for all that is known, but it may be what does it."""


def next_tries(
    broken: Batch, left: Collection[str], reason: str, tries: int, retries: int
) -> tuple[tuple[Batch, int], ...]:
    """Say what is done of a batch whose worker broke, and which try it will be.

    What is left of a batch of several fits is cut in halves, until the fit that takes its worker down is alone. Running
    out of memory or of time is no accident, and a fit that is alone is not tried again for it.

    Parameters
    ----------
    broken
        The batch.
    left
        Keys of its fits that are not back.
    reason
        ``lost``, ``oom``, ``timeout`` or ``error``.
    tries
        How often a fit of it was tried again while it was alone.
    retries
        How often one may be.

    Returns
    -------
    tuple
        Batches with their number of tries; empty where what is left is given up.
    """
    halves = broken.halves(left)
    if len(halves) > 1:
        return tuple((half, tries) for half in halves)
    return tuple((half, tries + 1) for half in halves) if reason == "lost" and tries < retries else ()


def spent(tries: Sequence[Try]) -> float:
    """Add up the wall-clock seconds of all of them, as far as they are known."""
    return sum(one.seconds or 0.0 for one in tries)


def told(tries: Sequence[Try]) -> str:
    """Say how often a fit was started, how that ended and with how many others; nothing of one that was started once.

    Examples
    --------
    >>> told([Try("lost", 4, 5.02), Try("lost", 2, 3.0), Try("oom", 1, 2.14)])
    ' (3 attempts: lost with 3 others after 5.0 s, lost with 1 other after 3.0 s, oom alone after 2.1 s)'
    """
    if len(tries) < 2:
        return ""
    return f" ({len(tries)} attempts: {', '.join(map(_one, tries))})"


def _one(one: Try) -> str:
    others = one.together - 1
    company = "alone" if not others else f"with {others} other{'s' if others > 1 else ''}"
    after = "before its worker said a word" if one.seconds is None else f"after {one.seconds:.1f} s"
    return f"{one.reason} {company} {after}"


def tried_again(batch: Batch, started: Collection[str], ended: Try) -> Batch:
    """Note in a batch that some of its fits were started once more, and how that ended."""
    tried = {key: (*batch.tried.get(key, ()), ended) for key in started}
    return dataclasses.replace(batch, tried={**batch.tried, **tried})
