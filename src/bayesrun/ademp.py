"""What a simulation study is, in the order of ADEMP: aims, data, estimands, methods, performance measures.

Morris, White, Crowther (2019, doi:10.1002/sim.8086); how many replicates and why, and what is done with fits that fail,
after Siepe et al. (2024, doi:10.1037/met0000695). It states, and computes nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from bayesrun.types import canonical_json

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bayesrun.types import CheckedCell, StudyOptions

__all__ = ["ademp"]

AIMS: Final = {
    "sbc": "Whether each model with each sampler is calibrated: whether truths drawn from the prior look like draws from "
    "their posteriors.",
    "recovery": "How well estimates and intervals recover known truths.",
    "power": "How often a decision rule decides for an effect that is there, and for one that is not.",
}
MEASURES: Final = {
    "sbc": "Ranks of the truth among thinned posterior draws, simultaneous bands of their ECDF, exact p-values adjusted "
    "after Holm within each cell; z-scores, contraction and interval coverage.",
    "recovery": "Bias, RMSE, empirical and model SE, coverage and width of intervals, interval scores, each with its "
    "Monte Carlo standard error; paired contrasts between methods.",
    "power": "Rates of the decision rules, split into power and type I error where a null value is given, with Wilson "
    "intervals; and the measures of a recovery study.",
}


def ademp(study: StudyOptions, cells: Sequence[CheckedCell], estimands: Sequence[str] = ()) -> dict[str, str]:
    """Describe a study.

    Parameters
    ----------
    study
        What is asked.
    cells
        Its design.
    estimands
        Labels of the scalars that are estimated, where they are known.

    Returns
    -------
    dict
        Heading to text: Aims, Data-generating mechanisms, Estimands, Methods, Performance measures, Replicates,
        Failures, Seed.
    """
    return {
        "Aims": study.aims or AIMS[study.kind],
        "Data-generating mechanisms": _mechanisms(study, cells),
        "Estimands": _estimands(study, estimands),
        "Methods": _methods(cells),
        "Performance measures": _measures(study),
        "Replicates": _replicates(study, cells),
        "Failures": "Every simulated dataset is kept, also one that is constant or not finite, and none is drawn again. "
        "The main analysis uses all replicates with output; the same measures over fits that passed the gate, and over "
        "replicates that all methods passed, are given beside it. Counts of failures are shown also where they are zero.",
        "Seed": f"{study.seed}; the dataset of a replicate depends on it, the generator and the replicate's number only, "
        "so that all methods see the same data.",
    }


def _words(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{key}={canonical_json(value)}" for key, value in values.items())


def _mechanisms(study: StudyOptions, cells: Sequence[CheckedCell]) -> str:
    found: dict[str, None] = {}
    for checked in cells:
        simulation = checked.simulation
        if simulation is None:
            continue
        generator = simulation.generator
        given = _words(generator.params)
        design = "drawn anew for every replicate" if simulation.design else "the same in every replicate"
        found[f"{generator.name}{f' ({given})' if given else ''} on {checked.cell.data.name}, covariates {design}"] = None
    factors = sorted({key for checked in cells for key in checked.cell.overrides if key.startswith(("data.", "model."))})
    truth = {"prior": "drawn from the prior", "posterior": "drawn from the posterior of an earlier fit"}
    kinds = {checked.simulation.identity["kind"] for checked in cells if checked.simulation is not None}
    told = [truth.get(kind, f"fixed: {canonical_json(study.truth)}") for kind in sorted(kinds)]
    return f"{'; '.join(found)}. Truth {', '.join(told)}." + (f" Factors: {', '.join(factors)}." if factors else "")


def _estimands(study: StudyOptions, estimands: Sequence[str]) -> str:
    own = f" and {', '.join(study.quantities)}" if study.quantities else ""
    if not estimands:
        return f"Every free variable and Deterministic of the fitted model that the generator has too{own}."
    shown = ", ".join(estimands[:12]) + (f" and {len(estimands) - 12} more" if len(estimands) > 12 else "")
    return f"{shown}: posterior means, with central intervals of {', '.join(f'{p:g}' for p in study.levels)}{own}."


def _methods(cells: Sequence[CheckedCell]) -> str:
    names: dict[str, None] = {}
    for checked in cells:
        options = checked.cell.options
        names[
            f"{checked.cell.sampler.name} with {options.chains} chains of {options.tune} + {options.draws} draws, "
            f"on model {checked.cell.model.name}"
        ] = None
    return "; ".join(names) + "."


def _measures(study: StudyOptions) -> str:
    rules = f" Rules: {'; '.join(study.decisions)}." if study.decisions else ""
    nulls = f" Null values: {_words(study.nulls)}." if study.nulls else ""
    return MEASURES[study.kind] + rules + nulls


def _replicates(study: StudyOptions, cells: Sequence[CheckedCell]) -> str:
    counts = sorted({checked.replicates for checked in cells})
    told = ", ".join(map(str, counts)) + " in each cell"
    if study.replicates == "auto":
        return (
            f"{told}, in rounds until the Monte Carlo standard errors are {_words(study.target_mcse or {})} or "
            f"{study.max_replicates} replicates are reached; for shares a Wilson interval stands in for the standard "
            "error, which is 0 where all replicates agree."
        )
    error = (0.95 * 0.05 / max(counts[0], 1)) ** 0.5 if counts else float("nan")
    return f"{told}, as asked; the coverage of a 95 % interval then has a Monte Carlo standard error of {error:.3f}."
