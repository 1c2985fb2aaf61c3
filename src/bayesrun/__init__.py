"""bayesrun: a distributed batch experiment runner for Bayesian models.

Importing it sets PyTensor's cast policy, and imports nothing heavy.
"""

from __future__ import annotations

import os
import sys

__all__ = ["__version__"]

__version__ = "0.1.0"

CAST_POLICY = "numpy+floatX"


def _safe_casts() -> None:
    """Make PyTensor keep Python integers wide, unless the user chose a cast policy.

    Under PyTensor's default policy a Python int becomes int8 where it fits, and the arithmetic of a prior
    is then done in int8: HalfStudentT(nu=3, sigma=36) squares 36 to 16 and samples from another prior.
    The flag is read when PyTensor is imported; where that has happened already, its config is set as well.
    """
    flags = os.environ.get("PYTENSOR_FLAGS", "")
    if "cast_policy" not in flags:
        os.environ["PYTENSOR_FLAGS"] = ",".join(filter(None, [flags, f"cast_policy={CAST_POLICY}"]))
        if "pytensor" in sys.modules:
            sys.modules["pytensor"].config.cast_policy = CAST_POLICY


_safe_casts()
