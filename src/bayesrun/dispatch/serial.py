"""Batches one after another in this process: for debugging, tests and small studies."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from bayesrun.types import Batch, DispatchOptions, Outcome

__all__ = ["dispatch"]


def dispatch(
    batches: Sequence[Batch], work: Callable[[Batch], Iterable[Outcome]], options: DispatchOptions
) -> Iterator[Outcome]:
    """Do the batches in their order.

    Parameters
    ----------
    batches
        What is left to do.
    work
        Does one batch; it returns failures as outcomes.
    options
        Not used here: there is no worker to lose. The fits keep their own time.
    """
    del options
    for batch in batches:
        yield from work(batch)
