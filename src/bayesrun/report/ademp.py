"""What a simulation study is, in the order of ADEMP: aims, data, estimands, methods, performance measures.

Morris, White, Crowther (2019, doi:10.1002/sim.8086); how many replicates and why, and what is done with fits that fail,
after Siepe et al. (2024, doi:10.1037/met0000695). It states, and computes nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from bayesrun.base.messages import few
from bayesrun.planning.posterior_sbc import originals
from bayesrun.report.page import Ademp
from bayesrun.types import canonical_json

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bayesrun.types import CheckedCell, StudyOptions

__all__ = ["ademp", "text_of"]

AIMS: Final = {
    "sbc": "Whether each model with each sampler is calibrated: whether truths drawn from the prior look like draws "
    "from their posteriors.",
    "joint": "Whether each model with each sampler is calibrated near the observed data: whether truths drawn from "
    "the posterior look like draws from the posteriors that have seen them too.",
    "recovery": "How well estimates and intervals recover known truths.",
    "power": "How often a decision rule decides for an effect that is there, and for one that is not.",
}
MEASURES: Final = {
    "sbc": "Ranks of the truth among thinned posterior draws, simultaneous bands of their ECDF, exact p-values "
    "adjusted after Holm within each cell; z-scores, contraction and interval coverage.",
    "recovery": "Bias, RMSE, empirical and model SE, coverage and width of intervals, interval scores, each with its "
    "Monte Carlo standard error; paired contrasts between methods.",
    "power": "Rates of the decision rules, split into power and type I error where a null value is given, with Wilson "
    "intervals; and the measures of a recovery study.",
}


def ademp(
    study: StudyOptions, cells: Sequence[CheckedCell], versions: Mapping[str, str], estimands: Sequence[str] = ()
) -> Ademp:
    """Describe a study.

    Parameters
    ----------
    study
        What is asked.
    cells
        Its design.
    versions
        Of Python and the packages that decide the draws.
    estimands
        Labels of the scalars that are estimated, where they are known.
    """
    return Ademp(
        aims=study.aims or AIMS["joint" if _joint(cells) else study.kind],
        mechanisms=_mechanisms(study, cells),
        estimands=_estimands(study, estimands),
        methods=_methods(cells),
        measures=_measures(study, cells),
        replicates={checked.cell.label: checked.replicates for checked in cells},
        why=_why(study, cells),
        seeds={"study.seed": study.seed},
        versions=versions,
    )


def _joint(cells: Sequence[CheckedCell]) -> bool:
    return any(checked.simulation is not None and checked.simulation.joint for checked in cells)


def text_of(described: Ademp) -> str:
    """Write a description as Markdown, for a tracking server."""
    parts = {
        "Aims": [described.aims],
        "Data-generating mechanisms": described.mechanisms,
        "Estimands": described.estimands,
        "Methods": described.methods,
        "Performance measures": described.measures,
        "Replicates": [f"{described.many}: {described.why}"],
        "Failures": [described.handling],
        "Seeds": [f"{name} = {value}" for name, value in described.seeds.items()],
    }
    return "\n\n".join(f"**{name}**\n\n" + "\n".join(f"* {line}" for line in lines) for name, lines in parts.items())


def _words(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{key}={canonical_json(value)}" for key, value in values.items())


def _mechanisms(study: StudyOptions, cells: Sequence[CheckedCell]) -> list[str]:
    found: dict[str, None] = {}
    for checked in cells:
        simulation = checked.simulation
        if simulation is None:
            continue
        generator = simulation.generator
        given = _words(generator.params)
        design = "drawn anew for every replicate" if simulation.design else "the same in every replicate"
        found[f"{generator.name}{f' ({given})' if given else ''} on {checked.cell.data.name}, covariates {design}"] = (
            None
        )
    truth = {
        "prior": "drawn from the prior",
        "posterior": "drawn from the posterior of an earlier fit",
        "joint": "drawn from the posterior given the observed data, with which every simulated dataset is fitted "
        "together (posterior SBC, arXiv:2502.03279)",
    }
    simulations = [checked.simulation for checked in cells if checked.simulation is not None]
    for kind in sorted({"joint" if one.joint else one.identity["kind"] for one in simulations}):
        found[f"truth {truth.get(kind) or f'fixed: {canonical_json(study.truth)}; what is not fixed is drawn'}"] = None
    for line in originals(cells):
        found[f"original: {line}"] = None
    factors = sorted(
        {key for checked in cells for key in checked.cell.overrides if key.startswith(("data.", "model."))}
    )
    for key in factors:
        levels = dict.fromkeys(canonical_json(checked.cell.overrides.get(key)) for checked in cells)
        found[f"factor {key}: {', '.join(levels)}"] = None
    return list(found | {note: None for checked in cells for note in checked.notes})


def _estimands(study: StudyOptions, estimands: Sequence[str]) -> list[str]:
    shown = few(estimands, 12)
    own = ", ".join(study.quantities or {})
    return [
        shown or "every free variable and Deterministic of the fitted model that the generator has too",
        *([f"quantities of the study's own: {own}"] if own else []),
        f"posterior means, and intervals of {', '.join(f'{p:g}' for p in study.levels)}",
    ]


def _methods(cells: Sequence[CheckedCell]) -> list[str]:
    names: dict[str, None] = {}
    for checked in cells:
        options = checked.cell.options
        given = f"{options.chains} x ({options.tune} + {options.draws}) draws"
        if checked.kind == "variational":
            given = f"{options.iterations} iterations, {options.chains * options.draws} draws"
        given += _ranked_among(checked)
        names[f"{checked.cell.sampler.name} ({given}) on model {checked.cell.model.name}"] = None
    return list(names)


def _ranked_among(checked: CheckedCell) -> str:
    """Say how the draws that ranks are counted among are chosen; ranks are uniform whether or not L divides them."""
    total, among = checked.cell.options.chains * checked.cell.options.draws, checked.cell.diagnostics.ranks
    if checked.simulation is None or not checked.simulation.ranked or not 0 < among <= total:
        return ""
    apart = f"{total // among}" + (f" or {total // among + 1}" if total % among else "")
    return f"; the truth is ranked among {among} of them, each {apart} after the last"


def _measures(study: StudyOptions, cells: Sequence[CheckedCell]) -> list[str]:
    rules = dict.fromkeys((*study.decisions, *(rule for one in cells for rule in one.cell.diagnostics.decisions)))
    found = [MEASURES[study.kind], *(f"rule: {rule}" for rule in rules)]
    return [*found, f"null values: {_words(study.nulls)}"] if study.nulls else found


def _why(study: StudyOptions, cells: Sequence[CheckedCell]) -> str:
    if study.replicates == "auto":
        return (
            f"rounds until the Monte Carlo standard errors are {_words(study.target_mcse or {})} or "
            f"{study.max_replicates} replicates are reached; for shares the width of a Wilson interval stands in for "
            "the standard error, which is 0 where all replicates agree"
        )
    counts = sorted({checked.replicates for checked in cells}) or [1]
    errors = [f"{(0.0475 / count) ** 0.5:.3f}" for count in dict.fromkeys((counts[-1], counts[0]))]
    return f"as asked; the coverage of a 95 % interval then has a Monte Carlo standard error of {' to '.join(errors)}"
