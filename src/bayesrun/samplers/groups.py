"""The groups that every sampler writes: their names, dtypes and attributes; it draws nothing.

Every sampler hands plain arrays to `tree`, so that no library's own layout or naming reaches the store. What it does
with a model it does by `anyhow`, so that no Deterministic that raises takes the draws along.
"""

from __future__ import annotations

import functools
import logging
import math
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import pymc as pm
import pytensor
import xarray as xr
from arviz_base import dict_to_dataset
from pymc.backends.arviz import find_constants, find_observations

from bayesrun.base.label_forms import label_array
from bayesrun.base.large_arrays import LARGE, empty, in_file, let_go
from bayesrun.types import LEFT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from bayesrun.types import SamplerOptions

__all__ = [
    "NUTS_STATS",
    "Arrays",
    "Attributes",
    "anyhow",
    "arrays",
    "data_of",
    "evaluator",
    "nuts_draws",
    "posterior_names",
    "quiet",
    "shapes_of",
    "tree",
    "without_deterministics",
]

type Arrays = dict[str, np.ndarray]
type Attributes = dict[str, int | float | str]

VISIT = 64
"""Draws after which what was worked out draw by draw is let go of, where it is in a file."""

NUTS_STATS = (
    "acceptance_rate",
    "step_size",
    "diverging",
    "energy",
    "n_steps",
    "tree_depth",
    "reached_max_treedepth",
    "lp",
)
"""The sample statistics of every sampler of kind ``nuts``; ``lp`` is the log density at the draw in the
unconstrained space, up to a constant."""


def tree(
    model: pm.Model,
    posterior: Mapping[str, np.ndarray],
    stats: Mapping[str, np.ndarray],
    attrs: Attributes,
) -> xr.DataTree:
    """Put the arrays of one fit into the groups ``posterior``, ``sample_stats`` and ``observed_data``.

    ``constant_data`` is there if the model has named data. Integers become int64 where that holds them, and floats
    float64; truth values stay.

    Parameters
    ----------
    model
        What was fitted: it gives dims, coords and the observed values.
    posterior
        Variable to draws, dims (chain, draw, ...); Deterministics may be left out.
    stats
        Statistic to values, dims (chain, draw), or (chain,) for one value a chain.
    attrs
        Attributes of the tree and of its posterior: integers, floats and strings only, which NetCDF takes.

    Returns
    -------
    xarray.DataTree
        Coords ``chain`` and ``draw`` count from 0. Its attribute `LEFT` names the Deterministics that were left out.
    """
    coords: dict[Any, Any] = {dim: label_array(labels) for dim, labels in model.coords.items() if labels is not None}
    dims: dict[Any, Any] = {name: list(along) for name, along in model.named_vars_to_dims.items()}
    groups = {
        "posterior": dict_to_dataset(
            _widened(posterior),
            coords=coords,
            dims=dims,
            inference_library=pm,
            check_conventions=False,  # fewer draws than chains may be meant
        )
    }
    chain, draw = groups["posterior"].coords["chain"], groups["posterior"].coords["draw"]
    groups["sample_stats"] = xr.Dataset(
        {name: (("chain", "draw")[: value.ndim], value) for name, value in _widened(stats).items()},
        coords={"chain": chain, "draw": draw},
    )
    for group, values in data_of(model).items():
        groups[group] = dict_to_dataset(values, coords=coords, dims=dims, sample_dims=[])
    for group, dataset in groups.items():
        dataset.attrs.pop("sample_dims", None)  # a list, which not every reader of NetCDF takes
        if group in ("posterior", "sample_stats"):
            dataset.attrs.update(attrs)
    result = xr.DataTree.from_dict({f"/{group}": dataset for group, dataset in groups.items()})
    result.attrs.update(attrs)
    if left := [name for name in posterior_names(model) if name not in posterior]:
        result.attrs[LEFT] = "\n".join(left)
    return result


def data_of(model: pm.Model) -> dict[str, Arrays]:
    """Return what a model observes and its named data, by group; a group of nothing is left out."""
    found = {"observed_data": find_observations(model), "constant_data": find_constants(model)}
    return {
        group: _widened({name: _filled(value) for name, value in values.items()})
        for group, values in found.items()
        if values
    }


def _filled(value: object) -> np.ndarray:
    """Return an array with NaN where a masked one hides its values."""
    if isinstance(value, np.ma.MaskedArray):
        return np.asarray(np.ma.filled(value.astype(np.float64), np.nan))
    return np.asarray(value)


def _widened(values: Mapping[str, np.ndarray]) -> Arrays:
    return {name: _wide(np.asarray(value)) for name, value in values.items()}


def _wide(value: np.ndarray) -> np.ndarray:
    kind = value.dtype.kind
    if kind == "u" and value.size and value.max() > np.iinfo(np.int64).max:
        return value
    dtype = {"i": np.int64, "u": np.int64, "f": np.float64}.get(kind, value.dtype)
    return value.astype(dtype, copy=not in_file(value))


def posterior_names(model: pm.Model) -> list[str]:
    """Names of the free variables and deterministics, in the model's order, without transformed ones."""
    return [variable.name for variable in model.unobserved_RVs]


@contextmanager
def without_deterministics(model: pm.Model) -> Iterator[None]:
    """Let a model have no Deterministics meanwhile: what is drawn of it, and its density, do not depend on them."""
    own = model.deterministics
    model.deterministics = []
    try:
        yield
    finally:
        model.deterministics = own


def anyhow[T](model: pm.Model, make: Callable[[], T]) -> T:
    """Make something of a model or, where that raises, of the model without its Deterministics, if these do it.

    Parameters
    ----------
    model
        Any; a start that cannot be sampled from has nothing to do with Deterministics.
    make
        Reads the Deterministics from the model when it is called.

    Raises
    ------
    Exception
        What `make` raises first, if it raises without Deterministics too.
    """
    try:
        return make()
    except pm.exceptions.SamplingError:
        raise
    except Exception as error:
        if not model.deterministics:
            raise
        try:
            with without_deterministics(model):
                return make()
        except Exception:  # noqa: BLE001 - what fails is no Deterministic
            raise error from None


def nuts_draws(model: pm.Model, seed: int, options: SamplerOptions, **own: Any) -> Any:
    """Draw by `pm.sample` as both of its samplers do that are used here; what one has of its own is added.

    Deterministics that are large are left out, which is part of no draw: they are worked out from the draws.
    """
    if _large(model, options):
        own["var_names"] = [rv.name for rv in model.free_RVs]
    return anyhow(
        model,
        lambda: pm.sample(
            model=model,
            draws=options.draws,
            tune=options.tune,
            chains=options.chains,
            random_seed=seed,
            progressbar=False,
            quiet=True,
            compute_convergence_checks=False,
            **own,
        ),
    )


def _large(model: pm.Model, options: SamplerOptions) -> bool:
    """Whether the Deterministics of all draws together are more than memory should hold."""
    shapes = shapes_of(model) if model.deterministics else {}
    numbers = sum(math.prod(shapes[variable.name]) for variable in model.deterministics)
    return 8 * numbers * options.draws * options.chains > LARGE


def arrays(draws: xr.Dataset, names: Sequence[str]) -> Arrays:
    """Take the named variables of a dataset, but for those it lacks, as plain arrays of dims (chain, draw, ...)."""
    return {name: np.asarray(draws[name].transpose("chain", "draw", ...)) for name in names if name in draws}


def evaluator(model: pm.Model) -> Callable[[Mapping[str, np.ndarray]], tuple[Arrays, np.ndarray]]:
    """Return what works out what a model says of points of its unconstrained space, compiled when it is first called.

    Parameters
    ----------
    model
        Any PyMC model.

    Returns
    -------
    Callable
        Takes value variable to array of dims (chain, draw, ...), and returns the variables of the posterior,
        dims (chain, draw, ...), without Deterministics where one of them raises, and the log density with the Jacobian
        of the transforms, dims (chain, draw).
    """
    compiled = functools.cache(lambda names: _evaluator(model, names))
    return lambda values: anyhow(model, lambda: compiled(tuple(posterior_names(model)))(values))


def _evaluator(
    model: pm.Model, names: Sequence[str]
) -> Callable[[Mapping[str, np.ndarray]], tuple[Arrays, np.ndarray]]:
    natural = {variable.name: variable for variable in model.unobserved_value_vars}
    inputs = [variable.name for variable in model.value_vars]
    outputs = [natural[name] for name in names]
    compiled = model.compile_fn([*outputs, model.logp()], inputs=model.value_vars, point_fn=False)

    def evaluate(values: Mapping[str, np.ndarray]) -> tuple[Arrays, np.ndarray]:
        columns = [np.asarray(values[name]) for name in inputs]
        chains, draws = columns[0].shape[:2]
        found: dict[int, np.ndarray] = {}
        for number, (c, d) in enumerate(np.ndindex(chains, draws)):
            row = [np.asarray(value) for value in compiled(*(column[c, d] for column in columns))]
            if not found:
                found = empty({i: ((chains, draws, *value.shape), value.dtype) for i, value in enumerate(row)})
            for i, value in enumerate(row):
                found[i][c, d] = value
            if number % VISIT == 0:
                for array in found.values():
                    let_go(array)
        return {name: found[i] for i, name in enumerate(names)}, found[len(names)]

    return evaluate


def cores(chains: int) -> int:
    """Cores that a dispatcher gave this worker for its chains; one where none did."""
    return max(1, min(chains, int(os.environ.get("BAYESRUN_CORES", "1"))))


@contextmanager
def quiet() -> Iterator[None]:
    """Keep PyMC from reporting progress; its warnings and errors still come through.

    Overflow on a trajectory that diverges is no news: it is counted as a divergence.
    """
    logger = logging.getLogger("pymc")
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        with np.errstate(all="ignore"):
            yield
    finally:
        logger.setLevel(level)


def shapes_of(model: pm.Model) -> dict[str, tuple[int, ...]]:
    """Shape of every named variable: from its type, its coords, or its graph."""
    found: dict[str, tuple[int, ...]] = {}
    left = []
    for variable in (*model.unobserved_RVs, *model.observed_RVs, *model.data_vars):
        dims = model.named_vars_to_dims.get(variable.name) or [None] * variable.ndim
        lengths = [
            size if size is not None else _length(model, dim)
            for size, dim in zip(variable.type.shape, dims, strict=True)
        ]
        if None in lengths:
            left.append(variable)
        else:
            found[variable.name] = tuple(int(length) for length in lengths if length is not None)
    if left:
        with pytensor.config.change_flags(cxx=""):
            values = pytensor.function([], [variable.shape for variable in left], mode="FAST_COMPILE")()
        found |= {v.name: tuple(map(int, shape)) for v, shape in zip(left, values, strict=True)}
    return found


def _length(model: pm.Model, dim: Any) -> int | None:
    labels = model.coords.get(dim) if dim is not None else None
    return None if labels is None else len(labels)
