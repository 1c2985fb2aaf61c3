"""Every file format gives the same dataset, and every way to get a file wrong has its message."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from bayesrun.data import conform, load, read, save
from bayesrun.errors import DataError
from bayesrun.types import Dataset, Role

FRAME = pd.DataFrame(
    {
        "name": ["a", "b", "c", "d"],
        "price": [1.5, 2.5, 4.0, 8.0],
        "size": [10, 20, 30, 50],
        "area": ["south", "north", "north", "south"],
        "sold": [True, False, True, True],
    }
)
COLUMNS = {"y": "price", "X": ["size", "price"], "group": "area", "event": "sold"}


def write(folder: Path, suffix: str, frame: pd.DataFrame = FRAME) -> str:
    path = folder / f"houses{suffix}"
    if suffix in (".csv", ".csv.gz"):
        frame.to_csv(path, index=False)
    elif suffix == ".tsv":
        frame.to_csv(path, index=False, sep="\t")
    elif suffix == ".parquet":
        frame.to_parquet(path)
    elif suffix == ".json":
        path.write_text(json.dumps(frame.to_dict("records")))
    elif suffix == ".columns.json":
        path.write_text(json.dumps(frame.to_dict("list")))
    else:
        xr.Dataset(
            {k: ("obs", frame[k].to_numpy(dtype=object if frame[k].dtype == "str" else None)) for k in frame}
        ).to_netcdf(path)
    return str(path)


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz", ".tsv", ".parquet", ".json", ".columns.json", ".nc"])
def test_formats_agree(suffix: str, tmp_path: Path) -> None:
    data = read(write(tmp_path, suffix), columns=COLUMNS, index="name", standardize=["size"])
    assert data.name == "houses"
    assert data.dims["y"] == ("obs",)
    assert data.dims["X"] == ("obs", "predictor")
    assert data.coords == {
        "obs": ("a", "b", "c", "d"),
        "predictor": ("size", "price"),
        "group": ("north", "south"),
    }
    np.testing.assert_array_equal(data["y"], FRAME["price"])
    np.testing.assert_array_equal(data["group"], [1, 0, 0, 1])
    assert data["group"].dtype == np.int64
    np.testing.assert_array_equal(data["event"], FRAME["sold"])
    size = FRAME["size"]
    np.testing.assert_allclose(data["X"][:, 0], (size - size.mean()) / size.std())
    np.testing.assert_array_equal(data["X"][:, 1], FRAME["price"])


def test_without_columns_each_has_its_name(tmp_path: Path) -> None:
    data = read(write(tmp_path, ".csv"))
    assert list(data) == list(FRAME)
    assert set(data.coords) == {"name", "area"}


def test_relative_path_and_other_suffix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Path(write(tmp_path, ".csv")).rename(tmp_path / "houses.dat")
    monkeypatch.chdir(tmp_path)
    assert read("houses.dat", format="csv", name="mine").name == "mine"
    with pytest.raises(DataError, match=r"suffix '.dat' of .*houses.dat says no format; set data.format=csv\|"):
        read("houses.dat")
    with pytest.raises(DataError, match=r"did you mean data\.format=csv"):
        read("houses.dat", format="cvs")


def test_narrow_numbers_are_widened(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {"i": np.array([1, 2], "int8"), "f": np.array([1, 2], "float32"), "n": pd.array([1, None], "Int64")}
    )
    data = read(write(tmp_path, ".parquet", frame))
    assert [data[k].dtype.str for k in "ifn"] == ["<i8", "<f8", "<f8"]
    assert np.isnan(data["n"][1])


def test_categorical_keeps_its_order(tmp_path: Path) -> None:
    sizes = pd.Categorical(["small", "large", None, "small"], ["small", "medium", "large"])
    path = write(tmp_path, ".parquet", pd.DataFrame({"size": sizes, "y": [1.0, 2.0, 3.0, 4.0]}))
    assert read(path).coords["size"] == ("small", "medium", "large")
    kept = read(path, drop_missing=True)
    assert kept.coords["size"] == ("small", "large")
    np.testing.assert_array_equal(kept["size"], [0, 1, 0])


def test_dates_become_labels(tmp_path: Path) -> None:
    frame = pd.DataFrame({"day": pd.to_datetime(["2024-01-02", "2024-01-03"]), "y": [1.0, 2.0]})
    assert (
        read(write(tmp_path, ".parquet", frame), index="day", columns={"y": "y"})
        .coords["obs"][0]
        .startswith("2024-01-02")
    )


def test_parquet_with_a_named_index(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    FRAME.set_index("name").to_parquet(path)
    assert "name" in read(str(path))


def test_netcdf_keeps_dims_and_coords(tmp_path: Path) -> None:
    path = tmp_path / "t.nc"
    xr.Dataset(
        {"effect": ("school", [1.0, 2.0, 4.0]), "cov": (("school", "k"), np.eye(3)[:, :2]), "scalar": 3.0},
        coords={"school": ["x", "y", "z"], "k": [5, 6], "kind": ("school", ["p", "q", "p"])},
    ).to_netcdf(path)
    data = read(str(path))
    assert data.dims == {"effect": ("school",), "cov": ("school", "k"), "kind": ("school",)}
    assert data.coords == {"school": ("x", "y", "z"), "k": (5, 6), "kind": ("p", "q")}
    formed = conform(
        read(str(path), columns={"y": "effect", "X": "cov", "g": "school"}),
        {"y": Role("real", "."), "X": Role("predictors", "."), "g": Role("category", ".")},
    )
    assert formed.dims == {"y": ("obs",), "X": ("obs", "k"), "g": ("obs",)}
    assert formed.coords == {"obs": ("x", "y", "z"), "k": (5, 6), "g": ("x", "y", "z")}


def test_missing_files_say_what_is_there(tmp_path: Path) -> None:
    path = write(tmp_path, ".csv")
    with pytest.raises(DataError, match=rf"there is no file {tmp_path}/house.csv; did you mean data.path={path}\?"):
        read(str(tmp_path / "house.csv"))
    with pytest.raises(DataError, match=r"that folder has the data files houses\.csv"):
        read(str(tmp_path / "zzzzzzzzzzzz"))
    with pytest.raises(DataError, match=f"the folder {tmp_path} has no folder sub"):
        read(str(tmp_path / "sub" / "dir" / "a.csv"))
    with pytest.raises(DataError, match=r"is a folder; wanted a file. It holds houses.csv"):
        read(str(tmp_path))


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.csv", "", "is empty; wanted a first line"),
        ("a.csv", "x,y\n", r"has no rows \(its columns: x, y\)"),
        ("a.csv", "x,y\n1,2\n1,2,3\n", "cannot be read as csv"),
        ("a.json", '{"x": [1, 2], "J": 8}', "'J' is one value, 8; wanted a list"),
        ("a.json", '{"x": [1, 2], "y": [8]}', r"columns differ in length \(x 2, y 1\)"),
        ("a.json", "[1, 2]", "neither a list of records"),
        ("a.json", "{", "cannot be read as json"),
        ("a.parquet", "x", r"cannot be read as parquet \(.*data.format=csv\|"),
        ("a.nc", "x", "cannot be read as netcdf"),
    ],
)
def test_unreadable_files(name: str, text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=message):
        read(str(tmp_path / name))


def test_latin1_is_explained(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes("x\nZürich\n".encode("latin-1"))
    with pytest.raises(DataError, match="is not in UTF-8"):
        read(str(tmp_path / "a.csv"))


def test_spreadsheet_habits_are_forgiven(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes("\ufeffx, y \n1, 2\n".encode())
    assert list(read(str(tmp_path / "a.csv"))) == ["x", "y"]
    (tmp_path / "b.csv").write_text("x;y\n1;2\n")
    assert list(read(str(tmp_path / "b.csv"), separator=";")) == ["x", "y"]


def test_a_stray_netcdf_is_not_a_stored_dataset(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="not a dataset that bayesrun stored"):
        load(Path(write(tmp_path, ".nc")))


NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=8)
LABELS = st.one_of(
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=5),
    st.integers(),
    st.floats(allow_nan=False),
)


@st.composite
def datasets(draw: st.DrawFn) -> Dataset:
    arrays: dict[str, np.ndarray] = {}
    for name in draw(st.lists(NAMES, min_size=1, max_size=3, unique=True)):
        dtype: Any = draw(st.sampled_from([np.float64, np.float32, np.int64, np.int8, np.bool_]))
        arrays[name] = draw(hnp.arrays(dtype, hnp.array_shapes(min_dims=0, max_dims=2, max_side=3)))
    dims = {name: tuple(f"{name}{axis}" for axis in range(array.ndim)) for name, array in arrays.items()}
    return Dataset(arrays, dims, draw(st.dictionaries(NAMES, st.lists(LABELS, max_size=3).map(tuple), max_size=2)))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(datasets())
def test_any_dataset_survives_the_store(tmp_path: Path, dataset: Dataset) -> None:
    save(dataset, tmp_path / "d.nc")
    back = load(tmp_path / "d.nc")
    assert back.digest() == dataset.digest()
    assert (back.coords, back.dims) == (dataset.coords, dataset.dims)
    for name, array in dataset.arrays.items():
        assert back[name].dtype == array.dtype
        np.testing.assert_array_equal(back[name], array)


def test_text_arrays_survive_the_store(tmp_path: Path) -> None:
    dataset = Dataset({"t": np.array([["a", "ü"], ["", "c"]])}, {"t": ("obs", "k")}, name="n", citation="c")
    save(dataset, tmp_path / "d.nc")
    back = load(tmp_path / "d.nc")
    assert back.digest() == dataset.digest()
    np.testing.assert_array_equal(back["t"], dataset["t"])


def test_an_address_is_read_through_fsspec():
    import fsspec

    with fsspec.open("memory://bucket/houses.csv", "w") as file:
        file.write("price,size\n1.0,2.0\n3.0,4.0\n")
    data = read("memory://bucket/houses.csv")
    assert data.name == "houses"
    assert list(data["price"]) == [1.0, 3.0]


def test_an_address_that_answers_nothing_says_so():
    with pytest.raises(DataError, match=r"memory://bucket/nothing\.csv cannot be read \(FileNotFoundError"):
        read("memory://bucket/nothing.csv")


def test_rows_with_more_fields_than_the_header_are_refused(tmp_path):
    (tmp_path / "t.csv").write_text("x,y\n1,2,100\n2,4,200\n")
    with pytest.raises(DataError, match="has rows with more fields than its first line names"):
        read(str(tmp_path / "t.csv"))


@pytest.mark.parametrize(
    ("cells", "told"),
    [
        (("2", "abc", "4"), "holds text among numbers: 'abc' in row 2"),
        (('"1,200"', '"3,400"'), "holds numbers whose marks are in doubt: '1,200' is 1.2 with"),
    ],
)
def test_text_among_numbers_is_not_coded_silently(tmp_path, cells, told):
    (tmp_path / "t.csv").write_text("y\n" + "\n".join(cells) + "\n")
    with pytest.raises(DataError, match=f"column y {told}"):
        read(str(tmp_path / "t.csv"))
    assert read(str(tmp_path / "t.csv"), categories=["y"])["y"].dtype == np.int64


def test_numbers_beyond_64_bits_do_not_wrap(tmp_path):
    (tmp_path / "t.csv").write_text("n\n18446744073709551615\n1\n")
    assert list(read(str(tmp_path / "t.csv"))["n"]) == [18446744073709551615.0, 1.0]


def test_a_comma_at_the_end_of_rows_shifts_nothing(tmp_path):
    (tmp_path / "t.csv").write_text("x,y\n1,2,\n2,4,\n")
    data = read(str(tmp_path / "t.csv"))
    assert list(data["x"]) == [1, 2]
    assert list(data["y"]) == [2, 4]
