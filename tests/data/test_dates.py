"""Dates are time or labels by choice, and a column that can be read in two ways is asked about."""

import numpy as np
import pandas as pd
import pytest

from bayesrun.base.dates import as_time, look_like_dates
from bayesrun.data import conform, load, read, save
from bayesrun.errors import DataError
from bayesrun.types import Role
from table_oracles import slope_of

DAYS = [0.0, 1.0, 27.0, 365.0]


def written(form):
    return [f"{day:{form}}" for day in pd.to_datetime("2021-03-04") + pd.to_timedelta(DAYS, "D")]


@pytest.mark.parametrize(
    "form",
    ["%Y-%m-%d", "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%Y/%m/%d", "%d %b %Y", "%d-%b-%y", "%B %d, %Y", "%Y-%m-%dT%H:%M",
     "%Y-%m-%d %H:%M:%S", "%d.%m.%Y %H:%M", "%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%d %H:%M:%S+00:00", "%m/%d/%Y %I:%M %p"],
)  # fmt: skip
def test_time_since_the_first(form):
    words = np.array([*written(form), None], dtype=object)
    assert look_like_dates(words)
    days, told = as_time("visit", words, "days")
    assert days[:-1].tolist() == DAYS
    assert np.isnan(days[-1])
    assert told == "days since 2021-03-04"
    years, _ = as_time("visit", words, {"unit": "years", "since": "2020-03-04"})
    assert years[3] == pytest.approx(730 / 365.25)


@pytest.mark.parametrize("words", [["a1", "b2"], ["1234-12", "0012-01"], ["1.10", "2.11"], ["May", "June"], [], [None]])
def test_other_text_is_no_dates(words):
    assert not look_like_dates(words)


@pytest.mark.parametrize(
    ("words", "wanted", "message"),
    [
        (
            ["01/02/2021", "03/04/2021"],
            "days",
            r"'01/02/2021' can be 2021-02-01 \(%d/%m/%Y\) or 2021-01-02 \(%m/%d/%Y\)",
        ),
        (["2021-03-04", "soon"], "days", r"data.dates.visit: 'soon' is no date that can be read with the others"),
        (["2021-03-04"], "day", r"got 'day'; did you mean days\? wanted seconds, minutes, "),
        (["2021-03-04"], {"unit": "days", "form": "x"}, "or a mapping of unit, since and format"),
        (["2021-03-04"], {"since": "long ago"}, "data.dates.visit.since: got 'long ago'; wanted a date such as"),
        (["2021-03-04"], {"format": "%d.%m.%Y"}, "'2021-03-04' is no date"),
    ],
)
def test_what_is_asked(words, wanted, message):
    with pytest.raises(DataError, match=message):
        as_time("visit", np.array(words, dtype=object), wanted)
    if "can be 2021" in message:
        assert as_time("visit", np.array(words, dtype=object), {"format": "%d/%m/%Y"})[0].tolist() == [0.0, 61.0]


@pytest.fixture
def path(tmp_path):
    rng = np.random.default_rng(1)
    day = rng.permutation(40)
    frame = pd.DataFrame(
        {
            "visit": pd.to_datetime("2021-03-04") + pd.to_timedelta(day, "D"),
            "y": 1 + 0.5 * day + rng.normal(0, 0.1, 40),
            "person": [f"p{row}" for row in range(40)],
        }
    )
    frame.to_csv(tmp_path / "t.csv", index=False)
    frame.to_parquet(tmp_path / "t.parquet")
    return tmp_path


@pytest.mark.parametrize("name", ["t.csv", "t.parquet"])
def test_predictors_take_no_dates_unasked(path, name):
    roles = {"y": Role("real", ""), "X": Role("predictors", "")}
    columns = {"y": "y", "X": ["visit"]}
    with pytest.raises(DataError, match=r"visit holds dates such as '2021-03-.*'data.dates=\{visit: days\}'"):
        conform(read(str(path / name), columns=columns), roles)
    with pytest.raises(DataError, match=r"X must be a column.*, and X holds dates such as"):
        conform(read(str(path / name), columns={"y": "y", "X": "visit"}), roles)
    data = conform(read(str(path / name), columns=columns, dates={"visit": "days"}), roles)
    slope = slope_of(data["X"][:, 0], data["y"])
    assert slope == pytest.approx(0.5, abs=0.01)
    assert "visit: days since 2021-03-04" in data.origin.notes


def test_a_formula_takes_no_dates_and_no_names_unasked(path):
    from bayesrun.models.formula import build

    def model(formula, **how):
        data = read(str(path / "t.csv"), **how)
        save(data, path / "kept.nc")  # what a worker reads
        return build(load(path / "kept.nc"), formula=formula)

    with pytest.raises(
        DataError, match=r"visit holds dates such as '2021-03-04'.*\{visit: days\}.*\{visit: category\}"
    ):
        model("y ~ visit")
    with pytest.raises(
        DataError, match=r"person has 40 labels in 40 rows.*\(1\|person\).*'data.categories=\[person\]'"
    ):
        model("y ~ person")
    assert model("y ~ visit", dates={"visit": "days"})["visit"].ndim == 0
    assert model("y ~ visit", dates={"visit": "category"})["visit"].eval().shape == (39,)
    assert model("y ~ person", categories=["person"])["person"].eval().shape == (39,)
    assert model("y ~ 1 + (1|visit)").named_vars_to_dims["1|visit"] == ["visit__factor_dim"]
