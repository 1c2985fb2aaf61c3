"""What came back from a fit, and what its gate says of that."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from bayesrun.types.options import DiagnosticsOptions, Steps

__all__ = ["Outcome", "Verdict"]


@dataclass(frozen=True)
class Outcome:
    """What came back from one fit; it stays a few kB.

    Parameters
    ----------
    key, cell, replicate
        Which fit.
    status
        ``done`` or ``failed``.
    reason
        For a failed fit: ``error``, ``timeout``, ``oom`` or ``lost``.
    message
        For a failed fit: one line that says what happened.
    diagnostics
        Facts by name (rhat_max, ess_bulk_min, n_divergent, elpd_loo, ...), finite floats only.
    absent
        Diagnostics that do not exist for this fit, with the reason.
    warnings
        What the fit met on its way.
    seconds
        Wall-clock seconds by stage; of a failed fit ``failed``: those until it failed, of everything that was tried. In
        a worker call that draws for many at once, or that was lost, these are the seconds of the call.
    effort
        What the sampling consisted of, by which the seconds of other fits are predicted: see `planning.effort`.
    attempts
        One entry for each target_accept tried: target_accept, n_divergent, seconds.
    steps, diagnostics_options, quantity_sources, step_sources
        What was done, for all commands together, so that what is wanted later can be added, and what an edited function
        had worked out is worked out again.
    observed_hash
        Digest of what the terms of the likelihood are about.
    where
        Host name and process number.
    size, checksum
        Bytes and SHA-256 of posterior.nc. A failed fit has them where its draws are stored, and a later step failed.
    files
        Bytes and SHA-256 of what was worked out from the posterior: summary.parquet, and figures.
    versions
        Of Python and the packages that decide the draws.
    degenerate
        For simulated data that are not finite or do not vary: what is wrong with them.
    """

    key: str
    cell: str
    replicate: int
    status: Literal["done", "failed"]
    reason: Literal["error", "timeout", "oom", "lost"] | None = None
    message: str = ""
    diagnostics: Mapping[str, float] = field(default_factory=dict)
    absent: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)
    effort: Mapping[str, Any] = field(default_factory=dict)
    attempts: tuple[Mapping[str, float], ...] = ()
    steps: Steps = Steps()
    diagnostics_options: DiagnosticsOptions = DiagnosticsOptions()
    quantity_sources: Mapping[str, str] = field(default_factory=dict)
    observed_hash: str = ""
    where: str = ""
    size: int = 0
    checksum: str = ""
    files: Mapping[str, tuple[int, str]] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    degenerate: str = ""
    step_sources: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Verdict:
    """What the gate says of one outcome.

    Parameters
    ----------
    passed
        Whether every threshold holds.
    failures
        One short text for each threshold that does not hold (``rhat_max 1.04 > 1.01``).
    remedies
        What to try, most promising first.
    """

    passed: bool
    failures: tuple[str, ...] = ()
    remedies: tuple[str, ...] = ()
