"""Why chains disagree: each trouble is planted in made-up draws, beside a healthy twin that gets no such word."""

import numpy as np
import pytest
import xarray as xr

from bayesrun.statistics.convergence import summarise
from bayesrun.statistics.modes import chain_modes, drifting, switching

SHAPE = (4, 500)
ORDERS = ((0, 1, 2), (2, 0, 1), (0, 1, 2), (1, 0, 2))


def noise(seed, *more):
    return np.random.default_rng(seed).standard_normal((*SHAPE, *more))


def slow(seed, rho, *more):
    """Draws of an autoregression: the closer rho is to 1, the slower."""
    x = noise(seed, *more)
    for t in range(1, SHAPE[1]):
        x[:, t] = rho * x[:, t - 1] + np.sqrt(1 - rho**2) * x[:, t]
    return x


def rhat(draws):
    return summarise(draws).rhat


def mixture(seed=1, orders=ORDERS, within=True):
    """Means, SDs and weights of a mixture of three, whose chains have the components in some orders."""
    rng = np.random.default_rng(seed)
    parts = {
        "mu": np.array([-4.0, 0.0, 5.0]) + 0.3 * noise(seed, 3),
        "sd": np.array([1.0, 2.0, 0.5]) * np.exp(0.1 * noise(seed + 1, 3)),
        "w": rng.dirichlet([30, 20, 10], SHAPE),
    }
    for name, values in parts.items():
        switched = np.stack([values[chain][:, order] for chain, order in enumerate(orders)])
        if within:
            switched[2, 250:] = switched[2, 250:][:, [1, 0, 2]]
        parts[name] = switched
    return parts


def posterior(parts, dim="component", **scalars):
    dims = {name: ("chain", "draw", dim or f"{name}_dim_0") for name in parts}
    own = {name: (dims[name], values) for name, values in parts.items()}
    return xr.Dataset(own | {name: (("chain", "draw"), values) for name, values in scalars.items()})


def largest(draws):
    found = {}
    for name, array in draws.data_vars.items():
        values = array.values.reshape(*SHAPE, -1)
        found[str(name)] = float(rhat(np.moveaxis(values, 2, 0)).max())
    return found


@pytest.mark.parametrize("dim", ["component", ""])
@pytest.mark.parametrize("within", [True, False])
def test_labels_that_switch_are_recognised(dim, within):
    draws = posterior(mixture(within=within), dim, nu=noise(7))
    found = switching(draws, largest(draws))
    assert found is not None
    assert found.variables[0] == "mu"  # the variable that tells them apart best
    assert set(found.variables) == {"mu", "sd", "w"}
    assert found.components == 3
    assert found.before > 1.5
    assert found.after < 1.02


def test_components_of_several_numbers_each_are_put_in_order_together():
    centres = np.array([[-5.0, 1.0], [5.0, 1.1]]) + 0.3 * noise(3, 2, 2)
    centres[1] = centres[1][:, ::-1]
    draws = xr.Dataset({"centre": (("chain", "draw", "cluster", "axis"), centres)})
    found = switching(draws, {"centre": float(rhat(np.moveaxis(centres.reshape(*SHAPE, 4), 2, 0)).max())})
    assert found is not None
    assert found.components == 2


@pytest.mark.parametrize(
    ("labels", "of_data", "switches"),
    [
        ([0, 1, 2], {("age", "bmi", "sbp")}, True),
        (["low", "middle", "high"], {("age", "bmi", "sbp")}, True),
        (["age", "bmi", "sbp"], {("age", "bmi", "sbp")}, False),
        ([2019, 2020, 2021], {("2019", "2020", "2021")}, False),
    ],
)
def test_what_the_data_have_labels_of_is_not_exchangeable(labels, of_data, switches):
    """Three predictors in mirrored modes are in an order of their values too."""
    draws = posterior(mixture(within=False)).assign_coords(component=labels)
    assert (switching(draws, largest(draws), of_data) is not None) is switches
    values = np.moveaxis(draws["mu"].values, 2, 0)
    assert chain_modes(values, rhat(values)) == [0, 1, 0, 2]


def test_one_order_in_all_chains_is_no_switching():
    draws = posterior(mixture(orders=((0, 1, 2),) * 4, within=False))
    assert switching(draws, largest(draws)) is None
    moved = draws.assign(mu=draws["mu"] + xr.DataArray([0.0, 0.0, 2.0, 0.0], dims="chain"))
    assert switching(moved, largest(moved)) is None


def test_where_something_else_disagrees_too_it_is_not_the_order_alone():
    draws = posterior(mixture(), nu=noise(7) + np.array([0.0, 3.0, 0.0, 3.0])[:, None])
    assert switching(draws, largest(draws)) is None


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("rho", [0.99, 0.999])
def test_slow_chains_are_slow_and_nothing_else(rho, seed):
    draws = posterior({"theta": slow(seed, rho, 6)}, "school")
    values = np.moveaxis(draws["theta"].values, 2, 0)
    assert rhat(values).max() > 1.1
    assert drifting(values, rhat(values))
    assert chain_modes(values, rhat(values)) == []
    assert switching(draws, largest(draws)) is None


def test_modes_are_told_from_slow_chains():
    draws = np.stack([noise(1) + np.array([0.0, 30.0, 0.0, -30.0])[:, None], noise(2)])
    assert chain_modes(draws, rhat(draws)) == [0, 1, 0, 2]
    assert drifting(draws, rhat(draws)) == []


def test_chains_that_agree_are_asked_nothing():
    draws = np.moveaxis(noise(4, 10), 2, 0)
    assert chain_modes(draws, rhat(draws)) == []
    assert drifting(draws, rhat(draws)) == []
    draws = posterior({"theta": noise(4, 6)}, "school")
    assert switching(draws, largest(draws)) is None


def test_short_and_frozen_chains_raise_nothing():
    frozen = np.repeat(np.arange(4.0)[:, None], 100, axis=1)[None]
    assert chain_modes(frozen, np.array([np.inf])) == []
    assert chain_modes(frozen[..., :3], np.array([np.nan])) == []
    assert drifting(frozen[..., :3], np.array([np.inf])) == []
    still = xr.Dataset({"x": (("chain", "draw", "k"), np.repeat(frozen[0][..., None], 2, axis=2))})
    assert switching(still, {"x": np.inf}) is None
    assert switching(still, {"x": np.nan}) is None
