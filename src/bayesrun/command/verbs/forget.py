"""`bayesrun forget`: fits that are not wanted any more are removed, after saying which."""

from __future__ import annotations

from typing import Any

import click

from bayesrun.command.verbs.stored_study import STUDY, agreed, named_study, store_of
from bayesrun.command.verbs.usage import verb

__all__ = ["command"]

CELL = "CELL is the label of a cell, as status has it, in quotes where it has blanks."


@verb(
    "forget",
    "bayesrun forget my_study --superseded",
    "bayesrun forget my_study linear/engel/advi --failed --yes",
    words=f"{STUDY} {CELL}",
)
@named_study
@click.argument("cells", metavar="[CELL]...", nargs=-1)
@click.option("--key", "keys", metavar="KEY", multiple=True, help="The fit of this key; may be given several times.")
@click.option("--superseded", is_flag=True, help="The fits whose words mean something else now.")
@click.option("--failed", is_flag=True, help="Only fits that failed; without CELL and KEY, those of all cells.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def command(study: str, output_dir: str, *, yes: bool, **named: Any) -> int:
    """Remove fits of a study."""
    from bayesrun.command import forget, terminal
    from bayesrun.report import study_file

    store, console = store_of(study, output_dir), terminal.console()
    study_file.read_design(store)  # a study that is not there is not made by locking it
    with store.locked():
        found = forget.chosen(store, forget.Wanted(**named))
        if not found.cells:
            console.print(f"study {store.root.name} has no such fits; nothing is removed", markup=False)
            return 0
        for line in (f"study {store.root.name}, to be removed:", *found.lines):
            console.print(line, markup=False, soft_wrap=True)
        if not yes and not agreed("forget", found.total):
            console.print("nothing is removed", markup=False)
            return 0
        removed = forget.remove(store, found)
    for line in (f"removed: {found.total}; MLflow keeps its runs", *removed):
        console.print(line, markup=False, soft_wrap=True)
    return 0
