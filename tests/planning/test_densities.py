"""Densities at the start, shapes and forms, found without rewriting a graph: the same as PyTensor's own way gives."""

import numpy as np
import pymc as pm
import pytensor.tensor as pt
import pytest

from bayesrun.planning import densities
from bayesrun.planning.densities import density_of, shapes_as_written, start_of, terms_of
from bayesrun.planning.fingerprint import built_alike, density_form
from bayesrun.planning.sampler_needs import form_of
from bayesrun.simulate.values import shapes

RNG = np.random.default_rng(5)
X = RNG.normal(size=(12, 2))
Y = RNG.normal(size=12)


def line(y=Y, slope: float = 2.5, name: str = "beta") -> pm.Model:
    with pm.Model(coords={"obs": range(len(y)), "predictor": ["a", "b"]}) as model:
        beta = pm.Normal(name, 0.0, slope, dims="predictor")
        mu = pm.Deterministic("mu", pm.math.dot(X[: len(y)], beta), dims="obs")
        pm.Normal("y", mu, pm.HalfNormal("sigma", 1.0), observed=y, dims="obs")
    return model


def mixture() -> pm.Model:
    with pm.Model() as model:
        w = pm.Dirichlet("w", np.ones(3))
        mu = pm.Normal("mu", 0.0, 3.0, shape=3, transform=pm.distributions.transforms.ordered, initval=[-1, 0, 1])
        pm.NormalMixture("y", w, mu, 1.0, observed=Y)
    return model


def gaps() -> pm.Model:
    with pm.Model() as model:
        mu = pm.Uniform("mu", -4.0, 4.0)
        pm.Normal("y", mu, pm.Exponential("s", 1.0), observed=np.ma.masked_array(Y, Y > 1.0))
        pm.Potential("p", -pt.sqr(mu))
    return model


def walk() -> pm.Model:
    with pm.Model() as model:
        level = pm.GaussianRandomWalk("level", sigma=pm.HalfNormal("s", 1.0), init_dist=pm.Normal.dist(0, 1), steps=11)
        pm.Poisson("y", pm.math.exp(level), observed=np.arange(12))
    return model


def drawn() -> pm.Model:
    with pm.Model() as model:
        pm.Normal("y", pm.Normal("mu", 0.0, 1.0, initval="prior"), 1.0, observed=Y)
    return model


@pytest.mark.parametrize("make", [line, mixture, gaps, walk, drawn])
def test_the_start_is_that_of_a_rewritten_graph(make):
    model = make()
    for found, known in zip(start_of(model), densities._rewritten(model), strict=True):
        np.testing.assert_allclose(found, known, rtol=1e-10)
    point = model.initial_point(random_seed=0)
    known = model.compile_logp()(point)
    assert float(density_of(model).eval({v: point[v.name] for v in model.value_vars})) == pytest.approx(float(known))


def test_terms_are_written_down_once(monkeypatch):
    model = line()
    terms = terms_of(model)
    monkeypatch.setattr(model, "logp", None)
    assert terms_of(model) is terms


def test_what_raises_or_is_infinite_is_told_by_the_rewritten_graph(monkeypatch):
    with pm.Model() as model:
        pm.Gamma("y", 1.0, pm.HalfNormal("s", 1.0), observed=Y)
    seen = []
    whole = densities._rewritten
    monkeypatch.setattr(densities, "_rewritten", lambda model: seen.append(model) or whole(model))
    assert not np.isfinite(start_of(model)[1]).all()
    assert seen == [model]


def test_shapes_are_those_of_a_rewritten_graph():
    model = line()
    asked = [model["beta"], model["mu"]]
    assert shapes_as_written(asked) == shapes(asked) == [(2,), (12,)]
    with pm.Model() as random:
        count = pm.Poisson("count", 4.0)
        pm.Deterministic("many", pt.arange(count))
    assert shapes_as_written([random["many"]]) is None


def test_forms_are_those_of_densities_without_the_numbers_of_data():
    model = line()
    assert density_form(model) == density_form(line(Y + 1.0))
    for other in (line(slope=2.0), line(name="b"), line(Y[:1]), gaps()):
        assert density_form(other) != density_form(model)
    assert form_of(model, "-abc") == density_form(model)
    assert form_of(model, "code-abc") is None
    assert form_of(mixture(), "-abc") in (None, density_form(mixture()))


def test_second_builds_are_compared_by_their_variables():
    assert built_alike(line(), line())
    assert not built_alike(line(), line(Y + 1.0))
    assert not built_alike(line(), line(slope=2.0))
    assert not built_alike(mixture(), mixture())  # a transform may have settings: the densities are compared
    with pm.Model() as custom:
        pm.CustomDist("mu", logp=lambda value: -pt.sqr(value))
    assert not built_alike(custom, custom)
