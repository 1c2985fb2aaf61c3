"""`bayesrun migrate`: fits of an older format are kept where what they are can be shown, without drawing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from bayesrun.command.verbs.stored_study import STUDY, named_study, store_of
from bayesrun.command.verbs.usage import verb

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from bayesrun.command.migrate import Fate

__all__ = ["command"]

WHAT = (
    "A fit is brought into the current format where its recipe, its data and the log density at its draws show that it "
    "is what would be drawn now; the others stay, and are drawn when a command asks for them."
)


@verb(
    "migrate",
    "bayesrun migrate my_study --dry-run",
    "bayesrun migrate my_study",
    words=f"{STUDY} {WHAT}",
)
@named_study
@click.option("--dry-run", is_flag=True, help="Say what would be done with each fit, and why; write nothing.")
def command(study: str, output_dir: str, *, dry_run: bool) -> int:
    """Bring fits of an older format into the current one."""
    from bayesrun.base.imports import make_importable
    from bayesrun.base.verb_hints import verb as hint
    from bayesrun.command import migrate, terminal
    from bayesrun.report import study_file

    store, console = store_of(study, output_dir), terminal.console()
    make_importable(Path.cwd())
    study_file.read_design(store)  # a study that is not there is not made by locking it
    with store.locked():
        found = migrate.fates(store)
        rest = migrate.leftovers(store)
        if not found and not rest:
            console.print(f"study {store.root.name} has no fits of an older format", markup=False)
            return 0
        if found:
            console.print(_table(found))
        if not dry_run:
            migrate.move(store, found)
    moved = sum(fate.outcome is not None for fate in found)
    told = f"{moved} of {len(found)} fits {'can be migrated' if dry_run else 'migrated'}, {len(found) - moved} left"
    cleared = f"; {len(rest)} moved before, whose old folders {'are still there' if dry_run else 'are removed'}"
    console.print(f"study {store.root.name}: {told}{cleared if rest else ''}", markup=False, soft_wrap=True)
    if dry_run:
        console.print("nothing was written", markup=False)
    elif moved and any(store.tables.glob("*.parquet")):
        again = hint("compare" if study_file.read_study(store).kind == "fit" else "report", store.root)
        console.print(f"its tables have the earlier keys: {again} makes them again", markup=False, soft_wrap=True)
    return 0


def _table(found: Sequence[Fate]) -> Table:
    """Show what becomes of the fits: a row for those of a cell of which the same is said."""
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    rows: dict[tuple[str, str, str], list[str]] = {}
    for fate in found:
        what = "left" if fate.outcome is None else "migrated"
        reason = " ".join(fate.why.split()) or "the same recipe, data and log density"
        rows.setdefault((fate.cell, what, reason), []).append(fate.key)
    table = Table(box=box.SIMPLE_HEAD)
    for name in ("fit", "cell", "what", "why"):
        table.add_column(name, no_wrap=name in ("fit", "what"), overflow="fold")
    for (cell, what, why), keys in rows.items():
        table.add_row(keys[0] if len(keys) == 1 else f"{len(keys)} fits", escape(cell), what, escape(why))
    return table
