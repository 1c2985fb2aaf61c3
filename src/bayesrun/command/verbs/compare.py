"""`bayesrun compare`: LOO between the models of a study, agreement between its samplers."""

from __future__ import annotations

import click

from bayesrun.command.verbs.stored_study import STUDY, named_study, open_study, with_superseded
from bayesrun.command.verbs.usage import verb

__all__ = ["command"]


@verb("compare", "bayesrun compare hierarchical-eight_schools --reference nuts", words=STUDY)
@named_study
@click.option(
    "--reference",
    metavar="SAMPLER",
    help="The sampler that the others are held against, here; the tables of the study keep study.reference.",
)
@with_superseded
def command(study: str, output_dir: str, reference: str | None, *, superseded: bool) -> int:
    """Compare the fits of a study."""
    from bayesrun.command import terminal
    from bayesrun.report import real_data, study_file, verdict
    from bayesrun.report.inventory import inventory, lacking_lines

    found, console = open_study(study, output_dir), terminal.console()
    if reference is None and not found.simulated and not superseded:
        end = verdict.ending(found.known, found.store, found.options)
        assert end.findings is not None
        real_data.show(console, end.rows, end.findings)
    else:
        rows = real_data.rows(found.everything if superseded else found.known, found.store, {})
        study_file.check_reference([row.checked for row in rows], reference)
        real_data.show(console, rows, real_data.compared(rows, found.store, reference))
    harmed = lacking_lines(inventory(found.known, found.store).lacking, found.known)
    for line in harmed:
        console.print(line, markup=False, soft_wrap=True)
    return int(bool(harmed))
