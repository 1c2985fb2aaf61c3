"""`bayesrun sync`: MLflow gets what it does not have of a study."""

from __future__ import annotations

import dataclasses

import click

from bayesrun.command.verbs.stored_study import STUDY, named_study, open_study
from bayesrun.command.verbs.usage import verb

__all__ = ["command"]


@verb(
    "sync",
    "bayesrun sync hierarchical-eight_schools",
    "bayesrun sync my_study --uri http://127.0.0.1:5000",
    words=STUDY,
)
@named_study
@click.option("--uri", metavar="ADDRESS", help="Address of the tracking server (default: the study's own).")
def command(study: str, output_dir: str, uri: str | None) -> int:
    """Write to MLflow what it does not have of a study."""
    from bayesrun.command import terminal
    from bayesrun.report import tracking, verdict
    from bayesrun.statistics import states

    found = open_study(study, output_dir)
    end = verdict.ending(found.known, found.store, found.options)
    wanted = dataclasses.replace(found.track, enabled=True, uri=uri or found.track.uri)
    recorder = tracking.recorder(found.store, found.options, wanted)
    synced = recorder.sync(end)
    console = terminal.console()
    console.print(f"{synced.told(len(found.known))}: {recorder.shown}", markup=False, soft_wrap=True)
    line = states.sentence(found.store.root.name, end.state, end.standings.values(), len(end.refused))
    console.print(line, markup=False, soft_wrap=True)
    return end.exit_code
