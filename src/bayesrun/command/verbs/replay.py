"""`bayesrun replay`: one fit again, held against what is stored."""

from __future__ import annotations

import click

from bayesrun.command.verbs.stored_study import STUDY, named_study, store_of
from bayesrun.command.verbs.usage import verb

__all__ = ["command"]

FIT = "FIT is the key of a fit, or the number of its replicate where the study has one cell."


@verb(
    "replay",
    "bayesrun replay sbc_eight_schools 17",
    "bayesrun replay sbc_eight_schools 17 --data",
    words=f"{STUDY} {FIT}",
)
@named_study
@click.argument("fit", metavar="FIT")
@click.option("--data", is_flag=True, help="Only show the dataset and, if it is simulated, the truth.")
def command(study: str, output_dir: str, fit: str, *, data: bool) -> int:
    """Fit one fit again and hold it against what is stored."""
    from bayesrun.command import terminal
    from bayesrun.command.replay import replay

    return replay(store_of(study, output_dir), fit, terminal.console(), data_only=data)
