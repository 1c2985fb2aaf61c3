"""`bayesrun show`: what is known of fits and cells, for people and for machines."""

import csv
import io
import json
import shlex
import subprocess
import sys
import textwrap

import pytest

from command_line import bayesrun

MODEL = """
    import pymc as pm

    def build(data, sigma=1.0):
        with pm.Model(coords={"obs": range(len(data["y"])), "k": ["a", "b"]}) as model:
            mu = pm.Normal("mu", 0.0, sigma)
            beta = pm.Normal("beta", 0.0, sigma, dims="k")
            pm.Deterministic("each", mu + beta.sum() + 0.0 * data["y"], dims="obs")
            pm.Normal("y_obs", mu, 1.0, observed=data["y"], dims="obs")
        return model
"""
COMMAND = (
    "--config-dir", "conf", "model=shown", "data=csv", "data.path=y.csv", "study.name=s", "dispatch=serial",
    "track=off", "sampler._target_=fake_samplers.sample", "sampler.draws=20", "sampler.chains=2",
    "steps.figures=false", "steps.prior_predictive=false", "steps.posterior_predictive=false", "gate.rhat_max=null",
    "gate.ess_bulk_per_chain=null", "gate.ess_tail_per_chain=null", "gate.bfmi_min=null",
)  # fmt: skip
LABELS = ["shown/y/nuts sigma=1.0", "shown/y/nuts sigma=2.0"]


@pytest.fixture
def project(workdir, interpreted):
    (workdir / "conf" / "model").mkdir(parents=True)
    (workdir / "y.csv").write_text("y\n" + "\n".join(map(str, range(30))) + "\n")
    (workdir / "shown.py").write_text(textwrap.dedent(MODEL))
    (workdir / "conf" / "model" / "shown.yaml").write_text("_target_: shown.build\nsigma: 1.0\n")
    return workdir


def test_estimates_are_printed_and_shown_again(project):
    ran = bayesrun(*COMMAND, "-m", "model.sigma=1.0,2.0")
    assert ran.code == 0
    assert "estimates of sigma=1.0" in ran.out
    assert "not shown: each (30)" in ran.out
    assert "each[" not in ran.out

    listed = bayesrun("show", "s")
    assert listed.code == 0
    assert "all rows: shown/y/nuts" in listed.out
    facts = json.loads(bayesrun("show", "s", "--json").out)
    assert [row["cell"] for row in facts] == LABELS
    key = facts[1]["key"]
    assert key in listed.out

    by_label, by_key = bayesrun("show", "s", "sigma=2.0"), bayesrun("show", "s", key[:8])
    assert by_label.out == by_key.out
    for told in (
        "estimates\n",
        "beta[a]",
        "model: shown (shown.build) sigma=2.0",
        "times: ",
        "summary.parquet",
        "seed: ",
    ):
        assert told in by_label.out

    whole = json.loads(bayesrun("show", "s", LABELS[1], "--json").out)
    assert whole["key"] == key
    assert whole["recipe"]["model"]["params"] == {"sigma": 2.0}
    assert [row["variable"] for row in whole["estimates"]][:3] == ["mu", "beta[a]", "beta[b]"]

    one = list(csv.DictReader(io.StringIO(bayesrun("show", "s", key, "--var", "each", "--csv").out)))
    assert [row["variable"] for row in one] == [f"each[{n}]" for n in range(30)]
    both = list(csv.DictReader(io.StringIO(bayesrun("show", "s", "--var", "beta[ a ]", "--csv").out)))
    assert [(row["cell"], row["variable"]) for row in both] == [(label, "beta[a]") for label in LABELS]
    across = bayesrun("show", "s", "--var", "mu").out
    assert across.count("sigma=") == 2

    for words, near in (
        (("show", "s", "sigma=2"), "did you mean sigma=2.0? "),
        (("show", "s", key, "--var", "beat"), "did you mean beta? "),
        (("show", "ss"), "did you mean s? "),
        (("show", "s", "--csv", "--json"), "wanted one of them"),
    ):
        refused = bayesrun(*words)
        assert (refused.code, refused.out) == (2, "")
        assert near in refused.err

    line = f"{shlex.quote(sys.executable)} -m bayesrun show s | true"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", line], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
