"""What the variational samplers share: PyMC's fit and its draws, densities, and the judgement of an optimisation.

It computes no k-hat; it keeps the densities that the diagnostics need for it.
"""

from __future__ import annotations

import time
import warnings
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
import pymc as pm
import pytensor
import xarray as xr

from bayesrun.errors import FitError
from bayesrun.samplers import groups
from bayesrun.types import NO_DENSITY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from bayesrun.types import Dataset, SamplerOptions

__all__ = ["AVERAGED", "became_nan", "draws", "elbo_converged", "judgement", "log_density", "with_elbo"]

AVERAGED: Final = 0.25
"""Share of the iterations, at the end, over which the variational parameters are averaged."""

TOLERANCE: Final = 0.02
"""Change of the ELBO, in nats, that counts as none: it is the divergence of two normals whose means are a
fifth of their standard deviation apart."""

NOISE: Final = 3.0
"""Standard errors of the windowed ELBO within which a change is noise."""

SHORTEST: Final = 1000
"""Iterations below which no optimisation is called converged: its windows would be noise."""

AGAIN: Final = 8
"""Draws whose density is worked out twice, to see whether it is the same."""

BLOCKS: Final = 20
"""Batches of a window, from which the standard error of its mean is computed."""


class _Watch:
    """Called after each iteration: times the first and averages the parameters of the last ones."""

    def __init__(self, iterations: int) -> None:
        self.first_after = iterations - max(1, int(iterations * AVERAGED))
        self.started = time.perf_counter()
        self.compile_seconds = 0.0
        self.sums: dict[str, np.ndarray] = {}
        self.count = 0

    def __call__(self, approximation: Any, _: Any, iteration: int) -> None:
        if iteration == 1:
            self.compile_seconds = time.perf_counter() - self.started
        if iteration > self.first_after:
            for name, shared in approximation.groups[0].params_dict.items():
                self.sums[name] = self.sums.get(name, 0.0) + shared.get_value(borrow=True)
            self.count += 1

    def mean(self, name: str) -> np.ndarray:
        return self.sums[name] / self.count


def draws(
    method: Literal["advi", "fullrank_advi"],
    version: int,
    build: Callable[[Dataset], pm.Model],
    datasets: Iterable[Dataset],
    seeds: Iterable[int],
    options: SamplerOptions,
) -> Iterator[xr.DataTree]:
    """Fit a normal approximation in the unconstrained space and draw from it (Kucukelbir et al. 2017, JMLR 18:14).

    The optimiser is Adam with a constant step. The approximation that is kept has the mean of the parameters
    over the last quarter of the iterations, which has less noise than the last iterate (Dhaka et al. 2020,
    arXiv:2009.00666).

    Parameters
    ----------
    method
        Independent normals (``advi``) or one multivariate normal (``fullrank_advi``).
    version
        The sampler's version, for the attributes.
    build
        Builds the model of one dataset; its free variables are continuous.
    datasets, seeds
        One of each for a fit: the seed is that of the optimisation and of the draws.
    options
        ``iterations``, ``learning_rate``, and ``draws`` x ``chains`` independent draws, which form one chain.
        ``extra`` goes to ``pymc.fit`` (``obj_n_mc``, ``start``, ...).

    Yields
    ------
    xarray.DataTree
        Groups ``posterior`` (chain of length 1), ``sample_stats`` (``lp``: log density of the model with the
        Jacobian, ``log_q``: log density of the approximation, both in the unconstrained space; no ``lp`` where the
        model's density is another one each time, and the attribute `NO_DENSITY` says why),
        ``observed_data`` and ``optimization`` (``elbo`` by iteration, one noisy value each, in nats).
        Attributes: ``converged`` (0 or 1, `elbo_converged`), ``elbo`` and ``elbo_se`` of the kept
        approximation, ``sampling_seconds``, ``compile_seconds``.

    Raises
    ------
    FitError
        If the optimisation meets NaN, or no draw has a finite log density.
    """
    for dataset, seed in zip(datasets, seeds, strict=True):
        yield _draw(method, version, build(dataset), seed, options)


def _draw(method: str, version: int, model: pm.Model, seed: int, options: SamplerOptions) -> xr.DataTree:
    start = time.perf_counter()
    watch = _Watch(options.iterations)
    with groups.quiet(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="PyTensor could not link to a BLAS")  # NumPy's is used then
        try:
            fitted = pm.fit(
                options.iterations,
                method=method,
                model=model,
                random_seed=seed,
                obj_optimizer=pm.adam(learning_rate=options.learning_rate),
                callbacks=[watch],
                progressbar=False,
                **{"backend": _backend(options), **options.extra},
            )
        except FloatingPointError as error:
            raise became_nan(f": {str(error).splitlines()[-1]}", options) from error
    unconstrained, log_q = _independent_draws(fitted, watch, seed, options.draws * options.chains)
    compiling = time.perf_counter()
    evaluate = groups.evaluator(model)
    _, first = evaluate({name: values[:, :AGAIN] for name, values in unconstrained.items()})
    compile_seconds = watch.compile_seconds + time.perf_counter() - compiling
    posterior, lp = evaluate(unconstrained)
    stats = {"lp": lp, "log_q": log_q}
    seconds = time.perf_counter() - start
    elbo = -np.asarray(fitted.hist, dtype=np.float64)
    attrs: groups.Attributes = {
        "sampler": method,
        "sampler_version": version,
        "sampling_seconds": seconds,
        "compile_seconds": compile_seconds,
        **judgement(elbo, lp, log_q),
    }
    if not np.allclose(first, lp[:, :AGAIN], equal_nan=True):
        del stats["lp"]
        attrs[NO_DENSITY] = (
            "the model's density is another one each time that it is worked out, as that of a random batch of rows is"
        )
    return with_elbo(groups.tree(model, posterior, stats, attrs), elbo, attrs)


def _backend(options: SamplerOptions) -> str | None:
    """Choose C where there is a compiler and nobody chose otherwise.

    An optimisation step draws random numbers, and Numba looks up the type of their generator at each call, which takes
    longer than the step of a model with hundreds of observations.
    """
    chosen = {"compile_kwargs", "fn_kwargs"} & set(options.extra)
    default = pytensor.config.mode == "Mode" and pytensor.config.linker == "auto"
    return "c" if pytensor.config.cxx and default and not chosen else None


def _independent_draws(fitted: Any, watch: _Watch, seed: int, count: int) -> tuple[groups.Arrays, np.ndarray]:
    """Draw from the averaged approximation: value variables, dims (1, draw, ...), and log q, dims (1, draw)."""
    group = fitted.groups[0]
    mu = watch.mean("mu")
    if "rho" in group.params_dict:
        scale = np.diag(_softplus(watch.mean("rho")))
    else:
        scale = np.zeros((mu.size, mu.size))
        scale[np.tril_indices(mu.size)] = watch.mean("L_tril")
        np.fill_diagonal(scale, _softplus(np.diag(scale)))
    standard = np.random.default_rng([seed, 1]).standard_normal((count, mu.size))
    flat = mu + standard @ scale.T
    values = {
        name: flat[:, where].reshape(1, count, *shape).astype(dtype)
        for name, where, shape, dtype in group.ordering.values()
    }
    return values, log_density(standard, np.diag(scale))[None]


def _softplus(x: np.ndarray) -> np.ndarray:
    """Map the optimiser's parameter to a standard deviation, as PyMC does."""
    return np.asarray(np.logaddexp(0.0, x))


def became_nan(where: str, options: SamplerOptions) -> FitError:
    """Say that an optimisation met NaN, where, and what to try; `where` follows the word NaN."""
    return FitError(
        f"the ELBO became NaN{where} Try sampler.learning_rate={options.learning_rate / 10:g}, or initial values "
        "nearer to the posterior"
    )


def log_density(standard: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Log density of a normal at its draws.

    Parameters
    ----------
    standard
        The draws before they were scaled and moved, dims (draw, coordinate).
    scale
        Diagonal of the triangular matrix that scaled them, dims (coordinate,).

    Returns
    -------
    array
        In nats, dims (draw,).
    """
    return np.asarray(-0.5 * (standard**2 + np.log(2 * np.pi)).sum(axis=1) - np.log(scale).sum())


def with_elbo(tree: xr.DataTree, elbo: np.ndarray, attrs: groups.Attributes) -> xr.DataTree:
    """Add the group ``optimization`` to a tree: the ELBO of each iteration, with the attributes of the fit."""
    optimization = xr.Dataset({"elbo": ("iteration", elbo)}, coords={"iteration": np.arange(elbo.size)}, attrs=attrs)
    tree["optimization"] = xr.DataTree(optimization)
    return tree


def judgement(elbo: np.ndarray, lp: np.ndarray, log_q: np.ndarray) -> groups.Attributes:
    """Judge an optimisation, and estimate the ELBO of what it found from its draws.

    Parameters
    ----------
    elbo
        The estimate of each iteration, in nats, dims (iteration,).
    lp, log_q
        Log densities of the model and of the approximation at the draws, in nats, any shape.

    Returns
    -------
    dict
        ``converged``, 0 or 1 (`elbo_converged`); ``elbo`` and ``elbo_se``, its Monte Carlo standard error.

    Raises
    ------
    FitError
        If no draw has a finite log density.
    """
    gain = np.ravel(lp - log_q)
    if not np.isfinite(gain).any():
        raise FitError(
            f"none of the {gain.size} draws from the approximation has a finite log density; check that the data lie "
            "in the support of the likelihood"
        )
    with np.errstate(invalid="ignore"):
        found = {"elbo": float(gain.mean()), "elbo_se": float(gain.std(ddof=1) / np.sqrt(gain.size))}
    return {"converged": int(elbo_converged(elbo)), **found}


def elbo_converged(elbo: np.ndarray) -> bool:
    """Judge whether an optimisation has settled.

    The third and the last quarter of the iterations are compared: converged means that their mean ELBOs
    differ by less than `TOLERANCE` nats or by less than `NOISE` standard errors, the latter from means of
    `BLOCKS` batches in each quarter, so that neighbouring iterations may be correlated. At least `SHORTEST`
    iterations and finite values in both quarters are needed. It says that the optimiser has stopped moving,
    not that the approximation is good: k-hat says that.

    Parameters
    ----------
    elbo
        The estimate of each iteration, in nats, dims (iteration,).

    Returns
    -------
    bool
        Whether it has settled.
    """
    quarter = elbo.size // 4
    if elbo.size < SHORTEST or not np.isfinite(elbo[-2 * quarter :]).all():
        return False
    windows = elbo[-2 * quarter : -quarter], elbo[-quarter:]
    length = quarter // BLOCKS
    batches = [window[-BLOCKS * length :].reshape(BLOCKS, length).mean(axis=1) for window in windows]
    error = np.sqrt(sum(means.var(ddof=1) / BLOCKS for means in batches))
    change = abs(batches[1].mean() - batches[0].mean())
    return bool(change <= max(TOLERANCE, NOISE * error))
