"""`bayesrun status`: what a study has, what failed, and what is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from bayesrun.base import verb_hints
from bayesrun.command.verbs.stored_study import STUDY, named_study, open_study, report_on, store_of
from bayesrun.command.verbs.usage import verb
from bayesrun.errors import ConfigError

if TYPE_CHECKING:
    from bayesrun.command.verbs.stored_study import StoredStudy

__all__ = ["command"]


@verb("status", "bayesrun status hierarchical-eight_schools", words=STUDY)
@named_study
@click.option("--verify", is_flag=True, hidden=True)
def command(study: str, output_dir: str, *, verify: bool) -> int:
    """Tell the state of a study."""
    from bayesrun.command import terminal

    if verify:
        raise ConfigError(
            "status: there is no option --verify any more; every file is read, not only posteriors, by "
            f"{verb_hints.verb('verify', store_of(study, output_dir).root)}"
        )
    found = open_study(study, output_dir)
    if not found.simulated:
        return _status_of(found)
    code = report_on(found)
    for line in _open(found):
        terminal.console().print(line, markup=False, soft_wrap=True)
    return code


def _open(study: StoredStudy) -> list[str]:
    from bayesrun.report.inventory import inventory, open_lines

    return open_lines(inventory(study.known, study.store), study.known)


def _status_of(study: StoredStudy) -> int:
    """Print what there is of a study of real data, and its state."""
    from bayesrun.command import terminal
    from bayesrun.report import real_data, terminal_tables
    from bayesrun.report.inventory import absent_lines, inventory, lacking_lines
    from bayesrun.report.not_fitted import refused_lines
    from bayesrun.report.superseded import superseded_lines
    from bayesrun.statistics import states

    store, rows = study.store, real_data.rows(study.known, study.store, {})
    standings = real_data.standings(study.known, rows)
    state = states.study_state(real_data.states(standings).values(), len(study.refused))
    pairs = [(row.outcome, row.verdict) for row in rows]
    done = sum(row.outcome.status == "done" for row in rows)
    console = terminal.console()
    total = len(study.known)
    counts = f"{total} fits, {done} done, {len(rows) - done} failed, {total - len(rows)} not done or damaged"
    console.print(f"study {store.root.name}: {counts}", markup=False)
    console.print(terminal_tables.outcome_table(pairs))
    real_data.show_decisions(console, real_data.decisions_of(rows, store))
    harmed = lacking_lines(inventory(study.known, store).lacking, study.known)
    for line in (
        *terminal_tables.verdict_lines(pairs),
        *absent_lines([(row.spec, row.outcome) for row in rows]),
        *harmed,
        *refused_lines(study.refused),
        *_open(study),
        *superseded_lines(study.superseded, store, study.known),
        states.sentence(store.root.name, state, standings.values(), len(study.refused)),
    ):
        console.print(line, markup=False, soft_wrap=True)
    return states.EXIT_CODES[state]
