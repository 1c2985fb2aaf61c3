"""Rules and null values name scalars that a model has, or are refused before any fit."""

import dataclasses
import sys
import types

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


def of_names() -> pm.Model:
    with pm.Model(coords={"arm": ["treated"], "region": ["north east", "a:b", "(0, 1]"]}) as found:
        pm.Normal("dose:arm", dims="arm")
        pm.HalfNormal("1|firm_sigma")
        pm.Normal("b", dims="region")
        pm.Normal("c", dims="region")
        pm.Normal("free", shape=3)
        pm.Normal("y", 0.0, 1.0, observed=np.zeros(2))
    return found


@pytest.mark.parametrize(
    "about",
    [
        "dose:arm", "`dose:arm[treated]`", "`dose:arm`[treated] / 2", "`1|firm_sigma`", "b[north east] - b[a:b]",
        "b - c", "exp(free)", "`b[(0, 1]]` * `1|firm_sigma`", 'b["(0, 1]"]', "mine - free", "mine[whatever] - b[a:b]",
    ],
)  # fmt: skip
def test_any_name_and_any_expression_of_them_is_known(about):
    one = checked("a")
    asked = dataclasses.replace(one.cell.diagnostics, quantities={"mine": "math.sqrt"})
    one = dataclasses.replace(one, cell=dataclasses.replace(one.cell, diagnostics=asked))
    rule = f"P({about} > 0 | y) > 0.95"
    assert check_estimands([one], {"a": of_names()}, StudyOptions(decisions=(rule,))) == {}


@pytest.mark.parametrize(
    ("about", "message"),
    [
        ("`1|firm_sgma`", "is about 1|firm_sgma, and model=means has dose:arm, 1|firm_sigma, b, c, free; did you mean"),
        ("b[north east] - b[a:c]", "is about b[a:c], and b of model=means has b[north east], b[a:b], b[(0, 1]]; did"),
        ("exp(beta)", "is about beta, and model=means has dose:arm"),
        ("free[3]", "is about free[3], and free of model=means has free[0], free[1], free[2]"),
        ("b - free", "is about b and free, which have not the same elements (b[north east], ... and free[0], ...)"),
    ],
)
def test_what_an_expression_names_and_a_model_has_not_is_refused(about, message):
    with pytest.raises(ConfigError) as refused:
        check_estimands([checked("a", (f"P({about} > 0 | y) > 0.95",))], {"a": of_names()}, StudyOptions())
    assert message in str(refused.value)


def test_a_rule_that_some_models_can_answer_is_left_out_of_the_others_and_noted(model):
    rules = ("P(sigma > 1 | y) > 0.9", "P(`1|firm_sigma` > 1 | y) > 0.9", "interval excludes 0")
    cells, models = [checked("a", rules), checked("b", rules)], {"a": model, "b": of_names()}
    assert check_estimands(cells, models, StudyOptions()) == {
        "a": {
            rules[1]: "diagnostics.decisions: 'P(`1|firm_sigma` > 1 | y) > 0.9' is not decided for a: it is about "
            "1|firm_sigma, and model=means has beta, free, sigma"
        },
        "b": {
            rules[0]: "diagnostics.decisions: 'P(sigma > 1 | y) > 0.9' is not decided for b: it is about sigma, and "
            "model=means has dose:arm, 1|firm_sigma, b, c, free"
        },
    }
    with pytest.raises(ConfigError, match="is about tau, and model=means has beta"):
        check_estimands(cells, models, StudyOptions(decisions=("P(tau > 1 | y) > 0.9",)))


def test_null_values_of_any_name_and_of_what_rules_are_about():
    cells, models = [checked("a", ("P(b[a:b] - c[a:b] > 0 | y) > 0.9",))], {"a": of_names()}
    good = {"dose:arm": 0.1, "`1|firm_sigma`": 1.0, "b[(0, 1]]": 2.0, "b[a:b]-c[a:b]": 0.2}
    assert unknown_nulls(StudyOptions(nulls=good), cells, models) == []
    assert unknown_nulls(StudyOptions(nulls={"b[a:b] + 1": 0.2, "`1|frm`": 1.0}), cells, models) == [
        "study.nulls: the null value is of b[a:b] + 1, which no rule is about, so that it would change nothing; the "
        "rules are about b[a:b] - c[a:b]",
        "study.nulls: the null value is of 1|frm, and model=means has dose:arm, 1|firm_sigma, b, c, free",
    ]


def of_an_age(draws, data):
    return draws["sigma"] * data["age"].mean()


def test_a_quantity_whose_text_names_a_column_that_is_not_stored_is_refused_before_any_fit(model):
    path = f"{__name__}.of_an_age"
    sys.modules.setdefault(__name__, types.SimpleNamespace(of_an_age=of_an_age))
    for node in ("study", "diagnostics"):
        asked = {"mine": path}
        one = checked("a", left_out=("age", "sex"))
        if node == "diagnostics":
            own = dataclasses.replace(one.cell.diagnostics, quantities=asked)
            one = dataclasses.replace(one, cell=dataclasses.replace(one.cell, diagnostics=own))
        study = StudyOptions(quantities=asked if node == "study" else None)
        with pytest.raises(ConfigError) as refused:
            check_estimands([one], {"a": model}, study)
        assert str(refused.value) == (
            f"{node}.quantities.mine: {path} reads age, which model=means does not use, so that the study does not "
            "store it; store it too, with nothing fitted anew: 'data.keep=[age]'"
        )
        assert check_estimands([dataclasses.replace(one, left_out=("sex",))], {"a": model}, study) == {}
