"""Tables of a simulation study whose posterior is known, made in milliseconds: no fit, no simulation of data.

Every scalar is a normal mean with a standard normal prior and one observation of known standard error, so that
the posterior, its intervals and the ranks are exact. The tables have the columns of a study's tables.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
from scipy import stats

from bayesrun.statistics.calibration import standings
from bayesrun.statistics.states import State, cell_state

LEVELS = (0.5, 0.8, 0.89, 0.95)
L = 99


def fake_study(
    *,
    cells: int = 1,
    variables: int = 1,
    replicates: int = 100,
    fixed: bool = False,
    failing: float = 0.0,
    kind: str = "nuts",
    seed: int = 1,
) -> dict[str, pd.DataFrame]:
    """Tables by name; every fifth scalar has a posterior too narrow, every seventh one shifted high."""
    rng = np.random.default_rng(seed)
    design = fake_design(cells, kind)
    names = [f"beta[x{i}]" for i in range(1, variables)] + ["sigma"]
    parts = []
    for cell in design["cell"]:
        frames = [_scalar(rng, cell, name, place, replicates, fixed) for place, name in enumerate(names)]
        parts += [*frames, _scalar(rng, cell, "log_likelihood", 0, replicates, False)]
    estimates = pd.concat(parts, ignore_index=True)
    fits = _fits(rng, design, replicates, failing)
    gone = fits.loc[fits["status"] != "done", "key"]
    estimates = estimates[~estimates["key"].isin(gone)].reset_index(drop=True)
    if kind == "variational":
        estimates = estimates.assign(rank=-1, rhat=np.nan, ess_bulk=np.nan, ess_tail=np.nan)
        fits = fits.assign(rhat_max=np.nan, ess_bulk_min=np.nan)
    return {
        "design": design,
        "fits": fits,
        "estimates": estimates,
        "measures": fake_measures(estimates),
        "calibration": fake_calibration(estimates),
    }


def fake_states(fits: pd.DataFrame, max_failed: float, finding: State = "pass") -> pd.DataFrame:
    """Table of the states of cells about whose fits a study found the same."""
    found = standings(fits, max_failed)
    rows = [{"cell": label, "state": cell_state(s, finding), **dataclasses.asdict(s)} for label, s in found.items()]
    return pd.DataFrame(rows)


def fake_design(cells: int, kind: str = "nuts") -> pd.DataFrame:
    samplers = ["numpyro"] if cells == 1 else ["numpyro", "nuts"]
    rows = []
    for place in range(cells):
        sampler, n = samplers[place % len(samplers)], (20, 50, 200, 500)[place // len(samplers) % 4]
        label = f"linear/design/{sampler}" + (f" n={n}" if cells > 2 else "")
        rows.append({"cell": label, "model": "linear", "data": "design", "sampler": sampler, "kind": kind, "data.n": n})
    return pd.DataFrame(rows)


def _scalar(rng: np.random.Generator, cell: str, name: str, place: int, replicates: int, fixed: bool) -> pd.DataFrame:
    noise = 0.2 + 0.1 * (place % 4)
    truth = np.full(replicates, 0.5) if fixed else rng.normal(size=replicates)
    weight = 1.0 / (1.0 + noise**2)
    mean = weight * (truth + noise * rng.normal(size=replicates))
    exact = np.sqrt(1.0 - weight)
    sd = np.full(replicates, exact * (0.7 if place % 5 == 4 else 1.0)) * rng.uniform(0.97, 1.03, replicates)
    if place % 7 == 6:
        mean = mean + 0.5 * exact
    below = stats.norm.cdf((truth - mean) / sd)
    table = pd.DataFrame(
        {
            "cell": cell,
            "replicate": np.arange(replicates),
            "key": [f"{cell}|{r}" for r in range(replicates)],
            "variable": name,
            "truth": truth,
            "mean": mean,
            "median": mean,
            "sd": sd,
            "mcse_mean": sd / 20,
            "rhat": 1.0 + rng.exponential(0.002, replicates),
            "ess_bulk": rng.normal(400, 40, replicates),
            "ess_tail": rng.normal(350, 40, replicates),
            "rank": rng.binomial(L, below),
            "n_ranks": L,
            "prior_sd": 1.0,
            "p_truth": below,
            "decision_positive": (mean / sd > 1.645).astype(float),
        }
    )
    for level in LEVELS:
        half = stats.norm.ppf(0.5 + level / 2) * sd
        table[f"lower_{level:g}"], table[f"upper_{level:g}"] = mean - half, mean + half
    return table


def _fits(rng: np.random.Generator, design: pd.DataFrame, replicates: int, failing: float) -> pd.DataFrame:
    size = len(design) * replicates
    chance = rng.uniform(size=size)
    status = np.where(chance < failing, "failed", "done")
    status = np.where((chance >= failing) & (chance < 1.1 * failing), "missing", status)
    reason = np.where(status == "failed", rng.choice(["error", "timeout", "oom", "lost"], size), "")
    done = status == "done"
    converged = done & (rng.uniform(size=size) > 0.05)
    cell = np.repeat(design["cell"].to_numpy(), replicates)
    replicate = np.tile(np.arange(replicates), len(design))
    return pd.DataFrame(
        {
            "cell": cell,
            "replicate": replicate,
            "key": [f"{c}|{r}" for c, r in zip(cell, replicate, strict=True)],
            "status": status,
            "reason": reason,
            "converged": converged,
            "failures": np.where(done & ~converged, "rhat_max 1.03 > 1.01", ""),
            "seconds": np.where(
                done, rng.lognormal(0.5, 0.4, size) * (1 + np.repeat(np.arange(len(design)), replicates)), np.nan
            ),
            "degenerate": False,
            "rhat_max": np.where(done, 1.0 + rng.exponential(0.003, size), np.nan),
            "ess_bulk_min": np.where(done, rng.lognormal(6.0, 0.3, size), np.nan),
            "n_divergent": np.where(done, rng.poisson(0.3, size), np.nan),
        }
    )


def fake_measures(estimates: pd.DataFrame) -> pd.DataFrame:
    rows = []
    for (cell, variable), part in estimates.groupby(["cell", "variable"], sort=False):
        n = len(part)
        error = (part["mean"] - part["truth"]).to_numpy()
        spread = float(error.std(ddof=1)) if n > 1 else np.nan
        rms = float(np.sqrt((error**2).mean()))
        found = [
            ("bias", np.nan, error.mean(), spread / np.sqrt(n)),
            ("empirical_se", np.nan, spread, spread / np.sqrt(2 * max(n - 1, 1))),
            ("rmse", np.nan, rms, rms / np.sqrt(2 * n)),
            ("model_se", np.nan, float(np.sqrt((part["sd"] ** 2).mean())), 0.001),
        ]
        for level in LEVELS:
            inside = (part[f"lower_{level:g}"] <= part["truth"]) & (part["truth"] <= part[f"upper_{level:g}"])
            found.append(("coverage", level, inside.mean(), np.sqrt(inside.mean() * (1 - inside.mean()) / n)))
        rate = float(part["decision_positive"].mean())
        found.append(("decision:positive", np.nan, rate, np.sqrt(rate * (1 - rate) / n)))
        for measure, level, value, mcse in found:
            low, high = value - 1.96 * mcse, value + 1.96 * mcse
            if measure == "coverage" or measure.startswith("decision"):
                low, high = _wilson(value, n)
            rows.append((cell, variable, measure, level, value, mcse, low, high, n, "all"))
    names = ["cell", "variable", "measure", "level", "value", "mcse", "lower", "upper", "n", "analysis"]
    return pd.DataFrame(rows, columns=names)


def _wilson(share: float, n: int) -> tuple[float, float]:
    """Wilson (1927), doi:10.1080/01621459.1927.10502953."""
    centre, half = share + 1.96**2 / (2 * n), 1.96 * np.sqrt(share * (1 - share) / n + 1.96**2 / (4 * n**2))
    return (centre - half) / (1 + 1.96**2 / n), (centre + half) / (1 + 1.96**2 / n)


def fake_calibration(estimates: pd.DataFrame) -> pd.DataFrame:
    rows = []
    for (cell, variable), part in estimates.groupby(["cell", "variable"], sort=False):
        n = len(part)
        u = part["p_truth"].to_numpy()
        z = ((part["mean"] - part["truth"]) / part["sd"]).to_numpy()
        counts = np.histogram(u, 10, (0, 1))[0]
        p = float(stats.chi2.sf(((counts - n / 10) ** 2 / (n / 10)).sum(), 9)) if n > 1 else np.nan
        shape = (
            "uniform"
            if p > 0.05
            else "posterior too narrow"
            if abs(u.mean() - 0.5) < 0.05
            else "posterior shifted high"
        )
        share = 1 - part["sd"].to_numpy() ** 2
        root = np.sqrt(n)
        rows.append(
            {
                "cell": cell,
                "variable": variable,
                "n": n,
                "n_ranks": L,
                "p_value": p,
                "p_holm": min(1.0, 5 * p),
                "level": 0.05,
                "calibrated": p > 0.01,
                "shape": shape,
                "gamma": 0.002,
                "potc_p": p,
                "z_mean": z.mean(),
                "z_mcse": z.std(ddof=1) / root if n > 1 else np.nan,
                "contraction": share.mean(),
                "contraction_mcse": share.std(ddof=1) / root if n > 1 else np.nan,
                "low_ess_share": 0.0,
            }
        )
    return pd.DataFrame(rows)
