"""No stale fit or number is found: a key holds all that a fit was made of, and a column is of one function."""

import importlib
import sys
import textwrap

import numpy as np
import pandas as pd
import pytest

from command_line import bayesrun

MODEL = """
    import numpy as np
    import pymc as pm

    def build(data):
        with pm.Model() as model:
            mu = pm.Normal("mu", 0.0, 1.0)
            PILOT
            pm.Normal("y_obs", mu, 1.0, observed=data["y"])
        return model

    def from_draws(data, drawn):
        from stale_helper import moved
        return {"y": moved(drawn["y_obs"])}
"""
FILE = 'pm.Normal("pilot", mu, 1.0, observed=np.loadtxt("pilot.txt", ndmin=1))'
NOISE = 'pm.Normal("pilot", mu, 1.0, observed=np.random.default_rng().normal(size=3))'
COMMAND = (
    "--config-dir", "conf", "model=stale", "data=csv", "data.path=y.csv", "dispatch=serial", "track=off",
    "sampler._target_=fake_samplers.sample", "sampler.draws=20", "sampler.chains=2", "steps.figures=false",
    "steps.prior_predictive=false", "steps.posterior_predictive=false", "study.name=s",
)  # fmt: skip
SIMULATED = (*COMMAND, "study=recovery", "study.ranks=10", "study.max_failed=1")


@pytest.fixture
def project(workdir, no_study_figures):
    """A user's folder; modules are imported afresh, as by another command."""
    (workdir / "conf" / "model").mkdir(parents=True)
    (workdir / "conf" / "model" / "stale.yaml").write_text("_target_: stale_model.build\n")
    (workdir / "y.csv").write_text("y\n0.3\n-0.2\n1.4\n0.9\n")
    yield workdir
    forget()


def forget():
    for name in ("stale_model", "stale_helper", "stale_quantities"):
        sys.modules.pop(name, None)
    importlib.invalidate_caches()


def written(folder, pilot="pass", shift="0.0", factor="2.0"):
    (folder / "stale_model.py").write_text(textwrap.dedent(MODEL).replace("PILOT", pilot))
    (folder / "stale_helper.py").write_text(f"def moved(y):\n    return y + {shift}\n")
    (folder / "stale_quantities.py").write_text(f"def scaled(draws, data):\n    return {factor} * draws['mu']\n")
    forget()


def planned(*command):
    """How many fits a command finds done."""
    ran = bayesrun(*command, "dry_run=true")
    assert ran.code == 0, ran
    return ran.out


def test_a_file_that_a_builder_reads_is_part_of_the_fit(project):
    written(project, FILE)
    (project / "pilot.txt").write_text("0.1\n0.2\n")
    assert bayesrun(*COMMAND).code == 0
    assert "1 done" in planned(*COMMAND)
    (project / "pilot.txt").write_text("5.1\n5.2\n")
    assert "0 done" in planned(*COMMAND)
    (project / "pilot.txt").write_text("0.1\n0.2\n")
    assert "1 done" in planned(*COMMAND)


def test_observed_values_with_fresh_noise_in_every_build_are_refused(project):
    written(project, NOISE)
    ran = bayesrun(*COMMAND)
    assert ran.code == 2
    assert "two builds of it differ" in ran.err


def test_a_helper_that_a_hook_imports_when_it_is_called_is_part_of_the_fit(project):
    simulated = (*SIMULATED, "study.replicates=2")
    written(project)
    assert bayesrun(*simulated).code == 0
    forget()
    assert "2 done" in planned(*simulated)
    written(project, shift="0.0  # a comment")
    assert "2 done" in planned(*simulated)
    written(project, shift="(0.0 + 0.0)")
    assert "0 done" in planned(*simulated)


def column(folder):
    table = pd.read_parquet(folder / "studies" / "s" / "tables" / "estimates.parquet")
    mu, own = (table[table["variable"] == name].sort_values("replicate") for name in ("mu", "scaled"))
    return own["mean"].to_numpy() / mu["mean"].to_numpy()[: len(own)]


QUANTITY = "study.quantities={scaled: stale_quantities.scaled}"


def test_a_column_is_of_one_function(project):
    """An edited quantity is worked out again from the stored draws; nothing is fitted."""
    written(project)
    assert bayesrun(*SIMULATED, QUANTITY, "study.replicates=3").code == 0
    np.testing.assert_allclose(column(project), [2.0] * 3)
    fits = set(project.glob("studies/s/fits/*/posterior.nc"))
    written(project, factor="100.0")
    ran = bayesrun("report", "s")
    assert "scaled of 3 fits was worked out by another version of its source" in ran.out.replace("\n", " ")
    assert len(column(project)) == 0
    forget()
    ran = bayesrun(*SIMULATED, QUANTITY, "study.replicates=5")
    assert ran.code == 0
    np.testing.assert_allclose(column(project), [100.0] * 5)
    assert fits < set(project.glob("studies/s/fits/*/posterior.nc"))
    forget()
    assert "5 done" in planned(*SIMULATED, QUANTITY, "study.replicates=5")
    assert "another version" not in bayesrun("report", "s").out


def test_a_quantity_of_real_data_follows_its_source(project):
    written(project)
    asked = (*COMMAND, "diagnostics.quantities={scaled: stale_quantities.scaled}")
    assert bayesrun(*asked).code == 0
    written(project, factor="100.0")
    assert "1 done" not in planned(*asked)
    forget()
    assert bayesrun(*asked).code == 0
    (path,) = project.glob("studies/s/fits/*/summary.parquet")
    summary = pd.read_parquet(path)
    mean = summary["mean"] if "scaled" in summary.index else summary.set_index("variable")["mean"]
    assert mean["scaled"] == pytest.approx(100.0 * mean["mu"])
    forget()
    assert "1 done" in planned(*asked)
    missing = bayesrun(*COMMAND, "diagnostics.quantities={scaled: stale_quantities.nothing}")
    assert missing.code == 2
    assert "diagnostics.quantities.scaled._target_: stale_quantities has no function 'nothing'" in missing.err


TWO = """
    import pymc as pm

    def draw(data):
        with pm.Model() as model:
            mu = pm.Normal("mu")
            pm.Normal("y", mu, 1.0, observed=data["y"])
            pm.Normal("z", mu + 5.0, 1.0, observed=data["z"])
        return model

    def build(data):
        with pm.Model() as model:
            pm.Normal("seen", pm.Normal("mu"), 1.0, observed=data["y"])
        return model
"""


def test_which_of_two_drawn_arrays_is_observed_is_part_of_the_fit(project):
    """Of both the graph is the same, and the one's mean is 5 above the other's."""
    (project / "conf" / "model" / "both.yaml").write_text("_target_: stale_model.draw\n")
    (project / "y.csv").write_text("y,z\n0.3,5.1\n-0.2,4.2\n1.4,5.5\n0.9,6.0\n")
    command = (*SIMULATED, "study.generator=both", "study.replicates=1")

    def found(text):
        (project / "stale_model.py").write_text(textwrap.dedent(text))
        forget()
        return planned(*command)

    assert "0 done" in found(TWO)
    assert bayesrun(*command).code == 0
    assert "1 done" in found(TWO)
    assert "0 done" in found(
        TWO.replace('1.0, observed=data["y"])\n        return', '1.0, observed=data["z"])\n        return')
    )
    swapped = TWO.replace('mu, 1.0, observed=data["y"]', 'mu, 1.0, observed=data["z"]', 1)
    assert "0 done" in found(swapped.replace('5.0, 1.0, observed=data["z"]', '5.0, 1.0, observed=data["y"]'))
