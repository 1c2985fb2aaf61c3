"""What a generator and another model that is fitted to its data have to do with each other.

Truths belong to the estimates of the same name, dims and labels; the outcome has to be one that the fitted likelihood
can have. It fits nothing.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pytensor

from bayesrun.base.alignment import entries, match, model_layouts
from bayesrun.errors import FitError
from bayesrun.simulate.arrays import candidates, observed_values
from bayesrun.simulate.programs import MODE, plain
from bayesrun.simulate.values import shapes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import pymc as pm
    from pytensor.graph.basic import Variable

    from bayesrun.base.alignment import Layout
    from bayesrun.simulate.simulator import Simulated, Simulator
    from bayesrun.types import Dataset

__all__ = ["Shared", "confused", "kind", "misfits", "shared"]

DRAWS: Final = 8
"""Datasets by which the outcome is looked at."""
FEWEST: Final = 2
"""Datasets that cannot be fitted from which a generator is refused; one alone may be an extreme draw."""
SPREADS: Final = (0.1, 0.3, *(1.0, 2.0, 4.0) * 8)
"""SDs of the parameter values around the start, in the unconstrained space, at which densities are looked at: data
beyond the support have none anywhere, and those within bounds that move have one somewhere. Not at the start itself,
where a gamma's shape may be 1, so that even 0 has a density."""
ROUNDING: Final = 1e-6
"""Relative difference that is put down to single precision."""
IMPUTED: Final = "_unobserved"
"""What PyMC puts behind the name of an observed variable for those of its values that are NaN."""


@dataclass(frozen=True)
class Shared:
    """Which variables of a fitted model have a truth.

    Parameters
    ----------
    known
        Names of variables with a truth, of all or of some of their entries.
    unknown
        Variables without one, or with entries without one, to the reason; empty where the generator has no such name.
    refused
        Variables whose dims or labels contradict those of the generator, to how.
    """

    known: tuple[str, ...] = ()
    unknown: Mapping[str, str] = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)


def shared(ready: Simulator, model: pm.Model) -> Shared | None:
    """Find which variables of a fitted model have a truth.

    Parameters
    ----------
    ready
        The generator.
    model
        The fitted model, on the same data.

    Returns
    -------
    Shared or None
        None where no truth can be drawn to look at.
    """
    drawn = next(_drawn(ready), None)
    if drawn is None:
        return None
    layouts = model_layouts(model)
    known, unknown, refused = [], {}, {}
    for variable, shape in zip(model.unobserved_RVs, _shapes(model), strict=True):
        name = str(variable.name)
        if name not in drawn.truth:
            unknown[name] = ""
            continue
        found = match(drawn.truth[name], drawn.layouts[name], layouts[name], shape, stated=True)
        if found.refused:
            refused[name] = found.refused
        if found.lacking:
            unknown[name] = found.lacking
        if found.values is not None:
            known.append(name)
    return Shared(tuple(known), unknown, refused)


def confused(first: pm.Model, second: pm.Model) -> tuple[str, ...]:
    """Name the variables of which an entry of one fitted model has the label of another entry in the other.

    Methods are compared by the labels of scalars, such as ``theta[a, b]``, which do not say what their dims are.

    Parameters
    ----------
    first, second
        Models that are fitted to the same data.
    """
    own, other = _placed(first), _placed(second)
    return tuple(name for name in own if name in other and _confused(*own[name], *other[name]))


def _placed(model: pm.Model) -> dict[str, tuple[Layout, tuple[int, ...]]]:
    layouts = model_layouts(model)
    return {str(v.name): (layouts[str(v.name)], of) for v, of in zip(model.unobserved_RVs, _shapes(model), strict=True)}


def _confused(own: Layout, lengths: tuple[int, ...], other: Layout, shape: tuple[int, ...]) -> bool:
    numbers = np.arange(np.prod(lengths, dtype=np.int64)).reshape(lengths)
    found = match(numbers, own, other, shape)
    if found.values is numbers:
        return False
    left = {label: number for number, label in enumerate(entries(own, lengths))}
    if found.refused:
        return any(label in left for label in entries(other, shape))
    if found.values is None:
        return False
    pairs = zip(entries(other, shape), found.values.ravel(), strict=True)
    return any(label in left and number == number and left[label] != number for label, number in pairs)


def _shapes(model: pm.Model) -> list[tuple[int, ...]]:
    """Shapes of the free variables and Deterministics; worked out where they are not written in the graph."""
    stated = [variable.type.shape for variable in model.unobserved_RVs]
    if any(None in shape for shape in stated):
        return shapes(model.unobserved_RVs)
    return stated


def _drawn(ready: Simulator) -> Iterator[Simulated]:
    for seed in range(DRAWS):
        try:
            yield ready.draw(seed)
        except FitError:  # no truth can be drawn: the prior is as wide as that
            continue


def misfits(ready: Simulator, build: Callable[[Dataset], pm.Model]) -> list[str]:
    """Say why a model cannot be fitted to what a generator draws; empty where it can.

    Parameters
    ----------
    ready
        The generator.
    build
        The fitted model's builder, bound to its parameters.

    Returns
    -------
    list of str
        One sentence for each observed variable that would hold other values than those drawn (reals for counts), or
        in whose support they do not lie, in `FEWEST` or more of the datasets that are drawn for it.
    """
    tried, found = 0, dict[str, list[str]]()
    for drawn in _drawn(ready):
        if drawn.degenerate:
            continue
        tried += 1
        for name, reason in _reasons(drawn.dataset, build, ready.replaced).items():
            found.setdefault(name, []).append(reason)
    return [
        f"{reasons[0]} (in {len(reasons)} of {tried} datasets)"
        for reasons in found.values()
        if len(reasons) >= min(FEWEST, tried)
    ]


def _reasons(dataset: Dataset, build: Callable[[Dataset], pm.Model], replaced: Sequence[str]) -> dict[str, str]:
    """Why a model cannot be fitted to a dataset, by observed variable."""
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")  # a builder that takes logs of what is negative, and PyMC that imputes them
            model = build(dataset)
    except Exception as error:  # noqa: BLE001 - a builder may raise anything about data that are not its own
        text = str(error).strip().splitlines() or [type(error).__name__]
        return {"": f"it cannot be built on them: {text[0]}"}
    values = observed_values(model)
    found = {}
    for name, arrays in candidates(model, dataset).items():
        for array in (dataset[array] for array in arrays if array in replaced):
            lost = ~np.isclose(array.astype(np.float64), values[name].astype(np.float64), ROUNDING, 0.0, equal_nan=True)
            if lost.any():
                takes = "whole" if values[name].dtype.kind in "biu" else "other"
                before, after = (of[lost].flat[0] for of in (array, values[name]))
                found[name] = f"{_said(model[name])} takes {takes} numbers, and {before:g} would become {after:g}"
    for name, bad in _impossible(model).items():
        if bad.any() and name not in found:
            which = f"{values[name][bad].flat[0]:g}" if bad.shape == values[name].shape else "them"
            found[name] = f"{_said(model[name])} has no density for {which}, whatever its parameters are"
    if not any(np.isnan(dataset[array].astype(np.float64)).any() for array in replaced):
        imputed = [name for rv in model.free_RVs if (name := str(rv.name)).endswith(IMPUTED)]
        found |= {name: f"{name.removesuffix(IMPUTED)} takes some of them for missing values" for name in imputed}
    return found


def _said(variable: Variable) -> str:
    return f"{variable.name} ({kind(variable)})"


def kind(variable: Variable) -> str:
    """Say what distribution a random variable has."""
    op: Any = None if variable.owner is None else variable.owner.op
    printed = getattr(op, "_print_name", None)
    return str(printed[0]) if printed else type(op).__name__.removesuffix("RV")


def _impossible(model: pm.Model) -> dict[str, np.ndarray]:
    """Find observed entries without a density at any of some parameter values, by observed variable."""
    start = model.initial_point(random_seed=0)
    rng = np.random.default_rng(0)
    found: dict[str, np.ndarray] = {}
    with plain(), np.errstate(all="ignore"):
        try:
            terms = model.logp(vars=model.observed_RVs, sum=False)
            density = pytensor.function(model.value_vars, terms, mode=MODE, on_unused_input="ignore")
        except NotImplementedError:  # a likelihood that can only be drawn from
            return {}
        for spread in SPREADS:
            point = {
                name: value + spread * rng.standard_normal(np.shape(value)) if value.dtype.kind == "f" else value
                for name, value in start.items()
            }
            try:
                at = density(*(np.asarray(point[str(v.name)], dtype=v.dtype) for v in model.value_vars))
            except (ArithmeticError, AssertionError, ValueError):  # PyMC's own checks of parameters
                continue
            for rv, term in zip(model.observed_RVs, at, strict=False):
                bad = ~np.isfinite(term)
                found[str(rv.name)] = bad & found.get(str(rv.name), bad)
    return found
