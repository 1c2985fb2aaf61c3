"""What a distribution refuses to draw is no failure of a prior predictive; what raises in code of the user is one."""

import dataclasses

import pymc as pm
import pytensor.tensor as pt
import pytest
from pytensor.compile.ops import wrap_py
from pytensor.raise_op import Assert

from bayesrun.types import Target
from bayesrun.work.attempts import Attempts
from bayesrun.work.case import Case
from bayesrun.work.fit import fits, ready
from bayesrun.work.steps import do_steps
from tiny_models import DATA, NO_STEPS, spec

pytestmark = [
    pytest.mark.usefixtures("interpreted"),
    pytest.mark.filterwarnings("ignore:RandomVariable Ops will stop hiding:DeprecationWarning"),  # PyMC's own calls
    pytest.mark.filterwarnings("ignore:Calling a RandomVariable without an explicit rng:DeprecationWarning"),
]

PRIOR = dataclasses.replace(NO_STEPS, prior_predictive=True, prior_draws=200)


@wrap_py(itypes=[pt.dscalar], otypes=[pt.dscalar])
def broken(value):
    """An op of a user's."""
    raise ValueError(f"lam value too large: {value}")


def _raising(*_, rng=None, size=None):
    raise ValueError("my own random")


def _truncated(theta):
    counts = pm.NegativeBinomial.dist(mu=pm.math.exp(5.0 * theta - 8.0), alpha=1.0)
    pm.Truncated("z", counts, lower=1, max_n_steps=20, observed=[1, 2])


OUTCOMES = {
    "truncated": _truncated,
    "hurdle": lambda theta: pm.HurdleNegativeBinomial(
        "z", psi=0.6, mu=pm.math.exp(5.0 * theta - 9.0), alpha=1.0, max_n_steps=20, observed=[0, 1, 2]
    ),
    "bounds": lambda theta: pm.DiscreteUniform("z", 0, pm.math.round(5.0 * theta), observed=[0, 0]),
    "urn": lambda theta: pm.HyperGeometric("z", N=5, k=6 + pt.cast(theta**2, "int64"), n=3, observed=[1, 2]),
    "count": lambda theta: pm.Poisson("z", pm.math.exp(theta), observed=[1, 2]),
    "op": lambda theta: pm.Poisson("z", broken(theta), observed=[1, 2]),
    "assertion": lambda theta: pm.Normal("z", Assert("mine")(theta, pt.lt(theta, 0.1)), observed=[1.0]),
    "random": lambda theta: pm.CustomDist(
        "z", theta, logp=lambda v, t: -((v - t) ** 2), random=_raising, observed=[1.0]
    ),
    "simulator": lambda theta: pm.Simulator("z", _raising, theta, observed=[1.0, 2.0]),
}


def build(data, kind):
    """theta ~ N(0, 1), and an outcome that cannot be drawn."""
    with pm.Model() as model:
        theta = pm.Normal("theta")
        pm.Deterministic("double", 2.0 * theta)
        OUTCOMES[kind](theta)
    return model


def absent(kind: str) -> Attempts:
    asked = spec(model=Target("tiny", f"{__name__}.build", {"kind": kind}), steps=PRIOR)
    case, attempt = Case(asked, DATA), Attempts()
    ((_, found),) = fits([case])
    do_steps(ready(found, case), case, asked.steps, attempt)
    assert ("prior_predictive" in found.tree.children) is ("prior_predictive" not in attempt.absent)
    return attempt


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        ("truncated", "Truncation did not converge in 20 steps"),
        ("hurdle", "Truncation did not converge in 20 steps"),
        ("bounds", "Domain error in arguments"),
        ("urn", "nbad < 0"),
    ],
)
def test_parameters_that_a_distribution_refuses_are_no_failure(kind, why):
    attempt = absent(kind)
    gone = attempt.absent["prior_predictive"]
    assert gone.kind == "cannot"
    assert gone.why.startswith(f"z cannot be drawn at some parameters that the prior allows: {why}")
    assert gone.why.endswith("; narrower priors leave these out")
    assert not attempt.traceback


@pytest.mark.parametrize("kind", ["op", "assertion", "random", "simulator"])
def test_what_raises_in_code_of_the_user_is_a_failure(kind):
    attempt = absent(kind)
    assert attempt.absent["prior_predictive"].kind == "failed"
    assert "Error" in attempt.traceback


def test_a_model_whose_prior_is_drawn_lacks_nothing():
    assert not absent("count").absent
