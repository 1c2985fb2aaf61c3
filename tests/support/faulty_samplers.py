"""Faults planted on purpose: a model with too small an error, and samplers that shift draws or ignore the data."""

from collections.abc import Iterator

import numpy as np
import pymc as pm

from bayesrun.models import hierarchical
from bayesrun.samplers import numpyro
from bayesrun.types import Dataset

VERSION = 1
KIND = "nuts"
DISCRETE = False
OPTIONS = numpyro.OPTIONS
SHIFT = 0.2


def narrow(data: Dataset, *, share: float = 0.8) -> pm.Model:
    """Eight schools whose standard errors are a share of what they are."""
    return hierarchical.build(Dataset({**data.arrays, "sigma": share * data["sigma"]}, data.dims, data.coords))


def sample(build, datasets, seeds, options) -> Iterator:
    """One fit after another, as every sampler has it."""
    for _, tree in fits(build, list(datasets), list(seeds), options):
        yield tree


def fits(build, datasets, seeds, options, *, alike=False, timeout=None):
    """Draw with numpyro; ``extra: {fault: shifted}`` moves every draw by 0.2 SD, ``prior`` draws from the prior."""
    import dataclasses

    fault = options.extra["fault"]
    honest = dataclasses.replace(options, extra={})
    for index, tree in numpyro.fits(build, datasets, seeds, honest, alike=alike, timeout=timeout):
        posterior = tree["posterior"].to_dataset()
        if fault == "shifted":
            posterior = posterior + SHIFT * posterior.std(["chain", "draw"])
        else:
            posterior = _of_prior(build(datasets[index]), posterior, seeds[index])
            with build(datasets[index]):
                terms = pm.compute_log_likelihood(_tree(posterior), extend_inferencedata=False, progressbar=False)
            tree["log_likelihood"] = type(tree)(terms)
        tree["posterior"] = type(tree)(posterior)
        yield index, tree


def _tree(posterior):
    import xarray as xr

    return xr.DataTree.from_dict({"posterior": posterior})


def _of_prior(model, posterior, seed):
    shape = (posterior.sizes["chain"], posterior.sizes["draw"])
    names = list(posterior.data_vars)
    drawn = pm.draw([model[name] for name in names], draws=shape[0] * shape[1], random_seed=seed)
    values = {
        name: (posterior[name].dims, np.reshape(v, posterior[name].shape)) for name, v in zip(names, drawn, strict=True)
    }
    return posterior.assign(values)
