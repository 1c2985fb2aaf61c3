"""The original, from whose posterior truth is drawn: is it of the generating model, and how good are its draws.

It reads what lies beside the posterior, and else what the file itself says; it fits nothing.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter, ValidationError

from bayesrun.base.netcdf_names import decoded
from bayesrun.errors import ConfigError
from bayesrun.planning.keys import fit_key
from bayesrun.statistics.gates import judge
from bayesrun.store.folder import Store
from bayesrun.types import CheckedCell, DiagnosticsOptions, Gate, Original, Outcome, Target, canonical_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import pymc as pm
    import xarray as xr

__all__ = ["check_same_model", "doubts", "facts_of", "originals", "told"]

NODE = "study.truth"

type Recorded = tuple[CheckedCell, Outcome]


def facts_of(path: str, free: Sequence[str]) -> Original:
    """Say what is known of a stored fit.

    Parameters
    ----------
    path
        Its posterior.nc, in the folder of a study or anywhere else.
    free
        Variables whose draws are looked at, where nothing lies beside the file.

    Raises
    ------
    ConfigError
        If the file is not as its study wrote it.
    """
    _refuse_changed(Path(path))
    recorded = _recorded(Path(path))
    if recorded is None or recorded[1].status == "failed":  # of a step after its draws, which has no diagnostics
        return _by_its_draws(path, free)
    checked, outcome = recorded
    verdict = judge(checked.cell.gate, outcome, centred=checked.centred, kind=checked.kind)
    return Original(
        path,
        outcome.key,
        checked.cell.sampler.name,
        checked.kind,
        dict(outcome.diagnostics),
        verdict.failures,
        verdict.remedies,
    )


def _refuse_changed(path: Path) -> None:
    """Refuse a posterior of a study that is not as it was written; the truth of every replicate would come from it."""
    store = Store(path.parent.parent.parent)
    outcome = store.read_outcome(path.parent.name) if path.parent.parent.name == "fits" else None
    if outcome is not None and outcome.checksum and not store.verify(outcome.key):
        raise ConfigError(
            f"{NODE}.posterior: {path} is not as study {store.root.name} wrote it (its size or checksum differs from "
            "that in outcome.json beside it); run the command of that study again, which makes it anew"
        )


def _recorded(path: Path) -> Recorded | None:
    """Find the recipe and the outcome of a posterior in the folder of a study."""
    folder = path.parent
    store = Store(folder.parent.parent)
    outcome = store.drawn(folder.name) if folder.parent.name == "fits" else None
    if outcome is None:
        return None
    facts = store.read_study()
    try:
        cells = TypeAdapter(tuple[CheckedCell, ...]).validate_python(facts.get("cells", ()))
    except ValidationError:  # of a version that knew other fields
        return None
    for checked in cells:
        if fit_key(checked, int(facts["seed"]), outcome.replicate) == outcome.key:
            return checked, outcome
    return None


def _by_its_draws(path: str, free: Sequence[str]) -> Original:
    """Work out from the draws what no study has recorded."""
    from bayesrun.statistics.fit_summary import diagnose

    tree = _draws(path, free)
    statistics = tree["sample_stats"].dataset if "sample_stats" in tree.children else None
    kind = _kind(set() if statistics is None else set(map(str, statistics.data_vars)))
    found = diagnose(tree, kind, DiagnosticsOptions())
    outcome = Outcome("", "", 0, "done", diagnostics=found.facts, absent=found.absent)
    verdict = judge(Gate(), outcome, kind=kind)
    attrs = {**tree["posterior"].attrs, **(statistics.attrs if statistics is not None else {})}
    sampler = str(attrs.get("sampler") or attrs.get("inference_library") or "")
    return Original(path, "", sampler, kind, dict(found.facts), verdict.failures, verdict.remedies)


def _draws(path: str, free: Sequence[str]) -> xr.DataTree:
    """Read draws and statistics without what is worked out from them."""
    import xarray as xr

    groups = {}
    with xr.open_datatree(path, engine="netcdf4") as tree:
        for name in ("posterior", "sample_stats"):
            if name in tree.children:
                group = decoded(tree[name].to_dataset())
                groups[name] = (group[list(free)] if name == "posterior" else group).load()
    return xr.DataTree.from_dict(groups)


def _kind(statistics: set[str]) -> str:
    """Tell the kind of a sampler by its statistics."""
    marks = {"log_q": "variational", "log_marginal_likelihood": "smc", "diverging": "nuts"}
    return next((kind for mark, kind in marks.items() if mark in statistics), "mcmc")


def check_same_model(original: Original, model: pm.Model, generator: Target, fingerprint: str) -> Original:
    """Refuse a posterior of other data, or of another model or prior than the generating one.

    Parameters
    ----------
    original
        The fit.
    model
        The generating model, conditioned on the observed data.
    generator, fingerprint
        Its recipe and its meaning.

    Returns
    -------
    Original
        With what could not be compared.

    Raises
    ------
    ConfigError
        If the stored numbers, or where there are none the stored recipe, are not the model's.
    """
    from bayesrun.simulate import check_observed, densities_agree

    check_observed(original.path, model)
    recorded = _recorded(Path(original.path))
    agreement = densities_agree(original.path, model)
    same = recorded is not None and _graph(recorded[0].fingerprint) == _graph(fingerprint)
    if agreement.density is None:
        if agreement.likelihood is False or (recorded is not None and not same):
            raise ConfigError(_other_model(original, agreement.likelihood, recorded, generator))
        return replace(original, unknown="" if same else _unknown(agreement.likelihood))
    if agreement.density:
        return original
    raise ConfigError(_other_model(original, agreement.likelihood, recorded, generator, agreement.differences))


def _graph(fingerprint: str) -> str:
    """Take the part of a fingerprint that no renamed Python variable changes."""
    return fingerprint.rpartition("-")[2]


def _unknown(likelihood: bool | None) -> str:
    if likelihood is None:
        return (
            "whether it is of this study's model, prior and constants could not be compared: the file has neither the "
            "log density of its draws (sample_stats lp) nor log_likelihood"
        )
    return (
        "its likelihood is this study's; whether its prior is could not be compared: the file lacks the log density of "
        "its draws (sample_stats lp)"
    )


def _other_model(
    original: Original,
    likelihood: bool | None,
    recorded: Recorded | None,
    generator: Target,
    differences: tuple[float, float] | None = None,
) -> str:
    """Say in which way a fit is of another model, as far as that can be told."""
    part = {True: "prior", False: "likelihood", None: "prior or likelihood"}[likelihood]
    by = ""
    if differences is not None:
        by = f": the log density that it stored differs from this study's by {_span(*differences)} nats"
    recipe = "" if recorded is None else _recipe(recorded[0].cell.model, generator)
    return (
        f"{NODE}.posterior: {original.path} is a fit with another {part} than this study's generating model{by}"
        f"{recipe}. Calibration given the data needs the posterior of the same model, prior, constants and data; fit "
        "this model first (study=fit), and name that fit"
    )


def _span(low: float, high: float) -> str:
    return f"{low:.3g}" if f"{low:.3g}" == f"{high:.3g}" else f"{low:.3g} to {high:.3g}"


def _recipe(had: Target, generator: Target) -> str:
    """Say which of the model's parameters differ, from the recipe that lies beside the posterior."""
    if had.path != generator.path:
        return f"; it was fitted with {had.path}, and this study has {generator.path}"
    names = sorted({*had.params, *generator.params})
    differ = [name for name in names if _word(had.params, name) != _word(generator.params, name)]
    if not differ:
        return f"; {had.path} has changed since"
    before, now = (", ".join(f"{n}={_word(params, n)}" for n in differ) for params in (had.params, generator.params))
    return f"; it was fitted with {before}, and this study has {now}"


def _word(params: Mapping[str, Any], name: str) -> str:
    return canonical_json(params[name]) if name in params else "nothing"


def told(original: Original) -> str:
    """Describe an original in a line: sampler, draws, diagnostics, verdict, key and path."""
    facts = original.facts
    chains = facts.get("n_chains", 1.0)
    words = [
        original.sampler or "unknown sampler",
        f"{facts.get('n_draws', 0.0):.0f} draws in {chains:.0f} chain{'s' if chains > 1 else ''}",
        *(f"{word} {facts[name]:.{digits}f}" for name, word, digits in FACTS if name in facts),
        f"verdict {'fail: ' + '; '.join(original.failures) if original.failures else 'pass'}",
        *([f"key {original.key}"] if original.key else []),
        original.path,
        *([original.unknown] if original.unknown else []),
    ]
    return ", ".join(words)


def originals(cells: Iterable[CheckedCell]) -> list[str]:
    """Describe every fit that the truths of some cells are drawn from, once each."""
    found = (checked.simulation.original for checked in cells if checked.simulation is not None)
    return list(dict.fromkeys(told(original) for original in found if original is not None))


FACTS = (
    ("rhat_max", "R-hat", 3),
    ("ess_bulk_min", "bulk ESS", 0),
    ("khat", "k-hat", 2),
    ("n_divergent", "divergences", 0),
)
"""What is shown of an original: diagnostic, what people call it, digits."""


def doubts(original: Original, replicates: int | None) -> tuple[str, ...]:
    """Say what of an original makes a study of truths from it doubtful, and what to do.

    Parameters
    ----------
    original
        The fit.
    replicates
        Truths that are drawn from it; None: not known yet.

    Returns
    -------
    tuple of str
        A sentence each; empty where nothing is doubtful.
    """
    found = []
    if original.failures:
        remedies = f" ({'; '.join(original.remedies)})" if original.remedies else ""
        found.append(
            f"the original did not pass its gate: {'; '.join(original.failures)}. Truths drawn from it may not "
            f"be those of the posterior, which then looks like a fault of the fits; fit it better first{remedies}"
        )
    if replicates is not None and original.effective < replicates:
        found.append(
            f"the original has {original.effective} effective draws for {replicates} replicates, so that truths repeat "
            "and the tests of calibration count them as more than they are; give the original more draws "
            "(sampler.draws), or take fewer replicates"
        )
    return tuple(found)
