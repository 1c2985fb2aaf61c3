"""Everything that a dataset can have wrong is found before a model sees it, with a remedy to type."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from bayesrun.data import check_roles, check_values, conform, read
from bayesrun.errors import DataError
from bayesrun.types import Dataset, Role

if TYPE_CHECKING:
    from pathlib import Path

REAL, POSITIVE, COUNT = Role("real", "the outcome"), Role("positive", "time"), Role("count", "number of events")
BINARY, GROUP, X = Role("binary", "1 if seen"), Role("category", "the group"), Role("predictors", "covariates")


def data(**arrays: Any) -> Dataset:
    return Dataset({name: np.asarray(values) for name, values in arrays.items()})


def test_conform_gives_one_form() -> None:
    raw = Dataset(
        {
            "y": np.array([1, 2, 4]),
            "x": np.array([1.0, 2, 3]),
            "t": np.array([1, 2, 3], "float32"),
            "n": np.array([0.0, 2, 3]),
            "e": np.array([True, False, True]),
            "g": np.array(["b", "a", "b"]),
            "h": np.array([7, 9, 7]),
            "extra": np.array([np.nan, 1]),
        },
        dims={"extra": ("other",)},
    )
    roles = {
        "y": REAL,
        "x": X,
        "t": POSITIVE,
        "n": COUNT,
        "e": BINARY,
        "g": GROUP,
        "h": GROUP,
        "z": Role("real", ".", True),
    }
    formed = conform(raw, roles)
    assert {k: formed[k].dtype.str for k in roles if k in formed} == {
        "y": "<f8", "x": "<f8", "t": "<f8", "n": "<i8", "e": "<i8", "g": "<i8", "h": "<i8",
    }  # fmt: skip
    assert formed.dims["x"] == ("obs", "predictor")
    assert formed.coords == {"obs": (0, 1, 2), "predictor": ("x",), "g": ("a", "b"), "h": (7, 9), "other": (0, 1)}
    np.testing.assert_array_equal(formed["g"], [1, 0, 1])
    np.testing.assert_array_equal(formed["h"], [0, 1, 0])
    again = conform(formed, roles)
    assert again.digest() == formed.digest()


def test_no_roles_means_generic_checks() -> None:
    assert conform(data(y=[1.0, 1.0]), {}).coords == {"obs": (0, 1)}
    with pytest.raises(DataError, match="missing or infinite"):
        conform(data(y=[1.0, np.inf]), {})


def test_unnamed_arrays_may_have_gaps() -> None:
    check_roles(data(y=[1.0, 2.0], other=[np.nan, 1.0]), {"y": REAL})


def test_missing_columns_give_the_line_to_type(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("Price,size (m2),town\n1,2,a\n2,3,b\n")
    roles = {"price": REAL, "X": X, "g": GROUP, "w": Role("positive", "a weight", optional=True)}
    with pytest.raises(DataError) as caught:
        conform(read(str(tmp_path / "a.csv")), roles)
    assert str(caught.value).splitlines() == [
        "the model needs price, which the data do not have: numbers, the outcome",
        "the model needs X, which the data do not have: a column or a list of columns of numbers, covariates",
        "the model needs g, which the data do not have: labels, the group",
        "The data have Price, size (m2), town. Say which column is what: "
        "'data.columns={price:Price,X:[COLUMN,COLUMN],g:COLUMN}' (the quotes keep the shell off the braces)",
        "Optional: w (a weight)",
    ]


def test_override_quotes_what_hydra_would_misread(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("rent (EUR),2020,y\n1,1,2\n2,1,3\n")
    dataset = read(str(tmp_path / "a.csv"), columns={"X": ["rent (EUR)", "2020"], "y": "y"})
    with pytest.raises(DataError, match=r"constant predictors: 2020.*add 'data.columns=\{X:\[\"rent \(EUR\)\"\]\}'"):
        conform(dataset, {"X": X, "y": REAL})


@pytest.mark.parametrize(
    ("arrays", "role", "message"),
    [
        (
            {"v": [1.0, np.nan, 2.0, -np.inf]},
            REAL,
            r"v has 2 values that are missing or infinite: rows 2, 4 \(.*drop_missing=true",
        ),
        ({"v": [np.nan] * 9 + [1.0]}, REAL, "9 values that are .*: rows 1, 2, 3, 4, 5, ... "),
        ({"v": [[1.0, 2], [np.nan, 3]]}, X, "v has 1 value that is missing or infinite of 0: row 2"),
        ({"v": np.array(["a", None, "b"], dtype=object)}, GROUP, "v has 1 value that is missing"),
        ({"v": np.zeros(0)}, REAL, r"v is empty: it has shape \(0,\)"),
        ({}, REAL, "the model needs v"),
        ({"v": ["1", "x", "3"]}, REAL, r"v must be numbers and holds text: 'x' in row 2 .*Correct those cells"),
        ({"v": ["p", "q", "p"]}, REAL, r"'p' in rows 1, 2, 3 .*Choose another column: add 'data.columns=\{v:COLUMN\}'"),
        (
            {"v": ["treated", "control"]},
            BINARY,
            r"labels 'control' and 'treated', and nothing says which one is 1.*'data.event=\{v:LABEL\}'",
        ),
        ({"v": [0, 1, 2]}, BINARY, r"v must be 0 or 1; got 2 in row 3 \(the first row is 1\)"),
        ({"v": [1.0, 0.0, -3.0]}, POSITIVE, "v must be above 0; got 0 in rows 2, 3"),
        ({"v": [1.5, 2]}, COUNT, "v must be whole numbers 0, 1, 2, ...; got 1.5 in row 1"),
        ({"v": [-1, 2]}, COUNT, "got -1 in row 1"),
        ({"v": [3.0, 3.0]}, REAL, "v is constant over all 2 rows: nothing can be learned"),
        ({"v": ["a", "a"]}, GROUP, "v has one level, 'a', in all 2 rows; wanted at least two"),
        ({"v": [0.5, 1.0]}, GROUP, r"labels or whole numbers; got 0.5 in row 1 .*'data.categories=\[v\]'"),
        ({"v": [[1.0, 2], [1, 3]]}, X, "v has constant predictors: 0. The model has an intercept already"),
        ({"v": [[1.0, 2]]}, X, "v has one row, from which no slope"),
        ({"v": [["a", "b"], ["c", "d"]]}, X, r"text such as 'a'; wanted numbers with dims \(obs, predictor\)"),
        ({"v": [[1.0, 2], [1, 3]]}, REAL, r"v has dims \(obs, v_dim_1\); wanted one value for each observation"),
    ],
)
def test_messages(arrays: dict[str, Any], role: Role, message: str) -> None:
    with pytest.raises(DataError, match=message):
        check_roles(data(w=[1.0], **arrays) if not arrays else data(**arrays), {"v": role})


def test_several_findings_at_once() -> None:
    with pytest.raises(DataError) as caught:
        conform(data(time=[0.0, 1], event=[2, 1]), {"time": POSITIVE, "event": BINARY})
    assert [line.split()[0] for line in str(caught.value).splitlines()] == ["time", "event"]


def test_shapes_that_disagree() -> None:
    with pytest.raises(DataError, match="arrays differ in length along obs: y has 2, x has 3"):
        check_values(data(y=[1, 2], x=[1, 2, 3]))
    with pytest.raises(DataError, match="obs has 1 labels for 2 values"):
        check_values(Dataset({"y": np.ones(2)}, coords={"obs": ("a",)}))
    with pytest.raises(DataError, match=r"y has 2 axes and the dims \(obs\)"):
        check_values(Dataset({"y": np.ones((2, 2))}, dims={"y": ("obs",)}))
    with pytest.raises(DataError, match="the data have no columns"):
        check_values(Dataset({}))
    with pytest.raises(DataError, match="has the code 2 and 2 labels"):
        conform(Dataset({"g": np.array([0, 2])}, coords={"g": ("a", "b")}), {"g": GROUP})


def test_missing_labels_are_missing_values(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("g,y\na,1\n,2\nb,3\n")
    with pytest.raises(DataError, match="g has 1 value that is missing or infinite: row 2"):
        conform(read(str(tmp_path / "a.csv")), {"g": GROUP, "y": REAL})
    kept = conform(read(str(tmp_path / "a.csv"), drop_missing=True), {"g": GROUP, "y": REAL})
    np.testing.assert_array_equal(kept["g"], [0, 1])


def test_scalars_from_standardisation_pass(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a,b,y\n1,5,1\n2,4,2\n3,9,5\n")
    formed = conform(
        read(str(tmp_path / "a.csv"), columns={"y": "y", "X": ["a", "b"]}, standardize=True), {"y": REAL, "X": X}
    )
    assert formed["y_scale"].shape == ()
    assert formed.dims["X_scale"] == ("predictor",)
