"""Tables as people write them: the least squares line of each is that of its numbers, or it is said what to type."""

from __future__ import annotations

import codecs
from typing import TYPE_CHECKING

import numpy as np
import pytest

from bayesrun.data import conform, read
from bayesrun.errors import DataError
from bayesrun.types import Role
from table_oracles import log_odds_of, slope_of

if TYPE_CHECKING:
    from pathlib import Path

X = np.array([1234.5, 2.25, 3100.0, 4000.125, 52000.5, 6.0])
Y = np.array([3.5, 1000.75, 2.25, 4.0, 123456.5, 6.125])
SLOPE = slope_of(X, Y)


def rows(number, sign=";", quote="", header="y;x", end="\n"):
    lines = [header.replace(";", sign)] + [
        sign.join(quote + number(value) + quote for value in row) for row in zip(Y, X, strict=True)
    ]
    return end.join(lines) + end


def plain(value):
    return repr(float(value))


def comma(value):
    return plain(value).replace(".", ",")


def grouped(thousands, decimal):
    return lambda value: f"{value:,.3f}".replace(",", "\0").replace(".", decimal).replace("\0", thousands)


def slope(path, **how):
    data = conform(read(str(path), **how), {"y": Role("real", ""), "x": Role("real", "")})
    return slope_of(data["x"], data["y"]), data.origin


READ = {
    "semicolons": (rows(plain), "read with ';' between columns"),
    "tabs": (rows(plain, "\t"), "read with a tab between columns"),
    "pipes": (rows(plain, "|"), "read with '|' between columns"),
    "decimal commas": (rows(comma), "numbers read with ',' for decimals, for example '3,5' as 3.5"),
    "decimal commas in quotes": (rows(comma, ",", '"'), "numbers read with ',' for decimals, for example '3,5' as 3.5"),
    "decimal commas, dots for thousands": (
        rows(grouped(".", ",")),
        "numbers read with ',' for decimals and '.' for thousands, for example '3,500' as 3.500",
    ),
    "commas for thousands": (
        rows(grouped(",", "."), ",", '"'),
        "numbers read with ',' for thousands, for example '1,000.750' as 1000.750",
    ),
    "blanks for thousands": (rows(grouped("\u202f", ",")), "',' for decimals and ' ' for thousands"),
    "apostrophes for thousands": (rows(grouped("'", ".")), "an apostrophe for thousands"),
    "a first line that names the sign": ("sep=;\n" + rows(plain), "read with ';' between columns, as its first line"),
    "a comment": ("# from the registry, in May, by hand\n" + rows(plain), "1 line that begins with # is left out"),
    "comments within": (
        rows(plain).replace("\n6.125", "\n# the last one\n6.125"),
        "1 line that begins with # is left out",
    ),
    "a comment with as many fields": ("# year; place\n" + rows(plain), "1 line that begins with # is left out"),
    "the end of a line of Windows": (rows(comma, end="\r\n"), "numbers read with ','"),
    "a sign at the end of each row": (rows(plain).replace("\n", ";\n").replace("y;x;", "y;x"), "read with ';'"),
    "a sign at the end of each line": (rows(plain).replace("\n", ";\n"), "read with ';'"),
    "a sign at the end of some rows": (rows(plain, ",").replace("3.5,1234.5", "3.5,1234.5,,"), ""),
    "blank lines": (rows(plain).replace("\n", "\n\n"), "read with ';'"),
    "blanks around": (rows(lambda v: f" {plain(v)} ", header=" y ; x "), "read with ';'"),
    "quoted breaks": ('note;y;x\n"a\nb; c";' + rows(plain).replace("\n", '\n"d, e";')[10:-8], "read with ';'"),
}


@pytest.mark.parametrize("case", READ)
def test_what_a_file_decides(tmp_path: Path, case):
    text, told = READ[case]
    if case == "quoted breaks":
        text = "note;y;x\n" + "".join(f'"a\nb; c";{plain(y)};{plain(x)}\n' for y, x in zip(Y, X, strict=True))
    (tmp_path / "t.csv").write_text(text, newline="")
    found, origin = slope(tmp_path / "t.csv")
    assert found == pytest.approx(SLOPE, rel=1e-12)
    assert told in "\n".join(origin.notes)
    assert slope(tmp_path / "t.csv", **origin.read)[0] == found


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32", "utf-16-be"])
def test_encodings_that_say_what_they_are(tmp_path: Path, encoding):
    text = rows(comma, header="y;x").replace("x", "Größe")
    mark = codecs.BOM_UTF16_BE if encoding == "utf-16-be" else b""
    (tmp_path / "t.csv").write_bytes(mark + text.encode(encoding))
    assert slope(tmp_path / "t.csv", columns={"y": "y", "x": "Größe"})[0] == pytest.approx(SLOPE, rel=1e-12)


ASKED = {
    "Latin-1": (
        "y,x,ort\n1,2,München\n2,3,b\n".encode("latin-1"),
        r"'München' in data.encoding=windows-1252 \(Western Europe\).*say which: data.encoding=windows-1252",
        {"encoding": "windows-1252"},
    ),
    "UTF-16 without a mark": (
        "y,x\n1,2\n2,3\n".encode("utf-16-le"),
        "data.encoding=utf-16-le",
        {"encoding": "utf-16-le"},
    ),
    "blanks": (
        b"y x\n1 2\n2 3\n",
        r"look separated by blanks; if so: 'data.separator=\"\\s\+\"'",
        {"separator": r"\s+"},
    ),
    "two signs": (b"y;x,z\n1;2,3\n2;3,4\n", "\"data.separator=','\" or \"data.separator=';'\"", {"separator": ";"}),
    "three digits": (
        b"y;x\n1,234;1\n2,345;2\n",
        r"'1,234' is 1.234 with \"data.decimal=','\", and 1234 with \"data.decimal='.'\" \"data.thousands=','\"",
        {"decimal": ","},
    ),
    "three digits after a point": (
        b"y;x\n1.234;1\n2.345;2\n",
        r"'1.234' is 1.234 with \"data.decimal='.'\", and 1234 with \"data.decimal=','\" \"data.thousands='.'\"",
        {"decimal": "."},
    ),
    "a point for thousands that nothing proves": (
        b"y;x\n1.234;1,5\n2.345;2,5\n",
        r"'1.234' is 1.234 with .*, and 1234 with",
        {"decimal": ",", "thousands": "."},
    ),
    "a comment or a header": (b"#a,b\nx,y\nc,d\n", "line 1 begins with #, and may be a comment", {"comment": ""}),
    "more fields": (b"y,x\n1,5,2,5\n1,6,3,5\n", "rows with more fields than its first line names", None),
    "an encoding": (b"y,x\n1,2\n", "data.encoding: got 'utf8x'; wanted the name of an encoding", None),
}


@pytest.mark.parametrize("case", ASKED)
def test_what_a_file_does_not_decide(tmp_path: Path, case):
    body, told, remedy = ASKED[case]
    (tmp_path / "t.csv").write_bytes(body)
    with pytest.raises(DataError, match=told):
        read(str(tmp_path / "t.csv"), **({"encoding": "utf8x"} if case == "an encoding" else {}))
    if remedy is not None:
        assert len(read(str(tmp_path / "t.csv"), **remedy)["y" if "#" not in told else "b"]) == 2


def test_a_column_in_doubt_that_nobody_uses(tmp_path: Path):
    (tmp_path / "t.csv").write_text("y;x;z\n1;2;1,234\n2;3;2,345\n")
    data = read(str(tmp_path / "t.csv"), columns={"y": "y", "x": "x"})
    assert data["x"].tolist() == [2, 3]


def test_labels_and_dates_are_no_numbers(tmp_path: Path):
    (tmp_path / "t.csv").write_text("y;when;code\n1,5;01.02.2024;A-1\n2,5;02.02.2024;007\n3,5;02.02.2024;B\n")
    data = read(str(tmp_path / "t.csv"))
    assert data["y"].tolist() == [1.5, 2.5, 3.5]
    assert data.coords["when"] == ("01.02.2024", "02.02.2024")
    assert data.coords["code"] == ("007", "A-1", "B")


def test_a_gap_and_a_word_among_decimal_commas(tmp_path: Path):
    (tmp_path / "t.csv").write_text("y;x;z\n1,5;2;1,25\nNA;3;?\n2,5;4;3,5\n")
    data = read(str(tmp_path / "t.csv"), columns={"y": "y", "x": "x"}, drop_missing=True)
    assert data["y"].tolist() == [1.5, 2.5]
    with pytest.raises(DataError, match=r"column z holds text among numbers: '\?' in row 2"):
        read(str(tmp_path / "t.csv"))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16"])
@pytest.mark.parametrize(("sign", "decimal"), [(";", ","), (",", "."), ("\t", ",")])
def test_a_binary_outcome_in_words_has_the_log_odds_of_its_rows(tmp_path, encoding, sign, decimal):
    rng = np.random.default_rng(2)
    x = rng.normal(2.0, 1.5, 60).round(3)
    y = (rng.random(60) < 1 / (1 + np.exp(2.0 - x))).astype(int)
    words = np.array(["nein", "ja"])[y]
    lines = [f"größe{sign}rückfall"]
    lines += [f"{number}".replace(".", decimal) + sign + word for number, word in zip(x, words, strict=True)]
    (tmp_path / "t.csv").write_text("\n".join(lines) + "\n", encoding=encoding)
    columns = {"y": "rückfall", "X": ["größe"]}
    asked = {"encoding": "cp1252"} if encoding == "cp1252" else {}  # which is asked for in the error
    table = read(str(tmp_path / "t.csv"), columns=columns, event={"y": "ja"}, **asked)
    data = conform(table, {"y": Role("binary", ""), "X": Role("predictors", "")})
    assert log_odds_of(data["X"][:, 0], data["y"]) == pytest.approx(log_odds_of(x, y))


@pytest.mark.parametrize(
    ("start", "told"),
    [
        (b"PAR1\x15\x04", "is no text, but parquet: data=parquet"),
        (b"\x89HDF\r\n", r"NetCDF \(HDF5\): data=netcdf"),
        (b"CDF\x01", "NetCDF: data=netcdf"),
        (b"PK\x03\x04\x14", "an Excel workbook or another archive; save its sheet as CSV"),
    ],
)
def test_a_file_of_another_format_is_no_text_in_an_encoding(tmp_path, start, told):
    (tmp_path / "t.csv").write_bytes(start + bytes(range(256)))
    for how in ({}, {"encoding": "latin-1"}):
        with pytest.raises(DataError, match=told):
            read(str(tmp_path / "t.csv"), format="csv", **how)
