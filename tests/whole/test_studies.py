"""Simulation studies from the command line to tables: real fits of a small model, many at once."""

import json
import re
import textwrap

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy import stats

from bayesrun.store.folder import Store
from command_line import bayesrun

# PyTensor looks for a C BLAS library when it compiles the start of a model with linear algebra, and uses NumPy without.
pytestmark = [
    pytest.mark.filterwarnings("ignore:PyTensor could not link to a BLAS installation:UserWarning"),
    # MLflow's SQL store uses a relationship that SQLAlchemy deprecates
    pytest.mark.filterwarnings("ignore:.*noload.*:DeprecationWarning"),
    pytest.mark.usefixtures("own_cache"),
]

MODEL = """
import pymc as pm

def build(data, *, sd: float = 1.0, noise: float = 1.0):
    with pm.Model() as model:
        mu = pm.Normal("mu", 0.0, sd)
        pm.Normal("y_obs", mu, noise, observed=data["y"])
    return model

def largest(draws, data):
    return abs(draws["mu"])
"""
QUIET = ("dispatch=serial", "track=off", "sampler=numpyro")
SHORT = ("sampler.draws=150", "sampler.tune=150", "sampler.chains=2", "sampler.target_accept=0.8")
TIMES = ["seconds", "sampling_seconds", "ess_per_second"]


@pytest.fixture
def project(workdir, no_study_figures):
    """A user's model of a mean, and four observations."""
    (workdir / "means.py").write_text(textwrap.dedent(MODEL))
    conf = workdir / "conf" / "model"
    conf.mkdir(parents=True)
    (conf / "means.yaml").write_text("_target_: means.build\nsd: 1.0\nnoise: 1.0\n")
    (workdir / "y.csv").write_text("y\n0.3\n-0.2\n1.4\n0.9\n")
    return workdir


def run(*arguments: str, short=SHORT):
    return bayesrun(
        "--config-dir",
        "conf",
        "model=means",
        "data=csv",
        "data.path=y.csv",
        "study.name=s",
        "study.max_failed=1",
        *QUIET,
        *short,
        *arguments,
    )


def table(project, name: str, study: str = "s") -> pd.DataFrame:
    return pd.read_parquet(project / "studies" / study / "tables" / f"{name}.parquet")


def outcomes(project) -> dict[str, float]:
    return {p.parent.name: p.stat().st_mtime_ns for p in (project / "studies" / "s" / "fits").glob("*/outcome.json")}


def test_a_study_grows_and_ends_as_one_that_was_never_broken(project):
    """12 replicates, then 20: the first are kept, and the tables are those of 20 at once."""
    first = run("study=sbc", "study.replicates=12")
    assert first.err == ""
    had = outcomes(project)
    assert len(had) == 12
    second = run("study=sbc", "study.replicates=20")
    assert "20 fits, 12 done, 8 to do" in second.out
    now = outcomes(project)
    assert {key: now[key] for key in had} == had
    assert len(now) == 20

    whole = run("study=sbc", "study.replicates=20", "study.name=whole")
    assert whole.code == second.code == 0
    for name in ("estimates", "measures", "calibration", "failures", "ranks", "design"):
        left, right = table(project, name), table(project, name, "whole")
        left, right = (t.drop(columns=["key"], errors="ignore") for t in (left, right))
        pd.testing.assert_frame_equal(left, right)
    left, right = (table(project, "fits", study).drop(columns=[*TIMES, "key"]) for study in ("s", "whole"))
    pd.testing.assert_frame_equal(left, right)

    third = run("study=sbc", "study.replicates=20")
    assert "nothing to fit" in third.out
    assert outcomes(project) == now
    estimates = table(project, "estimates")
    assert set(estimates["variable"]) == {"mu", "log_likelihood"}
    assert estimates["rank"].between(0, 99).all()
    assert (estimates["lower_0.95"] < estimates["upper_0.95"]).all()
    page = (project / "studies" / "s" / "report.html").read_text()
    assert "is calibrated" in page


def test_truth_data_and_likelihood_are_those_that_were_stored(project):
    run("study=sbc", "study.replicates=3", "study.quantities={distance: means.largest}")
    store = Store(project / "studies" / "s")
    estimates = table(project, "estimates")
    assert set(estimates["variable"]) == {"mu", "log_likelihood", "distance"}
    for key, rows in estimates.groupby("key"):
        tree, rows = store.read_tree(key), rows.set_index("variable")
        y, truth = tree["observed_data"]["y_obs"].values, rows.loc["mu", "truth"]
        expected = -0.5 * ((y - truth) ** 2).sum() - 2.0 * np.log(2 * np.pi)
        assert rows.loc["log_likelihood", "truth"] == pytest.approx(expected)
        assert rows.loc["distance", "truth"] == pytest.approx(abs(truth))
        assert float(tree["truth"]["mu"]) == truth
        draws = tree["posterior"]["mu"].values
        assert rows.loc["mu", "p_truth"] == pytest.approx((draws < truth).mean())
    assert estimates.loc[estimates["variable"] == "mu", "truth"].nunique() == 3


@pytest.mark.parametrize("arguments", [(), ("sampler=advi_jax", "sampler.iterations=1200")])
def test_replay_draws_the_stored_fit_again(project, arguments):
    """Alone, what was drawn beside others."""
    run("study=recovery", "study.replicates=3", *arguments)
    ran = bayesrun("replay", "s", "1")
    assert ran.code == 0, ran
    assert "true mu" in ran.out
    assert "done: the stored draws" in ran.out
    key = table(project, "fits")["key"][2]
    assert f"fit {key}" in bayesrun("replay", "s", key, "--data").out
    assert bayesrun("replay", "s", "7").code == 2


FUNNEL = """
import pymc as pm

def build(data):
    with pm.Model() as model:
        mu = pm.Normal("mu", 0.0, 3.0)
        theta = pm.Normal("theta", 0.0, pm.math.exp(mu), shape=4)
        pm.Normal("y_obs", theta, 1.0, observed=data["y"])
    return model
"""


def test_replay_draws_again_what_was_drawn_twice_because_it_diverged(project):
    (project / "funnels.py").write_text(FUNNEL)
    (project / "conf" / "model" / "funnels.yaml").write_text("_target_: funnels.build\n")
    run(
        "model=funnels", "study=recovery", "study.replicates=4", "sampler.target_accept=0.5", "sampler.escalate=[0.95]",
    )  # fmt: skip
    found = [json.loads(path.read_text()) for path in (project / "studies" / "s" / "fits").glob("*/outcome.json")]
    twice = [outcome for outcome in found if len(outcome["attempts"]) == 2]
    once = [outcome for outcome in found if len(outcome["attempts"]) == 1]
    for outcome in (*twice[:1], *once[:1]):
        ran = bayesrun("replay", "s", outcome["key"])
        assert (ran.code, ran.out.splitlines()[-1]) == (0, "done: the stored draws")
    assert twice


def test_report_is_made_again_from_what_is_there(project):
    run("study=recovery", "study.replicates=4")
    before = table(project, "measures")
    (project / "studies" / "s" / "report.html").unlink()
    lost = table(project, "fits")["key"][3]
    (project / "studies" / "s" / "fits" / lost / "outcome.json").unlink()
    ran = bayesrun("report", "s")
    assert "1 not there yet" in ran.out
    after = table(project, "measures")
    assert (project / "studies" / "s" / "report.html").exists()
    bias = [t[(t["measure"] == "bias") & (t["analysis"] == "all")].iloc[0] for t in (before, after)]
    assert [b["n"] for b in bias] == [4, 3]
    assert table(project, "failures").set_index("class").loc["missing", "count"] == 1


def test_samplers_see_the_same_data_and_are_compared(project):
    ran = bayesrun(
        "-m", "--config-dir", "conf", "model=means", "data=csv", "data.path=y.csv", "study=recovery", "study.name=s",
        "study.replicates=4", "study.max_failed=1", "sampler=numpyro,advi", "sampler.iterations=400",
        "dispatch=serial", "track=off", *SHORT[:3],
    )  # fmt: skip
    assert ran.code == 0, ran
    mu = table(project, "estimates").query("variable == 'mu'")
    truths = mu.pivot_table("truth", "replicate", "cell")
    assert truths.shape == (4, 2)
    assert (truths.iloc[:, 0] == truths.iloc[:, 1]).all()
    contrasts = table(project, "contrasts")
    assert set(contrasts["reference"]) == {"means/y/numpyro"}
    assert {"squared_error", "interval_score", "miss"} <= set(contrasts["measure"])


def test_fixed_truth_and_decisions(project):
    ran = run(
        "study=power", "study.replicates=6", "study.truth={mu: 3}", "study.decisions=['P(mu > 0 | y) > 0.9']",
        "study.nulls={mu: 0}",
    )  # fmt: skip
    assert ran.code == 0, ran
    estimates = table(project, "estimates").query("variable == 'mu'")
    assert (estimates["truth"] == 3.0).all()
    assert (estimates["decision_mu_above_0_p0.9"] == 1.0).all()
    measures = table(project, "measures").query("analysis == 'all'").set_index("measure")
    assert measures.loc["power:mu_above_0_p0.9", "value"] == 1.0
    assert 0.3 < measures.loc["power:mu_above_0_p0.9", "lower"] < 1.0
    assert not (project / "studies" / "s" / "tables" / "calibration.parquet").exists()


@pytest.mark.slow
def test_a_planted_fault_fails(project):
    """The generator's prior SD is four times the model's: exit code 1, and the reason in words."""
    ran = run("study=sbc", "study.replicates=150", "study.generator={name: means, sd: 4.0}")
    assert ran.code == 1
    found = table(project, "calibration").set_index("variable")
    assert not found.loc["mu", "calibrated"]
    assert "too narrow" in found.loc["mu", "shape"]
    assert "is not calibrated" in ran.out


def test_a_generator_that_asks_more_of_the_data_than_the_model_that_is_fitted(project):
    """The generator's module says what an array is, so that its form of the dataset is another one, kept as well."""
    roles = 'from bayesrun.types import Role\nDATA = {"y": Role("count", "whole numbers")}\n'
    (project / "counts.py").write_text(roles + (project / "means.py").read_text())
    (project / "conf" / "model" / "counts.yaml").write_text("_target_: counts.build\nsd: 1.0\nnoise: 1.0\n")
    (project / "y.csv").write_text("y\n0.0\n3.0\n1.0\n2.0\n")
    ran = run("study=recovery", "study.generator=counts", "study.replicates=3")
    assert ran.code == 0, ran
    assert (table(project, "fits")["status"] == "done").all()
    assert len(list((project / "studies" / "s" / "data").glob("*.nc"))) == 2


@pytest.mark.slow
def test_rounds_until_a_target_is_reached(project):
    """Coverage of a calibrated interval to 2.5 %: a first round, and what it says is missing."""
    ran = run(
        "study=recovery", "study.replicates=auto", "study.target_mcse={coverage: 0.045}", "study.levels=[0.8]",
        "study.max_replicates=150", short=("sampler.draws=60", "sampler.tune=60", "sampler.chains=2"),
    )  # fmt: skip
    assert ran.err == ""
    measures = table(project, "measures").query("measure == 'coverage' and analysis == 'all' and variable == 'mu'")
    assert measures["n"].item() == len(outcomes(project))
    assert 100 <= len(outcomes(project)) <= 150
    assert "rounds until" in (project / "studies" / "s" / "report.html").read_text()


def test_a_posterior_as_truth(project):
    fitted = bayesrun(
        "--config-dir", "conf", "model=means", "data=csv", "data.path=y.csv", "study.name=fit", *QUIET, *SHORT,
        "steps.figures=false", "steps.prior_predictive=false", "steps.posterior_predictive=false",
    )  # fmt: skip
    assert fitted.code == 0, fitted
    ran = run("study=recovery", "study.replicates=5", "study.truth={posterior: studies/fit}")
    assert ran.code == 0, ran
    (posterior,) = (project / "studies" / "fit" / "fits").glob("*/posterior.nc")
    with xr.open_datatree(posterior) as tree:
        draws = tree["posterior"]["mu"].values.ravel()
    truths = table(project, "estimates").query("variable == 'mu'")["truth"]
    assert truths.nunique() > 1
    assert np.isin(truths, draws).all()


def test_calibration_given_the_observed_data(project):
    """Truth from the posterior; each fit is to the four observations and four simulated ones, and known exactly."""
    common = ("--config-dir", "conf", "model=means", "data=csv", "data.path=y.csv", *QUIET, *SHORT)
    steps = ("steps.figures=false", "steps.prior_predictive=false", "steps.posterior_predictive=false")
    assert bayesrun(*common, "study.name=fit", *steps).code == 0
    # long chains, so that MCSEs are sure
    long = ("sampler.draws=1000", "sampler.tune=500", "sampler.chains=4", "sampler.target_accept=0.8")
    ran = run("study=sbc", "study.replicates=6", "study.truth={posterior: studies/fit}", short=long)
    assert ran.code == 0, ran
    assert "calibration near the data at hand" in ran.out
    assert ran.out.count("numpyro, 300 draws in 2 chains, R-hat ") == 2  # when it is planned, and at the end
    rows = table(project, "estimates").query("variable == 'mu'").set_index("key")
    assert rows["rank"].between(0, 99).all()
    for key, row in rows.iterrows():
        with xr.open_datatree(project / "studies" / "s" / "fits" / str(key) / "posterior.nc") as tree:
            values = tree["observed_data"]["y_obs"].values
        assert values.shape == (8,)
        np.testing.assert_allclose(values[:4], [0.3, -0.2, 1.4, 0.9])
        # prior N(0, 1) and errors of SD 1: the posterior is N(sum(y) / 9, 1 / 9)
        assert abs(row["mean"] - values.sum() / 9.0) < 4 * row["mcse_mean"]
        assert abs(row["sd"] - 1.0 / 3.0) < 4 * row["mcse_sd"]
    page = (project / "studies" / "s" / "report.html").read_text()
    assert "posterior SBC" in page
    assert "original: numpyro, 300 draws in 2 chains, R-hat " in page
    again = run("study=sbc", "study.replicates=400", "study.truth={posterior: studies/fit}", "dry_run=true", short=long)
    assert "400 fits, 6 done, 394 to do" in again.out
    assert re.search(r"the original has \d+ effective draws for 400 replicates", again.out)
    (project / "other.csv").write_text("y\n0.3\n-0.2\n1.4\n1.9\n")
    ran = run("study=sbc", "data.path=other.csv", "study.name=o", "study.truth={posterior: studies/fit}")
    assert ran.code == 2
    assert "has other observed values of y_obs than the data of this study" in ran.err


def test_the_original_is_of_the_same_model_and_prior(project):
    """Refused with what differs; a model that only reads otherwise is the same."""
    steps = ("steps.figures=false", "steps.prior_predictive=false", "steps.posterior_predictive=false")
    common = ("--config-dir", "conf", "model=means", "data=csv", "data.path=y.csv", *QUIET, *SHORT)
    assert bayesrun(*common, "study.name=fit", *steps).code == 0
    joint = ("study=sbc", "study.truth={posterior: studies/fit}", "dry_run=true")
    for changed, part in (("sd", "prior"), ("noise", "likelihood")):
        ran = run(*joint, f"model.{changed}=1.1")
        assert ran.code == 2
        assert f"posterior.nc is a fit with another {part} than this study's generating model" in ran.err
        assert f"it was fitted with {changed}=1.0, and this study has {changed}=1.1" in ran.err
    other = MODEL.replace("mu = pm.Normal", "location = pm.Normal").replace('"y_obs", mu,', '"y_obs", location,')
    (project / "other_words.py").write_text(textwrap.dedent(other))
    (project / "conf" / "model" / "other_words.yaml").write_text("_target_: other_words.build\nsd: 1.0\nnoise: 1.0\n")
    assert run(*joint, "model=other_words").code == 0
    assert bayesrun(*common, "study.name=seeded", "study.seed=7", *steps).code == 0
    assert run("study=sbc", "study.truth={posterior: studies/seeded}", "dry_run=true").code == 0


def test_a_bad_original_is_named_as_the_cause(project):
    """Draws that no chain agrees on, in a file of no study: at planning, and beside the verdict that fails."""
    far = np.random.default_rng(1).normal([[-3.0], [3.0]], 0.1, (2, 40))
    observed = np.array([0.3, -0.2, 1.4, 0.9])
    density = stats.norm.logpdf(far) + stats.norm.logpdf(observed, far[..., None]).sum(-1)
    groups = {
        "posterior": xr.Dataset({"mu": (("chain", "draw"), far)}, attrs={"inference_library": "pymc"}),
        "sample_stats": xr.Dataset({"lp": (("chain", "draw"), density)}),
        "observed_data": xr.Dataset({"y_obs": ("obs", observed)}),
    }
    xr.DataTree.from_dict(groups).to_netcdf(project / "far.nc")
    ran = run("study=sbc", "study.replicates=30", "study.truth={posterior: far.nc}")
    assert ran.code == 1
    planned, _, ended = ran.out.partition("estimate:")
    line = next(line for line in planned.splitlines() if "the original did not pass its gate: " in line)
    assert "did not pass its gate: chain 0 sits apart" in line
    assert "rhat_max 1" in line
    assert "far.nc" in planned
    assert "means/y/numpyro: the likely cause is the original: the original did not pass its gate" in ended
    assert "likely cause" in (project / "studies" / "s" / "report.html").read_text()


def test_one_study_has_one_question(project):
    run("study=recovery", "study.replicates=2")
    ran = run("study=sbc", "study.replicates=2")
    assert ran.code == 2
    assert "study.kind: got 'sbc'; study s has 'recovery'" in ran.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["study=sbc", "study.truth={mu: 1}"], "calibration is judged for truth drawn from the prior"),
        (["study=power"], "a power study needs a decision rule"),
        (["study=sbc", "study.replicates=auto"], "study.replicates=auto needs a target"),
        (["study=sbc", "study.ranks=999"], "means/y/numpyro keeps 300 draws; wanted no more than that"),
        (["study=power", "study.decisions=['P(nu > 0 | y) > 0.9']"], "is about nu, and model=means has mu"),
        (["study=power", "study.decisions=['mu is large']"], "study.decisions"),
        (
            ["study=power", "diagnostics.decisions=['P(nu > 0 | y) > 0.9']"],
            "diagnostics.decisions: 'P(nu > 0 | y) > 0.9' is about nu, and model=means has mu",
        ),
        (
            ["study=sbc", "diagnostics.decisions=['mu is large']"],
            "diagnostics.decisions: cannot read the rule 'mu is large'",
        ),
        (
            ["study=fit", "diagnostics.decisions=['P(nu > 0 | y) > 0.9']"],
            "diagnostics.decisions: 'P(nu > 0 | y) > 0.9' is about nu",
        ),
        (
            ["study=sbc", "study.nulls={MU: 0}"],
            "study.nulls: the null value is of MU, and model=means has mu; did you mean mu?",
        ),
        (["study=sbc", "study.quantities={q: means.nothing}"], "means has no function 'nothing'"),
        (["study=recovery", "study.truth={mo: 1}"], "study.truth.mo: the generating model has no free variable"),
        (["study=sbc", "study.generator=linear"], "study.generator"),
        (["study=sbc", "study.generator={sd: 4}"], "wanted the name of a model"),
        (["study=sbc", "study.generator=meens"], "meens"),
    ],
)
def test_what_has_no_answer_is_refused_before_any_fit(project, arguments, message):
    ran = run(*arguments)
    assert ran.code == 2, ran
    assert message in ran.err
    assert "Traceback" not in ran.err
    assert not (project / "studies" / "s" / "fits").exists()


def test_the_outcome_of_a_design_is_not_fitted(workdir):
    ran = bayesrun("model=linear", "data=design", "data.n=10", *QUIET)
    assert ran.code == 2
    assert "a design has a placeholder for its outcome" in ran.err


@pytest.mark.ray
def test_a_study_through_ray_and_mlflow(project):
    """Batches on two workers, outcomes as they come, and a run for the cell with a step for each replicate."""
    ran = bayesrun(
        "--config-dir", "conf", "model=means", "data=csv", "data.path=y.csv", "study=sbc", "study.name=s",
        "study.replicates=10", "sampler=numpyro", "sampler.batch_size=5", "dispatch.num_cpus=2", *SHORT,
    )  # fmt: skip
    assert ran.code == 0, ran
    assert len(outcomes(project)) == 10
    found = [json.loads(p.read_text()) for p in (project / "studies" / "s" / "fits").glob("*/outcome.json")]
    assert len({outcome["where"] for outcome in found}) == 2

    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{project / 'studies' / 'mlflow.db'}")
    runs = client.search_runs([client.get_experiment_by_name("bayesrun").experiment_id])
    (cell,) = [r for r in runs if "mlflow.parentRunId" in r.data.tags]
    (parent,) = [r for r in runs if "mlflow.parentRunId" not in r.data.tags]
    history = client.get_metric_history(cell.info.run_id, "rhat_max")
    assert sorted(point.step for point in history) == list(range(10))
    assert "Data-generating mechanisms" in parent.data.tags["mlflow.note.content"]
    assert {a.path for a in client.list_artifacts(parent.info.run_id)} >= {"tables"}


def mlflow_says(project, uri: str) -> dict[str, tuple]:
    """What a tracking server says of the study and of its cells: status, verdict, calibrated."""
    from mlflow import MlflowClient

    client = MlflowClient(uri)
    runs = client.search_runs([each.experiment_id for each in client.search_experiments()])
    return {
        run.data.tags["bayesrun.role"]: (
            run.info.status,
            run.data.tags["bayesrun.verdict"],
            run.data.metrics.get("calibrated"),
        )
        for run in runs
    }


def test_every_verb_says_of_an_unfinished_study_that_it_is(project):
    """Nine replicates of twelve are lost; the study lies elsewhere than verbs assume."""
    ran = run("study=sbc", "study.replicates=12", "output.dir=elsewhere")
    assert ran.code == 0, ran
    assert "study s: finished, pass" in ran.out
    first = f"sqlite:///{project / 'first.db'}"
    where = ("s", "--output-dir", "elsewhere")
    assert bayesrun("sync", *where, "--uri", first).code == 0
    assert mlflow_says(project, first) == dict.fromkeys(("study", "cell"), ("FINISHED", "pass", 1.0))
    for path in list((project / "elsewhere" / "s" / "fits").glob("*/outcome.json"))[3:]:
        path.unlink()
    second = f"sqlite:///{project / 'second.db'}"
    for words in (("status", *where), ("report", *where), ("sync", *where, "--uri", second)):
        said = bayesrun(*words)
        assert said.code == 1, said
        assert "study s: unfinished: 9 of 12 fits are not there" in said.out
    assert mlflow_says(project, second) == dict.fromkeys(("study", "cell"), ("KILLED", "unfinished", 0.0))
    again = run("study=sbc", "study.replicates=12", "output.dir=elsewhere", "gate.fail=true", "gate.rhat_max=1.0")
    assert again.code == 1
    assert "study s: finished, fail" in again.out
    assert bayesrun("sync", *where, "--uri", second).code == 1
    assert mlflow_says(project, second) == dict.fromkeys(("study", "cell"), ("FAILED", "fail", 0.0))
