"""What is collected in a file is what PyMC collects in memory."""

import numpy as np
import pymc as pm
import pytest

from bayesrun.base.large_arrays import in_file, kept_in
from bayesrun.samplers import groups, nuts
from bayesrun.types import LEFT, SamplerOptions
from bayesrun.work.by_draw import collected
from tiny_models import DATA, build

pytestmark = pytest.mark.usefixtures("interpreted")


@pytest.fixture
def large(tmp_path, monkeypatch):
    """Every array is large."""
    monkeypatch.setattr("bayesrun.base.large_arrays.LARGE", 0)
    with kept_in(tmp_path):
        yield


def everything(draws, model):
    terms = pm.compute_log_likelihood(draws, model=model, extend_inferencedata=False, progressbar=False)
    double = pm.compute_deterministics(draws["posterior"].to_dataset(), model=model, progressbar=False)
    predicted = pm.sample_posterior_predictive(draws, model=model, random_seed=5, progressbar=False)
    return {"terms": terms["y"], "double": double["double"], "y": predicted["posterior_predictive"]["y"]}


def test_draw_by_draw_in_a_file_is_the_same(large):
    model = build(DATA)
    theta = np.random.default_rng(1).normal(size=(2, 90))
    draws = groups.tree(model, {"theta": theta}, {"lp": theta}, {})
    wanted = everything(draws, model)
    with collected():
        found = everything(draws, model)
    for name, values in wanted.items():
        assert in_file(found[name].values), name
        assert not in_file(values.values), name
        assert found[name].equals(values), name


def test_nuts_leaves_large_deterministics_for_later_and_draws_the_same(monkeypatch):
    options = SamplerOptions(draws=20, tune=20, chains=2)
    (whole,) = nuts.sample(build, [DATA], [3], options)
    monkeypatch.setattr(groups, "LARGE", 20 * 2 * 8 - 1)
    (less,) = nuts.sample(build, [DATA], [3], options)
    assert list(whole["posterior"].data_vars) == ["theta", "double"]
    assert LEFT not in whole.attrs
    assert list(less["posterior"].data_vars) == ["theta"]
    assert less.attrs[LEFT] == "double"
    np.testing.assert_array_equal(less["posterior"]["theta"], whole["posterior"]["theta"])
