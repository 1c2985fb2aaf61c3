"""What may stand next on the command line: verbs and their words, or the groups, keys and flags of Hydra.

How a shell asks and how it is answered is in ``shells``.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import os
from typing import TYPE_CHECKING

from bayesrun.command.overrides import VALUED, flags, to_hydra
from bayesrun.command.verbs import VERBS
from bayesrun.command.wording import hydra_errors
from bayesrun.errors import BayesrunError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["CHOICES", "FLAG", "FOLDERS", "VARIABLE", "words"]

FLAG = "--completion"
"""Asks for the script that a shell reads once."""

VARIABLE = "_BAYESRUN_COMPLETE"
"""The environment variable by which that script asks."""

OWN = (FLAG, "--version")
FOLDERS = frozenset(["--config-dir", "-cd", "--config-path", "-cp"])
"""Flags of Hydra whose value is a folder."""

CHOICES = {"--cfg": ("all", "hydra", "job"), "-c": ("all", "hydra", "job")}


def words(before: Sequence[str], incomplete: str) -> list[str]:
    """List what completes a word of a command line without a verb.

    Parameters
    ----------
    before
        The words before it.
    incomplete
        What is there of it.

    Returns
    -------
    list of str
        Whole words. One that ends in ``=``, ``.`` or ``/`` goes on.
    """
    last = before[-1] if before else ""
    if last in VALUED:
        return [choice for choice in CHOICES.get(last, ()) if choice.startswith(incomplete)]
    if incomplete.startswith("-"):
        own = () if before else OWN
        return sorted({name for name in (*flags(), *own) if name.startswith(incomplete)})
    verbs = [name for name in VERBS if not before and name.startswith(incomplete)]
    return [*verbs, *_of_hydra(before, incomplete)]


def _of_hydra(before: Sequence[str], incomplete: str) -> list[str]:
    """Ask Hydra, also for the last of several values of a sweep, and for a key behind a plus."""
    bare = incomplete.lstrip("+")
    plus = incomplete[: len(incomplete) - len(bare)]
    key, equals, value = bare.partition("=")
    if equals:
        done = value[: value.rfind(",") + 1]
        found = _query(before, f"{key}={value.removeprefix(done)}")
        return [f"{plus}{key}={done}{word.partition('=')[2]}" for word in found]
    found = [word for word in _query(before, bare) if bare.startswith("hydra") or not word.startswith("hydra")]
    # a group without a node in the config is none of the defaults, and is added by a plus
    added = [word for word in found if word.endswith("=") and word[:-1] in _groups() and f"{word[:-1]}." not in found]
    own = [word for word in found if word not in added]
    return [plus + word for word in own] + ([f"+{word}" for word in added] if plus or not bare else [])


def _groups() -> list[str]:
    from bayesrun.planning.config import shipped_conf

    return [path.name for path in shipped_conf().iterdir() if path.is_dir()]


def _query(before: Sequence[str], incomplete: str) -> list[str]:
    from bayesrun.command import hydra_app

    overrides = [word for word in before if "=" in word and not word.startswith("-") and len(word.split()) == 1]
    folders = [word for pair in itertools.pairwise(before) if pair[0] in FOLDERS for word in pair]
    os.environ["COMP_LINE"] = " ".join(["bayesrun", *to_hydra(overrides), incomplete])
    printed = io.StringIO()
    # what is wrong further left leaves nothing to complete, and a shell has no place for saying it
    with (
        contextlib.redirect_stdout(printed),
        contextlib.redirect_stderr(io.StringIO()),
        contextlib.suppress(BayesrunError, *hydra_errors()),
    ):
        hydra_app.run([*folders, "--shell-completion", "query=fish"])
    return [word for word in printed.getvalue().splitlines() if word]
