"""What is said before and after the fits: the plan, the time and the room that it takes, and where things are."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from bayesrun.base.messages import few
from bayesrun.planning.posterior_sbc import originals
from bayesrun.statistics.gates import unjudged

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from rich.console import Console

    from bayesrun.planning.costs import Estimate
    from bayesrun.store.folder import Store
    from bayesrun.types import CheckedCell, FitSpec, Plan

__all__ = ["announce", "close", "said_once", "show_plan"]

KEPT = "diagnostics only"
"""What is done for a fit whose draws are stored."""

MOST_LABELS = 3
"""Cells that a line of the plan names."""


OF_DATA = re.compile(r"data=(?P<name>\S+): (?P<rest>.*)", re.DOTALL)
"""A line about a dataset."""

EXAMPLE = ", for example "

MUCH = 2**30
"""Bytes of a study from which its size is a warning."""

MOST_REASONS = 10
"""Cells of which the text before a run says why they are drawn anew; a dry run says it of all."""


def announce(
    console: Console,
    name: str,
    plan: Plan,
    cells: Sequence[CheckedCell],
    estimate: Estimate,
    reasons: Mapping[str, str],
) -> None:
    """Say what will be done and why again, what is done already, and what to look out for.

    Parameters
    ----------
    console, name, plan, cells, estimate
        Of the study.
    reasons
        Why cells like stored ones are drawn anew, by label.
    """
    left = len(plan.specs) - len(plan.done)
    kept = f": {left - len(plan.kept)} are drawn, {len(plan.kept)} keep their draws, {KEPT}" if plan.kept else ""
    told = f"study {name}: {len(plan.specs)} fits, {len(plan.done)} done, {left} to do{kept}"
    console.print(told, markup=False, soft_wrap=True)
    for label, reason in list(reasons.items())[:MOST_REASONS]:
        console.print(f"anew: {label}: {reason}", markup=False, soft_wrap=True)
    if len(reasons) > MOST_REASONS:
        console.print(f"anew: {len(reasons) - MOST_REASONS} more cells; dry_run=true says why", markup=False)
    for original in originals(cells):
        console.print(f"original: {original}", markup=False, soft_wrap=True)
    for note in said_once(note for cell in cells for note in cell.notes):
        console.print(f"note: {note}", markup=False, soft_wrap=True)
    for line in dict.fromkeys(unjudged(cells)):
        console.print(f"note: {line}", markup=False, soft_wrap=True)
    for warning in said_once(warning for cell in cells for warning in cell.warnings):
        console.print(f"warning: {warning}", style="yellow", markup=False, soft_wrap=True)
    if not left:
        console.print("nothing to fit: every fit of this study is done")
    else:
        told = f"estimate: {_size(estimate.bytes)} in the study's folder; time {_time(estimate)}"
        console.print(told, markup=False, soft_wrap=True)
        if estimate.bytes > MUCH:
            console.print(f"warning: {_much(estimate)}", style="yellow", markup=False, soft_wrap=True)


def said_once(lines: Iterable[str]) -> list[str]:
    """Give each line once; what is the same of several datasets with their names, and the example of the first."""
    names: dict[str, dict[str, None]] = {}
    texts: dict[str, str] = {}
    for line in lines:
        of_data = OF_DATA.fullmatch(line)
        text = of_data["rest"] if of_data else line
        key = text.partition(EXAMPLE)[0] if of_data else text
        names.setdefault(key, {})[of_data["name"] if of_data else ""] = None
        texts.setdefault(key, text)
    return [
        texts[key] if own.keys() == {""} else f"data={few([name for name in own if name], MOST_LABELS)}: {texts[key]}"
        for key, own in names.items()
    ]


def show_plan(console: Console, plan: Plan, reasons: Mapping[str, str]) -> None:
    """List every fit of a plan with what would happen to it and why, replicates of a cell as one line: a dry run."""
    cells: dict[str, list[FitSpec]] = {}
    for spec in plan.specs:
        cells.setdefault(spec.cell, []).append(spec)
    for label, specs in cells.items():
        why = f": {reasons[label]}" if label in reasons else ""
        if len(specs) > 1:
            done = sum(spec.key in plan.done for spec in specs)
            sizes = sorted({len(batch.specs) for batch in plan.batches if batch.label == label})
            kept = sum(spec.key in plan.kept for spec in specs)
            told = f", {kept} draws kept, {KEPT}" if kept else ""
            told += f" in batches of {' and '.join(map(str, sizes))}" if sizes else ""
            console.print(f"{len(specs)} replicates, {done} done{told}  {label}{why}", markup=False, soft_wrap=True)
            continue
        word = "done " if specs[0].key in plan.done else "to do"
        word = f"draws kept, {KEPT}" if specs[0].key in plan.kept else word
        console.print(f"{word}  {specs[0].key}  {label}{why}", markup=False, soft_wrap=True)
    console.print("dry run: nothing was started")


def close(console: Console, store: Store, lines: Sequence[str]) -> None:
    """Say where everything is."""
    for line in (f"files: {store.root}", *lines):
        console.print(line, markup=False, soft_wrap=True)


def _time(estimate: Estimate) -> str:
    if estimate.seconds is None:
        cells = f" for {few(estimate.unknown, MOST_LABELS)}" if estimate.unknown else ""
        return f"unknown{cells}: no fit of this model, data and sampler was done here"
    loose = f", by fits of other parameters or options for {few(estimate.loose, MOST_LABELS)}" if estimate.loose else ""
    return f"about {_duration(estimate.seconds)}{loose}"


def _much(estimate: Estimate) -> str:
    """Say how much disk a study takes, and what would make it less."""
    told = f"this study takes about {_size(estimate.bytes)} of disk, its largest fit {_size(estimate.largest)}"
    if estimate.lean > 0.9 * estimate.bytes:
        return f"{told}; fewer sampler.draws take less"
    return f"{told}; output.keep=lean leaves {_size(estimate.lean)}, and makes the rest again when it is asked for"


def _size(count: int) -> str:
    return f"{count / 2**20:.1f} MiB" if count < 2**30 else f"{count / 2**30:.1f} GiB"


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
