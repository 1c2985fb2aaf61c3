"""Arrays that are too large for memory: they are kept in a file without a name, and worked on in parts.

Whoever goes through such an array lets go of what was read or written on the way (`let_go`, `parts`): the numbers stay
in the file, and memory has room for the next ones. Where no folder was named (`kept_in`), all arrays are in memory.
"""

from __future__ import annotations

import errno
import math
import mmap
import os
import tempfile
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesrun.base.disks import full_or_read_only
from bayesrun.errors import DiskError

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Mapping, Sequence
    from pathlib import Path

__all__ = ["LARGE", "PART", "columns", "empty", "in_file", "kept_in", "let_go", "parts", "pieces", "steps"]

LARGE = 2**24
"""Bytes of arrays that are made together from which they are kept in a file."""
PART = 2**24
"""Bytes of an array that are worked on together."""

WIDE = 2**25
"""Bytes of columns that are read together: each time the whole file goes by."""
NEIGHBOURS = 2**17
"""Bytes that come into memory with one number of a file."""

_folder: list[Path] = []


class _Mapped(mmap.mmap):
    """A file of ours in memory, of which any page may be let go of."""


@contextmanager
def kept_in(folder: Path) -> Iterator[None]:
    """Name the folder whose disk takes what is too large for memory, for this process."""
    _folder.append(folder)
    try:
        yield
    finally:
        _folder.remove(folder)


def empty[T: Hashable](wanted: Mapping[T, tuple[tuple[int, ...], Any]]) -> dict[T, np.ndarray]:
    """Make arrays to be filled: in memory, or in a file if they are large together.

    Parameters
    ----------
    wanted
        Name to shape and dtype.

    Raises
    ------
    DiskError
        If the disk has no room for them.
    """
    dtypes = {name: np.dtype(dtype) for name, (_, dtype) in wanted.items()}
    sizes = {name: math.prod(shape) * dtypes[name].itemsize for name, (shape, _) in wanted.items()}
    if not _folder or sum(sizes.values()) <= LARGE or any(dtype.hasobject for dtype in dtypes.values()):
        return {name: np.empty(shape, dtype) for name, (shape, dtype) in wanted.items()}
    starts, end = {}, 0
    for name, size in sizes.items():
        starts[name] = end
        end += -(-size // mmap.PAGESIZE) * mmap.PAGESIZE
    try:
        _folder[-1].mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=_folder[-1]) as file:
            _reserve(file.fileno(), end)
            mapped = _Mapped(file.fileno(), end)
    except OSError as error:
        if words := full_or_read_only(error, _folder[-1]):
            raise DiskError(f"{end / 2**20:.0f} MiB are to be worked on in a file; {words}") from error
        raise
    return {
        name: np.ndarray(shape, dtypes[name], buffer=mapped, offset=starts[name]) for name, (shape, _) in wanted.items()
    }


def _reserve(handle: int, size: int) -> None:
    """Claim disk for a file: one that is full kills who writes to a file in memory."""
    os.ftruncate(handle, size)
    if hasattr(os, "posix_fallocate"):
        try:
            os.posix_fallocate(handle, 0, size)
        except OSError as error:  # a file system that cannot
            if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                raise


def in_file(array: np.ndarray) -> bool:
    """Whether an array, or what it is a view of, is in a file."""
    return _mapped(array) is not None


def let_go(array: np.ndarray) -> None:
    """Let go of the memory of an array that is in a file; one in memory stays as it is."""
    mapped = _mapped(array)
    if mapped is not None and hasattr(mmap, "MADV_DONTNEED"):
        mapped.madvise(mmap.MADV_DONTNEED)


def _mapped(array: np.ndarray) -> _Mapped | None:
    base: Any = array
    while isinstance(base, np.ndarray):
        base = base.base
    return base if isinstance(base, _Mapped) else None


def steps(count: int, bytes_each: float, most: int = PART) -> Iterator[slice]:
    """Cut so many things into parts of at most so many bytes, and at least one thing."""
    step = max(1, int(most // max(bytes_each, 1)))
    return (slice(start, min(start + step, count)) for start in range(0, count, step))


def parts(array: np.ndarray) -> Iterator[slice]:
    """Go through the first axis of an array in parts of `PART` bytes, and let go of each."""
    for part in steps(len(array), array.nbytes / max(len(array), 1)):
        yield part
        let_go(array)


def pieces(shape: Sequence[int], bytes_each: int) -> Iterator[tuple[slice | int, ...]]:
    """Cut an array of any shape into pieces of at most `PART` bytes that lie together in C order.

    Parameters
    ----------
    shape
        Of the array.
    bytes_each
        Of an element.

    Yields
    ------
    tuple
        Index of each piece.
    """
    if not shape or math.prod(shape) * bytes_each <= PART:
        yield ()
        return
    inner = math.prod(shape[1:]) * bytes_each
    if inner <= PART:
        yield from ((part,) for part in steps(shape[0], inner))
        return
    for place in range(shape[0]):
        yield from ((place, *piece) for piece in pieces(shape[1:], bytes_each))


def columns(table: np.ndarray, most: int = WIDE) -> Iterator[tuple[slice, np.ndarray]]:
    """Go through some columns of a table after the others.

    Parameters
    ----------
    table
        Dims (row, column).
    most
        Bytes of the columns that are copied together.

    Yields
    ------
    part : slice
        Of the columns.
    rows : numpy.ndarray
        Copy of these columns, dims (column, row), in C order.
    """
    count = len(table)
    for part in steps(table.shape[1], count * table.itemsize, most):
        if in_file(table):
            found = np.empty((part.stop - part.start, count), table.dtype)
            # a page of a file brings its neighbours along, which is little of few rows
            for rows in steps(count, min(NEIGHBOURS, table.itemsize * table.shape[1])):
                found[:, rows] = table[rows, part].T
                let_go(table)
        else:
            found = np.ascontiguousarray(table[:, part].T)
        yield part, found
