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

__all__ = ["cores", "environment", "versions"]

PACKAGES = ("bayesrun", "pymc", "pytensor", "arviz", "numpyro", "jax", "numpy")


def cores() -> int:
    """Count the cores that this process may use, which a scheduler may have limited."""
    if hasattr(os, "sched_getaffinity"):  # not on every system
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


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
