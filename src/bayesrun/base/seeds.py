"""Seeds keyed by names, so that no other fit's presence or order changes them.

A seed is a hash of the words that name what it is for, never a position in a list.
"""

from __future__ import annotations

import hashlib
from typing import Any

from bayesrun.types import Target, canonical_json

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


def data_seed(study_seed: int, generator: Target, replicate: int) -> int:
    """Seed of the dataset of one replicate: the same for every model and sampler that is fitted to it."""
    return named_seed(study_seed, "data", generator.path, generator.params, replicate)


def fit_seed(study_seed: int, model: Target, sampler: Target, options: Any, data: str, replicate: int) -> int:
    """Seed of one fit, from what the fit is and not from where it stands.

    `data` is the digest of the dataset, or of the recipe of a simulated one. The names of configs do not
    count, only targets and parameters do, so that renaming a file changes no draw.
    """
    return named_seed(
        study_seed, "fit", model.path, model.params, sampler.path, sampler.params, options, data, replicate
    )
