"""Datasets with covariates that are made up by a stated rule, for simulation studies; nothing is read from a file.

The outcome is a placeholder of the right kind, so that a model can be built: the generating model draws it, and no
fit may use it as it is.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Mapping  # noqa: TC003 - annotations are read when a config is checked
from typing import Any, Final

import numpy as np

from bayesrun.base.imports import import_target
from bayesrun.data.columns import Arrangement, arrange
from bayesrun.data.covariates import covariate, read_recipe, scores
from bayesrun.data.parts import OBS
from bayesrun.errors import ConfigError, DataError
from bayesrun.types import Dataset, Target

__all__ = ["design", "redrawn"]

CITATION: Final = "Made up by bayesrun.data.design; the outcome is a placeholder"


def design(  # noqa: PLR0913 - each parameter is a key of the config
    n: int,
    covariates: Mapping[str, str | Mapping[str, Any]],
    columns: Mapping[str, str | list[str]] | None = None,
    outcome: Mapping[str, str | Mapping[str, Any]] | None = None,
    correlation: float | Mapping[str, Mapping[str, float]] | None = None,
    redraw: bool = False,
    seed: int = 0,
) -> Dataset:
    r"""Make a dataset of n observations.

    Covariates are drawn by a Gaussian copula: standard normal scores :math:`z \sim N(0, R)` for each observation, and
    :math:`x_k = F_k^{-1}(\Phi(z_k))` (Nelsen 2006, An Introduction to Copulas, doi:10.1007/0-387-28678-0). The
    stated correlation is that of the scores: the correlation of normal covariates themselves, and
    :math:`(6 / \pi) \arcsin(r / 2)` for two uniform ones.

    The scores of a covariate depend on `seed` and its name. Where covariates are independent, another one changes
    none of them, and more observations are added to the same first ones (except where a category is balanced).

    Parameters
    ----------
    n
        Number of observations, at least 2.
    covariates
        Name to a kind, or to a mapping of its kind and the rest: ``normal`` (mean 0, sd 1), ``uniform`` (low 0, high
        1), ``categorical`` (levels: how many, or a list of labels or numbers; probabilities: equal; balanced: false,
        or true for counts as near to n x probability as can be) or ``constant`` (value). Levels that are text are
        coded 0..K-1 with labels, numbers stay what they are.
    columns
        Array name to a covariate, or to a list of covariates, which become a matrix with dims (obs, predictor).
        None: every covariate becomes an array of its own name.
    outcome
        Array name to its kind: ``real``, ``positive``, ``count`` or ``binary``. A positive one may be censored:
        ``{kind: positive, event: ARRAY, until: ARRAY}`` adds the event indicator, and stays below the array of the
        planned ends of observation. None: ``{y: binary}``, which a model of any outcome but a positive one takes.
    correlation
        One number for all pairs of normal and uniform covariates, or ``{x1: {x2: 0.5}}`` for single pairs.
    redraw
        Whether a study draws the covariates anew for every replicate, with a seed of its own (`redrawn`). False:
        they are drawn once, and are the same in every replicate.
    seed
        Another seed gives other covariates of the same design.

    Returns
    -------
    Dataset
        With dims (obs,), or (obs, predictor).

    Raises
    ------
    DataError
        If a kind or a key is unknown, a number makes no sense, or correlations contradict each other.
    """
    del redraw  # what a study does with the design; one dataset is made in either case
    if n < 2:
        raise DataError(f"data.n: got {n}; wanted at least 2 observations")
    made = [covariate(name, stated) for name, stated in covariates.items()]
    drawn = scores(n, made, correlation, seed)
    arrays = {c.name: c.from_scores(drawn[c.name]) for c in made}
    labels = {c.name: c.labels for c in made if c.labels is not None}
    table = Dataset(arrays, dict.fromkeys(arrays, (OBS,)), labels, "design", CITATION)
    dataset = arrange(table, Arrangement(columns))
    return _with_outcome(dataset, n, outcome or {"y": "binary"})


def redrawn(target: Target, seed: int) -> Dataset:
    """Make the dataset of one replicate from a data config whose covariates are drawn anew.

    Parameters
    ----------
    target
        The data config: `design`, or any function of its own with a parameter ``seed``.
    seed
        Of this replicate; it takes the place of the config's own.

    Returns
    -------
    Dataset
        As the function gives it: not yet in the form that a model asks for.

    Raises
    ------
    ConfigError
        If the function has no parameter ``seed``.
    """
    function = import_target("data", target.path)
    if "seed" not in inspect.signature(function).parameters:
        raise ConfigError(
            f"data.redraw: {target.path} has no parameter seed, so its covariates would be the same in every "
            "replicate; add seed, or set data.redraw=false"
        )
    found = function(**{**target.params, "seed": seed})
    if not isinstance(found, Dataset):
        found = Dataset({str(name): np.asarray(values) for name, values in found.items()})
    return dataclasses.replace(found, name=target.name)


def _with_outcome(dataset: Dataset, n: int, outcome: Mapping[str, str | Mapping[str, Any]]) -> Dataset:
    arrays, dims = dict(dataset.arrays), dict(dataset.dims)
    for name, value in outcome.items():
        for array, values in _placeholder(name, value, n, dataset).items():
            if array in arrays:
                raise DataError(f"data.outcome.{name}: {array} is a covariate already; give one of them another name")
            arrays[array], dims[array] = values, (OBS,)
    return dataclasses.replace(dataset, arrays=arrays, dims=dims)


def _placeholder(name: str, value: str | Mapping[str, Any], n: int, dataset: Dataset) -> dict[str, np.ndarray]:
    """Give values of the kind that are not all alike, because a constant outcome is refused."""
    path = f"data.outcome.{name}"
    recipe = read_recipe(path, value, {"real": (), "positive": ("event", "until"), "count": (), "binary": ()})
    number = np.arange(n)
    if recipe["kind"] == "positive":
        return _times(name, path, (number + 1) / n, recipe, dataset)
    if recipe["kind"] == "real":
        return {name: np.linspace(-1.0, 1.0, n)}
    return {name: number % (2 if recipe["kind"] == "binary" else 5)}


def _times(
    name: str, path: str, values: np.ndarray, recipe: Mapping[str, Any], dataset: Dataset
) -> dict[str, np.ndarray]:
    """Give times; every second one is censored at its end of observation, where there is one."""
    event, until = recipe.get("event"), recipe.get("until")
    if (event is None) != (until is None):
        raise DataError(f"{path}: got one of event and until; wanted both, or neither")
    if event is None:
        return {name: values}
    if until not in dataset:
        raise DataError(f"{path}.until: the design has no array {until!r}; it has {', '.join(dataset)}")
    end = np.asarray(dataset[str(until)], dtype=np.float64)
    seen = (np.arange(len(values)) % 2).astype(np.int64)
    return {name: np.where(seen == 1, end * values / 2.0, end), str(event): seen}
