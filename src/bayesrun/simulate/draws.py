"""One draw of truth and data from a compiled model, and whether such draws are what the model means.

It knows no seeds of a study and no dataset; nothing is drawn a second time because it is degenerate.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import pytensor
from pytensor.graph.traversal import ancestors

from bayesrun.base.alignment import model_layouts
from bayesrun.errors import FitError
from bayesrun.simulate.arrays import degenerate, observed_values
from bayesrun.simulate.back_to_arrays import Refused
from bayesrun.simulate.programs import MODE, Program, compiled, log_density, plain, stream
from bayesrun.simulate.values import fixed_values, posterior_values, restricted, unreachable

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pymc as pm
    from pytensor.graph.basic import Variable

    from bayesrun.base.alignment import Layout
    from bayesrun.simulate.truth import Truth

__all__ = ["UNDRAWABLE", "Compiled", "compile_model", "draw", "trial", "without_data"]

TRIALS: Final = 20
"""Datasets drawn to find one by which the way back into the dataset can be proved: extreme ones prove little."""

LARGEST: Final = 2**31 - 1
"""PyMC makes int32 of observed whole numbers without a word: 2**40 would be fitted as 0."""

UNDRAWABLE: Final = (ArithmeticError, AssertionError, ValueError)
"""What NumPy's generators and PyMC's checks raise for parameters beyond what can be drawn (a Poisson rate of 1e30)."""

type Values = dict[str, np.ndarray]


@dataclass(frozen=True, eq=False)
class Compiled:
    """The programs of a model on one base.

    Parameters
    ----------
    model
        The generating model.
    layouts
        Dims and labels of its free variables and Deterministics.
    fixed
        Values of free variables that are the same in every draw.
    posterior
        Draws of an earlier fit, dims (draw, ...).
    prior
        The other free variables, given the fixed ones.
    data
        Deterministics and observed variables, given the free ones.
    density
        Log density of each observed value, given all, of those that have one; None where none has.
    """

    model: pm.Model
    layouts: Mapping[str, Layout]
    fixed: Mapping[str, np.ndarray]
    posterior: Mapping[str, np.ndarray]
    prior: Program
    data: Program
    density: Program | None


def compile_model(model: pm.Model, truth: Truth) -> Compiled:
    """Compile the draws of a model whose truth is of some kind.

    Raises
    ------
    ConfigError
        If fixed values or a posterior do not suit the model.
    """
    fixed = fixed_values(truth, model) if truth.kind == "fixed" else {}
    posterior = posterior_values(truth, model) if truth.kind == "posterior" else {}
    given = [rv for rv in model.free_RVs if rv.name in fixed]
    drawn = [rv for rv in model.free_RVs if rv.name not in fixed and rv.name not in posterior]
    data = compiled(model, model.free_RVs, [*model.deterministics, *model.observed_RVs])
    prior = compiled(model, given, drawn)
    return Compiled(model, model_layouts(model), fixed, posterior, prior, data, _density(model))


def _density(model: pm.Model) -> Program | None:
    values = {rv: rv.type() for rv in model.basic_RVs}
    terms = {}
    for rv in model.observed_RVs:
        with contextlib.suppress(NotImplementedError):
            terms[str(rv.name)] = log_density(rv, values)
    if not terms:
        return None
    with plain():
        function = pytensor.function(list(values.values()), list(terms.values()), mode=MODE, on_unused_input="ignore")
    function.trust_input = True
    given = {str(rv.name): rv.dtype for rv in values}
    return Program(function, given, tuple(terms), ())


def draw(ready: Compiled, seed: int) -> tuple[Values, Values, str]:
    """Draw once.

    Returns
    -------
    drawn : dict
        Observed variables; NaN where they cannot be drawn, or PyMC cannot hold them.
    truth : dict
        Free variables and Deterministics.
    reason : str
        What is degenerate about the data; empty if nothing is.

    Raises
    ------
    FitError
        If no truth can be drawn from the prior.
    """
    free = _free(ready, seed)
    names = [str(rv.name) for rv in ready.model.observed_RVs]
    try:
        found = ready.data(seed, free)
    except UNDRAWABLE as error:
        drawn = {name: np.full(values.shape, np.nan) for name, values in observed_values(ready.model).items()}
        derived = compiled(ready.model, ready.model.free_RVs, without_data(ready.model))(seed, free)
        return drawn, free | derived, f"{', '.join(names)} cannot be drawn: {_first_line(error)}"
    drawn = {name: found.pop(name) for name in names}
    beyond = [name for name, values in drawn.items() if values.dtype.kind in "iu" and (np.abs(values) > LARGEST).any()]
    drawn |= {name: np.full(drawn[name].shape, np.nan) for name in beyond}
    wrapped = [f"{name} has counts beyond {LARGEST}, of which PyMC keeps the last 32 bits" for name in beyond]
    return drawn, free | found, "; ".join(wrapped) or degenerate(drawn, free) or _on_a_bound(ready, seed, drawn, free)


def _on_a_bound(ready: Compiled, seed: int, drawn: Values, free: Values) -> str:
    """Say where data have no finite density even at their truth: a survival time that was rounded to 0."""
    if ready.density is None:
        return ""
    try:
        terms = ready.density(seed, drawn | free)
    except UNDRAWABLE as error:
        return f"the density of the data at their truth cannot be worked out: {_first_line(error)}"
    bad = [name for name, term in terms.items() if not np.isfinite(term).all()]
    return f"the density of {', '.join(bad)} at its truth is not finite" if bad else ""


def _free(ready: Compiled, seed: int) -> Values:
    if ready.posterior:
        length = len(next(iter(ready.posterior.values())))
        number = stream(seed, "posterior draw").integers(length)
        return {name: draws[number] for name, draws in ready.posterior.items()}
    try:
        return {**ready.fixed, **ready.prior(seed, ready.fixed)}
    except UNDRAWABLE as error:
        raise FitError(f"no truth can be drawn from the prior: {_first_line(error)}") from error


def without_data(model: pm.Model) -> list[Variable]:
    """Deterministics that do not follow from the observed variables."""
    return [v for v in model.deterministics if not set(ancestors([v])).intersection(model.observed_RVs)]


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def trial(ready: Compiled) -> Values:
    """Draw data that are as good as possible for proving the way back into a dataset: finite, and not all alike.

    Raises
    ------
    Refused
        If a variable cannot be drawn, a prior's draws do not comply with its transform, or nothing finite is drawn.
    """
    best, reached, reason = None, [], ""
    for seed in range(TRIALS):
        try:
            drawn, free, reason = draw(ready, seed)
        except RuntimeError as error:  # NotImplementedError, or a package that draws is not there
            raise Refused(f"{_undrawable(ready)} cannot be drawn: {_first_line(error)}") from error
        except FitError as error:
            reason = str(error)
            continue
        reached.append(free)
        if all(np.isfinite(values).all() for values in drawn.values()) and (best is None or not reason):
            best = drawn
    # only where the model chose a transform: extreme draws of others may round to a bound, and do not come back from it
    loose = [rv for rv in restricted(ready.model) if rv.name in ready.prior.drawn]
    if narrower := unreachable(ready.model, loose, reached):
        raise Refused(
            f"draws from the prior of {', '.join(narrower)} need not comply with its transform, which restricts the "
            "prior that is fitted (ordered values, an interval); use a distribution that has this support"
        )
    if best is None:
        raise Refused(
            f"none of {TRIALS} datasets drawn from it is finite ({reason}); choose narrower priors, or a truth"
        )
    for name, values in observed_values(ready.model).items():
        if values.shape != best[name].shape:
            raise Refused(f"{name} is observed in shape {values.shape} and drawn in shape {best[name].shape}")
    return best


def _undrawable(ready: Compiled) -> str:
    """Find the first variable that cannot be drawn, parents first."""
    model = ready.model
    loose = [rv for rv in model.free_RVs if rv.name in ready.prior.drawn]
    given = [rv for rv in model.free_RVs if rv.name in ready.fixed]
    for rv in loose:
        try:
            compiled(model, given, [rv])(0, ready.fixed)
        except RuntimeError:
            return str(rv.name)
    return ", ".join(str(rv.name) for rv in model.observed_RVs)
