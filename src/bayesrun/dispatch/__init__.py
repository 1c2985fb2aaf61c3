"""Handing batches to workers: `serial` (here and now) and `ray` (tasks, as completed).

A dispatcher is one function in a file of its own, dispatch(batches, work, options, started) -> Iterator[Outcome], in
completion order; `started` is called when the first batches are on their way. Whatever happens to a worker, every fit
of every batch comes back as one outcome.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Sequence

    from bayesrun.types import Batch, DispatchOptions, Drawn, Outcome

__all__ = ["outcomes"]


def outcomes(
    batches: Sequence[Batch],
    work: Callable[[Batch], Iterable[Outcome | Drawn]],
    options: DispatchOptions,
    started: Callable[[], None] = lambda: None,
) -> Generator[Outcome, None, None]:
    """Run batches by the dispatcher that is asked for; where there is no batch, none is started."""
    if batches:
        yield from import_module(f"bayesrun.dispatch.{options.kind}").dispatch(batches, work, options, started)
