"""Pairs of models that LOO may and may not compare: same values, rows and measure, unweighted; each by its graph."""

import sys
import types
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pymc as pm
import pytensor.tensor as pt
import pytest
import xarray as xr

import bayesrun.models.ar1
import bayesrun.models.formula
import bayesrun.models.survival
import bayesrun.models.survival_lognormal
from bayesrun.planning.loo_comparable import observed_of, weighted_likelihoods
from bayesrun.report.comparison import Fitted, loo_comparisons
from bayesrun.types import Dataset, Target
from model_oracles import default_data

Y = np.array([0.5, 2.25, 1.75, 3.5, 0.75, 2.5])
COUNTS = np.array([0, 2, 1, 3, 0, 2])
BINARY = np.array([0, 1, 1, 0, 1, 0])
ZEROS = np.array([0.0, 2.25, 1.75, 0.0, 0.75, 2.5])
WEIGHTS = np.array([0.2, 1.8, 1.0, 0.5, 1.5, 1.0])
INF = np.inf


@dataclass(frozen=True)
class Side:
    """One of two cells: what its builder observes, of which dataset, read how."""

    observe: Callable[[Any], Any]
    data: Dataset = field(default_factory=lambda: Dataset({"y": Y}))
    source: Target | None = None
    loo_var: str | None = None
    terms: int = 6

    def fitted(self, label: str) -> Fitted:
        def build(data: Dataset) -> pm.Model:
            with pm.Model() as model:
                found = self.observe(pm.Normal("mu"))
            return found if isinstance(found, pm.Model) else model

        builder = getattr(self.observe, "builder", build)
        about = observed_of(builder, builder(self.data), self.data, self.source, self.loo_var)
        return Fitted(label, label, (label,), about, self.terms, "nuts", "nuts")


def shipped(module: Any, **params: Any) -> Callable[[Any], Any]:
    def observe(_: Any) -> None: ...

    def build(data: Dataset) -> pm.Model:
        return module.build(data, **params)

    build.__module__ = module.__name__
    observe.builder = build  # type: ignore[attr-defined]
    return observe


def tree(terms: int) -> xr.DataTree:
    elpd, k = np.linspace(-2.0, -1.0, terms), np.full(terms, 0.1)
    return xr.DataTree.from_dict(
        {
            "posterior": xr.Dataset({"mu": (("chain", "draw"), np.zeros((4, 500)))}),
            "loo": xr.Dataset({"elpd_i": ("obs", elpd), "pareto_k": ("obs", k)}, attrs={"p": 1.0, "good_k": 0.7}),
        }
    )


def normal(values: Any = Y, name: str = "y", **options: Any) -> Callable[[Any], Any]:
    return lambda mu: pm.Normal(name, mu, 1.0, observed=values, **options)


def custom(logp: Any, *params: Any, values: Any = Y) -> Callable[[Any], Any]:
    return lambda mu: pm.CustomDist("y", mu, *params, logp=logp, observed=values)


def drawn(dist: Any, *params: Any, values: Any = Y) -> Callable[[Any], Any]:
    return lambda mu: pm.CustomDist("y", mu, *params, dist=dist, observed=values)


def censored(base: Any = None, lower: Any = None, upper: Any = None, values: Any = Y) -> Callable[[Any], Any]:
    made = base or (lambda mu: pm.Normal.dist(mu, 1.0))
    return lambda mu: pm.Censored("y", made(mu), lower=lower, upper=upper, observed=values)


def several(mu: Any) -> None:
    pm.Normal("a", mu, 1.0, observed=Y)
    pm.Normal("b", mu, 1.0, observed=Y + 1.0)


def beside(potential: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def observe(mu: Any) -> None:
        pm.Normal("y", mu, 1.0, observed=Y)
        pm.Potential("more", potential(mu))

    return observe


def csv(labels: Any = None, **params: Any) -> dict[str, Any]:
    """A dataset as it is read from a table: its labels are names, or numbers of rows that are left."""
    coords = {} if labels is None else {"obs": tuple(labels)}
    return {
        "data": Dataset({"y": Y}, {"y": ("obs",)}, coords),
        "source": Target("csv", "bayesrun.data.read", {"path": "my.csv"} | params),
    }


NORMAL = Side(normal())
COUNT = Side(lambda mu: pm.Poisson("y", pt.exp(mu), observed=COUNTS), Dataset({"y": COUNTS}))
BERNOULLI = Side(lambda mu: pm.Bernoulli("y", logit_p=mu, observed=BINARY), Dataset({"y": BINARY}))
ENDS = np.where(BINARY == 1, INF, Y)
HEART = default_data("survival")
FRAME = Dataset({"y": Y, "w": WEIGHTS, "one": np.ones(6)})
ALIKE = np.array([1.0, 2.0, 1.0, 2.0, 1.0, 2.0])
PAIRS = np.array([[1, 2], [0, 3], [2, 1]])

COMPARED = {
    "normal and Student's t": (NORMAL, Side(lambda mu: pm.StudentT("y", nu=4.0, mu=mu, sigma=1.0, observed=Y))),
    "normal and lognormal of the same value": (NORMAL, Side(lambda mu: pm.LogNormal("y", mu, 1.0, observed=Y))),
    "Poisson and negative binomial": (
        COUNT,
        Side(lambda mu: pm.NegativeBinomial("y", pt.exp(mu), 2.0, observed=COUNTS), COUNT.data),
    ),
    "Poisson and its zero-inflated form": (
        COUNT,
        Side(lambda mu: pm.ZeroInflatedPoisson("y", 0.5, pt.exp(mu), observed=COUNTS), COUNT.data),
    ),
    "logit and probit": (
        BERNOULLI,
        Side(lambda mu: pm.Bernoulli("y", p=pm.math.invprobit(mu), observed=BINARY), BERNOULLI.data),
    ),
    "Bernoulli and binomial of one": (
        BERNOULLI,
        Side(lambda mu: pm.Binomial("k", 1, logit_p=mu, observed=BINARY.astype(float)), BERNOULLI.data),
    ),
    "another name, in a container": (NORMAL, Side(lambda mu: pm.Normal("z", mu, 1.0, observed=pm.Data("d", Y)))),
    "normal and truncated normal": (
        NORMAL,
        Side(lambda mu: pm.Truncated("y", pm.Normal.dist(mu, 1.0), lower=0.0, observed=Y)),
    ),
    "two censored likelihoods with the same events": (
        Side(censored(upper=ENDS)),
        Side(censored(lambda mu: pm.Weibull.dist(pt.exp(mu), 2.0), upper=ENDS)),
    ),
    "a bound that nothing was cut at": (NORMAL, Side(censored(upper=10.0))),
    "Tobit and hurdle": (
        Side(censored(lower=0.0, values=ZEROS), Dataset({"y": ZEROS})),
        Side(lambda mu: pm.HurdleGamma("y", 0.5, mu=pt.exp(mu), sigma=1.0, observed=ZEROS), Dataset({"y": ZEROS})),
    ),
    "hurdle and gamma where nothing is zero": (
        Side(lambda mu: pm.Gamma("y", mu=pt.exp(mu), sigma=1.0, observed=Y)),
        Side(lambda mu: pm.HurdleGamma("y", 0.5, mu=pt.exp(mu), sigma=1.0, observed=Y)),
    ),
    "a density of the user's own": (NORMAL, Side(custom(lambda v, mu: -0.9189385332046727 - (v - mu) ** 2 / 2))),
    "a density of the user's own that is a half of something": (
        NORMAL,
        Side(custom(lambda v, mu: -((v - mu) ** 2 + 1.8378770664093453) / 2)),
    ),
    "a draw of the user's own": (NORMAL, Side(drawn(lambda mu, size: pt.exp(pm.Normal.dist(mu, 1.0, size=size))))),
    "known variances are no weights": (NORMAL, Side(lambda mu: pm.Normal("y", mu, 1.0 / np.sqrt(WEIGHTS), observed=Y))),
    "weights that are all one": (
        Side(shipped(bayesrun.models.formula, formula="y ~ 1"), FRAME),
        Side(shipped(bayesrun.models.formula, formula="weighted(y, one) ~ 1"), FRAME),
    ),
    "a Potential of parameters": (NORMAL, Side(beside(lambda mu: -(mu**2)))),
    "one-step densities of a series": (NORMAL, Side(shipped(bayesrun.models.ar1))),
    "the shipped survival models": (
        Side(shipped(bayesrun.models.survival), HEART, terms=69),
        Side(shipped(bayesrun.models.survival_lognormal), HEART, terms=69),
    ),
    "one of two outcomes": (Side(several, loo_var="a"), Side(several, loo_var="a")),
    "rows of a vector each": (
        Side(
            lambda mu: pm.Multinomial("y", 3, pt.stack([0.5, 0.5]) + 0.0 * mu, observed=PAIRS),
            Dataset({"y": PAIRS}),
            terms=3,
        ),
        Side(
            lambda mu: pm.DirichletMultinomial("y", 3, pt.stack([1.0, 2.0]) + 0.0 * mu, observed=PAIRS),
            Dataset({"y": PAIRS}),
            terms=3,
        ),
    ),
    "one table with and without labels": (Side(normal(), **csv()), Side(normal(), **csv("abcdef", index="id"))),
    "labels of two tables": (
        Side(normal(), **csv("abcdef", index="id")),
        Side(normal(), **csv("abcdef", index="id", path="other.csv")),
    ),
    "the same rows left after gaps": (
        Side(normal(), **csv([3, 4, 5, 6, 7, 8], drop_missing=True, columns={"X": ["a"]})),
        Side(normal(), **csv([3, 4, 5, 6, 7, 8], drop_missing=True, columns={"X": ["b"]})),
    ),
}

OTHER_ROWS, OTHER_VALUES = "of other rows", "observes other values"
WEIGHTED, MASSES = "is weighted", "log masses"
APART = {
    "other rows left after gaps": (
        Side(normal(), **csv([3, 4, 5, 6, 7, 8], drop_missing=True)),
        Side(normal(), **csv([0, 1, 2, 6, 7, 8], drop_missing=True)),
        OTHER_ROWS,
    ),
    "rows of two tables without labels": (
        Side(normal(), **csv()),
        Side(normal(), **csv(path="other.csv")),
        OTHER_ROWS,
    ),
    "other labels": (
        Side(normal(), **csv("abcdef", index="id")),
        Side(normal(), **csv("ghijkl", index="id", path="other.csv")),
        OTHER_ROWS,
    ),
    "the same rows in another order": (
        Side(normal(), **csv("abcdef", index="id")),
        Side(normal(), **csv("badcfe", index="id", path="other.csv")),
        "another order",
    ),
    "density and mass of binary values": (Side(normal(BINARY), BERNOULLI.data), BERNOULLI, MASSES),
    "density and mass of counts": (Side(normal(COUNTS), COUNT.data), COUNT, MASSES),
    "value and logarithm": (NORMAL, Side(normal(np.log(Y))), OTHER_VALUES),
    "value and standard score": (NORMAL, Side(normal((Y - Y.mean()) / Y.std())), OTHER_VALUES),
    "other outcomes under one name": (NORMAL, Side(normal(Y[::-1].copy() + 1.0)), OTHER_VALUES),
    "other outcomes of one set": (Side(several, loo_var="a"), Side(several, loo_var="b"), OTHER_VALUES),
    "one outcome given another": (
        Side(normal(name="a")),
        Side(several, loo_var="a"),
        "other data beside the observed values",
    ),
    "weights of a formula": (
        Side(shipped(bayesrun.models.formula, formula="y ~ 1"), FRAME),
        Side(shipped(bayesrun.models.formula, formula="weighted(y, w) ~ 1"), FRAME),
        WEIGHTED,
    ),
    "weights inside of a density": (
        NORMAL,
        Side(custom(lambda v, mu: WEIGHTS * pm.logp(pm.Normal.dist(mu, 1.0), v))),
        WEIGHTED,
    ),
    "weights as a parameter of a density": (
        NORMAL,
        Side(custom(lambda v, mu, w: -w * (0.9189385332046727 + (v - mu) ** 2 / 2), WEIGHTS)),
        WEIGHTED,
    ),
    "rows that are left out by truth values": (
        NORMAL,
        Side(custom(lambda v, mu: (WEIGHTS > 0.9) * pm.logp(pm.Normal.dist(mu, 1.0), v))),
        WEIGHTED,
    ),
    "a power of the likelihood": (
        NORMAL,
        Side(custom(lambda v, mu: pm.logp(pm.Normal.dist(mu, 1.0), v) / 2.0)),
        WEIGHTED,
    ),
    "a mask": (
        NORMAL,
        Side(custom(lambda v, mu: pt.switch(BINARY, pm.logp(pm.Normal.dist(mu, 1.0), v), 0.0))),
        WEIGHTED,
    ),
    "terms scaled to a larger sample": (NORMAL, Side(normal(total_size=600)), "total_size scales"),
    "a Potential that is a likelihood": (
        NORMAL,
        Side(beside(lambda mu: pt.sum((WEIGHTS - 1.0) * pm.logp(pm.Normal.dist(mu, 1.0), Y)))),
        "Potential more is a likelihood",
    ),
    "a bound that is one number": (NORMAL, Side(censored(upper=3.5)), "log masses at 1 of 6 values"),
    "other events": (
        Side(censored(upper=ENDS)),
        Side(censored(upper=np.where(BINARY == 1, Y, INF))),
        "other values of it are censored",
    ),
    "cut from below and from above": (
        Side(censored(upper=np.where(Y == 3.5, Y, INF))),
        Side(censored(lower=np.where(Y == 3.5, Y, -INF))),
        "other values of it are censored",
    ),
    "counts cut from below": (
        COUNT,
        Side(censored(lambda mu: pm.Poisson.dist(pt.exp(mu)), lower=1, values=COUNTS + 1), Dataset({"y": COUNTS + 1})),
        OTHER_VALUES,
    ),
    "events in a density of the user's own": (
        Side(lambda mu: pm.Exponential("y", pt.exp(mu), observed=Y)),
        Side(custom(lambda v, mu, seen: pt.switch(seen, mu - v * pt.exp(mu), -v * pt.exp(mu)), BINARY)),
        "of its own",
    ),
    "bounds in a draw of the user's own": (
        NORMAL,
        Side(drawn(lambda mu, size: pt.clip(pm.Normal.dist(mu, 1.0, size=size), -INF, 3.5))),
        "log masses at 1 of 6 values",
    ),
    "hurdle and density where some are zero": (
        Side(normal(ZEROS), Dataset({"y": ZEROS})),
        Side(lambda mu: pm.HurdleGamma("y", 0.5, mu=pt.exp(mu), sigma=1.0, observed=ZEROS), Dataset({"y": ZEROS})),
        "log masses at 2 of 6 values",
    ),
    "whole numbers under a density of the user's own": (
        COUNT,
        Side(custom(lambda v, mu: -((v - mu) ** 2), values=COUNTS), COUNT.data),
        "of its own",
    ),
    "rounded and exact": (
        Side(normal(COUNTS.astype(float)), COUNT.data),
        Side(drawn(lambda mu, size: pt.round(pm.Normal.dist(mu, 1.0, size=size)), values=COUNTS + 0.0), COUNT.data),
        MASSES,
    ),
    "one term for several values": (
        Side(normal(PAIRS + 0.5), Dataset({"y": PAIRS + 0.5})),
        Side(
            lambda mu: pm.MvNormal("y", pt.stack([mu, mu]), np.eye(2), observed=PAIRS + 0.5),
            Dataset({"y": PAIRS + 0.5}),
            terms=3,
        ),
        " terms, and one has ",
    ),
    "rows that the model chose and does not name": (
        Side(normal(ALIKE[:4]), Dataset({"y": ALIKE})),
        Side(normal(ALIKE[:4]), Dataset({"y": ALIKE})),
        "rows of its 4 values are not known",
    ),
}


def compare(one: Side, other: Side) -> tuple[list[Any], list[Any]]:
    sides = {"one": one, "other": other}
    fits = [side.fitted(label) for label, side in sides.items()]
    return loo_comparisons(fits, lambda key: tree(sides[key].terms))


@pytest.mark.parametrize(("one", "other"), COMPARED.values(), ids=COMPARED)
def test_what_is_about_the_same_is_compared(one: Side, other: Side) -> None:
    for pair in ((one, other), (other, one)):
        (found,), apart = compare(*pair)
        assert set(found.frame.index) == {"one", "other"}
        assert apart == []


@pytest.mark.parametrize(("one", "other", "reason"), APART.values(), ids=APART)
def test_what_is_about_something_else_stands_apart_with_the_reason(one: Side, other: Side, reason: str) -> None:
    for pair in ((one, other), (other, one)):
        comparisons, apart = compare(*pair)
        assert comparisons == []
        assert any(reason in part.reason for part in apart)


def test_labels_that_a_model_permutes_are_rows_in_another_order() -> None:
    data = Dataset({"y": ALIKE}, {"y": ("obs",)}, {"obs": tuple("abcdef")})

    def build(labels: str) -> Callable[[Dataset], pm.Model]:
        def made(data: Dataset) -> pm.Model:
            with pm.Model(coords={"obs": list(labels)}) as model:
                pm.Normal("y", pm.Normal("mu"), 1.0, observed=data["y"], dims="obs")
            return model

        return made

    def about(labels: str) -> Any:
        return observed_of(build(labels), build(labels)(data), data)

    assert about("abcdef") == about("abcdef")
    assert about("cbadef").labels != about("abcdef").labels
    assert about("cbadef").members == about("abcdef").members


def test_rows_that_a_model_chose_are_known_by_its_labels() -> None:
    data = Dataset({"y": ALIKE})

    def build(data: Dataset) -> pm.Model:
        with pm.Model(coords={"kept": ["r1", "r2", "r5", "r6"]}) as model:
            pm.Normal("y", pm.Normal("mu"), 1.0, observed=data["y"][[0, 1, 4, 5]], dims="kept")
        return model

    found = observed_of(build, build(data), data)
    assert found.labels
    assert not found.reason


def test_a_likelihood_with_weights_is_named():
    with pm.Model() as model:
        mu = pm.Normal("mu")
        custom(lambda v, mu: WEIGHTS * pm.logp(pm.Normal.dist(mu, 1.0), v))(mu)
        pm.Normal("plain", mu, 1.0 / np.sqrt(WEIGHTS), observed=Y)
    assert weighted_likelihoods(model) == ["y"]


def test_terms_that_a_hook_weights_stand_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    def plain(model: pm.Model, data: Dataset) -> dict[str, Any]:
        return {"y": pm.logp(pm.Normal.dist(model["mu"], 1.0), data["y"])}

    def hooked(pointwise: Any) -> Any:
        module = types.ModuleType("hooked")
        module.pointwise = pointwise  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "hooked", module)

        def build(data: Dataset) -> pm.Model:
            with pm.Model() as model:
                pm.Normal("y", pm.Normal("mu"), 1.0, observed=data["y"])
            return model

        build.__module__ = "hooked"
        return observed_of(build, build(Dataset({"y": Y})), Dataset({"y": Y}))

    assert not hooked(plain).reason
    assert "weighted" in hooked(lambda model, data: {"y": WEIGHTS * plain(model, data)["y"]}).reason
    assert not hooked(lambda model, data: 1 / 0).reason  # the fit says what is wrong with it
