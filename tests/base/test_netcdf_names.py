"""Any names and labels are told apart in a file, and come back equal."""

import datetime
import decimal
import fractions
import unicodedata
import zoneinfo

import netCDF4
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bayesrun.base.label_forms import as_form, from_form, label_array
from bayesrun.base.netcdf_names import (
    ATTRIBUTE,
    OF_ARVIZ,
    decode,
    dim_of_model,
    dim_of_tree,
    encoded,
    plain_names,
)

NAMES = st.one_of(
    st.text(max_size=12),
    st.text(alphabet="aAäÅ$\\/{}_ .|\u0301\u2215\u29f8 0x", max_size=6),
    st.sampled_from([*sorted(OF_ARVIZ), "chain", "draw", "x" * 300, "größe" * 60, "_nc4_non_coord_x", "\ud800"]),
)
ZONES = st.sampled_from([None, datetime.UTC, zoneinfo.ZoneInfo("Europe/Berlin"), zoneinfo.ZoneInfo("Asia/Kolkata")])
DAYS = st.datetimes(datetime.datetime(1990, 1, 1), datetime.datetime(2030, 1, 1))
LABELS = st.one_of(
    st.text(max_size=5),
    st.text(alphabet="$a\x00(2) ", max_size=5),
    st.integers(),
    st.floats(allow_nan=False),
    st.booleans(),
    st.binary(max_size=3),
    st.dates(),
    st.times(),
    st.datetimes(timezones=ZONES, allow_imaginary=False),
    st.timedeltas(),
    st.decimals(allow_nan=False),
    st.fractions(),
    st.uuids(),
    st.builds(pd.Timestamp, DAYS, tz=st.sampled_from([None, "Europe/Berlin", "UTC"])),
    st.builds(lambda day, freq: pd.Period(day, freq), DAYS, st.sampled_from(["D", "M", "Y", "h", "Q-NOV"])),
    st.builds(
        lambda a, b, c: pd.Interval(min(a, b), max(a, b), c),
        st.integers(0, 9),
        st.integers(0, 9),
        st.sampled_from(["left", "right", "both", "neither"]),
    ),
    st.tuples(st.text(max_size=2), st.one_of(st.integers(), st.dates(), st.none())),
    st.frozensets(st.text(max_size=2), max_size=2),
)


@given(st.lists(NAMES, max_size=8))
@example(["a", "A", "ä", "a\u0308", "$a$", "\\a", "a_2", "group", "group_"])
def test_names_stay_distinct_and_a_file_takes_them(names):
    keys = dict(enumerate(names))
    found = plain_names(keys)
    assert list(found) == list(keys)
    assert len(set(found.values())) == len(names)
    assert not set(found.values()) & OF_ARVIZ
    with netCDF4.Dataset("names.nc", "w", diskless=True) as file:
        for name in found.values():
            assert unicodedata.is_normalized("NFC", name)
            file.createDimension(name, 2)
            file.createVariable(name, "f8", (name,))
        assert set(file.variables) == set(found.values())


def test_plain_names_are_as_they_were():
    names = [
        "mu",
        "Intercept",
        "1|firm_sigma",
        "dose:arm[treated]",
        "größe",
        "µ",
        "b.x-1",
        "A",
        "a",
        "日本",
        "two words",
    ]
    assert plain_names(dict(enumerate(names))) == dict(enumerate(names))


@pytest.mark.parametrize(
    ("name", "stored"),
    [
        (r"$\beta$", "beta"),
        (r"$\sigma_{y}$", "sigma_y"),
        ("country/region", "country_region"),
        ("group", "group_"),
        (" land ", "land"),
        ("(Intercept)", "_(Intercept)"),
        ("", "_"),
        ("%", "_%"),
    ],
)
def test_other_names_can_be_read(name, stored):
    assert plain_names({0: name}) == {0: stored}


@given(st.lists(st.text(alphabet="a/\u2215\u29f8", max_size=5), unique=True))
def test_dims_of_a_model_and_of_a_tree(dims):
    found = [dim_of_tree(dim) for dim in dims]
    assert len(set(found)) == len(dims)
    assert not any("/" in dim for dim in found)
    assert [dim_of_model(dim) for dim in found] == dims


@given(st.lists(LABELS, max_size=5))
@example([1, "1", 1.0, True, decimal.Decimal(1), fractions.Fraction(1)])
@example([("a", 1), ("a", 1), ("b", datetime.date(2024, 1, 1))])
def test_labels_come_back_equal(labels):
    array = np.empty(len(labels), dtype=object)
    array[:] = labels
    stored, how = as_form(array, distinct=True)
    stored = array if stored is None else stored
    assert all(isinstance(text, str) for text in stored)
    assert len(set(stored)) == len(stored)
    found = stored if how is None else from_form(stored, how)
    assert found.tolist() == labels
    assert [type(label) for label in found.tolist()] == [type(label) for label in labels]


@pytest.mark.parametrize(
    ("labels", "kept"),
    [
        (["a", "b"], ["a", "b"]),
        ([1, 2], [1, 2]),
        (["a", 1], ["a", "1"]),
        (["a", None], ["a", "None"]),
        ([("a", 1), ("b", 2)], [("a", 1), ("b", 2)]),
        ([("a",), ("b", 2)], [("a",), ("b", 2)]),
        (pd.MultiIndex.from_product([["a", "b"], [1]]), [("a", 1), ("b", 1)]),
        ([[1, 2], [3, 4]], ["[1, 2]", "[3, 4]"]),
        (pd.interval_range(0, 2), list(pd.interval_range(0, 2))),
    ],
)
def test_labels_that_xarray_takes(labels, kept):
    array = label_array(labels)
    assert array.shape == (2,)
    assert xr.Dataset(coords={"g": array})["g"].values.tolist() == kept


@st.composite
def trees(draw):
    dims = [
        dim_of_tree(d)
        for d in draw(st.lists(NAMES.filter(lambda n: n not in ("chain", "draw")), min_size=1, max_size=3, unique=True))
    ]
    names = draw(
        st.lists(
            NAMES.filter(lambda n: "/" not in n and n not in (*dims, "chain", "draw")),
            min_size=1,
            max_size=3,
            unique=True,
        )
    )
    dtype = draw(st.sampled_from(["i1", "u8", "f2", "f4", "f8", "c8", "c16", "?", "M8[ns]", "m8[s]", "U3", "S2", "O"]))
    length = draw(st.integers(0, 3))
    coords = {d: label_array(draw(st.lists(LABELS, min_size=length, max_size=length))) for d in dims[1:]}
    shape = (2, 1, *(length for _ in dims))
    values = np.arange(np.prod(shape, dtype=int)).reshape(shape).astype(dtype)
    posterior = xr.Dataset({name: (("chain", "draw", *dims), values) for name in names}, coords)
    return xr.DataTree.from_dict(
        {"posterior": posterior, "observed_data": xr.Dataset({"y": (dims[0], np.ones(length))})}
    )


@settings(max_examples=40)
@given(trees())
def test_trees_come_back(tree):
    stored = encoded(tree)
    found = decode(stored)
    assert ATTRIBUTE not in found["posterior"].attrs
    for name, group in tree.children.items():
        before, after = group.to_dataset(), found[name].to_dataset()
        assert list(after.data_vars) == list(before.data_vars)
        assert dict(after.sizes) == dict(before.sizes)
        assert set(after.coords) == set(before.coords)
        for variable in before.variables:
            assert after[variable].dims == before[variable].dims
            assert after[variable].dtype == before[variable].dtype
            np.testing.assert_array_equal(after[variable].values, before[variable].values)


def test_what_is_plain_is_not_touched():
    tree = xr.DataTree.from_dict(
        {
            "posterior": xr.Dataset(
                {"mu": (("chain", "draw", "obs"), np.zeros((2, 3, 2)))}, {"obs": ["a", "b"], "draw": [0, 1, 2]}
            )
        }
    )
    assert encoded(tree) is tree
    assert decode(tree) is tree
