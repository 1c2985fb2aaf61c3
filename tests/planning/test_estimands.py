"""Rules and null values name scalars that a model has, or are refused before any fit."""

import dataclasses

import numpy as np
import pymc as pm
import pytest

from bayesrun.errors import ConfigError
from bayesrun.planning.estimands import check_estimands, unknown_nulls
from bayesrun.types import StudyOptions
from checked_cells import checked


@pytest.fixture(scope="module")
def model() -> pm.Model:
    with pm.Model(coords={"predictor": ["x1", "x2"]}) as found:
        pm.Normal("beta", dims="predictor")
        pm.Normal("free", shape=3)
        pm.HalfNormal("sigma")
        pm.Normal("y", 0.0, 1.0, observed=np.zeros(2))
    return found


@pytest.mark.parametrize("where", ["diagnostics.decisions", "study.decisions"])
@pytest.mark.parametrize(
    ("variable", "message"),
    [
        ("bta", "is about bta, and model=means has beta, free, sigma; did you mean beta?"),
        ("beta[x9]", "is about beta[x9], and beta of model=means has beta[x1], beta[x2]; did you mean beta[x2]?"),
        ("sigma[0]", "is about sigma[0], and sigma of model=means has sigma"),
    ],
)
def test_what_a_model_has_not_is_refused(model, where, variable, message):
    rule = f"P({variable} > 0 | y) > 0.95"
    own, study = ((rule,), ()) if where.startswith("diagnostics") else ((), (rule,))
    with pytest.raises(ConfigError) as refused:
        check_estimands([checked("a", own)], {"a": model}, StudyOptions(decisions=study))
    assert str(refused.value).startswith(f"{where}: '{rule}' ")
    assert message in str(refused.value)


@pytest.mark.parametrize("variable", ["beta", "beta[x2]", "beta[ x2 ]", "free[2]", "sigma", "mine"])
def test_what_it_has_is_not(model, variable):
    rule = f"P({variable} > 0 | y) > 0.95"
    one = checked("a", (rule, "interval excludes 0"))
    one = dataclasses.replace(
        one,
        cell=dataclasses.replace(
            one.cell, diagnostics=dataclasses.replace(one.cell.diagnostics, quantities={"mine": "math.sqrt"})
        ),
    )
    assert check_estimands([one], {"a": model}, StudyOptions(decisions=(rule,))) == {}
    assert unknown_nulls(StudyOptions(nulls={variable: 0.0}), [one], {"a": model}) == []


def test_a_name_that_a_rule_of_the_cell_and_one_of_the_study_share_is_refused(model):
    one = checked("a", ("up: P(sigma > 0 | y) > 0.95",))
    with pytest.raises(ConfigError, match=r"are both called 'up'"):
        check_estimands([one], {"a": model}, StudyOptions(decisions=("up: P(sigma > 1 | y) > 0.95",)))


def test_a_null_value_of_nothing_is_refused_and_one_that_another_cell_has_is_not(model):
    with pm.Model() as other:
        pm.Normal("gamma")
    cells, models = [checked("a"), checked("b")], {"a": model, "b": other}
    assert unknown_nulls(StudyOptions(nulls={"gamma": 0.0, "beta[x1]": 1.0}), cells, models) == []
    lines = unknown_nulls(StudyOptions(nulls={"gammas": 0.0}), cells, models)
    assert lines == [
        "study.nulls: the null value is of gammas, and model=means has beta, free, sigma",
        "study.nulls: the null value is of gammas, and model=means has gamma; did you mean gamma?",
    ]
