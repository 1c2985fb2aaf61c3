"""Disks that take nothing more: full, over a quota, or read-only; what happened is said in plain words.

Libraries that write files pass the error of the system on, hide it in a text, or only say that writing failed.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import tempfile
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["full_or_read_only", "takes_nothing"]

TEXTS: Final = {
    errno.ENOSPC: re.compile(r"No space left on device", re.IGNORECASE),
    errno.EDQUOT: re.compile(r"Disk quota exceeded", re.IGNORECASE),
    errno.EROFS: re.compile(r"Read-only file system", re.IGNORECASE),
}
"""Numbers of the errors, and what the system calls them."""

TRIED: Final = 2**20
"""Bytes that are written to find out whether a disk takes any."""


def full_or_read_only(error: BaseException, folder: Path | None) -> str:
    """Say of which kind of disk an error tells, or what it was raised from; empty where it is about something else.

    Parameters
    ----------
    error
        What was raised.
    folder
        Where something was written; None: it is not known.

    Examples
    --------
    >>> from pathlib import Path
    >>> full_or_read_only(OSError(errno.EROFS, "Read-only file system"), Path("/data")).partition(":")[0]
    'the disk of /data is read-only'
    """
    for cause in _causes(error):
        for number, text in TEXTS.items():
            if (isinstance(cause, OSError) and cause.errno == number) or text.search(str(cause)):
                return _words(number, folder)
    return ""


def takes_nothing(folder: Path) -> str:
    """Write to a disk for a moment, and say why it takes nothing; empty where it does."""
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(TRIED))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        return full_or_read_only(error, folder)
    return ""


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__  # type: ignore[assignment]


def _words(number: int, folder: Path | None) -> str:
    disk = f"the disk of {folder}" if folder is not None else "a disk"
    other = "and the same command goes on; or choose another: output.dir=DIR"
    if folder is None:
        other = f"be it that of the study, of {tempfile.gettempdir()}, or of the output; then the same command goes on"
    if number == errno.EROFS:
        return f"{disk} is read-only: mount it for writing, {other}"
    if number == errno.EDQUOT:
        return f"the quota on {disk} is used up: remove what is not needed, {other}"
    return f"{disk} is full{_room(folder) if folder is not None else ''}: make room there, {other}"


def _room(folder: Path) -> str:
    try:
        usage, files = shutil.disk_usage(folder), os.statvfs(folder)
    except OSError:
        return ""
    if files.f_files and not files.f_favail:
        return f" (it holds {files.f_files} files, and takes no more)"
    return f" ({usage.free / 2**20:.1f} of {usage.total / 2**20:.1f} MiB are free)"
