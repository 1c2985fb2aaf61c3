"""What a person sees while fits run: a bar on a terminal, and a line a fit as long as there are few."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from rich.console import Console

    from bayesrun.types import Outcome

__all__ = ["follow"]

LINES = 40
"""Lines that a study of many fits gets."""
FAILURES = 5
"""Failures that are told one by one; the report has all of them."""


def follow(outcomes: Iterable[Outcome], total: int, console: Console) -> Iterator[Outcome]:
    """Pass outcomes on and show them as they come.

    Parameters
    ----------
    outcomes
        In completion order.
    total
        How many there will be.
    console
        Where to show them.
    """
    if console.is_terminal:
        yield from _bar(outcomes, total, console)
        return
    failed = 0
    for done, outcome in enumerate(outcomes, start=1):
        failed += outcome.status == "failed"
        if _is_news(outcome, failed, total) or done * LINES // total > (done - 1) * LINES // total:
            told = f" ({failed} failed)" if failed and total > LINES else ""
            console.print(f"[{done}/{total}]{told} {_line(outcome)}", markup=False, soft_wrap=True)
        yield outcome


def _bar(outcomes: Iterable[Outcome], total: int, console: Console) -> Iterator[Outcome]:
    columns = (
        TextColumn("fits"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[failed]}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    failed = 0
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("fits", total=total, failed="")
        for outcome in outcomes:
            failed += outcome.status == "failed"
            text = f"[red]{failed} failed[/]" if failed else ""
            progress.update(task, advance=1, failed=text)
            if _is_news(outcome, failed, total):
                progress.console.print(escape(_line(outcome)), soft_wrap=True)
            yield outcome


def _is_news(outcome: Outcome, failed: int, total: int) -> bool:
    """Whether a fit has a line of its own: each of a few, and of many the first that fail."""
    return total <= LINES or (outcome.status == "failed" and failed <= FAILURES)


def _line(outcome: Outcome) -> str:
    cell = f"{outcome.cell} #{outcome.replicate}" if outcome.replicate else outcome.cell
    if outcome.status == "failed":
        after = f" after {sum(outcome.seconds.values()):.1f} s" if outcome.seconds else ""
        return f"{cell}: failed{after} ({outcome.reason}): {outcome.message}"
    return f"{cell}: done in {sum(outcome.seconds.values()):.1f} s"
