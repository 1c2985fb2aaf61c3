"""The exceptions a caller may catch; it raises none itself.

Every message says what was got, what is wanted and the remedy, in one or a few lines, because a
message of these is printed alone, without a traceback.
"""

from __future__ import annotations

__all__ = [
    "BayesrunError",
    "ConfigError",
    "DataError",
    "DiskError",
    "DispatchError",
    "FitError",
    "FitTimeoutError",
    "StoreError",
    "TrackError",
]


class BayesrunError(Exception):
    """Base of every error that bayesrun raises on purpose; `quantity` names the user's quantity that it is about."""

    quantity: str | None = None


class ConfigError(BayesrunError):
    """The configuration cannot be run; nothing was started."""


class DataError(ConfigError):
    """The dataset cannot be used with the model; nothing was started."""


class FitError(BayesrunError):
    """One fit cannot produce a posterior; the other fits go on."""


class FitTimeoutError(FitError):
    """One fit of a batch took longer than it may; the other fits go on."""


class StoreError(BayesrunError):
    """The study folder cannot be read or written as asked."""


class DiskError(StoreError):
    """The disk of the study folder is full, over a quota, or read-only: no fit after this one could be written."""


class TrackError(BayesrunError):
    """The tracking server cannot be reached or refuses what it is given."""


class DispatchError(BayesrunError):
    """The workers are gone; what is finished is kept, and the rest is not fitted."""
