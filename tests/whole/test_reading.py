"""How the data were read is said wherever a study is: in plan, terminal, study folder, page and MLflow."""

import numpy as np
import pytest

from bayesrun.data import load
from bayesrun.report.ademp import ademp, text_of
from bayesrun.report.study_file import read_design
from bayesrun.store.folder import Store
from bayesrun.types import StudyOptions
from command_line import bayesrun

# MLflow's SQL store uses a relationship that SQLAlchemy deprecates
pytestmark = pytest.mark.filterwarnings("ignore:.*noload.*:DeprecationWarning")

N = 40
RNG = np.random.default_rng(4)
AGE = RNG.uniform(20, 70, N)
MINE = """
import pymc as pm

def build(data):
    with pm.Model() as model:
        mu = pm.Deterministic("mu", pm.Normal("a", 0.0, 5.0) + pm.Normal("b", 0.0, 1.0) * (data["age"] - 45.0))
        pm.Bernoulli("seen", logit_p=mu, observed=data["died"])
    return model
"""


@pytest.fixture
def table(workdir):
    """Who died, as a clinic writes it, with a column that is mostly blank."""
    died = RNG.random(N) < 0.5
    rows = [
        f"{age:.1f},{'yes' if dead else 'no'},{'C1' if row < 9 else ''}"
        for row, (age, dead) in enumerate(zip(AGE, died, strict=True))
    ]
    (workdir / "clinic.csv").write_text("\n".join(["age,died,cabin", *rows]) + "\n")
    (workdir / "clinic_model.py").write_text(MINE)
    (workdir / "conf" / "model").mkdir(parents=True)
    (workdir / "conf" / "model" / "clinic.yaml").write_text("_target_: clinic_model.build\n")
    return died


FORMULA = ("model=formula", "model.formula=died ~ age", "model.family=bernoulli", "data=csv", "data.path=clinic.csv")
QUICK = (
    "dispatch=serial", "sampler=advi", "sampler.iterations=100", "sampler.draws=20", "sampler.chains=1",
    "steps.figures=false", "steps.prior_predictive=false", "steps.posterior_predictive=false", "study.name=s",
)  # fmt: skip
SAID = "data=clinic: died: 1 is 'yes', the event, and 0 is 'no'"


def test_the_event_is_said_everywhere(table, workdir):
    planned = bayesrun(*FORMULA, *QUICK, "dry_run=true")
    assert f"note: {SAID}" in planned.out
    ran = bayesrun(*FORMULA, *QUICK)
    assert ran.code == 0, ran
    assert f"note: {SAID}" in ran.out
    store = Store(workdir / "studies" / "s")
    (cell,) = read_design(store)[2]
    assert cell.notes == (SAID,)
    data = load(next((store.root / "data").glob("*.nc")))
    assert (data.origin.notes, data.coords["died"]) == ((SAID.removeprefix("data=clinic: "),), ("no", "yes"))
    np.testing.assert_array_equal(data["died"], table)
    assert set(data) == {"age", "died"}  # the model does not use the cabins, and nobody asked to keep them
    assert cell.left_out == ("cabin",)
    assert SAID in text_of(ademp(StudyOptions(kind="sbc"), [cell], {}))

    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{workdir / 'studies' / 'mlflow.db'}")
    runs = client.search_runs([client.get_experiment_by_name("bayesrun").experiment_id])
    assert [run.data.params["data.read"] for run in runs if "data.read" in run.data.params] == [SAID]


@pytest.mark.parametrize("command", [FORMULA, ("--config-dir", "conf", "model=clinic", *FORMULA[3:])])
def test_gaps_of_a_column_that_is_not_used_stop_no_model(table, workdir, command):
    ran = bayesrun(*command, *QUICK, "track=off", "dry_run=true")
    assert ran.code == 0, ran
    dropped = bayesrun(*command, *QUICK, "track=off", "dry_run=true", "data.drop_missing=true")
    assert f"note: data=clinic: all {N} rows used: none is without age, died\n" in dropped.out
    named = "model.formula=died ~ age + cabin"
    refused = bayesrun(*FORMULA[:1], named, *FORMULA[2:], *QUICK, "track=off", "dry_run=true")
    assert (refused.code, f"cabin has {N - 9} values that are missing" in refused.err) == (2, True)
    lines = (workdir / "clinic.csv").read_text().splitlines()
    (workdir / "clinic.csv").write_text("\n".join([lines[0], f",{lines[1].split(',', 1)[1]}", *lines[2:]]) + "\n")
    advised = bayesrun(*command, *QUICK, "track=off", "dry_run=true")
    assert "age has 1 value that is missing or infinite: row 1 " in advised.err
    assert "Leave such rows out: data.drop_missing=true" in advised.err
    followed = bayesrun(*command, *QUICK, "track=off", "dry_run=true", "data.drop_missing=true")
    assert f"note: data=clinic: {N - 1} of {N} rows used: 1 without age\n" in followed.out


def test_columns_of_a_shipped_table_are_those_that_were_asked_for(workdir):
    command = ("model=hierarchical", "data=eight_schools", "dispatch=serial", "track=off", "dry_run=true")
    ran = bayesrun(*command, "data.columns={y: effect, group: school}", "study.name=s")
    assert ran.code == 0, ran
    refused = bayesrun(*command, "data.columns={y: effect}")
    assert "the model needs group, which the data do not have" in refused.err
    scaled = bayesrun(*command, "data.standardize=[y]")
    assert (scaled.code, "sigma has the unit of y" in scaled.err) == (2, True)


def test_numbers_that_may_be_labels_are_told_of(table, workdir):
    sites = ["01", "1", "2", "02"] * (N // 4)
    lines = (workdir / "clinic.csv").read_text().splitlines()
    rows = [f"{line},{site}" for line, site in zip(lines, ["site", *sites], strict=True)]
    (workdir / "clinic.csv").write_text("\n".join(rows) + "\n")
    (workdir / "sites_model.py").write_text(MINE.replace("45.0)", "45.0) + 0.0 * data['site']"))
    (workdir / "conf" / "model" / "sites.yaml").write_text("_target_: sites_model.build\n")
    unused = bayesrun("--config-dir", "conf", "model=clinic", *FORMULA[3:], *QUICK, "track=off", "dry_run=true")
    assert "writes one number" not in unused.out
    command = ("--config-dir", "conf", "model=sites", *FORMULA[3:], *QUICK, "track=off", "dry_run=true")
    assert "site writes one number as 01 and 1; if these are labels: 'data.categories=[site]'" in bayesrun(*command).out
    assert "writes one number" not in bayesrun(*command, "data.categories=[site]").out
