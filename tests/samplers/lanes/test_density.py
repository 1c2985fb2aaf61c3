"""Log densities in JAX against PyMC's own: every shipped model, every kind of variable, and what differs by dataset."""

import importlib
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pymc as pm
import pytensor.tensor as pt
import pytest

from bayesrun.errors import FitError
from bayesrun.samplers.lanes.density import derive
from bayesrun.samplers.lanes.graphs import survey
from bayesrun.types import Dataset
from model_oracles import PLAIN, default_data, model_config, points

MODELS = (
    "ar1", "hierarchical", "linear", "logistic", "meta_analysis", "multiple_regression", "polynomial", "survival",
    "survival_lognormal", "varying_effects", "varying_slopes",
)  # fmt: skip
# PyTensor looks for a C BLAS library when it compiles the start of a model with linear algebra, and uses NumPy without.
pytestmark = [
    pytest.mark.filterwarnings("ignore:PyTensor could not link to a BLAS installation:UserWarning"),
    pytest.mark.usefixtures("quick_compilation"),
]

rng = np.random.default_rng(5)
Y = Dataset({"y": rng.normal(1.0, 2.0, 12), "x": rng.normal(size=12)})
Z = Dataset({"y": rng.normal(-3.0, 5.0, 12), "x": rng.normal(size=12)})


def differing(*surveys):
    """Indices of the leaves that are observed or differ."""
    return [
        i
        for i, leaves in enumerate(zip(*(s.leaves for s in surveys), strict=True))
        if leaves[0].observed or len({leaf.digest for leaf in leaves}) > 1
    ]


def assert_agrees(build, *datasets, starts=True):
    """Values, gradients, variables, log-likelihood and start of each dataset, all by the functions of the first."""
    models = [build(data) for data in datasets]
    surveys = [survey(model) for model in models]
    assert all(s.form == surveys[0].form for s in surveys)
    density = derive(build(datasets[0]), differing(*surveys), [build(data) for data in datasets[1:2]])
    both = jax.jit(jax.value_and_grad(density.log_density))
    rest = jax.jit(lambda z, given: (density.constrain(z, given), density.log_likelihood(z, given)))
    for model, surveyed in zip(models, surveys, strict=True):
        given = tuple(jnp.asarray(value) for value in density.arguments(surveyed))
        prepared = density.prepare(given)
        names = density.variables
        natural = {v.name: v for v in model.unobserved_value_vars}
        terms = model.logp(model.observed_RVs, sum=False) if model.observed_RVs else []
        slopes = model.dlogp()
        oracle = model.compile_fn(
            [model.logp(), slopes, *(natural[n] for n in names), *terms],
            inputs=model.value_vars, point_fn=True, mode=PLAIN, on_unused_input="ignore",
        )  # fmt: skip
        for point, _ in points(model, seed=3, n=2):
            z = np.concatenate([np.ravel(value) for value in point.values()])
            value, gradient = both(z, prepared)
            variables, likelihood = rest(z, given)
            expected, slope, *others = oracle(point)
            np.testing.assert_allclose(value, expected, rtol=1e-8)
            np.testing.assert_allclose(gradient, slope, rtol=1e-8, atol=1e-8 * abs(slope).max())
            found = [*(variables[name] for name in names), *(likelihood[rv.name] for rv in model.observed_RVs)]
            for a, b in zip(found, others, strict=True):
                np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-12)
        assert (density.start is not None) == starts
        if density.start is not None:
            begin = np.concatenate([np.ravel(value) for value in model.initial_point().values()])
            np.testing.assert_allclose(density.start(jnp.zeros(density.size), given), begin, rtol=1e-12, atol=1e-12)
    return density


def shipped(name):
    _, target, params = model_config(name)
    module, function = target.rsplit(".", 1)
    return partial(getattr(importlib.import_module(module), function), **params)


@pytest.mark.parametrize("name", MODELS)
def test_shipped_models(name):
    assert_agrees(shipped(name), default_data(name))


@pytest.mark.slow
def test_a_formula():
    """Bambi's own graph, with a group effect and priors scaled by the outcome."""
    assert_agrees(shipped("formula"), default_data("formula"))


def scaled_prior(data):
    with pm.Model() as model:
        mu = pm.Normal("mu", data["y"].mean(), 2.5 * data["y"].std())
        sigma = pm.HalfStudentT("sigma", 3.0, data["y"].std())
        pm.Normal("y", mu, sigma, observed=data["y"])
    return model


def vector_of_scaled_priors(data):
    with pm.Model() as model:
        b = pm.Normal("b", 0.0, 2.5 * data["y"].std(), shape=3)
        pm.Normal("y", b[0] + b[1] * data["x"] + b[2] * data["x"] ** 2, 1.0, observed=data["y"])
    return model


def bounded_by_data(data):
    with pm.Model() as model:
        low = pm.TruncatedNormal("low", 0.0, 1.0, lower=data["y"].min() - 1.0)
        pm.Normal("y", low + pm.Uniform("extra", 0.0, float(np.ptp(data["y"]))), 1.0, observed=data["y"])
    return model


def censored(data):
    time = np.minimum(np.exp(data["y"]), 2.0)
    with pm.Model() as model:
        rate = pm.Exponential("rate", 1.0)
        pm.Censored("t", pm.Weibull.dist(1.5, 1 / rate), None, np.where(time < 2.0, np.inf, time), observed=time)
    return model


def potential(data):
    with pm.Model() as model:
        mu = pm.Normal("mu", 0.0, 1.0)
        pm.Potential("p", -0.5 * ((data["y"] - mu) ** 2).sum() + pt.log1p(pt.exp(mu * data["x"])).sum())
    return model


def named_data(data):
    with pm.Model(coords={"row": np.arange(12)}) as model:
        x = pm.Data("x", data["x"], dims="row")
        y = pm.Data("y_data", data["y"], dims="row")
        slope = pm.Normal("slope", 0.0, 1.0)
        pm.Deterministic("line", slope * x, dims="row")
        pm.Normal("y", slope * x, 1.0, observed=y, dims="row")
    return model


def grouped(data):
    group = (data["x"] > 0).astype(int)
    with pm.Model() as model:
        a = pm.Normal("a", 0.0, 1.0, shape=2)
        pm.Normal("y", a[group], 1.0, observed=data["y"])
        pm.Poisson("n", pm.math.exp(a[0]), observed=np.round(abs(data["y"])).astype(int))
    return model


def custom(data):
    def logp(value, mu):
        return -pt.abs(value - mu) - np.log(2.0)

    with pm.Model() as model:
        mu = pm.Normal("mu", 0.0, 3.0)
        pm.CustomDist("y", mu, logp=logp, observed=data["y"])
    return model


@pytest.mark.parametrize(
    "build",
    [scaled_prior, vector_of_scaled_priors, bounded_by_data, censored, potential, named_data, grouped, custom],
)
def test_what_differs_is_an_argument(build):
    """The second dataset has its own density, not the first one's; and datasets of equal shapes share a graph."""
    density = assert_agrees(build, Y, Z)
    assert density.varying


def test_what_does_not_differ_stays_constant():
    design = rng.normal(size=(12, 3))

    def build(data):
        with pm.Model() as model:
            b = pm.Normal("b", 0.0, 1.0, shape=3)
            pm.Normal("y", pm.math.dot(design, b), 1.0, observed=data["y"])
        return model

    density = assert_agrees(build, Y, Z)
    assert len(density.varying) == 1


def simplex_and_cholesky(data):
    with pm.Model() as model:
        share = pm.Dirichlet("share", np.array([2.0, 3.0, 4.0]))
        chol, _, _ = pm.LKJCholeskyCov("chol", n=2, eta=2.0, sd_dist=pm.Exponential.dist(1.0, shape=2))
        pm.MvNormal("pair", np.zeros(2), chol=chol, observed=data["y"].reshape(6, 2))
        pm.Multinomial("counts", 12, share, observed=np.array([2, 3, 7]))
    return model


def ordered(data):
    with pm.Model() as model:
        cut = pm.Normal(
            "cut",
            np.array([-1.0, 1.0]),
            1.0,
            transform=pm.distributions.transforms.ordered,
            initval=np.array([-1.0, 1.0]),
        )
        pm.OrderedLogistic("y", eta=0.3 * data["x"], cutpoints=cut, observed=np.digitize(data["y"], [-1.0, 2.0]))
    return model


def autoregressive(data):
    with pm.Model() as model:
        rho = pm.Uniform("rho", -1.0, 1.0)
        pm.AR("y", rho, 1.0, init_dist=pm.Normal.dist(0.0, 2.0), observed=data["y"])
    return model


def mixture(data):
    with pm.Model() as model:
        w = pm.Dirichlet("w", np.ones(2))
        mu = pm.Normal("mu", np.array([-1.0, 1.0]), 1.0)
        pm.NormalMixture("y", w, mu, 1.0, observed=data["y"])
    return model


@pytest.mark.parametrize("build", [simplex_and_cholesky, ordered, autoregressive, mixture])
def test_transformed_and_multivariate(build):
    assert_agrees(build, Y, Z)


@pytest.mark.filterwarnings("ignore:Data in .* contains missing values")
def test_missing_values_are_imputed():
    def build(data):
        with pm.Model() as model:
            mu = pm.Normal("mu", 0.0, 1.0)
            pm.Normal("y", mu, 1.0, observed=np.ma.masked_array(data["y"], np.arange(12) % 5 == 1))
        return model

    assert assert_agrees(build, Y, Z).size == 1 + 3


def test_parameters_out_of_their_support():
    """A scale that is negative makes the log density -inf, as PyMC has it."""

    def build(data):
        with pm.Model() as model:
            a = pm.Normal("a", 1.0, 1.0)
            pm.Poisson("n", a, observed=np.zeros(3, dtype=int))
        return model

    density = derive(build(Y), [])
    assert density.log_density(jnp.array([-0.5]), density.prepare(())) == -np.inf
    assert np.isfinite(density.log_density(jnp.array([0.5]), density.prepare(())))


def other_size(data):
    with pm.Model() as model:
        pm.Normal("y", pm.Normal("mu"), 1.0, observed=data["y"][: 6 + int(data["y"][0] > 0)])
    return model


def closure(data):
    def logp(value, mu):
        return -abs(value - mu - data["x"].mean())

    with pm.Model() as model:
        pm.CustomDist("y", pm.Normal("mu"), logp=logp, observed=data["y"])
    return model


def other_transform(data):
    bound = np.inf if data["y"][0] > 0 else 4.0
    with pm.Model() as model:
        pm.Normal("y", pm.TruncatedNormal("mu", 0.0, 1.0, lower=0.0, upper=bound), 1.0, observed=data["y"])
    return model


def other_length(data):
    with pm.Model() as model:
        b = pm.Normal("b", shape=2 if data["y"][0] > 0 else 3)
        pm.Normal("y", b.sum(), 1.0, observed=data["y"])
    return model


def other_rows_missing(data):
    with pm.Model() as model:
        row = 3 if data["y"][0] > 0 else 4
        pm.Normal("y", pm.Normal("mu"), 1.0, observed=np.ma.masked_array(data["y"], np.arange(12) == row))
    return model


@pytest.mark.filterwarnings("ignore:Data in .* contains missing values")
@pytest.mark.parametrize("build", [other_size, closure, other_transform, other_length, other_rows_missing])
def test_what_cannot_be_an_argument_makes_another_form(build):
    first, second = (Dataset({"y": sign * abs(Y["y"]), "x": d["x"]}) for sign, d in ((1, Y), (-1, Z)))
    assert survey(build(first)).form == survey(build(first)).form
    assert survey(build(first)).form != survey(build(second)).form


def test_discrete_variables_are_refused():
    with pm.Model() as model:
        k = pm.Binomial("k", 5, 0.5)
        pm.Normal("y", k, 1.0, observed=[1.0])
    with pytest.raises(FitError, match=r"k is discrete.*sampler=metropolis and sampler=smc"):
        derive(model, [])


def test_ops_that_jax_lacks_are_named():
    with pm.Model() as model:
        mu = pm.Normal("mu")
        pm.Potential("p", pt.kn(2, pm.math.exp(mu)))
    with pytest.raises(FitError, match=r"cannot be put into JAX.*sampler=nuts"):
        derive(model, [])


def test_a_model_without_free_variables_is_refused():
    with pm.Model() as model:
        pm.Normal("y", 0.0, 1.0, observed=[1.0])
    with pytest.raises(FitError, match="no free variable"):
        derive(model, [])


def test_a_density_that_is_not_pymcs_is_refused(monkeypatch):
    """What no comparison of graphs can see, a number at a random point does."""
    model, other = scaled_prior(Y), scaled_prior(Z)
    varying = differing(survey(model), survey(other))
    honest = other.compile_logp
    monkeypatch.setattr(other, "compile_logp", lambda **options: lambda point: honest(**options)(point) + 1e-3)
    with pytest.raises(FitError, match="where PyMC's own is"):
        derive(model, varying, [other])
