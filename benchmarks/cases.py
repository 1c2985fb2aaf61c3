"""The three models that are measured, as a user would write them, and datasets with truth from their priors.

It measures nothing. Datasets are drawn once for a run and written to .npz files with their seeds, which every method
reads.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pymc as pm
from benchmarks.harness import WORK, finish, job

from bayesrun.models import hierarchical, logistic
from bayesrun.types import Dataset, Target

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["CASES", "STUDY_SEED", "Case", "datasets", "held", "truths"]

STUDY_SEED = 42
TARGET_ACCEPT = 0.8
"""Of every sampler here; it is the default of PyMC, NumPyro and nutpie."""

SCHOOLS_PRIOR = {
    "mu_mean": 0.0,
    "mu_sigma": 5.0,
    "tau_scale": 2.5,
    "sigma_scale": 1.0,
    "parameterization": "noncentered",
}
"""What conf/model/hierarchical.yaml says. The seeds of a study's datasets depend on it."""
LOGISTIC_PRIOR = {"alpha_mean": 0.0, "alpha_sigma": 1.0, "beta_mean": 0.0, "beta_sigma": 0.5}
"""Narrower than the shipped default: with 20 slopes of SD 2.5, almost every outcome would be certain."""

N_ROWS, N_SLOPES = 1000, 20
N_HOUSES, N_GROUPS = 919, 85

type Hold = Callable[[np.ndarray], Any]


@dataclass(frozen=True)
class Case:
    """One model with its data and the lengths of its chains.

    Parameters
    ----------
    base
        Makes the dataset whose covariates are kept.
    build
        What bayesrun is given.
    model
        The same model for the loops; its observed values go through `held` where one compiled model is kept.
    seed
        Of one replicate's truth and data.
    draws, tune
        Per chain; there are 4.
    """

    name: str
    base: Callable[[], Dataset]
    build: Callable[[Dataset], pm.Model]
    model: Callable[[Dataset, Hold], pm.Model]
    seed: Callable[[int], int]
    draws: int
    tune: int
    chains: int = 4


def held(values: np.ndarray) -> Any:
    """Hold observed values in a variable that can be changed in a compiled model."""
    return pm.Data("y", values)


def schools(data: Dataset, hold: Hold) -> pm.Model:
    """Eight schools, non-centred."""
    with pm.Model(coords={"obs": range(8), "group": data.coords["group"]}) as model:
        mu = pm.Normal("mu", 0.0, 5.0)
        tau = pm.HalfCauchy("tau", 2.5)
        theta_raw = pm.Normal("theta_raw", 0.0, 1.0, dims="group")
        theta = pm.Deterministic("theta", mu + tau * theta_raw, dims="group")
        pm.Normal("y_obs", theta[data["group"]], data["sigma"], observed=hold(data["y"]), dims="obs")
    return model


def regression(data: Dataset, hold: Hold) -> pm.Model:
    """Logistic regression."""
    with pm.Model(coords={"obs": range(N_ROWS), "predictor": data.coords["predictor"]}) as model:
        alpha = pm.Normal("alpha", 0.0, 1.0)
        beta = pm.Normal("beta", 0.0, 0.5, dims="predictor")
        log_odds = alpha + pm.math.dot(data["X"], beta)
        pm.Deterministic("p", pm.math.sigmoid(log_odds), dims="obs")
        pm.Bernoulli("y_obs", logit_p=log_odds, observed=hold(data["y"]), dims="obs")
    return model


def houses(data: Dataset, hold: Hold = np.asarray) -> pm.Model:
    """Houses in groups: intercepts vary, non-centred; one predictor of the group and one of the house.

    The priors of the standard deviations have the scale of log radon. Vague ones would draw datasets with larger
    differences between groups than within, for which nobody would choose the non-centred form.
    """
    with pm.Model(coords={"obs": range(N_HOUSES), "group": data.coords["group"]}) as model:
        mu = pm.Normal("mu", 0.0, 1.0)
        gamma = pm.Normal("gamma", 0.0, 1.0)
        beta = pm.Normal("beta", 0.0, 1.0)
        tau = pm.HalfNormal("tau", 0.4)
        sigma = pm.LogNormal("sigma", np.log(0.75), 0.2)
        z = pm.Normal("z", 0.0, 1.0, dims="group")
        a = pm.Deterministic("a", mu + gamma * data["soil"] + tau * z, dims="group")
        pm.Normal("y_obs", a[data["group"]] + beta * data["floor"], sigma, observed=hold(data["y"]), dims="obs")
    return model


def _schools_base() -> Dataset:
    from bayesrun.data import shipped

    return shipped(table="eight_schools", columns={"y": "effect", "sigma": "standard_error", "group": "school"})


def _regression_base() -> Dataset:
    predictors = np.random.default_rng(1).normal(size=(N_ROWS, N_SLOPES))
    arrays = {"y": np.arange(N_ROWS) % 2, "X": predictors}
    labels = tuple(f"x{i + 1}" for i in range(N_SLOPES))
    return Dataset(arrays, {"y": ("obs",), "X": ("obs", "predictor")}, {"predictor": labels}, "regression")


def _houses_base() -> Dataset:
    """Make groups as unequal as counties are: from one house to a tenth of all."""
    rng = np.random.default_rng(2)
    share = rng.dirichlet(np.full(N_GROUPS, 0.8))
    extra = rng.choice(N_GROUPS, size=N_HOUSES - N_GROUPS, p=share)
    group = np.sort(np.concatenate([np.arange(N_GROUPS), extra]))
    arrays = {
        "y": np.linspace(-1.0, 1.0, N_HOUSES),
        "floor": rng.binomial(1, 0.17, N_HOUSES).astype(np.float64),
        "soil": rng.normal(size=N_GROUPS),
        "group": group,
    }
    dims = {"y": ("obs",), "floor": ("obs",), "soil": ("group",), "group": ("obs",)}
    return Dataset(arrays, dims, {"group": tuple(f"g{i:02d}" for i in range(N_GROUPS))}, "houses")


def _study_seed(replicate: int) -> int:
    """Seed that the study gives to its replicate, so that the loops get the study's own datasets."""
    from bayesrun.base.seeds import data_seed

    generator = Target("hierarchical", "bayesrun.models.hierarchical.build", SCHOOLS_PRIOR)
    return data_seed(STUDY_SEED, generator, replicate)


CASES = {
    case.name: case
    for case in (
        Case(
            "eight_schools",
            _schools_base,
            functools.partial(hierarchical.build, **SCHOOLS_PRIOR),  # type: ignore[arg-type]
            schools,
            _study_seed,
            draws=1000,
            tune=1000,
        ),
        Case(
            "logistic",
            _regression_base,
            functools.partial(logistic.build, **LOGISTIC_PRIOR),  # type: ignore[arg-type]
            regression,
            lambda replicate: 1000 + replicate,
            draws=500,
            tune=500,
        ),
        Case("houses", _houses_base, houses, houses, lambda replicate: 2000 + replicate, draws=1000, tune=1000),
    )
}


def _file(case: Case) -> Path:
    return WORK / "datasets" / f"{case.name}.npz"


def draw(case: Case, count: int) -> None:
    """Draw truth and data of the first replicates, and write them with their seeds and covariates."""
    from bayesrun.simulate import simulator

    base = case.base()
    ready = simulator(case.build, base)
    seeds = [case.seed(replicate) for replicate in range(count)]
    drawn = [ready.draw(seed) for seed in seeds]
    truth = {f"truth_{name}": np.stack([one.truth[name] for one in drawn]) for name in drawn[0].truth if name != "p"}
    covariates = {f"data_{name}": values for name, values in base.items() if name != "y"}
    y = np.stack([one.dataset["y"] for one in drawn])
    path = _file(case)
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays: dict[str, Any] = {"y": y, "seed": np.array(seeds), **covariates, **truth}
    np.savez_compressed(path, **arrays)


def datasets(case: Case, first: int, count: int) -> list[Dataset]:
    """Read datasets of a run."""
    with np.load(_file(case)) as stored:
        outcomes = stored["y"][first : first + count]
    if len(outcomes) < count:
        raise ValueError(f"{case.name}: {count} datasets from {first} on were asked for, {len(outcomes)} were drawn")
    base = case.base()
    return [replace(base, arrays={**base.arrays, "y": y}) for y in outcomes]


def truths(case: Case) -> np.ndarray:
    """Observed values of all replicates, (replicate, obs): what a study must have drawn too."""
    with np.load(_file(case)) as stored:
        return np.asarray(stored["y"])


def _check_same_model(case: Case) -> None:
    """Refuse to compare models that differ: their log densities at a random point."""
    data = datasets(case, 0, 1)[0]
    ours, theirs, kept = case.build(data), case.model(data, np.asarray), case.model(data, held)
    rng = np.random.default_rng(3)
    point = {name: rng.normal(0.0, 0.3, np.shape(value)) for name, value in ours.initial_point().items()}
    values = [
        float(model.logp().eval({v: point[v.name] for v in model.value_vars}, mode="FAST_COMPILE"))
        for model in (ours, theirs, kept)
    ]
    if not np.allclose(values, values[0], rtol=1e-10):
        raise ValueError(f"{case.name}: the log densities of the models differ: {values}")


def main() -> None:
    """Draw the datasets that a run asks for, and check that all methods fit the same model."""
    given, path = job()
    for name, count in given["counts"].items():
        draw(CASES[name], count)
        _check_same_model(CASES[name])
    finish({"counts": given["counts"]}, path)


if __name__ == "__main__":
    main()
