"""Seeds keyed by names, so that no other fit's presence or order changes them.

A seed is a hash of the words that name what it is for, never a position in a list.
"""

from __future__ import annotations

import hashlib
from typing import Any

from bayesrun.types import canonical_json

__all__ = ["data_seed", "fit_seed", "named_seed"]


def named_seed(study_seed: int, *names: Any) -> int:
    """Hash a study seed and names to a seed.

    Parameters
    ----------
    study_seed
        The one seed that a study sets.
    names
        Plain values that say what the seed is for.

    Returns
    -------
    int
        In [0, 2**31), which NumPy, PyMC and JAX all take.
    """
    text = canonical_json([study_seed, *names]).encode()
    return int.from_bytes(hashlib.sha256(text).digest()[:4], "big") >> 1


def data_seed(study_seed: int, replicate: int) -> int:
    """Seed of the dataset of one replicate: the same for every generator, model and sampler.

    Cells with other generators or covariates have common random numbers, so that what is compared between them is more
    precise.
    """
    return named_seed(study_seed, "data", replicate)


def fit_seed(study_seed: int, key: str) -> int:
    """Seed of one fit, from its key: fits of one key have one seed."""
    return named_seed(study_seed, "fit", key)
