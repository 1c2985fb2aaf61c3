"""Real datasets of unequal length share a density where that is each one's own, and nowhere else."""

from dataclasses import replace
from functools import partial

import jax
import numpy as np
import pymc as pm
import pytest
import xarray as xr

import models_of_rows as rows_in
from bayesrun.errors import FitError
from bayesrun.samplers import advi_jax, numpyro
from bayesrun.samplers.lanes import padding, sharing
from bayesrun.samplers.lanes.agreement import REFERENCE, AnotherDensity, by_itself, quick
from bayesrun.samplers.lanes.alone import alone_of
from bayesrun.samplers.lanes.program import describe, program
from bayesrun.samplers.lanes.same_form import fit_groups
from bayesrun.samplers.lanes.sharing import member, padded, shared_density
from bayesrun.types import Dataset, SamplerOptions
from models_of_rows import rows

pytestmark = [
    pytest.mark.filterwarnings("ignore:PyTensor could not link to a BLAS installation:UserWarning"),
    pytest.mark.filterwarnings("ignore::pymc.exceptions.ImputationWarning"),
    pytest.mark.usefixtures("double_precision", "quick_compilation"),
]

DATASETS = [rows(20), rows(33), rows(50)]
OPTIONS = SamplerOptions(draws=150, tune=150, chains=2, batch_size=3)


def members_of(build, datasets):
    return [member(build, index, data, index, None) for index, data in enumerate(datasets)]


def agreeing(density, members):
    describing = jax.jit(partial(describe, density), compiler_options=quick())
    return alone_of(density, members, partial(by_itself, density), describing)


REST = ("student_t", "weighted", "on_the_row_before")
NAMES = [pytest.param(name, marks=pytest.mark.slow) if name in REST else name for name in rows_in.BY_THEMSELVES]


@pytest.mark.parametrize("name", NAMES)
def test_a_padded_density_is_the_own_one_of_each_dataset(name):
    """Value and gradient are PyMC's of the model without padded rows."""
    build = rows_in.BY_THEMSELVES[name]
    members = padded(build, members_of(build, DATASETS))
    assert [one.padding.further for one in members] == [44, 31, 14]
    (group,) = sharing.sharing(members)
    density = shared_density(build, group)
    found = agreeing(density, members)
    assert sorted(found) == [0, 1, 2]
    model, z = members[1].surveyed.model, found[1].points[0]
    (value,), (gradient,) = by_itself(density, members[1].arguments(density))(z[None])
    if np.isnan(gradient).any():  # which a bound at infinity does alone too
        _, (gradient,) = by_itself(density.second(), members[1].arguments(density))(z[None])
    point = dict(zip(model.initial_point(0), parts(model, z), strict=True))
    expected = model.compile_fn([model.logp(), model.dlogp()], mode=REFERENCE)(point)
    np.testing.assert_allclose([value, *gradient], np.r_[expected[0], expected[1]], rtol=1e-10, atol=1e-10)


def parts(model, z):
    shapes = [np.shape(value) for value in model.initial_point(0).values()]
    pieces = np.split(z, np.cumsum([int(np.prod(shape)) for shape in shapes])[:-1])
    return [piece.reshape(shape) for piece, shape in zip(pieces, shapes, strict=True)]


@pytest.mark.parametrize("name", list(rows_in.BY_MORE))
def test_rows_that_enter_by_more_than_terms_of_their_own_share_no_density(name):
    build = rows_in.BY_MORE[name]
    members = padded(build, members_of(build, DATASETS[:2]))
    groups = sharing.sharing(members)
    if len(groups) == 1:
        with pytest.raises(FitError, match="by more than terms of their own"):
            shared_density(build, members)
    assert len(sharing.sharing([one.narrower if one.padding else one for one in members])) == 2


def test_what_is_stored_is_of_the_real_rows(compilations):
    """One program for two lengths; dims, labels and terms are those of each dataset, and so is the posterior."""
    datasets = DATASETS[:2]
    before = program.cache_info().misses
    found = dict(numpyro.fits(rows_in.linear, datasets, range(2), OPTIONS))
    assert program.cache_info().misses == before + 1
    (alone,) = numpyro.sample(rows_in.linear, datasets[:1], [0], OPTIONS)
    for group in ("observed_data", "constant_data"):
        xr.testing.assert_equal(found[0][group].to_dataset(), alone[group].to_dataset())
    for index, data in enumerate(datasets):
        posterior, terms = found[index]["posterior"], found[index]["log_likelihood"]["y_obs"]
        assert posterior["mu"].sizes["obs"] == terms.sizes["obs"] == len(data["y"])
        assert list(terms["obs"].values) == list(data.coords["obs"])
        z = (data["y"] - posterior["mu"]) / posterior["sigma"]
        expected = -0.5 * z**2 - np.log(posterior["sigma"]) - 0.5 * np.log(2.0 * np.pi)
        np.testing.assert_allclose(terms, expected.transpose(*terms.dims), rtol=1e-10)
    for name in ("beta", "sigma"):
        one, other = (tree["posterior"][name].values.reshape(300, -1) for tree in (found[0], alone))
        error = np.sqrt((one.var(axis=0) + other.var(axis=0)) / 75.0)  # of at least 75 independent draws
        assert (np.abs(one.mean(axis=0) - other.mean(axis=0)) < 4.0 * error).all()


def far_from_the_start(data):
    """Rows enter by more than their terms where the mean is large, as it is in the posterior alone."""
    with pm.Model() as model:
        mean = pm.Normal("mean", 0.0, 10.0)
        y = pm.Data("y", data["y"])
        pm.Potential("more", pm.math.switch(mean > 8.0, -0.01 * y.sum() * mean, 0.0))
        pm.Normal("y_obs", mean, 1.0, observed=data["y"])
    return model


def test_a_dataset_whose_draws_went_where_it_differs_is_fitted_by_its_own_program():
    datasets = [Dataset({"y": rows(n)["y"] + 20.0}) for n in (20, 33)]
    members = padded(far_from_the_start, members_of(far_from_the_start, datasets))
    assert len(agreeing(shared_density(far_from_the_start, members), members)) == 2
    found = dict(numpyro.fits(far_from_the_start, datasets, range(2), OPTIONS))
    for index, data in enumerate(datasets):
        (alone,) = numpyro.sample(far_from_the_start, [data], [index], OPTIONS)
        xr.testing.assert_equal(found[index]["posterior"].to_dataset(), alone["posterior"].to_dataset())


def large_values(data):
    """How many rows are large is part of the prior: that differs where the last row, which is copied, is one."""
    with pm.Model() as model:
        x = pm.Data("x", data["x"])
        pm.Normal("y_obs", pm.Normal("mean", 0.01 * (x > 2.0).sum(), 1.0), 1.0, observed=data["y"])
    return model


def test_one_dataset_that_differs_leaves_the_others_together():
    """By where chains start it is known, so that it takes no lane of theirs."""
    rng = np.random.default_rng(5)
    datasets = [
        Dataset({"x": np.r_[rng.normal(size=n - 1), 3.0 * last], "y": rng.normal(size=n)})
        for n, last in ((20, 0.0), (30, 1.0), (40, 0.0))
    ]
    members = padded(large_values, members_of(large_values, datasets))
    density = shared_density(large_values, members)
    assert sorted(agreeing(density, members)) == [0, 2]

    def fit(density, members, seconds):
        known = agreeing(density, members)
        yield from ((m.index, len(members) if m.index in known else AnotherDensity("another")) for m in members)

    found = fit_groups(large_values, datasets, range(3), fit, like=None, lengthen=True)
    assert sorted(found) == [(0, 3), (1, 1), (2, 3)]


def test_datasets_of_one_length_or_with_nothing_to_share_are_left_as_they_are():
    equal = members_of(rows_in.linear, [rows(20, 1), rows(20, 2)])
    assert [one.padding for one in padded(rows_in.linear, equal)] == [None, None]
    far = members_of(rows_in.linear, [rows(20), rows(80)])
    assert [one.padding for one in padded(rows_in.linear, far)] == [None, None]


def test_datasets_that_are_as_long_as_others_are_padded_to_have_a_density_of_their_own():
    """Theirs takes no rows out."""
    (equal, *_) = members_of(rows_in.linear, [rows(64, 1), rows(64, 2)])
    (long, *_) = padded(rows_in.linear, members_of(rows_in.linear, DATASETS))
    assert long.padding.surveyed.form == equal.surveyed.form
    assert long.program != equal.program


def test_a_large_array_is_not_padded():
    """It is a constant of its density (`graphs.MOST_ELEMENTS`), which no other dataset has."""
    long = members_of(rows_in.linear, [rows(2100), rows(2200)])
    assert [one.padding for one in padded(rows_in.linear, long)] == [None, None]


@pytest.mark.parametrize(("n", "length"), [(2, 64), (63, 64), (64, 96), (95, 96), (96, 128), (500, 512), (512, 768)])
def test_the_length_follows_from_the_rows_alone(n, length):
    assert padding.padded_length(n) == length


def test_rows_are_what_all_arrays_agree_on():
    assert padding.rows_of(rows(7)) == 7
    assert padding.rows_of(Dataset({"y": np.zeros(3), "x": np.zeros(4)})) is None
    assert padding.rows_of(Dataset({})) is None
    assert padding.rows_of(Dataset({"y": np.zeros((2, 5))}, dims={"y": ("time", "obs")})) == 5


def test_numbers_worked_out_of_the_data_stay_those_of_the_dataset():
    """The scale of a prior and centred covariates are not those of the padded rows."""
    data = rows(20)
    (one, _) = padded(rows_in.linear, members_of(rows_in.linear, DATASETS[:2]))
    by_shape = {value.shape: value for value in one.padding.values}
    np.testing.assert_array_equal(by_shape[64, 2][:20], data["X"] - data["X"].mean(axis=0))
    assert any(np.array_equal(value, 2.5 * data["y"].std()) for value in one.padding.values)


def test_variational_fits_share_a_density_too():
    datasets, options = DATASETS[:2], replace(OPTIONS, iterations=300)
    found = dict(advi_jax.fits(rows_in.linear, datasets, range(2), options))
    (alone,) = advi_jax.sample(rows_in.linear, datasets[:1], [0], options)
    assert [found[i]["log_likelihood"]["y_obs"].shape for i in range(2)] == [(1, 300, 20), (1, 300, 33)]
    for name in ("beta", "sigma"):
        np.testing.assert_allclose(found[0]["posterior"][name], alone["posterior"][name], rtol=1e-6)
