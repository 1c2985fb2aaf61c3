"""Planted faults fail as they should, and what is right passes: whole studies of eight schools, real fits."""

import pandas as pd
import pytest

from commands import bayesrun

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:PyTensor could not link to a BLAS installation:UserWarning"),
]

QUIET = ("dispatch=serial", "track=off", "study=sbc", "study.name=s", "model=hierarchical", "sampler.target_accept=0.8")


def calibration(workdir, *arguments: str) -> tuple[int, pd.DataFrame]:
    ran = bayesrun(*QUIET, *arguments)
    assert ran.err == "", ran
    table = pd.read_parquet(workdir / "studies" / "s" / "tables" / "calibration.parquet")
    return ran.code, table.set_index("variable")


def failing(table: pd.DataFrame) -> set[str]:
    return set(table.index[~table["calibrated"]])


def test_eight_schools_are_calibrated(workdir):
    code, table = calibration(workdir, "sampler=numpyro", "study.replicates=500")
    assert code == 0
    assert not failing(table)


def test_a_prior_of_mu_that_is_twice_as_wide(workdir):
    code, table = calibration(
        workdir, "sampler=numpyro", "study.replicates=300", "study.generator={name: hierarchical, mu_sigma: 10.0}"
    )
    assert code == 1
    assert "too narrow" in table.loc["mu", "shape"]


def test_a_likelihood_that_is_too_narrow(workdir):
    """The model's errors are 20 % too small: tau and the log-likelihood are shifted high."""
    code, table = calibration(
        workdir, "model._target_=faulty.narrow", "~model.mu_mean", "~model.mu_sigma", "~model.tau_scale",
        "~model.sigma_scale", "~model.parameterization", "sampler=numpyro", "study.replicates=500",
        "study.generator=hierarchical",
    )  # fmt: skip
    assert code == 1
    assert {"tau", "log_likelihood"} & failing(table)
    assert all("high" in table.loc[name, "shape"] for name in {"tau", "log_likelihood"} & failing(table))


def test_draws_that_are_shifted(workdir):
    code, table = calibration(
        workdir, "sampler=numpyro", "sampler._target_=faulty.sample", "sampler.extra={fault: shifted}",
        "study.replicates=400",
    )  # fmt: skip
    assert code == 1
    assert "mu" in failing(table)
    assert "high" in table.loc["mu", "shape"]


def test_draws_from_the_prior_fail_in_the_log_likelihood_alone(workdir):
    code, table = calibration(
        workdir, "sampler=numpyro", "sampler._target_=faulty.sample", "sampler.extra={fault: prior}",
        "study.replicates=100", "sampler.draws=300", "sampler.tune=200",
    )  # fmt: skip
    assert code == 1
    assert failing(table) == {"log_likelihood"}


def test_advi_of_the_centred_eight_schools(workdir):
    code, table = calibration(
        workdir, "model.parameterization=centered", "sampler=advi", "sampler.iterations=8000", "study.replicates=60"
    )
    assert code == 1
    assert "tau" in failing(table)
