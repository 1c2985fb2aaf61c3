"""The verbs beside the Hydra application: what there is to do with a study after the run.

A verb is one line here and one file of its name beside this one, whose ``command`` is the click command. Neither the
files nor click are imported before a verb is called.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Final

from bayesrun.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import click

__all__ = ["VERBS", "call", "command", "listed"]

VERBS: Final[Mapping[str, str]] = {
    "status": "What a study has, what failed, and what is missing.",
    "show": "What a fit or a cell says: estimates, recipe, verdict with its reasons, warnings, times, files.",
    "compare": "Compare the fits of a study: LOO between models, agreement between samplers.",
    "report": "Make the tables, figures and report.html of a simulation study again from its fits.",
    "diff": "In what two cells or fits of a study differ, in what changes their draws.",
    "replay": "Fit one fit of a study again, here, without storing anything; errors are shown whole.",
    "info": "What models, data, samplers and studies there are, and what one is: formula, priors, keys, references.",
    "plan": "How many replicates a Monte Carlo standard error needs.",
    "pipeline": "Studies that run by the calendar.",
    "migrate": "Bring fits of an older format into the current one without drawing, where what they are can be shown.",
    "forget": "Remove fits of a study: superseded or failed ones, cells, or single fits.",
    "prune": "Free what no cell of a study names: fits of no cell, data of no fit, what was left half written.",
    "verify": "Read every file of a study: what is missing, truncated or altered, how to mend each, what is nobody's.",
    "sync": "Write to MLflow what it does not have of a study; runs are made again from the store.",
    "ui": "Say how to open the MLflow page of a study.",
}
"""Each verb with its sentence."""


def listed() -> str:
    """List the verbs for people, a line each."""
    width = max(map(len, VERBS))
    return "\n".join(f"  bayesrun {name:{width}}  {sentence}" for name, sentence in VERBS.items())


def command(name: str) -> click.Command:
    """Import the command of a verb."""
    found: click.Command = importlib.import_module(f"{__name__}.{name}").command
    return found


def call(name: str, words: Sequence[str]) -> int:
    """Do what a verb is for.

    Parameters
    ----------
    name
        The verb.
    words
        What stands after it on the command line.

    Returns
    -------
    int
        Exit code.

    Raises
    ------
    BayesrunError
        If the words are none of the verb's, with the remedy, and for what the verb itself refuses.
    """
    import click

    verb = command(name)
    try:
        with verb.make_context(f"bayesrun {name}", list(words)) as context:
            return int(verb.invoke(context) or 0)
    except click.exceptions.Exit as end:  # as --help ends
        return end.exit_code
    except click.UsageError as error:
        from bayesrun.command.verbs.usage_errors import in_words

        raise ConfigError(in_words(error)) from None
