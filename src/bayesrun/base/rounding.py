"""Numbers as people read them: no more digits than their Monte Carlo standard error allows.

It computes no error itself.
"""

from __future__ import annotations

import math

__all__ = ["ABSENT", "error_digits", "plain", "plus_minus", "probability", "rounded", "share"]

ABSENT = "\N{EN DASH}"
"""What stands for a number that is not defined or not there."""

MOST_DECIMALS = 6

LARGE = 1e9
"""From here on a number is written with a power of ten."""


def error_digits(error: float) -> int:
    """Decimals that an error leaves meaningful: one significant digit of it, two when that digit is 1.

    Parameters
    ----------
    error
        A standard error, positive and finite.

    Returns
    -------
    int
        Decimals after the point; negative where tens or hundreds are uncertain.
    """
    power = math.floor(math.log10(error))
    leading = round(error / 10.0**power, 1)
    return -power + (1 if leading < 2.0 else 0)


def plus_minus(value: float, error: float) -> str:
    """Write an estimate with its standard error, both rounded by the error: ``0.012 ± 0.003``.

    Parameters
    ----------
    value, error
        Estimate and Monte Carlo standard error, in the same unit. An error of 0 or NaN is left out: 0 says only
        that all replicates gave the same, never that the estimate is exact.
    """
    if not math.isfinite(value):
        return ABSENT
    if not math.isfinite(error) or error <= 0.0:
        return plain(value)
    decimals = error_digits(error)
    return f"{_written(value, decimals)} ± {_written(error, decimals)}"


def rounded(value: float, error: float) -> str:
    """Write a number rounded by an error that is not shown; as `plain` where there is none."""
    if not math.isfinite(value) or not math.isfinite(error) or error <= 0.0:
        return plain(value)
    return _written(value, error_digits(error))


def plain(value: float) -> str:
    """Write a number without an error: three significant digits, whole numbers as they are."""
    if not math.isfinite(value):
        return ABSENT
    if value == round(value) and abs(value) < 1e7:
        return f"{value:.0f}" if value else "0"
    return f"{value:.3g}"


def probability(value: float) -> str:
    """Write a p-value: three decimals, or that it is below 0.001."""
    if not math.isfinite(value):
        return ABSENT
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def share(value: float) -> str:
    """Write a share as a percentage with one decimal; what is not zero is never written as zero."""
    if not math.isfinite(value):
        return ABSENT
    return "< 0.1 %" if 0.0 < value < 0.001 else f"{100.0 * value:.1f} %"


def _written(value: float, decimals: int) -> str:
    """Write a number with so many decimals, and with a power of ten where that is shorter."""
    value = round(value, decimals)
    if not value:
        # also the negative zero
        value = 0.0
    if decimals < -3 or abs(value) >= LARGE:
        return f"{value:g}"
    if decimals > MOST_DECIMALS and value:
        return f"{value:.{max(math.floor(math.log10(abs(value))) + decimals, 0)}e}"
    return f"{value:.{min(max(decimals, 0), MOST_DECIMALS)}f}"
