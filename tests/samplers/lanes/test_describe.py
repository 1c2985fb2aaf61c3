"""Draws are described in blocks whose size follows from what one draw needs, and whose results do not follow it."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bayesrun.base.large_arrays import kept_in
from bayesrun.samplers.lanes import program
from bayesrun.samplers.lanes.engine import prepare_jax

prepare_jax()


@dataclass(frozen=True)
class Derived:
    """What a density says of its Deterministics."""

    deterministics: tuple[str, ...] = ()

    def without_deterministics(self):
        return self


def matrices(_, z, length):
    """A number for each draw, for which a matrix of 300 x 300 is needed, as of a Gaussian process."""
    points = jnp.arange(300.0)

    def one(draw):
        distance = jnp.abs(points[:, None] - points) * length
        return jnp.linalg.slogdet(jnp.exp(-distance * draw[0]) + jnp.eye(300))[1]

    return (jax.vmap(one)(z),)


def rows(_, z, slope):
    """Numbers of each row for each draw."""
    return z[:, :1] + slope * z[:, 1:2] * jnp.linspace(0.0, 1.0, 5000), z.sum(axis=1)


def shapes(draws):
    return jax.ShapeDtypeStruct((draws, 2), np.float64), jax.ShapeDtypeStruct((), np.float64)


@pytest.mark.parametrize(
    ("total", "size", "wanted"),
    [(4000, 1000, 4000), (4000, program.DESCRIBED_BYTES * 3, 1000), (7, 2**60, 1), (1, 1, 1)],
)
def test_blocks_are_even_and_small_enough(total, size, wanted):
    found = program.even(total, size)
    assert found == wanted
    assert found == 1 or size * found / total <= program.DESCRIBED_BYTES


def test_draws_that_need_large_matrices_are_few_together():
    compiled, size = program._in_memory(lambda z, a: matrices(None, z, a), *_of(10_000))
    assert 1 <= size <= program.DESCRIBED_BYTES // (8 * 300 * 300)
    assert program._on_the_way(compiled) <= program.DESCRIBED_BYTES


def _of(draws):
    first, *others = shapes(draws)
    return first, tuple(others)


def test_blocks_give_what_all_draws_together_give(tmp_path, monkeypatch):
    z, slope = np.random.default_rng(3).normal(size=(4001, 2)), np.float64(0.7)
    described = program.describer(Derived(), rows, *shapes(4001))
    with kept_in(tmp_path):
        found = described(z, slope)
    monkeypatch.setattr(program, "DESCRIBED_BYTES", 2**40)
    whole = program.describer(Derived(), rows, *shapes(4001))(z, slope)
    for ours, theirs in zip(found, whole, strict=True):
        assert isinstance(ours, np.ndarray)
        np.testing.assert_array_equal(ours, np.asarray(theirs))
