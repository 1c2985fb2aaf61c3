"""A value held against a bound, in as few digits as make what is said of the two true; it judges nothing."""

from __future__ import annotations

import math
from decimal import ROUND_HALF_EVEN, Decimal, localcontext

__all__ = ["against", "exact"]

MOST_DIGITS = 17
"""Significant digits that tell every double from its neighbours."""


def against(value: float, bound: float, spec: str = ".3g", *, percent: bool = False) -> str:
    """Write a value that is held against a bound.

    Parameters
    ----------
    value, bound
        What was found, and what it is held against; the bound is shown by `exact`.
    spec
        Fewest digits, as in a format: ``.0f`` has no decimals, ``.3g`` three digits.
    percent
        Whether both are shares that are shown as percentages, without the sign.

    Returns
    -------
    str
        The value rounded so that it is smaller than, equal to or larger than the bound as the value itself is. Values
        that are not finite are written as they are.

    Examples
    --------
    >>> against(399.7, 400.0, ".0f"), against(12.3, 400.0, ".0f")
    ('399.7', '12')
    >>> against(0.0503, 0.05, ".1f", percent=True), against(0.0503, 0.01, ".1f", percent=True)
    ('5.03', '5.0')
    """
    if not (math.isfinite(value) and math.isfinite(bound)):
        return format(100 * value if percent else value, spec)
    scale = 100 if percent else 1
    number, limit = _decimal(value) * scale, _decimal(bound) * scale
    digits, kind = int(spec[1:-1]), spec[-1]
    for more in range(digits, digits + MOST_DIGITS):
        text = _text(number, more, kind)
        if _order(Decimal(text), limit) == _order(number, limit):
            return text
    return f"{number:g}" if kind == "g" else str(number.normalize())


def exact(bound: float, *, percent: bool = False) -> str:
    """Write a bound with all of its digits: ``0.05``, ``400``, and as a percentage ``5``."""
    if not math.isfinite(bound):
        return format(bound, "g")
    number = (_decimal(bound) * (100 if percent else 1)).normalize()
    return f"{number:f}" if -7 < number.adjusted() < MOST_DIGITS else str(number).replace("E", "e")


def _decimal(value: float) -> Decimal:
    """Give a double as the shortest decimal that stands for it: these are ordered as the doubles are."""
    return Decimal(repr(float(value)))


def _text(number: Decimal, digits: int, kind: str) -> str:
    with localcontext(prec=50, rounding=ROUND_HALF_EVEN):
        if kind == "f":
            return f"{number:.{digits}f}"
        return f"{float(f'{number:.{digits}g}'):.{min(digits, MOST_DIGITS)}g}"


def _order(one: Decimal, other: Decimal) -> int:
    return (one > other) - (one < other)
