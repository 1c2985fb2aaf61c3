"""Errors in plain words: every one the user can make is one line or a few, never a traceback."""

from __future__ import annotations

import contextlib
import os
import re
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bayesrun.base import stop_signals
from bayesrun.base.disks import full_or_read_only
from bayesrun.base.secrets import without_secrets
from bayesrun.errors import BayesrunError, DiskError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

__all__ = [
    "FAILED",
    "INTERRUPTED",
    "OK",
    "REFUSED",
    "asks_for_more",
    "hydra_errors",
    "nearest",
    "plain_warnings",
    "reported",
    "say",
]

OK, FAILED, REFUSED, INTERRUPTED = 0, 1, 2, 130

YAML_REMEDIES = {
    "ParserError": "close what was opened with [ { or a quote, and put texts with : or # into quotes",
    "ConstructorError": "leave one of them out",
    "ScannerError": "put texts with : ` @ % or # into quotes",
    "ComposerError": "put texts with * or & into quotes",
}
"""What to do about each kind of mistake in a YAML file."""

NO_NEWS = ("Numba will use object mode to run",)
"""What warnings begin with that say how a library does something, about which nobody has to do anything."""


def reported(action: Callable[[], Any]) -> int:
    """Do something that ends with an exit code, and word its errors."""
    try:
        with stop_signals.watched():
            code = int(action())
            sys.stdout.flush()
    except stop_signals.Stopped as stop:
        with contextlib.suppress(OSError):  # a terminal that was closed
            say(stop.sentence)
        return stop.code
    except BrokenPipeError:
        # whoever read the output has gone, as `| head` does; nothing more is to be said
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    except Exception as error:
        if any(map(asks_for_more, sys.argv[1:])):
            raise
        if isinstance(error, DiskError):  # something was started, since what can be seen before is refused before
            say(str(error))
            return FAILED
        if isinstance(error, BayesrunError):
            return say(str(error))
        if isinstance(error, hydra_errors()):
            return say(_hydra_words(error))
        if (words := _yaml_words(error)) is not None:
            return say(words)
        say(_disk_words(error) or _unexpected(error))
        return FAILED
    except KeyboardInterrupt:  # of a library, without a signal
        say("interrupted; finished fits are kept, and the same command goes on from there")
        return INTERRUPTED
    return code


def plain_warnings() -> None:
    """Say each warning of a library once and without its place, and what is meant for its developers not at all.

    Those that point at a user's own file name it.
    """
    said: set[str] = set()

    def show(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: object = None,
        line: str | None = None,
    ) -> None:
        del file, line
        users = _is_users(filename)
        text = " ".join(str(message).split()) + (f" ({Path(filename).name}, line {lineno})" if users else "")
        if text not in said and (users or (issubclass(category, UserWarning) and not text.startswith(NO_NEWS))):
            said.add(text)
            say(f"warning: {text}")

    warnings.showwarning = show


def _is_users(filename: str) -> bool:
    """Whether a file is neither installed nor bayesrun's."""
    from bayesrun.base.imports import LIBRARIES
    from bayesrun.base.shipped import PACKAGE

    path = Path(filename)
    return path.is_absolute() and not any(path.is_relative_to(root) for root in (*LIBRARIES, PACKAGE))


def asks_for_more(argument: str) -> bool:
    """Whether a word of the command line asks for tracebacks."""
    return argument.lstrip("+") == "verbose=true"


def say(text: str) -> int:
    """Say on the standard error what is refused, and return the exit code of that."""
    for line in without_secrets(text).splitlines():
        sys.stderr.write(f"bayesrun: {line}\n")
    return REFUSED


def hydra_errors() -> tuple[type[Exception], ...]:
    """Return what Hydra and OmegaConf raise; the verbs do without both, whose import takes longer than some of them."""
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    return HydraException, OmegaConfBaseException


def nearest(name: str, options: Iterable[str]) -> str:
    """Name the option that was meant, where one is near, and all there are."""
    from bayesrun.base.spelling import did_you_mean

    known = sorted(options)
    return f"{did_you_mean(name, known)}there are {', '.join(known)}"


def _unexpected(error: Exception) -> str:
    """Word what nobody foresaw: a user's code may raise anything, and the rest is ours."""
    from bayesrun.base.imports import users_place

    place = users_place(error)
    if place is None:
        return f"unexpected {type(error).__name__}: {error}; this is a defect of bayesrun, and verbose=true shows where"
    return f"{type(error).__name__}: {error} ({place}); this is code of yours, and verbose=true shows how it got there"


def _disk_words(error: Exception) -> str:
    """Say which disk takes nothing more, where that is not the one of a study; empty for other errors."""
    name = error.filename if isinstance(error, OSError) else None
    return full_or_read_only(error, Path(name).parent if isinstance(name, str) else None)


def _yaml_words(error: Exception) -> str | None:
    """Say where a config is no YAML, and what stands there; None for other errors."""
    from yaml import MarkedYAMLError

    if not isinstance(error, MarkedYAMLError):
        return None
    mark = error.problem_mark or error.context_mark
    found = error.problem or "it cannot be read"
    remedy = YAML_REMEDIES.get(type(error).__name__, "wanted 'key: value' lines, indented with blanks")
    if "\\t" in found:
        remedy = "indent with blanks, not with tabs"
    if mark is None:
        return f"a config is no YAML: {found}; {remedy}"
    return f"{mark.name}, line {mark.line + 1}, column {mark.column + 1}: this is no YAML: {found}; {remedy}"


def _hydra_words(error: BaseException) -> str:
    """Say in one line what Hydra found, with the nearest right spelling."""
    text = str(error)
    lines = [line.strip() for line in text.splitlines() if line.strip()] or [type(error).__name__]
    options: Sequence[str] | None = getattr(error, "options", None)
    missing = getattr(error, "missing_cfg_file", None)
    if options is not None and missing:
        group, _, name = str(missing).rpartition("/")
        return f"{group}={name}: there is no {group} {name!r}; {nearest(name, options)}"
    match = re.search(r"Could not override '([^']+)'", text)
    if match:
        return _unknown_override(match.group(1))
    if "Ambiguous value for argument" in text:
        given = re.search(r"'(.*)'", lines[0])
        return f"{(given.group(1) if given else lines[0]).lstrip('+')}: several values are a sweep: add -m"
    if type(error).__name__ == "OverrideParseException":
        return f"{lines[0]}; put quotes around values with blanks, commas, parentheses, '=' or '~': \"key='value'\""
    return lines[0]


def _unknown_override(key: str) -> str:
    from bayesrun.planning.config import TOP_LEVEL

    return f"{key}: unknown key; {nearest(key, TOP_LEVEL)}"
