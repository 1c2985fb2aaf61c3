"""What two builds make anew is the same where it does the same, and another one where it holds other numbers."""

import functools

import numpy as np
import pymc as pm
import pytensor
import pytensor.tensor as pt
import pytest
from pymc.pytensorf import collect_default_updates
from pytensor.compile.ops import wrap_py
from pytensor.graph.basic import Apply
from pytensor.graph.op import Op

from bayesrun.simulate.alike import from_data

N = 4
FIRST, SECOND = np.linspace(-1.0, 1.0, N), np.linspace(-2.0, 3.0, N)
X = np.linspace(0.0, 1.0, N)


def closing_over(values):
    @wrap_py(itypes=[pt.dscalar], otypes=[pt.dvector])
    def curve(theta):
        return theta * values

    return curve


def with_a_default(values):
    @wrap_py(itypes=[pt.dscalar], otypes=[pt.dvector])
    def curve(theta, values=values):
        return theta * values

    return curve


def by_a_helper(values):
    def helper(theta):
        return theta * values

    @wrap_py(itypes=[pt.dscalar], otypes=[pt.dvector])
    def curve(theta):
        return helper(theta)

    return curve


def bound(values):
    return wrap_py(itypes=[pt.dscalar], otypes=[pt.dvector])(_Curve(values).at)


class _Curve:
    def __init__(self, values):
        self.values = values

    def at(self, theta):
        return theta * self.values


class Held(Op):
    """An op that holds numbers, and has no equality."""

    def __init__(self, values):
        self.values = values

    def make_node(self, theta):
        return Apply(self, [pt.as_tensor(theta)], [pt.dvector()])

    def perform(self, node, inputs, outputs):
        outputs[0][0] = inputs[0] * self.values


def local_class(values):
    class Local(Op):
        def make_node(self, theta):
            return Apply(self, [pt.as_tensor(theta)], [pt.dvector()])

        def perform(self, node, inputs, outputs):
            outputs[0][0] = inputs[0] * values

    return Local()


def _model(op):
    with pm.Model() as model:
        theta = pm.Normal("theta", 0.0, 1.0)
        pm.Normal("y", op(theta), 1.0, observed=FIRST)
    return model


@pytest.mark.parametrize("make", [closing_over, with_a_default, by_a_helper, bound, Held, local_class])
def test_ops_that_are_made_in_each_build(make):
    assert from_data(_model(make(X)), _model(make(X.copy()))) == []
    assert from_data(_model(make(X)), _model(make(X + 1.0))) == ["y"]


def _recursive(values):
    def at(theta, times=2):
        return theta * values if times == 0 else at(theta, times - 1)

    return wrap_py(itypes=[pt.dscalar], otypes=[pt.dvector])(lambda theta: at(theta))


def test_a_function_that_holds_itself():
    assert from_data(_model(_recursive(X)), _model(_recursive(X.copy()))) == []
    assert from_data(_model(_recursive(X)), _model(_recursive(X + 1.0))) == ["y"]


def _custom(y, **how):
    with pm.Model() as model:
        theta = pm.Normal("theta", 0.0, 1.0)
        pm.CustomDist("y", theta, **how, observed=y)
    return model


def _random(theta, rng=None, size=None):
    return rng.normal(theta, 1.0, size)


def _density(scale):
    def logp(value, theta):
        return pm.logp(pm.Normal.dist(theta, scale), value)

    return logp


def test_a_density_with_other_numbers_than_the_draws():
    same = [_custom(y, random=_random, logp=_density(1.0)) for y in (FIRST, SECOND)]
    assert from_data(*same) == []
    other = [_custom(y, random=_random, logp=_density(y.std())) for y in (FIRST, SECOND)]
    assert from_data(*other) == ["y"]


def _simulator(y, *, fn=None, **how):
    def simulate(rng, theta, size=None):
        return rng.normal(theta, 1.0, size)

    with pm.Model() as model:
        theta = pm.Normal("theta", 0.0, 1.0)
        pm.Simulator("y", fn or simulate, theta, observed=y, **how)
    return model


@pytest.mark.filterwarnings("ignore:RandomVariable Ops will stop hiding:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:Calling a RandomVariable without:DeprecationWarning")
@pytest.mark.parametrize(
    "how",
    [
        lambda number: {"sum_stat": "sort", "epsilon": number},
        lambda number: {"sum_stat": functools.partial(_statistic, number=number)},
        lambda number: {"distance": lambda epsilon, observed, simulated: -number * (observed - simulated) ** 2},
        lambda number: {"fn": lambda rng, theta, size=None: rng.normal(theta, number, size)},
    ],
)
def test_simulators(how):
    assert from_data(_simulator(FIRST, **how(1.0)), _simulator(SECOND, **how(1.0))) == []
    assert from_data(_simulator(FIRST, **how(1.0)), _simulator(SECOND, **how(2.0))) == ["y"]


def _statistic(x, number=1.0):
    return number * x


def _looping(y, nu):
    def dist(theta, size):
        def step(before):
            after = pm.StudentT.dist(nu=nu, mu=before, sigma=1.0)
            return after, collect_default_updates([after])

        steps, _ = pytensor.scan(step, outputs_info=[theta * pt.ones(1)], n_steps=N, return_updates=True)
        return steps[:, 0]

    with pm.Model() as model:
        theta = pm.Normal("theta", 0.0, 1.0)
        pm.CustomDist("y", theta, dist=dist, observed=y)
    return model


@pytest.mark.filterwarnings("ignore:Scan return signature:DeprecationWarning")
def test_the_inside_of_a_loop():
    assert from_data(_looping(FIRST, 4.0), _looping(SECOND, 4.0)) == []
    assert from_data(_looping(FIRST, 4.0), _looping(SECOND, 5.0)) == ["y"]
