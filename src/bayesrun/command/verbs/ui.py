"""`bayesrun ui`: how to open the MLflow page of a study."""

from __future__ import annotations

from bayesrun.command.verbs.stored_study import STUDY, named_study, open_study
from bayesrun.command.verbs.usage import verb

__all__ = ["command"]


@verb("ui", "bayesrun ui hierarchical-eight_schools", words=STUDY)
@named_study
def command(study: str, output_dir: str) -> int:
    """Say how to open the MLflow page of a study."""
    from bayesrun.command import terminal
    from bayesrun.report import tracking

    found = open_study(study, output_dir)
    recorder = tracking.recorder(found.store, found.options, found.track)
    terminal.console().print(recorder.where(), markup=False, soft_wrap=True)
    return 0
