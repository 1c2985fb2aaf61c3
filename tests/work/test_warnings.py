"""What a fit says for people of how it was drawn, by what its sampler wrote down."""

import pytest
import xarray as xr

from bayesrun.work.case import Fitted


@pytest.mark.parametrize(
    ("attrs", "said"),
    [
        ({"guarded": 1, "lp_error": 0.0}, ()),
        (
            {"guarded": 1, "no_gradient": 7},
            ("gradient in JAX was not finite where the log density is, at 7 leapfrog steps", "sampler=nuts"),
        ),
    ],
)
def test_gradients_that_are_not_finite_are_told_where_no_guard_mends_them(attrs, said):
    warnings = Fitted(xr.DataTree.from_dict({"/": xr.Dataset(attrs=attrs)})).warnings
    assert len(warnings) == (1 if said else 0)
    for part in said:
        assert part in warnings[0]
