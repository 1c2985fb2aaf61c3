"""Readers: csv, parquet, json and NetCDF files to a dataset; they change no file and judge no value."""

from __future__ import annotations

import dataclasses
import functools
import io
import json
import math
import numbers
import shutil
import tempfile
import unicodedata
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import numpy as np

from bayesrun.base.messages import in_one_line
from bayesrun.data import delimited, number_marks
from bayesrun.data.columns import Arrangement, Table
from bayesrun.data.hints import listed, nearest
from bayesrun.data.words import absent_words, counted
from bayesrun.errors import DataError
from bayesrun.types import Dataset, Origin

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["FORMATS", "Written", "opened", "read", "table"]

FORMATS: Mapping[str, str] = {
    ".csv": "csv",
    ".tsv": "csv",
    ".txt": "csv",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".json": "json",
    ".nc": "netcdf",
    ".nc4": "netcdf",
    ".netcdf": "netcdf",
}
"""Format by the suffix of a file name."""

MOST_LABELS = 10_000
"""A column of fractions with more distinct cells is a measurement: how its cells are written is not kept."""

SECONDS_A_DAY = 86400.0

_COMPRESSED = (".gz", ".bz2", ".xz", ".zip", ".zst")


def read(  # noqa: PLR0913 - each parameter is a key of the config
    path: str,
    format: str | None = None,
    separator: str | None = None,
    columns: Mapping[str, str | list[str]] | None = None,
    index: str | None = None,
    categories: str | list[str] | None = None,
    transform: Mapping[str, str | list[str]] | None = None,
    standardize: bool | str | list[str] = False,
    drop_missing: bool = False,
    name: str | None = None,
    missing: str | list[str] | None = None,
    event: Mapping[str, Any] | None = None,
    order: Mapping[str, list[Any]] | None = None,
    keep: str | list[str] | None = None,
    encoding: str | None = None,
    decimal: str | None = None,
    thousands: str | None = None,
    comment: str | None = None,
    dates: Mapping[str, Any] | None = None,
    by: str | None = None,
    level: Any = None,
) -> Dataset:
    """Read a table of the user's; all columns that are chosen count as used.

    Parameters
    ----------
    path
        The file; a relative path starts from the working directory. An address (``s3://BUCKET/my.csv``) is read
        through fsspec.
    format
        ``csv``, ``parquet``, ``json`` (a list of records, or an object of columns) or ``netcdf``. None: by suffix.
    separator
        Between the columns of a csv file. None: a tab for .tsv; for others what parts all rows of the file alike.
    columns, index, categories, transform, standardize, drop_missing, event, order, keep, dates, by, level
        See `bayesrun.data.columns.Arrangement`.
    name
        Of the dataset. None: the file's name without its suffix.
    missing
        Words that stand for a missing value, in every column. None: blank cells, and in columns of numbers also
        NA, NaN, None, null and the like (`bayesrun.data.words.ABSENT`), which among text are labels.
    encoding
        Of a csv file. None: what its first bytes say, or UTF-8.
    decimal, thousands
        Marks in the numbers of a csv file. None: what all its numbers together decide.
    comment
        What the lines of a csv file that are none of its rows begin with. None: lines that begin with # and have not
        as many fields as the others.

    Returns
    -------
    Dataset
        Arrays of a table have dims (obs,), or (obs, predictor) for a list of columns; those of a NetCDF file keep
        the dims and coords of the file.

    Raises
    ------
    DataError
        If the file is missing or unreadable, or a column is not there or cannot be used as asked.
    """
    how = Arrangement(
        columns, index, categories, transform, standardize, drop_missing, event, order, keep, dates, by, level
    )
    return opened(path, format, separator, name, missing, encoding, decimal, thousands, comment, how).arrays()


def opened(  # noqa: PLR0913 - each parameter is a key of the config
    path: str,
    format: str | None,
    separator: str | None,
    name: str | None,
    missing: str | list[str] | None,
    encoding: str | None,
    decimal: str | None,
    thousands: str | None,
    comment: str | None,
    how: Arrangement,
) -> Table:
    """Read a table, whose arrays are made when it is known which of them are used; see `read`."""
    written = Written(separator, encoding, decimal, thousands, comment)
    with _local(path) as file:
        stated = None if missing is None else (missing,) if isinstance(missing, str) else tuple(missing)
        state = file.stat() if file.is_file() else None
        stamp = None if state is None else (state.st_mtime_ns, state.st_size)
        return Table(_latest(file, stamp, format, written, name, stated), how)


@functools.lru_cache(maxsize=1)
def _latest(
    path: Path,
    stamp: tuple[int, int] | None,
    format: str | None,
    written: Written,
    name: str | None,
    missing: tuple[str, ...] | None,
) -> Dataset:
    """Read a file; that of several datasets is read once for all of them."""
    del stamp  # a file that changed is read again
    return table(path, format, written, name, missing)


@contextmanager
def _local(path: str) -> Iterator[Path]:
    """Give the file itself, or a copy of what an address such as ``s3://BUCKET/my.csv`` names, while it is read."""
    if "://" not in path:
        yield Path(path).expanduser().absolute()
        return
    try:
        import fsspec
    except ImportError:
        raise DataError(f"data.path: {path} is read by fsspec; install it: pip install 'bayesrun[s3]'") from None
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / _file_name(path)
        try:
            with fsspec.open(path, "rb") as source, file.open("wb") as copy:
                shutil.copyfileobj(source, copy)
        except Exception as error:
            raise DataError(
                f"data.path: {path} cannot be read ({type(error).__name__}: {error}); check the address and the "
                "credentials; for s3 install 'bayesrun[s3]'"
            ) from error
        yield file


def _file_name(address: str) -> str:
    """Name the file of an address: of one of the web without the query, which may hold a token."""
    path = urlsplit(address).path if address.startswith(("http://", "https://")) else address
    return path.rsplit("/", 1)[-1]


@dataclasses.dataclass(frozen=True)
class Written:
    """How the user says that a csv file is written; see `read`."""

    separator: str | None = None
    encoding: str | None = None
    decimal: str | None = None
    thousands: str | None = None
    comment: str | None = None


def table(
    path: Path,
    format: str | None = None,
    written: Written = Written(),
    name: str | None = None,
    missing: str | Sequence[str] | None = None,
) -> Dataset:
    """Read every column of a file.

    Parameters
    ----------
    path, format, name, missing
        As for `read`; `path` is absolute.
    written
        How a csv file is written.

    Returns
    -------
    Dataset
        Numbers as int64 or float64, booleans as bool, text as object arrays with None where it is missing; a
        categorical column as codes, with its labels in ``coords[column]``. What a csv file writes for a number is in
        ``origin.written``, the words for missing values are counted in ``origin.absent``, and names that several
        columns have are in ``origin.twins``.

    Raises
    ------
    DataError
        If the file is missing or cannot be read in this format.
    """
    _must_be_file(path)
    kind = format or _format(path)
    readers: Mapping[str, Callable[[Path], Dataset]] = {
        "csv": lambda file: _csv(file, written, missing),
        "parquet": lambda file: _parquet(file, missing),
        "json": lambda file: _json(file, missing),
        "netcdf": lambda file: _netcdf(file, missing),
    }
    if kind not in readers:
        near = nearest(kind, readers)
        hint = f"did you mean data.format={near}? " if near else ""
        raise DataError(f"data.format: got {kind!r}; {hint}There are {', '.join(readers)}")
    try:
        found = readers[kind](path)
    except DataError:
        raise
    except Exception as error:
        raise DataError(
            f"{path} cannot be read as {kind} ({in_one_line(error)}). If it is in another format, "
            f"say so: data.format={'|'.join(readers)}"
        ) from error
    if not any(array.size for array in found.arrays.values()):
        raise DataError(
            f"{path} has no rows (its columns: {listed(found.arrays)}); wanted one row for each observation"
        )
    return dataclasses.replace(found, name=name or path.name.split(".")[0], citation=f"file {path.name}")


def _must_be_file(path: Path) -> None:
    if path.is_file():
        return
    if path.is_dir():
        inside = sorted(entry.name for entry in path.iterdir() if entry.suffix in FORMATS)
        suffix = next((Path(name).suffix for name in inside), ".csv")
        each = f"; for a cell each: 'data.path={path}/*{suffix}'" if len(inside) > 1 else ""
        raise DataError(f"data.path: {path} is a folder; wanted a file. It holds {listed(inside)}{each}")
    if not path.parent.is_dir():
        there = next(parent for parent in path.parents if parent.is_dir())
        raise DataError(
            f"data.path: there is no file {path}; the folder {there} has no folder {path.relative_to(there).parts[0]}"
        )
    inside = sorted(entry.name for entry in path.parent.iterdir() if entry.is_file())
    near = nearest(path.name, inside)
    others = [entry for entry in inside if Path(entry).suffix in FORMATS]
    have = f"that folder has the data files {listed(others)}" if others else "that folder has no data file"
    hint = f"did you mean data.path={path.parent / near}?" if near else have
    raise DataError(f"data.path: there is no file {path}; {hint}")


def _format(path: Path) -> str:
    suffixes = [suffix for suffix in path.suffixes if suffix.lower() not in _COMPRESSED]
    suffix = suffixes[-1].lower() if suffixes else ""
    if suffix not in FORMATS:
        raise DataError(
            f"data.path: the suffix {suffix!r} of {path} says no format; set data.format=csv|parquet|json|netcdf "
            f"(known suffixes: {', '.join(FORMATS)})"
        )
    return FORMATS[suffix]


def _csv(path: Path, written: Written, missing: str | Sequence[str] | None) -> Dataset:
    import pandas as pd

    file = delimited.opened(path, written.separator, written.encoding, written.comment)
    if not file.text.strip():
        raise DataError(
            f"{path} is empty; wanted a first line with the names of the columns, then one line for each row"
        )
    try:
        frame, words, header = _parsed(file.text, file.separator, missing)
    except pd.errors.ParserWarning:
        cut = delimited.cut_to_header(file.text, file.separator) if len(file.separator) == 1 else None
        if cut is None:
            raise DataError(
                f"{path} has rows with more fields than its first line names; wanted as many in each row (a "
                f"{_sign(file.separator)} within a text or a number needs quotes around it, and a column of row names "
                "needs a name in the first line)"
            ) from None
        frame, words, header = _parsed(cut, file.separator, missing)
    # a blank header is what pandas calls Unnamed
    headers = [given or str(own) for given, own in zip(header, frame.columns, strict=True)]
    for position, column in enumerate(frame.columns):
        if not pd.api.types.is_numeric_dtype(frame[column].dtype):
            frame.isetitem(position, words.iloc[:, position].array)
    read = number_marks.applied(frame, words, file.separator, written.decimal, written.thousands, missing)
    there = [place for place, name in enumerate(header) if name or (words.iloc[:, place] != "").any()]
    found = _from_frame(
        read.frame.iloc[:, there], missing, [headers[place] for place in there], read.words.iloc[:, there]
    )
    origin = dataclasses.replace(found.origin, notes=(*file.notes, *read.notes), read={**file.found, **read.found})
    return dataclasses.replace(found, origin=origin)


def _sign(separator: str) -> str:
    return {",": "comma", "\t": "tab", ";": "semicolon"}.get(separator, repr(separator))


def _parsed(
    text: str, separator: str, missing: str | Sequence[str] | None
) -> tuple[pd.DataFrame, pd.DataFrame, list[str]]:
    """Parse a csv file: as numbers where they are, as it writes them, and the names of its columns."""
    import pandas as pd

    def parsed(**options: Any) -> pd.DataFrame:
        found: pd.DataFrame = pd.read_csv(
            io.StringIO(text),
            sep=separator,
            skipinitialspace=True,
            quotechar="'" if separator == r"\s+" else '"',  # that is how R quotes where columns are apart by spaces
            low_memory=False,
            index_col=False,  # or a row with one field more than the header would shift every column
            keep_default_na=False,
            **options,
        )
        return found

    with warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.ParserWarning)
        frame = parsed(na_values=sorted(absent_words(missing, text=False)))
        # pandas takes a blank beyond the last column for nothing only where it is missing
        words = parsed(dtype=str, na_values=[""]).fillna("")
        header = parsed(dtype=str, na_values=[""], header=None, nrows=1).fillna("")
        if frame.shape[1] == 1:
            frame, words = _with_blank_lines(parsed, missing)
    return frame, words, [str(name) for name in header.iloc[0]]


def _with_blank_lines(
    parsed: Callable[..., pd.DataFrame], missing: str | Sequence[str] | None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Read a file of one column again: a blank line within it is a missing value."""
    words = parsed(dtype=str, na_values=[""], skip_blank_lines=False)
    there = np.flatnonzero(words.iloc[:, 0].notna())
    rows = int(there[-1]) + 1 if there.size else 0
    frame = parsed(na_values=sorted(absent_words(missing, text=False)), skip_blank_lines=False)
    return frame.iloc[:rows], words.iloc[:rows].fillna("")


def _parquet(path: Path, missing: str | Sequence[str] | None) -> Dataset:
    import pandas as pd

    frame = pd.read_parquet(path, engine="pyarrow")
    named = [level for level in frame.index.names if level is not None]
    if not named:
        return _from_frame(frame, missing)
    taken = {str(column).strip() for column in frame.columns}
    names = [f"{name}_index" if str(name).strip() in taken else name for name in frame.index.names]
    return _from_frame(frame.reset_index(names=[name or f"level_{i}" for i, name in enumerate(names)]), missing)


def _json(path: Path, missing: str | Sequence[str] | None) -> Dataset:
    import pandas as pd

    body = json.loads(path.read_text(encoding="utf-8-sig"), object_pairs_hook=_each_once)
    if isinstance(body, list) and all(isinstance(record, Mapping) for record in body):
        return _from_frame(pd.DataFrame.from_records(body), missing)
    if isinstance(body, Mapping):
        single = [key for key, value in body.items() if not isinstance(value, (list, Mapping))]
        if single:
            raise DataError(f"{path}: {single[0]!r} is one value, {body[single[0]]!r}; wanted a list for each column")
        lengths = {key: len(value) for key, value in body.items()}
        if len(set(lengths.values())) > 1:
            raise DataError(f"{path}: the columns differ in length ({listed(f'{k} {n}' for k, n in lengths.items())})")
        return _from_frame(pd.DataFrame(body), missing)
    raise DataError(
        f'{path} holds neither a list of records [{{"y": 1, "x": 2}}, ...] nor columns {{"y": [1, ...], "x": [2, ...]}}'
    )


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise DataError(f"the file names {twice!r} twice in one object, and the second would replace the first; rename")
    return found


def _netcdf(path: Path, missing: str | Sequence[str] | None) -> Dataset:
    import xarray as xr

    content = xr.load_dataset(path, engine="netcdf4", decode_timedelta=False)
    if not content.data_vars and not content.coords:
        raise DataError(
            f"{path} has no variables outside of groups; write the one that is wanted with DataTree[GROUP].to_netcdf"
        )
    arrays: dict[str, np.ndarray] = {}
    dims: dict[str, tuple[str, ...]] = {}
    coords: dict[str, tuple[Any, ...]] = {}
    absent: dict[str, str] = {}
    for key, variable in content.variables.items():
        values, words = _plain(np.asarray(variable.values), missing)
        if key in content.indexes:
            coords[str(key)] = tuple(values.tolist())
        elif variable.ndim:
            arrays[str(key)], dims[str(key)] = values, tuple(str(dim) for dim in variable.dims)
            absent |= {str(key): words} if words else {}
    twins = _twins(list(arrays))
    return Dataset(arrays, dims, coords, origin=Origin(absent=absent, twins=twins))


def _twins(headers: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Find headers that come down to one name, without blanks around it and in one form of unicode."""
    found: dict[str, list[str]] = {}
    for header in headers:
        found.setdefault(unicodedata.normalize("NFKC", header.strip()), []).append(header)
    return {header.strip(): tuple(same) for same in found.values() if len(same) > 1 for header in same}


def _from_frame(
    frame: pd.DataFrame,
    missing: str | Sequence[str] | None,
    headers: Sequence[str] | None = None,
    words: pd.DataFrame | None = None,
) -> Dataset:
    """Make arrays of a frame; `headers` and `words` are what the file itself writes."""
    arrays: dict[str, np.ndarray] = {}
    coords: dict[str, tuple[Any, ...]] = {}
    absent: dict[str, str] = {}
    written: dict[str, np.ndarray] = {}
    nested: dict[str, str] = {}
    ordered, notes = [], []
    headers = headers or [str(column) for column in frame.columns]
    for position, header in enumerate(headers):
        series, name = frame.iloc[:, position], header.strip()
        if series.dtype.kind == "m":
            series = series.dt.total_seconds() / SECONDS_A_DAY
            notes.append(f"{name}: a length of time, read in days")
        if series.dtype == object and (kinds := _nested(series)):
            nested[name] = kinds
        if series.dtype.name == "category":
            arrays[name] = series.cat.codes.to_numpy().astype(np.int64)
            coords[name] = tuple(str(label) for label in series.cat.categories)
            ordered += [name] if series.cat.ordered else []
            told = counted([None] * int((arrays[name] < 0).sum()))
        else:
            arrays[name], told = _column(series, missing)
        if words is not None and arrays[name].dtype.kind in "fiub":
            spelt = _spelt(words.iloc[:, position], arrays[name])
            written |= {} if spelt is None else {name: spelt}
            told = counted(word for word, gap in zip(words.iloc[:, position], series.isna(), strict=True) if gap)
        absent |= {name: told} if told else {}
    origin = Origin(tuple(notes), absent=absent, written=written, twins=_twins(headers), nested=nested)
    return Dataset(arrays, dict.fromkeys(arrays, ("obs",)), coords, ordered=tuple(ordered), origin=origin)


def _nested(series: pd.Series[Any]) -> str:
    """Name what the cells of a column hold where they are no single values; empty where they are."""
    cell = next((cell for cell in series if isinstance(cell, (list, tuple, set, Mapping, np.ndarray, bytes))), None)
    if cell is None:
        return ""
    return "bytes" if isinstance(cell, bytes) else "mappings" if isinstance(cell, Mapping) else "lists"


def _spelt(words: pd.Series[Any], values: np.ndarray) -> np.ndarray | None:
    """Return the cells of a column of numbers; None where they are plainly measurements, and no labels."""
    import pandas as pd

    place, distinct = pd.factorize(words)
    if len(distinct) > MOST_LABELS and not np.array_equal(values, np.round(values), equal_nan=True):
        return None
    spelt = np.array([str(word).strip() for word in distinct], dtype=object)[place]
    if values.dtype.kind == "f":
        spelt[np.isnan(values)] = None
    return spelt


def _column(series: pd.Series[Any], missing: str | Sequence[str] | None) -> tuple[np.ndarray, str]:
    """Return the values of a column, and the words for missing ones, counted."""
    from pandas.api import types

    gaps = bool(series.isna().any())
    if types.is_bool_dtype(series.dtype) and not gaps:
        return series.to_numpy(dtype=bool), ""
    if types.is_numeric_dtype(series.dtype):
        if gaps:
            return series.to_numpy(dtype=np.float64, na_value=np.nan), counted([None] * int(series.isna().sum()))
        return _plain(series.to_numpy(), missing)
    return _plain(series.astype(object).where(series.notna(), None).to_numpy(dtype=object), missing)


def _plain(values: np.ndarray, missing: str | Sequence[str] | None = None) -> tuple[np.ndarray, str]:
    """Widen numbers to 64 bits, since narrow integers overflow in a model; write dates and the like as text.

    With it the words that were taken as missing, counted.
    """
    kind = values.dtype.kind
    if kind == "u" and values.size and int(values.max()) > np.iinfo(np.int64).max:
        return values.astype(np.float64), ""
    if kind in "iu":
        return values.astype(np.int64), ""
    if kind == "f":
        return values.astype(np.float64), counted([None] * int(np.isnan(values).sum()))
    if kind == "b":
        return values, ""
    if kind == "M":
        values = np.where(np.isnat(values), None, np.datetime_as_string(values))  # type: ignore[call-overload]
    flat = [None if _absent(value) else value for value in values.astype(object).ravel()]
    for text in (False, True):
        gone = absent_words(missing, text)
        rest = [None if isinstance(v, str) and v.strip() in gone else v for v in flat]
        words = counted(v.strip() if isinstance(v, str) else v for v, r in zip(flat, rest, strict=True) if r is None)
        if not text and all(v is None or (isinstance(v, numbers.Number) and not isinstance(v, bool)) for v in rest):
            return np.array([np.nan if v is None else float(v) for v in rest]).reshape(values.shape), words
    texts = np.empty(len(rest), dtype=object)
    texts[:] = [None if value is None else str(value) for value in rest]
    return texts.reshape(values.shape), words


def _absent(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))
