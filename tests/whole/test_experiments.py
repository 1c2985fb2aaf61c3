"""Ready studies: each composes to its cells, draws plausible data, and runs to the end as a small variant.

The full ones take minutes to hours; small here are the numbers of replicates, draws and optimisation steps only.
"""

from __future__ import annotations

import functools
import itertools
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hydra import compose, initialize_config_dir
from omegaconf import open_dict

from bayesrun.base.imports import import_target, module_constant
from bayesrun.data import conform
from bayesrun.planning.config import Composed, generator_target, shipped_conf, to_cells
from bayesrun.planning.generators import mechanisms
from bayesrun.planning.preflight import Checked, check
from bayesrun.simulate import Simulated, parse_truth, simulator
from command_line import bayesrun

if TYPE_CHECKING:
    from pathlib import Path

    from bayesrun.types import Cell, Settings

FOLDER = shipped_conf() / "experiment"
DRAWN = 100
"""Datasets that are drawn to see what they are like."""
REPLICATES = 3
SMALL = (
    f"study.replicates={REPLICATES}", "study.ranks=49", "study.max_failed=1", "sampler.draws=100", "sampler.tune=150",
    "sampler.chains=2", "sampler.iterations=500", "dispatch=serial", "track=off",
)  # fmt: skip


@dataclass(frozen=True)
class Ready:
    """What a ready study promises.

    Parameters
    ----------
    kind, replicates
        Of the study.
    cells
        Their labels.
    known
        Scalars whose truth is known in every cell.
    """

    kind: str
    replicates: int
    cells: tuple[str, ...]
    known: tuple[str, ...]


SLOPES = ("beta[x1]", "beta[x2]")
STUDIES = {
    "sbc_eight_schools": Ready(
        "sbc", 500, ("hierarchical/eight_schools/numpyro",), ("mu", "tau", "theta[A]", "theta_raw[H]", "log_likelihood")
    ),
    "sampler_calibration": Ready(
        "sbc",
        200,
        tuple(
            f"{own}/{sampler}"
            for own in ("hierarchical/eight_schools", "linear/engel", "logistic/spector")
            for sampler in ("nuts", "numpyro", "advi")
        ),
        ("log_likelihood",),
    ),
    "recovery_linear": Ready(
        "recovery",
        200,
        tuple(f"linear/design/{sampler} n={n}" for n in (20, 50, 200) for sampler in ("numpyro", "advi_jax")),
        ("alpha", *SLOPES, "sigma", "log_likelihood"),
    ),
    "power_logistic": Ready(
        "power", 200, tuple(f"logistic/design/numpyro n={n}" for n in (50, 100, 200)), ("alpha", *SLOPES)
    ),
    "misspecified_survival": Ready(
        "recovery",
        200,
        ("survival/design/numpyro", "survival_lognormal/design/numpyro"),
        ("alpha", *SLOPES, "median_time[0]"),
    ),
}


@functools.cache
def composed(name: str, *overrides: str) -> tuple[Settings, tuple[Cell, ...]]:
    """Settings and cells of a study, as Hydra's sweeper would make them."""
    with initialize_config_dir(str(shipped_conf()), version_base="1.3"):
        base = [f"+experiment={name}", *overrides]
        first = compose("config", overrides=base, return_hydra_config=True)
        params = dict(first.hydra.sweeper.params or {})
        swept = [[f"{key}={value}" for value in str(values).split(",")] for key, values in params.items()]
        assert (first.hydra.mode is not None) == bool(swept)
        jobs = [
            compose("config", overrides=[*base, *job], return_hydra_config=True) for job in itertools.product(*swept)
        ]
        settings, cells, _ = to_cells([_own(job) for job in jobs])
        return replace(settings, generator=generator_target(settings.study, _with_model)), cells


def _own(config: Any) -> Composed:
    choices = {str(key): str(value) for key, value in config.hydra.runtime.choices.items()}
    with open_dict(config):
        config.pop("hydra")
    return Composed(config, choices)


def _with_model(name: str) -> Composed:
    return Composed(compose("config", overrides=[f"model={name}"]), {"model": name})


@functools.cache
def checked(name: str) -> Checked:
    """Cells that can be planned: models built, generators compiled, truth and rules checked."""
    settings, cells = composed(name)
    return mechanisms(check(cells), settings)


@functools.cache
def drawn(name: str, label: str, plain: bool = False) -> tuple[Simulated, ...]:
    """Datasets of a cell; `plain`: with the priors that the generator's config states."""
    settings, _ = composed(name)
    (cell,) = (c for c in checked(name).cells if c.cell.label == label)
    assert cell.simulation is not None
    target = cell.simulation.generator
    function = import_target("study.generator", target.path)
    base = conform(checked(name).datasets[label], module_constant(function, "DATA", {}))
    build = functools.partial(function, **({} if plain else target.params))
    made = simulator(build, base, parse_truth(settings.study.truth))
    return tuple(map(made.draw, range(DRAWN)))


def test_every_ready_study_is_here():
    assert sorted(path.stem for path in FOLDER.glob("*.yaml")) == sorted(STUDIES)


@pytest.mark.parametrize("name", STUDIES)
def test_it_composes_to_its_cells(name):
    wanted, (settings, cells) = STUDIES[name], composed(name)
    study = settings.study
    assert (study.kind, study.replicates) == (wanted.kind, wanted.replicates)
    assert study.name == name
    assert sorted(cell.label for cell in cells) == sorted(wanted.cells)
    assert re.fullmatch(r"[A-Z].{80,}[.]", study.aims)
    for cell in cells:
        assert not cell.steps.posterior_predictive
        assert cell.steps.log_likelihood
        assert cell.options.draws * cell.options.chains >= 20 * study.ranks
        # the thresholds of studies, not those of single fits
        assert (cell.gate.n_divergent, cell.gate.divergent_share, cell.gate.rhat_max) == (None, 0.05, 1.05)


@pytest.mark.parametrize("name", STUDIES)
def test_its_file_says_how_it_is_used_and_chooses_no_launcher(name):
    text = (FOLDER / f"{name}.yaml").read_text()
    assert f"bayesrun +experiment={name}" in text
    assert "launcher" not in text


@pytest.mark.parametrize("name", STUDIES)
def test_its_data_can_be_drawn_and_its_fits_are_paired(name):
    cells = checked(name).cells
    assert all(cell.simulation is not None for cell in cells)
    by_data: dict[str, set[str]] = {}
    for cell in cells:
        assert cell.simulation is not None
        recipe = f"{cell.simulation.generator.path} {cell.simulation.fingerprint} {cell.simulation.base_hash}"
        by_data.setdefault(recipe, set()).add(cell.cell.label)
    assert (
        sorted(map(len, by_data.values()))
        == {
            "sbc_eight_schools": [1],
            "sampler_calibration": [3, 3, 3],
            "recovery_linear": [2, 2, 2],
            "power_logistic": [1, 1, 1],
            "misspecified_survival": [2],
        }[name]
    )


@pytest.mark.parametrize("name", [name for name in STUDIES if name != "misspecified_survival"])
def test_its_data_are_seldom_degenerate(name):
    for label in {cell.cell.data.name + cell.cell.model.name: cell.cell.label for cell in checked(name).cells}.values():
        assert sum(bool(d.degenerate) for d in drawn(name, label)) <= 0.05 * DRAWN, label


def test_survival_times_are_those_of_a_study_that_people_run():
    """The reason for the priors of the generator; with those of its config most studies see all events or none."""
    label = "survival/design/numpyro"
    found, plain = drawn("misspecified_survival", label), drawn("misspecified_survival", label, plain=True)
    shares = np.array([d.dataset["event"].mean() for d in found])
    assert (np.quantile(shares, [0.05, 0.95]) > [0.4, 0.6]).all()
    assert (np.quantile(shares, [0.05, 0.95]) < [0.6, 0.95]).all()
    assert np.mean([d.dataset["event"].mean() in (0.0, 1.0) for d in plain]) > 0.4
    for d in found:
        assert 1.0 < np.median(d.truth["median_time"]) < 15.0
        np.testing.assert_array_equal(d.truth["beta"], [0.5, 0.0])
    assert len({float(d.truth["alpha"]) for d in found}) == DRAWN


def test_correlated_predictors_make_the_slopes_of_recovery_linear_correlated():
    """What mean-field intervals lose: without correlation both samplers would agree."""
    for label in STUDIES["recovery_linear"].cells:
        x = checked("recovery_linear").datasets[label]["X"]
        posterior = np.linalg.inv(np.cov(x.T))
        correlation = posterior[0, 1] / np.sqrt(posterior[0, 0] * posterior[1, 1])
        assert -0.75 < correlation < -0.3, label


def test_effects_of_power_logistic_are_between_hopeless_and_certain():
    """Wald's approximation: information of a log odds of which half are 0."""
    settings, _ = composed("power_logistic")
    effect = settings.study.truth["beta"][0]
    from scipy import stats

    power = [stats.norm.cdf(effect * np.sqrt(n / 4.0) - stats.norm.ppf(0.95)) for n in (50, 100, 200)]
    assert 0.3 < power[0] < 0.65
    assert 0.85 < power[2] < 0.99


@pytest.mark.parametrize(
    ("name", "overrides", "labels"),
    [
        ("recovery_linear", ("data.n=30",), {"linear/design/numpyro", "linear/design/advi_jax"}),
        ("sampler_calibration", ("model=linear", "sampler=numpyro,smc"), {"linear/engel/numpyro", "linear/engel/smc"}),
        ("power_logistic", ("data.n=60", "study.truth.alpha=-1"), {"logistic/design/numpyro"}),
    ],
)
def test_the_command_line_wins_over_a_ready_study(workdir, name, overrides, labels):
    ran = bayesrun(f"+experiment={name}", "study.replicates=2", "dispatch=serial", "dry_run=true", *overrides)
    assert ran.code == 0, ran
    assert f"study {name}: {2 * len(labels)} fits, 0 done" in ran.out
    assert set(re.findall(r"^2 replicates, 0 done in batches of \d+  (.*)$", ran.out, re.MULTILINE)) == labels
    assert list(workdir.iterdir()) == []


@pytest.mark.parametrize(
    "name", [name if name == "sbc_eight_schools" else pytest.param(name, marks=pytest.mark.slow) for name in STUDIES]
)
def test_a_small_variant_runs_to_its_tables(workdir, name):
    wanted = STUDIES[name]
    ran = bayesrun(f"+experiment={name}", *SMALL)
    assert ran.err == ""
    folder = workdir / "studies" / name
    tables = {path.stem: pd.read_parquet(path) for path in folder.glob("tables/*.parquet")}
    assert (folder / "report.html").stat().st_size > 10_000
    assert set(tables["design"]["cell"]) == set(wanted.cells)
    fits = tables["fits"]
    assert (fits["status"] == "done").all(), fits["failures"].tolist()
    assert fits.groupby("cell")["replicate"].apply(sorted).to_dict() == {
        cell: list(range(REPLICATES)) for cell in wanted.cells
    }
    estimates = tables["estimates"]
    for variable in wanted.known:
        rows = estimates[estimates["variable"] == variable]
        if variable != "log_likelihood" or wanted.kind == "sbc":
            assert set(rows["cell"]) == set(wanted.cells)
        assert np.isfinite(rows[["truth", "mean", "sd", "lower_0.95", "upper_0.95"]]).to_numpy().all(), variable
        assert (rows["n_ranks"] == 49).all()
    assert set(tables["measures"].loc[tables["measures"]["measure"] == "coverage", "cell"]) == set(wanted.cells)
    assert_same_data_in_every_cell(folder, fits)
    CHECKS[name](tables)
    judged = tables.get("calibration", pd.DataFrame({"p_holm": [1.0], "level": [0.0]}))
    assert ran.code == int(wanted.kind == "sbc" and bool((judged["p_holm"] <= judged["level"]).any()))
    assert set(tables["states"]["state"]) <= ({"fail"} if ran.code else {"pass", "note"})


def assert_same_data_in_every_cell(folder: Path, fits: pd.DataFrame) -> None:
    """Cells with one model (or one generator) and n see the same observed values in the same replicate."""
    seen: dict[tuple[Any, ...], np.ndarray] = {}
    for cell, replicate, key in fits[["cell", "replicate", "key"]].itertuples(index=False):
        with xr.open_dataset(folder / "fits" / key / "posterior.nc", group="observed_data") as data:
            values = data["y_obs"].to_numpy()
        model, base, rest = cell.split("/")
        group = ("survival" if model.startswith("survival") else model, base, rest.partition(" ")[2], replicate)
        np.testing.assert_array_equal(values, seen.setdefault(group, values))
    distinct = {values.tobytes() for values in seen.values()}
    assert len(distinct) == len(seen)


def calibrated(tables: dict[str, pd.DataFrame]) -> None:
    table, cells = tables["calibration"], set(tables["design"]["cell"])
    assert set(table["cell"]) == cells
    assert ((table["p_holm"] >= table["p_value"]) & (table["p_value"] > 0)).all()
    assert (table["n"] == REPLICATES).all()
    assert set(tables["ranks"]["cell"]) == cells


def samplers_calibrated(tables: dict[str, pd.DataFrame]) -> None:
    calibrated(tables)
    # the centre of an approximation is tested too, and R-hat is made up for none
    assert {cell.rpartition("/")[2] for cell in tables["symmetry"]["cell"]} == {"advi"}
    fits = tables["fits"]
    approximate = fits["cell"].str.endswith("/advi")
    assert fits.loc[approximate, "rhat_max"].isna().all()
    assert fits.loc[~approximate, "rhat_max"].notna().all()
    # truth of a replicate is one for the samplers of a model
    truth = tables["estimates"].assign(model=lambda t: t["cell"].str.partition("/")[0])
    assert (truth.groupby(["model", "replicate", "variable"])["truth"].nunique() == 1).all()
    assert set(tables["contrasts"]["reference"]) == {c for c in tables["design"]["cell"] if c.endswith("/nuts")}


def recovered(tables: dict[str, pd.DataFrame]) -> None:
    truth = tables["estimates"].groupby("variable")["truth"].agg(["min", "max"])
    for variable, value in (("alpha", 1.0), ("beta[x1]", 0.5), ("beta[x2]", -0.3), ("sigma", 1.0)):
        assert (truth.loc[variable] == value).all()
    assert list(tables["design"].set_index("cell")["data.n"].sort_values()) == [20, 20, 50, 50, 200, 200]
    width = tables["measures"].query("measure == 'width' and level == 0.95 and analysis == 'all'")
    by_n = width[width["variable"] == "beta[x1]"].set_index("cell")["value"]
    assert by_n["linear/design/numpyro n=20"] > by_n["linear/design/numpyro n=200"]
    pairs = tables["contrasts"][["cell", "reference"]].drop_duplicates().itertuples(index=False)
    assert {tuple(pair) for pair in pairs} == {
        (f"linear/design/advi_jax n={n}", f"linear/design/numpyro n={n}") for n in (20, 50, 200)
    }
    assert "calibration" not in tables


def decided(tables: dict[str, pd.DataFrame]) -> None:
    rates = tables["measures"].query("analysis == 'all'")
    found = set(
        rates.loc[rates["measure"].str.contains(":"), ["variable", "measure"]].itertuples(index=False, name=None)
    )
    assert found == {
        ("beta[x1]", "decision:beta.x1_above_0_p0.95"),
        ("beta[x1]", "power:beta.x1_above_0_p0.95"),
        ("beta[x1]", "decision:beta_excludes_0_ci0.95"),
        ("beta[x1]", "power:beta_excludes_0_ci0.95"),
        ("beta[x2]", "decision:beta_excludes_0_ci0.95"),
        ("beta[x2]", "type_1_error:beta_excludes_0_ci0.95"),
    }
    assert rates.loc[rates["measure"].str.startswith("power:"), "cell"].nunique() == 3


def compared(tables: dict[str, pd.DataFrame]) -> None:
    estimates = tables["estimates"]
    slopes = estimates[estimates["variable"].isin(SLOPES)]
    fixed = slopes.groupby("variable")["truth"].unique().to_dict()
    assert {name: list(values) for name, values in fixed.items()} == {"beta[x1]": [0.5], "beta[x2]": [0.0]}
    # what only the fitted model has, has no truth, and no measure of a truth
    shape = estimates[estimates["variable"] == "shape"]
    assert len(shape) == REPLICATES
    assert shape["truth"].isna().all()
    measures = tables["measures"]
    assert "bias" not in set(measures.loc[measures["variable"] == "shape", "measure"])
    assert set(tables["contrasts"]["reference"]) == {"survival_lognormal/design/numpyro"}
    assert set(SLOPES) <= set(tables["contrasts"]["variable"])


CHECKS = {
    "sbc_eight_schools": calibrated,
    "sampler_calibration": samplers_calibrated,
    "recovery_linear": recovered,
    "power_logistic": decided,
    "misspecified_survival": compared,
}
