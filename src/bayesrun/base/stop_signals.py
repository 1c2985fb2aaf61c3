"""Signals that end a command, as an exception in its main thread where that harms nothing; it tidies nothing up.

The first is raised as `Stopped`, at once or at the end of what is `held`. A second one ends the process at once, also
while compiled code runs: a thread hears of it before Python's handlers are called.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

__all__ = ["CODE", "NUMBERS", "Stopped", "asked", "at_last", "check", "held", "passed_on", "renew", "watched"]

NUMBERS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)

SAME = 1.0
"""Seconds in which a second signal is the first one: who ends a group of processes sends each of them two."""

STUCK = 5.0
"""Seconds after which compiled code is left alone, which no exception interrupts, and the process ends without it."""

LAST = 10.0
"""Seconds for what is to be done then."""

GOES_ON = "; finished fits are kept, and the same command goes on from there"

CODE = 128
"""What shells add to the number of a signal to say that it ended a command."""


class Stopped(BaseException):
    """A signal asks this command to end; handlers of exceptions, and of interrupts by libraries, let it through.

    Parameters
    ----------
    number
        Of the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number

    @property
    def code(self) -> int:
        """Exit code that says so."""
        return CODE + self.number

    @property
    def sentence(self) -> str:
        """Say it for people, and how to go on."""
        return f"{_words(self.number)}{GOES_ON}"


@dataclass
class _Watch:
    """What has arrived, and what is done about it.

    Parameters
    ----------
    terminals
        Files of this process that are on a terminal.
    number
        Of the first signal; 0: none came.
    since
        When it came, by the monotonic clock.
    held
        How many hold it back.
    raised
        Whether it was raised.
    to
        Where signals are passed on to instead.
    last
        What is to be done at the end where compiled code does not return.
    leaving
        Whether that is being done.
    """

    terminals: tuple[int, ...]
    number: int = 0
    since: float = 0.0
    held: int = 0
    raised: bool = False
    to: Callable[[int], None] | None = None
    last: list[Callable[[], None]] = field(default_factory=list)
    leaving: bool = False

    def note(self, number: int) -> None:
        """Take note of the first one; what is on a terminal that is gone can no longer be written to."""
        self.number, self.since = number, time.monotonic()
        for file in self.terminals:
            if not os.isatty(file):
                os.dup2(os.open(os.devnull, os.O_RDWR), file)

    def again(self) -> bool:
        """Whether a signal that comes now is another one than the first."""
        return bool(self.number) and time.monotonic() - self.since > SAME

    def raise_it(self) -> None:
        """Raise it."""
        self.raised = True
        raise Stopped(self.number)


_watch: _Watch | None = None


@contextlib.contextmanager
def watched() -> Iterator[None]:
    """Raise `Stopped` for a signal while something is done; signals that whoever started this ignores stay ignored."""
    global _watch
    if _watch is not None or threading.current_thread() is not threading.main_thread():
        yield
        return
    heeded = [number for number in NUMBERS if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.getsignal(number) for number in heeded}
    _watch = watch = _Watch(tuple(file for file in (1, 2) if os.isatty(file)))
    ear, mouth = os.pipe()
    os.set_blocking(mouth, False)
    woken = signal.set_wakeup_fd(mouth, warn_on_full_buffer=False)
    listener = threading.Thread(target=_listen, args=(ear, watch), daemon=True, name="stop signals")
    listener.start()
    renew()
    try:
        yield
        check()
    except (Exception, KeyboardInterrupt) as error:
        if not watch.number:
            raise
        raise Stopped(watch.number) from error  # what it broke on its way
    finally:
        _watch = None
        for number, handler in before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(woken)
        os.write(mouth, bytes(1))
        listener.join()
        os.close(mouth)
        os.close(ear)


def renew() -> None:
    """Take the signals back after a library that has handlers of its own for them."""
    if _watch is not None and threading.current_thread() is threading.main_thread():
        for number in NUMBERS:
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, _arrived)


@contextlib.contextmanager
def held() -> Iterator[None]:
    """Hold `Stopped` back while something is done that should come to its end, and raise it then."""
    watch = _watch
    if watch is None:
        yield
        return
    watch.held += 1
    try:
        yield
    finally:
        watch.held -= 1
    if watch.number and not watch.held and not watch.raised:
        watch.raise_it()


def asked() -> bool:
    """Whether a signal has asked to end."""
    return _watch is not None and bool(_watch.number)


def check() -> None:
    """Raise `Stopped` where a signal has asked to end and nothing holds it; again, where its exception was lost."""
    if _watch is not None and _watch.number and not _watch.held:
        _watch.raise_it()


@contextlib.contextmanager
def at_last(action: Callable[[], None]) -> Iterator[None]:
    """Name what is to be done where a signal comes and compiled code does not return, in another thread."""
    watch = _watch
    if watch is None:
        yield
        return
    watch.last.append(action)
    try:
        yield
    finally:
        watch.last.remove(action)


@contextlib.contextmanager
def passed_on(to: Callable[[int], None]) -> Iterator[None]:
    """Pass signals on instead of raising `Stopped`: to a process that ends by them, and this one with it."""
    with watched():
        watch = _watch
        if watch is None:  # only a main thread has signals
            yield
            return
        before, watch.to = watch.to, to
        if watch.number:  # it came while it was held
            to(watch.number)
        try:
            yield
        finally:
            watch.to = before


def _arrived(number: int, frame: FrameType | None) -> None:
    """Handle a signal, in the main thread."""
    del frame
    watch = _watch
    if watch is None:  # a copy of the process, or its end
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
    elif watch.to is not None:
        watch.to(number)
    elif not watch.number:
        signal.alarm(0)  # set by a library that heard of it first, and aborts this process if it takes long to end
        watch.note(number)
        if not watch.held:
            watch.raise_it()
    elif watch.again() and not watch.leaving:
        _leave(number, " at once")


def _listen(ear: int, watch: _Watch) -> None:
    """Hear of signals, in a thread, until a zero comes: also of those that the main thread is too busy to handle."""
    signal.pthread_sigmask(signal.SIG_BLOCK, NUMBERS)  # they are to interrupt what the main thread waits for
    first, since = 0, 0.0
    while True:
        stuck = bool(first) and not watch.number
        ready = select.select([ear], [], [], max(0.0, since + STUCK - time.monotonic()) if stuck else None)[0]
        for number in os.read(ear, 64) if ready else b"":
            if not number:
                return
            if number not in NUMBERS or watch.to is not None:
                continue
            if not first:
                first, since = number, time.monotonic()
            elif time.monotonic() - since > SAME:
                _leave(number, " at once")
        if first and not watch.number and time.monotonic() - since > STUCK:
            watch.leaving = True
            watch.note(first)
            threading.Thread(target=_finish_without, args=(watch,), daemon=True).start()


def _finish_without(watch: _Watch) -> None:
    """Do what is left to be done without the main thread, and end."""
    doing = threading.Thread(target=lambda: [action() for action in reversed(watch.last)], daemon=True)
    if not watch.held:
        doing.start()
        doing.join(LAST)
    _leave(watch.number, GOES_ON)


def _leave(number: int, more: str) -> None:
    """End this process now."""
    with contextlib.suppress(OSError):
        os.write(2, f"bayesrun: {_words(number)}{more}\n".encode())
    os._exit(CODE + number)


def _words(number: int) -> str:
    return "interrupted" if number == signal.SIGINT else f"stopped by {signal.Signals(number).name}"


def _forked() -> None:
    """Give a copy of this process the signals' own meanings, and no word in what is heard here."""
    global _watch
    if _watch is not None:
        _watch = None
        signal.set_wakeup_fd(-1)
        for number in NUMBERS:
            if signal.getsignal(number) is _arrived:
                signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)


os.register_at_fork(after_in_child=_forked)
