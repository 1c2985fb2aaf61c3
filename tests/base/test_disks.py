"""A disk that takes nothing more is told apart from every other error, whatever library wrote to it."""

import errno
import os

import pytest

from bayesrun.base import disks
from bayesrun.base.disks import full_or_read_only, takes_nothing


def raised_from(cause: BaseException) -> RuntimeError:
    try:
        raise RuntimeError("NetCDF: HDF error") from cause
    except RuntimeError as error:
        return error


@pytest.mark.parametrize(
    ("number", "told"),
    [
        (errno.ENOSPC, r"is full \(\d+\.\d of \d+\.\d MiB are free\): make room there, and the same command goes on"),
        (errno.EDQUOT, "the quota on the disk of .* is used up: remove what is not needed"),
        (errno.EROFS, "is read-only: mount it for writing"),
    ],
)
def test_what_happened_is_said_with_the_remedy(tmp_path, number, told):
    plain = OSError(number, os.strerror(number))
    for error in (plain, raised_from(plain), OSError(f"[Errno {number}] Error writing bytes: {plain.strerror}")):
        assert str(tmp_path) in full_or_read_only(error, tmp_path)
        with pytest.raises(AssertionError, match=told):
            raise AssertionError(full_or_read_only(error, tmp_path))


@pytest.mark.parametrize("error", [OSError(errno.EACCES, "Permission denied"), ValueError("no"), FileNotFoundError()])
def test_other_errors_are_none_of_a_disk(tmp_path, error):
    assert full_or_read_only(error, tmp_path) == ""


def test_a_disk_without_room_for_files_says_so(tmp_path, monkeypatch):
    facts = os.statvfs(tmp_path)
    monkeypatch.setattr(disks.os, "statvfs", lambda _: os.statvfs_result([*facts[:5], 900, 0, 0, *facts[8:10]]))
    assert "(it holds 900 files, and takes no more)" in full_or_read_only(OSError(errno.ENOSPC, ""), tmp_path)


def test_it_is_tried_whether_a_disk_takes_anything(tmp_path, monkeypatch):
    assert takes_nothing(tmp_path) == ""

    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(disks.os, "fsync", full)
    assert "is full" in takes_nothing(tmp_path)
    assert list(tmp_path.iterdir()) == []
