"""Expressions are read and written as they are meant, worked out by label, and say where reading stopped."""

import numpy as np
import pytest

from bayesrun.errors import ConfigError
from bayesrun.statistics.measures.expressions import (
    Call,
    Misread,
    Name,
    Number,
    Operation,
    comparable,
    constant,
    expanded,
    is_instance,
    names,
    parse,
    plain_name,
    value,
    written,
)

A, B, C = Name("a"), Name("b"), Name("c")


@pytest.mark.parametrize(
    ("text", "tree", "one_spelling"),
    [
        ("b[x1]-b[ x2 ]", Operation("-", Name("b[x1]"), Name("b[x2]")), "b[x1] - b[x2]"),
        ("a-b-c", Operation("-", Operation("-", A, B), C), "a - b - c"),
        ("a-(b-c)", Operation("-", A, Operation("-", B, C)), "a - (b - c)"),
        ("a/b*c", Operation("*", Operation("/", A, B), C), "a / b * c"),
        ("a**b**c", Operation("**", A, Operation("**", B, C)), "a ** b ** c"),
        ("(a**b)**c", Operation("**", Operation("**", A, B), C), "(a ** b) ** c"),
        ("-a**2", Call("negative", (Operation("**", A, Number(2.0)),)), "-a ** 2"),
        ("(-a)**-2", Operation("**", Call("negative", (A,)), Number(-2.0)), "(-a) ** -2"),
        ("exp( a )", Call("exp", (A,)), "exp(a)"),
        ("max(a,b, 1e-3)", Call("max", (A, B, Number(0.001))), "max(a, b, 0.001)"),
        ("a/(a+b)", Operation("/", A, Operation("+", A, B)), "a / (a + b)"),
        ("dose:arm[treated]", Name("dose:arm[treated]"), "dose:arm[treated]"),
        ("`dose:arm`[treated]", Name("dose:arm[treated]"), "dose:arm[treated]"),
        ("`1|firm_sigma`*2", Operation("*", Name("1|firm_sigma"), Number(2.0)), "`1|firm_sigma` * 2"),
        ("`s(x, 3)`", Name("s(x, 3)"), "`s(x, 3)`"),
        ("`say ``it```", Name("say `it`"), "`say ``it```"),
        ("b[north,3]", Name("b[north, 3]"), "b[north, 3]"),
        ("b[north east]", Name("b[north east]"), "b[north east]"),
        ("b[a:b.c d]", Name("b[a:b.c d]"), "b[a:b.c d]"),
        ("b['x, y']", Name("b[x, y]"), "b[x, y]"),
        ('b["(0, 1]"]', Name("b[(0, 1]]"), "`b[(0, 1]]`"),
        ("b[q[1]]", Name("b[q[1]]"), "b[q[1]]"),
        ("b[it's]", Name("b[it's]"), "b[it's]"),
        ("größe", Name("größe"), "größe"),
        ("exp", Name("exp"), "exp"),
    ],
)
def test_a_text_has_one_tree_and_a_tree_one_spelling(text, tree, one_spelling):
    assert parse(text) == tree
    assert written(tree) == one_spelling
    assert parse(one_spelling) == tree


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "the text ends; wanted a name, a number or ("),
        ("b[x1] -", "after 'b[x1] -' the text ends; wanted a name"),
        ("a + * b", "after 'a +' got '* b'; wanted a name"),
        ("1|firm_sigma", "after '1' got '|firm_sigma'; wanted a sign (+ - * / **) or the end; names with other"),
        ("a b", "after 'a' got 'b'"),
        ("(a", "wanted a sign (+ - * / **) or )"),
        ("a)", "after 'a' got ')'"),
        ("log2(a)", "there is no function log2; there are exp, log, sqrt, abs, min, max"),
        ("exp(a, b)", "got 2 value(s) in exp(...); wanted 1"),
        ("min(a)", "got 1 value(s) in min(...); wanted two or more"),
        ("a^2", "write ** for powers"),
        ("b[]", "wanted the label of an element"),
        ("b[x", "wanted a label and ]"),
        ("`a", "got '`a'"),
        ("__import__('os').system('x')", "there is no function __import__"),
        ("(" * 100 + "a" + ")" * 100, "are nested"),
    ],
)
def test_what_is_no_expression_is_said_with_the_place(text, words):
    with pytest.raises(Misread) as caught:
        parse(text)
    assert words in str(caught.value)


def test_values_are_those_of_numpy():
    rng = np.random.default_rng(3)
    a, b, c = rng.gamma(2.0, size=(3, 4, 50))
    of = {"a": a, "b": b, "c": c}
    for text, wanted in {
        "a - b": a - b,
        "a / (a + b)": a / (a + b),
        "exp(a) ** 2 - -c": np.exp(a) ** 2 + c,
        "-a ** 2": -(a**2),
        "min(a, b, c) + max(a, 1)": np.minimum(np.minimum(a, b), c) + np.maximum(a, 1.0),
        "log(a) * sqrt(b) / abs(c - 3)": np.log(a) * np.sqrt(b) / np.abs(c - 3.0),
    }.items():
        np.testing.assert_allclose(value(parse(text), of), wanted, rtol=1e-14)
    assert np.isnan(value(parse("log(0 - a)"), of)).all()
    assert constant(parse("log(2) + 1")) == pytest.approx(np.log(2) + 1)
    assert constant(parse("a")) is None
    assert names(parse("a / (a + b)")) == ("a", "b")


LABELS = ("b[x1]", "b[x2]", "c[x2]", "c[x1]", "1|g_sigma", "two[a, 1]", "two[a, 2]", "s", "d[y]")


def test_elements_are_found_by_label():
    def places(text):
        return {label: dict(at) for label, at in expanded(parse(text), LABELS)}

    assert places("b[x2] - s") == {"b[x2] - s": {"b[x2]": 1, "s": 7}}
    assert places("b - c") == {"b[x1] - c[x1]": {"b": 0, "c": 3}, "b[x2] - c[x2]": {"b": 1, "c": 2}}
    assert places("exp(two)") == {"exp(two[a, 1])": {"two": 5}, "exp(two[a, 2])": {"two": 6}}
    assert places("2 * `1|g_sigma`") == {"2 * `1|g_sigma`": {"1|g_sigma": 4}}
    assert places("b - nothing") == {}
    with pytest.raises(ConfigError, match=r"b and d, which have not the same elements \(b\[x1\], \.\.\. and d\[y\]"):
        places("b - d")


def test_a_label_says_what_it_is_of():
    assert is_instance("b[x1] - c[x1]", parse("b - c"))
    assert is_instance("b[x1] - c[x2]", parse("b[x1] - c[x2]"))
    assert not is_instance("b[x1] - c[x2]", parse("b - c"))
    assert not is_instance("b[x1]", parse("b - c"))
    assert is_instance("exp(`1|g_sigma[(0, 1]]`)", parse("exp(`1|g_sigma`)"))
    assert is_instance("b[x1]", parse("b"))
    assert not is_instance("b[x1] - c[x1]", parse("b"))
    assert not is_instance("a[x] - b[x] - c[x]", parse("a - c"))


def test_labels_are_compared_without_spaces_at_their_marks_and_days_without_midnight():
    assert comparable("b[ x1,2 ]") == comparable("b[x1, 2]")
    assert comparable("b[x 1]") == comparable("b[x  1]") != comparable("b[x1]")
    assert not is_instance("b[x1]", parse("b[x 1]"))
    assert comparable("b[2020-01-01T00:00:00.000000000]") == comparable("b[2020-01-01]")
    assert comparable("b[2020-01-01 12:00:00]") != comparable("b[2020-01-01]")
    assert comparable("o\u0308") == comparable("ö")
    assert [plain_name(key) for key in ("`a:b`", "a:b", "`a``b`")] == ["a:b", "a:b", "a`b"]
