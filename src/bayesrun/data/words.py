"""What the cells of a file say: which words stand for a missing value, and when a label is meant.

It reads no file.
"""

from __future__ import annotations

import numbers
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from bayesrun.base.spelling import PAIRS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["ABSENT", "BLANK", "absent_words", "counted", "is_number", "same_label"]

BLANK: Final = ""
"""What is missing in a column of text, unless the user says otherwise: any other word may be a label."""

ABSENT: Final = frozenset(
    (
        "", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A", "NA",
        "NULL", "NaN", "None", "n/a", "nan", "null",
    )
)  # fmt: skip
"""What is missing in a column of numbers, unless the user says otherwise; none of these can be a number."""


def absent_words(given: str | Sequence[str] | None, text: bool) -> frozenset[str]:
    """Return the words that stand for a missing value in a column of text, or of numbers.

    Parameters
    ----------
    given
        What the user says; None: `ABSENT` among numbers, `BLANK` among text.
    text
        Whether the column holds text.
    """
    if given is None:
        return frozenset((BLANK,)) if text else ABSENT
    return frozenset(str(word) for word in ([given] if isinstance(given, str) else given))


def counted(words: Iterable[Any]) -> str:
    """Count words that were taken as missing: ``2 'NA', 1 blank``."""
    counts = Counter("" if word is None else str(word) for word in words)
    return ", ".join(f"{n} {word!r}" if word else f"{n} blank" for word, n in counts.most_common())


def is_number(text: str) -> bool:
    """Whether a text is a number; the words of Python that are none of a table's (``nan``, ``1_000``) are not."""
    try:
        return not np.isnan(float(text)) and "_" not in text
    except ValueError:
        return False


def same_label(label: Any, given: Any) -> bool:
    """Whether a label is what a config names: YAML makes numbers and truth values of words."""
    if str(label) == str(given):
        return True
    if isinstance(given, bool):
        side = 1 if given else 0
        return str(label).strip().lower() in {pair[side] for pair in PAIRS}
    both = isinstance(given, numbers.Real) and is_number(str(label))
    return both and float(str(label)) == float(given)
