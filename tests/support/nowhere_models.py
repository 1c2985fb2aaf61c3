"""Models of which a chain may end far from where the mass is, and models with several modes that all have mass."""

import numpy as np
import pymc as pm

from bayesrun.types import Dataset

__all__ = ["N_MEAN", "N_SPREAD", "crash", "heteroscedastic", "modes", "trap"]

N_MEAN, N_SPREAD = 40, 20
"""Basis functions of the mean and of the log SD; with two scales each and two intercepts there are 66 parameters."""


def crash(seed: int = 1, rows: int = 130) -> Dataset:
    """Readings of a sensor in a crash, made up: quiet at first, then a dip and a rebound with much noise."""
    rng = np.random.default_rng(seed)
    x = np.sort(rng.uniform(0.0, 1.0, rows))
    mean = -110.0 * np.exp(-(((x - 0.35) / 0.09) ** 2)) + 45.0 * np.exp(-(((x - 0.58) / 0.1) ** 2))
    spread = 1.5 + 24.0 / (1.0 + np.exp(-(x - 0.22) / 0.02))
    return Dataset({"x": x, "y": mean + spread * rng.standard_normal(rows)}, dims={"x": ("obs",), "y": ("obs",)})


def heteroscedastic(data: Dataset) -> pm.Model:
    """Mean and log SD of y are each a Gaussian process of x in the Hilbert-space approximation."""
    with pm.Model() as model:
        mean = pm.StudentT("mean0", nu=3.0, mu=-13.0, sigma=36.0) + _process("mean", data["x"], N_MEAN)
        log_sd = pm.StudentT("spread0", nu=3.0, mu=0.0, sigma=10.0) + _process("spread", data["x"], N_SPREAD)
        pm.Normal("y", mean, pm.math.exp(log_sd), observed=data["y"])
    return model


def _process(name: str, x: np.ndarray, n_basis: int, width: float = 0.625):
    """Squared exponential on [0, 1] (Solin and Sarkka 2020, doi:10.1007/s11222-019-09886-w), not centred."""
    frequency = np.pi * np.arange(1.0, n_basis + 1.0) / (2.0 * width)
    basis = np.sin(frequency * (x[:, None] - 0.5 + width)) / np.sqrt(width)
    scale = pm.HalfStudentT(f"{name}_scale", nu=3.0, sigma=36.0)
    length = pm.InverseGamma(f"{name}_length", alpha=1.124909, beta=0.0177)
    z = pm.Normal(f"{name}_z", 0.0, 1.0, shape=n_basis)
    root = scale * (2.0 * np.pi) ** 0.25 * pm.math.sqrt(length) * pm.math.exp(-0.25 * (length * frequency) ** 2)
    return pm.math.dot(basis, root * z)


def modes(data: Dataset, weights=(0.5, 0.5), centres=(-1.0, 1.0), widths=(0.05, 0.05), size: int = 1) -> pm.Model:
    """Normal modes of some masses, alike in each of `size` coordinates; starts are in (-1, 1)."""
    with pm.Model() as model:
        x = pm.Flat("x", shape=size)
        each = [
            np.log(w) - size * np.log(s) - 0.5 * pm.math.sum(((x - c) / s) ** 2)
            for w, c, s in zip(weights, centres, widths, strict=True)
        ]
        pm.Potential("mixture", pm.math.logaddexp(*each))
        pm.Normal("y", 0.0, 1.0, observed=data["y"])
    return model


def trap(data: Dataset) -> pm.Model:
    """A mode with all of the mass, and one that a quarter of the starts fall into and that has e^-1000 of it."""
    with pm.Model() as model:
        x = pm.Flat("x")
        pm.Potential("mixture", pm.math.logaddexp(_bump(x, -0.5), _bump(x, 0.8) - 1000.0))
        pm.Normal("y", 0.0, 1.0, observed=data["y"])
    return model


def _bump(x, centre: float):
    return -0.5 * ((x - centre) / 0.02) ** 2
