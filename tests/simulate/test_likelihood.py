"""The log-likelihood at the truth is that of each dataset's own model, whatever was compiled before."""

from types import SimpleNamespace

import numpy as np
import pymc as pm
import pytest
import xarray as xr
from scipy import stats

from bayesrun.simulate import parse_truth, simulator
from bayesrun.types import Dataset
from bayesrun.work import summary_columns

TRUTH = {"theta": np.array(0.3)}


def constant(data):
    """The scale is worked out from the data."""
    with pm.Model() as model:
        pm.Normal("y", pm.Normal("theta", 0.0, 1.0), float(data["y"].std()), observed=data["y"])
    return model


def constant_by_scipy(y):
    return stats.norm.logpdf(y, 0.3, y.std()).sum()


def branch(data):
    with pm.Model() as model:
        theta = pm.Normal("theta", 0.0, 1.0)
        if data["y"].mean() > 0:
            pm.Normal("y", theta, 1.5, observed=data["y"])
        else:
            pm.Laplace("y", theta, 1.5, observed=data["y"])
    return model


def branch_by_scipy(y):
    return (stats.norm if y.mean() > 0 else stats.laplace).logpdf(y, 0.3, 1.5).sum()


def censored(data):
    """Its density is derived by rules that copy the random variables above it."""
    with pm.Model() as model:
        theta = pm.Normal("theta", 0.0, 1.0)
        upper = float(data["y"].max())
        pm.Censored("y", pm.Normal.dist(theta, 1.2), lower=None, upper=upper, observed=data["y"])
    return model


def censored_by_scipy(y):
    inner = stats.norm(0.3, 1.2)
    return np.where(y >= y.max(), inner.logsf(y.max()), inner.logpdf(y)).sum()


def mixed(data):
    with pm.Model() as model:
        theta = pm.Normal("theta", 0.0, 1.0)
        parts = [pm.Normal.dist(theta, 1.0), pm.Normal.dist(theta + 2.0, float(np.ptp(data["y"])))]
        pm.Mixture("y", [0.4, 0.6], parts, observed=data["y"])
    return model


def mixed_by_scipy(y):
    parts = stats.norm.pdf(y, 0.3, 1.0), stats.norm.pdf(y, 2.3, np.ptp(y))
    return np.log(0.4 * parts[0] + 0.6 * parts[1]).sum()


def series(data):
    """Each value is given the one before it, and the first is marginal."""
    with pm.Model() as model:
        rho = pm.Normal("theta", 0.0, 1.0)
        start = pm.Normal.dist(0.0, 3.0)
        pm.AR("y", [rho], sigma=float(np.ptp(data["y"])), constant=False, init_dist=start, observed=data["y"])
    return model


def without_the_first(model, data):
    """Terms that are not the whole of the likelihood."""
    y = model.rvs_to_values[model["y"]]
    return {"y": pm.logp(pm.Normal.dist(model["theta"] * y[:-1], float(np.ptp(data["y"]))), y[1:])}


def at_truth(build, y, monkeypatch, hook=None):
    monkeypatch.setattr("bayesrun.work.summary_columns.module_constant", lambda *_: hook)
    tree = xr.DataTree.from_dict({"observed_data": xr.Dataset({"y": ("obs", y)})})
    for wing in ("summary_columns", "building"):
        monkeypatch.setattr(f"bayesrun.work.{wing}.import_target", lambda node, path: build)
    spec = SimpleNamespace(model=SimpleNamespace(path="", params={}))
    case = SimpleNamespace(spec=spec, dataset=Dataset({"y": y}), truth=TRUTH)
    return summary_columns._likelihood_at_truth(tree, case)


@pytest.mark.parametrize(
    ("build", "by_scipy"),
    [
        (constant, constant_by_scipy),
        (branch, branch_by_scipy),
        (censored, censored_by_scipy),
        (mixed, mixed_by_scipy),
    ],
)
def test_it_is_that_of_the_dataset_s_own_model(build, by_scipy, monkeypatch):
    rng = np.random.default_rng(5)
    before = len(summary_columns._likelihoods)
    for _ in range(6):
        y = rng.normal(0.0, 2.0, 7)
        assert at_truth(build, y, monkeypatch) == pytest.approx(by_scipy(y), rel=1e-10)
    assert len(summary_columns._likelihoods) <= before + 2  # one for each form, not one for each dataset


@pytest.mark.parametrize(("hook", "terms"), [(without_the_first, slice(1, None)), (None, slice(None))])
def test_it_is_the_sum_of_what_a_hook_gives_where_there_is_one(hook, terms, monkeypatch):
    """As are the draws, which it is ranked among; without a hook it is the whole density."""
    rng = np.random.default_rng(6)
    for _ in range(3):
        y = rng.normal(0.0, 2.0, 7)
        first = stats.norm(0.0, 3.0).logpdf(y[:1])
        each = np.concatenate([first, stats.norm(0.3 * y[:-1], np.ptp(y)).logpdf(y[1:])])
        assert at_truth(series, y, monkeypatch, hook) == pytest.approx(each[terms].sum(), rel=1e-10)


def test_the_values_of_a_truncated_prior_are_judged_given_those_above_it():
    """s ~ N(theta, 0.1) above 0: at theta = 50 a value of 2 has no density that double precision can tell from 0."""

    def build(data):
        with pm.Model() as model:
            theta = pm.Normal("theta", 0.0, 50.0)
            s = pm.Truncated("s", pm.Normal.dist(theta, 0.1), lower=0.0)
            pm.Normal("y", theta, s, observed=data["y"])
        return model

    base = Dataset({"y": np.array([0.1, -0.4, 1.0])})
    drawn = simulator(build, base, parse_truth({"theta": 2.0, "s": 2.1})).draw(1)
    assert float(drawn.truth["s"]) == 2.1
    assert drawn.degenerate == ""


def test_censored_data_are_not_called_degenerate_for_a_density_at_another_truth():
    """The density of values below the bound is finite at the truth that drew them, and at no other."""

    def build(data):
        with pm.Model() as model:
            theta = pm.Normal("theta", 0.0, 1e3)
            pm.Censored("y", pm.Uniform.dist(theta, theta + 1.0), lower=None, upper=1e9, observed=data["y"])
        return model

    ready = simulator(build, Dataset({"y": np.array([0.1, 0.4, 0.9])}), parse_truth({"theta": 0.0}))
    assert {ready.draw(seed).degenerate for seed in range(5)} == {""}
