"""Every distribution of PyMC generates data as PyMC draws them, or is refused for a true reason."""

import functools

import numpy as np
import pymc as pm
import pytensor
import pytest
from scipy import stats

from bayesrun.simulate.programs import MODE, plain
from bayesrun.simulate.simulator import refusal, simulator
from bayesrun.types import Dataset
from distribution_table import ALIASES, BASES, ROWS, hanging_on

DRAWS = 40
MANY = 300
SIGNIFICANT = 1e-5  # of several hundred tests whose seeds are fixed
ENTRIES = 4
"""Values of a variable that are compared one by one."""
WHOLE_BY_ITSELF = {"WishartBartlett", "LKJCorr", "LKJCholeskyCov", "ICAR"}
"""Distributions whose parameters alone say the shape."""
pytestmark = [
    pytest.mark.filterwarnings("ignore:RandomVariable Ops will stop hiding:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Calling a RandomVariable without:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:pytensor.tensor.linalg.trace is deprecated:FutureWarning"),
    pytest.mark.filterwarnings("ignore:Input has data type int64:FutureWarning"),
    pytest.mark.filterwarnings("ignore:WishartBartlett is deprecated:FutureWarning"),
    pytest.mark.filterwarnings("ignore:No safe default transform found for Mixture"),
]


def test_every_distribution_has_a_row():
    known = {row.name for row in ROWS} | set(ALIASES) | BASES
    assert set(pm.distributions.__all__) <= known
    assert all(issubclass(getattr(pm, other), getattr(pm, name)) for other, name in ALIASES.items())


def test_every_distribution_has_parameters_of_two_forms():
    forms = {row.name: {other.form for other in ROWS if other.name == row.name} for row in ROWS}
    single = {name for name, found in forms.items() if len(found) == 1}
    assert single == {  # those that have no vector of parameters, or no number
        "EulerMaruyama", "Flat", "HalfFlat", "ICAR", "Interpolated", "LKJCholeskyCov", "LKJCorr", "MatrixNormal",
        "MvGaussianRandomWalk", "MvStudentTRandomWalk", "RandomWalk", "Wishart", "WishartBartlett",
    }  # fmt: skip


def _same(value):
    return value


def outcome(row, data, *, hanging=False):
    """The distribution observed, with constants as parameters or with what hangs on a free variable."""
    with pm.Model() as model:
        t = pm.Normal("t", 0.0, 1.0)
        create = functools.partial(getattr(pm, row.name), "y")
        row.make(create, hanging_on(t) if hanging else _same, observed=data["y"])
    return model


def latent(row, data, *, hanging=False):
    """The distribution as a prior, with an outcome that follows from it."""
    with pm.Model() as model:
        t = pm.Normal("t", 0.0, 1.0)
        create = functools.partial(getattr(pm, row.name), "x")
        shape = {} if row.name in WHOLE_BY_ITSELF else {"shape": row.shape}
        found = row.make(create, hanging_on(t) if hanging else _same, **shape)
        first = found[0] if isinstance(found, tuple) else found
        pm.Normal("y", first.sum(), 1.0, observed=data["y"])
    return model


def dataset(shape):
    """Values of some shape that nobody may write to, as they come from another process."""
    y = np.arange(1.0, 1.0 + np.prod(shape)).reshape(shape)
    y.flags.writeable = False
    return Dataset({"y": y}, dims={"y": tuple(f"dim{axis}" for axis in range(y.ndim))})


def by_pymc(model, name, draws):
    with plain():
        return np.asarray(pm.draw(model[name], draws, mode=MODE, random_seed=1))


def same_distribution(found, wanted):
    """Hold draws against others: entries one by one, their sum, and the product of two neighbours."""
    assert found.shape[1:] == wanted.shape[1:]
    a, b = (values.reshape(len(values), -1).astype(float) for values in (found, wanted))
    columns = [(a[:, i], b[:, i]) for i in range(min(ENTRIES, a.shape[1]))]
    columns += [(a.sum(axis=1), b.sum(axis=1)), (a[:, 0] * a[:, -1], b[:, 0] * b[:, -1])]
    for x, y in columns:
        digits = 9  # sums that are constant differ by rounding only
        assert stats.ks_2samp(x.round(digits), y.round(digits)).pvalue > SIGNIFICANT


def check_outcome(row, draws, *, hanging):
    """Compare data that a row generates with draws of PyMC, and its density at them with SciPy's or PyMC's."""
    data = dataset(row.shape)
    build = functools.partial(outcome, row, hanging=hanging)
    if row.refused:
        (reason,) = refusal(build, data)
        assert reason.startswith("y ")
        assert row.refused in reason
        return
    ready = simulator(build, data)
    found = [ready.draw(seed) for seed in range(draws)]
    assert not any("cannot be" in one.degenerate or "not finite" in one.degenerate for one in found)
    same_distribution(np.array([one.dataset["y"] for one in found]), by_pymc(ready.model, "y", 4 * draws))
    density = ready._compiled.density
    if row.density is None and density is None:
        assert row.name in {"CustomDist", "Simulator", "Interpolated"}
        return
    for one in found[:3]:
        at = {"y": one.dataset["y"], "t": one.truth["t"]}
        own = density(0, at)["y"].sum()
        assert np.isclose(own, _wanted(row, one), rtol=1e-6, atol=1e-8)


def _wanted(row, one):
    if row.density is not None:
        return np.sum(row.density(one.dataset["y"]))
    with plain():
        again = outcome(row, one.dataset)
        function = pytensor.function(
            again.value_vars, again.logp(vars=again.observed_RVs), mode=MODE, on_unused_input="ignore"
        )
        return float(function(one.truth["t"]))


def check_latent(row, draws, *, hanging):
    """Compare truth that a row generates with draws of PyMC."""
    data = dataset((5,))
    build = functools.partial(latent, row, hanging=hanging)
    if row.refused:
        assert any(reason.startswith("x ") and row.refused in reason for reason in refusal(build, data))
        return
    ready = simulator(build, data)
    truths = np.array([ready.draw(seed).truth["x"] for seed in range(draws)])
    same_distribution(truths, by_pymc(ready.model, "x", 4 * draws))


OUTCOMES = [row for row in ROWS if row.outcome]
LATENT = [row for row in ROWS if row.latent]


ONE_OF_EACH = list({row.name: row for row in sorted(OUTCOMES, key=lambda row: not row.refused)}.values())
"""The last row of each distribution that draws, which is that of vectors."""


@pytest.mark.parametrize("row", ONE_OF_EACH, ids=lambda row: row.label)
def test_outcomes(row):
    check_outcome(row, DRAWS, hanging=False)


@pytest.mark.slow
@pytest.mark.parametrize("row", OUTCOMES, ids=lambda row: row.label)
def test_outcomes_of_every_form(row):
    check_outcome(row, MANY, hanging=False)


@pytest.mark.parametrize("row", [row for row in LATENT if not row.outcome], ids=lambda row: row.label)
def test_priors_that_are_no_outcome(row):
    check_latent(row, DRAWS, hanging=False)


@pytest.mark.slow
@pytest.mark.parametrize("row", OUTCOMES, ids=lambda row: row.label)
def test_outcomes_whose_parameters_hang_on_others(row):
    check_outcome(row, MANY, hanging=True)


@pytest.mark.slow
@pytest.mark.parametrize("hanging", [False, True], ids=["constants", "hanging"])
@pytest.mark.parametrize("row", LATENT, ids=lambda row: row.label)
def test_priors(row, hanging):
    check_latent(row, MANY, hanging=hanging)
