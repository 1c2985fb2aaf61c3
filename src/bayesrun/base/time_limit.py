"""A bound on the time of a call in this process: an exception when it is over. It stops no process.

Compiled code is not interrupted: the exception comes when that returns to Python. Nor is an import, at first: a package
that is half imported stays so, and whatever needs it afterwards in this process fails.
"""

from __future__ import annotations

import signal
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

__all__ = ["LateError", "within"]

AGAIN = 5.0
"""Seconds after which it rings again, in case the first time was swallowed, as in a destructor."""

IMPORT = 0.05
"""Seconds after which it rings again while something is imported."""
PATIENCE = 60.0
"""Seconds for which an import is waited for: what runs longer is a module that works while it is imported."""


class LateError(Exception):
    """A call took longer than it may.

    Parameters
    ----------
    seconds
        How long it ran, in wall-clock seconds.
    """

    def __init__(self, seconds: float) -> None:
        super().__init__(f"stopped after {seconds:.1f} s")
        self.seconds = seconds


class _Rung(BaseException):
    """Goes through handlers of ordinary exceptions, as those of a library that goes on without an optimisation."""


def within[T](seconds: float | None, call: Callable[[], T]) -> T:
    """Call something that may take so many wall-clock seconds.

    Parameters
    ----------
    seconds
        The bound; None: no bound. Only the main thread of a process can be interrupted, and another one keeps none.
    call
        What to do.

    Raises
    ------
    LateError
        If it took longer.
    """
    if seconds is None or threading.current_thread() is not threading.main_thread():
        return call()
    begin = time.monotonic()
    before = signal.signal(signal.SIGALRM, lambda _, frame: _ring(frame, time.monotonic() - begin - seconds))
    try:
        try:
            signal.setitimer(signal.ITIMER_REAL, seconds, AGAIN)
            return call()
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0.0)
    except _Rung:
        raise LateError(time.monotonic() - begin) from None
    finally:
        signal.signal(signal.SIGALRM, before)


def _ring(frame: FrameType | None, over: float) -> None:
    if over < PATIENCE and _importing(frame):
        signal.setitimer(signal.ITIMER_REAL, IMPORT, AGAIN)
        return
    raise _Rung


def _importing(frame: FrameType | None) -> bool:
    while frame is not None and frame.f_code is not within.__code__:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False
