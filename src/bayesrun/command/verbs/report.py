"""`bayesrun report`: the tables, figures and report.html of a simulation study again from its fits."""

from __future__ import annotations

from bayesrun.base import verb_hints
from bayesrun.command.verbs.stored_study import STUDY, named_study, open_study, report_on, with_superseded
from bayesrun.command.verbs.usage import verb
from bayesrun.errors import ConfigError

__all__ = ["command"]


@verb("report", "bayesrun report sbc_eight_schools", words=STUDY)
@named_study
@with_superseded
def command(study: str, output_dir: str, *, superseded: bool) -> int:
    """Make the report of a simulation study again."""
    found = open_study(study, output_dir)
    if not found.simulated:
        hint = verb_hints.verb("status", found.store.root)
        raise ConfigError(f"report is for simulation studies; this one is of real data: {hint}")
    return report_on(found, superseded=superseded)
