"""A line through data with a covariate; like many a user's module it does not say what its data are."""

import pymc as pm

from bayesrun.types import Dataset


def line(data: Dataset) -> pm.Model:
    """beta ~ N(0, 2), y ~ N(beta x, 1), with beta x as a variable of its own."""
    with pm.Model(coords={"obs": range(len(data["y"]))}) as model:
        beta = pm.Normal("beta", 0.0, 2.0)
        mu = pm.Deterministic("mu", beta * data["x"], dims="obs")
        pm.Normal("y", mu, 1.0, observed=data["y"], dims="obs")
    return model
