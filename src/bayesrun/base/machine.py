"""What this machine has, and the environment that processes started here inherit."""

from __future__ import annotations

import contextlib
import functools
import os
import platform
from importlib.metadata import version
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["THREADS", "cores", "environment", "fastmath", "versions"]

THREADS = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}
"""One fit has one core: nested threads would get in each other's way, and how many there are changes the rounding of
large matrices."""

PACKAGES = ("bayesrun", "pymc", "pytensor", "arviz", "numpyro", "jax", "numpy")


def cores() -> int:
    """Count the cores that this process may use, which a scheduler may have limited."""
    if hasattr(os, "sched_getaffinity"):  # not on every system
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def fastmath() -> bool:
    """Whether a user wants PyTensor to reorder arithmetic, which draws then depend on: see `bayesrun.FASTMATH`."""
    flags = [flag.strip().partition("=") for flag in os.environ.get("PYTENSOR_FLAGS", "").split(",")]
    return [value for name, _, value in flags if name == "numba__fastmath"][-1:] in (["True"], ["true"], ["1"])


@functools.cache
def versions() -> dict[str, str]:
    """Versions of Python and of the packages that decide the draws."""
    return {"python": platform.python_version()} | {name: version(name) for name in PACKAGES}


@contextlib.contextmanager
def environment(values: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables for a while, and put back what was there."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
