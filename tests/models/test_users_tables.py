"""Every shipped model and six families of formulas on tables of users, against statsmodels, SciPy and closed forms.

Likelihoods are held against the other package's in every row, at its estimates, which have to be their maximum with the
standard errors that the other package states: no prior pulls at that, and nothing is drawn. Draws are judged once for
many tables, and once through the command line.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
import statsmodels.formula.api as smf
import xarray as xr
from scipy import stats
from scipy.optimize import brentq, minimize
from statsmodels.miscmodels.tmodel import TLinearModel
from statsmodels.othermod.betareg import BetaModel
from statsmodels.stats.meta_analysis import combine_effects
from statsmodels.tsa.arima.model import ARIMA

from bayesrun.errors import DataError
from bayesrun.models import (
    ar1,
    formula,
    hierarchical,
    linear,
    logistic,
    meta_analysis,
    multiple_regression,
    polynomial,
    survival,
    survival_lognormal,
    varying_effects,
    varying_slopes,
)
from bayesrun.samplers import numpyro
from bayesrun.types import SamplerOptions
from command_line import bayesrun
from model_oracles import mode
from user_tables import assert_drawn, assert_maximum, given, marginal, terms

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SIZES = {"1.1": 7, "1.10": 6, "01": 1, "1": 8, "10": 9, "2": 5}
"""Wards, whose labels look like numbers, and how many people are in each."""

REORDERED = pytest.mark.parametrize("reordered", [False, True])


def people(seed: int) -> pd.DataFrame:
    """Whole numbers below 0, a large unit, truth values, labels that look like numbers; gaps in an unused column."""
    rng = np.random.default_rng(seed)
    ward = rng.permutation(np.repeat(list(SIZES), list(SIZES.values())))
    n = len(ward)
    return pd.DataFrame(
        {
            "id": [f"{i:03d}" for i in rng.permutation(n)],
            "dose": rng.integers(-3, 9, n),
            "weight": 7e4 + 9e3 * rng.standard_normal(n),
            "treated": rng.random(n) < 0.4,
            "ward": ward,
            "site": rng.choice([2, 10, 9], n),
            "hours": rng.gamma(3.0, 2.0, n),
            "remark": ["", *["NA"] * (n - 1)],
            "noise": rng.standard_normal(n),
            "luck": rng.random(n),
        }
    )


def rows(frame: pd.DataFrame, reordered: bool) -> np.ndarray:
    """The order in which a file has the rows of a table."""
    return np.random.default_rng(9).permutation(len(frame)) if reordered else np.arange(len(frame))


def predictors(frame: pd.DataFrame, reordered: bool) -> tuple[list[str], np.ndarray]:
    """Two predictors, one of them of truth values, or one alone; and their design, with a constant."""
    names = ["weight"] if reordered else ["dose", "treated"]
    return names, sm.add_constant(frame[names].astype(float).to_numpy())


def of_errors(values: np.ndarray, scale: float) -> np.ndarray:
    return stats.norm.logpdf(values, scale=scale)


@REORDERED
def test_linear(tmp_path: Path, reordered: bool) -> None:
    frame = people(1)
    names, design = predictors(frame, reordered)
    frame["y"] = 3.0 + design[:, 1:].sum(axis=1) + 2.0 * frame["noise"]
    fit, n, at = sm.OLS(frame["y"], design).fit(), len(frame), rows(frame, reordered)
    data = given(tmp_path, frame.iloc[at], linear.DATA, columns={"y": "y", "X": names}, index="id")
    assert data.coords["obs"] == tuple(frame["id"].iloc[at])
    sigma = np.sqrt(fit.ssr / n)
    beta = {"alpha": fit.params.iloc[0], "beta": fit.params.to_numpy()[1:]}
    error = fit.bse.to_numpy() * np.sqrt(fit.df_resid / n)
    value = terms(linear.build(data))
    found = value(beta | {"sigma": sigma})
    np.testing.assert_allclose(found, of_errors(fit.resid.to_numpy()[at], sigma), rtol=1e-9)
    assert found.sum() == pytest.approx(fit.llf, rel=1e-12)
    errors = {"alpha": error[0], "beta": error[1:], "sigma": sigma / np.sqrt(2 * n)}
    assert_maximum(value, beta | {"sigma": sigma}, errors)


@REORDERED
def test_multiple_regression(tmp_path: Path, reordered: bool) -> None:
    frame = people(2)
    names, design = predictors(frame, reordered)
    frame["y"] = 1e9 * (design[:, 1:].sum(axis=1) + 3.0 * frame["noise"])
    scores = frame[[*names, "y"]].astype(float).apply(lambda column: (column - column.mean()) / column.std())
    fit, n, at = sm.OLS(scores["y"], sm.add_constant(scores[names])).fit(), len(frame), rows(frame, reordered)
    columns = {"y": "y", "X": names}
    data = given(tmp_path, frame.iloc[at], multiple_regression.DATA, columns=columns, standardize="y")
    sigma = np.sqrt(fit.ssr / n)
    estimate = {"a": 0.0, "beta": fit.params[names].to_numpy(), "sigma": sigma}
    value = terms(multiple_regression.build(data))
    np.testing.assert_allclose(value(estimate), of_errors(fit.resid.to_numpy()[at], sigma), rtol=1e-7)
    error = fit.bse.to_numpy() * np.sqrt(fit.df_resid / n)
    assert_maximum(value, estimate, {"a": error[0], "beta": error[1:], "sigma": sigma / np.sqrt(2 * n)})


@REORDERED
def test_polynomial(tmp_path: Path, reordered: bool) -> None:
    frame, degree = people(3), 3 if reordered else 2
    x = frame["hours" if reordered else "dose"]
    z = ((x - x.mean()) / x.std()).to_numpy()
    frame["y"] = 170.0 + 4.0 * z + z**degree + frame["noise"]
    powers = np.column_stack([z**power for power in range(degree + 1)])
    fit, n, at = sm.OLS(frame["y"], powers).fit(), len(frame), rows(frame, reordered)
    data = given(tmp_path, frame.iloc[at], polynomial.DATA, columns={"y": "y", "x": str(x.name)})
    sigma = np.sqrt(fit.ssr / n)
    names = ["a", *(f"b{power}" for power in range(1, degree + 1))]
    estimate = dict(zip(names, fit.params, strict=True))
    value = terms(polynomial.build(data, degree=degree))
    np.testing.assert_allclose(
        value(estimate | {"sigma": sigma}), of_errors(fit.resid.to_numpy()[at], sigma), rtol=1e-8
    )
    error = fit.bse.to_numpy() * np.sqrt(fit.df_resid / n)
    errors = dict(zip(names, error, strict=True)) | {"sigma": sigma / np.sqrt(2 * n)}
    assert_maximum(value, estimate | {"sigma": sigma}, errors)


@pytest.mark.parametrize(
    ("labels", "how", "sign"),
    [
        (("no", "yes"), {}, 1.0),
        (("no", "yes"), {"event": {"y": "no"}}, -1.0),
        ((1, 2), {"event": {"y": 2}}, 1.0),
        (("0", "00"), {"event": {"y": "0"}}, -1.0),  # numbers alone do not tell these apart
        ((False, True), {}, 1.0),
        (("north", "south"), {"transform": {"y": "is:south"}}, 1.0),
    ],
)
def test_logistic(tmp_path: Path, labels: tuple[Any, Any], how: dict[str, Any], sign: float) -> None:
    frame, reordered = people(4), sign < 0.0
    names, design = predictors(frame, reordered)
    score = design[:, 1] - design[:, 1].mean()
    seen = frame["luck"] < 1.0 / (1.0 + np.exp(-score / score.std()))
    frame["y"] = np.array(labels)[seen.astype(int)]
    # the estimates of a predictor in a large unit are found better in a small one
    unit = np.where(np.arange(design.shape[1]) > 0, np.maximum(1.0, design.std(axis=0)), 1.0)
    fit, at = sm.Logit(seen.astype(int), design / unit).fit(disp=0), rows(frame, reordered)
    data = given(tmp_path, frame.iloc[at], logistic.DATA, columns={"y": "y", "X": names}, **how)
    value = terms(logistic.build(data))
    params, error = fit.params.to_numpy() / unit, fit.bse.to_numpy() / unit
    estimate = {"alpha": sign * params[0], "beta": sign * params[1:]}
    np.testing.assert_allclose(value(estimate), fit.model.loglikeobs(fit.params)[at], rtol=1e-9)
    assert_maximum(value, estimate, {"alpha": error[0], "beta": error[1:]})


def grouped(seed: int) -> pd.DataFrame:
    frame = people(seed)
    rng = np.random.default_rng(seed)
    effect, slope = (dict(zip(SIZES, values, strict=True)) for values in 1.5 * rng.standard_normal((2, len(SIZES))))
    frame["y"] = frame["ward"].map(effect) + 0.3 * frame["ward"].map(slope) * frame["dose"] + 0.7 * frame["noise"]
    frame["x"] = frame["dose"] - frame["dose"].mean()
    return frame


def ward_levels(data: Any, name: str = "group") -> list[str]:
    """The labels of the wards in the data, all six of them as the file writes them."""
    labels = [str(label) for label in data.coords[name]]
    assert sorted(labels) == sorted(SIZES)
    assert [int((data[name] == code).sum()) for code in range(len(labels))] == [SIZES[label] for label in labels]
    return labels


@pytest.mark.filterwarnings("ignore::statsmodels.tools.sm_exceptions.ConvergenceWarning", "ignore:.*:UserWarning")
@REORDERED
def test_hierarchical(tmp_path: Path, reordered: bool) -> None:
    frame = grouped(5 + reordered)
    fit = smf.mixedlm("y ~ 1", frame, groups=frame["ward"]).fit(reml=False)
    columns = {"y": "y", "group": "ward"}
    data = given(tmp_path, frame.iloc[rows(frame, reordered)], hierarchical.DATA, columns=columns)
    ward_levels(data)
    form, effects = ("centered", "theta") if reordered else ("noncentered", "theta_raw")
    value = marginal(hierarchical.build(data, parameterization=form), [effects])
    estimate = {
        "mu": fit.fe_params.iloc[0],
        "tau": np.sqrt(fit.cov_re.iloc[0, 0]),
        "sigma_y": np.sqrt(fit.scale),
    }
    assert value(estimate) == pytest.approx(fit.llf, rel=1e-9)
    assert_maximum(value, estimate, {"mu": fit.bse_fe.iloc[0]}, tolerance=0.05)


@pytest.mark.filterwarnings("ignore::statsmodels.tools.sm_exceptions.ConvergenceWarning", "ignore:.*:UserWarning")
@REORDERED
def test_varying_effects(tmp_path: Path, reordered: bool) -> None:
    frame = grouped(7 + reordered)
    fit = smf.mixedlm("y ~ x", frame, groups=frame["ward"], re_formula="~x").fit(reml=False)
    columns = {"y": "y", "x": "dose", "group": "ward"}
    data = given(tmp_path, frame.iloc[rows(frame, reordered)], varying_effects.DATA, columns=columns)
    form, effects = ("centered", ["a", "b"]) if reordered else ("noncentered", ["z"])
    value = marginal(varying_effects.build(data, parameterization=form), effects)
    covariance = fit.cov_re.to_numpy()
    sd = np.sqrt(np.diag(covariance))
    estimate = {
        "alpha": fit.fe_params.iloc[0],
        "beta": fit.fe_params.iloc[1],
        "sd": sd,
        "rho_unit": 0.5 + 0.5 * covariance[0, 1] / np.prod(sd),
        "sigma": np.sqrt(fit.scale),
    }
    assert value(estimate) == pytest.approx(fit.llf, rel=1e-9)


@REORDERED
def test_varying_slopes(tmp_path: Path, reordered: bool) -> None:
    frame = grouped(9 + reordered)
    frame = frame[frame["ward"] != "01"]
    fit, n, at = smf.ols("y ~ 0 + C(ward) + C(ward):x", frame).fit(), len(frame), rows(frame, reordered)
    centre = frame["dose"] - frame["x"] - frame["dose"].mean()  # of the rows that are left
    columns = {"y": "y", "x": "dose", "group": "ward"}
    data = given(tmp_path, frame.iloc[at], varying_slopes.DATA, columns=columns)
    labels = [str(label) for label in data.coords["group"]]
    a = np.array([fit.params[f"C(ward)[{label}]"] for label in labels])
    b = np.array([fit.params[f"C(ward)[{label}]:x"] for label in labels])
    sigma = np.sqrt(fit.ssr / n)
    estimate = {"a": a - b * centre.iloc[0], "b": b, "sigma": sigma}
    value = terms(varying_slopes.build(data))
    np.testing.assert_allclose(value(estimate), of_errors(fit.resid.to_numpy()[at], sigma), rtol=1e-8)
    error = np.array([fit.bse[f"C(ward)[{label}]:x"] for label in labels]) * np.sqrt(fit.df_resid / n)
    assert_maximum(value, estimate, {"b": error, "sigma": sigma / np.sqrt(2 * n)})


def test_a_group_of_one_row_has_the_slope_of_its_prior(tmp_path: Path) -> None:
    frame = grouped(11)
    data = given(
        tmp_path, frame, varying_slopes.DATA, columns={"y": "y", "x": "dose", "group": "ward"}, standardize="y"
    )
    found = mode(varying_slopes.build(data, a_mean=0.0, a_sigma=1.0))
    x, k = data["x"] - data["x"].mean(), len(SIZES)
    # the exact mode of intercepts and slopes given sigma, of normal rows and normal priors
    design = np.concatenate([np.eye(k)[data["group"]], np.eye(k)[data["group"]] * x[:, None]], axis=1)
    precision = np.diag(np.repeat([1.0, 1.0 / 0.3**2], k))
    exact = np.linalg.solve(
        design.T @ design / found["sigma"] ** 2 + precision, design.T @ data["y"] / found["sigma"] ** 2
    )
    np.testing.assert_allclose([*found["a"], *found["b"]], exact, rtol=1e-4, atol=1e-6)


TRIALS = pd.DataFrame(
    {
        "trial": ["07", "7", "1e1", "10", "NA", "x"],
        "effect": [0.9, -0.3, 0.4, 1.6, 0.2, 0.7],
        "error": [0.3, 0.2, 0.5, 0.4, 0.25, 0.6],
        "place": ["a", "a", "b", "b", "c", "c"],
    }
)


@REORDERED
@pytest.mark.parametrize("unit", [1.0, 1e6])
def test_meta_analysis(tmp_path: Path, reordered: bool, unit: float) -> None:
    frame = TRIALS.assign(effect=unit * TRIALS["effect"], error=unit * TRIALS["error"])
    exact = combine_effects(frame["effect"].to_numpy(), frame["error"].to_numpy() ** 2, method_re="iterated")
    columns = {"y": "effect", "se": "error", "study": "trial"}
    at = rows(frame, reordered)
    data = given(tmp_path, frame.iloc[at], meta_analysis.DATA, columns=columns, categories=["study"])
    model = meta_analysis.build(data)
    assert list(model.coords["study"]) == frame["trial"].iloc[at].tolist()
    value = marginal(model, ["eta"])
    tau = np.sqrt(exact.tau2)
    spread = np.sqrt(frame["error"] ** 2 + tau**2)
    expected = stats.norm.logpdf(frame["effect"], exact.mean_effect_re, spread).sum()
    assert value({"mu": exact.mean_effect_re, "tau": tau}) == pytest.approx(expected, rel=1e-9)
    given_tau = lambda values: value(values | {"tau": tau})  # noqa: E731 - a section of the likelihood
    assert_maximum(given_tau, {"mu": exact.mean_effect_re}, {"mu": exact.sd_eff_w_re})


def test_groups_with_known_errors(tmp_path: Path) -> None:
    columns = {"y": "effect", "group": "place", "sigma": "error"}
    data = given(tmp_path, TRIALS.iloc[rows(TRIALS, True)], hierarchical.DATA, columns=columns)
    value = marginal(hierarchical.build(data), ["theta_raw"])
    together = TRIALS["place"].to_numpy()[:, None] == TRIALS["place"].to_numpy()
    for mu, tau in ((0.4, 0.3), (-2.0, 5.0)):
        exact = stats.multivariate_normal(np.full(6, mu), np.diag(TRIALS["error"] ** 2) + tau**2 * together)
        assert value({"mu": mu, "tau": tau}) == pytest.approx(exact.logpdf(TRIALS["effect"]), rel=1e-9)


def test_one_group_and_one_study_are_refused(tmp_path: Path) -> None:
    frame = grouped(12).query("ward == '10'")
    columns = {"y": "y", "x": "dose", "group": "ward"}
    for model in (hierarchical, varying_slopes, varying_effects):
        with pytest.raises(DataError, match=r"group has one level, 10, in all 9 rows; wanted at least two"):
            given(tmp_path, frame, model.DATA, columns={k: v for k, v in columns.items() if k in model.DATA})
    one = TRIALS.iloc[:1].assign(error=0.3)
    with pytest.raises(DataError, match="at least 2 studies; the data have 1"):
        meta_analysis.build(given(tmp_path, one, meta_analysis.DATA, columns={"y": "effect", "se": "error"}))


def test_groups_of_one_row_each_leave_the_sum_of_two_variances(tmp_path: Path) -> None:
    frame = people(13).head(8)
    data = given(tmp_path, frame, hierarchical.DATA, columns={"y": "noise", "group": "id"})
    value = marginal(hierarchical.build(data), ["theta_raw"])
    for tau, sigma in ((0.5, 1.2), (1.2, 0.5)):
        expected = stats.norm.logpdf(frame["noise"], 0.2, np.hypot(tau, sigma)).sum()
        assert value({"mu": 0.2, "tau": tau, "sigma_y": sigma}) == pytest.approx(expected, rel=1e-9)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("index", ["quarter", "month"])
def test_ar1(tmp_path: Path, index: str) -> None:
    rng = np.random.default_rng(14)
    n = 40
    level = np.zeros(n)
    for t in range(1, n):
        level[t] = 0.6 * level[t - 1] + rng.standard_normal()
    times = {
        "quarter": [f"{2010 + t // 4}Q{t % 4 + 1}" for t in range(n)],
        "month": [f"{2021 + t // 12}-{t % 12 + 1:02d}-28" for t in range(n)],
    }[index]
    y = np.round(1e3 * level).astype(int) - 7000 if index == "month" else 50.0 + level
    frame = pd.DataFrame({"when": times, "y": y, "remark": ["", *["x"] * (n - 1)]})
    scale = y.std()
    fit = ARIMA(y / scale, order=(1, 0, 0), trend="c").fit(cov_type="oim")
    mu, phi, variance = fit.params
    data = given(tmp_path, frame.iloc[rng.permutation(n)], ar1.DATA, columns={"y": "y"}, index="when")
    assert data.coords["obs"] == tuple(times)
    model = ar1.build(data)
    value = terms(model, ar1.pointwise(model, data)["y_obs"])
    estimate = {"mu": scale * mu, "phi": phi, "sigma": scale * np.sqrt(variance)}
    np.testing.assert_allclose(value(estimate), fit.llf_obs - np.log(scale), rtol=1e-7, atol=1e-8)
    assert terms(model)(estimate) == pytest.approx(value(estimate).sum(), rel=1e-12)
    assert_maximum(value, estimate, {"mu": scale * fit.bse[0], "phi": fit.bse[1]}, tolerance=0.05)


def lives(seed: int, spread: Callable[[np.random.Generator, int], np.ndarray]) -> pd.DataFrame:
    """Times in two arms, of which some end before the event."""
    rng = np.random.default_rng(seed)
    n = 50
    arm = rng.random(n) < 0.5
    time = np.exp(2.0 + 0.7 * arm) * spread(rng, n)
    end = np.where(rng.random(n) < 0.4, rng.uniform(1.0, 20.0, n), np.inf)
    return pd.DataFrame({"days": np.minimum(time, end), "seen": time <= end, "arm": np.where(arm, "new", "old")})


SEEN = [
    ({}, (False, True)),
    ({"event": {"event": "dead"}}, ("alive", "dead")),  # which is their order by name; the event is stated
    ({"event": {"event": 1}}, (2, 1)),
]
ARMS = {"columns": {"time": "days", "event": "seen", "X": ["arm"]}, "transform": {"arm": "is:new"}}


@pytest.mark.parametrize(("how", "labels"), SEEN)
def test_survival(tmp_path: Path, how: dict[str, Any], labels: tuple[Any, Any]) -> None:
    frame = lives(15, lambda rng, n: rng.weibull(1.4, n))
    time, seen, new = frame["days"].to_numpy(), frame["seen"].to_numpy(), (frame["arm"] == "new").to_numpy()
    arms = (~new, new)

    def slope(k: float) -> float:
        """Of the log likelihood by the shape, at the best scale of each arm, which has a closed form."""
        spent = sum(seen[a].sum() * (time[a] ** k @ np.log(time[a])) / (time[a] ** k).sum() for a in arms)
        return float(seen.sum() / k + np.log(time[seen]).sum() - spent)

    k = brentq(slope, 0.2, 9.0, xtol=1e-13)
    scale = np.array([((time[a] ** k).sum() / seen[a].sum()) ** (1 / k) for a in arms])
    exact = stats.weibull_min(k, scale=scale[new.astype(int)])
    at = rows(frame, bool(how))
    table = frame.assign(seen=np.array(labels)[seen.astype(int)]).iloc[at]
    data = given(tmp_path, table, survival.DATA, **ARMS, **how)
    value = terms(survival.build(data))
    estimate = {"alpha": np.log(scale[0]), "beta": [np.log(scale[1] / scale[0])], "shape": k}
    expected = np.where(seen, exact.logpdf(time), exact.logsf(time))
    np.testing.assert_allclose(value(estimate), expected[at], rtol=1e-9)
    assert_maximum(value, estimate, {})


@pytest.mark.parametrize(("how", "labels"), SEEN)
def test_survival_lognormal(tmp_path: Path, how: dict[str, Any], labels: tuple[Any, Any]) -> None:
    frame = lives(16, lambda rng, n: np.exp(0.6 * rng.standard_normal(n)))
    if not how:
        frame["seen"] = True  # all of them are: least squares of the log times
    log_time, seen, new = np.log(frame["days"].to_numpy()), frame["seen"].to_numpy(), frame["arm"] == "new"
    design = sm.add_constant(new.astype(float).to_numpy())

    def likelihood(p: np.ndarray) -> np.ndarray:
        normal = stats.norm(design @ p[:2], np.exp(p[2]))
        return np.where(seen, normal.logpdf(log_time) - log_time, normal.logsf(log_time))

    fit = sm.OLS(log_time, design).fit()
    best = np.array([*fit.params, 0.5 * np.log(fit.ssr / len(frame))])
    errors = {"alpha": fit.bse[0], "beta": fit.bse[1:]}
    if how:
        best = minimize(lambda p: -likelihood(p).sum(), best, method="BFGS", options={"gtol": 1e-6}).x
        errors = {}
    else:
        errors = {name: error * np.sqrt(fit.df_resid / len(frame)) for name, error in errors.items()}
    at = rows(frame, bool(how))
    table = frame.assign(seen=np.array(labels)[seen.astype(int)]).iloc[at]
    data = given(tmp_path, table, survival_lognormal.DATA, **ARMS, **how)
    value = terms(survival_lognormal.build(data))
    estimate = {"alpha": best[0], "beta": best[1:2], "sigma": np.exp(best[2])}
    np.testing.assert_allclose(value(estimate), likelihood(best)[at], rtol=1e-9)
    assert_maximum(value, estimate, errors)


class Fit(NamedTuple):
    """What another package estimates: coefficients and their errors, other parameters, log density of every row."""

    params: np.ndarray
    errors: np.ndarray
    others: dict[str, float]
    terms: np.ndarray


def _gaussian(y: np.ndarray, design: np.ndarray) -> Fit:
    fit = sm.OLS(y, design).fit()
    sigma = np.sqrt(fit.ssr / len(y))
    return Fit(fit.params, fit.bse * np.sqrt(fit.df_resid / len(y)), {"sigma": sigma}, of_errors(fit.resid, sigma))


def _bernoulli(y: np.ndarray, design: np.ndarray) -> Fit:
    fit = sm.Logit(y, design).fit(disp=0)
    return Fit(fit.params, fit.bse, {}, fit.model.loglikeobs(fit.params))


def _poisson(y: np.ndarray, design: np.ndarray, hours: np.ndarray | None = None) -> Fit:
    fit = sm.Poisson(y, design, exposure=hours).fit(disp=0)
    return Fit(fit.params, fit.bse, {}, fit.model.loglikeobs(fit.params))


def _negativebinomial(y: np.ndarray, design: np.ndarray) -> Fit:
    fit = sm.NegativeBinomial(y, design).fit(disp=0, maxiter=500)
    # statsmodels has the reciprocal of PyMC's shape
    return Fit(fit.params[:-1], fit.bse[:-1], {"alpha": 1 / fit.params[-1]}, fit.model.loglikeobs(fit.params))


def _beta(y: np.ndarray, design: np.ndarray) -> Fit:
    fit = BetaModel(y, design).fit(disp=0)
    return Fit(fit.params[:-1], fit.bse[:-1], {"kappa": np.exp(fit.params[-1])}, fit.model.loglikeobs(fit.params))


def _t(y: np.ndarray, design: np.ndarray) -> Fit:
    fit = TLinearModel(y, design).fit(disp=0, method="bfgs", maxiter=500)
    others = {"nu": fit.params[-2], "sigma": fit.params[-1]}
    return Fit(fit.params[:-2], fit.bse[:-2], others, -fit.model.nloglikeobs(fit.params))


FAMILIES: dict[str, tuple[Callable[..., Fit], Callable[[np.ndarray, pd.DataFrame], np.ndarray]]] = {
    "gaussian": (_gaussian, lambda mu, frame: 40.0 + mu + frame["noise"]),
    "bernoulli": (_bernoulli, lambda mu, frame: frame["luck"] < 1.0 / (1.0 + np.exp(-mu))),
    "poisson": (_poisson, lambda mu, frame: stats.poisson.ppf(frame["luck"], np.exp(1.0 + mu)).astype(int)),
    "negativebinomial": (
        _negativebinomial,
        lambda mu, frame: stats.nbinom.ppf(frame["luck"], 2.0, 2.0 / (2.0 + np.exp(2.0 + mu))).astype(int),
    ),
    "beta": (
        _beta,
        lambda mu, frame: stats.beta.ppf(frame["luck"], 8.0 / (1.0 + np.exp(-mu)), 8.0 / (1.0 + np.exp(mu))),
    ),
    "t": (_t, lambda mu, frame: mu + 0.5 * stats.t.ppf(frame["luck"], 3.0)),
}


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("family", FAMILIES)
def test_families_with_a_number_and_truth_values(tmp_path: Path, family: str) -> None:
    package, outcome = FAMILIES[family]
    frame = people(17)
    design = sm.add_constant(frame[["dose", "treated"]].astype(float).to_numpy())
    y = outcome(design[:, 1:] @ np.array([0.2, -0.6]), frame)
    frame["y"] = y
    how: dict[str, Any] = {}
    text = "y ~ dose + treated"
    if family == "bernoulli":
        frame["y"], how = np.where(y, "no", "yes"), {"event": {"y": "no"}}
    if family == "poisson":
        text += " + offset(np.log(hours))"
        fit = _poisson(y.to_numpy() if hasattr(y, "to_numpy") else y, design, frame["hours"].to_numpy())
    else:
        fit = package(np.asarray(y, dtype=float), design)
    value = terms(formula.build(given(tmp_path, frame, {}, **how), formula=text, family=family))
    centre = fit.params[0] + design[:, 1:].mean(axis=0) @ fit.params[1:]
    estimate = {"Intercept": centre, "dose": fit.params[1], "treated": fit.params[2]} | fit.others
    np.testing.assert_allclose(value(estimate), fit.terms, rtol=1e-8, atol=1e-12)
    assert_maximum(value, estimate, {"dose": fit.errors[1], "treated": fit.errors[2]}, tolerance=0.05)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("family", FAMILIES)
def test_families_with_labels_in_an_order_and_one_that_no_row_has(tmp_path: Path, family: str) -> None:
    package, outcome = FAMILIES[family]
    frame = people(18)
    design = np.column_stack([np.ones(len(frame)), frame["site"] == 2, frame["site"] == 10]).astype(float)
    y = outcome(design[:, 1:] @ np.array([0.8, -0.5]), frame)
    frame["y"], how = y, {"order": {"site": [7, 9, 2, 10]}}
    if family == "bernoulli":
        frame["y"], how = np.where(y, 2, 1), how | {"event": {"y": 2}}
    at = rows(frame, True)
    fit = package(np.asarray(y, dtype=float), design)
    model = formula.build(given(tmp_path, frame.iloc[at], {}, **how), formula="y ~ site", family=family)
    assert list(map(str, model.coords["site_dim"])) == ["2", "10"]
    value = terms(model)
    centre = fit.params[0] + design[:, 1:].mean(axis=0) @ fit.params[1:]
    estimate = {"Intercept": centre, "site": fit.params[1:]} | fit.others
    np.testing.assert_allclose(value(estimate), fit.terms[at], rtol=1e-8, atol=1e-12)
    assert_maximum(value, estimate, {"site": fit.errors[1:]}, tolerance=0.05)


@pytest.mark.filterwarnings("ignore::statsmodels.tools.sm_exceptions.ConvergenceWarning", "ignore:.*:UserWarning")
@pytest.mark.parametrize("first", [0, 2**60])
def test_a_formula_with_groups(tmp_path: Path, first: int) -> None:
    frame = grouped(19)
    numbers = {label: first + code for code, label in enumerate(SIZES)}
    frame["number"] = frame["ward"].map(numbers)
    fit = smf.mixedlm("y ~ x", frame, groups=frame["ward"]).fit(reml=False)
    data = given(tmp_path, frame.iloc[rows(frame, True)], {}, categories=["ward"])
    estimate = {"Intercept": fit.fe_params["Intercept"], "dose": fit.fe_params["x"], "sigma": np.sqrt(fit.scale)}
    for group in ("ward", "number"):
        model = formula.build(data, formula=f"y ~ dose + (1|{group})")
        value = marginal(model, [f"1|{group}_offset"])
        spread = {f"1|{group}_sigma": np.sqrt(fit.cov_re.iloc[0, 0])}
        assert value(estimate | spread) == pytest.approx(fit.llf, rel=1e-9)


def test_a_group_of_all_rows_in_a_formula_has_one_effect(tmp_path: Path) -> None:
    frame = people(20).head(7).assign(all="here")
    value = marginal(formula.build(given(tmp_path, frame, {}), formula="noise ~ (1|all)"), ["1|all_offset"])
    exact = stats.multivariate_normal(np.full(7, 0.3), np.eye(7) + 0.25)
    found = value({"Intercept": 0.3, "sigma": 1.0, "1|all_sigma": 0.5})
    assert found == pytest.approx(exact.logpdf(frame["noise"]), rel=1e-9)


def test_draws_of_many_tables_are_the_exact_posterior(tmp_path: Path) -> None:
    frames, data = [], []
    for seed in range(21, 27):
        frame = people(seed)
        frame["y"] = 2.0 + 0.5 * frame["dose"] - frame["treated"] + frame["noise"]
        at = rows(frame, seed % 2 == 0)
        frames.append(frame)
        columns = {"y": "y", "X": ["dose", "treated"]}
        data.append(given(tmp_path, frame.iloc[at], linear.DATA, columns=columns, standardize="dose"))
    options = SamplerOptions(draws=300, tune=300, chains=4)

    def build(one: Any) -> Any:
        return linear.build(one, alpha_sigma=1e4, beta_sigma=1e4, sigma_scale=1e4)

    trees = dict(numpyro.fits(build, data, range(len(data)), options))
    for place, frame in enumerate(frames):
        scores = (frame["dose"] - frame["dose"].mean()) / frame["dose"].std()
        fit = sm.OLS(frame["y"], sm.add_constant(np.column_stack([scores, frame["treated"]]).astype(float))).fit()
        # under flat priors of coefficients and sigma: Student's t with n - k - 1 degrees of freedom
        sd = fit.bse.to_numpy() * np.sqrt(fit.df_resid / (fit.df_resid - 3))
        exact = dict(zip(("alpha", "dose", "treated"), zip(fit.params, sd, strict=True), strict=True))
        posterior = trees[place]["posterior"]
        found = {"alpha": posterior["alpha"]} | {
            name: posterior["beta"].sel(predictor=name) for name in ("dose", "treated")
        }
        assert_drawn(found, exact)


def test_the_command_line_fits_a_table_with_labels(workdir: Path) -> None:
    frame = people(28)
    x = ((frame["weight"] - frame["weight"].mean()) / frame["weight"].std()).to_numpy()
    recovered = frame["luck"] < 1.0 / (1.0 + np.exp(-0.5 - x))
    frame.assign(result=np.where(recovered, "home", "ward")).sample(frac=1, random_state=3).to_csv(
        "my.csv", index=False
    )
    ran = bayesrun(
        "model=logistic", "sampler=numpyro", "data=csv", "data.path=my.csv", "data.columns={y:result,X:[weight]}",
        "data.event={y:home}", "data.standardize=[weight]", "data.index=id", "track=off", "steps.figures=false",
        "sampler.draws=500", "sampler.tune=500", "sampler.chains=4",
    )  # fmt: skip
    assert ran.code == 0, ran
    alpha, beta = np.meshgrid(np.linspace(-4.0, 5.0, 401), np.linspace(-4.0, 6.0, 401), indexing="ij")
    signs = np.where(recovered, 1.0, -1.0)
    density = stats.norm.logpdf(alpha, 0, 2.5) + stats.norm.logpdf(beta, 0, 2.5)
    for sign, value in zip(signs, x, strict=True):
        density -= np.logaddexp(0.0, -sign * (alpha + beta * value))
    weight = np.exp(density - density.max())
    weight /= weight.sum()
    exact = {}
    for name, values in (("alpha", alpha), ("weight", beta)):
        mean = (weight * values).sum()
        exact[name] = (mean, np.sqrt((weight * (values - mean) ** 2).sum()))
    (path,) = (workdir / "studies").glob("*/fits/*/posterior.nc")
    with xr.open_datatree(path) as tree:
        posterior = tree["posterior"].load()
        assert_drawn({"alpha": posterior["alpha"], "weight": posterior["beta"].sel(predictor="weight")}, exact)
