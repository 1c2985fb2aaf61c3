"""Arrays in a file have the numbers that were put in, whatever was let go of; memory has a part of them."""

import errno
import os

import numpy as np
import pytest

from bayesrun.base.large_arrays import LARGE, PART, columns, empty, in_file, kept_in, let_go, parts, pieces
from bayesrun.errors import DiskError


def test_small_arrays_and_those_without_a_folder_are_in_memory(tmp_path):
    assert not in_file(empty({"x": ((LARGE,), "f8")})["x"])
    with kept_in(tmp_path):
        assert not in_file(empty({"x": ((10, 3), "f8")})["x"])


def test_arrays_that_are_large_together_are_in_a_file_without_a_name(tmp_path):
    rng = np.random.default_rng(1)
    with kept_in(tmp_path / "new"):
        found = empty({"x": ((4, LARGE // 64), "f8"), "y": ((LARGE // 2 + 3,), "i1"), "z": ((5, 7), "f4")})
    assert not list((tmp_path / "new").iterdir())
    wanted = {name: rng.integers(-100, 100, array.shape).astype(array.dtype) for name, array in found.items()}
    for name, array in found.items():
        assert in_file(array)
        assert in_file(array[1:])
        array[...] = wanted[name]
        let_go(array)
    for name, array in found.items():
        np.testing.assert_array_equal(array, wanted[name])
        assert array.flags.writeable


def test_a_full_disk_is_an_error_and_no_signal(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full, raising=False)
    with (
        kept_in(tmp_path),
        pytest.raises(DiskError, match=r"MiB are to be worked on in a file; the disk of .* is full"),
    ):
        empty({"x": ((LARGE,), "f8")})


@pytest.mark.parametrize("shape", [(), (3,), (4, PART // 8), (2, 3, PART // 20), (3, 5 * PART // 8), (2, 2500, 20_000)])
def test_pieces_cover_an_array_once_and_are_small(shape):
    seen = 0
    for piece in pieces(shape, 8):
        part = np.broadcast_to(np.int8(1), shape)[piece]
        assert part.size * 8 <= max(PART, 8)
        seen += part.size
    assert seen == np.prod(shape, dtype=int)


def test_columns_are_the_same_from_a_file(tmp_path):
    wide = np.random.default_rng(2).normal(size=(400, LARGE // 3000))
    with kept_in(tmp_path):
        kept = empty({"t": (wide.shape, "f8")})["t"]
    assert in_file(kept)
    for part in parts(kept):
        kept[part] = wide[part]
    found = np.concatenate([rows for _, rows in columns(kept, 2**20)])
    np.testing.assert_array_equal(found, wide.T)
