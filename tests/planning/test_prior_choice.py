"""The key `priors`: which function builds a model, and what is refused beside it."""

import pytest

from bayesrun.errors import ConfigError
from bayesrun.planning.prior_choice import with_priors
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
    none = Target("survival", "bayesrun.models.survival.build", {"priors": "scaled"})
    assert with_priors("model", none) is none  # an unknown key, which is refused as any other


def test_other_words_and_numbers_that_would_not_count_are_refused():
    with pytest.raises(ConfigError, match=r"model\.priors: got 'scale'; did you mean model\.priors=scaled\? wanted"):
        with_priors("model", linear(priors="scale"))
    wanted = r"study\.generator\.beta_sigma would not count; leave it out, or choose study\.generator\.priors=default"
    with pytest.raises(ConfigError, match=wanted):
        with_priors("study.generator", linear(**{**NUMBERS, "beta_sigma": 3.0}, priors="scaled"))
