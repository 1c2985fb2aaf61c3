"""Models whose draws take little, and what follows from them much: numbers of many rows, or large matrices."""

from pathlib import Path

import numpy as np
import pymc as pm

from bayesrun.types import Dataset


def rows(data: Dataset) -> pm.Model:
    """Two numbers, and a Deterministic for each row."""
    with pm.Model(coords={"obs": range(len(data["y"]))}) as model:
        level, slope = pm.Normal("level"), pm.Normal("slope")
        mean = pm.Deterministic("mean", level + slope * data["x"], dims="obs")
        pm.Normal("y", mean, 1.0, observed=data["y"], dims="obs")
    return model


def process(data: Dataset) -> pm.Model:
    """A Gaussian process that is integrated out."""
    with pm.Model() as model:
        length, height, noise = (
            pm.InverseGamma("length", 5.0, 5.0),
            pm.HalfNormal("height", 2.0),
            pm.HalfNormal("noise"),
        )
        found = pm.gp.Marginal(cov_func=height**2 * pm.gp.cov.Matern52(1, ls=length))
        found.marginal_likelihood("y", X=data["x"][:, None], y=data["y"], sigma=noise)
    return model


def table(path: Path, count: int) -> Path:
    """Write a table of so many rows."""
    rng = np.random.default_rng(1)
    x = np.linspace(0.0, 10.0, count)
    lines = (f"{a:.4f},{b:.4f}" for a, b in zip(x, np.sin(x) + rng.normal(0.0, 0.3, count), strict=True))
    path.write_text("\n".join(["x,y", *lines]) + "\n")
    return path
