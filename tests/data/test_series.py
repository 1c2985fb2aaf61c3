"""Rows of a series: sorted by their index, and refused where times are missing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from bayesrun.data import conform, read, shipped
from bayesrun.errors import DataError
from bayesrun.models.ar1 import DATA, build
from bayesrun.types import Dataset, Role
from model_oracles import density

if TYPE_CHECKING:
    from pathlib import Path

SERIES = {"y": Role("real", "series", series=True)}


def sunspots(folder: Path, frame: pd.DataFrame) -> str:
    frame.to_csv(folder / "s.csv", index=False)
    return str(folder / "s.csv")


@pytest.fixture(scope="module")
def yearly() -> pd.DataFrame:
    raw = shipped("sunspots")
    return pd.DataFrame({"year": raw["year"], "y": raw["sunactivity"], "x": np.arange(len(raw["year"]))})


def test_shuffled_rows_are_the_same_model(yearly: pd.DataFrame, tmp_path: Path) -> None:
    shuffled = yearly.sample(frac=1.0, random_state=5)
    data = conform(read(sunspots(tmp_path, shuffled), index="year"), DATA)
    np.testing.assert_array_equal(data["y"], yearly["y"])
    np.testing.assert_array_equal(data["x"], yearly["x"])
    assert data.coords["obs"] == tuple(yearly["year"])
    assert "y: its rows were sorted by their index" in data.origin.notes
    ordered = conform(read(sunspots(tmp_path, yearly), index="year"), DATA)
    assert ordered.origin.notes == ()
    assert ordered.digest() == data.digest()
    point = {"mu": np.array(45.0), "phi_interval__": np.array(1.0), "sigma_log__": np.array(3.0)}
    # the order decides the density: shuffled, the series would look independent
    wrong = Dataset({"y": shuffled["y"].to_numpy()})
    assert density(build(data))(point) - density(build(wrong))(point) > 100


@pytest.mark.parametrize("drop", [False, True])
def test_gaps_are_refused_with_what_is_missing(yearly: pd.DataFrame, drop: bool, tmp_path: Path) -> None:
    blank = yearly.assign(y=yearly["y"].where(~yearly["year"].isin([1704, 1705, 1800])))
    how: dict[str, Any] = {"index": "year", "columns": {"y": "y"}}
    told = "3 of its times are missing: 1704, 1705, 1800" if drop else "3 values that are missing or infinite"
    with pytest.raises(DataError, match=told) as caught:
        conform(read(sunspots(tmp_path, blank), drop_missing=drop, **how), SERIES)
    assert "A series has no rows to spare" in str(caught.value)
    assert "data.drop_missing=true" not in str(caught.value)
    cut = yearly[~yearly["year"].isin([1704, 1705, 1800])]
    with pytest.raises(DataError, match="3 of its times are missing: 1704, 1705, 1800"):
        conform(read(sunspots(tmp_path, cut), **how), SERIES)
    # every second year alone is not a series of steps of two years, where the others are known to be blank
    odd = yearly.assign(y=yearly["y"].where(yearly["year"] % 2 == 1))
    with pytest.raises(DataError, match="of its times are missing: 1702, 1704"):
        conform(read(sunspots(tmp_path, odd), drop_missing=True, **how), SERIES)


def test_rows_left_out_without_an_index(yearly: pd.DataFrame, tmp_path: Path) -> None:
    blank = yearly.assign(y=yearly["y"].where(yearly["year"] != 1703))
    with pytest.raises(DataError, match=r"row 4 were left out of it|row 4"):
        conform(read(sunspots(tmp_path, blank), columns={"y": "y"}, drop_missing=True), SERIES)
    ends = yearly.assign(y=yearly["y"].where(yearly["year"] > 1702))
    for how in ({"index": "year"}, {}):
        data = conform(read(sunspots(tmp_path, ends), columns={"y": "y"}, drop_missing=True, **how), SERIES)
        np.testing.assert_array_equal(data["y"], yearly["y"][3:])


def test_a_blank_line_of_a_single_column_is_a_gap(tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text("y\n1\n\n3\n2\n\n\n")
    with pytest.raises(DataError, match="y has 1 value that is missing or infinite: row 2"):
        conform(read(str(tmp_path / "s.csv")), SERIES)
    (tmp_path / "s.csv").write_text("y\n1\n3\n2\n\n\n")
    assert conform(read(str(tmp_path / "s.csv")), SERIES)["y"].tolist() == [1, 3, 2]


def days(*dates: str) -> tuple[str, ...]:
    return dates


@pytest.mark.parametrize(
    "labels",
    [
        (1, 2, 3, 4),
        (0.25, 0.5, 0.75, 1.0),
        (10, 20, 30, 40),
        days("2023-11-01", "2023-12-01", "2024-01-01", "2024-02-01"),
        days("2024-01-31", "2024-02-29", "2024-03-31", "2024-04-30"),
        days("2024-02-28", "2024-02-29", "2024-03-01", "2024-03-02"),
        days("2024-01-04", "2024-01-05", "2024-01-08", "2024-01-09"),  # over a weekend
        days("2024-01", "2024-02", "2024-03", "2024-04"),
        days("2023Q3", "2023Q4", "2024Q1", "2024Q2"),
        days("2024-01-01T22", "2024-01-01T23", "2024-01-02T00", "2024-01-02T01"),
        days("2024-01-01T00:00:00.000000000", "2024-01-02T00:00:00.000000000", "2024-01-03", "2024-01-04"),
    ],
)
def test_equal_steps_of_every_kind(labels: tuple[Any, ...]) -> None:
    values = np.array([1.0, 5.0, 2.0, 8.0])
    data = Dataset({"y": values}, {"y": ("obs",)}, {"obs": labels})
    assert conform(data, SERIES).coords["obs"] == labels
    turned = Dataset({"y": values[::-1]}, {"y": ("obs",)}, {"obs": labels[::-1]})
    np.testing.assert_array_equal(conform(turned, SERIES)["y"], values)
    without = Dataset({"y": values[[0, 1, 3]]}, {"y": ("obs",)}, {"obs": (*labels[:2], labels[3])})
    with pytest.raises(DataError, match="1 of its times are missing"):
        conform(without, SERIES)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (("Alabama", "Alaska", "Arizona"), "its index holds 'Alabama', which says no time"),
        ((0.0, 0.7, 1.1), "its times are not equally spaced, for example from"),
    ],
)
def test_an_index_that_is_no_time(labels: tuple[Any, ...], message: str) -> None:
    data = Dataset({"y": np.array([1.0, 5.0, 2.0])}, {"y": ("obs",)}, {"obs": labels})
    with pytest.raises(DataError, match=message):
        conform(data, SERIES)
    assert conform(data, {"y": Role("real", "no series")}).coords["obs"] == labels
    plain = conform(Dataset(data.arrays, data.dims), SERIES)
    assert plain.origin.notes == ("y: its rows are taken as equally spaced times, in the order of the file",)
