"""A fit with what it is conditioned on, and a posterior with what was met on the way."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import numpy as np
    import xarray as xr

    from bayesrun.base.alignment import Layout
    from bayesrun.simulate import Spread
    from bayesrun.types import Dataset, FitSpec

__all__ = ["Case", "Fitted"]

LARGEST_ROUNDING = 0.05
"""Difference of log densities from which the acceptance of a draw is changed by more than 5 %."""


@dataclass(frozen=True, eq=False)
class Case:
    """A fit with what it is conditioned on.

    Parameters
    ----------
    spec
        The recipe.
    dataset
        Real, or simulated.
    base
        For simulated data the dataset that the plan was made with; None: `dataset` itself.
    truth
        For simulated data the values that they were drawn from, by variable.
    degenerate
        For simulated data that do not vary or are not finite: what is wrong with them.
    timeout
        Wall-clock seconds that it may take, from building its model to its last step, or of its batch what a sampler
        counts as its share; None: no bound.
    form
        A dataset of the same form as `dataset`, with which it shares what is compiled; None: `base`.
    layouts
        Dims and labels of the truth, which are those of the generator; the estimates may have others.
    spread
        How far the truth spreads before its data are seen, in the same layouts; None: not known, or not asked for.
    """

    spec: FitSpec
    dataset: Dataset
    base: Dataset | None = None
    truth: Mapping[str, np.ndarray] = field(default_factory=dict)
    degenerate: str = ""
    timeout: float | None = None
    form: Dataset | None = None
    layouts: Mapping[str, Layout] = field(default_factory=dict)
    spread: Spread | None = None


@dataclass
class Fitted:
    """A posterior with what was met on the way.

    Parameters
    ----------
    tree
        Groups posterior, sample_stats, observed_data, and those of the steps.
    seconds
        Wall-clock seconds by stage.
    attempts
        One entry for each target_accept that was tried.
    effort
        What the sampling consisted of, see `planning.effort`.
    """

    tree: xr.DataTree
    seconds: dict[str, float] = field(default_factory=dict)
    attempts: tuple[Mapping[str, float], ...] = ()
    effort: Mapping[str, Any] = field(default_factory=dict)

    @property
    def warnings(self) -> tuple[str, ...]:
        """For people: what the attempts and the sampler say, also of a fit that is completed later."""
        found = []
        if len(self.attempts) > 1:
            told = ", ".join(f"{a['target_accept']:g}: {a['n_divergent']:.0f} divergences" for a in self.attempts)
            found.append(f"target_accept was raised because of divergences ({told})")
        effort = float(self.tree.attrs.get("effort", 0.0))
        if effort:
            found.append(
                f"took {effort:.0f} times the leapfrog steps of the median fit of its batch: an extreme dataset, or a "
                "posterior that this parameterization makes hard; sampler.timeout would bound it"
            )
        restarts = str(self.tree.attrs.get("restarts", ""))
        if restarts:
            found.append(
                f"begun again from another start, since the log density was so far below another chain's that no mode "
                f"of any mass can be there: {restarts}; sampler.restart=false keeps such chains as they are"
            )
        blind = int(self.tree.attrs.get("no_gradient", 0))
        if blind:
            found.append(
                f"the gradient in JAX was not finite where the log density is, at {blind} leapfrog steps, warm-up "
                "included; each ends a trajectory as a divergence does, and the draws may miss what is beyond: "
                "sampler=nuts computes the gradient by PyTensor"
            )
        failed = str(self.tree.attrs.get("log_prior_failed", ""))
        if failed:
            found.append(f"whether prior and likelihood disagree is not known: the log density of the prior: {failed}")
        without = str(self.tree.attrs.get("prior_without", ""))
        if without:
            found.append(f"the draws from the prior are without what raises at one of them: {without}")
        error = float(self.tree.attrs.get("lp_error", 0.0))
        if not error <= LARGEST_ROUNDING:
            found.append(
                f"single precision moves the log density by up to {error:.2g}, which changes what is accepted; use "
                "sampler.precision=float64"
            )
        return tuple(found)

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Add the time of a block to a stage."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[stage] = self.seconds.get(stage, 0.0) + time.perf_counter() - start
