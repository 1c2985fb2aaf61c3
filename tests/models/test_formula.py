"""Formula models against hand-written PyMC models, least squares and their own messages."""

import sys

import numpy as np
import pymc as pm
import pytest
import statsmodels.api as sm

from bayesrun.errors import ConfigError, DataError
from bayesrun.models.formula import build
from bayesrun.types import Dataset
from model_oracles import PLAIN, default_data, density, mode, points

PRIORS = {
    "Intercept": {"dist": "Normal", "mu": 0, "sigma": 36},
    "x": {"dist": "Normal", "mu": 0, "sigma": 2},
    "sigma": {"dist": "HalfNormal", "sigma": 2},
    "1|g": {"dist": "Normal", "mu": 0, "sigma": {"dist": "HalfNormal", "sigma": 1}},
}


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(6)
    n = 24
    return Dataset(
        {
            "y": rng.standard_normal(n),
            "x": 3 + rng.standard_normal(n),
            "n_seen": rng.poisson(3, n),
            "g": np.tile(np.arange(4), 6),
            "kind": np.array(["old", "new"] * 12),
            "seen": np.array(["no", "yes"] * 12),
            "M": rng.standard_normal((n, 2)),
        },
        dims={"M": ("obs", "predictor")},
        coords={"g": ("north", "east", "south", "west")},
    )


@pytest.mark.parametrize("noncentered", [True, False])
def test_it_is_the_model_that_one_would_write_by_hand(data, noncentered):
    model = build(data, formula="y ~ x + (1|g)", priors=PRIORS, noncentered=noncentered)
    # Bambi codes levels in the order of their names
    codes = np.argsort(np.argsort(data.coords["g"]))[data["g"]]
    with pm.Model() as hand:
        sigma = pm.HalfNormal("sigma", 2.0)
        intercept = pm.Normal("Intercept", 0.0, 36.0)
        slope = pm.Normal("x", 0.0, 2.0)
        spread = pm.HalfNormal("1|g_sigma", 1.0)
        if noncentered:
            effect = spread * pm.Normal("1|g_offset", 0.0, 1.0, shape=4)
        else:
            effect = pm.Normal("1|g", 0.0, spread, shape=4)
        mu = intercept + slope * (data["x"] - data["x"].mean()) + effect[codes]
        pm.Normal("y", mu, sigma, observed=data["y"])
    levels = list(model.coords["g__factor_dim"])
    assert sorted(levels) == sorted(data.coords["g"])
    order = [sorted(levels).index(level) for level in levels]
    ours, theirs = density(model), density(hand)
    for point, _ in points(model, seed=8):
        by_name = {k: v[np.argsort(order)] if np.ndim(v) else v for k, v in point.items()}
        np.testing.assert_allclose(ours(point), theirs(by_name), rtol=1e-9)


def test_intercepts_at_the_mean_and_at_zero(data):
    weak = {name: {"dist": "Normal", "mu": 0, "sigma": 1e6} for name in ("Intercept", "x", "kind")}
    weak["sigma"] = {"dist": "HalfNormal", "sigma": 1e6}
    found = mode(build(data, formula="y ~ x + kind", priors=weak))
    # levels in the order of their first letters: new is the reference
    design = sm.add_constant(np.column_stack([data["x"], data["kind"] == "old"]).astype(float))
    fit = sm.OLS(data["y"], design).fit()
    np.testing.assert_allclose(found["Intercept_at_zero"], fit.params[0], rtol=1e-5)
    np.testing.assert_allclose(found["Intercept"], data["y"].mean(), rtol=1e-5)
    np.testing.assert_allclose(np.ravel([found["x"], *found["kind"]]), fit.params[1:], rtol=1e-5)


@pytest.mark.parametrize(("formula", "family"), [("y ~ 1", "gaussian"), ("seen ~ 1", "bernoulli")])
def test_without_predictors_the_mean_has_a_value_for_each_row(data, formula, family):
    """Bambi's has one, along the dim of all rows."""
    model = build(data, formula=formula, family=family)
    (mean,) = (v for v in model.deterministics if model.named_vars_to_dims.get(v.name) == ("__obs__",))
    assert mean.type.shape == (24,)
    assert model[mean.name] is mean
    assert model.unobserved_RVs[-1] is mean


def test_default_has_pointwise_terms_and_coords():
    grunfeld = default_data("formula")
    model = build(grunfeld, formula="invest ~ value + capital + (1|firm)")
    (observed,) = model.observed_RVs
    assert observed.name == "invest"
    (terms,) = model.logp(vars=[observed], sum=False)
    value = model.compile_fn(terms, inputs=model.value_vars, mode=PLAIN)(model.initial_point())
    assert value.shape == (220,)
    assert np.isfinite(value).all()
    assert "General Motors" in model.coords["firm__factor_dim"]
    assert "Intercept_at_zero" in model.named_vars


@pytest.mark.parametrize(
    ("options", "observed"),
    [
        ({"formula": "n_seen ~ x", "family": "poisson"}, "n_seen"),
        ({"formula": "seen ~ x", "family": "bernoulli", "link": "probit"}, "seen"),
        ({"formula": "y ~ 0 + x", "family": "t"}, "y"),
        ({"formula": "y ~ np.log(x)", "priors": None}, "y"),
    ],
)
def test_families_and_links(data, options, observed):
    model = build(data, **options)
    assert [v.name for v in model.observed_RVs] == [observed]
    assert np.isfinite(model.compile_logp(mode=PLAIN)(model.initial_point()))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"formula": "y ~ "}, "cannot be read"),
        ({"formula": "y ~ x + (1|"}, "cannot be read"),
        ({"formula": "y ~~ x"}, "more than one '~'"),
        ({"formula": ""}, "cannot be read"),
        ({"formula": "y + x"}, "No outcome variable"),
        ({"formula": "y ~ foo(x)"}, "foo"),
        ({"formula": "y ~ x", "family": "gausian"}, "gausian"),
        ({"formula": "y ~ x", "link": "lgo"}, "lgo"),
        ({"formula": "kind ~ x"}, "wants a numeric outcome.*families for labels: bernoulli"),
        ({"formula": "y ~ x", "priors": {"xx": {"dist": "Normal", "mu": 0, "sigma": 1}}}, r"Unused name.*'xx'.*'x'\]"),
        ({"formula": "y ~ x", "priors": {"x": {"dist": "Norml"}}}, r"priors\.x\.dist='Norml'.*Did you mean Normal\?"),
        ({"formula": "y ~ x", "priors": {"x": {"dist": "Normal", "muu": 0}}}, "no argument muu; it takes mu, sigma"),
        ({"formula": "y ~ x", "priors": {"x": "Normal"}}, r"priors\.x='Normal': want a number or a mapping"),
        ({"formula": "y ~ x", "priors": {"x": {"dsit": "Normal"}}}, r"priors\.x\.dsit='Normal': want"),
    ],
)
def test_what_is_not_understood_is_refused_with_its_cause(data, options, message):
    with pytest.raises(ConfigError, match=message) as caught:
        build(data, **options)
    assert "bmb" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_column_is_named_with_those_present(data):
    with pytest.raises(
        DataError, match=r"names capital, kinds, .* have g, kind, n_seen, seen, x, y\. Did you mean kind"
    ):
        build(data, formula="y ~ kinds + capital")


def test_without_bambi_the_remedy_is_named(data, monkeypatch):
    monkeypatch.setitem(sys.modules, "bambi", None)
    with pytest.raises(ConfigError, match=r"pip install 'bayesrun\[formula\]'"):
        build(data, formula="y ~ x")
