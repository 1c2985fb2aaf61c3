"""What commands ask of the same fits adds up in any order: quantities, decisions, levels, steps; nothing is drawn."""

import importlib
import json
import sys
import textwrap

import pandas as pd
import pytest

from bayesrun.store.folder import Store
from command_line import bayesrun
from fake_samplers import calls

MODEL = """
    import pymc as pm

    def build(data):
        with pm.Model() as model:
            mu = pm.Normal("mu", 0.0, 1.0)
            pm.Normal("y_obs", mu, 1.0, observed=data["y"])
        return model
"""
HOOK = """
    def pointwise(model, data):
        return {"y_obs": FACTOR * pm.logp(model["y_obs"], data["y"])}
"""
QUANTITIES = """
    import numpy as np

    def doubled(draws, data):
        return 2.0 * draws["mu"]

    def squared(draws, data):
        return draws["mu"] ** 2
"""
pytestmark = pytest.mark.usefixtures("interpreted")

COMMON = (
    "--config-dir", "conf", "model=adding", "data=csv", "data.path=y.csv", "dispatch=serial", "track=off",
    "sampler._target_=fake_samplers.sample", "sampler.draws=20", "sampler.chains=2", "sampler.extra={log: calls.txt}",
    "study.name=s",
)  # fmt: skip
MAIN = (*COMMON, "steps.prior_predictive=false", "steps.posterior_predictive=false", "steps.figures=false")
DOUBLED = (
    *MAIN, "diagnostics.quantities={doubled: adding_quantities.doubled}", "diagnostics.levels=[0.6]",
    "diagnostics.decisions=['wide: P(doubled > 0 | y) > 0.6']", "diagnostics.waic=true",
)  # fmt: skip
SQUARED = (
    *COMMON, "steps.prior_predictive=true", "steps.prior_draws=20", "steps.posterior_predictive=false",
    "steps.figures=true", "diagnostics.quantities={squared: adding_quantities.squared}", "diagnostics.levels=[0.7]",
    "diagnostics.decisions=['high: P(mu > 0 | y) > 0.5']",
)  # fmt: skip


@pytest.fixture
def project(workdir, no_study_figures):
    """A user's folder; modules are imported afresh, as by another command."""
    (workdir / "conf" / "model").mkdir(parents=True)
    (workdir / "conf" / "model" / "adding.yaml").write_text("_target_: adding_model.build\n")
    (workdir / "y.csv").write_text("y\n0.3\n-0.2\n1.4\n0.9\n")
    written(workdir)
    yield workdir
    forget()


def forget() -> None:
    for name in ("adding_model", "adding_quantities"):
        sys.modules.pop(name, None)
    importlib.invalidate_caches()


def written(folder, quantities: str = QUANTITIES, hook: str = "") -> None:
    (folder / "adding_model.py").write_text(textwrap.dedent(MODEL) + textwrap.dedent(hook))
    (folder / "adding_quantities.py").write_text(textwrap.dedent(quantities))
    forget()


def ran(*command: str) -> str:
    forget()
    found = bayesrun(*command)
    assert found.code == 0, found
    return found.out.replace("\n", " ")


def store_of(folder) -> Store:
    return Store(folder / "studies" / "s")


def the_fit(folder):
    store = store_of(folder)
    (key,) = (path.name for path in (store.root / "fits").iterdir())
    return store, store.done(key), store.read_summary(key)


@pytest.mark.parametrize(
    "order",
    [
        (MAIN, DOUBLED, MAIN, SQUARED, MAIN),
        pytest.param((SQUARED, MAIN, DOUBLED, MAIN, SQUARED), marks=pytest.mark.slow),
    ],
)
def test_commands_on_real_data_undo_nothing_of_each_other(project, order):
    had: set[str] = set()
    for command in order:
        ran(*command)
        store, outcome, summary = the_fit(project)
        has = {*summary.index, *summary.columns, *store.read_tree(outcome.key).children, *outcome.diagnostics}
        assert had <= has
        had = has
        assert "1 done, 0 failed, 0 not done" in ran("status", "s")
    assert len(calls(project / "calls.txt")) == 1
    assert {"mu", "doubled", "squared"} <= set(summary.index)
    columns = {f"{side}_{level}" for side in ("lower", "upper") for level in (0.6, 0.7)}
    assert columns | {"decision_wide", "decision_high"} <= set(summary.columns)
    assert summary.loc[["mu", "doubled", "squared"], sorted(columns)].notna().all(axis=None)
    assert summary.loc["doubled", "decision_wide"] in (0.0, 1.0)
    assert {"prior", "log_prior", "log_likelihood", "loo"} <= has
    assert "elpd_waic" in outcome.diagnostics
    assert (outcome.steps.prior_predictive, outcome.steps.figures, outcome.steps.prior_draws) == (True, True, 20)
    (cell,) = json.loads(store.study_file.read_text())["cells"]
    told = cell["cell"]["diagnostics"]
    assert set(told["quantities"]) == set(outcome.diagnostics_options.quantities) == {"doubled", "squared"}
    assert told["levels"] == list(outcome.diagnostics_options.levels) == [0.6, 0.7]
    assert set(told["decisions"]) == set(outcome.diagnostics_options.decisions)
    assert told["waic"] is outcome.diagnostics_options.waic is True


def test_a_command_that_asks_for_nothing_new_writes_nothing_of_a_fit(project):
    for command in (MAIN, DOUBLED, SQUARED):
        ran(*command)
    folder = store_of(project).root / "fits"
    files = [path for path in folder.rglob("*.*") if path.name != "config.yaml"]
    before = [path.stat().st_mtime_ns for path in files]
    for command in (DOUBLED, MAIN):
        assert "1 done, 0 to do" in ran(*command)
    assert [path.stat().st_mtime_ns for path in files] == before


def test_a_summary_that_is_made_again_does_no_step_again_and_keeps_the_posterior(project):
    ran(*SQUARED)
    store, first, _ = the_fit(project)
    files = [store.fit_folder(first.key) / "posterior.nc", store.fit_folder(first.key) / "figures" / "forest.png"]
    before = [path.stat().st_mtime_ns for path in files]
    dry = ran(*DOUBLED, "dry_run=true")
    assert "1 fits, 0 done, 1 to do: 0 are drawn, 1 keep their draws, diagnostics only" in dry
    assert f"draws kept, diagnostics only  {first.key}" in dry
    ran(*DOUBLED)
    store, later, _ = the_fit(project)
    assert [path.stat().st_mtime_ns for path in files] == before
    kept = set(first.seconds) - {"diagnose"}
    assert {name: later.seconds[name] for name in kept} == {name: first.seconds[name] for name in kept}
    assert set(first.files) <= set(later.files)


def test_what_can_no_longer_be_made_is_left_out_with_a_warning_and_fails_nothing(project):
    ran(*DOUBLED)
    written(project, "def squared(draws, data):\n    return draws['mu'] ** 2\n")
    out = ran(*MAIN)
    assert "doubled" in the_fit(project)[2].index
    assert "quantity doubled (adding_quantities.doubled) of an earlier command is left out" in out
    ran(*SQUARED)
    _, outcome, summary = the_fit(project)
    assert {"mu", "squared"} <= set(summary.index)
    assert "doubled" not in summary.index
    assert "decision_wide" not in summary.columns
    assert "lower_0.6" in summary.columns
    told = [line for line in outcome.warnings if "quantity doubled (adding_quantities.doubled)" in line]
    assert len(told) == 1
    assert "has no function 'doubled'" in told[0]
    assert any("decision 'wide: P(doubled > 0 | y) > 0.6'" in line for line in outcome.warnings)
    assert len(calls(project / "calls.txt")) == 1


def test_an_edited_quantity_is_not_passed_off_as_the_earlier_one(project):
    ran(*DOUBLED)
    mean = the_fit(project)[2].loc["doubled", "mean"]
    written(project, QUANTITIES.replace("2.0 *", "100.0 *"))
    ran(*MAIN)
    assert the_fit(project)[2].loc["doubled", "mean"] == mean
    ran(*SQUARED)
    _, outcome, summary = the_fit(project)
    assert "doubled" not in summary.index
    assert any("doubled" in line and "its source was edited since" in line for line in outcome.warnings)
    ran(*DOUBLED)
    summary = the_fit(project)[2]
    assert summary.loc["doubled", "mean"] == pytest.approx(50.0 * mean)
    assert "squared" in summary.index
    assert len(calls(project / "calls.txt")) == 1


def test_a_quantity_that_fails_is_in_the_way_of_no_other_command(project):
    ran(*MAIN)
    written(project, QUANTITIES.replace("return 2.0 *", "raise ValueError('no')  #"))
    assert bayesrun(*DOUBLED).code == 1
    ran(*MAIN)
    ran(*SQUARED)
    _, outcome, summary = the_fit(project)
    assert "squared" in summary.index
    assert any("an earlier command asked for it, and it is left out" in line for line in outcome.warnings)
    assert len(calls(project / "calls.txt")) == 1


def test_edited_terms_of_the_likelihood_are_worked_out_again_from_the_stored_draws(project):
    written(project, hook=HOOK.replace("FACTOR", "1.0"))
    ran(*MAIN)
    first = the_fit(project)[1]
    assert "log_likelihood" in first.step_sources
    assert "1 done, 0 to do" in ran(*MAIN, "dry_run=true")
    written(project, hook=HOOK.replace("FACTOR", "2.0"))
    assert "1 keep their draws, diagnostics only" in ran(*MAIN, "dry_run=true")
    ran(*MAIN)
    store, later, _ = the_fit(project)
    assert later.step_sources != first.step_sources
    assert later.diagnostics["elpd_loo"] != first.diagnostics["elpd_loo"]
    written(project)
    ran(*MAIN)
    store, without, _ = the_fit(project)
    assert not without.step_sources
    assert "pointwise" not in store.read_tree(without.key)["log_likelihood"].attrs
    assert without.diagnostics["elpd_loo"] == pytest.approx(first.diagnostics["elpd_loo"])
    assert len(calls(project / "calls.txt")) == 1


def test_cells_of_one_command_that_are_one_fit_add_up(project):
    swept = (
        "-m", *MAIN[:-1], "steps.figures=true,false", "diagnostics.levels=[0.6],[0.7]",
        "diagnostics.quantities={doubled: adding_quantities.doubled},{squared: adding_quantities.squared}",
    )  # fmt: skip
    told = ran(*swept, "dry_run=true")
    assert "study s: 1 fits, 0 done, 1 to do" in told
    assert "note: adding/y/nuts: 8 cells are this one fit, which gets the steps, levels, quantities and" in told
    ran(*swept)
    _, outcome, summary = the_fit(project)
    assert {"mu", "doubled", "squared"} <= set(summary.index)
    assert {"lower_0.6", "lower_0.7"} <= set(summary.columns)
    assert outcome.steps.figures
    for command in (swept, MAIN):
        assert "1 done, 0 to do" in ran(*command)
    assert len(calls(project / "calls.txt")) == 1
    refused = bayesrun("-m", *MAIN, "diagnostics.ci_prob=0.8,0.9")
    assert refused.code == 2
    assert "diagnostics.ci_prob (0.8 and 0.9): " in refused.err


def test_more_draws_from_the_prior_stay(project):
    many = (*SQUARED, "steps.prior_draws=30")
    for command, told in ((SQUARED, "1 to do"), (many, "1 keep their draws"), (SQUARED, "1 done, 0 to do")):
        assert told in ran(*command)
    store, outcome, _ = the_fit(project)
    assert outcome.steps.prior_draws == 30
    assert store.read_tree(outcome.key)["prior"].sizes["draw"] == 30
    (cell,) = json.loads(store.study_file.read_text())["cells"]
    assert cell["cell"]["steps"]["prior_draws"] == 30


RECOVERY = (*MAIN, "study=recovery", "study.ranks=10", "study.max_failed=1", "study.replicates=3", "study.levels=[0.5]")
FIRST = (*RECOVERY[:-1], "study.levels=[0.6]", "study.quantities={doubled: adding_quantities.doubled}",
         "study.decisions=['wide: P(doubled > 0 | y) > 0.6']")  # fmt: skip
SECOND = (*RECOVERY[:-1], "study.levels=[0.7, 0.5]", "study.quantities={squared: adding_quantities.squared}",
          "study.decisions=['high: P(mu > 0 | y) > 0.5']")  # fmt: skip


@pytest.mark.parametrize(
    "order",
    [
        (RECOVERY, FIRST, RECOVERY, SECOND),
        pytest.param((SECOND, RECOVERY, FIRST, RECOVERY), marks=pytest.mark.slow),
    ],
)
def test_commands_on_simulated_data_undo_nothing_of_each_other(project, order):
    had: set[tuple[str, str, str]] = set()
    for command in order:
        ran(*command)
        table = pd.read_parquet(store_of(project).tables / "measures.parquet")
        has = set(zip(table["variable"], table["measure"], table["level"].astype(str), strict=True))
        assert had <= has
        had = has
        assert (table.loc[table["analysis"] == "all", "n"] <= 3).all()
    assert "3 done, 0 to do" in ran(*order[0], "dry_run=true")
    ran("report", "s")
    assert len(calls(project / "calls.txt")) == 3
    for name in ("mu", "doubled", "squared"):
        assert {(name, "coverage", level) for level in ("0.5", "0.6", "0.7")} <= has
    assert {("doubled", "decision:wide"), ("mu", "decision:high")} <= {(name, measure) for name, measure, _ in has}
    study = json.loads(store_of(project).study_file.read_text())["study"]
    assert study["levels"] == [0.5, 0.6, 0.7]
    assert set(study["quantities"]) == {"doubled", "squared"}
    assert len(study["decisions"]) == 2


def test_more_replicates_of_the_main_command_have_what_the_others_asked_for(project):
    ran(*FIRST)
    ran(*RECOVERY, "study.replicates=5")
    table = pd.read_parquet(store_of(project).tables / "estimates.parquet")
    assert (table["variable"] == "doubled").sum() == 5
    assert table.loc[table["variable"] == "mu", ["lower_0.5", "lower_0.6"]].notna().sum().tolist() == [5, 5]
    assert len(calls(project / "calls.txt")) == 5


def test_an_edited_quantity_is_out_of_the_tables_until_it_is_asked_for_again(project):
    ran(*RECOVERY)
    ran(*FIRST)
    written(project, QUANTITIES.replace("2.0 *", "100.0 *"))
    for command in (RECOVERY, ("report", "s")):
        assert "doubled of 3 fits was worked out by another version of its source" in ran(*command)
        table = pd.read_parquet(store_of(project).tables / "estimates.parquet")
        assert "doubled" not in set(table["variable"])
    ran(*FIRST)
    table = pd.read_parquet(store_of(project).tables / "estimates.parquet").set_index(["variable", "replicate"])["mean"]
    assert table["doubled"].to_numpy() == pytest.approx(100.0 * table["mu"].to_numpy())
    assert len(calls(project / "calls.txt")) == 3


def test_a_null_value_stays_and_is_one(project):
    for command in ((*FIRST, "study.nulls={mu: 0}"), RECOVERY, (*SECOND, "study.nulls={mu: 0.0}")):
        ran(*command)
        study = json.loads(store_of(project).study_file.read_text())["study"]
        assert study["nulls"] == {"mu": 0.0}
    refused = bayesrun(*FIRST, "study.nulls={mu: 0.5}")
    assert refused.code == 2
    assert "study.nulls.mu: got 0.5; in study s that is 0, and a variable has one null value" in refused.err


def test_a_name_means_one_thing_in_a_simulated_study(project):
    ran(*FIRST)
    other = bayesrun(*RECOVERY, "study.quantities={doubled: adding_quantities.squared}")
    assert other.code == 2
    assert "study.quantities.doubled: got 'adding_quantities.squared'; in study s that is" in other.err
    rule = bayesrun(*RECOVERY, "study.decisions=['wide: P(mu > 0 | y) > 0.9']")
    assert rule.code == 2
    assert "study.decisions: wide: got 'P(mu > 0 | y) > 0.9'; in study s that is 'P(doubled > 0 | y) > 0.6'" in rule.err
    for change in ("study.ranks=11", "study=sbc"):
        assert bayesrun(*RECOVERY, change).code == 2


def test_a_cell_of_a_later_command_has_its_own_levels_and_those_of_the_study(project):
    ran(*FIRST)
    ran(*RECOVERY, "sampler.draws=30")
    table = pd.read_parquet(store_of(project).tables / "measures.parquet")
    shares = table[(table["measure"] == "coverage") & (table["variable"] == "mu") & (table["analysis"] == "all")]
    found = {cell: set(part["level"]) for cell, part in shares.groupby("cell")}
    assert sorted(map(sorted, found.values())) == [[0.5, 0.6], [0.6]]
    assert (shares["n"] == 3).all()
