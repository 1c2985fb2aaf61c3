"""Where the true parameters of a replicate come from: the prior, fixed values, or an earlier posterior.

It reads what a config states and draws nothing; whether values suit a model is found by `simulator`.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from bayesrun.base.netcdf_names import decoded
from bayesrun.base.spelling import did_you_mean, nearest
from bayesrun.errors import ConfigError
from bayesrun.statistics.measures.expressions import plain_name
from bayesrun.types import LEFT, canonical_json

if TYPE_CHECKING:
    from collections.abc import Iterable

    import xarray as xr

__all__ = ["NODE", "PRIOR", "Truth", "identity", "parse_truth", "posterior_draws"]

NODE = "study.truth"
FORMS = (
    "prior, values such as 'study.truth={beta: [0.5, 0], \"dose:arm\": 1}' (names with other characters in quotes), or "
    "'study.truth={posterior: PATH}'"
)
POSTERIOR = "posterior.nc"


@dataclass(frozen=True)
class Truth:
    """Where the true parameters of a replicate come from.

    Parameters
    ----------
    kind
        ``prior`` (all are drawn from the prior), ``fixed`` (those in `values` are the same in every replicate, the
        others are drawn from the prior given them) or ``posterior`` (each replicate takes one draw of an earlier
        fit: the parametric bootstrap).
    values
        Name of a free variable to a float or nested lists of floats; for ``fixed``.
    path
        Absolute path of a posterior.nc; for ``posterior``.
    """

    kind: Literal["prior", "fixed", "posterior"] = "prior"
    values: Mapping[str, Any] = field(default_factory=dict)
    path: str | None = None


PRIOR = Truth()
"""Truth drawn from the prior: the only one for which calibration can be judged."""


def parse_truth(value: Any, node: str = NODE) -> Truth:
    """Read what a config says about the truth.

    Parameters
    ----------
    value
        ``prior`` or None; a mapping of free variables, or elements of these, to numbers or lists of numbers (a name
        may stand in backticks, as it does in rules); or ``{posterior: PATH}`` with
        a posterior.nc, the folder of a fit, or the folder of a study of one fit.
    node
        Config path, for messages.

    Raises
    ------
    ConfigError
        If it is none of these, a value is not a finite number, or there is no such file.
    """
    if value is None or value == "prior":
        return PRIOR
    if isinstance(value, str):
        if nearest(value, ("prior", "posterior")) == "posterior":
            raise ConfigError(
                f"{node}: got {value!r}; wanted '{node}={{posterior: PATH}}', where PATH is the posterior.nc or the "
                "folder of an earlier fit; or prior, or values"
            )
        raise ConfigError(f"{node}: got {value!r}; {did_you_mean(value, ('prior',))}wanted {FORMS}")
    if not isinstance(value, Mapping) or not value:
        raise ConfigError(f"{node}: got {value!r}; wanted {FORMS}")
    if isinstance(value.get("posterior"), (str, Path)):
        if len(value) > 1:
            others = ", ".join(str(key) for key in value if key != "posterior")
            raise ConfigError(
                f"{node}: got a posterior and values for {others}; wanted one of them, because a posterior gives every "
                "variable"
            )
        return Truth("posterior", path=str(_locate(Path(value["posterior"]), f"{node}.posterior")))
    named = {plain_name(str(name)): _numbers(given, f"{node}.{name}") for name, given in value.items()}
    return Truth("fixed", named)


def _numbers(value: Any, path: str) -> Any:
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, Sequence) and not isinstance(value, str):
        parts = [_numbers(entry, path) for entry in value]
        if not parts or len({_shape(part) for part in parts}) > 1:
            raise ConfigError(f"{path}: got {value!r}; wanted lists of equal length, with at least one number")
        return parts
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ConfigError(f"{path}: got {value!r}; wanted a finite number, or a list of them")
    return float(value)


def _shape(value: Any) -> tuple[int, ...]:
    return (len(value), *_shape(value[0])) if isinstance(value, list) else ()


def _locate(path: Path, node: str) -> Path:
    """Find the one posterior that a path means, and make its path absolute, because workers run elsewhere."""
    if path.is_file():
        return path.resolve()
    if not path.exists():
        raise ConfigError(f"{node}: there is no {path}; wanted a posterior.nc, or the folder of a fit or a study")
    found = [path / POSTERIOR] if (path / POSTERIOR).is_file() else sorted(path.glob(f"fits/*/{POSTERIOR}"))
    if not found:
        raise ConfigError(
            f"{node}: {path} holds no {POSTERIOR}; wanted the folder of a fit, or of a study that has one"
        )
    if len(found) > 1:
        some = ", ".join(str(file.parent) for file in found[:3])
        raise ConfigError(
            f"{node}: {path} has {len(found)} fits; name the folder of one of them: {some}"
            f"{', ...' if len(found) > 3 else ''}"
        )
    return found[0].resolve()


def identity(truth: Truth, names: Iterable[str] = ()) -> dict[str, Any]:
    """Say in plain values what a truth is, for the key of a fit.

    Parameters
    ----------
    truth
        Where the parameters come from.
    names
        The free variables of the generating model. A posterior is known by their draws, dims and coords: not by its
        path, and not by the times and settings that its file holds too.

    Raises
    ------
    ConfigError
        If the posterior's file cannot be read, or lacks one of the variables.
    """
    if truth.path is None:
        return {"kind": truth.kind, "values": dict(truth.values)}
    sha = hashlib.sha256()
    for name, draws in sorted(posterior_draws(truth.path, names).items()):
        labels = {str(dim): [str(label) for label in draws.coords[dim].to_numpy()] for dim in draws.coords}
        values = draws.to_numpy()
        wide = values.astype(np.float64 if values.dtype.kind == "f" else np.int64)
        sha.update(
            canonical_json([name, draws.dims, labels, wide.shape, wide.dtype.kind]).encode() + b"\0" + wide.tobytes("C")
        )
    return {"kind": truth.kind, "content": sha.hexdigest()[:16]}


def posterior_draws(path: str | Path, names: Iterable[str]) -> dict[str, xr.DataArray]:
    """Read the draws of some variables from a posterior.nc.

    Parameters
    ----------
    path
        A NetCDF file in the InferenceData schema.
    names
        The free variables of the generating model.

    Returns
    -------
    dict
        Name to array, dims (draw, ...) with the coords of the file; the chains one after another.

    Raises
    ------
    ConfigError
        If the file cannot be read, or lacks one of the variables.
    """
    import xarray as xr

    try:
        with xr.open_dataset(path, group="posterior", engine="netcdf4") as stored:
            posterior = decoded(stored)
            lacking = [name for name in names if name not in posterior.data_vars]
            if lacking:
                _refuse_left_out(path, lacking)
                have = [str(name) for name in posterior.data_vars]
                hint = did_you_mean(lacking[0], have)
                raise ConfigError(
                    f"{NODE}.posterior: {path} has no {', '.join(lacking)}; {hint}it has {', '.join(have)}. Wanted the "
                    "posterior of the generating model, with all its free variables"
                )
            return {name: _pooled(posterior[name]) for name in names}
    except OSError as error:
        raise ConfigError(
            f"{NODE}.posterior: {path} cannot be read as a posterior ({error}); wanted a posterior.nc of bayesrun, or "
            "a NetCDF file of ArviZ"
        ) from None


def _refuse_left_out(path: str | Path, lacking: Sequence[str]) -> None:
    """Say how variables are stored that a fit has and that `output.keep` left out."""
    import xarray as xr

    with xr.open_dataset(path, engine="netcdf4") as whole:
        known = str(whole.attrs.get(LEFT, "")).split("\n")
    left = [name for name in lacking if name in known]
    if left:
        raise ConfigError(
            f"{NODE}.posterior: {path} does not hold {', '.join(left)}, which output.keep left out; the command of "
            f"that fit stores it with output.keep=[{','.join(left)}], or all with output.keep=all, and draws nothing"
        )


def _pooled(draws: xr.DataArray) -> xr.DataArray:
    import xarray as xr

    values = draws.transpose("chain", "draw", ..., missing_dims="ignore")
    dims = [dim for dim in values.dims if dim not in ("chain", "draw")]
    coords = {dim: values.coords[dim].to_numpy() for dim in dims if dim in values.coords}
    return xr.DataArray(values.to_numpy().reshape(-1, *(values.sizes[dim] for dim in dims)), coords, ("draw", *dims))
