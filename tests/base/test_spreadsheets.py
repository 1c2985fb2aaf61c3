"""Cells, labels and names that a spreadsheet would work out."""

import pandas as pd
import pytest

from bayesrun.base.spreadsheets import without_formulas

FORMULAS = ("=1+1", '=HYPERLINK("http://x")', "@SUM(A1)", "+cmd|' /C calc'!A0", "-cmd", "\t=1", "\r=1", "-(1)")
PLAIN = ("-1.5", "+3e-2", "-.5", "-inf", "-", "- none", "a=1", "mu[-x]", "", "~ x", "1-2")


@pytest.mark.parametrize("text", FORMULAS)
def test_a_formula_is_text_wherever_it_stands(text):
    frame = pd.DataFrame({"cell": [text, "a"], text: [1.0, 2.0]}, index=pd.Index([text, "b"], name="key"))
    found = without_formulas(frame)
    assert list(found["cell"]) == [f"'{text}", "a"]
    assert list(found.columns) == ["cell", f"'{text}"]
    assert list(found.index) == [f"'{text}", "b"]
    assert found.index.name == "key"
    assert list(frame["cell"]) == [text, "a"]


def test_what_is_none_stays_and_the_table_is_the_same():
    frame = pd.DataFrame({"cell": PLAIN, "n": range(len(PLAIN)), "none": None, "some": [None, *PLAIN[1:]]})
    assert without_formulas(frame) is frame


def test_numbers_of_any_kind_stay():
    frame = pd.DataFrame(
        {"x": [-1.5, 2.0], "c": pd.Categorical(["=1", "b"]), "d": pd.to_datetime(["2020-01-01", None])}
    )
    found = without_formulas(frame.drop(columns="c"))
    assert found["x"].tolist() == [-1.5, 2.0]
    assert list(without_formulas(frame)["c"]) == ["'=1", "b"]


def test_several_levels_and_names_that_stand_twice():
    index = pd.MultiIndex.from_tuples([("a", 1), ("=b", 2)], names=["x", "y"])
    frame = pd.DataFrame([["=1", 2], ["c", 3]], columns=["k", "k"], index=index)
    found = without_formulas(frame)
    assert found.to_csv() == "x,y,k,k\na,1,'=1,2\n'=b,2,c,3\n"
