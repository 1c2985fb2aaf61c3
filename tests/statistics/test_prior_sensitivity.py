"""Whether prior and likelihood disagree: log priors by SciPy, posteriors in closed form, and false alarms."""

from __future__ import annotations

import re

import numpy as np
import pymc as pm
import pytest
import xarray as xr
from scipy import stats

from bayesrun.statistics.prior_sensitivity import disagreements, log_prior

SHAPE = (4, 500)


def normal(mean: float, sigma: float, n: int, seed: int) -> xr.DataTree:
    """Exact draws of mu ~ N(0, 1) given n values of N(mu, sigma) with this mean."""
    rng = np.random.default_rng(seed)
    precision = 1.0 + n / sigma**2
    mu = n / sigma**2 * mean / precision + rng.standard_normal(SHAPE) / np.sqrt(precision)
    dims = ("chain", "draw")
    groups = {
        "posterior": xr.Dataset({"mu": (dims, mu), "flat": (dims, rng.uniform(size=SHAPE))}),
        "prior": xr.Dataset({"mu": (dims, rng.standard_normal((1, 500)))}),
        "log_prior": xr.Dataset({"mu": (dims, stats.norm.logpdf(mu))}),
        "log_likelihood": xr.Dataset({"y": (dims, n * stats.norm.logpdf(mean, mu, sigma))}),
    }
    return xr.DataTree.from_dict(groups)


def test_a_prior_far_from_the_data_is_named_with_the_numbers() -> None:
    (told,) = disagreements(normal(mean=8.0, sigma=1.0, n=5, seed=1))
    numbers = re.search(
        r"over mu: 99 % of mu are (\S+) to (\S+) in the posterior and (\S+) to (\S+) in the prior", told
    )
    assert numbers is not None
    spans = np.array(numbers.groups(), dtype=float).reshape(2, 2)
    exact = stats.norm.interval(0.99, [40.0 / 6.0, 0.0], [6.0**-0.5, 1.0])
    error = np.array([6.0**-0.5, 1.0]) * np.sqrt(0.005 * 0.995 / np.array([2000, 500])) / stats.norm.pdf(2.576)
    assert (np.abs(spans - np.transpose(exact)) < 4.0 * error[:, None]).all()
    assert "look at the priors and the units of the data" in told
    assert len(told) < 300


@pytest.mark.parametrize(
    ("mean", "sigma", "n"),
    [
        (0.0, 1.0, 5),
        (0.0, 5.0, 2),  # the prior is nearly all there is
        (2.0, 1.0, 5),  # within what the prior expects
        (2.5, 1.0, 500),  # far out, and the data are so many that the prior does nothing
        (8.0, 1.0, 5000),
    ],
)
def test_a_prior_that_informs_or_does_nothing_is_no_disagreement(mean: float, sigma: float, n: int) -> None:
    assert disagreements(normal(mean, sigma, n, seed=2)) == ()


def test_data_from_the_prior_are_seldom_a_disagreement() -> None:
    rng = np.random.default_rng(3)
    told = 0
    for seed in range(60):
        n = int(rng.choice([2, 5, 20, 100]))
        mean = rng.standard_normal() + rng.standard_normal() / np.sqrt(n)
        told += bool(disagreements(normal(mean, 1.0, n, seed)))
    assert told <= 3  # 4 of 600 such datasets are; more than 3 of 60 have a probability below 0.002


def test_what_is_not_there_or_not_finite_is_not_judged() -> None:
    tree = normal(8.0, 1.0, 5, seed=1)
    for name in ("prior", "log_prior", "log_likelihood"):
        assert disagreements(tree.filter(lambda node, name=name: node.name != name)) == ()
    broken = tree.copy()
    broken["log_prior"] = xr.DataTree(xr.Dataset({"mu": (("chain", "draw"), np.full(SHAPE, -np.inf))}))
    assert disagreements(broken) == ()


def test_a_prior_that_is_uniform_or_has_few_values_raises_nothing() -> None:
    tree = normal(mean=8.0, sigma=1.0, n=5, seed=1)
    tree["log_prior"]["mu"][:] = -1.2
    assert disagreements(tree) == ()
    tree["log_prior"]["mu"][:] = np.where(np.arange(500) % 2, -1.2, -3.0)
    (told,) = disagreements(tree)
    assert told.startswith("whether prior and likelihood disagree is not known")


def test_log_priors_are_those_of_scipy() -> None:
    with pm.Model(coords={"g": ["a", "b", "c"]}) as model:
        mu = pm.Normal("mu", 1.0, 2.0, initval=0.5)
        tau = pm.HalfNormal("tau", 3.0, initval="prior")
        slope = pm.LogNormal("slope", 0.5, 0.7)
        share = pm.Uniform("share", 0.0, 4.0)
        beta = pm.StudentT("beta", nu=3.0, mu=0.0, sigma=2.5, dims="g")
        theta = pm.Normal("theta", mu, tau, dims="g")
        pm.Normal("y", theta + beta + slope, share, observed=np.zeros(3), dims="g")
    rng = np.random.default_rng(4)
    draws = {name: rng.uniform(0.1, 3.0, (2, 7)) for name in ("mu", "tau", "slope", "share")}
    of_groups = {name: rng.normal(size=(2, 7, 3)) for name in ("beta", "theta")}
    posterior = xr.Dataset(
        {name: (("chain", "draw"), values) for name, values in draws.items()}
        | {name: (("chain", "draw", "g"), values) for name, values in of_groups.items()}
    )
    starts = dict(model.rvs_to_initial_values)
    found = log_prior(model, posterior)
    assert model.rvs_to_initial_values == starts
    assert starts[mu] == 0.5
    expected = {
        "mu": stats.norm.logpdf(draws["mu"], 1.0, 2.0),
        "tau": stats.halfnorm.logpdf(draws["tau"], scale=3.0),
        "slope": stats.lognorm.logpdf(draws["slope"], 0.7, scale=np.exp(0.5)),
        "share": stats.uniform.logpdf(draws["share"], 0.0, 4.0),
        "beta": stats.t.logpdf(of_groups["beta"], 3.0, scale=2.5).sum(axis=2),
    }
    assert set(found) == set(expected)  # theta is a level of the hierarchy, no prior
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-6)


def test_labels_of_a_vector_are_shown() -> None:
    rng = np.random.default_rng(5)
    dims, values = (
        ("chain", "draw", "p"),
        np.stack([rng.normal(size=SHAPE), normal(8.0, 1.0, 5, 1)["posterior"]["mu"]], -1),
    )
    terms = -0.5 * (values - [0.0, 8.0]) ** 2 * [0.0, 5.0]
    groups = {
        "posterior": xr.Dataset({"beta": (dims, values)}, coords={"p": ["age", "income"]}),
        "prior": xr.Dataset({"beta": (dims, rng.normal(size=(1, 500, 2)))}),
        "log_prior": xr.Dataset({"beta": (dims[:2], stats.norm.logpdf(values).sum(axis=2))}),
        "log_likelihood": xr.Dataset({"y": (dims, terms)}),
    }
    (told,) = disagreements(xr.DataTree.from_dict(groups))
    assert "disagree over beta[income]: 99 % of beta[income] are" in told
