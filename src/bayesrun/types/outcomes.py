"""What came back from a fit, and what its gate says of that."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from bayesrun.types.options import DiagnosticsOptions, Steps

__all__ = ["DIAGNOSTICS", "Absent", "Drawn", "Outcome", "Verdict"]

DIAGNOSTICS: Final = (
    *("n_scalars", "n_parameters", "n_constant", "n_nonfinite", "n_chains", "n_draws"),
    *("rhat_max", "ess_bulk_min", "ess_tail_min", "ess_per_second", "mcse_sd_ratio_max", "sampling_seconds"),
    *("rhat_max_derived", "ess_bulk_min_derived", "ess_tail_min_derived"),
    *("n_divergent", "n_max_treedepth", "bfmi_min", "acceptance_rate", "step_size", "n_steps_mean", "target_accept"),
    *("n_chains_apart", "apart_chain", "apart_below", "apart_since", "apart_moves"),
    *("khat", "elbo", "elbo_converged", "log_marginal_likelihood", "log_marginal_likelihood_sd"),
    *("elpd_loo", "se_elpd_loo", "p_loo", "pareto_k_max", "n_bad_pareto_k", "n_loo_terms"),
    *("elpd_waic", "se_elpd_waic", "p_waic"),
)
"""Names of all diagnostics; which of them a fit has, its sampler and its model decide."""


@dataclass(frozen=True)
class Absent:
    """Why a fit does not have a step that was asked of it.

    Parameters
    ----------
    kind
        ``cannot``: it is not defined for this model, or nobody wrote how; it is not tried again. ``failed``: it raised.
        ``timeout``: it took longer than it may. ``lost``: its worker was lost in it, or before it.
    why
        One line for people.
    """

    kind: Literal["cannot", "failed", "timeout", "lost"]
    why: str

    def __str__(self) -> str:
        before = {"cannot": "cannot be done: ", "failed": "failed: "}.get(self.kind, "")
        return f"{before}{self.why}"


@dataclass(frozen=True)
class Drawn:
    """What a worker says when a fit is drawn and steps come next, so that a dispatcher waits as long as these may take.

    Parameters
    ----------
    key
        Of the fit.
    seconds
        Wall-clock seconds that these steps may take together; None: no bound.
    """

    key: str
    seconds: float | None


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
        For a failed fit: ``error``, ``timeout``, ``oom``, ``lost``, or ``disk`` where that is full or read-only.
    message
        For a failed fit: one line that says what happened.
    diagnostics
        Facts by name (rhat_max, ess_bulk_min, n_divergent, elpd_loo, ...), finite floats only.
    absent
        Diagnostics that do not exist for this fit, with the reason.
    absent_steps
        Steps after drawing that were asked of this fit and that it does not have, with the reason: see
        `planning.completion.asked_steps` for their names. The draws are there.
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
    left_out, single
        Groups and Deterministics that are not in posterior.nc, since they were not to be kept and can be made again;
        and whether log-likelihood and predictive draws are in single precision there.
    named
        What some diagnostics are about: ``rhat_max``, ``ess_bulk_min``, ``ess_tail_min``, and the same of
        Deterministics (``rhat_max_derived``), to the worst scalars with their values; ``switching`` to the variables
        whose components switch labels, from 0 on in the order in which to look at them, and ``switching_rhat`` to the
        number of ``components`` and R-hat ``before`` and ``after`` they are in order; ``modes`` to the mode of each
        chain, ``mode_density`` to the median log density of each; ``drifting`` to chains whose halves differ.
    migrated
        For a fit that was drawn in an older format: its ``schema``, and the ``key`` and ``fit_seed`` that it was drawn
        with, which are not those that its recipe has now; empty for any other.
    """

    key: str
    cell: str
    replicate: int
    status: Literal["done", "failed"]
    reason: Literal["error", "timeout", "oom", "lost", "disk"] | None = None
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
    migrated: Mapping[str, Any] = field(default_factory=dict)
    absent_steps: Mapping[str, Absent] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()
    single: bool = False
    named: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    @property
    def absent_text(self) -> str:
        """The steps that it does not have, with the reasons, in one line."""
        return "; ".join(f"no {name}: {why}" for name, why in self.absent_steps.items())


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
    notes
        What is worth a look and fails nothing: Deterministics that are worse than the parameters.
    """

    passed: bool
    failures: tuple[str, ...] = ()
    remedies: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
