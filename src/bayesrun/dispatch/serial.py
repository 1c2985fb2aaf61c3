"""Batches one after another in this process: for debugging, tests and small studies."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bayesrun.dispatch.alike import Watch
from bayesrun.types import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from bayesrun.types import Batch, DispatchOptions, Drawn

__all__ = ["dispatch"]


def dispatch(
    batches: Sequence[Batch], work: Callable[[Batch], Iterable[Outcome | Drawn]], options: DispatchOptions
) -> Iterator[Outcome]:
    """Do the batches in their order; of a cell whose first fits all fail alike nothing more is started.

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
    watch = Watch.of(batches)
    for batch in batches:
        if watch.drops(batch):
            continue
        for outcome in watch.told(said for said in work(batch) if isinstance(said, Outcome)):
            yield outcome
            if watch.drops(batch):
                break
