"""Planted passwords, tokens and keys: none is in any file of a study, in MLflow or in what is printed."""

import functools
import http.server
import threading
from pathlib import Path

import numpy as np
import pytest

from command_line import bayesrun

pytestmark = pytest.mark.filterwarnings("ignore:.*noload.*:DeprecationWarning")

PLANTED = "pLanted-7f3"
"""The beginning of each of them."""
QUICK = (
    "sampler=numpyro", "sampler.draws=20", "sampler.tune=20", "sampler.chains=2", "dispatch=serial",
    "steps.figures=false", "steps.prior_predictive=false", "steps.posterior_predictive=false",
)  # fmt: skip
MODEL = """
import os
import pymc as pm

def build(data, *, service: str = "", password: str = "", fails: bool = False):
    assert password.startswith("pLanted") and "pLanted" in service
    if fails and len(data["y"]) != 12:
        raise RuntimeError(f"401 for {service} with {os.environ['MY_API_TOKEN']} and {password}")
    with pm.Model() as model:
        mu = pm.Normal("mu", 0.0, 10.0)
        pm.Normal("y", mu, 1.0, observed=data["y"])
    return model
"""


class _Files(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments: object) -> None:
        del arguments


@pytest.fixture
def address(tmp_path):
    """Serve a folder with two tables on loopback."""
    folder = tmp_path / "served"
    folder.mkdir()
    for name, rows in (("a", 12), ("b", 13)):
        np.savetxt(folder / f"{name}.csv", np.arange(rows) / 10.0, header="y", comments="")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Files, directory=folder)) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@pytest.fixture
def project(workdir, monkeypatch):
    monkeypatch.setenv("MY_API_TOKEN", f"{PLANTED}-env")
    (workdir / "conf" / "model").mkdir(parents=True)
    (workdir / "conf" / "model" / "guarded.yaml").write_text("_target_: guarded_model.build\n")
    (workdir / "guarded_model.py").write_text(MODEL)
    return workdir


def leaks(folder: Path) -> list[str]:
    """List the files that hold what was planted, by name or by content."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert files
    return [str(path) for path in files if PLANTED in str(path) or PLANTED.encode() in path.read_bytes()]


def test_no_secret_of_address_environment_or_config_is_stored_tracked_or_said(project, address):
    secret = f"http://me:{PLANTED}-user@{address}"
    words = (
        "--config-dir", "conf", "model=guarded", "data=csv", f"data.path='{secret}/a.csv?sig={PLANTED}-query'",
        f"+model.service='{secret}/api?token={PLANTED}-model'", f"+model.password={PLANTED}-password",
        f"+dispatch.runtime_env.env_vars.API_KEY={PLANTED}-runtime", "study.name=kept", *QUICK,
    )  # fmt: skip
    ran = bayesrun(*words)
    assert ran.code in (0, 1), ran
    assert "done in" in ran.out
    again = bayesrun(*words)
    assert "nothing to fit" in again.out, again
    broken = bayesrun(*[word.replace("a.csv", "b.csv") for word in words], "+model.fails=true")
    assert broken.code == 2
    assert "RuntimeError: 401 for" in broken.err
    absent = bayesrun(*[word.replace("a.csv", "none.csv") for word in words])
    assert absent.code == 2
    assert "none.csv" in absent.err
    told = [bayesrun(verb, "kept") for verb in ("status", "show", "sync", "report")]
    for one in (ran, again, broken, absent, *told):
        assert PLANTED not in one.out + one.err
    assert leaks(project / "studies") == []
    configs = list((project / "studies").rglob("config.yaml"))
    assert configs
    assert all("API_KEY: '***'" in path.read_text() for path in configs)

    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{project / 'studies' / 'mlflow.db'}")
    runs = client.search_runs([client.get_experiment_by_name("bayesrun").experiment_id])
    (fit,) = [run for run in runs if "model.password" in run.data.params]
    assert fit.data.params["model.password"] == "***"
