"""Whether a stored posterior is of a model: the observed values and log densities that are stored beside its draws.

It compares numbers, and says what there was nothing to compare with; what follows from that, others decide.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pytensor
from pytensor.graph.replace import clone_replace

from bayesrun.base.netcdf_names import decoded
from bayesrun.errors import ConfigError
from bayesrun.simulate.arrays import observed_values
from bayesrun.simulate.programs import MODE, plain
from bayesrun.simulate.truth import NODE, Truth
from bayesrun.simulate.values import posterior_values

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import pymc as pm
    import xarray as xr

__all__ = ["Agreement", "check_observed", "densities_agree"]

POINTS: Final = 20
"""Draws at which log densities are compared."""

AGREEMENT: Final = 1e-8
"""Relative difference of log densities that is put down to the order of their sums."""

DENSITIES: Final = ("lp", "logp")
"""What samplers call the log density of a draw."""

WHOLE: Final = ("nuts", "numpyro", "advi", "advi_jax", "fullrank_advi", "metropolis", "smc")
"""Samplers that leave out no constant, by the attribute of their files, as does PyMC itself, whose files have none."""


@dataclass(frozen=True)
class Agreement:
    """What stored log densities say of a model; None where there is nothing to compare.

    Parameters
    ----------
    density
        Whether those of prior and likelihood are the model's, up to a constant where the sampler leaves out such.
    likelihood
        Whether the terms of the likelihood are the model's.
    differences
        Smallest and largest difference of the log densities of prior and likelihood, in nats.
    """

    density: bool | None
    likelihood: bool | None
    differences: tuple[float, float] | None = None


def check_observed(path: str, model: pm.Model) -> None:
    """Refuse the posterior of a fit to other data than those that a model is conditioned on.

    Raises
    ------
    ConfigError
        If the file has no observed data, or others.
    """
    wanted = observed_values(model)
    stored = _group(path, "observed_data")
    for name, values in wanted.items():
        have = stored[name].to_numpy() if name in stored else None
        if have is None or have.shape != values.shape or not np.allclose(have, values, rtol=1e-12, equal_nan=True):
            what = f"no observed values of {name}, other" if have is None else f"other observed values of {name}"
            raise ConfigError(
                f"{NODE}.posterior: {path} has {what} than the data of this study, and calibration given the data "
                "needs the posterior of the same model and data; fit them first (study=fit), and name that fit"
            )


def densities_agree(path: str, model: pm.Model) -> Agreement:
    """Hold the log densities that a sampler stored against a model's own, at some of its draws.

    The stored one is that of the unconstrained space. PyMC's samplers leave out no constant; others may, so that both
    may differ by one number, and libraries beside PyMC also keep minus the log density, or that of the natural space.

    Parameters
    ----------
    path
        A NetCDF file in the InferenceData schema, of the model's free variables.
    model
        Any PyMC model.

    Raises
    ------
    ConfigError
        If the file has no draws of the model's free variables in their shapes.
    """
    draws = posterior_values(Truth("posterior", path=path), model)
    chosen = np.unique(np.linspace(0, len(next(iter(draws.values()))) - 1, POINTS).round().astype(int))
    statistics, terms = _group(path, "sample_stats"), _group(path, "log_likelihood")
    name = next((name for name in DENSITIES if name in statistics), None)
    stored = None if name is None else _pooled(statistics[name])[chosen]
    likelihood = {
        str(rv.name): _pooled(terms[str(rv.name)])[chosen]
        for rv in model.observed_RVs
        if str(rv.name) in terms and terms.attrs.get("pointwise") != "hook"
    }
    if stored is None and not likelihood:
        return Agreement(None, None)
    points = [{name: values[number] for name, values in draws.items()} for number in chosen]
    found = _Evaluated.of(model, points)
    single = stored is not None and stored.dtype.itemsize < 8
    share = max(AGREEMENT, 1e3 * float(np.finfo(np.float32 if single else np.float64).eps))
    same = [
        _alike(likelihood[name], term, share) for name, term in found.terms.items() if likelihood.get(name) is not None
    ]
    density, differences = None, None
    if stored is not None:
        attrs = {**_group(path, "posterior").attrs, **statistics.attrs}
        allowed = 10 * float(attrs.get("lp_error", 0.0))  # the largest of some draws, in single precision
        own = attrs.get("inference_library") == "pymc"
        whole = own and attrs.get("sampler", WHOLE[0]) in WHOLE
        versions = _versions(found, stored, own=own)
        density = any(_constant(mine, theirs, share, allowed, whole=whole) for mine, theirs in versions)
        gap = (found.density.value - stored)[np.isfinite(found.density.value - stored)]
        differences = (float(gap.min()), float(gap.max())) if gap.size else None
    return Agreement(density, all(same) if same else None, differences)


@dataclass(frozen=True, eq=False)
class _Number:
    """Log densities at some draws, and how much each moves when the draw is rounded otherwise; dims (draw,)."""

    value: np.ndarray
    noise: np.ndarray


@dataclass(frozen=True, eq=False)
class _Evaluated:
    """What a model says of some draws: with and without the Jacobian, and the terms of its likelihood."""

    density: _Number
    natural: _Number
    terms: Mapping[str, np.ndarray]

    @classmethod
    def of(cls, model: pm.Model, points: list[dict[str, np.ndarray]]) -> _Evaluated:
        function = _compiled(model)
        nowhere = [np.nan, np.nan, *(np.full(v.shape, np.nan) for v in observed_values(model).values())]

        def at(point: Mapping[str, np.ndarray]) -> list[Any]:
            try:
                return list(function(*point.values()))
            except (AssertionError, ValueError):  # PyMC's own check of the parameters: a draw beyond their bounds
                return nowhere

        with plain(), np.errstate(all="ignore"):
            rows = [at(point) for point in points]
            moved = [at(_nudged(point))[:2] for point in points]
        first, second = (
            _Number(value, np.abs(value - other))
            for value, other in zip(
                (np.array([float(row[i]) for row in rows]) for i in range(2)),
                (np.array([float(row[i]) for row in moved]) for i in range(2)),
                strict=True,
            )
        )
        names = [str(rv.name) for rv in model.observed_RVs]
        return cls(first, second, {name: np.stack([row[2 + i] for row in rows]) for i, name in enumerate(names)})


def _compiled(model: pm.Model) -> Any:
    """Compile the log densities of a model at values of its free variables in their natural space."""
    inputs = {rv: rv.type() for rv in model.free_RVs}
    places = {}
    for rv, value in inputs.items():
        transform = model.rvs_to_transforms[rv]
        place = value if transform is None else transform.forward(value, *rv.owner.inputs)
        places[model.rvs_to_values[rv]] = clone_replace([place], inputs)[0] if transform is not None else value
    terms = model.logp(vars=model.observed_RVs, sum=False, jacobian=False)
    graphs = clone_replace([model.logp(), model.logp(jacobian=False), *terms], places)
    with plain():
        return pytensor.function(list(inputs.values()), graphs, mode=MODE, on_unused_input="ignore")


def _nudged(point: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Round the values of a draw in another way: what then moves is lost to rounding."""
    return {
        name: (v * (1 - 4 * np.finfo(v.dtype).eps) + np.finfo(v.dtype).tiny).astype(v.dtype)
        if v.dtype.kind == "f"
        else v
        for name, v in ((name, np.asarray(value)) for name, value in point.items())
    }


def _versions(found: _Evaluated, stored: np.ndarray, *, own: bool) -> Iterator[tuple[_Number, np.ndarray]]:
    """Pair the model's log density with what a stored one may be."""
    for mine in (found.density,) if own else (found.density, found.natural):
        yield mine, stored
        yield mine, -stored


def _constant(mine: _Number, stored: np.ndarray, share: float, allowed: float, *, whole: bool) -> bool:
    """Whether log densities differ by one number (of `whole` ones: 0), up to rounding.

    A draw for which the model has no density is none of its posterior.
    """
    lost = np.isnan(mine.noise) & np.isfinite(mine.value) | np.isinf(mine.noise)
    kept = np.isfinite(stored) & ~lost
    gap = mine.value[kept] - stored[kept]
    if not np.isfinite(gap).all():
        return False
    bound = share * (1 + np.abs(stored[kept])) + 100 * mine.noise[kept] + allowed
    if whole or not gap.size:
        return bool((np.abs(gap) <= bound).all())
    return bool((np.abs(gap - np.median(gap)) <= bound + np.median(bound)).all())


def _alike(stored: np.ndarray, term: np.ndarray, share: float) -> bool:
    """Whether terms of a likelihood are equal; those of another shape are summed, as some libraries keep them."""
    if stored.shape != term.shape:
        stored, term = (values.reshape(len(values), -1).sum(axis=1) for values in (stored, term))
    return bool(np.allclose(stored, term, rtol=100 * share, atol=100 * share, equal_nan=True))


def _pooled(values: xr.DataArray) -> np.ndarray:
    """Put the chains one after another: dims (draw, ...)."""
    own = values.transpose("chain", "draw", ..., missing_dims="ignore").to_numpy()
    return own.reshape(-1, *own.shape[2:]) if "chain" in values.dims else own


def _group(path: str, name: str) -> xr.Dataset:
    """Read a group of a file; an empty one where it has none."""
    import xarray as xr

    try:
        with xr.open_dataset(path, group=name, engine="netcdf4") as group:
            return decoded(group.load())
    except OSError:
        return xr.Dataset()
