"""Rules are read as they are meant, decide by the draws, and say what is wrong with a text."""

import math
import pickle

import numpy as np
import pytest
from arviz_stats.base import array_stats
from scipy import stats

from bayesrun.errors import ConfigError, FitError
from bayesrun.statistics.measures import Decision, null_of, parse_decision, parse_decisions
from bayesrun.statistics.measures.decisions import FORMS, derived, effect


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


@pytest.mark.parametrize(
    ("rule", "name", "text", "variable", "value"),
    [
        ("P(dose:arm > 0 | y) > 0.95", "dose.arm_above_0_p0.95", "P(dose:arm > 0 | y) > 0.95", "dose:arm", 0.0),
        (
            "P(`dose:arm[treated]` > 0 | y) > 0.95", "dose.arm.treated_above_0_p0.95",
            "P(dose:arm[treated] > 0 | y) > 0.95", "dose:arm[treated]", 0.0,
        ),
        (
            "sd: P(`1|firm_sigma` < 0.5 | y) > 90%", "sd", "P(`1|firm_sigma` < 0.5 | y) > 0.9", "`1|firm_sigma`", 0.5,
        ),
        (
            "P(b[x1]-b[x2]>0.2|y)>.95", "b.x1_minus_b.x2_above_0.2_p0.95", "P(b[x1] - b[x2] > 0.2 | y) > 0.95",
            "b[x1] - b[x2]", 0.2,
        ),
        ("P(a > b | y) > 0.9", "a_minus_b_above_0_p0.9", "P(a - b > 0 | y) > 0.9", "a - b", 0.0),
        ("P(1.5 < exp(beta)) > 0.9", "exp.beta_above_1.5_p0.9", "P(exp(beta) > 1.5 | y) > 0.9", "exp(beta)", 1.5),
        ("P(beta > log(2) | y) > 0.9", "beta_above_0.693147_p0.9", "P(beta > 0.693147 | y) > 0.9", "beta", math.log(2)),
        (
            "0.9 interval of b[x1] - b[x2] excludes 0", "b.x1_minus_b.x2_excludes_0_ci0.9",
            "0.9 interval of b[x1] - b[x2] excludes 0", "b[x1] - b[x2]", 0.0,
        ),
        ("P(größe > 0) > 0.9", "größe_above_0_p0.9", "P(größe > 0 | y) > 0.9", "größe", 0.0),
        ("P(`1|a` - `1|b` > 0) > 0.9", "1.a_minus_1.b_above_0_p0.9", "P(`1|a` - `1|b` > 0 | y) > 0.9",
         "`1|a` - `1|b`", 0.0),
    ],
)  # fmt: skip
def test_rules_of_any_name_and_of_expressions_are_read(rule, name, text, variable, value):
    found = parse_decision(rule)
    assert (found.name, found.text, found.variable, found.value) == (name, text, variable, value)
    assert parse_decision(found.text).variable == variable


def test_names_that_differ_by_an_umlaut_are_two_rules():
    assert (
        len(parse_decisions(["P(größe > 0) > 0.9", "P(gräße > 0) > 0.9", "P(\u03b1 > 0) > 0.9", "P(\u03b2 > 0) > 0.9"]))
        == 4
    )


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ("P(1|firm_sigma > 0 | y) > 0.95", "After 'P(1' got '|firm_sigma > 0 | y)...'; wanted a sign"),
        ("P(1|firm_sigma > 0 | y) > 0.95", "names with other characters stand in backticks: P(`1|firm_sigma` > 0"),
        ("P(b[x1] - > 0.2 | y) > 0.95", "After 'P(b[x1] -' got '> 0.2 | y) > 0.95'; wanted a name, a number or ("),
        ("P(3 > 2) > 0.5", "It names no variable"),
        ("P(beta > 1/0) > 0.5", "compared with is inf; wanted a finite one"),
        ("P(beta == 0) > 0.5", "Use > or <"),
        ("beta > 0", "A rule is about a probability: P(beta > 0 | y) > 0.95"),
        ("P(beta > 0 | y) > 0.95 please", "got 'please'; wanted the end of the rule"),
        ("P(beta > 0 | x) > 0.95", "got '| x) > 0.95'; wanted"),
        ("interval of log2(b) excludes 0", "There is no function log2"),
        ("interval beta excludes 0", "After 'interval' got 'beta excludes 0'; wanted 'of VARIABLE', or 'excludes'"),
        ("interval of 1 excludes 0", "It names no variable"),
    ],
)
def test_a_rule_that_cannot_be_read_is_said_with_the_place(rule, words):
    with pytest.raises(ConfigError) as caught:
        parse_decision(rule)
    assert words in str(caught.value)


def test_a_contrast_is_worked_out_from_draws_of_its_own_labels():
    """Against the probability of a normal posterior, and against NumPy, whatever the order of the labels."""
    rng = np.random.default_rng(11)
    mean, cov = np.array([0.5, 0.1, -1.0]), np.array([[0.3, 0.1, 0.0], [0.1, 0.2, 0.05], [0.0, 0.05, 0.4]])
    draws = np.moveaxis(rng.multivariate_normal(mean, cov, size=(4, 2000)), -1, 0)
    labels, truth = ["b[x1]", "b[x2]", "s"], np.array([1.0, 0.25, np.nan])
    rules = parse_decisions(["P(b[x1] - b[x2] > 0.2 | y) > 0.95", "P(exp(b) > 2) > 0.5", "P(b[x1] > s) > 0.9"])
    for order in ([0, 1, 2], [2, 1, 0], [1, 0, 2]):
        found = {
            label: (values, true)
            for label, values, true in derived(rules, [labels[i] for i in order], draws[order], truth[order])
        }
        assert set(found) == {"b[x1] - b[x2]", "exp(b[x1])", "exp(b[x2])", "b[x1] - s"}
        values, true = found["b[x1] - b[x2]"]
        np.testing.assert_array_equal(values, draws[0] - draws[1])
        assert true == 0.75
        assert found["exp(b[x2])"][1] == pytest.approx(np.exp(0.25))
        assert np.isnan(found["b[x1] - s"][1])
    sd = math.sqrt(cov[0, 0] + cov[1, 1] - 2 * cov[0, 1])
    exact = stats.norm.sf(0.2, loc=0.4, scale=sd)
    share = float((draws[0] - draws[1] > 0.2).mean())
    assert abs(share - exact) < 4 * math.sqrt(exact * (1 - exact) / 8000)
    assert parse_decision(f"P(b[x1] - b[x2] > 0.2) > {share - 0.001}").evaluate(draws[0] - draws[1]) is True
    assert parse_decision(f"P(b[x1] - b[x2] > 0.2) > {share + 0.001}").evaluate(draws[0] - draws[1]) is False


def test_a_rule_of_an_expression_is_about_its_own_rows():
    rule = parse_decision("P(b - c > 0 | y) > 0.9")
    assert [rule.about(label) for label in ("b[x1] - c[x1]", "b[x1]", "c", "b - c")] == [True, False, False, True]
    assert rule.mentions("b")
    assert parse_decision("P(q[1] / 2 > 0) > 0.9").mentions("q")
    assert not rule.mentions("q")


def test_null_values_of_any_name():
    rules = parse_decisions(["up: P(b[x1] - b[x2] > 0.2 | y) > 0.95", "sd: P(`1|g` > 1 | y) > 0.9"])
    assert null_of("b[x1] - b[x2]", "up", rules, {}) == 0.2
    assert null_of("b[x1] - b[x2]", "up", rules, {"b[x1]-b[x2]": 0.1}) == 0.1
    assert null_of("b[x1] - b[x2]", "up", rules, {"b": 9.0}) == 0.2
    assert null_of("1|g", "sd", rules, {"`1|g`": 0.5}) == null_of("1|g", "sd", rules, {"1|g": 0.5}) == 0.5
    assert null_of("exp(b[x1])", "up", rules, {"exp(b)": 2.0, "exp(b[x2])": 3.0}) == 2.0
