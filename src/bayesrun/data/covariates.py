"""Covariates that are made up: their kinds as configs state them, and values by a Gaussian copula.

It makes columns; a dataset of them is the part of `design`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesrun.base.seeds import named_seed
from bayesrun.data.hints import nearest
from bayesrun.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Covariate", "covariate", "read_recipe", "scores"]


@dataclass(frozen=True)
class Covariate:
    """One covariate: `from_scores` makes its values of standard normal scores, dims (obs,)."""

    name: str
    from_scores: Callable[[np.ndarray], np.ndarray]
    labels: tuple[str, ...] | None = None
    kind: str = "normal"


def covariate(name: str, value: str | Mapping[str, Any]) -> Covariate:
    """Read one covariate, as `bayesrun.data.design.design` documents it.

    Raises
    ------
    DataError
        If its kind or a key is unknown, or a number makes no sense.
    """
    path = f"data.covariates.{name}"
    known = {
        "normal": ("mean", "sd"),
        "uniform": ("low", "high"),
        "categorical": ("levels", "probabilities", "balanced"),
        "constant": ("value",),
    }
    recipe = read_recipe(path, value, known)
    kind = recipe.pop("kind")
    if kind == "categorical":
        return _categorical(name, path, **recipe)
    if kind == "constant":
        if "value" not in recipe:
            raise DataError(f"{path}.value: a constant needs one; write {{kind: constant, value: 10}}")
        fixed = _number(f"{path}.value", recipe["value"])
        return Covariate(name, lambda z: np.full(z.shape, fixed), kind=kind)
    numbers = {key: _number(f"{path}.{key}", entry) for key, entry in recipe.items()}
    if kind == "normal":
        mean, sd = numbers.get("mean", 0.0), numbers.get("sd", 1.0)
        if sd <= 0.0:
            raise DataError(f"{path}.sd: got {sd:g}; wanted a number above 0")
        return Covariate(name, lambda z: mean + sd * z)
    low, high = numbers.get("low", 0.0), numbers.get("high", 1.0)
    if low >= high:
        raise DataError(f"{path}: got low {low:g} and high {high:g}; wanted low below high")
    return Covariate(name, lambda z: low + (high - low) * _probability(z), kind=kind)


def read_recipe(path: str, value: str | Mapping[str, Any], known: Mapping[str, tuple[str, ...]]) -> dict[str, Any]:
    """Read a kind and its keys.

    Parameters
    ----------
    path
        Config path, for messages.
    value
        A kind, or a mapping with the key ``kind``.
    known
        Kind to the keys that it takes.

    Raises
    ------
    DataError
        If the kind or a key is unknown.
    """
    recipe = {"kind": value} if isinstance(value, str) else dict(value)
    kind = recipe.get("kind")
    if kind not in known:
        near = nearest(str(kind), known)
        hint = f"did you mean {near}? " if near else ""
        raise DataError(f"{path}.kind: got {kind!r}; {hint}wanted {', '.join(known)}")
    for key in recipe:
        if key != "kind" and key not in known[str(kind)]:
            near = nearest(str(key), known[str(kind)])
            hint = f"did you mean {near}? " if near else ""
            raise DataError(
                f"{path}.{key}: unknown key; {hint}{kind} takes {', '.join(known[str(kind)]) or 'nothing else'}"
            )
    return recipe


def _number(path: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not np.isfinite(value):
        raise DataError(f"{path}: got {value!r}; wanted a finite number")
    return float(value)


def _probability(scores: np.ndarray) -> np.ndarray:
    from scipy.special import ndtr

    found: np.ndarray = ndtr(scores)
    return found


def _categorical(
    name: str,
    path: str,
    levels: Any = None,
    probabilities: Sequence[float] | None = None,
    balanced: Any = False,
) -> Covariate:
    if isinstance(levels, int) and not isinstance(levels, bool):
        levels = [f"{name}{number}" for number in range(1, levels + 1)]
    if not isinstance(levels, (list, tuple)) or len(levels) < 2 or len(set(levels)) < len(levels):
        raise DataError(f"{path}.levels: got {levels!r}; wanted how many (2 or more), or a list of different levels")
    if not isinstance(balanced, bool):
        raise DataError(f"{path}.balanced: got {balanced!r}; wanted true or false")
    numeric = all(isinstance(level, (int, float)) and not isinstance(level, bool) for level in levels)
    shares = np.full(len(levels), 1.0 / len(levels)) if probabilities is None else _shares(path, probabilities, levels)
    whole = numeric and all(isinstance(level, int) for level in levels)
    values = np.array(levels, dtype=np.int64 if whole else np.float64) if numeric else np.arange(len(levels))
    choose = _balanced if balanced else _chosen
    labels = None if numeric else tuple(str(level) for level in levels)
    return Covariate(name, lambda z: values[choose(z, shares)], labels, "categorical")


def _shares(path: str, probabilities: Any, levels: Sequence[Any]) -> np.ndarray:
    given = [_number(f"{path}.probabilities", p) for p in probabilities] if isinstance(probabilities, Sequence) else []
    shares = np.array(given)
    if len(shares) != len(levels) or (shares < 0).any() or abs(shares.sum() - 1.0) > 1e-6:
        raise DataError(
            f"{path}.probabilities: got {probabilities!r}; wanted {len(levels)} numbers of at least 0 that add up "
            "to 1, one for each level"
        )
    total: float = shares.sum()
    return shares / total


def _chosen(scores: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Cut the scores at the quantiles of the levels, in their order."""
    found = np.searchsorted(np.cumsum(shares), _probability(scores), side="right")
    return np.minimum(found, len(shares) - 1)


def _balanced(scores: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Cut the ranks of the scores, so that each level has its share of the observations; leftovers by remainder."""
    exact = shares * len(scores)
    counts = np.floor(exact).astype(np.int64)
    largest = np.argsort(counts - exact, kind="stable")
    counts[largest[: len(scores) - counts.sum()]] += 1
    found = np.empty(len(scores), dtype=np.int64)
    found[np.argsort(scores, kind="stable")] = np.repeat(np.arange(len(shares)), counts)
    return found


def scores(n: int, made: Sequence[Covariate], correlation: Any, seed: int) -> dict[str, np.ndarray]:
    """Draw standard normal scores.

    Parameters
    ----------
    n
        Number of observations.
    made
        The covariates.
    correlation
        None, one number for all pairs of normal and uniform covariates, or a mapping of mappings.
    seed
        Together with the name it gives the scores of a covariate.

    Returns
    -------
    dict
        Name to scores, dims (obs,).

    Raises
    ------
    DataError
        If correlations name what is not there, or contradict each other.
    """
    own = {c.name: np.random.default_rng(named_seed(seed, "design", c.name)).standard_normal(n) for c in made}
    if correlation is None:
        return own
    names = [c.name for c in made if c.kind != "constant"]
    matrix = np.eye(len(names))
    for first, second, value in _pairs(correlation, made, names):
        matrix[names.index(first), names.index(second)] = value
        matrix[names.index(second), names.index(first)] = value
    if np.linalg.eigvalsh(matrix).min() < 1e-10:
        raise DataError(
            f"data.correlation: got {correlation!r}, which no covariates can have together (the matrix is not positive "
            "definite); wanted smaller correlations"
        )
    mixed = np.linalg.cholesky(matrix) @ np.array([own[name] for name in names])
    return own | dict(zip(names, mixed, strict=True))


def _pairs(correlation: Any, made: Sequence[Covariate], names: Sequence[str]) -> list[tuple[str, str, float]]:
    if not isinstance(correlation, Mapping):
        value = _correlation("data.correlation", correlation)
        numeric = [c.name for c in made if c.kind in ("normal", "uniform")]
        return [(a, b, value) for i, a in enumerate(numeric) for b in numeric[i + 1 :]]
    pairs: dict[frozenset[str], tuple[str, str, float]] = {}
    for first, row in correlation.items():
        for second, given in row.items():
            path = f"data.correlation.{first}.{second}"
            for name in (first, second):
                if name not in names:
                    near = nearest(str(name), names)
                    hint = f"did you mean {near}? " if near else ""
                    raise DataError(f"{path}: {name} is no covariate that varies; {hint}There are {', '.join(names)}")
            value = _correlation(path, given)
            if first == second or pairs.get(frozenset((first, second)), (first, second, value))[2] != value:
                raise DataError(f"{path}: got {given!r}; wanted one number for each pair of different covariates")
            pairs[frozenset((first, second))] = (first, second, value)
    return list(pairs.values())


def _correlation(path: str, value: Any) -> float:
    found = _number(path, value)
    if not -1.0 < found < 1.0:
        raise DataError(f"{path}: got {value!r}; wanted a number between -1 and 1")
    return found
