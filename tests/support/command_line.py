"""Runs the command line in this process, as a user would in the working directory."""

import contextlib
import io
import sys
from dataclasses import dataclass

from bayesrun.command import main


@dataclass(frozen=True)
class Ran:
    code: int
    out: str
    err: str


def bayesrun(*arguments: str) -> Ran:
    """Run `bayesrun ARGUMENTS`; nothing of the process's argv or path is left changed."""
    out, err = io.StringIO(), io.StringIO()
    argv, path = sys.argv, list(sys.path)
    sys.argv = ["bayesrun", *arguments]
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                main.main()
            except SystemExit as end:
                code = int(end.code or 0)
    finally:
        sys.argv, sys.path[:] = argv, path
    return Ran(code, out.getvalue(), err.getvalue())
