"""Models of which some step after drawing cannot be done, or fails, and a sampler that draws their posteriors."""

import numpy as np
import pymc as pm
import pytensor.tensor as pt
from pytensor.compile.ops import wrap_py
from pytensor.graph.basic import Apply
from pytensor.graph.op import Op
from pytensor.link.jax.dispatch import jax_funcify

from bayesrun.samplers import groups
from bayesrun.types import Dataset

VERSION = 1
KIND = "mcmc"
DISCRETE = False


def sample(build, datasets, seeds, options):
    """Draw theta of a normal mean around the mean of y."""
    from fake_samplers import calls  # noqa: F401  (the log has the same form)

    for dataset, seed in zip(datasets, seeds, strict=True):
        with open(options.extra["log"], "a") as file:
            file.write(f"{seed}\n")
        rng = np.random.default_rng(seed)
        shape = (options.chains, options.draws)
        theta = dataset["y"].mean() + rng.standard_normal(shape) / np.sqrt(len(dataset["y"]))
        yield groups.tree(
            build(dataset), {"theta": theta}, {"lp": rng.standard_normal(shape)}, {"sampling_seconds": 0.1}
        )


def _coords(data: Dataset) -> dict:
    return {"obs": data.coords["obs"]}


def flat(data: Dataset, **_) -> pm.Model:
    """An improper prior, from which nothing can be drawn."""
    with pm.Model(coords=_coords(data)) as model:
        theta = pm.Flat("theta")
        pm.Normal("y", theta, 1.0, observed=data["y"], dims="obs")
    return model


def density_only(data: Dataset, **_) -> pm.Model:
    """A likelihood that only has a density."""

    def density(value, mu):
        return -0.5 * (value - mu) ** 2 - 0.9189385332046727

    with pm.Model(coords=_coords(data)) as model:
        theta = pm.Normal("theta", 0.0, 2.0)
        pm.CustomDist("y", theta, logp=density, observed=data["y"], dims="obs")
    return model


def sometimes(data: Dataset, **_) -> pm.Model:
    """Its scale is negative at some draws, which a density puts down to an impossible value and drawing refuses."""
    with pm.Model(coords=_coords(data)) as model:
        theta = pm.Normal("theta", 0.0, 2.0)
        pm.Normal("y", 0.0, theta, observed=data["y"], dims="obs")
    return model


@wrap_py(itypes=[pt.dscalar], otypes=[pt.dscalar])
def _raises(value):
    raise ValueError(f"not at {value:g}")


def deterministic_raises(data: Dataset, **_) -> pm.Model:
    """One of its Deterministics raises."""
    with pm.Model(coords=_coords(data)) as model:
        theta = pm.Normal("theta", 0.0, 2.0)
        pm.Deterministic("odd", _raises(theta))
        pm.Deterministic("double", 2.0 * theta)
        pm.Normal("y", theta, 1.0, observed=data["y"], dims="obs")
    return model


class Picky(Op):
    """The value itself, unless it is above a bound, which raises; by a callback of JAX where it has a form in JAX."""

    __props__ = ("bound",)

    def __init__(self, bound: float) -> None:
        self.bound = bound

    def make_node(self, value):
        return Apply(self, [value], [pt.dscalar()])

    def perform(self, node, inputs, outputs) -> None:
        outputs[0][0] = self.checked(inputs[0])

    def checked(self, value):
        if float(value) > self.bound:
            raise ValueError(f"not at {float(value):g}")
        return np.asarray(value, dtype=np.float64)


class PickyInJax(Picky):
    """The same with a form in JAX."""


@jax_funcify.register(PickyInJax)
def _picky_in_jax(op, **_):
    import jax

    def function(value):
        return jax.pure_callback(op.checked, jax.ShapeDtypeStruct((), np.float64), value, vmap_method="sequential")

    return function


def picky(data: Dataset, *, bound: float, op: type[Picky] = Picky) -> pm.Model:
    """One of its Deterministics raises at draws of theta that are above a bound."""
    with pm.Model(coords=_coords(data)) as model:
        theta = pm.Normal("theta", 0.0, 2.0)
        scale = pm.HalfNormal("scale", 2.0)
        pm.Deterministic("odd", op(bound)(theta))
        pm.Deterministic("double", 2.0 * theta)
        pm.Normal("y", theta, scale, observed=data["y"], dims="obs")
    return model


def deterministic_nan(data: Dataset, **_) -> pm.Model:
    """One of its Deterministics is no number at some draws."""
    with pm.Model(coords=_coords(data)) as model:
        theta = pm.Normal("theta", 0.0, 2.0)
        pm.Deterministic("odd", pt.sqrt(theta - 1.0))
        pm.Deterministic("double", 2.0 * theta)
        pm.Normal("y", theta, 1.0, observed=data["y"], dims="obs")
    return model
