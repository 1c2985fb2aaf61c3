"""When the fits of a cell fail alike from the first on, so that nothing more of it is started; it starts none itself.

A typo in a generator fails every replicate in the same words. Twenty say it as well as ten thousand.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bayesrun.base.messages import without_numbers
from bayesrun.errors import DispatchError
from bayesrun.types import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from bayesrun.types import Batch, Drawn

__all__ = ["FIRST", "Watch", "stopped_cells", "until_alike"]

FIRST = 20
"""Outcomes of a cell that have to fail alike, without any other. A fault that strikes half of all fits does this to a
cell by chance in one study of a million."""

NO_MORE = "no fit after it could be written, so nothing more is started"


@dataclass
class Watch:
    """What the first outcomes of each cell of one command have in common.

    Parameters
    ----------
    planned
        Fits of each cell that are to do.
    """

    planned: Mapping[str, int]
    alike: dict[str, list[Outcome]] = field(default_factory=dict)
    other: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, batches: Iterable[Batch]) -> Watch:
        """Watch the cells of these batches."""
        return cls(Counter(spec.cell for batch in batches for spec in batch.specs))

    def tell(self, outcome: Outcome) -> None:
        """Note what came back."""
        if outcome.cell in self.other or self.stops(outcome.cell):
            return
        before = self.alike.setdefault(outcome.cell, [])
        if outcome.status != "failed" or (before and not _same(before[0], outcome)):
            self.other.add(outcome.cell)
            return
        before.append(outcome)

    def told(self, arriving: Iterable[Outcome]) -> Iterator[Outcome]:
        """Note outcomes and pass them on.

        Raises
        ------
        DispatchError
            After one that could not be written, since the disk is full or read-only: nor could what comes after it.
        """
        for outcome in arriving:
            self.tell(outcome)
            yield outcome
            if outcome.reason == "disk":
                raise DispatchError(f"{outcome.message}; {NO_MORE}")

    def doubts(self, cell: str) -> bool:
        """Whether a cell has more fits than it takes, and nothing but one failure came back of it, or nothing yet."""
        return cell not in self.other and self.planned.get(cell, 0) > FIRST

    def stops(self, cell: str) -> bool:
        """Whether nothing more of a cell should be started."""
        return self.doubts(cell) and len(self.alike.get(cell, ())) >= FIRST

    def drops(self, batch: Batch) -> bool:
        """Whether nothing of a batch should be started."""
        return self.stops(batch.label) and all(self.stops(spec.cell) for spec in batch.specs)


def _same(one: Outcome, other: Outcome) -> bool:
    return (one.reason, without_numbers(one.message)) == (other.reason, without_numbers(other.message))


def until_alike(batch: Batch, arriving: Iterable[Outcome | Drawn]) -> Iterator[Outcome | Drawn]:
    """Pass on what is done of a batch; it ends where the first fits of the batch have all failed alike."""
    watch = Watch.of([batch])
    for outcome in arriving:
        yield outcome
        if not isinstance(outcome, Outcome):
            continue
        watch.tell(outcome)
        if watch.drops(batch):
            return


def stopped_cells(batches: Sequence[Batch], outcomes: Iterable[Outcome]) -> list[str]:
    """Say of which cells not all was started since their fits failed alike.

    Parameters
    ----------
    batches
        What was to do.
    outcomes
        What came back of it, in that order.

    Returns
    -------
    list of str
        One sentence for each such cell.
    """
    watch = Watch.of(batches)
    came = Counter[str]()
    for outcome in outcomes:
        watch.tell(outcome)
        came[outcome.cell] += 1
    lines = []
    for cell, found in watch.alike.items():
        left = watch.planned.get(cell, 0) - came[cell]
        if watch.stops(cell) and left:
            lines.append(
                f"{cell}: all of the first {len(found)} fits failed alike ({found[0].message}), so the other {left} "
                "were not started; mend the cause, and the same command goes on"
            )
    return lines
