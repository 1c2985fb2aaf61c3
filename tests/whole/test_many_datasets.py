"""One model on many real datasets is one batch: they share what is compiled, and draw as each does alone."""

import jax
import numpy as np
import pytest
import xarray as xr

from bayesrun.samplers.lanes.program import program
from bayesrun.store.folder import Store
from command_line import bayesrun

MODEL = """
import pymc as pm

def build(data):
    with pm.Model(coords={"obs": range(len(data["y"]))}) as model:
        level, slope = pm.Normal("level", 0.0, 5.0), pm.Normal("slope", 0.0, 5.0)
        scale = pm.HalfNormal("scale", 2.0, initval=float(data["y"].std()))
        pm.Normal("y_obs", level + slope * data["x"], scale, observed=data["y"], dims="obs")
    return model
"""
OFF = ("--config-dir", "conf", "model=site_line", "data=csv", "sampler=numpyro", "sampler.draws=100",
       "sampler.tune=200", "track=off", "dispatch=serial", "steps.figures=false")  # fmt: skip
ALONE = ("steps.prior_predictive=false", "steps.posterior_predictive=false")


def make_sites(workdir, lengths) -> list[str]:
    """Tables with a straight line each; the number of a site is its slope."""
    (workdir / "conf" / "model").mkdir(parents=True)
    (workdir / "conf" / "model" / "site_line.yaml").write_text("_target_: site_line.build\n")
    (workdir / "site_line.py").write_text(MODEL)
    rng = np.random.default_rng(1)
    for site, n in enumerate(lengths):
        x = rng.normal(size=n)
        rows = zip(x, site * x + 0.1 * rng.normal(size=n), strict=True)
        (workdir / f"s{site}.csv").write_text("x,y\n" + "".join(f"{a:.6f},{b:.6f}\n" for a, b in rows))
    return [f"s{site}.csv" for site in range(len(lengths))]


def posteriors(workdir, study: str) -> dict[str, xr.DataTree]:
    """Of each site."""
    store = Store(workdir / "studies" / study)
    trees = [store.read_tree(key) for key in store.fit_keys()]
    return {f"s{round(float(tree['posterior']['slope'].mean()))}.csv": tree for tree in trees}


def same_draws(one: xr.DataTree, other: xr.DataTree) -> None:
    for group in ("posterior", "log_likelihood"):
        for name, values in one[group].data_vars.items():
            np.testing.assert_array_equal(values, other[group][name])


def test_four_sites_are_one_batch_with_one_program_and_the_draws_of_each_alone(workdir):
    paths = make_sites(workdir, [20, 20, 20, 20])
    before = program.cache_info().misses
    ran = bayesrun("-m", *OFF, *ALONE, f"data.path={','.join(paths)}", "study.name=all")
    assert ran.code in (0, 1), ran.err
    assert program.cache_info().misses == before + 1
    together = posteriors(workdir, "all")
    assert sorted(together) == paths
    store = Store(workdir / "studies" / "all")
    outcomes = [store.read_outcome(key) for key in store.fit_keys()]
    assert len({outcome.cell for outcome in outcomes}) == 4
    assert {outcome.effort["together"] for outcome in outcomes} == {4}
    ran = bayesrun(*OFF, *ALONE, f"data.path={paths[2]}", "study.name=one")
    assert ran.code in (0, 1), ran.err
    same_draws(posteriors(workdir, "one")[paths[2]], together[paths[2]])
    again = bayesrun("-m", *OFF, *ALONE, f"data.path={','.join(paths)}", "study.name=all", "dry_run=true")
    assert "4 fits, 4 done, 0 to do" in again.out


@pytest.mark.slow
def test_twelve_sites_compile_what_as_many_replicates_compile(workdir):
    """Also where their lengths are of three kinds."""
    seen = []

    def listener(event, duration, **_):
        if event == "/jax/core/compile/backend_compile_duration":
            seen.append(duration)

    jax.monitoring.register_event_duration_secs_listener(listener)
    try:
        paths = make_sites(workdir, [25] * 12)
        before = program.cache_info().misses
        assert bayesrun("-m", *OFF, f"data.path={','.join(paths)}", "study.name=all").code in (0, 1)
        assert program.cache_info().misses == before + 1
        compiled = len(seen)
        study = ("study=recovery", "study.replicates=12", "study.name=replicates", "sampler.draws=101")
        assert bayesrun(*OFF, f"data.path={paths[0]}", *study).code in (0, 1)
        assert compiled <= len(seen) - compiled + 3
    finally:
        jax.monitoring.unregister_event_duration_listener(listener)
    before = program.cache_info().misses
    for site, path in enumerate(paths):
        lines = (workdir / path).read_text().splitlines(keepends=True)
        (workdir / path).write_text("".join(lines[: 26 - 2 * (site % 3)]))
    assert bayesrun("-m", *OFF, f"data.path={','.join(paths)}", "study.name=unequal").code in (0, 1)
    assert program.cache_info().misses == before + 1
