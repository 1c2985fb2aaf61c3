"""Disks that are full or read-only: real ones where there is root to mount them."""

import contextlib
import errno
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from bayesrun.store import folder, whole_files

MEGABYTES = 60


class Disk:
    """A small disk of its own where there is root to mount one, and otherwise one whose writes fail as on that."""

    def __init__(self, place: Path) -> None:
        self.folder, self.monkeypatch = place, pytest.MonkeyPatch()
        mount = ["mount", "-t", "tmpfs", "-o", f"size={MEGABYTES}m", "tmpfs", str(place)]
        self.real = os.getuid() == 0 and shutil.which("mount") is not None and subprocess.run(mount).returncode == 0

    def fill(self) -> None:
        if not self.real:
            self._fail(whole_files, "_sync", errno.ENOSPC)
            return
        with contextlib.suppress(OSError), (self.folder / "filler").open("wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))

    def free(self) -> None:
        (self.folder / "filler").unlink(missing_ok=True)
        self.monkeypatch.undo()

    def protect(self) -> None:
        if self.real:
            subprocess.run(["mount", "-o", "remount,ro", str(self.folder)], check=True)
        else:
            self._fail(whole_files.os, "open", errno.EROFS)
            self._fail(folder.tempfile, "TemporaryFile", errno.EROFS)

    def leave(self) -> None:
        self.monkeypatch.undo()
        if self.real:
            subprocess.run(["umount", str(self.folder)], check=True)

    def _fail(self, where: object, name: str, number: int) -> None:
        real = getattr(where, name)

        def fail(*arguments: object, **named: object) -> object:
            if str(arguments[0] if arguments else named["dir"]).startswith(str(self.folder)):
                raise OSError(number, os.strerror(number))
            return real(*arguments, **named)

        self.monkeypatch.setattr(where, name, fail)
