"""bayesrun: a distributed batch experiment runner for Bayesian models.

Importing it sets the flags of PyTensor that draws depend on, and imports nothing heavy.
"""

from __future__ import annotations

import os
import sys

__all__ = ["__version__"]

__version__ = "0.1.0"

CAST_POLICY = "numpy+floatX"
"""Python integers stay wide.

Under PyTensor's default policy a Python int becomes int8 where it fits, and the arithmetic of a prior is then done in
int8: HalfStudentT(nu=3, sigma=36) squares 36 to 16 and samples from another prior.
"""

FASTMATH = False
"""Numba reorders no arithmetic.

Where it may, what comes from its cache rounds otherwise than what was compiled in the process, since only the latter is
inlined: the same seed would give other draws the second time.
"""


def _set_flags() -> None:
    """Set PyTensor's flags, those apart that the user chose.

    They are read when PyTensor is imported; where that has happened already, its config is set as well.
    """
    flags = os.environ.get("PYTENSOR_FLAGS", "")
    chosen = {flag.partition("=")[0].strip() for flag in flags.split(",")}
    own = {"cast_policy": CAST_POLICY, "numba__fastmath": FASTMATH}
    missing = {name: value for name, value in own.items() if name not in chosen}
    given = [flags] if flags.strip(", ") else []
    os.environ["PYTENSOR_FLAGS"] = ",".join([*given, *(f"{name}={value}" for name, value in missing.items())])
    if "pytensor" in sys.modules:
        for name, value in missing.items():
            setattr(sys.modules["pytensor"].config, name, value)


_set_flags()
