"""Whether a program of padded datasets says of one of them what that dataset's own model says; it draws nothing.

Everything that a fit stores is held against PyMC: the log density and its slope where chains start, Deterministics and
pointwise terms there, and all of these again where chains have been. PyMC's numbers come of the graph as it is written,
which costs a tenth of a second; where they differ they are worked out again after PyTensor's rewriting, without which a
number far out has few digits.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from pytensor.compile.mode import Mode

from bayesrun.errors import FitError
from bayesrun.samplers.lanes.agreement import REFERENCE, Oracle, settled

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import pymc as pm

    from bayesrun.samplers.lanes.agreement import Evaluate
    from bayesrun.samplers.lanes.density import Density
    from bayesrun.samplers.lanes.padding import Layout
    from bayesrun.samplers.lanes.sharing import Member

__all__ = ["BY_MORE", "Alone", "layout_of"]

AS_WRITTEN: Final = Mode(linker="py", optimizer=None)
"""How PyMC's numbers are worked out at first."""
ROUNDING: Final = 1e-8
"""Largest difference, relative to the terms that a sum is of, or to the largest element of an array."""
STARTS, FEWEST, VISITED = 6, 3, 4
"""Points near the start, how many of them have to have a log density, and points where chains have been."""

BY_MORE: Final = "rows enter this model by more than terms of their own"
"""Why datasets of unequal length do not share a program. Nobody reads it: each then has the program of its length."""

type Arrays = Mapping[str, np.ndarray]
type Described = tuple[list[np.ndarray], list[np.ndarray]]
"""Variables and pointwise terms, as a density has them in order."""


class _Own:
    """What a model says of points, in one mode of PyTensor."""

    def __init__(self, model: pm.Model, variables: Sequence[str], mode: Mode) -> None:
        self.oracle = Oracle(model, mode)
        self.variables = list(variables)
        self.observed = [str(rv.name) for rv in model.observed_RVs]
        natural = {str(variable.name): variable for variable in model.unobserved_value_vars}
        self._all = self.oracle.function([*self.oracle.terms, *(natural[name] for name in variables)])

    def terms(self, z: np.ndarray) -> list[np.ndarray]:
        return self._all(z)[: len(self.oracle.terms)]

    def known(self, z: np.ndarray) -> bool:
        """Whether the model has a log density at a point; PyMC raises where a parameter is out of its support."""
        try:
            return all(np.isfinite(one).all() for one in self.terms(z))
        except Exception:  # noqa: BLE001 - as would an op of the user's
            return False

    def described(self, z: np.ndarray) -> tuple[float, float, Arrays, Arrays]:
        """Return the log density, the size of its terms, the variables and the pointwise terms."""
        found = self._all(z)
        terms, values = found[: len(self.oracle.terms)], found[len(self.oracle.terms) :]
        by_name = dict(zip(self.oracle.named, terms, strict=True))
        with np.errstate(all="ignore"):
            total, size = (float(sum(np.sum(one) for one in ones)) for ones in (terms, map(np.abs, terms)))
        return total, size, dict(zip(self.variables, values, strict=True)), {n: by_name[n] for n in self.observed}


class Alone:
    """The own model of a padded dataset.

    Parameters
    ----------
    model
        Of the dataset without further rows. It stays as it is.
    variables
        The free variables and Deterministics that are stored.
    """

    def __init__(self, model: pm.Model, variables: Sequence[str]) -> None:
        self.model = model
        self.variables = list(variables)
        self._own: dict[int, _Own] = {}
        own = self._worked_out(0)
        start = own.oracle.flat(own.oracle.start)
        self.points = np.stack([z for z in _near(start) if own.known(z)] or [start])
        _, _, values, terms = own.described(self.points[0])
        self.shapes = {name: np.shape(value) for name, value in [*values.items(), *terms.items()]}
        self.terms = [np.shape(term) for term in own.terms(self.points[0])]

    def all_terms(self, z: np.ndarray) -> list[np.ndarray]:
        """Return the terms of the log density at a point: of each variable and potential an array."""
        return self._worked_out(0).terms(z)

    def described(self, points: np.ndarray) -> Described:
        """Return variables and pointwise terms at points (point, n), the first axis of each array."""
        found = [self._worked_out(0).described(z)[2:] for z in points]
        variables, terms = (
            [np.stack([one[i][name] for one in found]) for name in group] for i, group in enumerate(found[0])
        )
        return variables, terms

    def cut(self, density: Density, variables: Sequence[Any], terms: Sequence[Any]) -> Described:
        """Take the padded rows off what a program describes; the first axis of each array is the draws."""
        named = zip((density.variables, density.observed), (variables, terms), strict=True)
        kept = ([_cut(v, self.shapes[name]) for name, v in zip(*pair, strict=False)] for pair in named)
        posterior, pointwise = kept
        return posterior, pointwise

    def differs_at_start(self, evaluate: Evaluate, describe: Callable[[np.ndarray], tuple[Any, Any]]) -> bool:
        """Whether a program has other numbers near the start.

        Parameters
        ----------
        evaluate
            Log densities and gradients of the padded dataset.
        describe
            Variables and pointwise terms of it at points (point, n); the first axis of each array is the points.
        """
        values, gradients = evaluate(self.points)
        described = describe(self.points)
        signs = np.random.default_rng(23).choice([-1.0, 1.0], size=self.points.shape)
        places = range(len(self.points))

        def same(own: _Own) -> bool:
            return all(_same(own, z, float(values[i]), described, i) for i, z in enumerate(self.points)) and all(
                settled(own.oracle, self.points[i], gradients[i], signs[i])
                for i in places
                if np.isfinite(gradients[i]).all()
            )

        return len(self.points) < FEWEST or not self._either(same)

    def differs_where_visited(
        self, z: np.ndarray, lp: np.ndarray | None, variables: Sequence[Any], terms: Sequence[Any]
    ) -> bool:
        """Whether what is stored of draws is another thing.

        Parameters
        ----------
        z
            Draws (draw, n).
        lp
            Log densities (draw,); None: they are in single precision.
        variables, terms
            As `cut` returns them.
        """
        chosen = np.linspace(0, len(z) - 1, min(VISITED, len(z))).astype(int)
        described = variables, terms

        def same(own: _Own) -> bool:
            return all(
                _same(own, z[i], None if lp is None else float(lp[i]), described, i) or not own.known(z[i])
                for i in chosen
            )

        return not self._either(same)

    def _worked_out(self, place: int) -> _Own:
        if place not in self._own:
            self._own[place] = _Own(self.model, self.variables, (AS_WRITTEN, REFERENCE)[place])
        return self._own[place]

    def _either(self, same: Callable[[_Own], bool]) -> bool:
        for place in range(2):
            try:
                if same(self._worked_out(place)):
                    return True
            except Exception:  # noqa: BLE001 - an op of the user's may raise anything
                continue
        return False


def alone_of(
    density: Density,
    members: Sequence[Member],
    evaluate: Callable[[tuple[np.ndarray, ...]], Evaluate],
    describe: Callable[[np.ndarray, tuple[np.ndarray, ...]], tuple[Any, Any]],
) -> dict[int, Alone | None]:
    """Return the own models of the datasets of which a density says what these say, by index.

    Parameters
    ----------
    density
        Of the datasets.
    members
        They share it.
    evaluate
        Makes of the arguments of one dataset what its log densities and gradients are read off.
    describe
        ``(z, arguments)`` to the variables and the pointwise terms.

    Returns
    -------
    dict
        None for a dataset that is not padded. One whose model says another thing is left out.
    """
    found: dict[int, Alone | None] = {}
    for member in members:
        if member.padding is None:
            found[member.index] = None
            continue
        given = member.arguments(density)
        try:
            own = Alone(member.surveyed.model, density.variables)
        except Exception:  # noqa: BLE001 - a Deterministic of the user's may raise anything
            continue
        if not own.differs_at_start(evaluate(given), partial(_described, describe, given)):
            found[member.index] = own
    return found


def _described(describe: Callable[..., tuple[Any, Any]], given: tuple[np.ndarray, ...], z: np.ndarray) -> Any:
    return describe(z, given)


def layout_of(own: Alone, padded: Alone, further: int) -> Layout:
    """Say where the terms of a log density have padded rows.

    Parameters
    ----------
    own
        Of a dataset.
    padded
        Of the same with further rows.
    further
        How many.

    Raises
    ------
    FitError
        If rows enter the model by more than terms of their own.
    """
    if padded.points.shape[1] != own.points.shape[1]:  # a free variable has rows
        raise FitError(BY_MORE)
    layout: list[tuple[tuple[int, int], ...]] = []
    for short, long in zip(own.terms, padded.terms, strict=True):
        longer = tuple((axis, b) for axis, (a, b) in enumerate(zip(short, long, strict=False)) if a != b)
        if len(short) != len(long) or any(length != short[axis] + further for axis, length in longer):
            raise FitError(BY_MORE)
        layout.append(longer)
    if not any(layout) or own.differs_at_start(_without(padded, tuple(layout), further), padded.described):
        raise FitError(BY_MORE)
    return tuple(layout)


def _without(padded: Alone, layout: Layout, further: int) -> Evaluate:
    """Give what a program would say that leaves the padded terms out, from the model itself and without gradients."""

    def evaluate(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        values = [
            sum(_kept(term, axes, further).sum() for term, axes in zip(padded.all_terms(z), layout, strict=True))
            for z in points
        ]
        return np.array(values), np.full(points.shape, np.nan)

    return evaluate


def _kept(term: np.ndarray, axes: tuple[tuple[int, int], ...], further: int) -> np.ndarray:
    for axis, length in axes:
        term = np.take(term, range(length - further), axis=axis)
    return term


def _near(start: np.ndarray) -> Iterator[np.ndarray]:
    rng = np.random.default_rng(22)
    for width in (1.0, 2.0):
        yield from (start + rng.uniform(-width, width, start.shape) for _ in range(STARTS // 2))


def _same(own: _Own, z: np.ndarray, total: float | None, described: tuple[Any, Any], place: int) -> bool:
    """Whether everything is the same at one point."""
    expected, size, *wanted = own.described(z)
    if total is not None and not abs(total - expected) <= ROUNDING * (1.0 + size):
        return False
    return all(
        _close(_cut(found[place], np.shape(value)), value)
        for group, values in zip(described, wanted, strict=True)
        for found, value in zip(group, values.values(), strict=True)
    )


def _cut(value: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Take the end off the last axes of an array, so that they have a shape."""
    ends: tuple[Any, ...] = (..., *map(slice, shape))
    kept: np.ndarray = np.asarray(value)[ends]  # a slice of an array of JAX would be compiled
    return kept


def _close(found: np.ndarray, expected: np.ndarray) -> bool:
    found = np.asarray(found, dtype=np.float64)
    known = np.abs(expected[np.isfinite(expected)])
    size = float(known.max()) if known.size else 0.0
    return found.shape == expected.shape and np.allclose(
        found, expected, rtol=ROUNDING, atol=ROUNDING * size, equal_nan=True
    )
