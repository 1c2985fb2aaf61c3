"""Models that hold what they observe, some of which work numbers out from it; named by whether they do."""

import functools
from pathlib import Path

import numpy as np
import pandas as pd
import pymc as pm
from scipy import stats

Y = np.array([1.2, 0.4, -0.3, 2.2, 1.9, 0.8, 1.1, -0.5])
X = np.linspace(-1.0, 1.0, 8)
TABLE = pd.DataFrame({"x": X, "y": [1.25, 0.45, -0.35, 2.25, 1.95, 0.85, 1.15, -0.55]})
Z = np.array([3.1, 4.5, 2.2, 5.9])
CENTRE = Z.mean()
W = np.array([3.3, 4.7, 2.4, 6.1])
FILE = Path(__file__).parent / "own_values.csv"


def good_global():
    with pm.Model(coords={"obs": range(len(Y))}) as model:
        mu = pm.Normal("mu", 0.0, 2.0)
        pm.Normal("y_obs", mu, 1.0, observed=Y, dims="obs")
    return model


def good_data(data, *, scale: float = 2.0):
    with pm.Model() as model:
        y = pm.Data("outcome", Y)
        x = pm.Data("x", X)
        mu = pm.Normal("mu", 0.0, scale)
        pm.Normal("y_obs", mu + 0.5 * x, 1.0, observed=y, shape=y.shape)
    return model


def good_table():
    with pm.Model(coords={"row": TABLE.index}) as model:
        b = pm.Normal("b", 0.0, 2.0)
        pm.Normal("y_obs", b * TABLE["x"].to_numpy() + 0 * TABLE.x.mean(), 1.0, observed=TABLE["y"], dims="row")
    return model


def good_file():
    df = pd.read_csv(FILE)
    with pm.Model() as model:
        b = pm.Normal("b", 0.0, df["x"].std())
        pm.Normal("y_obs", b * df["x"].to_numpy(), 1.0, observed=df["y"].to_numpy())
    return model


def good_inline():
    with pm.Model() as model:
        p = pm.Beta("p", 1.0, 1.0)
        pm.Bernoulli("y_obs", p, observed=[0, 1, 1, 0, 1])
    return model


def _scaled(scale: float = 1.0):
    with pm.Model() as model:
        mu = pm.Normal("mu", 0.0, scale)
        pm.Normal("y_obs", mu, 1.0, observed=Y)
    return model


good_partial = functools.partial(_scaled, scale=3.0)


def good_log():
    with pm.Model() as model:
        mu = pm.Normal("mu", 0.0, 2.0)
        pm.Normal("y_obs", mu, 1.0, observed=np.log(np.array([1.0, 2.0, 5.0, 3.0]) / 2.0))
    return model


def good_counts():
    counts = np.array([0, 3, 2, 5])
    with pm.Model() as model:
        n = pm.Data("counts", counts)
        rate = pm.Gamma("rate", 2.0, 1.0)
        pm.Poisson("y_obs", rate, observed=n, shape=n.shape)
    return model


def bad_standardised():
    y = (Y - Y.mean()) / Y.std()
    with pm.Model() as model:
        mu = pm.Normal("mu", 0.0, 2.0)
        pm.Normal("y_obs", mu, 1.0, observed=y)
    return model


def bad_prior():
    with pm.Model() as model:
        mu = pm.Normal("mu", 0.0, 2.5 * Y.std())
        pm.Normal("y_obs", mu, 1.0, observed=Y)
    return model


def bad_module_level():
    with pm.Model() as model:
        mu = pm.Normal("mu", CENTRE, 2.0)
        pm.Normal("y_obs", mu, 1.0, observed=Z)
    return model


def bad_lagged():
    with pm.Model() as model:
        rho = pm.Normal("rho", 0.0, 1.0)
        pm.Normal("y_obs", rho * Y[:-1], 1.0, observed=Y[1:])
    return model


def bad_within_graph():
    with pm.Model() as model:
        y = pm.Data("outcome", Y)
        mu = pm.Normal("mu", y.mean(), 2.0)
        pm.Normal("y_obs", mu, 1.0, observed=y)
    return model


def bad_zscore():
    with pm.Model() as model:
        mu = pm.Normal("mu", 0.0, 2.0)
        pm.Normal("y_obs", mu, 1.0, observed=stats.zscore(np.array([1.0, 2.0, 5.0])))
    return model


def bad_column():
    with pm.Model() as model:
        b = pm.Normal("b", 0.0, TABLE.y.std())
        pm.Normal("y_obs", b, 1.0, observed=TABLE["y"])
    return model


def bad_summary():
    with pm.Model() as model:
        b = pm.Normal("b", 0.0, TABLE.std()["y"])
        pm.Normal("y_obs", b, 1.0, observed=TABLE["y"])
    return model


def bad_two_readings():
    with pm.Model() as model:
        b = pm.Normal("b", np.genfromtxt(FILE, delimiter=",", skip_header=1)[:, 1].mean(), 1.0)
        pm.Normal("y_obs", b, 1.0, observed=np.loadtxt(FILE, delimiter=",", skiprows=1)[:, 1])
    return model


def _loaded():
    return W - W.mean()


def bad_helper():
    with pm.Model() as model:
        b = pm.Normal("b", 0.0, 1.0)
        pm.Normal("y_obs", b, 1.0, observed=_loaded())
    return model


def bad_loop():
    with pm.Model() as model:
        b = pm.Normal("b", 0.0, 1.0)
        for i, y in enumerate((Y, X)):
            pm.Normal(f"y{i}", b, 1.0, observed=y)
    return model
