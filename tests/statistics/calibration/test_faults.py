"""Planted faults, with exact posteriors instead of samplers: each is found, and read as what it is.

Normal data with a normal prior of the mean, and eight schools with the scale on a grid: no Markov chain is run.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from bayesrun.statistics.calibration import (
    NO_DEPARTURE,
    calibration_table,
    probability_below,
    rank_truth,
    symmetry_table,
    verdicts,
)

L = 99
REPLICATES = 600
SIGMA = 1.0
SIZE = 4


def normal_study(
    *,
    generator_sd: float = 1.0,
    model_sigma: float = SIGMA,
    shift: float = 0.0,
    scale: float = 1.0,
    prior_draws: bool = False,
    likelihood: bool = True,
    seed: int = 1,
) -> pd.DataFrame:
    """Estimates of mu ~ N(0, 1) from four values y ~ N(mu, sigma), with faults in the generator, model or draws."""
    rng = np.random.default_rng(seed)
    mu = rng.normal(0.0, generator_sd, REPLICATES)
    y = rng.normal(mu[:, None], SIGMA, (REPLICATES, SIZE))
    variance = 1.0 / (1.0 + SIZE / model_sigma**2) if likelihood else 1.0
    mean = variance * y.sum(axis=1) / model_sigma**2 if likelihood else np.zeros(REPLICATES)
    sd = np.sqrt(variance)
    if prior_draws:
        mean, sd = np.zeros(REPLICATES), 1.0
    draws = mean[:, None] + shift * sd + scale * sd * rng.standard_normal((REPLICATES, L))

    def log_likelihood(at: np.ndarray) -> np.ndarray:
        if not likelihood:
            return np.zeros(at.shape)
        return stats.norm.logpdf(y[:, None, :], at[:, :, None], model_sigma).sum(axis=-1)

    scalars = {
        "mu": (mu, draws, 1.0),
        "log_likelihood": (log_likelihood(mu[:, None])[:, 0], log_likelihood(draws), np.nan),
    }
    return estimates("study", scalars, rng)


def schools_study(model_factor: float = 1.0, seed: int = 1) -> pd.DataFrame:
    """Estimates of eight schools, mu ~ N(0, 5), tau ~ HalfNormal(10); the model multiplies the standard errors."""
    rng = np.random.default_rng(seed)
    errors = np.array([15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0])
    mu, tau = rng.normal(0.0, 5.0, REPLICATES), np.abs(rng.normal(0.0, 10.0, REPLICATES))
    theta = rng.normal(mu[:, None], tau[:, None], (REPLICATES, 8))
    y = rng.normal(theta, errors)
    believed = errors * model_factor

    grid = (np.arange(1200) + 0.5) * 40.0 / 1200
    total = grid[:, None] ** 2 + believed**2
    precision = (1.0 / total).sum(axis=1) + 1.0 / 25.0
    centre = (y[:, None, :] / total).sum(axis=-1) / precision
    spread = np.log(total).sum(axis=1) + np.log(precision)
    log_density = -0.5 * (
        spread + (y[:, None, :] ** 2 / total).sum(axis=-1) - centre**2 * precision + (grid / 10.0) ** 2
    )
    weights = np.exp(log_density - log_density.max(axis=1, keepdims=True))
    cumulative = np.cumsum(weights, axis=1)
    uniform = rng.random((REPLICATES, L)) * cumulative[:, -1:]
    place = np.array([np.searchsorted(c, u) for c, u in zip(cumulative, uniform, strict=True)])
    tau_draws = grid[place] + (rng.random(place.shape) - 0.5) * 40.0 / 1200
    mu_draws = rng.normal(np.take_along_axis(centre, place, axis=1), 1.0 / np.sqrt(precision[place]))
    own = 1.0 / (1.0 / tau_draws[..., None] ** 2 + 1.0 / believed**2)
    pulled = own * (mu_draws[..., None] / tau_draws[..., None] ** 2 + y[:, None, :] / believed**2)
    theta_draws = rng.normal(pulled, np.sqrt(own))

    def log_likelihood(at: np.ndarray) -> np.ndarray:
        return stats.norm.logpdf(y[:, None, :], at, believed).sum(axis=-1)

    scalars = {
        "mu": (mu, mu_draws, 5.0),
        "tau": (tau, tau_draws, 10.0 * np.sqrt(1 - 2 / np.pi)),
        "log_likelihood": (log_likelihood(theta[:, None, :])[:, 0], log_likelihood(theta_draws), np.nan),
    }
    return estimates("schools", scalars, rng)


def estimates(
    cell: str, scalars: dict[str, tuple[np.ndarray, np.ndarray, float]], rng: np.random.Generator
) -> pd.DataFrame:
    parts = []
    for name, (truth, draws, prior_sd) in scalars.items():
        parts.append(
            pd.DataFrame(
                {
                    "cell": cell,
                    "replicate": np.arange(truth.size),
                    "variable": name,
                    "truth": truth,
                    "mean": draws.mean(axis=1),
                    "sd": draws.std(axis=1, ddof=1),
                    "ess_tail": 400.0,
                    "rank": rank_truth(draws[:, None, :], truth, L, rng),
                    "n_ranks": L,
                    "prior_sd": prior_sd,
                    "p_truth": probability_below(draws[:, None, :], truth),
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


def shapes(study: pd.DataFrame) -> dict[str, str]:
    return calibration_table(study).set_index("variable")["shape"].to_dict()


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_correct_model_and_sampler_pass(seed: int) -> None:
    for study in (normal_study(seed=seed), schools_study(seed=seed)):
        (verdict,) = verdicts(calibration_table(study, level=0.01))
        assert verdict.calibrated, verdict.sentence
        assert verdict.remarks == ()


def test_a_generator_with_twice_the_prior_sd_makes_the_posterior_too_narrow() -> None:
    found = calibration_table(normal_study(generator_sd=2.0)).set_index("variable")
    assert found.loc["mu", "shape"] == "posterior too narrow"
    assert not found.loc["mu", "calibrated"]


@pytest.mark.parametrize(("shift", "words"), [(0.2, "posterior shifted high"), (-0.2, "posterior shifted low")])
def test_shifted_draws_are_seen_in_the_parameter(shift: float, words: str) -> None:
    assert shapes(normal_study(shift=shift))["mu"] == words


def test_a_sampler_that_ignores_the_data_is_seen_in_the_log_likelihood_only() -> None:
    found = shapes(normal_study(prior_draws=True))
    assert found == {"mu": NO_DEPARTURE, "log_likelihood": "posterior shifted low"}
    (verdict,) = verdicts(calibration_table(normal_study(prior_draws=True)))
    assert not verdict.calibrated
    study = normal_study(prior_draws=True).query("variable == 'mu'")
    (blind,) = verdicts(calibration_table(study))
    assert blind.calibrated
    assert blind.remarks == ("the joint log-likelihood is not ranked: a sampler that ignores the data would pass",)


def test_a_likelihood_sigma_that_is_too_small_shifts_scale_and_log_likelihood_high() -> None:
    found = shapes(schools_study(model_factor=0.8))
    assert found["tau"].startswith("posterior shifted high")
    assert found["log_likelihood"].startswith("posterior shifted high")
    assert shapes(normal_study(model_sigma=0.8 * SIGMA))["mu"] == "posterior too narrow"


def test_a_likelihood_without_the_parameter_passes_by_ties_alone() -> None:
    study = normal_study(likelihood=False)
    assert (study.query("variable == 'log_likelihood'")["truth"] == 0).all()
    assert set(shapes(study).values()) == {NO_DEPARTURE}


@pytest.mark.parametrize(("scale", "words"), [(0.7, "posterior too narrow"), (1.4, "posterior too wide")])
def test_width_is_seen_by_ranks_and_not_by_symmetry(scale: float, words: str) -> None:
    study = normal_study(scale=scale).query("variable == 'mu'")
    assert shapes(study)["mu"] == words
    assert symmetry_table(study)["calibrated"].all()


def test_bias_of_the_centre_is_seen_by_symmetry() -> None:
    study = normal_study(shift=0.4, scale=0.6).query("variable == 'mu'")
    assert symmetry_table(study)["shape"].tolist() == ["centre biased high"]


def test_z_scores_and_contraction_are_those_of_the_model() -> None:
    found = calibration_table(normal_study()).set_index("variable").loc["mu"]
    assert abs(found["z_mean"]) < 4 * found["z_mcse"]
    assert found["z_mcse"] == pytest.approx(1 / np.sqrt(REPLICATES), rel=0.1)
    # the posterior variance is 1/5 of the prior's; draws have n - 1 of it with SD sqrt(2/98)
    assert abs(found["contraction"] - 0.8) < 4 * found["contraction_mcse"]
    assert found["contraction_mcse"] == pytest.approx(0.2 * np.sqrt(2 / 98 / REPLICATES), rel=0.15)
    shifted = calibration_table(normal_study(shift=0.2)).set_index("variable").loc["mu"]
    assert abs(shifted["z_mean"] - 0.2) < 4 * shifted["z_mcse"]


def test_families_of_correct_quantities_are_called_calibrated_as_often_as_promised() -> None:
    # five independent quantities each, 150 studies of 100 replicates
    rng = np.random.default_rng(12)
    cells, variables, n = 150, 5, 100
    study = pd.DataFrame(
        {
            "cell": np.repeat([f"c{i}" for i in range(cells)], variables * n),
            "variable": np.tile(np.repeat([f"v{i}" for i in range(variables)], n), cells),
            "rank": rng.integers(0, L + 1, cells * variables * n),
            "n_ranks": L,
        }
    )
    table = calibration_table(study, level=0.1)
    missed = 1 - table.groupby("cell")["calibrated"].all().mean()
    assert missed < 0.1 + 3 * np.sqrt(0.1 * 0.9 / cells)
    assert missed > 0.1 * 0.9 - 0.02 - 3 * np.sqrt(0.1 * 0.9 / cells)
