"""Batches one after another in this process: for debugging, tests and small studies."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bayesrun.base import stop_signals
from bayesrun.dispatch.alike import Watch
from bayesrun.types import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from bayesrun.types import Batch, DispatchOptions, Drawn

__all__ = ["dispatch"]


def dispatch(
    batches: Sequence[Batch],
    work: Callable[[Batch], Iterable[Outcome | Drawn]],
    options: DispatchOptions,
    started: Callable[[], None] = lambda: None,
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
    started
        Called before the first batch.

    Raises
    ------
    Stopped
        If a signal asks to end: in the fit that it comes in, which is left.
    """
    del options
    started()
    watch = Watch.of(batches)
    for batch in batches:
        if watch.drops(batch):
            continue
        for outcome in watch.told(said for said in work(batch) if isinstance(said, Outcome)):
            yield outcome
            stop_signals.check()
            if watch.drops(batch):
                break
