"""`bayesrun prune`: room is made by removing what no cell of a study names, after saying what that is."""

from __future__ import annotations

import click

from bayesrun.command.verbs.stored_study import STUDY, agreed, named_study, store_of
from bayesrun.command.verbs.usage import verb

__all__ = ["command"]

WHAT = (
    "Fits of no cell, data and figures of no fit, and what was being written when a command ended. Files that are none "
    "of bayesrun's and links stay; `bayesrun verify` names them."
)


@verb("prune", "bayesrun prune my_study", "bayesrun prune my_study --superseded --yes", words=f"{STUDY} {WHAT}")
@named_study
@click.option("--superseded", is_flag=True, help="Also the fits whose words mean something else now.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def command(study: str, output_dir: str, *, superseded: bool, yes: bool) -> int:
    """Free what no cell of a study names."""
    from bayesrun.command import forget, prune, terminal
    from bayesrun.report import study_file

    store, console = store_of(study, output_dir), terminal.console()
    study_file.read_design(store)  # a study that is not there is not made by locking it
    with store.locked():
        chosen = forget.chosen(store, forget.Wanted(superseded=True)) if superseded else forget.Chosen({}, {})
        found = prune.orphans(store, chosen.cells)
        if not chosen.cells and not found.found:
            console.print(f"study {store.root.name} has nothing that its design does not name", markup=False)
            return 0
        named = (*(chosen.lines if chosen.cells else ()), *found.lines)
        for line in (f"study {store.root.name}, to be removed:", *named):
            console.print(line, markup=False, soft_wrap=True)
        total = "; ".join((*([chosen.total] if chosen.cells else []), *([found.total] if found.found else [])))
        if not yes and not agreed("prune", total):
            console.print("nothing is removed", markup=False)
            return 0
        removed = forget.remove(store, chosen) if chosen.cells else []
        prune.remove(store, prune.orphans(store))  # with what only the removed fits used
    for line in (f"removed: {total}; MLflow keeps its runs", *removed):
        console.print(line, markup=False, soft_wrap=True)
    return 0
