"""Models of one parameter, for tests of what happens around a fit."""

from pathlib import Path

import numpy as np
import pymc as pm

from bayesrun.store.folder import Store
from bayesrun.types import Batch, Dataset, DiagnosticsOptions, FitSpec, Resources, SamplerOptions, Steps, Target

DATA = Dataset({"y": np.array([0.3, 1.9, -0.4, 2.2, 1.1])}, coords={"obs": tuple("abcde")}, dims={"y": ("obs",)})
NO_STEPS = Steps(prior_predictive=False, posterior_predictive=False, log_likelihood=False, figures=False)


def build(data: Dataset, scale: float = 2.0) -> pm.Model:
    """theta ~ N(0, scale), y ~ N(theta, 1)."""
    with pm.Model(coords={"obs": data.coords["obs"]}) as model:
        theta = pm.Normal("theta", 0.0, scale)
        pm.Deterministic("double", 2.0 * theta)
        pm.Normal("y", theta, 1.0, observed=data["y"], dims="obs")
    return model


def spec(key: str = "k0", steps: Steps = NO_STEPS, options: SamplerOptions | None = None, **fields) -> FitSpec:
    """The recipe of a fit of `build` by the fake sampler; `extra` are the sampler's."""
    extra = fields.pop("extra", {})
    return FitSpec(
        **{
            "key": key,
            "cell": f"tiny/{key}",
            "replicate": 0,
            "fit_seed": 7,
            "data_hash": DATA.digest(),
            "observed_hash": "o0",
            "model": Target("tiny", "tiny_models.build", {"scale": 2.0}),
            "sampler": Target("fake", "fake_samplers.sample"),
            "options": options or SamplerOptions(draws=50, chains=2, extra=extra),
            "steps": steps,
            "diagnostics": DiagnosticsOptions(),
        }
        | fields
    )


def batch(*specs: FitSpec, timeout: float | None = None, **resources: float) -> Batch:
    """A batch of fits."""
    return Batch(specs, Resources(**resources), timeout)


def rare(data: Dataset) -> pm.Model:
    """Counts that are often all zero: theta ~ N(-1, 1), y ~ Poisson(exp(theta))."""
    with pm.Model(coords={"obs": data.coords["obs"]}) as model:
        theta = pm.Normal("theta", -1.0, 1.0)
        pm.Poisson("y", pm.math.exp(theta), observed=data["y"], dims="obs")
    return model


def stored(folder: Path, dataset: Dataset = DATA) -> Store:
    """A study's folder that holds a dataset."""
    found = Store(folder / "study")
    found.prepare()
    found.write_data(dataset)
    return found
