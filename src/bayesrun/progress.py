"""What a person sees while fits run: one bar on a terminal, one line per fit elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from rich.console import Console

    from bayesrun.types import Outcome

__all__ = ["follow"]


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
    for done, outcome in enumerate(outcomes, start=1):
        console.print(f"[{done}/{total}] {_line(outcome)}", markup=False, soft_wrap=True)
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
            progress.console.print(escape(_line(outcome)), soft_wrap=True)
            yield outcome


def _line(outcome: Outcome) -> str:
    if outcome.status == "failed":
        return f"{outcome.cell}: failed ({outcome.reason}): {outcome.message}"
    return f"{outcome.cell}: done in {sum(outcome.seconds.values()):.1f} s"
