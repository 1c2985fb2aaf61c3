"""How many bytes a fit leaves in its study's folder, from the shapes of its model; it writes nothing.

Sizes of what is no array (names, figures, text) are means over fits of the shipped models.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from bayesrun.types.kept import GROUPS, LEAN

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    import pymc as pm

    from bayesrun.types import CheckedCell

__all__ = ["fit_bytes", "numbers_of", "study_bytes"]

BLOCK = 65536
"""A posterior.nc is filled up to a multiple of this many bytes."""
NUMBER, LABEL = 8, 24
"""Bytes of a number, and of the label of a row in a coordinate."""
STATS: Mapping[str, int] = {"nuts": 50, "mcmc": 24, "smc": 8, "variational": 16}
"""Bytes of the sample statistics of one draw."""
GROUP, VARIABLE = 1500, 600
"""Bytes of names and attributes, of a group and of each of its variables and coordinates."""
RECORDS = 4000
"""outcome.json and config.yaml."""
SUMMARY, COLUMNS = 4000, 10
"""Bytes of a summary.parquet beside its rows, and how many columns it has for real data."""
SIMULATED_COLUMNS = 9
"""More of them for simulated data, beside two for each level."""
FIGURES: Mapping[str, int] = {"pareto_k": 18_000, "predictive": 25_000, "elbo": 65_000, "energy": 18_500}
"""Bytes of the figures whose size does not follow the number of scalars."""
PANELS: Mapping[str, tuple[int, int, int]] = {
    "forest": (10_000, 1_600, 24),
    "rank": (3_000, 20_000, 12),
    "trace": (-30_000, 38_000, 12),
}
"""Bytes of the others: of the figure, of each scalar in it, and the number of scalars from which on none is added."""
CELL, STUDY = 4000, 20_000
"""Bytes of a cell in the design, and of what a study has beside its cells, data and tables."""
CSV = 20
"""Bytes of a number written as text; a table is kept as parquet and as text."""
PAGE, CELL_FIGURE = 600_000, 200_000
"""Bytes of report.html, and of the figures of one cell of a simulation study."""


class Numbers(NamedTuple):
    """How many numbers a model has.

    Parameters
    ----------
    free, derived
        Scalars of the free variables and of the Deterministics.
    observed
        Observed values.
    constant
        Of named data.
    priors
        Free variables whose log prior is kept.
    labels
        Labels of all dims.
    variables
        Named variables of all kinds.
    """

    free: int
    derived: int
    observed: int
    constant: int
    priors: int
    labels: int
    variables: int


def numbers_of(model: pm.Model) -> Numbers:
    """Count the numbers of a model; shapes that its graph does not state are worked out."""
    from bayesrun.samplers.groups import shapes_of

    shapes = shapes_of(model)

    def count(variables: Iterable[Any]) -> int:
        return sum(math.prod(shapes[variable.name]) for variable in variables)

    labels = sum(len(values) for values in model.coords.values() if values is not None)
    named = [*model.free_RVs, *model.deterministics, *model.observed_RVs, *model.data_vars]
    return Numbers(
        count(model.free_RVs),
        count(model.deterministics),
        count(model.observed_RVs),
        count(model.data_vars),
        len(model.free_RVs),
        labels,
        len(named),
    )


def fit_bytes(numbers: Numbers, checked: CheckedCell) -> int:
    """Predict the bytes of the folder of one fit: posterior, summary, records and figures.

    Parameters
    ----------
    numbers
        Of its model.
    checked
        Its cell, whose options and steps say what is kept.

    Returns
    -------
    int
        Bytes, within about a tenth for numbers and a third for figures.
    """
    cell, simulated = checked.cell, checked.simulation is not None
    summary = SUMMARY + NUMBER * (numbers.free + numbers.derived) * _columns(checked)
    figures = _figures(numbers, checked) if cell.steps.figures else 0
    raw = _posterior(numbers, checked)
    return math.ceil(raw / BLOCK) * BLOCK + summary + figures + (RECORDS // 2 if simulated else RECORDS)


def _posterior(numbers: Numbers, checked: CheckedCell) -> int:
    """Add up the groups of a posterior.nc, each with its coordinates."""
    options, steps = checked.cell.options, checked.cell.steps
    variational = checked.kind == "variational"
    chains, draws = (1, options.draws * options.chains) if variational else (options.chains, options.draws)
    total = chains * draws
    kept = checked.kept
    # of some Deterministics it is not known here how many numbers they have
    some = any(name not in (LEAN, *GROUPS) for name in kept.what)
    scalars = numbers.free + numbers.derived * some
    predicted = NUMBER // 2 if kept.single else NUMBER
    axes = chains + draws
    groups = [NUMBER * (scalars * total + axes), STATS.get(checked.kind, 24) * total + NUMBER * axes]
    groups += [NUMBER * (numbers.observed + numbers.constant)]
    if steps.log_likelihood:
        groups += [2 * NUMBER * numbers.observed]
        groups += [predicted * numbers.observed * total + NUMBER * axes] * kept.has("log_likelihood")
    if steps.posterior_predictive:
        groups += [predicted * numbers.observed * total + NUMBER * axes] * kept.has("posterior_predictive")
    if steps.prior_predictive:
        every = numbers.free + numbers.derived
        groups += [NUMBER * steps.prior_draws * (every + 1)] * kept.has("prior")
        groups += [steps.prior_draws * (predicted * numbers.observed + NUMBER)] * kept.has("prior_predictive")
        groups += [NUMBER * (numbers.priors * total + axes)] * kept.has("log_prior")
    if variational:
        groups += [2 * NUMBER * options.iterations]
    if checked.simulation is not None:
        groups += [NUMBER * (scalars + numbers.observed)]
    names = (GROUP + LABEL * numbers.labels) * len(groups) + 2 * VARIABLE * numbers.variables
    return sum(groups) + names


def _columns(checked: CheckedCell) -> int:
    """Columns of a summary."""
    more = SIMULATED_COLUMNS if checked.simulation is not None else 0
    return COLUMNS + 2 * len(checked.cell.diagnostics.levels) + more


def _figures(numbers: Numbers, checked: CheckedCell) -> int:
    """Add up the figures that apply to a fit."""
    steps, kind = checked.cell.steps, checked.kind
    markov = kind != "variational"
    found = {
        "pareto_k": steps.log_likelihood,
        "predictive": steps.prior_predictive + steps.posterior_predictive,
        "elbo": not markov,
        "energy": kind == "nuts",
    }
    drawn = {"forest": True, "rank": markov and checked.cell.options.chains > 1, "trace": markov}
    size = sum(FIGURES[name] * count for name, count in found.items())
    for name, (whole, each, most) in PANELS.items():
        size += drawn[name] * max(0, whole + each * min(numbers.free + numbers.derived, most))
    return size


def study_bytes(numbers: Mapping[str, Numbers], cells: Mapping[str, CheckedCell]) -> int:
    """Predict the bytes of a study's folder beside its fits: design, data, tables, page.

    Parameters
    ----------
    numbers, cells
        By label.
    """
    size = STUDY + CELL * len(cells)
    size += sum(LABEL * (n.observed + n.constant + n.labels) for n in set(numbers.values()))
    for label, checked in cells.items():
        if checked.simulation is not None:
            rows = checked.replicates * (numbers[label].free + numbers[label].derived)
            size += CELL_FIGURE + rows * _columns(checked) * (NUMBER + CSV)
    return size + PAGE * any(checked.simulation is not None for checked in cells.values())
