"""A generator and another model that is fitted to its data, from the command line to tables."""

import textwrap

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from bayesrun.store.folder import Store
from command_line import bayesrun

pytestmark = [
    pytest.mark.filterwarnings("ignore:PyTensor could not link to a BLAS installation:UserWarning"),
    pytest.mark.usefixtures("own_cache"),
]

MODEL = """
import numpy as np
import pymc as pm

PLACES = {"row": ["north", "mid", "south"], "col": ["a", "b", "c"]}

def build(data, *, dims=("row", "col"), rows=("north", "mid", "south"), cols=("a", "b", "c"), likelihood="Normal"):
    labels = {"row": list(rows), "col": list(cols)}
    places = {dim: np.array([labels[dim].index(PLACES[dim][i]) for i in data[dim]]) for dim in dims}
    with pm.Model(coords=labels) as model:
        theta = pm.Normal("theta", 0.0, 2.7, dims=tuple(dims))
        pm.Deterministic("half", theta / 2.0, dims=tuple(dims))
        mean = theta[tuple(places[dim] for dim in dims)]
        if likelihood == "Normal":
            pm.Normal("y_obs", mean, 0.3, observed=data["y"])
        else:
            pm.Poisson("y_obs", pm.math.exp(mean), observed=data["y"])
    return model

def other(data, *, name="phi", also=None):
    with pm.Model() as model:
        mean = pm.Normal(name, 0.0, 1.0)
        if also:
            pm.Deterministic(also, 1.0 * mean)
        pm.Normal("y_obs", mean, 0.3, observed=data["y"])
    return model

def north_c(draws, data):
    return draws["theta"][..., 0, 2]

def mean_of_either(draws, data):
    return draws["phi"] if "phi" in draws else draws["psi"]
"""
EACH, REPLICATES = 11, 30
COVERED = stats.binom(REPLICATES, 0.95).ppf(0.001) / REPLICATES


@pytest.fixture
def project(workdir, no_study_figures):
    """A user's models, and observations on a grid of three rows and columns."""
    (workdir / "grids.py").write_text(textwrap.dedent(MODEL))
    conf = workdir / "conf" / "model"
    conf.mkdir(parents=True)
    (conf / "grid.yaml").write_text("_target_: grids.build\n")
    (conf / "other.yaml").write_text("_target_: grids.other\n")
    lines = [f"{k % 2},{k % 3},{k // 3 % 3}" for k in range(9 * EACH)]
    (workdir / "grid.csv").write_text("\n".join(["y,row,col", *lines]) + "\n")
    return workdir


def run(*arguments: str):
    return bayesrun(
        "--config-dir", "conf", "data=csv", "data.path=grid.csv", "study.name=s", "study.max_failed=1",
        "dispatch=serial", "track=off", "sampler=numpyro", "sampler.draws=150", "sampler.tune=150", "sampler.chains=2",
        "sampler.target_accept=0.8", *arguments,
    )  # fmt: skip


def test_dims_and_labels_of_a_generator_in_another_order(project):
    """95 % intervals cover, with the errors of a mean of 11; by position they cover nothing, and the RMSE is 3.8."""
    ran = run(
        "model=grid", "study=recovery", f"study.replicates={REPLICATES}", "study.quantities={north_c: grids.north_c}",
        "study.generator={name: grid, dims: [col, row], rows: [south, north, mid]}",
    )  # fmt: skip
    assert ran.code == 0, ran
    assert "no truth is known" not in ran.out
    tables = project / "studies" / "s" / "tables"
    measures = pd.read_parquet(tables / "measures.parquet").query("analysis == 'all'")
    theta = measures[measures["variable"].str.startswith("theta")]
    coverage = theta[(theta["measure"] == "coverage") & (theta["level"] == 0.95)]["value"]
    rmse = theta[theta["measure"] == "rmse"]["value"]
    assert (coverage.size, rmse.size) == (9, 9)
    assert coverage.min() >= COVERED
    assert abs(coverage.mean() - 0.95) < 4 * np.sqrt(0.95 * 0.05 / (9 * REPLICATES))
    exact = 0.3 / np.sqrt(EACH)
    assert np.abs(np.sqrt((rmse**2).mean()) / exact - 1.0) < 4 / np.sqrt(2 * 9 * REPLICATES)

    estimates = pd.read_parquet(tables / "estimates.parquet")
    wide = estimates.pivot_table("truth", "replicate", "variable")
    np.testing.assert_allclose(wide["half[mid, a]"], wide["theta[mid, a]"] / 2.0)
    np.testing.assert_allclose(wide["north_c"], wide["theta[north, c]"])
    store = Store(project / "studies" / "s")
    for key, rows in list(estimates.groupby("key"))[:3]:
        tree, rows = store.read_tree(key), rows.set_index("variable")
        truth = tree["truth"]["theta"]
        assert float(truth.sel(row="south", col="b")) == rows.loc["theta[south, b]", "truth"]
        y, k = tree["observed_data"]["y_obs"].values, np.arange(9 * EACH)
        mean = truth.sel(row=["north", "mid", "south"], col=["a", "b", "c"]).values[k % 3, k // 3 % 3]
        assert rows.loc["log_likelihood", "truth"] == pytest.approx(stats.norm(mean, 0.3).logpdf(y).sum())


@pytest.mark.parametrize(
    ("arguments", "messages"),
    [
        (
            ["study=recovery", "study.generator={name: grid, likelihood: Poisson}", "study.truth={theta: 0}"],
            None,  # counts are numbers that a normal outcome may have
        ),
        (
            ["study=recovery", "study.generator=grid", "model.likelihood=Poisson"],
            ["grid draws y by y_obs (Normal)", "y_obs (Poisson) takes whole numbers, and ", "choose a generator"],
        ),
        (
            ["study=recovery", "study.generator={name: grid, cols: [a, b, c], rows: [north, mid, south, east]}"],
            None,  # a row more than the model has
        ),
        (
            [
                "study=recovery", "study.generator={name: grid, rows: [mid, south, north, east]}",
                "model.rows=[north, mid, south, west]",
            ],
            ["theta of grid has mid, south, north, east along row; wanted north, mid, south, west along row"],
        ),
        (
            ["study=sbc", "study.generator=other"],
            ["no truth is known for any parameter: other has phi, and model=grid has theta, half; give both the same"],
        ),
        (
            ["study=power", "study.generator={name: other, also: theta}", "study.decisions=['P(half > 0 | y) > 0.9']"],
            ["no rule (P(half > 0 | y) > 0.9) is about a quantity whose truth is known"],
        ),
    ],
)  # fmt: skip
def test_what_has_no_answer_is_refused_before_any_fit(project, arguments, messages):
    ran = run("model=grid", "study.replicates=3", *arguments, "dry_run=true")
    assert ran.code == (0 if messages is None else 2), ran
    for message in messages or ():
        assert message in ran.err
    assert "Traceback" not in ran.err
    assert not (project / "studies" / "s" / "fits").exists()


def test_what_has_no_truth_is_said(project):
    ran = run(
        "model=other", "model.also=twice", "model.name=psi", "study=sbc", "study.replicates=3", "dry_run=true",
        "study.generator={name: other, also: psi}",
    )  # fmt: skip
    assert ran.code == 0, ran
    expected = "study.generator: model=other on data of other: no truth is known for twice (other has no such name)"
    assert expected in ran.out


def test_a_quantity_that_can_be_worked_out_from_either_has_a_truth(project):
    ran = run(
        "model=other", "model.name=psi", "study=recovery", "study.replicates=3", "study.generator=other",
        "study.quantities={m: grids.mean_of_either}",
    )  # fmt: skip
    assert ran.code == 0, ran
    estimates = pd.read_parquet(project / "studies" / "s" / "tables" / "estimates.parquet").set_index("variable")
    assert estimates.loc["psi", "truth"].isna().all()
    assert (np.abs(estimates.loc["m", "mean"] - estimates.loc["m", "truth"]) < 5 * estimates.loc["m", "sd"]).all()
