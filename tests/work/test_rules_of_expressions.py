"""Rules of contrasts, from the command line to tables: right against a closed form, and by label whatever the order."""

import textwrap

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy import stats

from bayesrun.store.folder import Store
from bayesrun.store.table_marks import read_table
from command_line import bayesrun

pytestmark = [
    pytest.mark.filterwarnings("ignore:PyTensor could not link to a BLAS installation:UserWarning"),
    pytest.mark.usefixtures("own_cache"),
]

MODEL = """
import pymc as pm

def build(data, *, first="x 1", second="x:2", name="b:eta"):
    columns = {"x 1": data["u"], "x:2": data["v"]}
    with pm.Model(coords={"slope": [first, second]}) as model:
        b = pm.Normal(name, 0.0, 1.0, dims="slope")
        pm.Normal("y_obs", b[0] * columns[first] + b[1] * columns[second], 1.0, observed=data["y"])
    return model
"""
RULE = "P(`b:eta[x 1]` - b:eta[x:2] > 0.2 | y) > {}"
LABEL = "b:eta[x 1] - b:eta[x:2]"


@pytest.fixture
def data(workdir):
    """Eight rows of a regression with two columns."""
    (workdir / "slopes.py").write_text(textwrap.dedent(MODEL))
    conf = workdir / "conf" / "model"
    conf.mkdir(parents=True)
    (conf / "slopes.yaml").write_text("_target_: slopes.build\n")
    rng = np.random.default_rng(5)
    table = pd.DataFrame(rng.normal(size=(8, 2)), columns=["u", "v"])
    table["y"] = 0.8 * table["u"] + 0.3 * table["v"] + rng.normal(size=8)
    table.to_csv(workdir / "table.csv", index=False)
    return table


def run(*arguments: str):
    return bayesrun(
        "--config-dir", "conf", "model=slopes", "data=csv", "data.path=table.csv", "study.name=s", "dispatch=serial",
        "track=off", "sampler=numpyro", "sampler.draws=200", "sampler.tune=200", "sampler.chains=2",
        "steps.figures=false", "steps.prior_predictive=false", "steps.posterior_predictive=false", *arguments,
    )  # fmt: skip


def draws_of(fit) -> np.ndarray:
    with xr.open_dataset(fit / "posterior.nc", group="posterior") as posterior:
        (values,) = (posterior[name] for name in posterior.data_vars)
        return (values.sel(slope="x 1") - values.sel(slope="x:2")).to_numpy().ravel()


def test_a_contrast_of_real_data_is_that_of_the_normal_posterior(data, workdir):
    design = data[["u", "v"]].to_numpy()
    cov = np.linalg.inv(design.T @ design + np.eye(2))
    mean = cov @ design.T @ data["y"].to_numpy()
    contrast, sd = mean[0] - mean[1], np.sqrt(cov[0, 0] + cov[1, 1] - 2 * cov[0, 1])
    exact = stats.norm.sf(0.2, contrast, sd)
    assert 0.2 < exact < 0.8
    rules = [f"{name}: {RULE.format(round(share, 3))}" for name, share in (("lo", exact - 0.15), ("hi", exact + 0.15))]
    ran = run(f"diagnostics.decisions={rules[:1]!r}", f"study.decisions={rules[1:]!r}")
    assert ran.code == 0 or "fail:" in ran.out, ran
    (fit,) = (workdir / "studies" / "s" / "fits").iterdir()
    row = pd.read_parquet(fit / "summary.parquet").loc[LABEL]
    assert abs(row["mean"] - contrast) < 4 * row["mcse_mean"]
    assert abs(row["sd"] - sd) < 4 * row["mcse_sd"]
    assert (row["decision_lo"], row["decision_hi"]) == (1.0, 0.0)
    assert abs(row["probability_lo"] - exact) < 4 * row["mcse_of_probability_lo"]
    assert 0.2 < row["mcse_of_probability_lo"] / np.sqrt(exact * (1 - exact) / 400) < 5.0
    np.testing.assert_allclose(row["mean"], draws_of(fit).mean(), rtol=1e-6)


def test_the_truth_of_a_contrast_is_that_of_its_labels(data, workdir):
    ran = run(
        "study=power", "study.replicates=4", "study.generator={name: slopes, first: 'x:2', second: 'x 1'}",
        'study.truth={"b:eta[x 1]": 0.6, `b:eta[x:2]`: 0.1}', f'study.decisions=["rule: {RULE.format(0.5)}"]',
        'study.nulls={"b:eta[x 1] - b:eta[x:2]": 0.45}', "study.max_failed=1",
    )  # fmt: skip
    assert "4 failed" not in ran.out, ran
    study = Store(workdir / "studies" / "s")
    estimates = read_table(study, "estimates")
    own = estimates[estimates["variable"] == LABEL]
    np.testing.assert_allclose(own["truth"], [0.5] * 4)
    fits = read_table(study, "fits").set_index("replicate")["key"]
    said = {r: float((draws_of(study.root / "fits" / fits[r]) > 0.2).mean() > 0.5) for r in own["replicate"]}
    assert dict(zip(own["replicate"], own["decision_rule"], strict=True)) == said
    measures = read_table(study, "measures")
    one = measures[(measures["variable"] == LABEL) & (measures["analysis"] == "all")].set_index("measure")["value"]
    assert one["power:rule"] == one["decision:rule"] == np.mean(list(said.values()))
    assert np.isnan(one.get("type_1_error:rule", np.nan))
