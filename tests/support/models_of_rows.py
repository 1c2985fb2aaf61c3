"""Models into which rows enter in many ways: by terms of their own, which padded rows take no part in, or by more."""

import numpy as np
import pymc as pm
import pytensor.tensor as pt

from bayesrun.types import Dataset

BY_THEMSELVES = {}
"""Models of which datasets of unequal length share a density."""
BY_MORE = {}
"""Models of which they do not."""


def rows(n: int, seed: int | None = None) -> Dataset:
    """Make a dataset of every kind of column."""
    rng = np.random.default_rng(n if seed is None else seed)
    x = rng.normal(size=(n, 2))
    mean = 0.3 + x @ np.array([0.8, -0.5])
    group = rng.permutation(np.arange(n) % 3)
    y = mean + 0.5 * group + 0.7 * rng.normal(size=n)
    time = np.exp(0.3 * mean + 0.4 * rng.normal(size=n))
    censored = time > 1.5
    exposure = rng.uniform(1.0, 3.0, size=n)
    return Dataset(
        {
            "y": y,
            "X": x,
            "group": group,
            "event": (rng.random(n) < 1.0 / (1.0 + np.exp(-mean))).astype(int),
            "count": rng.poisson(exposure * np.exp(0.4 * mean)),
            "exposure": exposure,
            "time": np.minimum(time, 1.5),
            "bound": np.where(censored, 1.5, np.inf),
            "censored": censored.astype(float),
            "weight": rng.uniform(0.5, 2.0, size=n),
        },
        dims={"X": ("obs", "predictor")},
        coords={"obs": tuple(range(100, 100 + n)), "predictor": ("a", "b")},
    )


def _on(models):
    def put(build):
        models[build.__name__] = build
        return build

    return put


def _coords(data):
    return {"obs": data.coords["obs"], "predictor": data.coords["predictor"]}


def _line(data):
    return pm.Normal("alpha", 0.0, 2.0) + pt.dot(data["X"], pm.Normal("beta", 0.0, 1.0, dims="predictor"))


@_on(BY_THEMSELVES)
def linear(data):
    """Its prior's scale is of the data, its mean is stored, and the data are named."""
    with pm.Model(coords=_coords(data)) as model:
        x = pm.Data("x", data["X"] - data["X"].mean(axis=0), dims=("obs", "predictor"))
        beta = pm.Normal("beta", 0.0, 2.5 * data["y"].std(), dims="predictor")
        mu = pm.Deterministic("mu", data["y"].mean() + pt.dot(x, beta), dims="obs")
        pm.Normal("y_obs", mu, pm.HalfNormal("sigma", 2.0), observed=data["y"], dims="obs")
    return model


@_on(BY_THEMSELVES)
def logistic(data):
    with pm.Model(coords=_coords(data)) as model:
        pm.Bernoulli("y_obs", logit_p=_line(data), observed=data["event"], dims="obs")
    return model


@_on(BY_THEMSELVES)
def poisson_with_exposure(data):
    with pm.Model(coords=_coords(data)) as model:
        pm.Poisson("y_obs", data["exposure"] * pt.exp(_line(data)), observed=data["count"], dims="obs")
    return model


@_on(BY_THEMSELVES)
def varying_intercepts(data):
    with pm.Model(coords=_coords(data) | {"group": ["u", "v", "w"]}) as model:
        effect = pm.Normal("effect", 0.0, pm.HalfNormal("tau", 1.0), dims="group")
        mean = effect[data["group"]] + _line(data)
        pm.Normal("y_obs", mean, pm.HalfNormal("sigma", 1.0), observed=data["y"], dims="obs")
    return model


@_on(BY_THEMSELVES)
def student_t(data):
    with pm.Model(coords=_coords(data)) as model:
        nu, sigma = pm.Gamma("nu", 2.0, 0.1), pm.HalfNormal("sigma", 1.0)
        pm.StudentT("y_obs", nu=nu, mu=_line(data), sigma=sigma, observed=data["y"], dims="obs")
    return model


@_on(BY_THEMSELVES)
def survival(data):
    with pm.Model(coords=_coords(data)) as model:
        times = pm.Weibull.dist(pm.HalfNormal("shape", 2.0), pt.exp(_line(data)))
        pm.Censored("y_obs", times, lower=None, upper=data["bound"], observed=data["time"], dims="obs")
    return model


@_on(BY_THEMSELVES)
def potential_of_each_row(data):
    """Exponential times, of which those that are censored have a survival function."""
    with pm.Model(coords=_coords(data)) as model:
        log_rate = _line(data)
        pm.Potential("terms", (1.0 - data["censored"]) * log_rate - pt.exp(log_rate) * data["time"])
    return model


@_on(BY_THEMSELVES)
def weighted(data):
    with pm.Model(coords=_coords(data)) as model:
        mean, sigma = _line(data), pm.HalfNormal("sigma", 1.0)
        pm.CustomDist(
            "y_obs",
            mean,
            sigma,
            data["weight"],
            logp=lambda y, m, s, w: w * pm.logp(pm.Normal.dist(m, s), y),
            observed=data["y"],
            dims="obs",
        )
    return model


@_on(BY_THEMSELVES)
def on_the_row_before(data):
    """An autoregression that is written as a regression."""
    with pm.Model() as model:
        mean = pm.Normal("rho", 0.0, 0.5) * data["y"][:-1]
        pm.Normal("y_obs", mean, pm.HalfNormal("sigma", 1.0), observed=data["y"][1:])
    return model


@_on(BY_MORE)
def mean_of_rows(data):
    with pm.Model(coords=_coords(data)) as model:
        x = pm.Data("x", data["X"], dims=("obs", "predictor"))
        mean = pt.dot(x - x.mean(axis=0), pm.Normal("beta", 0.0, 1.0, dims="predictor"))
        pm.Normal("y_obs", mean, 1.0, observed=data["y"], dims="obs")
    return model


@_on(BY_MORE)
def number_of_rows(data):
    with pm.Model(coords=_coords(data)) as model:
        y = pm.Data("y", data["y"], dims="obs")
        mean = pm.Normal("mean", 0.0, 1.0 / pt.sqrt(y.shape[0]))
        pm.Normal("y_obs", mean, 1.0, observed=y, dims="obs")
    return model


@_on(BY_MORE)
def latent_of_each_row(data):
    with pm.Model(coords=_coords(data)) as model:
        pm.Poisson("y_obs", pt.exp(pm.Normal("eta", 0.0, 1.0, dims="obs")), observed=data["count"], dims="obs")
    return model


@_on(BY_MORE)
def autoregression(data):
    with pm.Model(coords=_coords(data)) as model:
        rho, sigma = pm.Normal("rho", 0.0, 0.5), pm.HalfNormal("sigma", 1.0)
        start = pm.Normal.dist(0.0, 1.0)
        pm.AR("y_obs", rho=rho, sigma=sigma, ar_order=1, init_dist=start, observed=data["y"], dims="obs")
    return model


@_on(BY_MORE)
def gaussian_process(data):
    with pm.Model() as model:
        length, scale, noise = (pm.HalfNormal(name, 1.0) for name in ("length", "scale", "noise"))
        process = pm.gp.Marginal(cov_func=scale**2 * pm.gp.cov.ExpQuad(2, length))
        process.marginal_likelihood("y_obs", X=data["X"], y=data["y"], sigma=noise + 0.1)
    return model


@_on(BY_MORE)
def missing_outcomes(data):
    y = data["y"].copy()
    y[::9] = np.nan
    with pm.Model(coords=_coords(data)) as model:
        pm.Normal("y_obs", _line(data), 1.0, observed=y, dims="obs")
    return model


@_on(BY_MORE)
def weights_in_a_sum(data):
    with pm.Model(coords=_coords(data)) as model:
        terms = pm.logp(pm.Normal.dist(_line(data), 1.0), data["y"])
        pm.Potential("total", (data["weight"] * terms).sum())
    return model


@_on(BY_MORE)
def density_of_all_rows(data):
    with pm.Model(coords=_coords(data)) as model:
        pm.CustomDist("y_obs", _line(data), logp=lambda y, m: -0.5 * pt.sum((y - m) ** 2), observed=data["y"])
    return model


@_on(BY_MORE)
def explained_variance(data):
    """Its density is of rows by themselves, and what it stores is not."""
    with pm.Model(coords=_coords(data)) as model:
        mean, sigma = _line(data), pm.HalfNormal("sigma", 1.0)
        pm.Deterministic("r2", mean.var() / (mean.var() + sigma**2))
        pm.Normal("y_obs", mean, sigma, observed=data["y"], dims="obs")
    return model


@_on(BY_MORE)
def by_rank(data):
    """The largest rows count twice."""
    with pm.Model(coords=_coords(data)) as model:
        mean = _line(data)
        pm.Normal("y_obs", mean, 1.0, observed=data["y"], dims="obs")
        pm.Potential("largest", -0.1 * pt.sort(mean**2)[-5:].sum())
    return model
