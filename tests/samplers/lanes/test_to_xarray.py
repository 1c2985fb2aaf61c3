"""A tree that is cast after another one has nothing of that one but its labels."""

import numpy as np
import pymc as pm
import pytest

from bayesrun.samplers.lanes.to_xarray import Moulds

CHAINS, DRAWS = 2, 3


def build(levels):
    """`levels` are kept beside the model, which does not compute with them."""
    with pm.Model(coords={"obs": ["a", "b", "c"]}) as model:
        pm.Data("levels", levels, dims="obs")
        pm.Normal("y", pm.Normal("mu"), 1.0, observed=np.zeros(3), dims="obs")
    return model


def cast(moulds, levels, **attrs):
    arrays = {
        "posterior": {"mu": np.zeros((CHAINS, DRAWS))},
        "sample_stats": {"lp": np.zeros((CHAINS, DRAWS))},
        "log_likelihood": {"y": np.zeros((CHAINS, DRAWS, 3))},
    }
    return moulds.tree(build(np.asarray(levels)), arrays, attrs)


@pytest.mark.parametrize("levels", [[0.5, 1.5, 2.5], [3, 4, 5]])
def test_named_data_of_another_dtype_stay_what_they_are(levels):
    moulds = Moulds()
    cast(moulds, [0, 1, 2])
    found = cast(moulds, levels)["constant_data"]["levels"]
    np.testing.assert_array_equal(found.values, levels)
    assert found.dtype.kind == np.asarray(levels).dtype.kind
    assert len(moulds.made) == 1 + (found.dtype.kind == "f")


def test_attributes_of_the_first_fit_are_its_own():
    moulds = Moulds()
    first = cast(moulds, [0, 1, 2], effort=30.0, sampling_seconds=2.0)
    second = cast(moulds, [2, 1, 0], sampling_seconds=1.0)
    for group in ("posterior", "sample_stats"):
        assert first[group].attrs["effort"] == 30.0
        assert "effort" not in second[group].attrs
        assert second[group].attrs["sampling_seconds"] == 1.0
        assert set(first[group].attrs) - {"effort"} == set(second[group].attrs)
    assert len(moulds.made) == 1
