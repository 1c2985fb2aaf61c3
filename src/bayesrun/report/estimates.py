"""Estimates of fits as people read them: which scalars are shown, and the table for the terminal.

It reads summaries and computes nothing. Variables are in the order of the model, which has those that are drawn first
and what is worked out from them after these.
"""

from __future__ import annotations

import math
import shlex
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bayesrun.base.messages import few
from bayesrun.base.rounding import rounded
from bayesrun.base.spelling import did_you_mean
from bayesrun.errors import ConfigError
from bayesrun.report.table_layout import Sheet, numbers, words
from bayesrun.statistics.measures.expressions import comparable, element_of
from bayesrun.store.folder import SUMMARY

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import pandas as pd

    from bayesrun.types import FitSpec

__all__ = ["FEW_CELLS", "MOST_ROWS", "Estimates", "Told", "chosen", "estimates_table", "of_variables", "shown_after"]

FEW: Final = 4
"""Elements of a variable up to which it comes before those that have more."""
MANY: Final = 10
"""Elements up to which a variable may have one for each observation and is shown without being asked for."""
MOST_ROWS: Final = {1: 24, 2: 12, 3: 12}
"""Rows that are shown without being asked for, by the number of cells."""
FEW_CELLS: Final = max(MOST_ROWS)
"""Cells up to which estimates are printed after a run."""
MOST_NAMED: Final = 5


@dataclass(frozen=True, eq=False)
class Estimates:
    """What a fit says of its scalars.

    Parameters
    ----------
    spec
        Its recipe.
    summary
        One row for each scalar, see `statistics.fit_summary`.
    observations
        How many terms its likelihood has; 0: not known.
    show
        The command that shows more of its study.
    """

    spec: FitSpec
    summary: pd.DataFrame
    observations: int = 0
    show: str = "bayesrun show STUDY"

    @property
    def interval(self) -> str:
        """Name the interval, such as ``89% ETI``."""
        asked, found = self.spec.diagnostics, self.summary.attrs
        return interval_name(found.get("ci_prob", asked.ci_prob), found.get("ci_kind", asked.ci_kind))


@dataclass(frozen=True, eq=False)
class Told:
    """What is printed of estimates after a run: those of a few cells, or of many how they are shown."""

    parts: tuple[Estimates, ...] = ()
    hint: str = ""


def interval_name(prob: float, kind: str) -> str:
    """Name an interval by its probability and what it is."""
    return f"{100.0 * prob:.6g}% {kind.upper()}"


def variable_of(label: str) -> str:
    """Return the name of the variable that a scalar belongs to."""
    return label.partition("[")[0] if label.endswith("]") and not label.startswith("[") else label


def chosen(labels: Sequence[str], most: int, observations: int = 0) -> tuple[list[str], dict[str, int]]:
    """Choose the scalars that are shown without being asked for.

    Parameters
    ----------
    labels
        Of all scalars, in the order of the model.
    most
        How many at most.
    observations
        How many there are; of variables with as many elements none is shown.

    Returns
    -------
    shown : list of str
        Whole variables, those of few elements first.
    left_out : dict
        Variable to the number of its elements.
    """
    sizes = Counter(map(variable_of, labels))
    shown: set[str] = set()
    room = most
    for name in sorted(sizes, key=lambda name: sizes[name] > FEW):
        if sizes[name] <= room and (sizes[name] <= MANY or sizes[name] != observations):
            shown.add(name)
            room -= sizes[name]
    order = sorted(
        (label for label in labels if variable_of(label) in shown), key=lambda x: sizes[variable_of(x)] > FEW
    )
    return order, {name: size for name, size in sizes.items() if name not in shown}


def of_variables(labels: Sequence[str], wanted: Iterable[str]) -> list[str]:
    """Find the scalars of variables, or single elements, as rules name them.

    Parameters
    ----------
    labels
        Of all scalars.
    wanted
        Names such as ``beta`` or ``beta[age]``.

    Raises
    ------
    ConfigError
        For a name that there is none of, with the nearest.
    """
    found: dict[str, None] = {}
    plain = {label: comparable(label) for label in labels}
    for name in wanted:
        own = comparable(name)
        hits = [x for x, text in plain.items() if text == own or element_of(text, own) is not None]
        if not hits:
            variables = list(dict.fromkeys(map(variable_of, labels)))
            known = list(labels) if "[" in name else variables
            raise ConfigError(
                f"--var {name}: there is no variable or element of that name; {did_you_mean(name, known)}"
                f"there are {few(variables, MOST_NAMED)}"
            )
        found.update(dict.fromkeys(hits))
    return list(found)


def estimates_table(found: Estimates, labels: Sequence[str]) -> Sheet:
    """Show estimates: mean, SD, interval, bulk ESS and R-hat, rounded by their Monte Carlo error.

    Parameters
    ----------
    found
        Of a fit.
    labels
        Of the scalars that are shown, in this order.

    Returns
    -------
    Sheet
        Without ESS and R-hat where no scalar has them.
    """
    part = found.summary[~found.summary.index.duplicated()].loc[list(labels)]
    has = [name for name in ("ess_bulk", "rhat") if name in part and part[name].notna().any()]
    heads = {"ess_bulk": "ESS", "rhat": "R-hat"}
    table = Sheet((*words("variable"), *numbers("mean", "SD", found.interval, *(heads[name] for name in has))))
    for label, row in zip(labels, part.to_dict("records"), strict=True):
        error = row.get("mcse_mean", math.nan)
        forms = {"ess_bulk": ".0f", "rhat": ".3f"}
        table.add_row(
            str(label),
            rounded(row["mean"], error),
            rounded(row["sd"], row.get("mcse_sd", math.nan)),
            _between(row.get("ci_lb", math.nan), row.get("ci_ub", math.nan), error),
            *("-" if math.isnan(row[name]) else format(row[name], forms[name]) for name in has),
        )
    return table


def _between(low: float, high: float, error: float) -> str:
    return "-" if math.isnan(low) or math.isnan(high) else f"[{rounded(low, error)}, {rounded(high, error)}]"


def shown_after(found: Estimates, cells: int) -> tuple[Sheet, str]:
    """Show the estimates of a fit without being asked for any.

    Parameters
    ----------
    found
        Of the fit.
    cells
        How many are shown at once.

    Returns
    -------
    table : Sheet
    rest : str
        Which variables are not shown, and where they are; empty where all are.
    """
    most = MOST_ROWS.get(cells, MOST_ROWS[FEW_CELLS])
    labels, left_out = chosen(list(dict.fromkeys(found.summary.index)), most, found.observations)
    if not left_out:
        return estimates_table(found, labels), ""
    named = [f"{name} ({size})" if size > 1 else name for name, size in left_out.items()]
    first = next(iter(left_out))
    return estimates_table(found, labels), (
        f"not shown: {few(named, MOST_NAMED)}; they are in fits/{found.spec.key}/{SUMMARY}; "
        f"{found.show} {found.spec.key} --var {shlex.quote(first)}"
    )
