"""How far the truth of a study spreads before its data are seen: the SD that contraction is measured by.

It is known where the prior has a formula, and otherwise drawn, with its error. It sees no fit. SciPy's distributions
and Numba, which take half of the time that a command needs to start, are imported where they are used.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from pymc.pytensorf import find_rng_nodes

from bayesrun.simulate.draws import UNDRAWABLE, without_data
from bayesrun.simulate.programs import compiled, evaluated, plain, stream

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

    import pymc as pm
    from numpy.typing import NDArray

    from bayesrun.simulate.draws import Compiled

    type Floats = NDArray[np.float64]

__all__ = ["Spread", "spread"]

MOST, FEWEST = 2000, 400
"""Draws: the SD of a normal variable then has a relative error of 1.6 %, and of 3.5 % where draws are slow or large."""
SECONDS: Final = 5.0
"""A model whose draws take longer gets no more than the fewest."""
NUMBERS: Final = 8_000_000
"""In memory at once, 64 MB."""

HEAVY: Final = 0.5
"""Shape of a Pareto tail from which the variance is infinite."""


@dataclass(frozen=True, eq=False)
class Spread:
    """SDs of the truth before the data of a replicate are seen.

    Parameters
    ----------
    sd
        By variable, in its natural shape; infinite where it has none, or tails so heavy that draws do not tell it.
    mcse
        Monte Carlo standard errors of these; 0 where a formula gives them.
    """

    sd: Mapping[str, Floats]
    mcse: Mapping[str, Floats]

    def only(self, names: Iterable[str]) -> Spread:
        """Return those of some variables."""
        kept = set(names)
        parts = ({name: v for name, v in of.items() if name in kept} for of in (self.sd, self.mcse))
        return Spread(*parts)

    def arrays(self) -> dict[str, Floats]:
        """Return all arrays under one name each, to be kept."""
        named = (("sd", self.sd), ("mcse", self.mcse))
        return {f"{what} {name}": values for what, of in named for name, values in of.items()}

    @classmethod
    def of(cls, arrays: Mapping[str, Floats]) -> Spread:
        """Make it again of what `arrays` has given."""
        parts: dict[str, dict[str, Floats]] = {"sd": {}, "mcse": {}}
        for label, values in arrays.items():
            what, _, name = label.partition(" ")
            parts[what][name] = values
        return cls(**parts)


def spread(ready: Compiled, unknown: Collection[str] = (), seed: int = 0) -> Spread:
    """Find the SD of every free variable and Deterministic under the distribution that truth is drawn from.

    Parameters
    ----------
    ready
        The programs of a model whose truth comes from the prior or from an earlier posterior.
    unknown
        Deterministics that have no truth, and are left out.
    seed
        Of the draws.

    References
    ----------
    Contraction: Schad, Betancourt, Vasishth (2021), doi:10.1037/met0000275. Tails: Vehtari et al. (2024), Pareto
    smoothed importance sampling, JMLR 25:72. Distances from the median have a Pareto tail of shape k, and moments of
    order 1 / k and higher do not exist.
    """
    chained = bool(ready.posterior)
    draws = {name: values for name, values in _draws(ready, seed).items() if name not in unknown}
    found = {name: _spread_of(values, chained=chained) for name, values in draws.items()}
    if not chained:
        found |= {
            name: (np.broadcast_to(sd, found[name][0].shape).copy(), np.zeros(found[name][0].shape))
            for name, sd in _known(ready.model).items()
            if name in found
        }
    return Spread({name: sd for name, (sd, _) in found.items()}, {name: error for name, (_, error) in found.items()})


def _draws(ready: Compiled, seed: int) -> dict[str, Floats]:
    """Draw many truths. Dims (draw, ...)."""
    posterior, derived = ready.posterior, without_data(ready.model)
    outputs = [*derived] if posterior else [*ready.model.free_RVs, *derived]
    program = compiled(ready.model, ready.model.free_RVs if posterior else [], outputs)
    generators = [stream(seed, name, number) for name, number in program.streams]
    rows: list[list[Floats]] = []
    start = time.monotonic()
    with plain(), np.errstate(all="ignore"):
        for values in _given(posterior, program.given):
            try:
                # an array belongs to the function, which may write over it in the next call
                rows.append([np.array(value, dtype=np.float64) for value in program.function(*values, *generators)])
            except UNDRAWABLE:
                continue
            size = sum(value.size for value in rows[0])
            late = time.monotonic() - start > SECONDS
            if len(rows) >= FEWEST and (late or len(rows) * size >= NUMBERS):
                break
    drawn = [np.stack(values) for values in zip(*rows, strict=True)]
    found = {str(variable.name): values for variable, values in zip(outputs, drawn, strict=False)}
    return {name: np.asarray(values, dtype=np.float64) for name, values in posterior.items()} | found


def _given(posterior: Mapping[str, np.ndarray], dtypes: Mapping[str, str]) -> Iterator[list[np.ndarray]]:
    """Values of the free variables for each draw: none for the prior, and evenly spaced draws of a posterior."""
    if not posterior:
        for _ in range(MOST):
            yield []
        return
    length = len(next(iter(posterior.values())))
    for place in np.unique(np.linspace(0, length - 1, min(length, MOST)).astype(int)):
        yield [np.asarray(posterior[name][place], dtype=dtype) for name, dtype in dtypes.items()]


def _spread_of(values: Floats, *, chained: bool) -> tuple[Floats, Floats]:
    """SD over the draws and its error; dims (draw, ...) to (...). Chained draws are worth fewer independent ones."""
    from bayesrun.statistics.convergence import summarise

    shape = values.shape[1:]
    rows = values.reshape(len(values), math.prod(shape)).T
    whole = np.isfinite(rows).all(axis=1) & (len(values) > 1)
    sd, mcse = np.full(len(rows), math.inf), np.full(len(rows), math.nan)
    varying = whole & (np.ptp(np.where(whole[:, None], rows, 0.0), axis=1) > 0)
    sd[whole & ~varying], mcse[whole & ~varying] = 0.0, 0.0
    if varying.any():
        part = np.ascontiguousarray(rows[varying])
        found = summarise(part[:, None, :], (0.5,), "eti", "markov" if chained else "independent")
        heavy = np.zeros(len(part), dtype=bool) if chained else np.array([_tail(row) >= HEAVY for row in part])
        sd[varying] = np.where(heavy, math.inf, found.sd)
        mcse[varying] = np.where(heavy, math.nan, found.mcse_sd)
    return sd.reshape(shape), mcse.reshape(shape)


def _tail(row: Floats) -> float:
    """Shape of the Pareto tail of the distance from the median."""
    from bayesrun.statistics.psis import smooth

    away = np.abs(row - np.median(row))
    try:
        _, k = smooth(np.log(np.maximum(away, np.finfo(float).tiny)))
    except ValueError:  # the largest distances are all equal
        return -math.inf
    return float(k)


def _known(model: pm.Model) -> dict[str, Floats]:
    """SDs by their formulas, of the free variables whose prior has one and depends on no other variable."""
    found = {}
    for rv in model.free_RVs:
        formula = FORMULAS.get(type(rv.owner.op).__name__)
        if formula is None:
            continue
        parameters = rv.owner.op.dist_params(rv.owner)
        if not find_rng_nodes(parameters):
            with np.errstate(all="ignore"):
                sd = np.asarray(formula(*evaluated(parameters)), dtype=np.float64)
            if not np.isnan(sd).any():
                found[str(rv.name)] = sd
    return found


def _half_student(nu: Floats, sigma: Floats) -> Floats:
    """SD of the absolute value of Student's t: sqrt(nu / (nu - 2) - E^2), E^2 = 4 nu / (pi (nu - 1)^2) G^2."""
    from scipy import special

    ratio = np.exp(special.gammaln((nu + 1) / 2) - special.gammaln(nu / 2))
    square = 4 * nu / (np.pi * (nu - 1) ** 2) * ratio**2
    return np.asarray(sigma * np.sqrt(np.where(nu > 2, nu / (nu - 2) - square, np.inf)))


def _student(nu: Floats, mu: Floats, sigma: Floats) -> Floats:
    from scipy import stats

    return np.asarray(stats.t.std(nu, mu, sigma))


def _beta(alpha: Floats, beta: Floats) -> Floats:
    from scipy import stats

    return np.asarray(stats.beta.std(alpha, beta))


def _inverse_gamma(alpha: Floats, beta: Floats) -> Floats:
    return np.asarray(np.where(alpha > 2, beta / ((alpha - 1) * np.sqrt(alpha - 2)), np.inf))


FORMULAS: Final[Mapping[str, Callable[..., Any]]] = {
    "NormalRV": lambda mu, sigma: sigma + 0.0 * mu,
    "HalfNormalRV": lambda loc, sigma: sigma * math.sqrt(1 - 2 / math.pi) + 0.0 * loc,
    "StudentTRV": _student,
    "HalfStudentTRV": _half_student,
    "CauchyRV": lambda alpha, beta: np.full(np.broadcast_shapes(np.shape(alpha), np.shape(beta)), math.inf),
    "HalfCauchyRV": lambda beta: np.full(np.shape(beta), math.inf),
    "ExponentialRV": lambda scale: scale,
    "GammaRV": lambda alpha, scale: np.sqrt(alpha) * scale,
    "InvGammaRV": _inverse_gamma,
    "BetaRV": _beta,
    "UniformRV": lambda lower, upper: (upper - lower) / math.sqrt(12),
    "LogNormalRV": lambda mu, sigma: np.exp(mu + 0.5 * sigma**2) * np.sqrt(np.expm1(sigma**2)),
    "LaplaceRV": lambda mu, b: b * math.sqrt(2) + 0.0 * mu,
}
"""SD of a distribution by its class in PyTensor, of the parameters that the class has."""
