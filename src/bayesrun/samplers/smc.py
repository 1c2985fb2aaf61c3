"""Sequential Monte Carlo of PyMC: independent runs of tempered particles, and the marginal likelihood."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pymc as pm
from pymc.smc.kernels import IMH

from bayesrun.samplers import groups

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    import xarray as xr

    from bayesrun.types import Dataset, SamplerOptions

__all__ = ["DISCRETE", "KIND", "NEEDS", "OPTIONS", "VERSION", "sample"]

VERSION: Final = 2
KIND: Final = "smc"
DISCRETE: Final = True
NEEDS: Final = ("rows",)
"""What it needs of a density: see `planning.sampler_needs`."""
OPTIONS: Final = ("draws", "chains", "extra")
"""Options that change the draws."""


def sample(
    build: Callable[[Dataset], pm.Model],
    datasets: Iterable[Dataset],
    seeds: Iterable[int],
    options: SamplerOptions,
) -> Iterator[xr.DataTree]:
    """Draw by likelihood tempering from prior to posterior (Ching and Chen 2007,
    doi:10.1061/(ASCE)0733-9399(2007)133:7(816)), with independent Metropolis-Hastings moves.

    Parameters
    ----------
    build
        Builds the model of one dataset; discrete free variables move by rounding.
    datasets, seeds
        One of each for a fit.
    options
        ``draws`` particles in each of ``chains`` independent runs. ``extra`` goes to ``pymc.sample_smc``
        (``threshold``, ``correlation_threshold``, ``cores``, ...).

    Yields
    ------
    xarray.DataTree
        Groups ``posterior`` (particles of the last stage: no Markov chain), ``sample_stats`` and
        ``observed_data``. Statistics: ``lp`` (chain, draw), and by run ``log_marginal_likelihood``,
        ``acceptance_rate`` of the last stage and ``n_stages``. Attribute ``sampling_seconds``: wall-clock
        seconds from the model to the draws, compilation included; ``compile_seconds``, the part of them in which
        no particle moves, of runs in one process.
    """  # noqa: D205  (the sentence with its source does not fit one line)
    for dataset, seed in zip(datasets, seeds, strict=True):
        yield _draw(build(dataset), seed, options)


def _draw(model: pm.Model, seed: int, options: SamplerOptions) -> xr.DataTree:
    start = time.perf_counter()
    moved: list[float] = []
    alone = options.extra.get("cores", 1) == 1 and "kernel" not in options.extra
    with groups.quiet(), groups.without_deterministics(model):  # which are worked out afterwards
        trace = pm.sample_smc(
            model=model,
            draws=options.draws,
            chains=options.chains,
            random_seed=seed,
            **{"cores": 1, "mp_ctx": "spawn", **({"kernel": _timed(moved)} if alone else {}), **options.extra},
            progressbar=False,
            compute_convergence_checks=False,
            return_inferencedata=False,
        )
    values = {
        variable.name: np.stack(trace.get_values(variable.name, combine=False, squeeze=False))
        for variable in model.value_vars
    }
    evaluate = groups.evaluator(model)
    evaluate({name: particles[:, :1] for name, particles in values.items()})  # which compiles
    compiled = time.perf_counter() - start - sum(moved[1:])
    posterior, lp = evaluate(values)
    seconds = time.perf_counter() - start
    stages = {name: _by_run(getattr(trace.report, name), options.chains) for name in ("beta", "accept_rate")}
    evidence = _by_run(trace.report.log_marginal_likelihood, options.chains)
    stats = {
        "lp": lp,
        "log_marginal_likelihood": np.array([run[-1] for run in evidence], dtype=np.float64),
        "acceptance_rate": np.array([run[-1] for run in stages["accept_rate"]], dtype=np.float64),
        "n_stages": np.array([len(run) for run in stages["beta"]], dtype=np.int64),
    }
    attrs: groups.Attributes = {"sampler": "smc", "sampler_version": VERSION, "sampling_seconds": seconds}
    if moved:
        attrs["compile_seconds"] = compiled
    return groups.tree(model, posterior, stats, attrs)


def _timed(moved: list[float]) -> type[IMH]:
    """Make the kernel note the seconds of each move of its particles, of which the first one compiles."""

    class Kernel(IMH):  # type: ignore[misc]  # PyMC states no types
        def mutate(self) -> None:
            begin = time.perf_counter()
            super().mutate()
            moved.append(time.perf_counter() - begin)

    return Kernel


def _by_run(report: Sequence[Any], chains: int) -> list[Sequence[float]]:
    """Give a list of stages for each run; PyMC leaves out the outer list when there is one run."""
    return [report] if chains == 1 else list(report)
