"""The compiled functions of one model and one set of options; it decides nothing about which chain runs where."""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from bayesrun.base.large_arrays import empty, let_go
from bayesrun.samplers.lanes import kernel as nuts
from bayesrun.samplers.lanes import streams
from bayesrun.samplers.lanes.adaptation import schedule

if TYPE_CHECKING:
    from collections.abc import Callable

    from bayesrun.samplers.lanes.density import Arrays, Density
    from bayesrun.samplers.lanes.state import Lanes, Transition

__all__ = [
    "ATTEMPTS",
    "Program",
    "Settings",
    "Stage",
    "block_of",
    "describe",
    "describer",
    "even",
    "potential_of",
    "program",
]

CHUNK = 512
"""Iterations between two visits of the host: an idle lane wastes half of them, and a visit takes a millisecond."""
CHUNK_BYTES = 2**25
"""Bound on the reports of a chunk; those of large models are shorter."""
ATTEMPTS = 11
"""Jittered starts that a chain may try, as in PyMC: one and ten retries."""
LARGE = 64
"""Elements of the largest prepared argument from which blocks of lanes take turns; measured on logistic regressions."""
BLOCK, BLOCK_ELEMENTS = 4, 2**16
"""Lanes of a block, and the most elements that one of its intermediate results has. Neither depends on the number of
lanes, which therefore changes no rounding. Four lanes cost two thirds of one at a time, and sixteen hardly less."""
NARROW = {"float64": np.dtype(np.float32), "int64": np.dtype(np.int32)}
"""Dtypes in single precision, where JAX has no 64 bits."""
DESCRIBED_BYTES = 2**25
"""Bound on what comes of the draws that are described together, and on what is needed on the way."""
JITTER, TRANSITIONS = 0, 1
"""What the streams of a chain are for."""


@dataclass(frozen=True)
class Settings:
    """What a program is compiled for beside its model: lanes, chains of a dataset, and the options of NUTS."""

    lanes: int
    chains: int
    tune: int
    draws: int
    target_accept: float
    max_treedepth: int
    dense_mass: bool = False
    precision: str = "float64"

    @property
    def transitions(self) -> int:
        """Transitions of a chain, warm-up included."""
        return self.tune + self.draws


@dataclass(frozen=True, eq=False)
class Stage:
    """A program at one number of lanes.

    Parameters
    ----------
    width
        Lanes L.
    load
        ``(state, z (n, L), key (L,), taken (L,), data)`` to the state with new chains in the lanes that are taken;
        data are the prepared arguments, (L, ...) each.
    chunk
        ``(state, data)`` to the state after some iterations, and their reports (`kernel.Transition`).
    blank
        A state for the first `load`.
    seconds
        Wall-clock seconds that it took to compile.
    """

    width: int
    load: Callable[..., Any]
    chunk: Callable[..., Any]
    blank: Callable[[], Lanes]
    seconds: float


@dataclass(frozen=True, eq=False)
class Program:
    """The compiled functions of one density and settings.

    Parameters
    ----------
    density, settings
        What it is compiled for.
    open
        ``(seed, own, arguments)`` to starts (chain, n), whether they are finite (chain,), keys (chain,), the prepared
        arguments, and whether of a start that was tried only the gradient is not finite (chain,); `own` are the starts
        (chain, n) of a density that cannot make them.
    describe
        ``(z (draw, n), arguments)`` to the values of the density's variables, and to the pointwise log-likelihood
        of its observed ones, in their order; of its free variables alone, if a Deterministic raises at these draws.
    kernel
        What moves the lanes.
    prepared
        Shapes and dtypes of the prepared arguments of one dataset.
    block
        Lanes that compute their log densities together while the others wait, so that their data stay in the cache;
        0 for all.
    seconds
        Wall-clock seconds of compilation, its stages not counted.
    stages
        Those that were needed so far, by width.
    idle
        Wall-clock seconds that lanes have rested for want of work, by width.
    """

    density: Density
    settings: Settings
    open: Callable[..., Any]
    describe: Callable[..., Any]
    kernel: nuts.Kernel
    prepared: tuple[jax.ShapeDtypeStruct, ...]
    block: int
    seconds: float
    stages: dict[int, Stage] = field(default_factory=dict)
    idle: dict[int, float] = field(default_factory=dict)

    def stage(self, width: int) -> Stage:
        """Return the program at a number of lanes, compiled when it is first asked for."""
        if width not in self.stages:
            self.stages[width] = _stage(self.kernel, width, self.prepared, self.block)
        return self.stages[width]


@lru_cache(maxsize=32)
def program(density: Density, settings: Settings, shapes: tuple[tuple[tuple[int, ...], str], ...]) -> Program:
    """Compile a density for some settings; the same ones again cost nothing.

    Parameters
    ----------
    density
        The model.
    settings
        Lanes and options.
    shapes
        Shape and dtype of each argument.
    """
    begin = time.perf_counter()
    size, chains = density.size, settings.chains
    given = tuple(jax.ShapeDtypeStruct(shape, dtype) for shape, dtype in shapes)
    seed = jax.ShapeDtypeStruct((), np.uint64)
    own = jax.ShapeDtypeStruct((chains, size), np.float64)
    draws = jax.ShapeDtypeStruct((chains * settings.draws, size), np.float64)
    prepared = tuple(jax.eval_shape(density.prepare, given))
    block = block_of(prepared)
    kernel = nuts.Kernel(
        potential=potential_of(density, prepared, block, settings.precision),
        size=size,
        plan=schedule(settings.tune, settings.target_accept),
        transitions=settings.transitions,
        max_treedepth=settings.max_treedepth,
        dense=settings.dense_mass,
    )
    opened = jax.jit(partial(_open, density, chains)).lower(seed, own, given).compile()
    described = describer(density, describe, draws, given)
    made = Program(
        density=density,
        settings=settings,
        open=opened,
        describe=described,
        kernel=kernel,
        prepared=prepared,
        block=block,
        seconds=time.perf_counter() - begin,
    )
    made.stage(settings.lanes)
    return made


def potential_of(
    density: Density, prepared: tuple[jax.ShapeDtypeStruct, ...], block: int, precision: str
) -> nuts.Potential:
    """Turn a log density into minus its values and gradients for all lanes: side by side, or in blocks by turns."""
    one = jax.value_and_grad(lambda z, prepared: -density.log_density(z, prepared))
    if precision == "float32":
        one = _in_single(one, density.size, prepared)
    if not block:
        together: nuts.Potential = jax.vmap(one, in_axes=(1, -1), out_axes=(0, 1))
        return together

    def by_turns(z: jax.Array, data: Arrays) -> tuple[jax.Array, jax.Array]:
        width = z.shape[1]
        blocks = -(-width // block)

        def cut(lanes: jax.Array) -> jax.Array:
            spare = [(0, blocks * block - width)] + [(0, 0)] * (lanes.ndim - 1)
            return jnp.pad(lanes, spare, mode="edge").reshape(blocks, block, *lanes.shape[1:])

        def turn(lanes: tuple[jax.Array, Arrays]) -> tuple[jax.Array, jax.Array]:
            # a compiler that merges the few turns of a narrow fleet with what is around them would round otherwise
            found: tuple[jax.Array, jax.Array] = jax.vmap(one)(*lax.optimization_barrier(lanes))
            values, gradients = lax.optimization_barrier(found)
            return values, gradients

        values, gradients = lax.map(turn, (cut(z.T), tuple(map(cut, data))))
        return values.reshape(-1)[:width], gradients.reshape(-1, z.shape[0])[:width].T

    return by_turns


def block_of(prepared: tuple[jax.ShapeDtypeStruct, ...]) -> int:
    """Say how many lanes fill the vector units and the cache of a core, 0 if their data are few."""
    largest = max((one.size for one in prepared), default=0)
    if jax.default_backend() != "cpu" or largest < LARGE:
        return 0
    return max(1, min(BLOCK, BLOCK_ELEMENTS // largest))


def _in_single(
    one: Callable[..., Any], size: int, prepared: tuple[jax.ShapeDtypeStruct, ...]
) -> Callable[[jax.Array, Arrays], tuple[jax.Array, jax.Array]]:
    """Compute a density and its gradient in single precision, constants included; positions stay in double.

    Energies are sums over all observations, so that their rounding is absolute: about 1e-7 of the log density.
    """

    def narrow(array: Any) -> Any:
        return array.astype(NARROW.get(array.dtype.name, array.dtype))

    shapes = [jax.ShapeDtypeStruct((size,), np.float32)]
    shapes += [jax.ShapeDtypeStruct(p.shape, NARROW.get(p.dtype.name, p.dtype)) for p in prepared]
    with jax.enable_x64(False), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Explicitly requested dtype .*64")
        traced = jax.make_jaxpr(lambda z, *data: one(z, data))(*shapes)

    def single(z: jax.Array, data: Arrays) -> tuple[jax.Array, jax.Array]:
        value, gradient = jax.core.eval_jaxpr(traced.jaxpr, traced.consts, narrow(z), *map(narrow, data))
        return value.astype(np.float64), gradient.astype(np.float64)

    return single


def _open(density: Density, chains: int, seed: jax.Array, own: jax.Array, arguments: Arrays) -> tuple[Any, ...]:
    """Find for each chain the first start with a finite log density and gradient, and prepare the arguments."""
    prepared = density.prepare(arguments)
    starts = own
    if density.start is not None:
        stream = streams.chain_key(seed, jnp.arange(chains), JITTER)
        counter = jnp.arange(ATTEMPTS * density.size, dtype=jnp.uint64)
        jitter = streams.uniforms(stream[:, None], counter).reshape(-1, density.size)
        starts = jax.vmap(density.start, in_axes=(0, None))(jitter, arguments)
    values, gradients = jax.vmap(jax.value_and_grad(density.log_density), in_axes=(0, None))(starts, prepared)
    known, sloped = jnp.isfinite(values), jnp.isfinite(gradients).all(1)
    good, blind = ((known & one).reshape(chains, -1) for one in (sloped, ~sloped))
    first = starts.reshape(chains, -1, density.size)[jnp.arange(chains), good.argmax(1)]
    return first, good.any(1), streams.chain_key(seed, jnp.arange(chains), TRANSITIONS), prepared, blind.any(1)


def describer(
    density: Density, make: Callable[..., Any], draws: jax.ShapeDtypeStruct, *shapes: Any
) -> Callable[..., Any]:
    """Compile what describes draws, with Deterministics or, for draws at which one of these raises, without.

    Draws are described in blocks, so that neither what comes of a block nor what is needed on the way is large: for a
    Gaussian process a draw needs matrices of the squared number of its observations. The blocks follow from the
    compiled program alone, and not from the memory that a machine has.

    Parameters
    ----------
    density
        What the draws are of.
    make
        ``(density, z, ...)`` to arrays whose first axis is the draws (`describe`).
    draws
        Shape of z.
    shapes
        Of its other arguments.
    """
    whole, size = _in_memory(partial(make, density), draws, shapes)
    few = partial(make, density.without_deterministics())

    def described(z: Any, *given: Any) -> Any:
        try:
            return _by_blocks(whole, size, z, given)
        except Exception as error:
            if not density.deterministics:
                raise
            try:
                return _by_blocks(jax.jit(few), size, z, given)
            except Exception:  # noqa: BLE001 - what fails is no Deterministic
                raise error from None

    return described


def _in_memory(
    make: Callable[..., Any], draws: jax.ShapeDtypeStruct, shapes: tuple[Any, ...]
) -> tuple[Callable[..., Any], int]:
    """Compile for as many draws as are described within `DESCRIBED_BYTES`; the second value is their number."""
    total = draws.shape[0]
    found = jax.tree.leaves(jax.eval_shape(make, draws, *shapes))
    size = even(total, sum(leaf.size * leaf.dtype.itemsize for leaf in found))
    while True:
        block = jax.ShapeDtypeStruct((size, *draws.shape[1:]), draws.dtype)
        compiled = jax.jit(make).lower(block, *shapes).compile()
        less = even(size, _on_the_way(compiled))
        if less == size:
            return compiled, size
        size = less


def even(count: int, size: int) -> int:
    """Cut things of so many bytes together into blocks of about equal length, each within `DESCRIBED_BYTES`."""
    most = max(1, min(count, count * DESCRIBED_BYTES // max(size, 1)))
    return -(-count // -(-count // most))


def _on_the_way(compiled: Any) -> int:
    """Bytes that a compiled function needs beside its arguments and results; 0 where XLA does not say."""
    analysis = compiled.memory_analysis()
    return int(getattr(analysis, "temp_size_in_bytes", 0) or 0)


def _by_blocks(make: Callable[..., Any], size: int, z: Any, given: tuple[Any, ...]) -> Any:
    """Describe draws in blocks of one length, the last of which is filled up with its last draw."""
    total = len(z)
    if total == size:
        return jax.block_until_ready(make(z, *given))
    found: dict[int, np.ndarray] = {}
    form = None
    for start in range(0, total, size):
        block = np.asarray(z[start : start + size])
        filled = np.concatenate([block, np.repeat(block[-1:], size - len(block), axis=0)])
        leaves, form = jax.tree.flatten(jax.block_until_ready(make(filled, *given)))
        if not found:
            found = empty({i: ((total, *leaf.shape[1:]), leaf.dtype) for i, leaf in enumerate(leaves)})
        for i, leaf in enumerate(leaves):
            found[i][start : start + len(block)] = np.asarray(leaf)[: len(block)]
            let_go(found[i])
    return jax.tree.unflatten(form, [found[i] for i in range(len(found))])


def describe(density: Density, z: jax.Array, arguments: Arrays) -> tuple[Arrays, Arrays]:
    """Work the variables and the pointwise log-likelihood out for draws (draw, n), in the density's order."""
    variables = jax.vmap(density.constrain, in_axes=(0, None))(z, arguments)
    terms = jax.vmap(density.log_likelihood, in_axes=(0, None))(z, arguments)
    return tuple(variables[name] for name in density.variables), tuple(terms[name] for name in density.observed)


def _stage(kernel: nuts.Kernel, width: int, prepared: tuple[jax.ShapeDtypeStruct, ...], block: int) -> Stage:
    begin = time.perf_counter()
    iterations = int(np.clip(CHUNK_BYTES // (8 * kernel.size * width), 16, CHUNK))
    data = tuple(jax.ShapeDtypeStruct((width, *one.shape), one.dtype) for one in prepared)
    z = jax.ShapeDtypeStruct((kernel.size, width), np.float64)
    key = jax.ShapeDtypeStruct((width,), np.uint64)
    taken = jax.ShapeDtypeStruct((width,), np.bool_)

    def arranged(data: Arrays) -> Arrays:
        return data if block else tuple(jnp.moveaxis(one, 0, -1) for one in data)

    def begin_all(z: jax.Array, key: jax.Array, taken: jax.Array, data: Arrays) -> Lanes:
        return nuts.begin(kernel, z, key, taken, arranged(data))

    state = jax.eval_shape(begin_all, z, key, taken, data)

    def load(state: Lanes, z: jax.Array, key: jax.Array, taken: jax.Array, data: Arrays) -> Lanes:
        return nuts.refill(state, begin_all(z, key, taken, data), taken)

    def chunk(state: Lanes, data: Arrays) -> tuple[Lanes, Transition]:
        return nuts.run(kernel, state, arranged(data), iterations)

    def blank() -> Lanes:
        zeros: Lanes = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), state)
        return zeros._replace(transition=zeros.transition + kernel.transitions)

    loaded = jax.jit(load, donate_argnums=0).lower(state, z, key, taken, data).compile()
    chunked = jax.jit(chunk, donate_argnums=0).lower(state, data).compile()
    return Stage(width, loaded, chunked, blank, time.perf_counter() - begin)
