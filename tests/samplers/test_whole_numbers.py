"""A whole number in a config is the number that the user wrote, in every sampler.

PyTensor stores the int 36 as int8 by default, and HalfStudentT then squares it to 16: the prior median is 2.9
instead of 27.5, without a warning.
"""

import importlib
import sys
import textwrap

import arviz as az
import numpy as np
import pytest
from scipy import integrate, optimize, stats

from bayesrun.planning.preflight import check
from bayesrun.types import Cell, SamplerOptions, Target
from bayesrun.work.fit import fit
from tiny_models import NO_STEPS, spec

SEEN, NOISE = 50.0, 1e4  # one value that says next to nothing
OPTIONS = SamplerOptions(draws=500, tune=500, chains=2, iterations=3000, learning_rate=0.05)
MODEL = """
    import numpy as np
    import pymc as pm

    def read():
        return {{"y": np.array([{seen}])}}

    def unannotated(data, sigma=36, nu=3):
        with pm.Model() as model:
            tau = pm.HalfStudentT("tau", nu=nu, sigma=sigma)
            pm.Normal("y", tau, {noise}, observed=data["y"])
        return model

    def annotated(data, sigma: float = 1.0, nu: float = 1.0):
        return unannotated(data, sigma, nu)

    def written(data, sigma=36):
        # the number is in the user's own code, where no config can convert it
        return unannotated(data, 36, 3)

    def by_hand(data):
        with pm.Model() as model:
            tau = pm.HalfStudentT("tau", nu=np.float64(3.0), sigma=np.float64(36.0))
            pm.Normal("y", tau, {noise}, observed=data["y"])
        return model
"""


@pytest.fixture(scope="module", autouse=True)
def users_module(tmp_path_factory):
    folder = tmp_path_factory.mktemp("users")
    (folder / "users_numbers.py").write_text(textwrap.dedent(MODEL.format(seen=SEEN, noise=NOISE)))
    sys.path.insert(0, str(folder))
    yield importlib.import_module("users_numbers")
    sys.path.remove(str(folder))
    sys.modules.pop("users_numbers")


def posterior_median() -> float:
    """Median under the prior's and the likelihood's densities, by quadrature."""

    def mass(upper: float) -> float:
        points = np.linspace(0.0, upper, 200_001)
        density = stats.t(3, scale=36.0).pdf(points) * stats.norm(points, NOISE).pdf(SEEN)
        return float(integrate.trapezoid(density, points))

    whole = mass(36.0 * 200)
    return float(optimize.brentq(lambda x: mass(x) / whole - 0.5, 1.0, 200.0))


def draws(builder: str, sampler: str, **params: int) -> np.ndarray:
    """Draws of tau, shape (chain, draw), the way a command makes them: checked first, then fitted."""
    cell = Cell(
        label="x",
        model=Target("mine", f"users_numbers.{builder}", params),
        data=Target("own", "users_numbers.read"),
        sampler=Target(sampler, f"bayesrun.samplers.{sampler}.sample"),
        options=OPTIONS,
    )
    found = check([cell])
    assert found.cells[0].warnings == ()
    wanted = spec(model=found.cells[0].cell.model, sampler=cell.sampler, options=OPTIONS, steps=NO_STEPS)
    return fit(wanted, found.datasets["x"]).tree["posterior"]["tau"].values


def test_the_oracle_is_the_prior():
    assert stats.t(3, scale=36.0).ppf(0.75) == pytest.approx(27.5, abs=0.05)
    assert posterior_median() == pytest.approx(27.5, abs=0.05)


@pytest.mark.parametrize("sampler", ["nuts", "numpyro"])
@pytest.mark.parametrize("builder", ["unannotated", "annotated", "written"])
def test_sampler_finds_the_median_of_an_integer_scale(builder, sampler):
    tau = draws(builder, sampler, **({} if builder == "written" else {"sigma": 36, "nu": 3}))
    error = float(az.mcse(tau, method="quantile", prob=0.5))
    assert error < 3.0
    assert abs(float(np.median(tau)) - posterior_median()) < 4 * error


@pytest.mark.parametrize("builder", ["unannotated", "annotated", "written"])
def test_advi_draws_what_it_draws_for_floats(builder):
    """Its family does not hold this posterior: the oracle is the same model with floats, under the same seed."""
    tau = draws(builder, "advi", **({} if builder == "written" else {"sigma": 36, "nu": 3}))
    np.testing.assert_allclose(tau, draws("by_hand", "advi"), rtol=1e-10)
    # and it is a scale of 36, not of 4: the log-normal of least divergence has nearly this median
    assert 15.0 < float(np.median(tau)) < 45.0


def test_a_config_number_is_a_float_where_the_builder_says_so(users_module):
    found = []
    for builder in ("annotated", "unannotated"):
        cell = Cell(
            label="x",
            model=Target("mine", f"users_numbers.{builder}", {"sigma": 36, "nu": 3}),
            data=Target("own", "users_numbers.read"),
            sampler=Target("nuts", "bayesrun.samplers.nuts.sample"),
            options=OPTIONS,
        )
        found.append(check([cell]).cells[0].cell.model.params)
    assert [[type(v) for v in params.values()] for params in found] == [[float, float], [int, int]]
