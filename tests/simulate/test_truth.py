"""What a config may say about the truth, and what it is told when it says something else."""

import numpy as np
import pymc as pm
import pytest
import xarray as xr

from bayesrun.errors import ConfigError
from bayesrun.simulate.truth import PRIOR, Truth, identity, parse_truth, posterior_draws
from bayesrun.simulate.values import fixed_values, given_names
from bayesrun.types import LEFT
from stored_posteriors import write_posterior


@pytest.mark.parametrize("value", [None, "prior"])
def test_the_prior(value):
    assert parse_truth(value) == PRIOR == Truth("prior")


def test_fixed_values_become_floats_so_that_whole_numbers_are_the_same_truth():
    truth = parse_truth({"beta": [1, 0], "sigma": 1, "m": np.array([[1, 2], [3, 4]])})
    assert truth == Truth("fixed", {"beta": [1.0, 0.0], "sigma": 1.0, "m": [[1.0, 2.0], [3.0, 4.0]]})
    assert identity(truth) == identity(parse_truth({"beta": [1.0, 0.0], "sigma": 1.0, "m": [[1, 2], [3, 4]]}))
    assert identity(truth) != identity(parse_truth({"beta": [1.0, 0.1], "sigma": 1.0, "m": [[1, 2], [3, 4]]}))
    assert identity(PRIOR) == {"kind": "prior", "values": {}}


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("priors", "study.truth: got 'priors'; did you mean prior"),
        ("posterior", r"study.truth: got 'posterior'; wanted 'study.truth=\{posterior: PATH\}', where PATH is"),
        ({}, r"study.truth: got \{\}; wanted prior, values such as"),
        (3, "study.truth: got 3; wanted prior"),
        ({"beta": "big"}, "study.truth.beta: got 'big'; wanted a finite number"),
        ({"beta": True}, "study.truth.beta: got True; wanted a finite number"),
        ({"beta": [1.0, float("nan")]}, "study.truth.beta: got nan; wanted a finite number"),
        ({"beta": [[1.0], [1.0, 2.0]]}, "study.truth.beta: got .* wanted lists of equal length"),
        ({"beta": []}, "study.truth.beta: got .* at least one number"),
        ({"posterior": "nowhere.nc"}, "study.truth.posterior: there is no nowhere.nc"),
        ({"posterior": "x.nc", "beta": 1.0}, "got a posterior and values for beta; wanted one of them"),
    ],
)
def test_what_is_refused(value, message):
    with pytest.raises(ConfigError, match=message):
        parse_truth(value)


def test_a_posterior_is_found_in_a_fit_and_in_a_study_of_one_fit(workdir):
    file = write_posterior(workdir / "study" / "fits" / "k1" / "posterior.nc", mu=np.zeros((2, 3)))
    for path in (file, file.parent, "study", workdir / "study"):
        assert parse_truth({"posterior": path}) == Truth("posterior", path=str(file))
    write_posterior(workdir / "study" / "fits" / "k2" / "posterior.nc", mu=np.zeros((2, 3)))
    with pytest.raises(ConfigError, match="study has 2 fits; name the folder of one of them: study/fits/k1, study/fit"):
        parse_truth({"posterior": "study"})
    (workdir / "empty").mkdir()
    with pytest.raises(ConfigError, match=r"empty holds no posterior\.nc"):
        parse_truth({"posterior": "empty"})


def test_a_posterior_is_known_by_the_draws_of_the_free_variables(workdir):
    """Not by the file: another time, tuning or Deterministic is no other truth."""
    draws = np.random.default_rng(1).normal(size=(2, 3, 2))
    one = write_posterior(workdir / "a" / "posterior.nc", mu=draws)
    write_posterior(workdir / "b" / "posterior.nc", mu=draws, double=2 * draws)
    with xr.open_datatree(one) as tree:
        later = tree.load().copy()
    later["posterior"].attrs["created_at"] = "later"
    (workdir / "c").mkdir()
    later.to_netcdf(workdir / "c" / "posterior.nc")
    write_posterior(workdir / "d" / "posterior.nc", mu=draws.reshape(1, 6, 2))
    a, b, c, d = (identity(parse_truth({"posterior": folder}), ["mu"]) for folder in "abcd")
    assert a == b == c == d
    assert one.read_bytes() != (workdir / "c" / "posterior.nc").read_bytes()


def test_other_draws_names_dims_or_labels_are_another_posterior(workdir):
    draws = np.random.default_rng(1).normal(size=(1, 3, 2))
    dims = ("chain", "draw")
    files = [
        xr.Dataset({"mu": ((*dims, "g"), draws)}, coords={"g": ["a", "b"]}),
        xr.Dataset({"mu": ((*dims, "g"), draws)}, coords={"g": ["b", "a"]}),
        xr.Dataset({"mu": ((*dims, "h"), draws)}, coords={"h": ["a", "b"]}),
        xr.Dataset({"mu": ((*dims, "g"), np.nextafter(draws, 9))}, coords={"g": ["a", "b"]}),
        xr.Dataset({"nu": ((*dims, "g"), draws)}, coords={"g": ["a", "b"]}),
    ]
    found = []
    for number, dataset in enumerate(files):
        xr.DataTree.from_dict({"posterior": dataset}).to_netcdf(f"{number}.nc")
        found.append(identity(parse_truth({"posterior": f"{number}.nc"}), list(dataset.data_vars))["content"])
    assert len(set(found)) == len(files)
    truth = parse_truth({"posterior": "0.nc"})
    (workdir / "0.nc").unlink()
    with pytest.raises(ConfigError, match="cannot be read as a posterior"):
        identity(truth, ["mu"])


def test_draws_are_pooled_over_chains(tmp_path):
    beta = np.arange(24.0).reshape(2, 4, 3)
    path = write_posterior(tmp_path / "posterior.nc", beta=beta, mu=beta[:, :, 0])
    found = posterior_draws(path, ["beta"])
    assert list(found) == ["beta"]
    np.testing.assert_array_equal(found["beta"], beta.reshape(8, 3))
    with pytest.raises(ConfigError, match=r"has no betta, tau; did you mean beta\? it has beta, mu"):
        posterior_draws(path, ["betta", "mu", "tau"])
    (tmp_path / "text.nc").write_text("no")
    with pytest.raises(ConfigError, match=r"text\.nc cannot be read as a posterior"):
        posterior_draws(tmp_path / "text.nc", ["mu"])


def test_a_variable_that_was_left_out_is_told_as_such(tmp_path):
    tree = xr.DataTree.from_dict({"posterior": xr.Dataset({"mu": (("chain", "draw"), np.zeros((2, 4)))})})
    tree.attrs[LEFT] = "slope\ntheta"
    tree.to_netcdf(tmp_path / "posterior.nc")
    with pytest.raises(
        ConfigError, match=r"does not hold theta, which output\.keep left out; .*output\.keep=\[theta\]"
    ):
        posterior_draws(tmp_path / "posterior.nc", ["mu", "theta"])
    with pytest.raises(ConfigError, match="has no tau; "):
        posterior_draws(tmp_path / "posterior.nc", ["mu", "tau"])


def test_a_name_may_stand_in_backticks():
    assert parse_truth({"`dose:arm`": 0.3, "1|g_sigma": 1}).values == {"dose:arm": 0.3, "1|g_sigma": 1.0}


def test_values_of_elements_go_to_their_own_labels():
    with pm.Model(coords={"g": ["b", "a", "(0, 1]"], "k": [1, 2]}) as model:
        pm.Normal("mu", dims=("g", "k"))
        pm.Normal("dose:arm[treated]")
        pm.Normal("s")
    given = {f"mu[{g}, {k}]": 10.0 * place + k for place, g in enumerate(["a", "b", "(0, 1]"]) for k in (1, 2)}
    truth = parse_truth({**given, "`dose:arm[treated]`": 3})
    assert given_names(truth, model) == ["mu", "dose:arm[treated]"]
    values = fixed_values(truth, model)
    np.testing.assert_array_equal(values["mu"], [[11, 12], [1, 2], [21, 22]])
    assert values["dose:arm[treated]"] == 3
    for wrong, message in {
        ("mu[a, 1]",): r"no value for mu\[b, 1\], mu\[b, 2\], mu\[a, 2\], .*; wanted one for each element",
        ("mu[c, 1]",): r"mu has no such element; did you mean .* it has mu\[b, 1\], ",
        ("mu", "mu[a, 1]"): r"got values for mu and for mu\[a, 1\]; wanted one of them",
        ("nu[a]",): r"has no free variable 'nu\[a\]'",
    }.items():
        with pytest.raises(ConfigError, match=message):
            given_names(parse_truth(dict.fromkeys(wrong, 1.0)), model)
