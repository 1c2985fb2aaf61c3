"""The whole way, from the command line to files, tables and runs: real fits, real Ray, real MLflow, real NetCDF."""

import importlib
import json
import sys
import textwrap

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from command_line import bayesrun

# MLflow's SQL store uses a relationship that SQLAlchemy deprecates
pytestmark = pytest.mark.filterwarnings("ignore:.*noload.*:DeprecationWarning")

SHORT = ("sampler.draws=200", "sampler.tune=300", "sampler.chains=2", "steps.figures=false")
GROUPS = {
    "posterior",
    "sample_stats",
    "observed_data",
    "prior",
    "prior_predictive",
    "log_likelihood",
    "log_prior",
    "posterior_predictive",
    "loo",
}


def posteriors(workdir, study: str) -> dict[str, xr.DataTree]:
    """Read every posterior of a study, by the label of its cell."""
    found = {}
    for path in sorted((workdir / "studies" / study / "fits").glob("*/posterior.nc")):
        label = json.loads((path.parent / "outcome.json").read_text())["cell"]
        with xr.open_datatree(path) as tree:
            found[label] = tree.load()
    return found


@pytest.mark.ray
def test_the_main_job(workdir, monkeypatch):
    """Two samplers on real data, through Ray: files, comparison, runs; then again, and nothing is fitted."""
    ran = bayesrun("-m", "model=hierarchical", "sampler=nuts,advi", "sampler.iterations=5000", *SHORT[:3])
    assert ran.code == 0, ran
    folder = workdir / "studies" / "hierarchical-eight_schools"
    trees = posteriors(workdir, folder.name)
    assert set(trees) == {"hierarchical/eight_schools/nuts", "hierarchical/eight_schools/advi"}
    assert all(set(tree.children) - {"optimization", "constant_data"} == GROUPS for tree in trees.values())
    assert "agreement with hierarchical/eight_schools/nuts" in ran.out
    assert {p.stem for p in folder.glob("tables/*")} >= {"fits", "agreement"}
    assert {p.name for p in folder.glob("fits/*/figures/*.png")} >= {
        "rank.png",
        "trace.png",
        "forest.png",
        "energy.png",
    }

    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{workdir / 'studies' / 'mlflow.db'}")
    runs = client.search_runs([client.get_experiment_by_name("bayesrun").experiment_id])
    child = {run.info.run_name: run for run in runs}
    assert set(child) == {folder.name, *trees}
    parent, nuts = child[folder.name], child["hierarchical/eight_schools/nuts"]
    assert nuts.data.tags["mlflow.parentRunId"] == parent.info.run_id
    assert nuts.data.metrics["rhat_max"] >= 1.0
    assert "rhat_max" not in child["hierarchical/eight_schools/advi"].data.metrics
    assert {"elpd_loo", "ess_bulk_min", "n_divergent", "pareto_k_max"} <= set(nuts.data.metrics)
    assert {"posterior.nc", "config.yaml", "summary.csv", "figures"} <= {
        f.path for f in client.list_artifacts(nuts.info.run_id)
    }
    assert {"agreement.csv", "fits.csv"} <= {f.path for f in client.list_artifacts(parent.info.run_id)}

    from bayesrun.dispatch import ray

    def refuse(*arguments):
        raise AssertionError("Ray was started although every fit is done")

    monkeypatch.setattr(ray, "dispatch", refuse)
    before = {path: path.stat().st_mtime_ns for path in folder.glob("fits/*/*")}
    again = bayesrun("-m", "model=hierarchical", "sampler=nuts,advi", "sampler.iterations=5000", *SHORT[:3])
    assert again.code == 0, again
    assert "nothing to fit: every fit of this study is done" in again.out
    assert {path: path.stat().st_mtime_ns for path in folder.glob("fits/*/*")} == before
    assert (
        again.out.split("agreement with")[1].split("files:")[0] == ran.out.split("agreement with")[1].split("files:")[0]
    )
    assert len(client.search_runs([parent.info.experiment_id])) == 3


MINE = """
    import numpy as np
    import pymc as pm
    from helper_of_mine import centre

    def build(data, *, sigma: float = 1.0):
        with pm.Model(coords={"obs": range(len(data["sales"]))}) as model:
            a = pm.Normal("a", 0.0, 10.0)
            b = pm.Normal("b", 0.0, 10.0)
            s = pm.HalfStudentT("s", nu=3.0, sigma=sigma)
            pm.Normal("y_obs", a + b * centre(data["price"]), s, observed=data["sales"], dims="obs")
        return model
"""


@pytest.mark.slow
@pytest.mark.ray
def test_a_users_model_and_table_through_ray(workdir):
    """A model and its helper in the working directory, a config with ints, a CSV; fitted in a worker."""
    (workdir / "conf" / "model").mkdir(parents=True)
    (workdir / "conf" / "model" / "shop.yaml").write_text("_target_: mine_for_ray.build\nsigma: 36\n")
    (workdir / "mine_for_ray.py").write_text(textwrap.dedent(MINE))
    (workdir / "helper_of_mine.py").write_text("def centre(x):\n    return x - x.mean()\n")
    rng = np.random.default_rng(1)
    price = np.linspace(1.0, 3.0, 40)
    table = pd.DataFrame({"price": price, "sales": 5.0 - 2.0 * (price - 2.0) + rng.normal(0.0, 0.3, 40)})
    table.to_csv(workdir / "shop.csv", index=False)
    command = ("--config-dir", "conf", "model=shop", "data=csv", "data.path=shop.csv", *SHORT)
    ran = bayesrun(*command)
    assert ran.code == 0, ran
    (tree,) = posteriors(workdir, "shop-shop").values()
    slope = float(tree["posterior"]["b"].mean())
    exact = np.polyfit(price - price.mean(), table["sales"], 1)[0]
    assert slope == pytest.approx(exact, abs=4 * float(tree["posterior"]["b"].std()) / np.sqrt(50) + 0.01)
    # what the helper gives is part of the model: other values are another fit, a comment is not
    (workdir / "helper_of_mine.py").write_text("def centre(x):\n    return x - x.mean()  # about zero\n")
    assert "1 fits, 1 done, 0 to do" in bayesrun(*command, "dry_run=true").out
    (workdir / "helper_of_mine.py").write_text("def centre(x):\n    return x - 2.1\n")
    for name in ("mine_for_ray", "helper_of_mine"):  # another command imports them anew
        sys.modules.pop(name)
    importlib.invalidate_caches()
    assert "1 fits, 0 done, 1 to do" in bayesrun(*command, "dry_run=true").out


@pytest.mark.slow
def test_a_sweep_over_formulas_ends_in_a_comparison(workdir):
    formulas = "invest ~ value,invest ~ value + capital,invest ~ value + capital + (1|firm)"
    ran = bayesrun(
        "-m", "model=formula", f"model.formula={formulas}", "data=grunfeld", "dispatch=serial", "track=off",
        "steps.posterior_predictive=false", "steps.prior_predictive=false", *SHORT,
    )  # fmt: skip
    assert ran.code == 0, ran
    assert "LOO comparison, sampler nuts" in ran.out
    table = pd.read_csv(workdir / "studies" / "formula-grunfeld" / "tables" / "comparison.csv")
    best_first = table.sort_values("rank")["cell"].tolist()
    assert len(best_first) == 3
    assert "(1|firm)" in best_first[0]
    assert best_first[2].endswith("formula=invest ~ value")
    assert (table["n_observations"] == 220).all()


def test_growing_a_study_keeps_what_is_done(workdir):
    common = ("dispatch=serial", "track=off", *SHORT)
    assert bayesrun("model=linear", "sampler=nuts", *common).code == 0
    # iterations mean nothing to nuts, so its fit is the one that is done
    ran = bayesrun("-m", "model=linear", "sampler=nuts,advi", "sampler.iterations=3000", *common)
    assert ran.code == 0, ran
    assert "2 fits, 1 done, 1 to do" in ran.out
    frame = pd.read_csv(workdir / "studies" / "linear-engel" / "tables" / "fits.csv")
    assert list(frame["status"]) == ["done", "done"]


def test_a_missing_posterior_is_fitted_again_and_stops_nothing(workdir):
    common = ("dispatch=serial", "track=off", "sampler.iterations=1000", *SHORT)
    assert bayesrun("sampler=advi", *common).code == 0
    (path,) = (workdir / "studies").glob("*/fits/*/posterior.nc")
    path.unlink()
    other = bayesrun("sampler=fullrank_advi", *common)
    assert other.code == 0, other
    again = bayesrun("sampler=advi", *common)
    assert "1 fits, 0 done, 1 to do" in again.out
    assert again.code == 0
    assert path.exists()


def test_a_reference_that_is_nobody_is_refused_before_any_fit(workdir):
    ran = bayesrun("-m", "sampler=nuts,advi", "study.reference=nutz", "dispatch=serial", "track=off", *SHORT)
    assert ran.code == 2
    assert "study.reference: no sampler or cell is called 'nutz'; did you mean nuts? there are advi, " in ran.err
    assert not list((workdir / "studies").glob("*/fits/*/posterior.nc"))


def test_cells_that_are_one_fit_but_want_two_verdicts_are_refused(workdir):
    ran = bayesrun("-m", "gate.rhat_max=1.01,1.1", "dispatch=serial", "track=off", *SHORT)
    assert ran.code == 2
    assert "are the same fit, which has one of each; run them one after another" in ran.err


def test_a_model_that_draws_random_numbers_is_refused(workdir):
    (workdir / "conf" / "model").mkdir(parents=True)
    (workdir / "conf" / "model" / "dice.yaml").write_text("_target_: dice_model.build\n")
    body = """
        import numpy as np
        import pymc as pm

        def build(data):
            with pm.Model() as model:
                mu = pm.Normal("mu", float(np.random.default_rng().normal()), 1.0)
                pm.Normal("y_obs", mu, 10.0, observed=data["y"])
            return model
    """
    (workdir / "dice_model.py").write_text(textwrap.dedent(body))
    ran = bayesrun("--config-dir", "conf", "model=dice", "dispatch=serial", "track=off", *SHORT)
    assert ran.code == 2
    assert "two builds of it differ" in ran.err


def test_another_seed_on_a_study_is_refused(workdir):
    common = ("dispatch=serial", "track=off", "study.name=one", "sampler=advi", "sampler.iterations=1000", *SHORT)
    assert bayesrun(*common).code == 0
    ran = bayesrun(*common, "study.seed=5")
    assert ran.code == 2
    assert "study.seed: got 5; study one has seed 42, and a study has one" in ran.err


def test_one_failing_fit_does_not_stop_the_others(workdir):
    (workdir / "conf" / "sampler").mkdir(parents=True)
    (workdir / "conf" / "sampler" / "broken.yaml").write_text("_target_: broken_sampler.sample\n")
    (workdir / "broken_sampler.py").write_text(
        "def sample(build, datasets, seeds, options):\n    raise ValueError('no draws today')\n"
    )
    ran = bayesrun(
        "--config-dir", "conf", "-m", "sampler=broken,advi", "sampler.iterations=1000", "dispatch=serial", "track=off",
        *SHORT,
    )  # fmt: skip
    assert ran.code == 1
    assert "failed (error): ValueError: no draws today" in ran.out
    frame = pd.read_csv(workdir / "studies" / "hierarchical-eight_schools" / "tables" / "fits.csv")
    assert sorted(frame["status"]) == ["done", "failed"]
    (text,) = (workdir / "studies").glob("*/fits/*/error.txt")
    assert "broken_sampler.py" in text.read_text()


def test_a_dry_run_starts_and_writes_nothing(workdir):
    ran = bayesrun("-m", "model=linear,hierarchical", "sampler=nuts,numpyro", "dry_run=true")
    assert ran.code == 0
    assert "4 fits, 0 done, 4 to do" in ran.out
    assert ran.out.count("to do  ") == 4
    assert list(workdir.iterdir()) == []


def test_a_gate_that_fails_the_command(workdir):
    common = ("dispatch=serial", "track=off", *SHORT, "gate.rhat_max=1.0", "gate.ess_bulk_per_chain=1e6")
    assert bayesrun(*common).code == 0
    judged = bayesrun(*common, "gate.fail=true")
    assert "nothing to fit" in judged.out
    assert judged.code == 1


def test_verbs_read_what_a_study_left(workdir):
    assert bayesrun("-m", "sampler=nuts,advi", "sampler.iterations=1000", "dispatch=serial", *SHORT).code == 0
    name = "hierarchical-eight_schools"
    assert f"study {name}: 2 fits, 2 done, 0 failed, 0 not done or damaged" in bayesrun("status", name).out
    assert "agreement with hierarchical/eight_schools/nuts" in bayesrun("compare", name).out
    assert "0 fits sent, 2 were there" in bayesrun("sync", name).out
    elsewhere = f"sqlite:///{workdir / 'other.db'}"
    assert "2 fits sent, 0 were there" in bayesrun("sync", name, "--uri", elsewhere).out
    assert "127.0.0.1" in bayesrun("ui", name).out
    assert bayesrun("verify", name).code == 0
    path = next((workdir / "studies" / name / "fits").glob("*/posterior.nc"))
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    changed = bayesrun("verify", name)
    assert changed.code == 1
    assert "was changed after it was written" in changed.out
    path.unlink()
    assert "1 done, 0 failed, 1 not done or damaged" in bayesrun("status", name).out
    missing = bayesrun("status", "nothing")
    assert missing.code == 2
    assert name in missing.err
