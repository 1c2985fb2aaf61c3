"""From columns to arrays: choosing, dropping, transforming, standardising, coding, and the messages of each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import xarray as xr

from bayesrun.data import read, table_of
from bayesrun.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

    from bayesrun.types import Dataset

TEXT = """city,rent,rooms,income,built,furnished
Bonn,8,1,20,1950,yes
Kiel,10,2,,1960,no
Trier,12,3,40,1970,no
Jena,18,4,60,1980,
Celle,22,5,80,1990,yes
"""


@pytest.fixture
def flat(tmp_path: Path) -> Any:
    path = tmp_path / "flats.csv"
    path.write_text(TEXT)

    def make(**how: Any) -> Dataset:
        return read(str(path), **how)

    return make


def test_drop_missing_looks_at_chosen_columns_only(flat: Any) -> None:
    assert len(flat(columns={"y": "rent"}, drop_missing=True)["y"]) == 5
    data = flat(columns={"y": "rent", "X": ["rooms", "income"]}, index="city", drop_missing=True)
    assert data.coords["obs"] == ("Bonn", "Trier", "Jena", "Celle")
    np.testing.assert_array_equal(data["X"][:, 1], [20, 40, 60, 80])
    gap = flat(columns={"g": "furnished", "y": "rent"})
    np.testing.assert_array_equal(gap["g"], [1, 0, 0, -1, 1])


def test_rows_that_are_left_keep_their_numbers(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x,z,y\n1,,3\n,2,3\n3,4,5\n")
    left = {x: read(str(tmp_path / "a.csv"), columns={"y": "y", "x": x}, drop_missing=True) for x in "xz"}
    assert {x: data.coords["obs"] for x, data in left.items()} == {"x": (0, 2), "z": (1, 2)}
    np.testing.assert_array_equal(left["x"]["y"], left["z"]["y"])
    assert left["x"].digest() != left["z"].digest()
    assert "obs" not in read(str(tmp_path / "a.csv"), columns={"y": "y"}, drop_missing=True).coords  # none left out


def test_no_row_left(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x,y\n1,\n,2\n")
    with pytest.raises(DataError, match=r"drop_missing=true leaves no row: each of 2 rows misses one of x, y"):
        read(str(tmp_path / "a.csv"), drop_missing=True)


def test_standardise_ignores_gaps_and_is_undone(flat: Any) -> None:
    data = flat(columns={"y": "rent", "x": "income"}, standardize=["y", "x"])
    np.testing.assert_array_equal(np.isnan(data["x"]), [False, True, False, False, False])
    assert np.nanstd(data["x"], ddof=1) == pytest.approx(1)
    assert (data["x_mean"], data["x_scale"]) == pytest.approx((50.0, np.std([20, 40, 60, 80], ddof=1)))
    np.testing.assert_allclose(data["y"] * data["y_scale"] + data["y_mean"], [8, 10, 12, 18, 22])


def test_standardise_true_leaves_codes_and_indicators(flat: Any) -> None:
    data = flat(categories="rooms", standardize=True)
    assert "rent_scale" in data
    assert "income_scale" in data
    assert not {"rooms_scale", "city_scale", "furnished_scale"} & set(data)
    np.testing.assert_array_equal(data["rooms"], range(5))
    assert data.coords["rooms"] == (1, 2, 3, 4, 5)


def test_constant_column_stays_constant(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x\n0.1\n0.1\n0.1\n")
    data = read(str(tmp_path / "a.csv"), standardize="x")
    assert len(set(data["x"])) == 1
    assert data["x_scale"] == 1


def test_transforms(flat: Any) -> None:
    rent = np.array([8.0, 10, 12, 18, 22])
    data = flat(
        columns={"y": "rent", "X": ["rooms", "built"], "b": "furnished", "c": "rent"},
        transform={"y": ["log", "scale_by_mean"], "rooms": "sqrt", "b": "is:yes", "c": "centre"},
    )
    np.testing.assert_allclose(data["y"], np.log(rent) / np.log(rent).mean())
    np.testing.assert_allclose(data["X"], np.column_stack([np.sqrt(range(1, 6)), range(1950, 2000, 10)]))
    np.testing.assert_array_equal(data["b"], [1, 0, 0, np.nan, 1])
    np.testing.assert_allclose(data["c"], rent - 14)


def test_two_matrices_have_labels_of_their_own(flat: Any) -> None:
    data = flat(columns={"X": ["rooms", "rent"], "Z": ["built"]})
    assert data.dims == {"X": ("obs", "predictor"), "Z": ("obs", "predictor_Z")}
    assert data.coords == {"predictor": ("rooms", "rent"), "predictor_Z": ("built",)}


@pytest.mark.parametrize(
    ("how", "message"),
    [
        (
            {"columns": {"y": "Rents", "X": ["rooms"]}},
            r"no column 'Rents', wanted for y; did you mean 'rent'\?\nThere are city, rent, rooms, income, built, "
            r"furnished. Type 'data.columns=\{y:rent,X:\[rooms\]\}' \(the quotes",
        ),
        ({"columns": {"obs": "rent"}}, r"'obs' is the name of a dimension; labels of the observations are data.index="),
        ({"columns": {"X": []}}, r"data.columns.X: got \[\]; wanted a column or a list"),
        ({"columns": "rent"}, r"data.columns: got 'rent'; wanted a mapping: 'data.columns=\{y:COLUMN\}'"),
        ({"columns": {"X": ["rent", "city"]}}, r"X takes numbers, and column 'city' holds text such as 'Bonn'"),
        ({"index": "town"}, "data.index: the data have no column 'town'; There are city"),
        ({"index": "cty"}, "did you mean data.index=city"),
        ({"index": "furnished"}, r"furnished is missing in row 4 \(the first row is 1\)"),
        (
            {"index": "furnished", "drop_missing": True},
            r"furnished repeats values, for example in rows? \d.*data.index=null",
        ),
        ({"standardize": ["city"]}, "city holds text such as 'Bonn'; wanted numbers"),
        (
            {"standardize": ["rend"]},
            r"data.standardize: there is no array or chosen column 'rend'; did you mean 'rent'\?",
        ),
        ({"categories": ["rom"]}, "data.categories: there is no array"),
        ({"transform": {"rent": "lg"}}, r"there is no transform 'lg'; did you mean log\? There are log, log1p"),
        ({"transform": {"city": "log"}}, "log needs numbers, and city holds text such as 'Bonn'"),
        (
            {"transform": {"rent": ["centre", "log"]}},
            r"log needs values > 0; got -6 in rows 1, 2, 3 \(the first row is 1\)",
        ),
        ({"transform": {"rent": ["centre", "sqrt"]}}, "sqrt needs values >= 0; got -6"),
        (
            {"transform": {"furnished": "is:Yes"}},
            r"no row of furnished is 'Yes'; did you mean 'yes'\? It has 'no', 'yes'",
        ),
    ],
)
def test_messages(flat: Any, how: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        flat(**how)


def test_names_that_are_taken(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("y,y_mean\n1,2\n2,3\n")
    with pytest.raises(DataError, match="y_mean is a column already"):
        read(str(tmp_path / "a.csv"), standardize=["y"])
    (tmp_path / "b.csv").write_text("obs,y\na,2\nb,3\n")
    # labels of a column that is called like a dim are not those of the dim
    assert read(str(tmp_path / "b.csv"))["obs"].tolist() == ["a", "b"]
    assert read(str(tmp_path / "b.csv")).coords == {}
    assert read(str(tmp_path / "b.csv"), index="obs", columns={"y": "y"}).coords["obs"] == ("a", "b")


UNLIKELY = """y,x,when,note,"x ",mixed,empty
1,2,2024-01-31,"a, b",7,1,
2,,2024-02-30,,8,two,
3,4,yesterday,NA,9,3,
4,8,,c,9,4,
"""


@pytest.fixture
def unlikely(tmp_path: Path) -> Any:
    """A table with a gap, and columns that could not be used as they are: no dates, one name twice, text, nothing."""
    (tmp_path / "a.csv").write_text(UNLIKELY)

    def make(used: set[str], **how: Any) -> Dataset:
        table = table_of(read, {"path": str(tmp_path / "a.csv"), **how})
        assert table is not None
        return table.arrays(used)

    return make


def test_nothing_is_said_of_a_column_that_is_not_used(unlikely: Any) -> None:
    data = unlikely({"y"}, drop_missing=True, standardize=True, transform={"note": "log"})
    assert set(data) >= {"y", "x", "when", "note", "mixed", "empty"}
    assert data.origin.notes == (
        "all 4 rows used: none is without y",
        "data.standardize=true scaled y",
    )
    assert set(data.only({"y"})) == {"y"}
    assert set(unlikely(set(), drop_missing=True)) == set(data) - {"y_mean", "y_scale", "x_mean", "x_scale"}


@pytest.mark.parametrize(
    ("used", "how", "message"),
    [
        ({"mixed"}, {}, "column mixed holds text among numbers: 'two' in row 2"),
        ({"x"}, {}, "the file has 2 columns that all come down to 'x'"),
        ({"note"}, {"transform": {"note": "log"}}, "log needs numbers, and note holds text"),
        ({"when"}, {"standardize": ["when"]}, "when holds text such as '2024-01-31'; wanted numbers"),
        ({"empty"}, {"drop_missing": True}, r"leaves no row: each of 4 rows misses one of empty. Choose fewer columns"),
    ],
)
def test_what_is_wrong_with_a_used_column_is_said(unlikely: Any, used: set[str], how: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        unlikely(used, **how)


def test_rows_go_by_the_columns_that_are_used(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,y,age,sbp,cabin\na,1,,,\nb,2,30,120,\nc,3,40,,C1\n,4,50,110,\ne,5,60,130,\n")
    table = table_of(read, {"path": str(tmp_path / "a.csv"), "drop_missing": True, "index": "id"})
    assert table is not None
    data = table.arrays({"y", "age", "sbp"})
    assert data.coords["obs"] == ("b", "e")
    assert data.origin.notes == (
        "2 of 5 rows used: 1 without age, 2 without sbp, 1 without id; 1 of them without several",
    )
    assert all(len(array) == 2 for array in data.values())
    assert data["cabin"].tolist() == [-1, -1]
    assert table.arrays({"y"}).coords["obs"] == ("a", "b", "c", "e")


def test_rows_of_the_dim_that_is_used_are_left_out(tmp_path: Path) -> None:
    content = {
        "scalar": ((), np.nan),
        "river": (("year",), np.array([1.0, np.nan, 3.0])),
        "y": (("person",), np.array([1.0, np.nan, 3.0, 4.0])),
        "z": (("person", "visit"), np.arange(8.0).reshape(4, 2)),
    }
    xr.Dataset(content, coords={"person": ["a", "b", "c", "d"]}).to_netcdf(tmp_path / "a.nc")
    table = table_of(read, {"path": str(tmp_path / "a.nc"), "drop_missing": True})
    assert table is not None
    data = table.arrays({"y", "z"})
    assert {name: array.shape for name, array in data.items()} == {"river": (3,), "y": (3,), "z": (3, 2)}
    assert data.coords["person"] == ("a", "c", "d")
    assert "year" not in data.coords


def test_what_is_to_be_kept_is_named(unlikely: Any) -> None:
    chosen = {"y": "y", "z": "when"}
    assert unlikely({"y"}, keep="all").origin.keep == ("y", "x", "when", "note", "mixed", "empty")
    data = unlikely({"y"}, columns=chosen, keep=["note", "z"], standardize=["y"])
    assert (data.origin.keep, set(data)) == (("note", "z"), {"y", "y_mean", "y_scale", "z", "note"})
    assert unlikely({"y"}, columns=chosen, keep="all").origin.keep == ("y", "z", "x", "note", "mixed", "empty")
    assert unlikely({"y"}, columns=chosen).origin.keep == ()
    with pytest.raises(DataError, match=r"data.keep: there is no array or column 'notes'; did you mean 'note'\? There"):
        unlikely({"y"}, keep="notes")
