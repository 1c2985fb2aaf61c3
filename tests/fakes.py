"""Fake fits: trees with the groups of a real fit, made from random numbers in milliseconds."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

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
