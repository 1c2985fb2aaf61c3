"""What a table writes is what a model gets, in each format: missing words, labels, headers, names of ours, truths."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from bayesrun.data import conform, load, read, save
from bayesrun.data.words import ABSENT
from bayesrun.errors import DataError
from bayesrun.types import Dataset, Role

if TYPE_CHECKING:
    from pathlib import Path

FORMATS = ("csv", "parquet", "json", "nc")
REAL, GROUP, BINARY = Role("real", "outcome"), Role("category", "group"), Role("binary", "event")
X = Role("predictors", "predictors")


def written(folder: Path, format: str, columns: dict[str, list[Any]]) -> str:
    """A table in a file; None is a gap, and csv holds the texts themselves."""
    path = folder / f"t.{format}"
    if format == "csv":
        rows = zip(*columns.values(), strict=True)
        lines = [",".join("" if cell is None else str(cell) for cell in row) for row in rows]
        path.write_text("\n".join([",".join(columns), *lines]) + "\n")
    elif format == "parquet":
        pd.DataFrame(columns).to_parquet(path)
    elif format == "json":
        path.write_text(json.dumps(columns))
    else:
        kept = {
            k: np.array(v, dtype=object if any(isinstance(c, str) for c in v) else None) for k, v in columns.items()
        }
        xr.Dataset({name: ("obs", values) for name, values in kept.items()}).to_netcdf(path)
    return str(path)


def groups(dataset: Dataset, name: str = "g") -> dict[Any, int]:
    labels = dataset.labels(name)
    assert labels is not None
    return {label: int((dataset[name] == code).sum()) for code, label in enumerate(labels)}


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("word", sorted(ABSENT - {""}))
def test_a_word_for_missing_is_a_label_among_text(format: str, word: str, tmp_path: Path) -> None:
    path = written(tmp_path, format, {"g": ["a", word, "b", word], "y": [1.0, 2.0, 4.0, 8.0]})
    data = conform(read(path), {"g": GROUP, "y": REAL})
    assert groups(data) == {"a": 1, "b": 1, word: 2}
    assert any(f"{word!r} in 2 rows taken as a label" in note for note in data.origin.notes)
    kept = conform(read(path, drop_missing=True, missing=["", word]), {"g": GROUP, "y": REAL})
    assert groups(kept) == {"a": 1, "b": 1}
    assert f"2 of 4 rows used: 2 without g (2 {word!r})" in kept.origin.notes


@pytest.mark.parametrize("format", ["csv", "json"])
@pytest.mark.parametrize("word", sorted(ABSENT - {""}))
def test_a_word_for_missing_is_missing_among_numbers(format: str, word: str, tmp_path: Path) -> None:
    path = written(tmp_path, format, {"y": [1, word, 4, 8], "x": [1, 2, 3, None]})
    data = read(path)
    np.testing.assert_array_equal(data["y"], [1, np.nan, 4, 8])
    with pytest.raises(DataError, match=rf"row 2 .*which the file writes as 1 '{word}'"):
        conform(data, {"y": REAL})
    assert f"2 of 4 rows used: 1 without y (1 '{word}'), 1 without x" in read(path, drop_missing=True).origin.notes
    with pytest.raises(DataError, match="column y holds text among numbers"):
        read(path, missing=[""])


@pytest.mark.parametrize("format", FORMATS)
def test_blank_text_is_missing(format: str, tmp_path: Path) -> None:
    data = read(written(tmp_path, format, {"g": ["a", "", "b", "a"], "y": [1.0, 2.0, 4.0, 8.0]}))
    with pytest.raises(DataError, match="g has 1 value that is missing or infinite: row 2"):
        conform(data, {"g": GROUP, "y": REAL})


@pytest.mark.parametrize(
    ("cells", "labels"),
    [
        (["1.1", "1.10", "1.2", "1.1"], ("1.1", "1.10", "1.2")),
        (["01", "1", "2", "01"], ("01", "1", "2")),
        (["1e1", "10", "9", "10"], ("9", "10", "1e1")),
        (["007", "010", "007", "9"], ("007", "9", "010")),
        (["10", "9", "2", "10"], (2, 9, 10)),  # the twin: numbers that are written as such stay numbers
    ],
)
def test_numbers_as_labels_are_what_was_written(cells: list[str], labels: tuple[Any, ...], tmp_path: Path) -> None:
    path = written(tmp_path, "csv", {"g": cells, "y": ["1", "2", "4", "8"]})
    plain = [str(label) for label in labels]
    for how in ({}, {"categories": ["g"]}, {"categories": ["g"], "columns": {"g": "g", "y": "y"}}):
        data = conform(read(path, **how), {"g": GROUP, "y": REAL})
        assert data.labels("g") == labels
        assert [plain[code] for code in data["g"]] == cells
    for format in ("parquet", "json", "nc"):
        data = read(written(tmp_path, format, {"g": cells, "y": [1.0, 2.0, 4.0, 8.0]}), categories=["g"])
        assert groups(data) == {label: cells.count(label) for label in plain}
        assert data.labels("g") == tuple(plain)


def test_numbers_with_trailing_zeros_stay_numbers_where_numbers_are_meant(tmp_path: Path) -> None:
    path = written(tmp_path, "csv", {"x": ["1.10", "1.1", "2.50", ""], "y": ["1", "2", "4", "8"]})
    np.testing.assert_array_equal(read(path)["x"], [1.1, 1.1, 2.5, np.nan])
    assert read(path, index="y", columns={"x": "x"}).coords["obs"] == (1, 2, 4, 8)


@pytest.mark.parametrize(
    "twins", [("x", "x "), ("x", " x"), ("x", "x"), ("é", "e\u0301"), ("x\u00b2", "x2"), ("ﬁt", "fit")]
)
def test_header_twins_are_refused_where_they_are_used(twins: tuple[str, str], tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(f"{twins[0]},{twins[1]},y\n1,5,1\n2,4,2\n")
    for columns in (None, {"y": "y", "a": twins[0].strip()}):
        with pytest.raises(DataError, match=r"2 columns that all come down to .*Rename them in the file"):
            read(str(tmp_path / "t.csv"), columns=columns)
    assert list(read(str(tmp_path / "t.csv"), columns={"y": "y"})) == ["y"]


def test_header_twins_of_other_formats(tmp_path: Path) -> None:
    frame = pd.DataFrame({"x": [1, 2], "x ": [5, 4], "y": [1, 2]})
    frame.to_parquet(tmp_path / "t.parquet")
    (tmp_path / "t.json").write_text(json.dumps(frame.to_dict("list")))
    for name in ("t.parquet", "t.json"):
        with pytest.raises(DataError, match="2 columns that all come down to 'x'"):
            read(str(tmp_path / name))
    (tmp_path / "d.json").write_text('[{"x": 1, "x": 5}]')
    with pytest.raises(DataError, match="names 'x' twice"):
        read(str(tmp_path / "d.json"))


def test_names_that_differ_by_case_are_two_columns(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("n,N\n1,5\n2,4\n")
    assert {name: list(values) for name, values in read(str(tmp_path / "t.csv")).items()} == {"n": [1, 2], "N": [5, 4]}


@pytest.mark.parametrize("name", ["obs", "predictor", "group", "chain", "draw", "sample", "y_dim_1"])
@pytest.mark.parametrize("cells", [["7", "9", "7", "8"], ["p", "q", "p", "r"]])
@pytest.mark.parametrize("format", ["csv", "parquet"])
def test_names_of_ours_are_columns_like_others(format: str, cells: list[str], name: str, tmp_path: Path) -> None:
    values: list[Any] = [int(cell) for cell in cells] if cells[0].isdigit() else cells
    path = written(tmp_path, format, {name: values, "x": [1.0, 2.0, 3.0, 5.0], "y": [1.0, 2.0, 4.0, 8.0]})
    for roles in ({"y": REAL, "x": X}, {}):
        data = conform(read(path), roles)
        save(data, tmp_path / "d.nc")
        back = load(tmp_path / "d.nc")
        labels = back.labels(name)
        assert [str(v if labels is None else labels[v]) for v in back[name].tolist()] == cells
    data = conform(read(path, columns={"g": name, "y": "y"}), {"g": GROUP, "y": REAL})
    assert [str(label) for label in data.labels("g") or ()] == sorted(set(cells))


TRUTHS = [
    ("no", "yes"), ("No", "Yes"), ("n", "y"), ("false", "true"), ("FALSE", "TRUE"), ("F", "T"), ("0", "1"),
    ("off", "on"),
]  # fmt: skip


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("pair", TRUTHS)
def test_encodings_of_truth_have_a_known_event(format: str, pair: tuple[str, str], tmp_path: Path) -> None:
    path = written(tmp_path, format, {"y": [pair[1], pair[0], pair[1]], "x": [1.0, 2.0, 4.0]})
    number = format != "csv" and pair == ("0", "1")
    for how in ({} if not number else {"categories": ["y"]}, {"categories": ["y"]}):
        data = conform(read(path, **how), {"y": BINARY})
        assert data["y"].tolist() == [1, 0, 1]
        assert conform(data, {"y": BINARY}).digest() == data.digest()
    swapped = conform(read(path, event={"y": pair[0]}), {"y": BINARY})
    assert swapped["y"].tolist() == [0, 1, 0]
    assert str(swapped.labels("y")[1]).lower() == pair[0].lower()
    assert any("the event" in note for note in swapped.origin.notes)


@pytest.mark.parametrize("values", [[True, False, True], [1, 0, 1], [1.0, 0.0, 1.0]])
def test_truth_values_and_numbers_need_no_event(values: list[Any], tmp_path: Path) -> None:
    for format in FORMATS:
        data = conform(read(written(tmp_path, format, {"y": values, "x": [1.0, 2.0, 4.0]})), {"y": BINARY})
        assert data["y"].tolist() == [1, 0, 1]


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("pair", [("control", "treated"), ("a", "b"), ("dead", "alive"), ("female", "male")])
def test_other_pairs_are_asked_for(format: str, pair: tuple[str, str], tmp_path: Path) -> None:
    path = written(tmp_path, format, {"y": [pair[1], pair[0], pair[1]], "x": [1.0, 2.0, 4.0]})
    with pytest.raises(DataError, match=r"nothing says which one is 1, the event. State it: 'data.event=\{y:LABEL\}'"):
        conform(read(path), {"y": BINARY})
    for label in pair:
        data = conform(read(path, event={"y": label}), {"y": BINARY})
        assert data["y"].tolist() == [int(label == cell) for cell in (pair[1], pair[0], pair[1])]
        save(data, tmp_path / "d.nc")
        back = load(tmp_path / "d.nc")
        assert (back.digest(), back.ordered, back.origin.notes) == (data.digest(), ("y",), data.origin.notes)
        assert back.origin.notes == (f"y: 1 is {label!r}, the event, and 0 is {next(p for p in pair if p != label)!r}",)


def test_events_and_orders_that_cannot_be(tmp_path: Path) -> None:
    path = written(tmp_path, "csv", {"y": ["lo", "hi", "mid"], "e": ["a", "b", "a"], "n": ["1", "2", "1"]})
    assert read(path, event={"n": 2})["n"].tolist() == [0, 1, 0]
    assert read(path, order={"y": ["lo", "mid", "hi"]})["y"].tolist() == [0, 2, 1]
    assert read(path, order={"y": ["none", "lo", "mid", "hi"]})["y"].tolist() == [1, 3, 2]
    for how, message in (
        ({"event": {"y": "lo"}}, r"y has 3: hi, lo, mid. For one label .*transform=\{y:'is:lo'\}"),
        ({"event": {"e": "c"}}, "got 'c'; wanted one of the labels 'a', 'b'"),
        ({"order": {"y": ["lo", "hi"]}}, "mid is not in the order"),
        ({"order": {"y": ["lo", "hi", "mid", "lo"]}}, "wanted every label once"),
        ({"order": {"z": ["lo", "hi"]}}, "data.order: there is no array or chosen column 'z'"),
    ):
        with pytest.raises(DataError, match=message):
            read(path, **how)


def test_the_order_of_a_file_is_kept_where_it_is_one(tmp_path: Path) -> None:
    cells = ["low", "high", "medium", "low"]
    for ordered in (True, False):
        pain = pd.Categorical(cells, ["low", "medium", "high"], ordered=ordered)
        pd.DataFrame({"pain": pain, "x": [1.0, 2, 3, 4]}).to_parquet(tmp_path / "t.parquet")
        data = read(str(tmp_path / "t.parquet"))
        assert data.ordered == (("pain",) if ordered else ())
        assert data.labels("pain") == ("low", "medium", "high")


@pytest.mark.parametrize("turned", [False, True])
def test_dims_are_matched_by_name(turned: bool, tmp_path: Path) -> None:
    matrix = np.arange(9.0).reshape(3, 3) ** 2
    content = xr.Dataset(
        {"y": ("obs", [1.0, 2.0, 4.0]), "X": (("obs", "predictor"), matrix)}, coords={"predictor": ["a", "b", "c"]}
    )
    (content.transpose("predictor", "obs") if turned else content).to_netcdf(tmp_path / "t.nc")
    data = conform(read(str(tmp_path / "t.nc")), {"y": REAL, "X": X})
    np.testing.assert_array_equal(data["X"], matrix)
    assert (data.dims["X"], data.coords["predictor"]) == (("obs", "predictor"), ("a", "b", "c"))
    assert conform(data, {"y": REAL, "X": X}).digest() == data.digest()


def test_other_observations_are_refused() -> None:
    data = Dataset({"y": np.arange(3.0), "X": np.eye(3)}, {"y": ("time",), "X": ("place", "predictor")})
    with pytest.raises(DataError, match=r"the observations are along time, which X \(place, predictor\) does not have"):
        conform(data, {"y": REAL, "X": X})


def test_what_has_one_unit_is_scaled_by_one_number(tmp_path: Path) -> None:
    path = written(tmp_path, "csv", {"y": [28, 8, -3], "s": [15, 10, 16], "x": [1, 2, 4]})
    roles = {"y": REAL, "s": Role("positive", "standard error", unit="y")}
    with pytest.raises(DataError, match="s has the unit of y, and the config does not change both by the same numbers"):
        conform(read(path, standardize=["y"]), roles)
    with pytest.raises(DataError, match=r"\(y: as it is; s: log\)"):
        conform(read(path, transform={"s": "log"}), roles)
    for how in ({}, {"standardize": ["x"]}, {"transform": {"y": "centre"}}):
        assert conform(read(path, **how), roles)["s"].tolist() == [15, 10, 16]


def test_a_standardised_count_names_the_standardisation(tmp_path: Path) -> None:
    path = written(tmp_path, "csv", {"n": [0, 3, 7], "x": [1, 2, 4]})
    with pytest.raises(DataError, match=r"data\.standardize scaled n too; name the columns that are meant"):
        conform(read(path, standardize=True), {"n": Role("count", "events")})
    data = conform(read(path, standardize=["x"]), {"n": Role("count", "events")})
    assert data["n"].tolist() == [0, 3, 7]


def test_labels_that_differ_by_blanks_or_case_are_two_and_said(tmp_path: Path) -> None:
    data = read(written(tmp_path, "json", {"g": ["a", "A", "b", "b "], "y": [1.0, 2.0, 4.0, 8.0]}))
    assert groups(data) == {"A": 1, "a": 1, "b": 1, "b ": 1}
    assert data.origin.notes == ("g: 'A' and 'a', 'b' and 'b ' are different labels, as they are written",)
    plain = read(written(tmp_path, "json", {"g": ["a", "b", "a", "b"], "y": [1.0, 2.0, 4.0, 8.0]}))
    assert plain.origin.notes == ()


def test_no_comes_first_also_in_a_column_that_came_coded(tmp_path: Path) -> None:
    for ordered, codes in ((False, [1, 0, -1]), (True, [0, 1, -1])):
        cells = pd.Categorical(["yes", "no", None], ["yes", "no"], ordered=ordered)
        pd.DataFrame({"y": cells, "x": [1.0, 2.0, 3.0]}).to_parquet(tmp_path / "t.parquet")
        assert read(str(tmp_path / "t.parquet"))["y"].tolist() == codes


def test_measurements_of_many_values_are_not_kept_as_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bayesrun.data.files.MOST_LABELS", 2)
    path = written(tmp_path, "csv", {"x": ["1.10", "2.20", "3.30"], "id": ["01", "02", "003"], "y": ["1", "2", "4"]})
    assert list(read(path).origin.written) == ["id"]
    assert read(path, categories=["id"]).labels("id") == ("01", "02", "003")


@pytest.mark.parametrize(
    ("cells", "label", "expected"),
    [
        (["1.1", "1.10", "1.2", "1.1"], "1.1", [1, 0, 0, 1]),
        (["1.1", "1.10", "1.2", "1.1"], "1.10", [0, 1, 0, 0]),
        (["01", "1", "2", "01"], "01", [1, 0, 0, 1]),
        (["1", "", "2", "1"], "1", [1, np.nan, 0, 1]),
        (["TRUE", "FALSE", "TRUE", "TRUE"], "TRUE", [1, 0, 1, 1]),
        (["TRUE", "FALSE", "TRUE", "TRUE"], "True", [1, 0, 1, 1]),
        (["1.00", "1.0", "2.50", "3"], "2.5", [0, 0, 1, 0]),  # the twin: no cell is written so, and the number is meant
        (["a", "b", "a", "c"], "a", [1, 0, 1, 0]),
    ],
)
def test_a_label_is_sought_as_the_file_writes_it(
    cells: list[str], label: str, expected: list[float], tmp_path: Path
) -> None:
    path = written(tmp_path, "csv", {"g": cells, "y": ["1", "2", "4", "8"]})
    np.testing.assert_array_equal(read(path, transform={"g": f"is:{label}"})["g"], expected)
    matrix = read(path, columns={"X": ["g"], "y": "y"}, transform={"g": f"is:{label}"})
    np.testing.assert_array_equal(matrix["X"][:, 0], expected)


def test_labels_that_fractions_do_not_tell_apart_are_refused(tmp_path: Path) -> None:
    numbers: list[Any] = [2**60 + 1, 2**60 + 2, None, 2**60 + 1]
    y = [1.0, 2.0, 4.0, 8.0]
    gaps = pd.DataFrame({"g": pd.array(numbers, dtype="Int64"), "y": y})
    gaps.to_parquet(tmp_path / "gaps.parquet")
    pd.DataFrame({"g": np.array([2**63 + 1, 2**63 + 2] * 2, dtype=np.uint64), "y": y}).to_parquet(
        tmp_path / "unsigned.parquet"
    )
    written(tmp_path, "json", {"g": numbers, "y": y})
    for name in ("gaps.parquet", "unsigned.parquet", "t.json"):
        for how in ({}, {"categories": ["g"]}):
            with pytest.raises(
                DataError, match=r"g is meant as labels, .*do not tell neighbours apart. Write them as te"
            ):
                conform(read(str(tmp_path / name), drop_missing=True, **how), {"g": GROUP, "y": REAL})
    # the twins: csv keeps what is written, whole columns are whole numbers, and measurements may be as large
    path = written(tmp_path, "csv", {"g": numbers, "y": y})
    for kept in (path, written(tmp_path, "json", {"g": [2**60 + 1, 2**60 + 2, 7, 2**60 + 1], "y": y})):
        assert sorted(groups(conform(read(kept, drop_missing=True), {"g": GROUP, "y": REAL})).values())[-1] == 2
    assert conform(read(str(tmp_path / "unsigned.parquet")), {"y": REAL})["g"].min() >= 2**63


def test_a_column_twice_in_one_matrix_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, "csv", {"x": ["1", "2", "5"], "y": ["1", "2", "4"]})
    with pytest.raises(DataError, match=r"data\.columns\.X names 'x' 2 times; wanted each column once: .*X:\[x\]"):
        read(path, columns={"y": "y", "X": ["x", "x"]})
    assert read(path, columns={"y": "x", "X": ["x"]})["X"].shape == (3, 1)
