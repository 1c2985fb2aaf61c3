"""Every shipped model is calibrated under numpyro: 200 datasets drawn from its own prior and refitted."""

import pandas as pd
import pytest

from command_line import bayesrun
from places import CONF

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:PyTensor could not link to a BLAS installation:UserWarning"),
]

SHIPPED = sorted(path.stem for path in (CONF / "model").glob("*.yaml"))
REPLICATES = 200
LEVEL = 0.05 / len(SHIPPED)
"""Of one study, so that of all sets of calibrated studies one in twenty has one that fails."""

OPTIONS = {"varying_effects": ("model.parameterization=noncentered", "study.max_failed=0.25")}
"""The prior of varying_effects allows SDs near 0, where the centred effects that are right for the rats, each known
precisely, are a funnel: 87 of 200 such fits do not converge, and 33 of the non-centred ones with so few draws."""

REFUSED = {
    "formula": "the prior of sigma is worked out from the observed values",
    "survival": "survival needs the planned end of observation of every unit to simulate",
    "survival_lognormal": "survival_lognormal needs the planned end of observation of every unit to simulate",
}
"""Models that cannot simulate from their default data, and why."""

PLANNED = (
    "data=design",
    "data.covariates.follow_up={kind: uniform, low: 4.0, high: 12.0}",
    "data.columns.censoring_time=follow_up",
)
UNFIT = {"survival": 2}
"""The most datasets without a density: a Weibull shape below 0.006 puts times below the smallest float, at 0. They are
left out by what they are, whatever a fit says."""

COMPLETED = {
    "formula": ("--config-dir", "conf", "model=panel"),
    "survival": ("model=survival", *PLANNED),
    "survival_lognormal": ("model=survival_lognormal", *PLANNED),
}
"""What makes these simulate: priors that are numbers, ends of observation that are planned."""

PANEL = """
defaults:
  - override /data@_global_.data: grunfeld

_target_: bayesrun.models.formula.build
formula: invest ~ scale(value) + (1|firm)
priors:
  Intercept: {dist: Normal, mu: 2, sigma: 3}
  scale(value): {dist: Normal, mu: 0, sigma: 1}
  1|firm: {dist: Normal, mu: 0, sigma: {dist: HalfNormal, sigma: 1}}
  sigma: {dist: HalfNormal, sigma: 2}
"""


def study(name: str, *arguments: str):
    return bayesrun(
        "study=sbc", "study.name=s", f"study.replicates={REPLICATES}", f"study.alpha={LEVEL}", "sampler=numpyro",
        "sampler.draws=500", "sampler.tune=500", "dispatch=serial", "track=off", *OPTIONS.get(name, ()), *arguments,
    )  # fmt: skip


@pytest.mark.parametrize("name", SHIPPED)
def test_calibrated(workdir, name):
    if name in REFUSED:
        refused = study(name, f"model={name}")
        assert refused.code == 2
        assert REFUSED[name] in refused.err
    (workdir / "conf" / "model").mkdir(parents=True)
    (workdir / "conf" / "model" / "panel.yaml").write_text(PANEL)
    ran = study(name, *COMPLETED.get(name, [f"model={name}"]))
    assert ran.code == 0, ran
    tables = workdir / "studies" / "s" / "tables"
    found = pd.read_parquet(tables / "calibration.parquet").set_index("variable")
    fits = pd.read_parquet(tables / "fits.parquet")
    failed = int((fits["status"] != "done").sum())
    assert failed <= UNFIT.get(name, 0), fits.loc[fits["status"] != "done", "failures"]
    assert (found["p_holm"] > LEVEL).all(), found[found["p_holm"] <= LEVEL]
    assert failed or found["calibrated"].all()
    assert (found["n"] == REPLICATES - failed).all()
    assert "log_likelihood" in found.index
