"""What no graph shows is found: Python code inside ops, and builders that look at what they observe."""

import functools

import jax.numpy as jnp
import numpy as np
import pymc as pm
import pytensor
import pytensor.tensor as pt
import pytest
from pytensor import wrap_py
from pytensor.graph.basic import Apply
from pytensor.graph.op import Op
from scipy.interpolate import CubicSpline

from bayesrun.models.inputs import obs_labels
from bayesrun.planning.fingerprint import fingerprint, shown_by
from bayesrun.planning.hidden_code import ops_with_code, reads_values
from bayesrun.types import Dataset
from model_oracles import default_data, model_config
from places import CONF

SHIPPED = sorted(path.stem for path in (CONF / "model").glob("*.yaml"))
Y = np.array([0.5, 1.5, -0.3])
DATA = Dataset({"y": Y, "x": Y + 1.0}, coords={"obs": ("a", "b", "c")})


class Doubled(Op):
    """A user's op."""

    def make_node(self, x):
        return Apply(self, [pt.as_tensor(x)], [pt.dscalar()])

    def perform(self, node, inputs, outputs):
        outputs[0][0] = 2.0 * inputs[0]


@wrap_py(itypes=[pt.dscalar], otypes=[pt.dscalar])
def tripled(x):
    return 3.0 * x


def model_of(make):
    with pm.Model() as model:
        mu = pm.Normal("mu")
        make(mu)
    return model


def custom(mu, **how):
    pm.CustomDist("y", mu, observed=Y, **how)


def density(value, mu):
    return -0.5 * (value - mu) ** 2


def draws(mu, rng=None, size=None):
    return rng.normal(mu, 1.0, size)


def location(mu, size):
    return pm.Normal.dist(mu, 1.0, size=size)


def stepped(mu, inner=lambda x: x):
    steps = pytensor.scan(
        lambda last, m: 0.5 * last + inner(m), outputs_info=[pt.constant(0.0)], non_sequences=[mu], n_steps=3,
        return_updates=False,
    )  # fmt: skip
    pm.Normal("y", steps, 1.0, observed=Y)


@pytest.mark.parametrize(
    ("make", "hidden"),
    [
        (lambda mu: pm.Normal("y", tripled(mu), 1.0, observed=Y), True),
        (lambda mu: pm.Normal("y", Doubled()(mu), 1.0, observed=Y), True),
        (lambda mu: pm.Deterministic("d", tripled(mu)), True),
        (functools.partial(custom, logp=density, random=draws), True),
        (functools.partial(custom, logp=density), False),
        (functools.partial(custom, dist=location), False),
        (lambda mu: pm.Normal("y", pt.exp(mu), 1.0, observed=Y), False),
        (lambda mu: pm.Mixture("y", [0.5, 0.5], [pm.Normal.dist(mu), pm.Normal.dist(0.0, 2.0)], observed=Y), False),
        (lambda mu: pm.Censored("y", pm.Normal.dist(mu), lower=0.0, upper=None, observed=np.abs(Y)), False),
        (stepped, False),
        (functools.partial(stepped, inner=tripled), True),
    ],
)
def test_ops_that_hold_code_of_the_users(make, hidden):
    assert bool(ops_with_code(shown_by(model_of(make)).outputs)) is hidden


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_models_hold_none(name):
    import importlib

    _, target, params = model_config(name)
    module, function = target.rsplit(".", 1)
    build = getattr(importlib.import_module(module), function)
    data = default_data(name)
    assert fingerprint(build, build(data, **params), data, params).startswith("-")


def boxed(data, by=3.0):
    @wrap_py(itypes=[pt.dscalar], otypes=[pt.dscalar])
    def scaled(x):
        return by * x

    with pm.Model() as model:
        pm.Normal("y", scaled(pm.Normal("mu")), 1.0, observed=data["y"])
    return model


def test_what_a_black_box_may_have_been_made_with_counts():
    first = fingerprint(boxed, boxed(DATA), DATA, {"by": 3.0})
    assert first == fingerprint(boxed, boxed(DATA), DATA, {"by": 3.0})
    assert first != fingerprint(boxed, boxed(DATA, 4.0), DATA, {"by": 4.0})
    other = Dataset({"y": Y, "x": Y}, coords=DATA.coords)
    assert first != fingerprint(boxed, boxed(other), other, {"by": 3.0})


def inside(function):
    """Model with a function inside of an op."""
    box = wrap_py(itypes=[pt.dscalar], otypes=[pt.dscalar])(function)
    return model_of(lambda mu: pm.Normal("y", box(mu), 1.0, observed=Y))


def in_jax(table):
    box = pytensor.wrap_jax(lambda x: jnp.interp(x, X, table))
    return model_of(lambda mu: pm.Normal("y", box(mu.astype("float32")), 1.0, observed=Y))


def of_own_op(table):
    op = Doubled()
    op.table = table
    return model_of(lambda mu: pm.Normal("y", op(mu), 1.0, observed=Y))


def drawn_with(width):
    def random(mu, rng=None, size=None):
        return rng.normal(mu, width[0], size)

    return model_of(functools.partial(custom, logp=density, random=random))


def read_from(table):
    global TABLE
    TABLE = table
    return inside(interpolated)


def interpolated(x):
    return np.interp(x, X, TABLE)


X, TABLE = np.array([1.0, 2.0, 3.0]), np.zeros(3)
"""The second as in a module that reads a file when it is imported."""


@pytest.mark.parametrize(
    "make",
    [
        in_jax,
        lambda table: in_jax(jnp.asarray(table)),
        of_own_op,
        drawn_with,
        read_from,
        lambda table: inside(CubicSpline(X, table).__call__),
        lambda table: inside(functools.update_wrapper(functools.partial(np.interp, xp=X, fp=table), np.interp)),
        lambda table: inside(np.exp if table[0] > 1.0 else np.sinh),
    ],
    ids=["closure", "JAX's", "attribute", "random", "global", "spline", "partial", "library's"],
)
def test_values_that_a_black_box_holds_count(make):
    """A table that a builder reads from a file of its own is in no source, no parameter and no dataset."""
    table = np.array([1.0, 2.0, 4.0])
    first = fingerprint(observed, make(table), DATA)
    assert first == fingerprint(observed, make(table.copy()), DATA)
    assert first != fingerprint(observed, make(2.0 * table), DATA)


def observed(data):
    with pm.Model(coords={"obs": obs_labels(data, "y")}) as model:
        mu = pm.Normal("mu", 0.0, 1.0, shape=len(data["y"]))
        pm.Normal("y", mu + data["x"].mean(), 1.0, observed=data["y"], dims="obs")
    return model


def named(data):
    y = data["y"]
    with pm.Model():
        pm.Normal("y", pm.Normal("mu", shape=y.shape[0]), 1.0, observed=y)


def asked(data):
    with pm.Model():
        pm.Normal("y", pm.Normal("mu"), 1.0 if "z" in data else 2.0, observed=data["y"])


def scaled(data):
    with pm.Model():
        pm.Normal("y", pm.Normal("mu", 0.0, data["y"].std()), 1.0, observed=data["y"])


def branched(data):
    y = data["y"]
    with pm.Model():
        pm.Normal("y", pm.Normal("mu"), 2.0 if max(y) > 9 else 1.0, observed=y)


def renamed(data):
    y = data["y"]
    y = y - y.mean()
    with pm.Model():
        pm.Normal("y", pm.Normal("mu"), 1.0, observed=y)


def handed_on(data):
    return observed(data)


def by_global(data):
    global GIVEN
    GIVEN = data["y"]
    with pm.Model():
        pm.Normal("y", pm.Normal("mu"), spread_of_given(), observed=GIVEN)


def spread_of_given():
    return GIVEN.std()


def from_model(data):
    with pm.Model() as model:
        y = pm.Normal("y", pm.Normal("mu"), 1.0, observed=data["y"])
        pm.Potential("p", model.rvs_to_values[y].mean())


def started_at_its_mode(data):
    with pm.Model() as model:
        pm.Normal("y", pm.Normal("mu"), 1.0, observed=data["y"])
        model.set_initval(model["mu"], pm.find_MAP()["mu"])


def of_another_library(data, pm=pm):
    with pm.Model():
        pm.Normal("y", pm.Normal("mu"), 1.0, observed=data["y"])


def looked_up(data, name="y"):
    with pm.Model():
        pm.Normal("y", pm.Normal("mu"), 1.0, observed=data[name])


def all_of_it(data):
    total = sum(values.sum() for values in data.values())
    with pm.Model():
        pm.Normal("y", pm.Normal("mu", total), 1.0, observed=data["y"])


def my_normal(name, observed):
    return pm.Normal(name, pm.Normal("mu", observed.mean()), 1.0, observed=observed)


def own_helper(data):
    with pm.Model():
        my_normal("y", observed=data["y"])


def by_locals(data):
    with pm.Model():
        pm.Normal("y", pm.Normal("mu", locals()["data"]["y"].mean()), 1.0, observed=data["y"])


class Builder:
    def __call__(self, data):
        return observed(data)


UNNAMED = lambda data: observed(data)  # noqa: E731


@pytest.mark.parametrize("build", [observed, named, asked], ids=lambda build: build.__name__)
def test_builders_that_only_observe_do_not_read(build):
    assert not reads_values(build, {"y"})


@pytest.mark.parametrize(
    "build",
    [
        scaled,
        branched,
        renamed,
        handed_on,
        by_global,
        from_model,
        started_at_its_mode,
        of_another_library,
        looked_up,
        all_of_it,
        own_helper,
        by_locals,
        Builder(),
        lambda data: observed(data),
    ],
    ids=lambda build: getattr(build, "__name__", "Builder"),
)
def test_wherever_it_is_not_certain_they_do(build):
    assert reads_values(build, {"y"})


def test_covariates_that_are_drawn_anew_are_read():
    assert reads_values(observed, {"y", "x"})
