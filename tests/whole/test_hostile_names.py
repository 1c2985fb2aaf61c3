"""Names and labels that no file, figure or server takes: fitted, compared, tracked and plotted by one command."""

import arviz as az
import pandas as pd
import pytest

from bayesrun.store.folder import Store
from command_line import bayesrun
from hostile_models import MODELS

CASES = ("twice", "mathematics")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of few draws, and of MLflow's
def test_a_study_of_hostile_names(workdir):
    (workdir / "conf" / "model").mkdir(parents=True)
    (workdir / "conf" / "model" / "hostile.yaml").write_text("_target_: hostile_models.build\ncase: twice\n")
    (workdir / "data.csv").write_text("y\n0.3\n-1.2\n0.8\n")
    ran = bayesrun(
        "-m", "--config-dir", "conf", "model=hostile", f"model.case={','.join(CASES)}", "data=csv",
        "data.path=data.csv", "sampler=nuts,numpyro", "sampler.draws=100", "sampler.tune=200", "sampler.chains=2",
        "dispatch=serial", "study.name=h",
    )  # fmt: skip
    assert ran.code == 0, ran
    store = Store(workdir / "studies" / "h")
    assert len(store.fit_keys()) == 4
    for key in store.fit_keys():
        outcome = store.done(key)
        assert outcome is not None
        assert not outcome.absent_steps
        names = next(MODELS[case].names for case in CASES if case in outcome.cell)
        assert set(names) <= set(store.read_tree(key)["posterior"].data_vars)
        assert (store.fit_folder(key) / "figures" / "forest.png").exists()
        file = az.from_netcdf(store.fit_folder(key) / "posterior.nc")
        assert len(az.summary(file)) == len(store.read_summary(key))
    agreement = pd.read_parquet(store.tables / "agreement.parquet")
    assert r"$\beta$" in agreement.to_csv()
    import mlflow

    mlflow.set_tracking_uri(f"sqlite:///{workdir / 'studies' / 'mlflow.db'}")
    runs = mlflow.search_runs(search_all_experiments=True, output_format="list")
    assert {run.data.params.get("model.case") for run in runs} >= set(CASES)
