"""What the oracle tests of the models share: default data, random points, modes, and moments judged by their MCSE."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import arviz as az
import numpy as np
import pymc as pm
import yaml
from pytensor.compile.mode import Mode
from scipy.optimize import minimize

from bayesrun.data import conform, shipped
from bayesrun.planning.prior_choice import with_priors
from bayesrun.types import Target
from places import CONF

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import xarray as xr

    from bayesrun.types import Dataset

# a few evaluations of a log density cost less in Python than its compilation
PLAIN = Mode(linker="py", optimizer="fast_compile")
Values = dict[str, np.ndarray]


def model_config(name: str) -> tuple[str, str, dict[str, Any]]:
    """The default data, the target and the parameters that conf/model/NAME.yaml states, with default priors."""
    config = yaml.safe_load((CONF / "model" / f"{name}.yaml").read_text())
    first = config.pop("defaults")[0]
    chosen = with_priors("model", Target(name, config.pop("_target_"), config))
    return first["override /data@_global_.data"], chosen.path, dict(chosen.params)


def default_data(name: str) -> Dataset:
    """The real data that the model is fitted to by default."""
    dataset, target, _ = model_config(name)
    config = yaml.safe_load((CONF / "data" / f"{dataset}.yaml").read_text())
    config.pop("_target_")
    roles = importlib.import_module(target.rsplit(".", 1)[0]).DATA
    return conform(shipped(**config), roles)


def points(model: pm.Model, seed: int, n: int = 3) -> Iterator[tuple[Values, Values]]:
    """Random points: the unconstrained values that a log density takes, and every free and derived variable there."""
    rng = np.random.default_rng(seed)
    variables = [*model.free_RVs, *model.deterministics]
    values = model.compile_fn(model.replace_rvs_by_values(variables), inputs=model.value_vars, mode=PLAIN)
    start = model.initial_point()
    for _ in range(n):
        point = {name: value + 0.7 * rng.standard_normal(value.shape) for name, value in start.items()}
        yield point, dict(zip([v.name for v in variables], values(point), strict=True))


def density(model: pm.Model) -> Callable[[Values], float]:
    """The log density of the model's variables themselves, without the Jacobian of their transforms."""
    return model.compile_logp(jacobian=False, mode=PLAIN)


def assert_density(model: pm.Model, expected: Callable[[Values], float], seed: int = 1) -> None:
    """Compare the model's log density with one that was written without PyMC."""
    logp = density(model)
    for point, values in points(model, seed):
        np.testing.assert_allclose(logp(point), expected(values), rtol=1e-9)


def assert_ints_are_safe(build: Callable[..., pm.Model], data: Dataset, **params: int) -> None:
    """Compare the densities under whole numbers given as int and as float."""
    whole = build(data, **params)
    real = build(data, **{name: float(value) for name, value in params.items()})
    for point, _ in points(real, seed=2, n=2):
        assert density(whole)(point) == density(real)(point)


def mode(model: pm.Model, start: Values | None = None) -> Values:
    """The point of highest density of the variables themselves, which is the MLE where the priors are weak."""
    first = model.initial_point() | (start or {})
    names = [v.name for v in model.value_vars]
    shapes = [np.shape(first[name]) for name in names]
    cuts = np.cumsum([int(np.prod(shape)) for shape in shapes])[:-1]
    logp = density(model)
    slope = model.compile_dlogp(jacobian=False, mode=PLAIN)

    def unpack(flat: np.ndarray) -> Values:
        parts = np.split(flat, cuts)
        return {name: part.reshape(shape) for name, part, shape in zip(names, parts, shapes, strict=True)}

    flat = np.concatenate([np.ravel(first[name]) for name in names])
    for _ in range(3):  # restarts, because BFGS stops early where scales differ
        found = minimize(
            lambda x: -logp(unpack(x)), flat, jac=lambda x: -slope(unpack(x)), method="BFGS", options={"gtol": 1e-8}
        )
        flat = found.x
    variables = [*model.free_RVs, *model.deterministics]
    values = model.compile_fn(model.replace_rvs_by_values(variables), inputs=model.value_vars, mode=PLAIN)
    return dict(zip([v.name for v in variables], values(unpack(flat)), strict=True))


def draw(
    model: pm.Model, sampler: str, seed: int, draws: int = 1000, chains: int = 4, accept: float = 0.9
) -> xr.DataTree:
    """Draw with PyMC's or NumPyro's NUTS."""
    nuts = {"target_accept": accept}
    if sampler == "numpyro":
        nuts["chain_method"] = "vectorized"
    with model:
        return pm.sample(
            draws, tune=1000, chains=chains, cores=1, nuts_sampler=sampler, nuts=nuts, random_seed=seed,
            progressbar=False, compute_convergence_checks=False,
        )  # fmt: skip


def assert_moments(tree: xr.DataTree, expected: dict[str, tuple[float, float]]) -> None:
    """Compare means and standard deviations with exact ones, within 4 Monte Carlo standard errors."""
    names = list(expected)
    error_mean = az.mcse(tree, var_names=names, method="mean")
    error_sd = az.mcse(tree, var_names=names, method="sd")
    for name, (mean, sd) in expected.items():
        draws = tree["posterior"][name]
        assert abs(draws.mean().item() - mean) < 4 * error_mean[name].item(), f"mean of {name}"
        assert abs(draws.std(ddof=1).item() - sd) < 4 * error_sd[name].item(), f"SD of {name}"


def normal_effects(y: np.ndarray, se: np.ndarray, prior: Callable[..., np.ndarray], spread: tuple[float, float]):
    """Moments of mu and tau of y ~ N(mu, se^2 + tau^2) by quadrature on a grid.

    ``prior(mu, tau)`` is the log prior density; `spread` is the (largest) distance of mu from the mean of y, and
    of tau. Returns a function that gives mean and SD of any function of (mu, tau), and the log posterior on the grid.
    """
    mu = np.linspace(y.mean() - spread[0], y.mean() + spread[0], 1201)[:, None]
    log_tau = np.linspace(np.log(1e-6), np.log(spread[1]), 1501)[None, :]
    tau = np.exp(log_tau)
    variance = se**2 + tau[..., None] ** 2
    loglik = -0.5 * (np.log(variance) + (y - mu[..., None]) ** 2 / variance).sum(axis=-1)
    log_post = loglik + prior(mu, tau) + log_tau  # the last term: from tau to its logarithm
    weight = np.exp(log_post - log_post.max())
    weight /= weight.sum()

    def moments(function: Callable[..., np.ndarray]) -> tuple[float, float]:
        values = function(mu, tau)
        mean = float((weight * values).sum())
        return mean, float(np.sqrt((weight * (values - mean) ** 2).sum()))

    return moments
