"""Models as people bring them, by three samplers: done and alike, or refused before the start with a reason."""

import json

import numpy as np
import pandas as pd
import pytest

from bayesrun.store.folder import Store
from command_line import bayesrun
from everyday_models import MODELS

SAMPLERS = ("numpyro", "nuts", "advi")
DRAWS = {"advi": ()}
LONG = ("sampler.draws=500", "sampler.tune=800")
APART = 4.0
"""Monte Carlo standard errors between the means, and the SDs, of two samplers of one posterior."""
SCALARS = 60
"""Of a model at most, so that its latent values do not outnumber its parameters."""


@pytest.fixture
def config(workdir):
    (workdir / "conf" / "model").mkdir(parents=True)
    (workdir / "conf" / "model" / "everyday.yaml").write_text("_target_: everyday_models.build\ncase: spline\n")
    return ("--config-dir", "conf", "model=everyday", "data=none", "track=off", "dispatch=serial")


def cases(sampler: str) -> list[str]:
    return [case for case, model in MODELS.items() if sampler not in model.refused]


def test_what_a_sampler_cannot_take_is_refused_before_the_start(config, workdir):
    refused = [(case, sampler, why) for case, model in MODELS.items() for sampler, why in model.refused.items()]
    assert len(refused) >= 3
    for case, sampler, why in refused:
        ran = bayesrun(*config, f"model.case={case}", f"sampler={sampler}", "dry_run=true")
        assert ran.code == 2, (case, sampler, ran)
        assert why in ran.out + ran.err, (case, sampler, ran)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of few draws
def test_everyday_models(config, workdir):
    for sampler in SAMPLERS:
        ran = bayesrun(
            "-m", *config, f"model.case={','.join(cases(sampler))}", f"sampler={sampler}", "study.name=all",
            *DRAWS.get(sampler, LONG),
        )  # fmt: skip
        assert ran.code == 0, ran
    store = Store(workdir / "studies" / "all")
    summaries: dict[tuple[str, str], pd.DataFrame] = {}
    for key in store.fit_keys():
        outcome = store.done(key)
        assert outcome is not None, key
        config_of_fit = json.loads((store.fit_folder(key) / "outcome.json").read_text())
        case = config_of_fit["cell"].rpartition("case=")[2].split()[0]
        sampler = config_of_fit["cell"].split("/")[2].split()[0]
        assert {why.kind for why in outcome.absent_steps.values()} <= {"cannot"}, (case, sampler, outcome.absent_steps)
        assert ("elpd_loo" in outcome.diagnostics) == MODELS[case].loo, (case, sampler)
        summaries[case, sampler] = store.read_summary(key)
    assert set(summaries) == {(case, sampler) for sampler in SAMPLERS for case in cases(sampler)}
    apart = {case: difference(summaries[case, "nuts"], summaries[case, "numpyro"]) for case in cases("numpyro")
             if (case, "nuts") in summaries and MODELS[case].identified}  # fmt: skip
    assert {case: found for case, found in apart.items() if found > APART} == {}


def difference(one: pd.DataFrame, other: pd.DataFrame) -> float:
    """The largest difference of the means and the SDs of two summaries, in Monte Carlo standard errors."""
    labels = [label for label in one.index if one["sd"][label] > 0 and label in other.index][:SCALARS]
    a, b = one.loc[labels], other.loc[labels]
    means = (a["mean"] - b["mean"]) / np.hypot(a["mcse_mean"], b["mcse_mean"])
    spreads = (a["sd"] - b["sd"]) / np.hypot(a["mcse_sd"], b["mcse_sd"])
    return float(max(means.abs().max(), spreads.abs().max()))
