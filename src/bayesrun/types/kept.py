"""What of a fit stays in its posterior.nc."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

__all__ = ["ALL", "DETERMINISTICS", "GROUPS", "LEAN", "OF_STEP", "Kept"]

ALL: Final = "all"
LEAN: Final = "lean"
DETERMINISTICS: Final = "posterior"
"""Stands for all Deterministics."""
OF_STEP: Final = {
    "prior_predictive": ("prior", "prior_predictive", "log_prior"),
    "posterior_predictive": ("posterior_predictive",),
    "log_likelihood": ("log_likelihood",),
}
"""Step to the groups that it makes, which can be made again from the draws of the free variables."""
GROUPS: Final = tuple(name for names in OF_STEP.values() for name in names)


@dataclass(frozen=True)
class Kept:
    """What stays of a fit beside the draws of its free variables and what is small; it is part of no key.

    Parameters
    ----------
    what
        ``all``, ``lean`` (nothing more), or names of groups and Deterministics.
    single
        Whether log-likelihood and predictive draws are stored in single precision.
    """

    what: tuple[str, ...] = (ALL,)
    single: bool = False

    def has(self, name: str) -> bool:
        """Whether a group, or a Deterministic, stays."""
        return ALL in self.what or name in self.what or (DETERMINISTICS in self.what and name not in GROUPS)
