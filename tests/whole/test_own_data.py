"""Models without data, or with their own, are fitted from the command line and compared by what there is."""

import json

import numpy as np
import pytest

from bayesrun.store.folder import Store
from command_line import Ran, bayesrun
from own_data_models import MISSING, NOISE, PRIOR_SD, Y, posterior, posterior_of_the_rest

OFF = ("--config-dir", "conf", "track=off", "dispatch=serial", "steps.figures=false")
NUTS = ("-m", "sampler=nuts,numpyro", "sampler.draws=500", "sampler.tune=500", "sampler.chains=2")


@pytest.fixture
def models(workdir):
    folder = workdir / "conf" / "model"
    folder.mkdir(parents=True)
    for name in ("funnel", "banana", "potential", "own", "read", "missing"):
        (folder / f"{name}.yaml").write_text(f"_target_: own_data_models.{name}\n")
    for name in ("good_data", "bad_standardised", "bad_prior", "bad_within_graph"):
        (folder / f"{name}.yaml").write_text(f"_target_: own_values_models.{name}\n")
    return workdir


def refused(ran: Ran) -> str:
    assert ran.code == 2, ran.out
    return ran.err.removeprefix("bayesrun: ").strip()


def draws(workdir, study: str) -> dict[str, object]:
    store = Store(workdir / "studies" / study)
    return {store.read_outcome(key).cell: store.read_tree(key) for key in store.fit_keys()}


def close(tree, name: str, mean: float, sd: float, rows: int = 150) -> None:
    """Within 4 Monte Carlo standard errors, were there only so many independent draws."""
    values = tree["posterior"][name].values.ravel()
    assert abs(values.mean() - mean) < 4 * sd / rows**0.5
    assert abs(values.std() / sd - 1) < 4 / (2 * rows) ** 0.5


def test_what_has_no_place_for_data_asks_for_none(models):
    told = refused(bayesrun(*OFF, "model=funnel"))
    assert told == (
        "model=funnel: own_data_models.funnel has no argument for data, and would not read data=eight_schools; type "
        "data=none"
    )
    assert "model=linear needs y (outcome), X (" in refused(bayesrun(*OFF, "model=linear", "data=none"))
    ran = bayesrun(*OFF, "model=banana", "dry_run=true")
    assert "model=banana reads nothing of data=eight_schools; data=none leaves it out of the study" in ran.out


def test_a_config_brings_no_data_by_itself(models):
    (models / "conf" / "model" / "funnel.yaml").write_text(
        "defaults:\n  - override /data@_global_.data: none\n  - _self_\n_target_: own_data_models.funnel\nscale: 2\n"
    )
    ran = bayesrun(*OFF, "model=funnel", "dry_run=true")
    assert ran.code == 0, ran.err
    assert "study funnel-none: 1 fits" in ran.out


def test_samplers_are_compared_on_a_density_without_data(models):
    ran = bayesrun(*OFF, *NUTS, "model=funnel", "data=none")
    assert ran.code == 0, ran.out + ran.err
    note = "note: model=funnel observes nothing, so that its fits have no log_likelihood, LOO or posterior_predictive"
    assert ran.out.count(note) == 1
    assert "agreement with funnel/none/nuts" in ran.out
    assert "elpd_diff" not in ran.out
    found = draws(models, "funnel-none")
    assert set(found) == {"funnel/none/nuts", "funnel/none/numpyro"}
    for tree in found.values():
        close(tree, "v", 0.0, 3.0)
        assert {"log_likelihood", "loo", "posterior_predictive", "observed_data"}.isdisjoint(tree.children)
        assert "prior" in tree.children
    assert "eight_schools" not in json.dumps(json.loads((models / "studies/funnel-none/study.json").read_text()))
    again = bayesrun(*OFF, *NUTS, "model=funnel", "data=none")
    assert again.code == 0
    assert "2 done, 0 to do" in again.out


def test_a_likelihood_as_a_potential_gives_the_posterior_of_its_closed_form(models):
    ran = bayesrun(*OFF, *NUTS, "model=potential,own", "data=none", "study.name=both")
    assert ran.code == 0, ran.out + ran.err
    assert "model=potential observes nothing but what the Potential likelihood may see" in ran.out
    mean, sd = posterior()
    found = draws(models, "both")
    assert len(found) == 4
    for tree in found.values():
        close(tree, "mu", mean, sd)
    assert "potential/none/nuts: no log_likelihood: cannot be done: the model observes nothing" in ran.out


SMALL = ("data=none", "study.replicates=4", "sampler.draws=60", "sampler.tune=60", "sampler.chains=2")


def test_a_study_of_a_model_with_its_own_data_draws_them_anew(models):
    ran = bayesrun(*OFF, "study=recovery", "model=own", "sampler=numpyro", *SMALL, "study.ranks=9", "study.name=r")
    assert "of 4 fits 0 failed" in ran.out, ran.out + ran.err
    store = Store(models / "studies" / "r")
    fits = [store.read_tree(key) for key in store.fit_keys()]
    assert len(fits) == 4
    for tree in fits:
        y = tree["observed_data"]["y_obs"].values
        assert not np.isclose(y, Y).any()
        truth = float(tree["truth"]["mu"])
        assert abs(y.mean() - truth) < 4 / len(Y) ** 0.5
        mean = y.sum() / (len(Y) + 1 / PRIOR_SD**2)
        assert abs(float(tree["posterior"]["mu"].mean()) - mean) < 0.25
    again = bayesrun(*OFF, "study=recovery", "model=own", "sampler=numpyro", *SMALL, "study.ranks=9", "study.name=r")
    assert "4 done, 0 to do" in again.out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("model=bad_standardised", "y_obs observes values that the model holds itself, and they are worked out: (Y - "),
        ("model=bad_prior", "uses them otherwise: mu = pm.Normal('mu', 0.0, 2.5 * Y.std())"),
        ("model=bad_within_graph", "uses them otherwise: mu = pm.Normal('mu', y.mean(), 2.0)"),
        ("model=bad_prior study.generator=own", "uses them otherwise: mu = pm.Normal('mu', 0.0, 2.5 * Y.std())"),
        ("model=potential", "the Potential likelihood changes the density"),
        ("model=potential study.generator=own", "nothing in it follows what own draws"),
    ],
)
def test_a_study_that_would_be_silently_wrong_is_refused(models, words, message):
    told = refused(bayesrun(*OFF, "study=recovery", "data=none", "dry_run=true", *words.split()))
    assert message in told


def test_a_file_that_a_builder_reads_is_part_of_what_is_fitted(models):
    def planned(values: str) -> str:
        (models / "held.txt").write_text(values)
        ran = bayesrun(*OFF, "model=read", "data=none", "dry_run=true")
        assert ran.code == 0, ran.err
        return next(line.split()[2] for line in ran.out.splitlines() if line.startswith("to do"))

    keys = [planned(values) for values in ("1.5 2.5 0.5", "1.5 2.5 0.6", "1.5 2.5 0.5")]
    assert keys[0] == keys[2] != keys[1]


def test_what_is_missing_is_drawn_and_loo_is_over_the_rest(models):
    ran = bayesrun(*OFF, *NUTS, "model=missing", "data=none")
    assert ran.code == 0, ran.out + ran.err
    assert "2 of the values that y_obs observes are missing and drawn with the parameters" in ran.out
    assert "ImputationWarning" not in ran.err
    mean, sd = posterior_of_the_rest()
    found = draws(models, "missing-none")
    assert len(found) == 2
    for tree in found.values():
        close(tree, "mu", mean, sd)
        new = (sd**2 + NOISE**2) ** 0.5  # of what is missing, and of what is predicted
        for place in range(2):
            values = tree["posterior"]["y_obs_unobserved"].values[..., place].ravel()
            assert abs(values.mean() - mean) < 4 * new / 150**0.5
            assert abs(values.std() / new - 1) < 4 / 300**0.5
        assert tree["log_likelihood"]["y_obs_observed"].shape[2:] == (6,)
        assert tree["loo"]["elpd_i"].shape == (6,)
        whole = tree["posterior_predictive"]["y_obs"].values.reshape(-1, len(Y))
        assert tree["posterior_predictive"]["y_obs_observed"].shape[2:] == (6,)
        assert (np.abs(whole.mean(axis=0) - mean) < 4 * new / 150**0.5).all()
        assert (whole.std(axis=0) > 0.5 * new).all()
        fixed = tree["posterior"]["y_obs"].values[..., ~MISSING]
        np.testing.assert_array_equal(fixed, np.broadcast_to(Y[~MISSING], fixed.shape))
