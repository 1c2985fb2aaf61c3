"""Tables in raw units through the shipped regressions: as statsmodels estimates them, and with the right words."""

import json

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
import statsmodels.formula.api as smf

from command_line import bayesrun

OFF = ("data=csv", "sampler=numpyro", "track=off", "dispatch=serial", "steps.figures=false", "study.name=s")
CONFLICT = "prior and likelihood disagree over "

pytestmark = pytest.mark.slow


def estimates(study: str = "s") -> pd.DataFrame:
    told = json.loads(bayesrun("show", study, "--json").out)
    return pd.DataFrame(told["estimates"]).set_index("variable")


def near(found: pd.DataFrame, labels: list[str], fit, places) -> None:
    """Within 0.2 standard errors of the estimates of statsmodels."""
    wanted, errors = np.asarray(fit.params)[places], np.asarray(fit.bse)[places]
    assert (abs(found.loc[labels, "mean"] - wanted) < 0.2 * errors).all()
    assert found.loc["sigma", "mean"] == pytest.approx(np.sqrt(fit.scale), rel=0.05)


def test_a_prior_that_fights_the_data_is_said_and_scaled_priors_estimate_what_least_squares_does(workdir):
    rng = np.random.default_rng(3)
    X = np.array([60.0, 25.0, 3.0]) + np.array([12.0, 4.0, 1.0]) * rng.standard_normal((60, 3))
    y = 118.0 + (X - [60.0, 25.0, 3.0]) @ [0.9, 2.5, 6.0] + 40.0 * rng.standard_normal(60)
    pd.DataFrame(X, columns=["age", "bmi", "salt"]).assign(sbp=y).to_csv("raw.csv", index=False)
    words = ("model=multiple_regression", "data.path=raw.csv", "data.columns={y:sbp,X:[age,bmi,salt]}", *OFF)
    fit = sm.OLS(y, sm.add_constant((X - X.mean(axis=0)) / X.std(axis=0, ddof=1))).fit()
    ran = bayesrun(*words)
    assert f"{CONFLICT}sigma" in ran.out
    assert estimates().loc["sigma", "mean"] > 1.5 * np.sqrt(fit.scale)
    ran = bayesrun(*words, "model.priors=scaled", "study.name=t")
    assert CONFLICT not in ran.out
    near(estimates("t"), ["a", "beta[age]", "beta[bmi]", "beta[salt]"], fit, slice(4))
    wanted = f"priors scaled to the data: a ~ Normal({y.mean():.4g}, {2.5 * y.std(ddof=1):.4g})"
    assert wanted in bayesrun("show", "t").out


@pytest.mark.parametrize("model", ["polynomial", "varying_slopes", "varying_effects"])
def test_scaled_priors_estimate_what_statsmodels_does(workdir, model):
    rng = np.random.default_rng(3)
    group = np.repeat(np.arange(12), 20)
    x = 30.0 + 8.0 * rng.standard_normal(240)
    a, b = 500.0 + 40.0 * rng.standard_normal(12), 3.0 + rng.standard_normal(12)
    y = a[group] + b[group] * (x - 30.0) + 25.0 * rng.standard_normal(240)
    table = pd.DataFrame({"y": y, "x": x, "clinic": [f"c{number:02d}" for number in group]})
    table.to_csv("groups.csv", index=False)
    columns = "{y:y,x:x}" if model == "polynomial" else "{y:y,x:x,group:clinic}"
    words = ("data.path=groups.csv", f"data.columns={columns}", "model.priors=scaled", "sampler.draws=2000")
    ran = bayesrun(f"model={model}", *words, *OFF)
    assert CONFLICT not in ran.out
    found, z = estimates(), (x - x.mean()) / x.std(ddof=1)
    if model == "polynomial":
        near(found, ["a", "b1", "b2"], sm.OLS(y, sm.add_constant(np.column_stack([z, z**2]))).fit(), slice(3))
    elif model == "varying_slopes":
        own = np.eye(12)[group]
        fit = sm.OLS(y, np.hstack([own, own * (x - x.mean())[:, None]])).fit()
        near(found, [f"{name}[c{number:02d}]" for name in "ab" for number in range(12)], fit, slice(24))
    else:
        unit = y.std(ddof=1)
        scaled = table.assign(y=y / unit, x=z)
        fit = smf.mixedlm("y ~ x", scaled, groups="clinic", re_formula="~x").fit()
        assert fit.converged
        for name, of, factor in (("alpha", "Intercept", unit), ("beta", "x", unit / x.std(ddof=1))):
            assert abs(found.loc[name, "mean"] - factor * fit.params[of]) < 0.2 * factor * fit.bse[of]
        assert found.loc["sigma", "mean"] == pytest.approx(unit * np.sqrt(fit.scale), rel=0.05)
