"""Numbers in a sentence about a bound: as few digits as make the sentence true."""

import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bayesrun.base.digits import against, exact

NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
SHARES = st.floats(0.0, 1.0)
SPECS = st.sampled_from([".0f", ".1f", ".2f", ".3f", ".1g", ".2g", ".3g"])


def order(one: float, other: float) -> int:
    return (one > other) - (one < other)


@given(NUMBERS, NUMBERS, SPECS)
@example(399.99999999, 400.0, ".0f")
@example(math.nextafter(400.0, 0.0), 400.0, ".0f")
@example(5e-324, 0.0, ".2f")
@example(1.7976931348623157e308, 1.0, ".3g")
def test_a_written_value_stands_to_its_written_bound_as_the_value_does(value, bound, spec):
    assert order(float(against(value, bound, spec)), float(exact(bound))) == order(value, bound)


@given(NUMBERS, st.integers(-3, 3), SPECS)
def test_neighbours_are_told_apart(bound, steps, spec):
    value = bound
    for _ in range(abs(steps)):
        value = math.nextafter(value, math.inf if steps > 0 else -math.inf)
    if math.isfinite(value):
        assert order(float(against(value, bound, spec)), float(exact(bound))) == order(value, bound)


@given(SHARES, SHARES, SPECS)
@example(0.07, math.nextafter(0.07, 0.0), ".1f")
@example(0.05, 0.05, ".1f")
@example(0.29, 0.29, ".0f")
def test_percentages_stand_as_the_shares_do(value, bound, spec):
    shown, limit = against(value, bound, spec, percent=True), exact(bound, percent=True)
    assert order(float(shown), float(limit)) == order(value, bound)


@given(NUMBERS)
def test_a_bound_is_written_whole(bound):
    assert float(exact(bound)) == bound


@given(st.integers(-10_000, 10_000), st.integers(-10_000, 10_000))
def test_what_is_true_in_few_digits_has_no_more(value, bound):
    assert against(float(value), float(bound), ".0f") == str(value)


@pytest.mark.parametrize(
    ("value", "bound", "spec", "percent", "shown"),
    [
        (399.7, 400.0, ".0f", False, "399.7"),
        (12.3, 400.0, ".0f", False, "12"),
        (0.0503, 0.05, ".1f", True, "5.03"),
        (0.062, 0.05, ".1f", True, "6.2"),
        (0.29999, 0.3, ".2f", False, "0.29999"),
        (0.2, 0.3, ".2f", False, "0.20"),
        (1.0102, 1.01, ".2f", False, "1.0102"),
        (1.04, 1.01, ".2f", False, "1.04"),
        (3.2e16, 1.01, ".3g", False, "3.2e+16"),
        (0.95, 0.95, ".3g", False, "0.95"),
        (math.inf, 1.01, ".2f", False, "inf"),
        (math.nan, 1.01, ".2f", False, "nan"),
    ],
)
def test_what_is_shown(value, bound, spec, percent, shown):
    assert against(value, bound, spec, percent=percent) == shown


@pytest.mark.parametrize(
    ("bound", "percent", "shown"),
    [
        (400.0, False, "400"),
        (1.01, False, "1.01"),
        (0.05, True, "5"),
        (0.07, True, "7"),
        (0.123456789, False, "0.123456789"),
        (1e-12, False, "1e-12"),
        (1e6, False, "1000000"),
    ],
)
def test_bounds(bound, percent, shown):
    assert exact(bound, percent=percent) == shown
