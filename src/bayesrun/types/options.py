"""What the config says of one cell beside its targets: how it is drawn, worked on, summarised and judged.

The bounds of the values are in their annotations, which `planning.config` has checked by pydantic.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Le, Lt

__all__ = ["ALL_OPTIONS", "Asked", "DiagnosticsOptions", "Gate", "Resources", "SamplerOptions", "Share", "Steps"]

Share = Annotated[float, Gt(0), Lt(1)]


@dataclass(frozen=True)
class Resources:
    """What one batch may use of a node: cores, GPUs, memory in GiB (None: no claim)."""

    num_cpus: Annotated[float, Gt(0)] = 1.0
    num_gpus: Annotated[float, Ge(0)] = 0.0
    memory_gb: Annotated[float, Gt(0)] | None = None


@dataclass(frozen=True)
class SamplerOptions:
    """The options that every sampler takes, so that one command line can sweep over samplers.

    Parameters
    ----------
    draws
        Kept draws per chain. Variational samplers return draws x chains independent draws as one chain;
        smc uses draws particles per chain.
    tune
        Warm-up steps per chain, not kept. No meaning for variational samplers and smc.
    chains
        Independent chains. For smc independent runs.
    target_accept
        Acceptance rate that the NUTS step size is adapted to: 0.95 costs about a quarter more leapfrog steps
        than 0.8, and leaves posteriors of hierarchies without most of the divergences. No meaning for other
        samplers.
    max_treedepth
        Largest NUTS tree, 2**max_treedepth - 1 leapfrog steps. No meaning for other samplers.
    iterations
        Optimisation steps of variational samplers. No meaning for others.
    learning_rate
        Step size of the variational optimiser. No meaning for other samplers.
    escalate
        Larger values of target_accept to try, one after another, while a fit diverges. NUTS only.
    engine
        What numpyro draws with: ``lanes`` (many datasets at once, each chain at its own pace) or ``numpyro``
        (NumPyro's own kernel through PyMC, one dataset at a time). advi_jax refuses the latter; no meaning for
        other samplers.
    precision
        Of the log density in numpyro's lanes: ``float64``, or ``float32``, which is faster where the likelihood
        is the cost, and rounds. advi_jax refuses the latter; no meaning for other samplers.
    restart
        Whether numpyro's lanes draw another start for a chain that early in its warm-up is so far below the others in
        log density that no mode of any mass can be there. No meaning for others.
    batch_size
        Datasets that one worker call fits together; ``auto`` decides by the sampler, the number of fits and
        what earlier fits took. It changes no draw.
    extra
        Options of one sampler only, passed on as they are.
    """

    draws: Annotated[int, Ge(1)] = 1000
    tune: Annotated[int, Ge(0)] = 1000
    chains: Annotated[int, Ge(1)] = 4
    target_accept: Share = 0.95
    max_treedepth: Annotated[int, Ge(1), Le(20)] = 10
    iterations: Annotated[int, Ge(1)] = 30_000
    learning_rate: Annotated[float, Gt(0)] = 0.01
    escalate: tuple[Share, ...] = ()
    engine: Literal["lanes", "numpyro"] = "lanes"
    precision: Literal["float64", "float32"] = "float64"
    restart: bool = True
    batch_size: Literal["auto"] | Annotated[int, Ge(1)] = "auto"
    extra: Mapping[str, Any] = field(default_factory=dict)


ALL_OPTIONS = tuple(option.name for option in dataclasses.fields(SamplerOptions) if option.name != "batch_size")
"""What counts for a sampler that does not say which options it reads."""


@dataclass(frozen=True)
class Steps:
    """Which steps of the workflow a fit does beside drawing; none of them changes a draw.

    Parameters
    ----------
    prior_predictive, posterior_predictive
        Whether to simulate observations from the prior and from the posterior.
    log_likelihood
        Whether to compute the pointwise log-likelihood, which LOO and comparisons need.
    prior_draws
        Draws from the prior, when prior_predictive is on.
    figures
        Whether to draw the figures of each fit.
    timeout
        Wall-clock seconds that each of them may take, and each quantity, decision and figure; None: no bound.
    """

    prior_predictive: bool = True
    posterior_predictive: bool = True
    log_likelihood: bool = True
    prior_draws: Annotated[int, Ge(1)] = 500
    figures: bool = True
    timeout: Annotated[float, Gt(0)] | None = None


@dataclass(frozen=True)
class DiagnosticsOptions:
    """How a posterior is summarised; none of it changes a draw.

    Parameters
    ----------
    ci_prob, ci_kind
        Probability and kind of the interval.
    waic
        Whether WAIC is wanted too.
    loo_var
        Which observed variable LOO is for; None: the only one.
    levels
        Probabilities of further intervals, columns ``lower_0.5``, ``upper_0.5``, ...
    ranks
        Draws L that the rank of the truth is counted among; 0: no ranks. Simulated data only.
    quantities
        Name to importable function ``(draws, data)`` of a further scalar, or of several (see `work.summary_columns`).
    decisions
        Rules such as ``P(beta > 0 | y) > 0.95`` that are decided for every fit.
    """

    ci_prob: Share = 0.89
    ci_kind: Literal["eti", "hdi"] = "eti"
    waic: bool = False
    loo_var: str | None = None
    levels: tuple[Share, ...] = ()
    ranks: Annotated[int, Ge(0)] = 0
    quantities: Mapping[str, str] | None = None
    decisions: tuple[str, ...] = ()


@dataclass(frozen=True)
class Asked:
    """What one command asks of the draws of a fit, where others asked for more: steps, and how it is summarised."""

    steps: Steps
    diagnostics: DiagnosticsOptions


@dataclass(frozen=True)
class Gate:
    """Thresholds fixed before sampling; None switches one off.

    Defaults: R-hat and ESS after Vehtari et al. (2021, doi:10.1214/20-BA1221), 100 effective draws per
    chain; E-BFMI after Betancourt (2016, arXiv:1604.00695); k-hat of a variational approximation after
    Yao et al. (2018, arXiv:1802.02538).

    Parameters
    ----------
    fail
        Whether a verdict that does not pass makes the command exit with 1.
    rhat_max, ess_bulk_per_chain, ess_tail_per_chain, n_divergent, bfmi_min, n_max_treedepth
        Bounds on the diagnostics of those names; ess is counted per chain; n_max_treedepth is a share of
        the draws.
    divergent_share
        Largest share of draws that diverge. For simulated data, whose truths are as extreme as the prior lets them
        be, a single divergence is no failure.
    pareto_k_share
        Largest share of observations whose Pareto k is above its bound.
    khat
        Largest PSIS k-hat of a variational approximation.
    """

    fail: bool = False
    rhat_max: Annotated[float, Ge(1)] | None = 1.01
    ess_bulk_per_chain: Annotated[float, Ge(0)] | None = 100.0
    ess_tail_per_chain: Annotated[float, Ge(0)] | None = 100.0
    n_divergent: Annotated[int, Ge(0)] | None = 0
    divergent_share: Annotated[float, Ge(0), Le(1)] | None = None
    bfmi_min: Annotated[float, Ge(0)] | None = 0.3
    n_max_treedepth: Annotated[float, Ge(0), Le(1)] | None = 0.05
    pareto_k_share: Annotated[float, Ge(0), Le(1)] | None = None
    khat: float | None = 0.7
