"""Fake fits: trees with the groups of a real fit, made from random numbers in milliseconds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from bayesrun.types import DiagnosticsOptions, FitSpec, Outcome, SamplerOptions, Steps, Target

SCHOOLS = tuple("ABCDEFGH")


def fake_tree(
    seed: int = 1,
    *,
    chains: int = 4,
    draws: int = 200,
    divergent: int = 0,
    kind: str = "nuts",
    shift: float = 0.0,
    obs: int = 8,
    predictive: bool = True,
) -> xr.DataTree:
    """Make the tree of a fit of eight schools, or of as many groups as `obs` says.

    Groups ``posterior`` (mu, tau, theta_raw, theta), ``sample_stats``, ``log_likelihood``,
    ``observed_data`` and with `predictive` the two predictive groups; for ``kind="variational"`` one chain,
    no NUTS statistics and an ``optimization`` group. `shift` moves mu.
    """
    rng = np.random.default_rng(seed)
    chains = 1 if kind == "variational" else chains
    school = [*SCHOOLS, *(f"S{i}" for i in range(8, obs))][:obs]
    shape = (chains, draws)
    mu = 4.0 + shift + 3.0 * rng.standard_normal(shape)
    tau = np.abs(3.0 * rng.standard_normal(shape)) + 0.1
    raw = rng.standard_normal((*shape, obs))
    theta = mu[..., None] + tau[..., None] * raw
    y = np.linspace(-3.0, 28.0, obs)
    sigma = 12.0
    over = ("chain", "draw", "school")
    coords = {"chain": np.arange(chains), "draw": np.arange(draws), "school": school}

    def group(**variables: Any) -> xr.Dataset:
        return xr.Dataset(variables, coords={k: v for k, v in coords.items()})

    groups = {
        "posterior": group(mu=(over[:2], mu), tau=(over[:2], tau), theta_raw=(over, raw), theta=(over, theta)),
        "log_likelihood": group(y=(over, -0.5 * ((y - theta) / sigma) ** 2 - np.log(sigma) - 0.5 * np.log(2 * np.pi))),
        "observed_data": xr.Dataset({"y": ("school", y)}, coords={"school": school}),
    }
    if predictive:
        groups["posterior_predictive"] = group(y=(over, theta + sigma * rng.standard_normal(theta.shape)))
        groups["prior_predictive"] = groups["posterior_predictive"].copy()
    if kind == "variational":
        elbo = -60.0 - 200.0 * np.exp(-np.arange(3000) / 300.0) + rng.standard_normal(3000)
        groups["optimization"] = xr.Dataset({"elbo": ("iteration", elbo)})
    else:
        hits = np.zeros(chains * draws, dtype=bool)
        hits[:divergent] = True
        groups["sample_stats"] = group(
            lp=(over[:2], -40.0 + rng.standard_normal(shape)),
            **(
                {
                    "diverging": (over[:2], hits.reshape(shape)),
                    "energy": (over[:2], 45.0 + 2.0 * rng.standard_normal(shape)),
                    "tree_depth": (over[:2], rng.integers(2, 5, shape)),
                }
                if kind == "nuts"
                else {}
            ),
        )
    return xr.DataTree.from_dict(groups)


def fake_summary(tree: xr.DataTree) -> pd.DataFrame:
    """Summarise a tree as the store keeps it, with the Monte Carlo errors of independent draws."""
    rows = {}
    for name, variable in tree["posterior"].to_dataset().data_vars.items():
        values = variable.values.reshape(variable.shape[0] * variable.shape[1], -1)
        for column in range(values.shape[1]):
            label = str(name) if variable.ndim == 2 else f"{name}[{variable[variable.dims[2]].values[column]}]"
            v = values[:, column]
            error = v.std() / np.sqrt(v.size)
            rows[label] = {
                "mean": v.mean(),
                "sd": v.std(),
                "median": np.median(v),
                "mcse_mean": error,
                "mcse_sd": error / np.sqrt(2),
                "rhat": 1.0,
            }
    return pd.DataFrame.from_dict(rows, orient="index")


def fake_spec(key: str = "k0", cell: str = "hierarchical/nuts", sampler: str = "nuts", **fields: Any) -> FitSpec:
    """Make the recipe of a fit of eight schools."""
    return FitSpec(
        **{
            "key": key,
            "cell": cell,
            "replicate": 0,
            "fit_seed": 1,
            "data_hash": "d0",
            "observed_hash": "o0",
            "model": Target("hierarchical", "bayesrun.models.hierarchical.build", {"tau_scale": 5.0}),
            "sampler": Target(sampler, f"bayesrun.samplers.{sampler}.sample"),
            "options": SamplerOptions(draws=50),
            "steps": Steps(),
            "diagnostics": DiagnosticsOptions(),
        }
        | fields
    )


def fake_outcome(key: str = "k0", cell: str = "hierarchical/nuts", **fields: Any) -> Outcome:
    """Make what came back from a fit that went well."""
    return Outcome(
        **{
            "key": key,
            "cell": cell,
            "replicate": 0,
            "status": "done",
            "diagnostics": {
                "rhat_max": 1.004,
                "ess_bulk_min": 812.3,
                "n_divergent": 0.0,
                "elpd_loo": -30.81,
                "se_elpd_loo": 1.42,
            },
            "seconds": {"sample": 2.5, "diagnose": 0.75},
            "where": "node-1:4242",
            "versions": {"pymc": "6.4.0"},
        }
        | fields
    )
