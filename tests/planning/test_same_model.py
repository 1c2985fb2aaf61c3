"""Stored draws are taken for a model's where layout, data and log density say so, and for no other model's."""

import numpy as np
import pymc as pm
import pytensor
import pytensor.tensor as pt
import pytest

from bayesrun.planning.same_model import doubt
from bayesrun.samplers import groups

Y = np.array([0.3, 1.9, -0.4, 2.2])


def line(scale=2.0, noise=1.0, twice=2.0, y=Y, term="two", along="term", name="theta", weights=1.0, start=None, **more):
    """`y` is normal around a line, with every kind of thing that a model can hold otherwise."""
    with pm.Model(coords={"obs": list("abcd"), "term": ["one", term]}, **more) as model:
        theta = pm.Normal(name, 0.0, scale, dims="term", initval=start)
        sigma = pm.HalfNormal("sigma", noise)
        held = pm.Data("weights", np.full(4, weights), dims="obs")
        pm.Deterministic("double", twice * theta, dims=along)
        pm.Normal("y", theta[0] + theta[1] * held, sigma, observed=y, dims="obs")
    return model


def stored(model, statistic="lp", seed=0):
    """Points of a model with their log density, as a sampler writes them."""
    rng = np.random.default_rng(seed)
    start = model.initial_point(seed)
    values = {
        name: np.where(
            np.issubdtype(np.asarray(value).dtype, np.integer),
            value,
            value + 0.5 * rng.standard_normal((2, 30, *np.shape(value))),
        ).astype(np.asarray(value).dtype)
        for name, value in start.items()
    }
    with pytensor.config.change_flags(mode="FAST_COMPILE"):
        posterior, lp = groups.evaluator(model)(values)
    return groups.tree(model, posterior, {statistic: lp}, {"sampler": "points"})


@pytest.fixture(scope="module")
def drawn():
    return stored(line())


def test_the_model_itself(drawn):
    assert doubt(line(), drawn) == ""


@pytest.mark.parametrize(
    ("other", "told"),
    [
        ({"scale": 2.0001}, "the log density at a draw is"),
        ({"noise": 1.5}, "the log density at a draw is"),
        ({"twice": 3.0}, "double is computed in another way now"),
        ({"y": Y + 1e-12}, "y has other values in observed_data than the model now"),
        ({"weights": 1.5}, "weights has other values in constant_data than the model now"),
        ({"y": Y.astype(np.float32).astype(float)}, "y has other values"),
        ({"term": "three"}, "term has other labels than in the model now"),
        ({"along": None}, "double has the dims term, and double_dim_0 now"),
        ({"name": "beta"}, "it has the variables theta, sigma, double, and the model has beta, sigma, double now"),
        ({"start": [1.0, 1.0]}, "the model says where chains of theta begin"),
        ({"check_bounds": False}, "the model checks no bounds"),
    ],
)
def test_another_model(drawn, other, told):
    assert doubt(line(**other), drawn).startswith(told)


def test_another_shape():
    def means(size):
        with pm.Model() as model:
            mu = pm.Normal("mu", 0.0, 1.0, size=size)
            pm.Normal("y", mu.sum(), 1.0, observed=Y)
        return model

    assert doubt(means(3), stored(means(2))) == "mu has the shape (2,), and (3,) now"


def test_nothing_is_shown_without_a_density():
    assert doubt(line(), stored(line(), statistic="energy")).startswith("no log density is stored with its draws")


def moved_bounds():
    with pm.Model() as model:
        low = pm.Normal("low", 0.0, 1.0)
        width = pm.Uniform("width", low - 20.0, low + 20.0)
        share = pm.Dirichlet("share", np.ones(3))
        cuts = pm.Normal("cuts", [-1.0, 0.0, 1.0], 1.0, transform=pm.distributions.transforms.ordered)
        pm.LKJCholeskyCov("chol", n=2, eta=2.0, sd_dist=pm.Exponential.dist(1.0, shape=2))
        pm.Potential("penalty", -0.1 * width**2)
        pm.Normal("y", low + width * share[0] + cuts[0], 1.0, observed=Y)
    return model


def counts():
    with pm.Model() as model:
        rate = pm.Gamma("rate", 2.0, 1.0)
        count = pm.Poisson("count", rate, size=2)
        pm.Normal("y", count.sum() + rate, 1.0, observed=Y)
    return model


def gaps():
    with pm.Model() as model:
        mu = pm.Normal("mu", 0.0, 1.0)
        pm.Normal("y", mu, 1.0, observed=np.ma.masked_invalid([0.3, np.nan, -0.4, 2.2]))
    return model


def own_density(power=2.0):
    def logp(value, mu):
        return -0.5 * pt.abs(value - mu) ** power

    with pm.Model() as model:
        mu = pm.Normal("mu", 0.0, 1.0)
        pm.CustomDist("y", mu, logp=logp, observed=Y)
    return model


@pytest.mark.filterwarnings("ignore:PyTensor could not link to a BLAS installation:UserWarning")
@pytest.mark.filterwarnings("ignore:Data in y contains missing values:pymc.exceptions.ImputationWarning")
@pytest.mark.parametrize("build", [moved_bounds, counts, gaps, own_density])
def test_every_kind_of_variable(build):
    assert doubt(build(), stored(build())) == ""


def test_a_density_of_the_users_own():
    assert doubt(own_density(1.9), stored(own_density())).startswith("the log density at a draw is")


def test_what_cannot_be_computed_is_told(drawn, monkeypatch):
    model = line()

    def broken(**options):
        raise ArithmeticError("no table\nof it")

    monkeypatch.setattr(model, "logp", broken)
    assert doubt(model, drawn) == "the log density cannot be computed at its draws (ArithmeticError: no table)"
