"""The key `priors`: which function builds a model, and what is refused beside it."""

from dataclasses import replace

import pytest

from bayesrun.base.imports import import_target, module_constant
from bayesrun.errors import ConfigError
from bayesrun.planning.config import shipped_conf
from bayesrun.planning.prior_choice import SCALABLE, WHY_NOT, with_priors
from bayesrun.types import Target

NUMBERS = {"alpha_mean": 0.0, "alpha_sigma": 10.0, "beta_mean": 0.0, "beta_sigma": 5.0, "sigma_scale": 1.0}


def linear(**params):
    return Target("linear", "bayesrun.models.linear.build", params)


def test_default_priors_are_the_model_without_the_key():
    assert with_priors("model", linear(**NUMBERS, priors="default")) == linear(**NUMBERS)
    assert with_priors("model", linear(**NUMBERS)) == linear(**NUMBERS)


def test_scaled_priors_are_built_by_the_function_for_these():
    found = with_priors("model", linear(**NUMBERS, priors="scaled"))
    assert found == Target("linear", "bayesrun.models.linear.scaled", {})


def test_a_key_of_the_builder_itself_stays():
    own = Target("formula", "bayesrun.models.formula.build", {"formula": "y ~ x", "priors": None})
    assert with_priors("model", own) is own
    mine = Target("mine", "bayesrun.models.survival.without_planned_ends", {"priors": "scaled"})
    assert with_priors("model", mine) is mine  # an unknown key, which is refused as any other


def test_what_is_no_number_of_a_prior_stays():
    effects = Target("varying_effects", "bayesrun.models.varying_effects.build", {"parameterization": "centered"})
    found = with_priors("model", replace(effects, params={**effects.params, "alpha_sigma": 1.0, "priors": "scaled"}))
    assert (found.path, found.params) == ("bayesrun.models.varying_effects.scaled", {"parameterization": "centered"})
    curve = Target("polynomial", "bayesrun.models.polynomial.build", {"degree": 3, "priors": "scaled"})
    assert with_priors("model", curve).params == {"degree": 3}


def test_shipped_models_without_scaled_priors_say_why_and_which_have_them():
    assert set(SCALABLE) | set(WHY_NOT) | {"formula"} == {
        path.stem for path in (shipped_conf() / "model").glob("*.yaml")
    }
    for name in SCALABLE:
        builder = import_target("model", f"bayesrun.models.{name}.build")
        assert module_constant(builder, "scaled", None)
        assert module_constant(builder, "scaled_priors", None)
    for name, why in WHY_NOT.items():
        with pytest.raises(ConfigError, match=f"model.priors: {name} has one set of priors: {why}. Models with scaled"):
            with_priors("model", Target(name, f"bayesrun.models.{name}.build", {"priors": "scaled"}))


def test_other_words_and_numbers_that_would_not_count_are_refused():
    with pytest.raises(ConfigError, match=r"model\.priors: got 'scale'; did you mean model\.priors=scaled\? wanted"):
        with_priors("model", linear(priors="scale"))
    wanted = r"study\.generator\.beta_sigma would not count; leave it out, or choose study\.generator\.priors=default"
    with pytest.raises(ConfigError, match=wanted):
        with_priors("study.generator", linear(**{**NUMBERS, "beta_sigma": 3.0}, priors="scaled"))
