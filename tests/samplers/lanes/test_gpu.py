"""The same program on a GPU: JAX_PLATFORMS=cuda pytest -m gpu tests/samplers/lanes/test_gpu.py."""

import jax
import numpy as np
import pytest

from bayesrun.samplers import numpyro
from bayesrun.types import SamplerOptions
from conjugate_models import FIRST, SECOND, conjugate, exact
from eight_schools import eight_schools, simulated
from model_oracles import assert_moments

pytestmark = pytest.mark.gpu


def test_draws_are_from_the_posterior():
    assert jax.default_backend() == "gpu"
    options = SamplerOptions(draws=500, tune=500, chains=4, batch_size=64)
    datasets = [FIRST, SECOND] * 32
    trees = dict(numpyro.fits(conjugate, datasets, range(64), options))
    assert len(trees) == 64
    for index, data in ((0, FIRST), (63, SECOND)):
        mean, sd, _ = exact(data)
        assert_moments(trees[index], {"theta": (mean, sd)})


def test_a_thousand_fits_of_eight_schools_stay_within_memory():
    options = SamplerOptions(draws=500, tune=500, chains=4, batch_size=1000, target_accept=0.8)
    found = dict(numpyro.fits(eight_schools, simulated(1000), range(1000), options))
    assert len(found) == 1000
    assert np.isfinite([float(tree["posterior"]["mu"].mean()) for tree in found.values()]).all()
    peak = jax.devices()[0].memory_stats()["peak_bytes_in_use"]
    assert peak < 4 * 2**30
