"""Random numbers of a chain as a pure function of its key and a counter; there is no state to carry or share.

The generator is SplitMix64 (Steele, Lea, Flood 2014, doi:10.1145/2660193.2660195). A chain's key is a hash of the
seed of its fit and its own number, so that the batch it runs in changes none of its numbers.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

__all__ = ["bits", "chain_key", "normals", "split_bits", "uniforms"]

GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def _mix(x: jax.Array) -> jax.Array:
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def chain_key(seed: jax.Array, chain: jax.Array, purpose: int) -> jax.Array:
    """Hash a fit's seed, a chain's number and a purpose to the key of a stream, uint64."""
    key = jnp.zeros((), jnp.uint64)
    for word in (seed, chain, purpose):
        key = _mix((key ^ jnp.asarray(word).astype(jnp.uint64)) + GOLDEN)
    return key


def bits(key: jax.Array, counter: jax.Array) -> jax.Array:
    """Return 64 random bits for each pair of key and counter."""
    return _mix(key + (counter + np.uint64(1)) * GOLDEN)


def split_bits(random: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Cut 64 bits into two uniforms on [0, 1) with 31 bits each, and a coin."""
    scale = jnp.result_type(float).type(2.0**-31)
    first = (random >> np.uint64(33)).astype(jnp.uint32).astype(scale.dtype) * scale
    second = ((random >> np.uint64(1)) & np.uint64(0x7FFFFFFF)).astype(jnp.uint32).astype(scale.dtype) * scale
    return first, second, (random & np.uint64(1)) == 1


def uniforms(key: jax.Array, counter: jax.Array) -> jax.Array:
    """Return uniforms on [-1, 1), with 53 bits."""
    return (bits(key, counter) >> np.uint64(11)).astype(jnp.int64).astype(jnp.float64) * 2.0**-52 - 1.0


def normals(key: jax.Array, counter: jax.Array, size: int) -> jax.Array:
    """Draw standard normals by inversion in single precision.

    The 2**24 equally likely values are symmetric about 0 and reach 5.4: enough for a momentum, whose distribution
    needs no more than to be the one that the energy is computed from up to rounding.

    Parameters
    ----------
    key, counter
        Of each lane, shape (L,); counter, counter + 1, ... are used, `size` of them.

    Returns
    -------
    jax.Array
        Shape (size, L), in the default precision.
    """
    steps = jnp.arange(size, dtype=jnp.uint64)[:, None]
    random = bits(key, counter + steps) >> np.uint64(40)
    centred = random.astype(jnp.int32).astype(jnp.float32) * np.float32(2**-23) + np.float32(2**-24 - 1)
    return (np.float32(np.sqrt(2.0)) * jax.lax.erf_inv(centred)).astype(jnp.result_type(float))
