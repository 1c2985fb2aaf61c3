"""What the seconds of a fit went into: how many steps, and which fits take alike; it measures no time."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from bayesrun.types import digest

if TYPE_CHECKING:
    from bayesrun.types import FitSpec, SamplerOptions

__all__ = ["alike", "effort", "steps_of"]

LENGTHS = ("draws", "tune", "chains", "iterations", "batch_size")
"""Options that say how long a fit is; all others are part of what a step costs."""


def effort(spec: FitSpec, kind: str, *, together: int, compile_seconds: float) -> dict[str, Any]:
    """Say what the sampling of a fit consisted of.

    Parameters
    ----------
    spec
        Its recipe.
    kind
        What its sampler is: nuts, mcmc, smc or variational.
    together
        Fits that were drawn at once, and share the seconds.
    compile_seconds
        Wall-clock seconds before the first step, as far as the sampler tells.

    Returns
    -------
    dict
        ``alike`` (see `alike`), ``steps`` (see `steps_of`), ``draws`` (kept, of all chains), ``chains``,
        ``prior_draws``, ``together``, ``compile`` in seconds.
    """
    options = spec.options
    return {
        "alike": list(alike(spec)),
        "steps": steps_of(options, kind, int(os.environ.get("BAYESRUN_CORES", "1"))),
        "draws": options.draws * options.chains,
        "chains": options.chains,
        "prior_draws": spec.steps.prior_draws,
        "together": together,
        "compile": compile_seconds,
    }


def steps_of(options: SamplerOptions, kind: str, cores: int = 1) -> int:
    """Count the steps of a sampler that follow one another.

    Parameters
    ----------
    options
        Its options.
    kind
        Iterations count for ``variational``, particles for ``smc``, and for chains warm-up and draws.
    cores
        Chains of kind ``nuts`` that run side by side.
    """
    if kind == "variational":
        return options.iterations
    if kind == "smc":
        return options.draws * options.chains
    rounds = -(-options.chains // max(1, cores)) if kind == "nuts" else options.chains
    return rounds * (options.tune + options.draws)


def alike(spec: FitSpec) -> tuple[str, str]:
    """Name the fits whose steps cost the same, and the wider set that differs in parameters and options.

    Returns
    -------
    tuple of str
        A digest of model, data, sampler and options but for lengths; and one of model, data and sampler alone. The
        data are known by what they hold, not by their name.
    """
    simulated = None if spec.simulation is None else spec.simulation.joint
    wide = [spec.model.path, spec.data_hash, spec.sampler.path, simulated]
    given = {name: value for name, value in vars(spec.options).items() if name not in LENGTHS}
    return digest([*wide, spec.model.params, spec.fingerprint, given]), digest(wide)
