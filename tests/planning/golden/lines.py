"""A line, as someone writes one who borrows the checks of the shipped models."""

import pymc as pm

from bayesrun.models.inputs import number, obs_labels, positive
from bayesrun.types import Dataset, Role

DATA = {"y": Role("real", "outcome"), "x": Role("real", "predictor")}


def build(data: Dataset, *, slope_sigma: float = 1.0, intercept_mean: float = 0.0) -> pm.Model:
    with pm.Model(coords={"obs": obs_labels(data, "y")}) as model:
        a = pm.Normal("a", number("intercept_mean", intercept_mean), 5.0)
        b = pm.Normal("b", 0.0, positive("slope_sigma", slope_sigma))
        s = pm.HalfNormal("s", 2.0)
        pm.Normal("y_obs", a + b * data["x"], s, observed=data["y"], dims="obs")
    return model
