"""Rules are read as they are meant, decide by the draws, and say what is wrong with a text."""

import math
import pickle

import numpy as np
import pytest
from arviz_stats.base import array_stats

from bayesrun.errors import ConfigError, FitError
from bayesrun.statistics.measures import Decision, null_of, parse_decision, parse_decisions
from bayesrun.statistics.measures.decisions import FORMS, effect


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (
            "P(beta > 0 | y) > 0.95",
            Decision("beta_above_0_p0.95", "P(beta > 0 | y) > 0.95", "beta", ">", 0.0, 0.95),
        ),
        (
            "  Pr( beta[x1]<.5|y )>0.9 ",
            Decision("beta.x1_below_0.5_p0.9", "P(beta[x1] < 0.5 | y) > 0.9", "beta[x1]", "<", 0.5, 0.9),
        ),
        (
            "P(theta[Choate,1] > -1e-1) > 0.5",
            Decision("theta.Choate.1_above_-0.1_p0.5", "P(theta[Choate, 1] > -0.1 | y) > 0.5", "theta[Choate, 1]",
                     ">", -0.1, 0.5),
        ),
        (
            "0.95 interval of beta excludes 0",
            Decision("beta_excludes_0_ci0.95", "0.95 interval of beta excludes 0", "beta", "!=", 0.0, 0.95),
        ),
        (
            "interval of beta excludes 0",
            Decision("beta_excludes_0_ci0.95", "0.95 interval of beta excludes 0", "beta", "!=", 0.0, 0.95),
        ),
        ("interval excludes 0", Decision("excludes_0_ci0.95", "0.95 interval excludes 0", None, "!=", 0.0, 0.95)),
        (
            "89% hdi of mu excludes 2.5",
            Decision("mu_excludes_2.5_hdi0.89", "0.89 hdi of mu excludes 2.5", "mu", "!=", 2.5, 0.89, "hdi"),
        ),
        (
            "harm: P(beta < 0 | y) > 0.975",
            Decision("harm", "P(beta < 0 | y) > 0.975", "beta", "<", 0.0, 0.975),
        ),
    ],
)  # fmt: skip
def test_rules_are_read(rule, expected):
    found = parse_decision(rule)
    assert found == expected
    assert pickle.loads(pickle.dumps(found)) == found
    named = Decision(found.name, found.text, found.variable, found.relation, found.value, found.threshold, found.kind)
    assert parse_decision(f"{found.name}: {found.text}" if found.name[0].isalpha() else found.text) == named


def test_every_form_that_an_error_names_is_accepted():
    for rule in FORMS:
        assert parse_decision(rule).threshold in (0.9, 0.95)


def test_kind_of_interval_is_that_of_the_study_unless_a_rule_says_otherwise():
    assert parse_decision("interval of beta excludes 0", "hdi").kind == "hdi"
    assert parse_decision("eti of beta excludes 0", "hdi").kind == "eti"
    assert parse_decision("hdi of beta excludes 0").kind == "hdi"


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ("P(beta >= 0 | y) > 0.95", "Use > or <"),
        ("P(beta > 0 | y) < 0.05", "opposite event"),
        ("P(beta > 0 | y)", "must be exceeded is missing"),
        ("P(-1 < beta < 1 | y) > 0.9", "one variable, > or <, and a number"),
        ("interval of beta excludes zero", "After 'excludes' stands one number"),
        ("beta is large", "cannot read the rule 'beta is large'"),
        ("", "cannot read the rule ''"),
        ("P(beta > 0 | y) > 95", "not one between 0 and 1; did you mean 0.95?"),
        ("95 interval excludes 0", "did you mean 0.95?"),
        ("P(beta > 0 | y) > 1", "not one between 0 and 1"),
        ("0 interval excludes 0", "not one between 0 and 1"),
        (3, "got 3, which is not text"),
    ],
)
def test_errors_say_what_is_wrong_and_what_is_accepted(rule, words):
    with pytest.raises(ConfigError) as caught:
        parse_decision(rule)
    assert words in str(caught.value)
    assert "study.decisions" in str(caught.value)
    if "has the probability" not in str(caught.value):
        assert all(form in str(caught.value) for form in FORMS)


def test_two_rules_of_one_name_are_refused():
    with pytest.raises(ConfigError, match=r"both called 'beta_above_0_p0\.95'"):
        parse_decisions(["P(beta > 0 | y) > 0.95", "P(beta > 0) > .95"])
    assert len(parse_decisions(["P(beta > 0 | y) > 0.95", "again: P(beta > 0) > .95"])) == 2
    assert parse_decisions([]) == ()


def test_a_variable_stands_for_its_elements():
    rule = parse_decision("P(beta > 0 | y) > 0.95")
    assert [rule.about(label) for label in ("beta", "beta[x1]", "beta[x1, 2]", "beta_raw", "betas[x1]", "mu")] == [
        *[True] * 3,
        *[False] * 3,
    ]
    element = parse_decision("P(beta[x1,2] > 0 | y) > 0.95")
    assert element.about("beta[x1, 2]")
    assert not element.about("beta[x1]")
    assert not element.about("beta")
    every = parse_decision("interval excludes 0")
    assert every.about("mu")
    assert not every.about("log_likelihood")


def test_probabilities_must_be_exceeded():
    draws = np.array([[1.0] * 10, [1.0] * 9 + [-1.0]])
    assert parse_decision("P(x > 0 | y) > 0.94").evaluate(draws) is True
    assert parse_decision("P(x > 0 | y) > 0.95").evaluate(draws) is False
    assert parse_decision("P(x < 0 | y) > 0.04").evaluate(draws) is True
    assert parse_decision("P(x > 1 | y) > 0.01").evaluate(draws) is False


@pytest.mark.parametrize("kind", ["eti", "hdi"])
def test_intervals_are_those_of_arviz(kind):
    draws = np.random.default_rng(1).gamma(1.5, size=(4, 250))
    ends = getattr(array_stats, kind)(draws, 0.9, axis=[0, 1])
    for value in (*(ends - 1e-6), *ends, *(ends + 1e-6)):
        rule = parse_decision(f"0.9 {kind} of x excludes {float(value)!r}")
        assert rule.evaluate(draws) is bool(value < ends[0] or value > ends[1])


def test_draws_that_are_not_there_decide_nothing():
    rule = parse_decision("P(beta > 0 | y) > 0.95")
    for draws in (np.array([[1.0, np.nan]]), np.empty((4, 0))):
        with pytest.raises(FitError, match="NaN among"):
            rule.evaluate(draws)
        assert math.isnan(rule.score("beta", draws))
    assert rule.evaluate(np.array([[np.inf, 1.0]]))


def test_the_column_of_a_rule():
    rule, draws = parse_decision("P(beta > 0 | y) > 0.95"), np.ones((2, 50))
    assert rule.score("beta[x1]", draws) == 1.0
    assert rule.score("beta[x1]", -draws) == 0.0
    assert math.isnan(rule.score("mu", draws))


def test_where_yes_is_right():
    truth = np.array([-1.0, 0.0, 1e-15, 0.3, 1.0])
    assert effect(truth, 0.0, ">").tolist() == [False, False, False, True, True]
    assert effect(truth, 0.0, "<").tolist() == [True, False, False, False, False]
    assert effect(truth, 0.0, "!=").tolist() == [True, False, False, True, True]
    assert effect(truth, 0.1 + 0.2, "!=").tolist() == [True, True, True, False, True]


def test_null_values():
    rules = parse_decisions(["up: P(beta > 0.5 | y) > 0.95"])
    assert null_of("beta[x1]", "up", rules, {}) == 0.5
    assert null_of("mu", "up", rules, {}) is None
    assert null_of("beta[x1]", "up", rules, {"beta": 0.0}) == 0.0
    assert null_of("beta[x1, 2]", "up", rules, {"beta": 0.0, "beta[x1,2]": 0.1}) == 0.1
    assert null_of("mu", "other", rules, {"mu": 1}) == 1.0
