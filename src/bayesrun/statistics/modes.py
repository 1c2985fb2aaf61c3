"""Why chains disagree: in different modes, in copies of one mode that differ in the order of components, or slow.

It judges nothing: what is said is worked out where R-hat is large, from the draws alone.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from bayesrun.statistics.convergence import MIN_DRAWS, summarise

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping, Sequence

    import xarray as xr

__all__ = ["DISAGREE", "MOST", "Switching", "chain_modes", "drifting", "switching"]

DISAGREE: Final = 1.05
"""R-hat of a scalar from which it is asked why chains disagree."""
STEADY: Final = 1.2
"""R-hat of the halves of one chain up to which it stays where it is: halves of one distribution stay below with 20
effective draws each."""
SEPARATED: Final = 3.0
"""Standard deviations within chains by which the medians of two modes are apart at least."""
DISTINCT: Final = 2.0
"""The same between two components, put in order: independent draws of one distribution come to less than 1.4."""
AGREE: Final = 1.1
"""R-hat up to which chains agree once the components are in order: a few switches leave mixed draws between."""
MOST: Final = 60
"""Scalars that are looked at, those with the largest R-hat."""
MOST_COMPONENTS: Final = 20
MOST_ORDERS: Final = 8
"""Variables by which components are put in order, one after another, those with the largest R-hat first."""
FEWEST: Final = 0.005
"""Share of draws that have another order than most, from which labels switch."""
UNNAMED: Final = re.compile(r".*_dim_\d+$")
"""What the name of a dim is like that nobody gave."""


@dataclass(frozen=True)
class Switching:
    """Components that chains, or parts of them, have in different orders.

    Parameters
    ----------
    variables
        Which have the components, the first being the one that tells them apart.
    components
        How many there are.
    before, after
        Largest R-hat of these variables, and once the components are in order.
    """

    variables: tuple[str, ...]
    components: int
    before: float
    after: float


def chain_modes(draws: np.ndarray, rhat: np.ndarray) -> list[int]:
    """Say which chains stay in which mode.

    Two chains are in different modes if some scalar stays at one place in each of them, and these places are far apart.

    Parameters
    ----------
    draws
        Of all scalars, dims (scalar, chain, draw).
    rhat
        Of each scalar.

    Returns
    -------
    list of int
        The mode of each chain, counted from 0 in the order of the chains; empty where there are not several, and where
        a chain is as far from one mode as from another.
    """
    chosen = _worst(rhat, AGREE)
    if not chosen.size or draws.shape[1] < 2 or draws.shape[2] < 2 * MIN_DRAWS:
        return []
    part = draws[chosen]
    steady = _halves(part) <= STEADY
    middle, spread = np.median(part, axis=2), part.std(axis=2)
    chains = range(part.shape[1])
    apart = np.zeros((len(chains), len(chains)), dtype=bool)
    for a, b in itertools.combinations(chains, 2):
        far = np.abs(middle[:, a] - middle[:, b]) > SEPARATED * np.maximum(spread[:, a], spread[:, b])
        apart[a, b] = apart[b, a] = bool((far & steady[:, a] & steady[:, b]).any())
    modes: list[int] = []
    for chain in chains:
        near = {modes[other] for other in range(chain) if not apart[chain, other]}
        if len(near) > 1:
            return []
        modes.append(near.pop() if near else max(modes, default=-1) + 1)
    return modes if max(modes) > 0 else []


def drifting(draws: np.ndarray, rhat: np.ndarray) -> list[int]:
    """Name the chains whose own halves differ, in one of the scalars that chains disagree about.

    Parameters
    ----------
    draws, rhat
        See `chain_modes`.
    """
    chosen = _worst(rhat, DISAGREE)
    if not chosen.size or draws.shape[2] < 2 * MIN_DRAWS:
        return []
    return [int(chain) for chain in np.flatnonzero((_halves(draws[chosen]) > STEADY).any(axis=0))]


def switching(
    posterior: xr.Dataset, rhat: Mapping[str, float], of_data: Iterable[Sequence[object]] = ()
) -> Switching | None:
    """Find components whose labels switch, by putting them in order.

    Labels switch where the likelihood stays what it is under a permutation of components (Jasra, Holmes, Stephens 2005,
    doi:10.1214/088342305000000016). Then all variables that have the components agree between chains as soon as each
    draw has them in the order of one variable.

    Parameters
    ----------
    posterior
        Draws, dims (chain, draw, ...).
    rhat
        The variables that are looked at, to the largest R-hat of each. Those that share a dim have its components; dims
        without a name are the same where they have one length.
    of_data
        Labels that the data have along each of their dims: predictors and groups, which are no components.

    Returns
    -------
    Switching or None
        None too where a variable without components disagrees between chains: then it is not the order alone.
    """
    best = None
    known = {tuple(map(str, labels)) for labels in of_data if len(labels) <= MOST_COMPONENTS}
    for names in _families(posterior, rhat, known).values():
        bad = [name for name in names if not rhat[name] <= DISAGREE]
        others = max((value for name, value in rhat.items() if name not in names), default=1.0)
        if not bad or not others <= AGREE:
            continue
        found = _ordered(posterior, names, sorted(bad, key=lambda name: -_finite(rhat[name])))
        if found is not None and (best is None or found.after < best.after):
            best = found
    return best


def _finite(value: float) -> float:
    return value if np.isfinite(value) else np.inf


def _families(
    posterior: xr.Dataset, parameters: Container[str], of_data: Container[tuple[str, ...]]
) -> dict[tuple[str, int], dict[str, str]]:
    """Group variables by their components: name to the dim of these."""
    found: dict[tuple[str, int], dict[str, str]] = {}
    for name in posterior.data_vars:
        if name not in parameters:
            continue
        for dim in map(str, posterior[name].dims):
            size = posterior.sizes[dim]
            if dim in ("chain", "draw") or not 2 <= size <= MOST_COMPONENTS or _labels(posterior, dim) in of_data:
                continue
            key = ("" if UNNAMED.match(dim) else dim, size)
            found.setdefault(key, {}).setdefault(str(name), dim)
    return found


def _labels(posterior: xr.Dataset, dim: str) -> tuple[str, ...]:
    return tuple(map(str, posterior.coords[dim].values)) if dim in posterior.coords else ()


def _ordered(posterior: xr.Dataset, names: Mapping[str, str], bad: Sequence[str]) -> Switching | None:
    """Put the components in the order of one variable after another; return what makes the chains agree best."""
    tables, owner = [], []
    for name, dim in names.items():
        values = posterior[name].transpose("chain", "draw", dim, ...).values
        table = values.reshape(*values.shape[:3], -1).astype(float)
        if not np.isfinite(table).all():
            return None
        tables.append(table)
        owner += [name] * table.shape[3]
    if len(owner) > MOST or tables[0].shape[0] * tables[0].shape[1] < 2 * MIN_DRAWS:
        return None
    features = np.concatenate(tables, axis=3)
    before = float(np.nanmax(_rhat(features)))
    best, clearest = None, 0.0
    for place in [place for name in bad for place, own in enumerate(owner) if own == name][:MOST_ORDERS]:
        order = np.argsort(features[..., place], axis=2, kind="stable")
        _, counts = np.unique(order.reshape(-1, order.shape[2]), axis=0, return_counts=True)
        if 1.0 - counts.max() / counts.sum() < FEWEST:
            continue
        sorted_ones = np.take_along_axis(features, order[..., None], axis=2)
        apart = _apart(sorted_ones[..., place])
        if apart.max() <= DISTINCT or apart.min() <= clearest:
            continue
        after = float(np.nanmax(_rhat(sorted_ones)))
        if after <= AGREE and after - 1.0 <= (before - 1.0) / 3.0:
            first, clearest = owner[place], float(apart.min())
            best = Switching((first, *(n for n in names if n != first)), order.shape[2], before, after)
    return best


def _apart(values: np.ndarray) -> np.ndarray:
    """Return the standard deviations between components that follow each other, dims (chain, draw, component)."""
    flat = values.reshape(-1, values.shape[2])
    middle, spread = np.median(flat, axis=0), flat.std(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):  # components that never move
        found: np.ndarray = np.diff(middle) / ((spread[1:] + spread[:-1]) / 2.0)
    return np.asarray(np.nan_to_num(found))


def _rhat(features: np.ndarray) -> np.ndarray:
    """R-hat of each scalar, dims of `features` (chain, draw, component, feature)."""
    return summarise(np.moveaxis(features, (0, 1), (2, 3))).rhat


def _worst(rhat: np.ndarray, bound: float) -> np.ndarray:
    known = np.nan_to_num(rhat, nan=1.0, posinf=np.inf)
    order = np.argsort(-known, kind="stable")[:MOST]
    return np.asarray(order[known[order] > bound])


def _halves(draws: np.ndarray) -> np.ndarray:
    """R-hat of the halves of each chain, dims (scalar, chain); NaN of one that never moves."""
    half = draws.shape[2] // 2
    pairs = np.stack([draws[..., :half], draws[..., -half:]], axis=2)
    return summarise(pairs, chains="whole").rhat
