"""Whether a density in JAX is PyMC's own, in value and gradient, where chains start, roam and settle.

It is asked once for a form and process: at jittered starts and draws from the prior before anything is drawn, and at
positions that the first chains visited. The gradient is held against differences of PyMC's *value*, which cost a tenth
of PyMC's gradient; that is worked out where they do not settle it. Random numbers are of streams of their own.

A false alarm costs a fit, so that what differs is looked at term by term, and beside points that differ from it in the
last digits: what rounding explains is no disagreement. Nor is it one where JAX has no gradient; such fits are dealt
with elsewhere (`guards`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import jax
import numpy as np
import pytensor
from pymc.initial_point import make_initial_point_fn
from pymc.pytensorf import compile as compiled_by_pymc
from pytensor.compile.mode import Mode
from pytensor.graph.basic import clone

from bayesrun.base.messages import few
from bayesrun.errors import FitError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pymc as pm
    from pytensor.graph.basic import Variable

    from bayesrun.samplers.lanes.density import Density
    from bayesrun.samplers.lanes.program import Program

__all__ = [
    "AGREEMENT",
    "REFERENCE",
    "REMEDY",
    "Agreement",
    "AnotherDensity",
    "Oracle",
    "by_itself",
    "by_program",
    "quick",
    "settled",
]

REFERENCE = Mode(linker="py", optimizer="fast_run").excluding("fusion", "inplace")
"""How PyMC's numbers are worked out: with all rewrites, without which a value far out is -inf where it should be -400;
in Python, because compiling would cost more."""
REMEDY: Final = "use sampler=nuts for this model"
"""What to do about a density that is not PyMC's."""
QUICK: Final = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}
"""What makes XLA compile fast, on CPUs."""

AGREEMENT: Final = 1e-6
"""Largest relative difference from PyMC's own numbers that is put down to rounding."""
STEEPNESS: Final = 1e-5
"""The same for an element of a gradient; less than this, absolutely, moves no chain."""
STARTS, PRIOR, VISITED = 6, 8, 6
"""Points of each kind."""
STEPS: Final = (1e-5, 1e-6, 1e-4, 1e-7)
"""Half the distance between two values whose difference stands for a derivative, in the order in which they are tried;
the first one settles almost all."""
DIGITS: Final = 8 * float(np.finfo(np.float64).eps)
"""Relative rounding of a log density."""
BESIDE: Final = np.outer([1e-15, 1e-14, 1e-13, 1e-12], [1.0, -1.0]).ravel()
"""How far, relatively, those neighbours of a point are away that show what rounding does there."""
TIMES: Final = 100.0
"""How many times what they show is put down to rounding."""
EDGE: Final = 1e10
"""Log densities beyond which doubles have too few digits left."""
UNDERFLOW: Final = -700.0
"""Terms below this are of densities that are no double: such points are not visited, and may be -inf."""
RESOLVED: Final = -30.0
"""Terms above this are of probabilities that one minus them shows: where PyMC has -inf, JAX should too."""
SHOWN: Final = 3
"""Variables, and elements of each, that a message shows of a point."""

type Evaluate = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
"""Log densities (point,) and gradients (point, n) in JAX at points (point, n)."""
type Terms = Callable[[np.ndarray], list[np.ndarray]]
"""The terms of a log density at a point (n,): of each variable and potential an array."""


class AnotherDensity(FitError):
    """A density in JAX is not PyMC's: no dataset can be fitted by it."""


class Oracle:
    """What PyMC itself says of one model.

    Parameters
    ----------
    model
        Its free variables are continuous. Its graph may be changed afterwards.
    mode
        How PyTensor works its numbers out.
    """

    def __init__(self, model: pm.Model, mode: Mode = REFERENCE) -> None:
        self.mode = mode
        self.start: dict[str, np.ndarray] = model.initial_point(0)
        self.free = [str(rv.name) for rv in model.free_RVs]
        self.named = [str(v.name) for v in (*model.free_RVs, *model.observed_RVs, *model.potentials)]
        natural = model.replace_rvs_by_values(model.free_RVs)
        inputs = list(model.value_vars)
        _, outputs = clone(inputs, [*model.logp(sum=False), *natural], copy_inputs=False, copy_orphans=False)
        self.inputs: list[Variable] = inputs
        self.terms: list[Variable] = outputs[: len(self.named)]
        self.natural: list[Variable] = outputs[len(self.named) :]
        self.total: Variable = sum(term.sum() for term in self.terms)
        self._value = self.function([self.total])

    def function(self, outputs: Sequence[Variable]) -> Terms:
        """Compile something as a function of a point (n,)."""
        function = compiled_by_pymc(
            self.inputs, list(outputs), mode=self.mode, on_unused_input="ignore", allow_input_downcast=True
        )

        def evaluate(z: np.ndarray) -> list[np.ndarray]:
            with np.errstate(all="ignore"):
                return [np.asarray(found, dtype=np.float64) for found in function(*self.parts(z))]

        return evaluate

    def value(self, z: np.ndarray) -> float:
        """Return the log density at a point; NaN where PyMC raises."""
        try:
            return float(self._value(z)[0])
        except Exception:  # noqa: BLE001 - an op of the user's, or a matrix that is not positive definite
            return np.nan

    def gradient(self) -> Terms:
        """Compile PyMC's gradient."""
        return self.function(pytensor.grad(self.total, self.inputs, disconnected_inputs="ignore"))

    def flat(self, point: dict[str, np.ndarray]) -> np.ndarray:
        """Return a point of PyMC's as one vector."""
        return np.concatenate([np.ravel(value) for value in point.values()], dtype=np.float64)

    def parts(self, z: np.ndarray) -> list[np.ndarray]:
        """Cut a vector into PyMC's values."""
        shapes = [np.shape(value) for value in self.start.values()]
        pieces = np.split(z, np.cumsum([int(np.prod(shape)) for shape in shapes])[:-1])
        return [piece.reshape(shape) for piece, shape in zip(pieces, shapes, strict=True)]


class Agreement:
    """What is known so far of a density in JAX against PyMC's own.

    Parameters
    ----------
    model
        Of the dataset that the density is derived from. Its graph may be changed afterwards.
    arguments
        Of that dataset.
    in_jax
        Turns the terms of PyMC's log density, functions of its values, into what JAX makes of them at a point.

    Attributes
    ----------
    shapes
        Of the free variables in the unconstrained space.
    """

    def __init__(
        self,
        model: pm.Model,
        arguments: tuple[np.ndarray, ...],
        in_jax: Callable[[Sequence[Variable]], Callable[[np.ndarray], Sequence[Any]]],
    ) -> None:
        self.arguments = arguments
        self._in_jax = in_jax
        oracle = Oracle(model)
        self.shapes = [np.shape(value) for value in oracle.start.values()]
        self._oracle: Oracle | None = oracle
        self._points: np.ndarray | None = _points(model, oracle)
        self._wrong: AnotherDensity | None = None

    def at_start(self, evaluate: Callable[[], Evaluate]) -> None:
        """Compare at jittered starts and draws from the prior, the first time.

        Parameters
        ----------
        evaluate
            Makes what is held against PyMC, for the arguments of this.

        Raises
        ------
        AnotherDensity
            If JAX's density or gradient is another one, now or before.
        """
        if self._points is not None:
            points, self._points = self._points, None
            self._compare(evaluate(), points)
        if self._wrong is not None:
            raise AnotherDensity(*self._wrong.args)

    def where_visited(self, z: np.ndarray, evaluate: Callable[[], Evaluate]) -> None:
        """Compare at some of the positions (..., n) that chains have had, the first time; raises as `at_start`."""
        if self._oracle is not None:
            visited = z.reshape(-1, z.shape[-1])
            chosen = np.linspace(0, len(visited) - 1, min(VISITED, len(visited))).astype(int)
            self._compare(evaluate(), visited[chosen])
            self._oracle = None
        if self._wrong is not None:
            raise AnotherDensity(*self._wrong.args)

    def _compare(self, evaluate: Evaluate, points: np.ndarray) -> None:
        if self._oracle is None or self._wrong is not None:
            return
        found = _in_value(self._oracle, evaluate, points, self._in_jax) or _in_slope(self._oracle, evaluate, points)
        if found:
            self._wrong = AnotherDensity(f"{found}; {REMEDY}")


@dataclass(frozen=True)
class _Sums:
    """Of the terms of a variable: how far JAX's are from PyMC's, what rounding explains, and both sums."""

    apart: float
    allowed: float
    found: float
    expected: float


def quick() -> dict[str, bool | int | str | float] | None:
    """Return how XLA compiles a function that is run a few times."""
    return dict(QUICK) if jax.default_backend() == "cpu" else None


def by_program(program: Program, arguments: tuple[np.ndarray, ...]) -> Evaluate:
    """Read values and gradients off the lanes of a program, which compiles nothing."""
    width, size = program.settings.lanes, program.density.size
    stage = program.stage(width)
    own = np.zeros((program.settings.chains, size))
    prepared = [np.asarray(one) for one in program.open(np.uint64(0), own, arguments)[3]]
    data = tuple(jax.numpy.asarray(np.repeat(one[None], width, axis=0)) for one in prepared)

    def evaluate(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        values, gradients = [], []
        for first in range(0, len(points), width):
            block = points[first : first + width]
            z = np.zeros((size, width))
            z[:, : len(block)] = block.T
            state = stage.load(stage.blank(), z, np.zeros(width, np.uint64), np.ones(width, bool), data)
            values.append(-np.asarray(state.tree.chosen.potential)[: len(block)])
            gradients.append(-np.asarray(state.tree.chosen.gradient)[:, : len(block)].T)
        return np.concatenate(values), np.concatenate(gradients)

    return evaluate


def by_itself(density: Density, arguments: tuple[np.ndarray, ...] | None = None) -> Evaluate:
    """Compile a density and its gradient for this alone; None: for the arguments that it is held against PyMC with."""
    given = density.agreement.arguments if arguments is None else arguments
    function = _with_gradient(density)

    def evaluate(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        rows = max(STARTS + PRIOR, len(points))  # one shape, so that it is compiled once
        values, gradients = function(np.resize(points, (rows, points.shape[1])), given)
        return np.asarray(values)[: len(points)], np.asarray(gradients)[: len(points)]

    return evaluate


@lru_cache(maxsize=4)
def _with_gradient(density: Density) -> Callable[..., Any]:
    def both(z: jax.Array, given: Any) -> Any:
        prepared = density.prepare(given)
        return jax.vmap(jax.value_and_grad(density.log_density), in_axes=(0, None))(z, prepared)

    function: Callable[..., Any] = jax.jit(both, compiler_options=quick())
    return function


def _points(model: pm.Model, oracle: Oracle) -> np.ndarray:
    """Draw from the prior, where it can be drawn from, and move the start; (point, n)."""
    rng = np.random.default_rng(20)
    start = oracle.flat(oracle.start)
    near = [start + rng.uniform(-1.0, 1.0, start.shape) for _ in range(STARTS)]
    far = [start + rng.uniform(-2.0, 2.0, start.shape) for _ in range(PRIOR)]
    try:
        draw = make_initial_point_fn(model=model, overrides=dict.fromkeys(model.free_RVs, "prior"))
        drawn = [oracle.flat(draw(int(seed))) for seed in rng.integers(2**31, size=PRIOR)]
    except Exception:  # noqa: BLE001 - a prior without draws may raise anything
        drawn = far
    # draws of an ordered vector are not in order, and have no place in the unconstrained space
    return np.stack([*near, *(z if np.isfinite(z).all() else other for z, other in zip(drawn, far, strict=True))])


def _in_value(
    oracle: Oracle,
    evaluate: Evaluate,
    points: np.ndarray,
    in_jax: Callable[[Sequence[Variable]], Callable[[np.ndarray], Sequence[Any]]],
) -> str:
    """Say where the log density is another one; empty where it is nowhere."""
    found, _ = evaluate(points)
    expected = np.array([oracle.value(z) for z in points])
    differing = np.flatnonzero([_differ(*pair) for pair in zip(found, expected, strict=True)])
    if not differing.size:
        return ""
    theirs, make = oracle.function(oracle.terms), in_jax(oracle.terms)
    jitted = jax.jit(make)

    def ours(z: np.ndarray) -> list[np.ndarray]:
        return [np.asarray(one, dtype=np.float64) for one in jitted(z)]

    for i in differing:
        z = points[i]
        try:
            sums = _term_by_term(z, ours, theirs)
        except Exception:  # noqa: BLE001 - where PyMC's terms raise, nothing can be said
            continue
        worst = int(np.argmax([one.apart / one.allowed for one in sums]))
        if sums[worst].apart > sums[worst].allowed:
            return _told(f"log density of {oracle.named[worst]}", sums[worst].found, sums[worst].expected, oracle, z)
        allowed = AGREEMENT + sum(one.allowed for one in sums)
        if np.isfinite(found[i]) and np.isfinite(expected[i]) and abs(found[i] - expected[i]) > allowed:
            return _told("log density", found[i], expected[i], oracle, z)
    return ""


def _differ(found: float, expected: float) -> bool:
    """Whether two log densities are worth a closer look. Where PyMC has none, nothing can be said."""
    if np.isnan(expected) or expected == np.inf or EDGE < abs(expected) < np.inf:
        return False
    if expected == -np.inf:
        return bool(np.isfinite(found)) and abs(found) < EDGE
    return not abs(found - expected) <= AGREEMENT * (1.0 + abs(expected))


def _term_by_term(z: np.ndarray, ours: Terms, theirs: Terms) -> list[_Sums]:
    """Hold the terms of each variable against PyMC's, and both against what they are beside the point."""
    found, expected = ours(z), theirs(z)
    with np.errstate(all="ignore"):
        spread = [
            [np.abs(at - here) for at, here in zip(terms(z * (1.0 + by)), own, strict=True)]
            for terms, own in ((ours, found), (theirs, expected))
            for by in BESIDE
        ]
        return [_sums(*of_variable) for of_variable in zip(found, expected, zip(*spread, strict=True), strict=True)]


def _sums(found: np.ndarray, expected: np.ndarray, spread: Sequence[np.ndarray]) -> _Sums:
    """Sum what is between two arrays of terms; an infinity that no rounding explains is infinitely far apart."""
    found, expected, rounding = np.broadcast_arrays(found, expected, np.max(np.nan_to_num(spread), axis=0))
    lost = np.isfinite(expected) & ~np.isfinite(found) & (expected > UNDERFLOW) & (expected < EDGE)
    added = (expected == -np.inf) & np.isfinite(found) & (found > RESOLVED)
    both = np.isfinite(found) & np.isfinite(expected)
    sizes = np.abs(expected[both])
    apart = np.inf if lost.any() or added.any() else float(np.abs(found[both] - expected[both]).sum())
    allowed = AGREEMENT * (1.0 + float(sizes.sum())) + TIMES * float(rounding[both].sum())
    return _Sums(apart, allowed, float(found.sum()), float(expected.sum()))


def _in_slope(oracle: Oracle, evaluate: Evaluate, points: np.ndarray) -> str:
    """Say where the gradient is another one; empty where it is nowhere."""
    rng = np.random.default_rng(21)
    values, gradients = evaluate(points)
    signs = rng.choice([-1.0, 1.0], size=points.shape)
    doubtful = [
        i
        for i, (z, value, gradient, sign) in enumerate(zip(points, values, gradients, signs, strict=True))
        if np.isfinite(value) and abs(value) < EDGE and not settled(oracle, z, gradient, sign)
    ]
    if not doubtful:
        return ""
    try:
        theirs = oracle.gradient()
    except Exception:  # noqa: BLE001 - an op of which PyTensor has no gradient may raise anything
        return ""
    for i in doubtful:
        z = points[i]
        beside = [z, *(z * (1.0 + by) for by in BESIDE)]
        try:
            expected = np.stack([np.concatenate([np.ravel(part) for part in theirs(at)]) for at in beside])
        except Exception:  # noqa: BLE001 - where PyMC's gradient raises, nothing can be said
            continue
        _, found = evaluate(np.stack(beside))
        with np.errstate(all="ignore"):
            apart = np.abs(found[0] - expected[0])
            rounding = TIMES * np.nan_to_num(np.ptp(found, axis=0) + np.ptp(expected, axis=0))
            excess = apart / (STEEPNESS * (1.0 + np.abs(expected[0])) + rounding)
        excess = np.where(np.isfinite(apart), excess, 0.0)
        worst = int(excess.argmax())
        if excess[worst] > 1.0:
            name = f"gradient of the log density in {_element(oracle, worst)}"
            return _told(name, found[0][worst], expected[0][worst], oracle, z)
    return ""


def settled(oracle: Oracle, z: np.ndarray, gradient: np.ndarray, signs: np.ndarray) -> bool:
    """Whether the slope of PyMC's log density along a line is what a gradient says.

    The line goes the less far along a coordinate the steeper it is there, so that each counts for about as much.
    """
    known = np.isfinite(gradient)
    gradient = np.where(known, gradient, 0.0)
    size = np.abs(gradient)
    typical = float(np.median(size[size > 0.0])) if size.any() else 1.0
    line = signs * known * typical / np.maximum(size, typical)
    expected, scale = float(gradient @ line), float(size @ np.abs(line)) + 1.0
    for step in STEPS:
        ahead, behind = oracle.value(z + step * line), oracle.value(z - step * line)
        rounding = DIGITS * (abs(ahead) + abs(behind)) / (2.0 * step)
        if abs((ahead - behind) / (2.0 * step) - expected) <= AGREEMENT * scale + rounding <= 0.01 * scale:
            return True
    return False


def _element(oracle: Oracle, index: int) -> str:
    """Name the free variable that an element of a position belongs to."""
    ends = np.cumsum([np.size(value) for value in oracle.start.values()])
    return oracle.free[int(np.searchsorted(ends, index, side="right"))]


def _told(what: str, found: float, expected: float, oracle: Oracle, z: np.ndarray) -> str:
    """Say what differs, and where."""
    values = oracle.function(oracle.natural)(z)
    place = few([f"{name}={_short(value)}" for name, value in zip(oracle.free, values, strict=True)], SHOWN)
    return f"the {what} in JAX is {found:.10g} where PyMC's own is {expected:.10g}, at {place}"


def _short(value: np.ndarray) -> str:
    if not value.ndim:
        return f"{float(value):.4g}"
    numbers = [f"{number:.4g}" for number in value.ravel()[:SHOWN]]
    return f"[{', '.join(numbers)}{', ...' if value.size > SHOWN else ''}]"
