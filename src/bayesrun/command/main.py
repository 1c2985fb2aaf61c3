"""`bayesrun`: the entry, which hands a command line to a verb or to the Hydra application."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, NoReturn

from bayesrun import __version__
from bayesrun.base import machine
from bayesrun.command import completion, verbs
from bayesrun.command.wording import OK, asks_for_more, nearest, plain_warnings, reported, say

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]


def main() -> NoReturn:
    """Run the command line: 0 all done, 1 a fit or a verdict failed, 2 refused and nothing started."""
    for name, threads in machine.THREADS.items():  # read when NumPy is imported, which no module has done yet
        os.environ.setdefault(name, threads)
    sys.exit(_run(sys.argv[1:]))


def _run(arguments: Sequence[str]) -> int:
    if completion.VARIABLE in os.environ:
        from bayesrun.command import shells

        return shells.answer(os.environ[completion.VARIABLE])
    if list(arguments) == ["--version"]:
        sys.stdout.write(f"bayesrun {__version__}\n")
        return OK
    first = arguments[0] if arguments else ""
    if first.partition("=")[0] == completion.FLAG:
        from bayesrun.command import shells

        return reported(lambda: shells.introduce(" ".join(arguments).removeprefix(completion.FLAG).strip("= ")))
    if not any(map(asks_for_more, arguments)):
        plain_warnings()
    if first in verbs.VERBS:
        words = [word for word in arguments[1:] if not asks_for_more(word)]
        return reported(lambda: verbs.call(first, words))
    if first.isidentifier():
        return say(f"{first}: no verb of that name; {nearest(first, verbs.VERBS)}, or KEY=VALUE overrides")
    from bayesrun.command import hydra_app

    return reported(lambda: hydra_app.run(arguments))
