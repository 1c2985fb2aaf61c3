"""Who holds a place in a folder that several commands, users and hosts share: one at a time, and the others hear who.

A place is held in two ways at once. The kernel's lock on a file is given back whatever becomes of a process, and nobody
on this host gets past it; file servers may refuse it, or grant it to each host for itself. So there is a claim too: a
file beside it that only one can make, which says who made it and is touched while the place is held. One whose process
is gone, or that nobody touched for `SILENT` seconds where the process cannot be looked at, was left behind: it is
removed with a word, and the place is free.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import getpass
import json
import os
import secrets
import shlex
import socket
import sys
import threading
import time
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

from bayesrun.base import stop_signals
from bayesrun.base.disks import full_or_read_only
from bayesrun.base.secrets import without_secrets
from bayesrun.errors import DiskError, StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["CLAIM", "SILENT", "claim_of", "held", "holder_of"]

SILENT: Final = 300.0
"""Seconds after which a claim that nobody touches was left behind; clients of a file server remember times for 60."""
TOUCHED: Final = 30.0
"""Seconds between two touches."""
PAUSE: Final = 0.1
"""Seconds between two looks at a place that is waited for."""
LOOKS: Final = 50
"""Looks after which it is told who is waited for."""
ELSEWHERE: Final = "choose another folder: output.dir=DIR"
LONGEST: Final = 120
"""Characters of a command that are told."""
CLAIM: Final = ".claim"
"""Suffix of claims."""


@dataclass(frozen=True)
class _Holder:
    """Who holds a place: a process, as the kernel with the id `boot` numbers it, that began at `started` ticks."""

    token: str
    host: str = ""
    boot: str = ""
    space: str = ""
    process: int = 0
    started: str = ""
    user: str = ""
    since: str = ""
    command: str = ""

    @property
    def words(self) -> str:
        """Say who it is."""
        if not self.process:
            return "unknown process"
        user = f" of {self.user}" if self.user else ""
        command = f": {self.command}" if self.command else ""
        return f"process {self.process} on {self.host}{user} since {self.since}{command}"


@contextlib.contextmanager
def held(path: Path, busy: Callable[[str], StoreError] | None = None, *, shared: bool = False) -> Iterator[IO[str]]:
    """Hold a place.

    Parameters
    ----------
    path
        Its lock file, which is made and stays; its folder has to be there.
    busy
        Makes the error of words about who holds the place now; None: wait for it.
    shared
        Let others hold it too that share it. On other hosts these are not seen by who wants it alone.

    Yields
    ------
    IO
        The open lock file; a process that inherits it holds the kernel's lock as long as it lives.

    Raises
    ------
    StoreError
        What `busy` makes, or if the folder cannot be written to.
    """
    try:
        file = _opened(path, shared=shared)
    except OSError as error:
        raise _unwritable(error, path.parent) from error
    with file:
        granted = _granted(file, path, busy, shared=shared)
        if shared:
            _wait(path, granted=granted)
            yield file
            return
        mine = _claim(path, busy, granted=granted)
        with _touched(claim_of(path), mine):
            yield file


def claim_of(path: Path) -> Path:
    """File that says who holds a place."""
    return path.with_suffix(CLAIM)


def holder_of(path: Path) -> str:
    """Say who holds a place now, as far as it is known without asking for it; empty: nobody."""
    found = _read(claim_of(path))
    if found is None:
        return ""
    holder, touched = found
    silent = time.time() - touched
    return "" if _left_behind(holder, silent, granted=False) else holder.words


def _opened(path: Path, *, shared: bool) -> IO[str]:
    try:
        return path.open("a+")
    except PermissionError:  # of another user, who did not let others write it
        return path.open()
    except OSError:
        if shared and path.exists():  # a disk that is read-only
            return path.open()
        raise


def _granted(file: IO[str], path: Path, busy: Callable[[str], StoreError] | None, *, shared: bool) -> bool:
    """Take the kernel's lock; whether there is one on this file system."""
    how = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    try:
        fcntl.flock(file, how if busy is None else how | fcntl.LOCK_NB)
    except BlockingIOError:
        assert busy is not None
        found = _read(claim_of(path))
        file.seek(0)  # earlier versions wrote there who they are
        raise busy(found[0].words if found else file.read().strip() or "unknown process") from None
    except OSError:  # no lock daemon, or a file system without locks
        return False
    return True


def _claim(path: Path, busy: Callable[[str], StoreError] | None, *, granted: bool) -> _Holder:
    """Make the claim of a place, when nobody else has one."""
    mine, claim = _oneself(), claim_of(path)
    aside, looks = _written(claim, mine), 0
    try:
        while not _linked(aside, claim, mine):
            os.utime(aside)
            words = _in_the_way(claim, _time(aside), granted=granted)
            if words and busy is not None:
                raise busy(words)
            if words:
                looks += 1
                if looks == LOOKS:
                    sys.stderr.write(f"note: waiting for {claim.parent}, held by {words}\n")
                time.sleep(PAUSE)
    finally:
        with contextlib.suppress(OSError):
            aside.unlink(missing_ok=True)
    return mine


def _wait(path: Path, *, granted: bool) -> None:
    """Wait until nobody has a claim; it is not removed here, where nothing may be writable."""
    claim = claim_of(path)
    while (found := _read(claim)) is not None:
        holder, touched = found
        if _left_behind(holder, time.time() - touched, granted=granted):
            return
        time.sleep(PAUSE)


def _in_the_way(claim: Path, now: float, *, granted: bool) -> str:
    """Say who has a claim; empty where nobody has any more, or it was left behind and is removed."""
    found = _read(claim)
    if found is None:
        return ""
    holder, touched = found
    silent = max(now - touched, 0.0)
    if not _left_behind(holder, silent, granted=granted):
        return holder.words if _here(holder) else f"{holder.words}; {_signs(silent)}"
    if _removed(claim, holder.token, now):
        gone = "which is gone" if _here(holder) else f"which gave no sign of life for {silent / 60:.0f} minutes"
        sys.stderr.write(f"note: {claim.parent} was held by {holder.words}, {gone}; it is taken over\n")
    return ""


def _signs(silent: float) -> str:
    bound = f"{SILENT / 60:.0f} minutes"
    return f"its last sign of life is {silent:.0f} s old, and after {bound} without one it counts as gone"


def _left_behind(holder: _Holder, silent: float, *, granted: bool) -> bool:
    """Whether who made a claim cannot hold the place any more.

    Parameters
    ----------
    holder
        Who made it.
    silent
        Seconds since it was touched.
    granted
        Whether this process has the kernel's lock: then no other process of this kernel has it.
    """
    if not _here(holder):
        return silent > SILENT
    if holder.space == _space():
        return not _lives(holder)
    return granted or silent > SILENT


def _here(holder: _Holder) -> bool:
    """Whether a process runs under this kernel: a host that was started anew is another one."""
    if not holder.process or holder.boot != _boot():
        return False
    return bool(holder.boot) or holder.host == socket.gethostname()


def _lives(holder: _Holder) -> bool:
    try:
        os.kill(holder.process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # of another user
        pass
    state, started = _stat(holder.process)
    return state != "Z" and started in ("", holder.started)


def _stat(process: int) -> tuple[str, str]:
    """State of a process, and when it began in ticks; empty where that is not told."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return "", ""
    return fields[0], fields[19]


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def _space() -> str:
    """Which numbering of processes this one is in: containers have their own."""
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""


def _oneself() -> _Holder:
    try:
        user = getpass.getuser()
    except (OSError, KeyError):  # a number without a name, as in containers
        user = f"user {os.getuid()}"
    typed = [word.removeprefix("++") for word in sys.argv[1:]]  # which stands before words of ours for Hydra
    words = without_secrets(shlex.join([Path(sys.argv[0]).name, *typed]))
    return _Holder(
        token=secrets.token_hex(8),
        host=socket.gethostname(),
        boot=_boot(),
        space=_space(),
        process=os.getpid(),
        started=_stat(os.getpid())[1],
        user=user,
        since=datetime.now().astimezone().isoformat(sep=" ", timespec="minutes"),
        command=words if len(words) <= LONGEST else f"{words[: LONGEST - 3]}...",
    )


def _written(claim: Path, mine: _Holder) -> Path:
    """Write a claim aside, so that nobody sees half of one."""
    aside = claim.with_name(f".{claim.name}-{mine.token}")
    try:
        aside.write_text(_text(mine))
    except OSError as error:
        with contextlib.suppress(OSError):
            aside.unlink(missing_ok=True)
        raise _unwritable(error, claim.parent) from error
    return aside


def _unwritable(error: OSError, folder: Path) -> StoreError:
    words = full_or_read_only(error, folder)
    if words and error.errno != errno.EROFS:  # which it was from the start, so that nothing was begun
        return DiskError(words)
    return StoreError(words or f"cannot write to {folder}: {error.strerror}; {ELSEWHERE}")


def _text(holder: _Holder) -> str:
    return json.dumps(asdict(holder)) + "\n"


def _linked(aside: Path, claim: Path, mine: _Holder) -> bool:
    """Give a claim its name, which only one can."""
    try:
        os.link(aside, claim)
    except FileExistsError:
        return aside.stat().st_nlink == 2  # done, and the answer of the file server was lost
    except OSError:  # a file system without links
        try:
            with claim.open("x") as file:
                file.write(_text(mine))
        except FileExistsError:
            return False
    return True


def _read(claim: Path) -> tuple[_Holder, float] | None:
    """Who made a claim and when it was touched; None where there is none."""
    try:
        with claim.open() as file:  # opening it makes a client of a file server ask anew
            text, touched = file.read(), os.fstat(file.fileno()).st_mtime
    except FileNotFoundError:
        return None
    except OSError:
        return _Holder(""), time.time()
    try:
        holder = _Holder(**json.loads(text))
        return holder if type(holder.process) is int else _Holder(""), touched
    except (ValueError, TypeError):  # of a later version, or being written where there are no links
        return _Holder(""), touched


def _time(path: Path) -> float:
    """When a file was changed, by the clock of the file server."""
    return path.stat().st_mtime


def _removed(claim: Path, token: str, now: float) -> bool:
    """Remove a claim, unless it is another one by now; only who makes its mark may."""
    mark = claim.with_name(f".{claim.name}-{token}.over")
    try:
        mark.open("x").close()
    except FileExistsError:
        with contextlib.suppress(OSError):
            if now - _time(mark) > SILENT:  # whoever wanted to was stopped
                mark.unlink(missing_ok=True)
        return False
    except OSError:  # a disk that is full takes no mark
        pass
    try:
        found = _read(claim)
        if found is None or found[0].token != token:
            return False
        claim.unlink(missing_ok=True)
        return True
    finally:
        with contextlib.suppress(OSError):
            mark.unlink(missing_ok=True)


@contextlib.contextmanager
def _touched(claim: Path, mine: _Holder) -> Iterator[None]:
    """Touch a claim from time to time, and remove it in the end."""
    over = threading.Event()

    def touch() -> None:
        while not over.wait(TOUCHED):
            found = _read(claim)
            if found is None or found[0].token != mine.token:
                return
            with contextlib.suppress(OSError):
                os.utime(claim)

    def end() -> None:
        over.set()
        with contextlib.suppress(OSError):
            _removed(claim, mine.token, time.time())

    threading.Thread(target=touch, name=f"claim {claim.name}", daemon=True).start()
    try:
        with stop_signals.at_last(end):
            yield
    finally:
        end()
