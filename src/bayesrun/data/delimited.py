"""How a csv file is written: its encoding, the sign between columns, comments; found, or asked for.

What is found follows from the whole file, and is said; what it does not decide is asked for. Which marks its numbers
have is the part of `number_marks`.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from bayesrun.data.words import is_number
from bayesrun.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

__all__ = ["Text", "cut_to_header", "opened"]

SIGNS: Final = (",", ";", "\t", "|")
COMMENT: Final = "#"
_OTHER_FORMATS: Final[Mapping[bytes, str]] = {
    b"PAR1": "parquet: data=parquet",
    b"\x89HDF": "NetCDF (HDF5): data=netcdf",
    b"CDF\x01": "NetCDF: data=netcdf",
    b"CDF\x02": "NetCDF: data=netcdf",
    b"CDF\x05": "NetCDF: data=netcdf",
    b"PK\x03\x04": "an Excel workbook or another archive; save its sheet as CSV",
    b"\xd0\xcf\x11\xe0": "an Excel workbook; save its sheet as CSV",
}
"""How files begin that are no text, and what to do with them."""

_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
"""What a file begins with that says its encoding; that of UTF-32 begins like that of UTF-16."""

_REGIONS: Final = {"windows-1252": "Western Europe", "windows-1250": "Central Europe", "windows-1251": "Cyrillic"}
_NAMED: Final = re.compile(r'"?sep=(.)"?[;,\t]*\r?\n')
"""The first line by which spreadsheets are told what stands between columns."""


@dataclass(frozen=True)
class Text:
    """A csv file as text.

    Parameters
    ----------
    text
        Without byte order mark and comment lines.
    separator
        Between columns; more than one character is a regular expression.
    notes
        What was found that is not what every csv file has.
    found
        The keys of the data config that would say so.
    """

    text: str
    separator: str
    notes: tuple[str, ...] = ()
    found: Mapping[str, str] = field(default_factory=dict)


def opened(path: Path, separator: str | None, encoding: str | None, comment: str | None) -> Text:
    """Read a csv file as text.

    Parameters
    ----------
    path
        The file; one that ends in .gz, .bz2, .xz, .zip or .zst is uncompressed.
    separator, encoding, comment
        As the user says; None: found in the file. An empty `comment`: no line is one.

    Raises
    ------
    DataError
        If the file does not decide what it is, with what to type.
    """
    text, coded = _decoded(path, encoding)
    notes, found = [], {}
    if coded not in (None, "utf-8", "utf-8-sig"):
        notes.append(f"read as {coded.upper()}")
        found["encoding"] = coded
    named = _NAMED.match(text)
    if named and separator in (None, named[1]):
        text, separator = text[named.end() :], named[1]
        notes.append(f"read with {_shown(separator)} between columns, as its first line says")
        found["separator"] = separator
    if separator is None and ".tsv" in [suffix.lower() for suffix in path.suffixes]:
        separator = "\t"
    mark = COMMENT if comment is None else comment
    commented = _with_mark(text, mark) if mark else {}
    rest = _without(text, commented)
    sign = {"\\t": "\t", "tab": "\t"}.get(separator or "", separator) or _separator(path, rest)
    if commented:
        if comment is None:
            commented = _comments(path, text, commented, rest, sign)
            rest = _without(text, commented)
        if commented:
            one = len(commented) == 1
            lines = f"{len(commented)} line{'' if one else 's'} that begin{'s' if one else ''}"
            notes.append(f"{lines} with {mark} {'is' if one else 'are'} left out as a comment")
            found["comment"] = mark
    if separator is None and sign != ",":
        notes.append(f"read with {_shown(sign)} between columns")
        found["separator"] = sign
    return Text(rest, sign, tuple(notes), found)


def cut_to_header(text: str, separator: str) -> str | None:
    """Write a table without the blank fields beyond its header; None where a field there has content."""
    try:
        records = [record for record in _records(text, separator) if record]
    except csv.Error:
        return None
    width = len(records[0])
    if any(field.strip() for record in records for field in record[width:]):
        return None
    out = io.StringIO()
    csv.writer(out, delimiter=separator, lineterminator="\n").writerows(record[:width] for record in records)
    return out.getvalue()


def _decoded(path: Path, encoding: str | None) -> tuple[str, str | None]:
    raw = _bytes(path)
    if told := next((told for mark, told in _OTHER_FORMATS.items() if raw.startswith(mark)), None):
        raise DataError(f"{path} is no text, but {told}")
    if encoding is not None:
        try:
            codecs.lookup(encoding)
        except LookupError:
            raise DataError(
                f"data.encoding: got {encoding!r}; wanted the name of an encoding, such as utf-8, utf-16, latin-1, "
                f"{', '.join(_REGIONS)}"
            ) from None
        try:
            return raw.decode(encoding).removeprefix("\ufeff"), None
        except UnicodeError as error:
            raise DataError(
                f"data.encoding={encoding}: {path} is not in it ({error}); leave it out: data.encoding=null"
            ) from None
    coded = next((name for mark, name in _MARKS if raw.startswith(mark)), "utf-8")
    try:
        text = raw.decode(coded)
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path} is not in UTF-8 ({error.reason} at byte {error.start}){_read_as(raw, error)}"
        ) from None
    if "\0" in text[:1000]:
        likely = "utf-16-le" if text[1:2] == "\0" else "utf-16-be"
        raise DataError(
            f"{path} has bytes of zero, as files in UTF-16 have that do not say so; if it is one: "
            f"data.encoding={likely}"
        )
    return text, coded


def _bytes(path: Path) -> bytes:
    from pandas.io.common import get_handle  # type: ignore[import-not-found]  # its stubs leave it out

    with get_handle(path, "rb", compression="infer", is_text=False) as opened_file:
        raw: bytes = opened_file.handle.read()
    return raw


def _read_as(raw: bytes, error: UnicodeDecodeError) -> str:
    """Show the first word that is not UTF-8 in the encodings that it may be in."""
    start, end = error.start, error.start + 1
    while start and error.start - start < 20 and (raw[start - 1] > 127 or chr(raw[start - 1]).isalnum()):
        start -= 1
    while end < len(raw) and end - error.start < 20 and (raw[end] > 127 or chr(raw[end]).isalnum()):
        end += 1
    told = {}
    for name, region in _REGIONS.items():
        try:
            told[name] = f"{raw[start:end].decode(name)!r} in data.encoding={name} ({region})"
        except UnicodeDecodeError:
            continue
    if not told:
        return "; say in which encoding: data.encoding=NAME"
    return f": the word there is {', '.join(told.values())}; say which: data.encoding={next(iter(told))}"


def _lines(text: str) -> list[str]:
    return list(io.StringIO(text, newline=""))


def _with_mark(text: str, mark: str) -> dict[int, str]:
    """Find the lines that begin with a mark, by number; what stands in quotes over several lines is none."""
    if not re.search(rf"^[ \t]*{re.escape(mark)}", text, re.MULTILINE):
        return {}
    found, quoted = {}, False
    for number, line in enumerate(_lines(text)):
        if not quoted and line.lstrip(" \t").startswith(mark):
            found[number] = line
        elif line.count('"') % 2:
            quoted = not quoted
    return found


def _without(text: str, gone: Mapping[int, str]) -> str:
    return "".join(line for number, line in enumerate(_lines(text)) if number not in gone) if gone else text


def _comments(path: Path, text: str, marked: Mapping[int, str], rest: str, sign: str) -> dict[int, str]:
    """Tell comments from a header, or a row, that begins with the mark: these have as many fields as the others."""
    rows = [record for record in _records(rest, sign) if record][:2]
    if not rows:
        return {}

    def like_row(line: str) -> bool:
        return len(next(_records(line, sign), [])) == len(rows[0])

    first = next(number for number, line in enumerate(_lines(text)) if number not in marked and line.strip())
    leading = [number for number in marked if number < first]
    found = {number: line for number, line in marked.items() if number > first and not like_row(line)}
    if not leading:
        return found
    found |= {number: marked[number] for number in leading}
    if not like_row(marked[leading[-1]]):
        return found
    if any(map(is_number, rows[0])):
        del found[leading[-1]]  # what follows is no header
        return found
    if len(rows) > 1 and any(map(is_number, rows[1])):
        return found
    raise DataError(
        f"{path}: line {leading[-1] + 1} begins with {COMMENT}, and may be a comment or the names of the columns; say "
        f"that it is a comment: \"data.comment='{COMMENT}'\", or that it is none: \"data.comment=''\""
    )


def _records(text: str, sign: str) -> Iterator[list[str]]:
    if len(sign) > 1:
        lines = (line.strip() for line in _lines(text))
        return (re.split(sign, line) if line else [] for line in lines)
    return csv.reader(io.StringIO(text, newline=""), delimiter=sign, skipinitialspace=True)


def _separator(path: Path, text: str) -> str:
    header = next((line for line in _lines(text) if line.strip()), "")
    there = [sign for sign in SIGNS if sign in header]
    if there == [","]:
        return ","
    if not there:
        _refuse_blanks(path, text)
        return ","
    fitting = [sign for sign in there if _fits(text, sign)]
    if len(fitting) == 1:
        return fitting[0]
    if len(there) == 1:
        return there[0] if there[0] in text.replace(header, "", 1) else ","
    candidates = fitting or there
    raise DataError(
        f"{path}: its first line has {' and '.join(map(_shown, there))}, and "
        f"{'each' if fitting else 'none'} of them parts all rows alike; say what is between the columns: "
        + " or ".join(f"\"data.separator='{_typed(sign)}'\"" for sign in candidates)
    )


def _fits(text: str, sign: str) -> bool:
    """Whether all rows have as many fields as the first line, blank ones at the end aside."""
    try:
        width = 0
        for record in _records(text, sign):
            if not record:
                continue
            width = width or len(record)
            if len(record) < width or any(field.strip() for field in record[width:]):
                return False
    except csv.Error:
        return False
    return width > 1


def _refuse_blanks(path: Path, text: str) -> None:
    """Refuse a table whose columns blanks part: that of one column with blanks in its cells looks like it."""
    widths, numbers = set[int](), True
    for line in _lines(text):
        if words := line.split():
            numbers = numbers and (not widths or any(map(is_number, words)))
            widths.add(len(words))
    if len(widths) == 1 and max(widths) > 1 and numbers:
        raise DataError(
            f"{path}: its columns look separated by blanks; if so: 'data.separator=\"\\s+\"', and if it is one column: "
            "\"data.separator=','\""
        )


def _shown(sign: str) -> str:
    return "a tab" if sign == "\t" else repr(sign)


def _typed(sign: str) -> str:
    return "\\t" if sign == "\t" else sign
