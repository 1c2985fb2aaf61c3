"""Numbers that a model works out from the values that it holds and observes are found, wherever they are made."""

import re

import pytest

import own_values_models
from bayesrun.planning.own_values import worked_out
from bayesrun.simulate.arrays import observed_values
from bayesrun.simulate.builders import bound_builder
from bayesrun.types import Dataset

GOOD = sorted(name for name in vars(own_values_models) if name.startswith("good_"))
BAD = {
    "bad_standardised": re.escape("they are worked out: (Y - Y.mean()) / Y.std()"),
    "bad_prior": r"line \d+ uses them otherwise: mu = pm\.Normal\('mu', 0\.0, 2\.5 \* Y\.std\(\)\)",
    "bad_module_level": r"line \d+ uses them otherwise: CENTRE = Z\.mean\(\)",
    "bad_lagged": r"line \d+ uses them otherwise: pm\.Normal\('y_obs', rho \* Y\[:-1\]",
    "bad_within_graph": r"line \d+ uses them otherwise: mu = pm\.Normal\('mu', y\.mean\(\), 2\.0\)",
    "bad_zscore": r"they come from stats\.zscore\(np\.array\(\[1\.0, 2\.0, 5\.0\]\)\), which may be worked out",
    "bad_column": r"line \d+ uses them otherwise: b = pm\.Normal\('b', 0\.0, TABLE\.y\.std\(\)\)",
    "bad_summary": r"line \d+ uses them otherwise: b = pm\.Normal\('b', 0\.0, TABLE\.std\(\)\['y'\]\)",
    "bad_two_readings": r"a number of the model, 1\.35, is their mean",
    "bad_helper": r"they come from _loaded\(\), which may be worked out",
    "bad_loop": "its text has no one place that names it and what it observes",
}


def reasons(name: str) -> list[str]:
    function = getattr(own_values_models, name)
    model = bound_builder(function, {})(Dataset({}))
    return worked_out(function, model, observed_values(model))


@pytest.mark.parametrize("name", GOOD)
def test_values_that_are_observed_and_nothing_else_are_let_through(name):
    assert reasons(name) == []


@pytest.mark.parametrize("name", BAD)
def test_numbers_that_are_worked_out_are_named(name):
    told = reasons(name)
    assert len(told) == len(set(told))
    assert all(line.startswith("y") and "hand the data over" in line for line in told)
    assert re.search(BAD[name], told[0]), told[0]
