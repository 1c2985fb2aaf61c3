"""The tree that is read is the tree that was written, by xarray, and by ArviZ."""

import arviz as az
import numpy as np
import pandas as pd
import pytest
import xarray as xr

from bayesrun.base.large_arrays import in_file, kept_in
from bayesrun.store.posterior_file import read_tree, write_tree
from fake_trees import fake_tree


def read(path):
    with xr.open_datatree(path, engine="netcdf4") as tree:
        return tree.load()


@pytest.mark.parametrize("kind", ["nuts", "variational"])
def test_the_same_tree_comes_back(kind, tmp_path):
    tree = fake_tree(kind=kind, divergent=3)
    tree.attrs |= {"sampler": "nuts", "sampling_seconds": 0.25, "sampler_version": 3}
    tree["posterior"].attrs["note"] = "µ"
    write_tree(tree, tmp_path / "own.nc")
    tree.to_netcdf(tmp_path / "theirs.nc", engine="netcdf4")
    own, theirs = read(tmp_path / "own.nc"), read(tmp_path / "theirs.nc")
    assert dict(own.attrs) == dict(theirs.attrs)
    assert set(own.children) == set(tree.children)
    for name in tree.children:
        xr.testing.assert_identical(own[name].to_dataset(), theirs[name].to_dataset())
        assert {k: v.dtype for k, v in own[name].data_vars.items()} == {
            k: v.dtype for k, v in theirs[name].data_vars.items()
        }
    if kind == "nuts":
        assert az.ess(az.from_netcdf(tmp_path / "own.nc"))["mu"] == az.ess(tree)["mu"]


def test_what_it_does_not_know_is_left_to_xarray(tmp_path):
    dates = np.array(["2020-01-01", "2020-01-02"], dtype="datetime64[ns]")
    tree = xr.DataTree.from_dict({"observed_data": xr.Dataset({"y": ("time", [1.0, 2.0])}, coords={"time": dates})})
    write_tree(tree, tmp_path / "dates.nc")
    found = read(tmp_path / "dates.nc")
    xr.testing.assert_identical(found["observed_data"].to_dataset(), tree["observed_data"].to_dataset())


def test_a_file_larger_than_was_planned(tmp_path):
    tree = xr.DataTree.from_dict({"posterior": xr.Dataset({"x": ("draw", np.arange(5.0))})})
    tree.attrs["text"] = "a" * 50_000
    tree["posterior"].attrs |= {f"a{i}": "b" * 2000 for i in range(60)}
    write_tree(tree, tmp_path / "long.nc")
    assert read(tmp_path / "long.nc").attrs["text"] == "a" * 50_000


@pytest.mark.parametrize(
    ("labels", "texts"),
    [
        (pd.cut([20, 40], [17, 30, 60]).categories, ["(17, 30]", "(30, 60]"]),
        (pd.to_datetime(["2024-01-01", "2024-04-01"]).date, ["2024-01-01", "2024-04-01"]),
        (pd.date_range("2024-01-01", periods=2, tz="Europe/Berlin"), [f"2024-01-0{d} 00:00:00+01:00" for d in (1, 2)]),
    ],
)
def test_labels_that_no_file_can_hold_are_text(labels, texts, tmp_path):
    band = np.empty(2, dtype=object)
    band[:] = list(labels)
    tree = xr.DataTree.from_dict(
        {
            "posterior": xr.Dataset(
                {"m": (("chain", "draw", "band"), np.arange(12.0).reshape(2, 3, 2))}, {"band": band}
            ),
            "sample_stats": xr.Dataset({"lp": (("chain", "draw"), np.zeros((2, 3)))}),
        }
    )
    tree.attrs["sampler"] = "nuts"
    write_tree(tree, tmp_path / "bands.nc")
    found = read(tmp_path / "bands.nc")
    assert found["posterior"].coords["band"].values.tolist() == texts
    np.testing.assert_array_equal(found["posterior"]["m"], tree["posterior"]["m"])
    assert found.attrs["sampler"] == "nuts"
    assert tree["posterior"].coords["band"].values[0] == band[0]  # what is in memory stays as it is
    back = read_tree(tmp_path / "bands.nc")
    assert back["posterior"].coords["band"].values.tolist() == band.tolist()
    assert back["posterior"].attrs == tree["posterior"].attrs


@pytest.mark.parametrize(
    "dtype", ["i1", "i2", "u1", "u4", "u8", "f2", "f4", "c8", "c16", "?", "M8[ns]", "m8[s]", "U2", "S3", "O"]
)
@pytest.mark.parametrize("length", [0, 2])
def test_any_dtype_comes_back(dtype, length, tmp_path):
    values = np.arange(6 * length).reshape(2, 3, length).astype(dtype)
    group = xr.Dataset(
        {"mu": (("chain", "draw"), np.ones((2, 3))), "x": (("chain", "draw", "k"), values)}, {"k": list("ab")[:length]}
    )
    write_tree(xr.DataTree.from_dict({"posterior": group}), tmp_path / "any.nc")
    back = read_tree(tmp_path / "any.nc")["posterior"].to_dataset()
    assert back["x"].dtype == group["x"].dtype
    np.testing.assert_array_equal(back["x"].values, values)
    assert back["k"].values.tolist() == group["k"].values.tolist()
    assert az.ess(az.from_netcdf(tmp_path / "any.nc"), var_names="mu")["mu"].size == 1


def test_a_dim_that_arviz_keeps_for_itself(tmp_path):
    """Prior against posterior is drawn with a new axis called group."""
    tree = fake_tree(draws=30)
    groups = {name: node.to_dataset() for name, node in tree.children.items()}
    for name, group in groups.items():
        groups[name] = group.rename(school="group") if "school" in group.dims else group
    groups["prior"] = groups["posterior"].copy()
    write_tree(xr.DataTree.from_dict(groups), tmp_path / "group.nc")
    stored = az.from_netcdf(tmp_path / "group.nc")
    assert stored["posterior"]["theta"].dims == ("chain", "draw", "group_")
    az.plot_prior_posterior(stored, var_names=["theta"], backend="none")
    back = read_tree(tmp_path / "group.nc")
    for name, group in groups.items():
        xr.testing.assert_identical(back[name].to_dataset(), group)


def test_groups_in_single_precision_take_half_and_come_back_as_double_numbers(tmp_path):
    tree = fake_tree(kind="nuts")
    terms = np.random.default_rng(4).normal(size=(*tree["posterior"]["mu"].shape, 500))
    tree["log_likelihood"] = xr.DataTree(xr.Dataset({"y": (("chain", "draw", "row"), terms)}))
    write_tree(tree, tmp_path / "double.nc")
    write_tree(tree, tmp_path / "single.nc", ["log_likelihood", "posterior_predictive"])
    saved = (tmp_path / "double.nc").stat().st_size - (tmp_path / "single.nc").stat().st_size
    assert saved == pytest.approx(terms.nbytes / 2, rel=0.05)
    assert read(tmp_path / "single.nc")["log_likelihood"]["y"].dtype == np.float32
    back = read_tree(tmp_path / "single.nc")
    assert back["log_likelihood"]["y"].dtype == np.float64
    np.testing.assert_array_equal(back["log_likelihood"]["y"], terms.astype(np.float32))
    assert dict(back.attrs) == dict(tree.attrs)
    xr.testing.assert_identical(back["posterior"].to_dataset(), tree["posterior"].to_dataset())


def test_a_large_tree_is_written_and_read_piece_by_piece(tmp_path, monkeypatch):
    monkeypatch.setattr("bayesrun.base.large_arrays.PART", 4096)
    monkeypatch.setattr("bayesrun.base.large_arrays.LARGE", 10_000)
    tree = fake_tree(kind="nuts", divergent=2)
    write_tree(tree, tmp_path / "large.nc")
    with kept_in(tmp_path):
        back = read_tree(tmp_path / "large.nc")
    assert in_file(back["posterior"]["mu"].values)
    for name in tree.children:
        xr.testing.assert_identical(back[name].to_dataset(), tree[name].to_dataset())
