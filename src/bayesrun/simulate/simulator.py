"""Draws truth and datasets from the generating model itself: compiled once, a fresh seed for every replicate.

It does not fit, and it never draws a second time because a dataset is degenerate.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bayesrun.base.imports import module_constant
from bayesrun.errors import ConfigError
from bayesrun.simulate.alike import from_data
from bayesrun.simulate.arrays import FromDraws, replaced
from bayesrun.simulate.back_to_arrays import Refused, way_back
from bayesrun.simulate.draws import Compiled, compile_model, draw, trial
from bayesrun.simulate.refusals import imputed, in_graph
from bayesrun.simulate.spread import Spread, spread
from bayesrun.simulate.truth import PRIOR, Truth
from bayesrun.simulate.values import given_names

if TYPE_CHECKING:
    import numpy as np
    import pymc as pm

    from bayesrun.base.alignment import Layout
    from bayesrun.types import Dataset

__all__ = ["Simulated", "Simulator", "refusal", "simulator"]

type Build = Callable[[Dataset], pm.Model]


@dataclass(frozen=True, eq=False)
class Simulated:
    """One dataset and the parameters that made it.

    Parameters
    ----------
    dataset
        The base with drawn values in the place of the observed arrays.
    truth
        Free variables and Deterministics in their natural (constrained) shape, by name. Deterministics that are
        worked out from the base's own observed values have no truth and are left out.
    degenerate
        Why a fit of it can say little (not finite, all values equal, ...); empty if there is no such reason. A
        dataset that cannot be drawn, or that PyMC cannot hold, has NaN for its observed values.
    layouts
        Dims and labels of the truth, by which it is matched with estimates (`bayesrun.base.alignment`).
    """

    dataset: Dataset
    truth: Mapping[str, np.ndarray]
    degenerate: str = ""
    layouts: Mapping[str, Layout] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Simulator:
    """A generating model, compiled: `draw` gives a dataset and its truth for a seed.

    Parameters
    ----------
    build
        The model's builder, bound to its parameters.
    base
        The dataset whose covariates are kept.
    truth
        Where the parameters come from.
    replaced
        Names of the arrays that hold drawn values; a fitted model must observe these.
    unknown
        Deterministics that have no truth.
    """

    build: Build
    base: Dataset
    truth: Truth
    replaced: tuple[str, ...]
    unknown: tuple[str, ...]
    _compiled: Compiled
    _back: FromDraws

    @property
    def model(self) -> pm.Model:
        """The model on the base, for names, dims and coords of the truth."""
        return self._compiled.model

    def draw(self, seed: int, base: Dataset | None = None) -> Simulated:
        """Draw truth and data.

        Parameters
        ----------
        seed
            At least 0. The same seed gives the same dataset, whatever was drawn before and in whichever process.
        base
            Other covariates for this draw, such as a design that is redrawn in every replicate; None: those of the
            base. The model is built and compiled again for it, which takes about 0.1 s.

        Raises
        ------
        FitError
            If no truth can be drawn from the prior.
        """
        ready = self._compiled if base is None else compile_model(self.build(base), self.truth)
        drawn, truth, reason = draw(ready, seed)
        dataset = self.base if base is None else base
        known = {name: values for name, values in truth.items() if name not in self.unknown}
        return Simulated(replaced(dataset, self._back(dataset, drawn)), known, reason, ready.layouts)

    def spread(self) -> Spread:
        """Find the SDs of the truth over replicates; see `simulate.spread`."""
        return spread(self._compiled, self.unknown)


def simulator(build: Build, base: Dataset, truth: Truth = PRIOR, model: pm.Model | None = None) -> Simulator:
    """Compile a model for drawing datasets.

    Parameters
    ----------
    build
        Any builder of a dataset, bound to its parameters. If its module has ``can_simulate(data)`` it is asked for a
        reason against, and if it has ``from_draws(data, drawn)`` that turns draws of the observed variables into the
        arrays that take their place.
    base
        The dataset whose covariates, dims and coords are kept.
    truth
        Where the parameters come from.
    model
        What ``build(base)`` returned, where it is at hand.

    Raises
    ------
    ConfigError
        If the truth does not suit the model, or data cannot be simulated from it honestly: one line for each reason.
    """
    reasons, ready = _prepare(build, base, truth, model)
    if ready is None:
        raise ConfigError("\n".join(f"data cannot be simulated from this model: {reason}" for reason in reasons))
    return ready


def refusal(build: Build, base: Dataset, truth: Truth = PRIOR, model: pm.Model | None = None) -> list[str]:
    """Say why data cannot be simulated honestly from a model; empty if they can.

    Parameters
    ----------
    build, base, truth, model
        See `simulator`. What is fixed or taken from a posterior is not drawn, so its prior may be improper.

    Raises
    ------
    ConfigError
        If the truth does not suit the model.
    """
    return _prepare(build, base, truth, model)[0]


def _prepare(build: Build, base: Dataset, truth: Truth, model: pm.Model | None) -> tuple[list[str], Simulator | None]:
    model = build(base) if model is None else model
    given = given_names(truth, model)
    reasons = in_graph(model, given)
    against = module_constant(_function(build), "can_simulate", None)
    if against is not None and (reason := against(base)):
        reasons.append(str(reason))
    if reasons:
        return reasons, None
    ready = compile_model(model, truth)
    try:
        drawn = trial(ready)
        way = way_back(build, base, model, drawn, module_constant(_function(build), "from_draws", None))
        differing = from_data(model, way.second)
        if reasons := list(_made_from_data(model, differing, given)):
            return reasons, None
    except Refused as refused:
        return [str(refused)], None
    # of what PyMC imputes the whole holds data too, and the part that is missing has its truth under its own name
    unknown = tuple(str(v.name) for v in model.deterministics if str(v.name) in {*differing, *imputed(model)})
    return [], Simulator(build, base, truth, tuple(way.back(base, drawn)), unknown, ready, way.back)


def _function(build: Any) -> Callable[..., Any]:
    """Return the function that a builder is, without what it is bound to."""
    while isinstance(build, functools.partial):
        build = build.func
    found: Callable[..., Any] = inspect.unwrap(build)
    return found


def _made_from_data(model: pm.Model, differing: list[str], given: list[str]) -> Iterator[str]:
    """Say which priors and likelihoods are not the same for every dataset of a study."""
    for rv in model.free_RVs:
        if rv.name in differing and rv.name not in given:
            yield (
                f"the prior of {rv.name} is worked out from the observed values, so that it would be another one for "
                "each simulated dataset; give it numbers that do not depend on the outcome"
            )
    for rv in model.observed_RVs:
        if rv.name in differing:
            yield (
                f"the likelihood of {rv.name} has numbers that are worked out from the observed values (a censoring "
                "bound, a scale, what a function of yours holds), so that simulated data would have others; take them "
                "from an array of their own"
            )
