"""Parquet with any index and NetCDF with any dims: the least squares line of each, or a sentence of what to do."""

import datetime
import decimal

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from bayesrun.data import conform, read
from bayesrun.errors import DataError
from bayesrun.types import Role
from table_oracles import slope_of

X = np.arange(10.0)
Y = 1 + 2 * X + np.sin(X)
FRAME = pd.DataFrame({"x": X, "y": Y})
DAY = pd.to_datetime("2020-01-01") + pd.to_timedelta(X, "D")
LETTERS = list("abcdefghij")
ROLES = {"y": Role("real", ""), "X": Role("predictors", "")}


def slope(path, **how):
    data = conform(read(str(path), **{"columns": {"y": "y", "X": ["x"]}, **how}), ROLES)
    return slope_of(data["X"][:, 0], data["y"])


def indexed(index):
    return FRAME.set_axis(index)


def with_x(values):
    return FRAME.assign(x=values)


PARQUET = {
    "named index": (indexed(pd.Index(LETTERS, name="id")), {"index": "id"}, X),
    "index without a name": (indexed(LETTERS), {}, X),
    "index that is the predictor": (FRAME.set_index("x"), {}, X),
    "index named like a column": (indexed(pd.RangeIndex(10, name="x")), {}, X),
    "two levels": (indexed(pd.MultiIndex.from_arrays([LETTERS, LETTERS], names=["a", None])), {}, X),
    "decimal": (with_x([decimal.Decimal(str(value)) for value in X]), {}, X),
    "narrow": (with_x(X.astype("uint8")), {}, X),
    "integers with a gap": (with_x(pd.array([None, *range(1, 10)], dtype="Int16")), {"drop_missing": True}, X),
    "dates": (with_x(DAY), {"dates": {"x": "days"}}, X),
    "dates of a zone": (with_x(DAY.tz_localize("Europe/Berlin")), {"dates": {"x": "weeks"}}, X / 7),
    "days": (with_x([datetime.date(2020, 1, 1 + int(value)) for value in X]), {"dates": {"x": "days"}}, X),
    "lengths of time": (with_x(pd.to_timedelta(X, "h")), {}, X / 24),
    "categories that are numbers": (with_x(pd.Categorical(X)), {}, X),
}


@pytest.mark.parametrize("case", PARQUET)
def test_parquet(tmp_path, case):
    frame, how, x = PARQUET[case]
    frame.to_parquet(tmp_path / "t.parquet")
    keep = slice(1, None) if "drop_missing" in how else slice(None)
    assert slope(tmp_path / "t.parquet", **how) == pytest.approx(slope_of(x[keep], Y[keep]))


def test_a_level_of_an_index(tmp_path):
    indexed(pd.MultiIndex.from_arrays([["s"] * 4 + ["t"] * 6, LETTERS], names=["site", "id"])).to_parquet(
        tmp_path / "t.parquet"
    )
    found = slope(tmp_path / "t.parquet", by="site", level="t")
    assert found == pytest.approx(slope_of(X[4:], Y[4:]))


@pytest.mark.parametrize(
    ("cell", "told"), [([1, 2], "lists"), ({"a": 1}, "mappings"), (b"ab", "bytes")], ids=["list", "mapping", "bytes"]
)
def test_cells_that_are_no_values(tmp_path, cell, told):
    with_x([cell] * 10).assign(z=X).to_parquet(tmp_path / "t.parquet")
    with pytest.raises(DataError, match=f"column x holds {told} in its cells; wanted one value in each"):
        slope(tmp_path / "t.parquet")
    assert slope(tmp_path / "t.parquet", columns={"y": "y", "X": ["z"]}) == pytest.approx(slope_of(X, Y))


SQUARE = xr.Dataset({"x": (("s", "t"), np.stack([X, 3 * X])), "y": (("s", "t"), np.stack([Y, Y]))}, {"s": ["a", "b"]})
NETCDF = {
    "labels": (xr.Dataset({"x": ("s", X), "y": ("s", Y)}, {"s": LETTERS}), {}, X),
    "dates as labels": (xr.Dataset({"x": ("s", X), "y": ("s", Y)}, {"s": DAY}), {}, X),
    "labels as the predictor": (xr.Dataset({"y": ("x", Y)}, {"x": X}), {}, X),
    "dates as the predictor": (xr.Dataset({"y": ("x", Y)}, {"x": DAY}), {"dates": {"x": "days"}}, X),
    "one value beside": (xr.Dataset({"x": ("t", X), "y": ("t", Y), "k": 5.0}), {}, X),
    "a matrix": (xr.Dataset({"X": (("t", "p"), X[:, None]), "y": ("t", Y)}), {"columns": {"y": "y", "X": "X"}}, X),
    "a matrix, turned": (xr.Dataset({"X": (("p", "t"), X[None]), "y": ("t", Y)}), {"columns": {"y": "y", "X": "X"}}, X),
    "a label of two dims": (SQUARE, {"by": "s", "level": "b"}, 3 * X),
    "a place of two dims": (SQUARE.drop_vars("s"), {"by": "s", "level": 1}, 3 * X),
}


@pytest.mark.parametrize("case", NETCDF)
def test_netcdf(tmp_path, case):
    content, how, x = NETCDF[case]
    content.to_netcdf(tmp_path / "t.nc")
    assert slope(tmp_path / "t.nc", **how) == pytest.approx(slope_of(x, Y))


def test_two_dims_are_asked_about(tmp_path):
    SQUARE.to_netcdf(tmp_path / "t.nc")
    with pytest.raises(DataError, match=r"x has dims \(s, t\); wanted one value for each observation.*data.by=s"):
        slope(tmp_path / "t.nc")
