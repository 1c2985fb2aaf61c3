"""Readers: csv, parquet, json and NetCDF files to a dataset; they change no file and judge no value."""

from __future__ import annotations

import json
import math
import numbers
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesrun.data.columns import Arrangement, arrange
from bayesrun.data.hints import listed, nearest
from bayesrun.errors import DataError
from bayesrun.types import Dataset

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["FORMATS", "read", "table"]

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
) -> Dataset:
    """Read a table of the user's.

    Parameters
    ----------
    path
        The file; a relative path starts from the working directory. An address (``s3://BUCKET/my.csv``) is read
        through fsspec.
    format
        ``csv``, ``parquet``, ``json`` (a list of records, or an object of columns) or ``netcdf``. None: by suffix.
    separator
        Between the columns of a csv file. None: a tab for .tsv, a comma for others.
    columns, index, categories, transform, standardize, drop_missing
        See `bayesrun.data.columns.Arrangement`.
    name
        Of the dataset. None: the file's name without its suffix.

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
    how = Arrangement(columns, index, categories, transform, standardize, drop_missing)
    with _local(path) as file:
        return arrange(table(file, format, separator, name), how)


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
        file = Path(folder) / path.rsplit("/", 1)[-1]
        try:
            with fsspec.open(path, "rb") as source, file.open("wb") as copy:
                shutil.copyfileobj(source, copy)
        except Exception as error:
            raise DataError(
                f"data.path: {path} cannot be read ({type(error).__name__}: {error}); check the address and the "
                "credentials; for s3 install 'bayesrun[s3]'"
            ) from error
        yield file


def table(path: Path, format: str | None = None, separator: str | None = None, name: str | None = None) -> Dataset:
    """Read every column of a file.

    Parameters
    ----------
    path, format, separator, name
        As for `read`; `path` is absolute.

    Returns
    -------
    Dataset
        Numbers as int64 or float64, booleans as bool, text as object arrays with None where it is missing; a
        categorical column as codes, with its labels in ``coords[column]``.

    Raises
    ------
    DataError
        If the file is missing or cannot be read in this format.
    """
    _must_be_file(path)
    kind = format or _format(path)
    readers: Mapping[str, Callable[[Path, str | None], Dataset]] = {
        "csv": _csv,
        "parquet": _parquet,
        "json": _json,
        "netcdf": _netcdf,
    }
    if kind not in readers:
        near = nearest(kind, readers)
        hint = f"did you mean data.format={near}? " if near else ""
        raise DataError(f"data.format: got {kind!r}; {hint}There are {', '.join(readers)}")
    try:
        found = readers[kind](path, separator)
    except DataError:
        raise
    except Exception as error:
        cause = str(error).strip().splitlines() or [""]
        raise DataError(
            f"{path} cannot be read as {kind} ({type(error).__name__}: {cause[0]}). If it is in another format, "
            f"say so: data.format={'|'.join(readers)}"
        ) from error
    if not any(array.size for array in found.arrays.values()):
        raise DataError(
            f"{path} has no rows (its columns: {listed(found.arrays)}); wanted one row for each observation"
        )
    return Dataset(found.arrays, found.dims, found.coords, name or path.name.split(".")[0], f"file {path.name}")


def _must_be_file(path: Path) -> None:
    if path.is_file():
        return
    if path.is_dir():
        inside = sorted(entry.name for entry in path.iterdir() if entry.suffix in FORMATS)
        raise DataError(f"data.path: {path} is a folder; wanted a file. It holds {listed(inside)}")
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


def _csv(path: Path, separator: str | None) -> Dataset:
    import pandas as pd

    sep = separator or ("\t" if ".tsv" in [suffix.lower() for suffix in path.suffixes] else ",")
    # a spreadsheet may write a byte order mark, and quote with ' where columns are apart by spaces
    quote = "'" if sep == r"\s+" else '"'
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)
            frame = pd.read_csv(
                path,
                sep=sep,
                skipinitialspace=True,
                encoding="utf-8-sig",
                quotechar=quote,
                low_memory=False,
                index_col=False,  # or a row with one field more than the header would shift every column
            )
    except pd.errors.ParserWarning:
        raise DataError(
            f"{path} has rows with more fields than its first line names; wanted as many in each row (a comma at the "
            "end of a row makes one more, and a comma within a text needs quotes around it)"
        ) from None
    except pd.errors.EmptyDataError:
        raise DataError(
            f"{path} is empty; wanted a first line with the names of the columns, then one line for each row"
        ) from None
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path} is not in UTF-8 ({error.reason} at byte {error.start}); save it in that encoding"
        ) from None
    if frame.shape[1] == 1 and separator is None:
        header = str(frame.columns[0])
        other = next((sign for sign in (";", "\t", "|") if sign in header), None)
        if other:
            raise DataError(
                f"{path} has one column, named {header!r}; its columns look separated by {other!r}: "
                f"type \"data.separator='{other}'\""
            )
    return _from_frame(frame)


def _parquet(path: Path, _: str | None) -> Dataset:
    import pandas as pd

    frame = pd.read_parquet(path, engine="pyarrow")
    named = [level for level in frame.index.names if level is not None]
    return _from_frame(frame.reset_index() if named else frame)


def _json(path: Path, _: str | None) -> Dataset:
    import pandas as pd

    body = json.loads(path.read_text(encoding="utf-8-sig"))
    if isinstance(body, list) and all(isinstance(record, Mapping) for record in body):
        return _from_frame(pd.DataFrame.from_records(body))
    if isinstance(body, Mapping):
        single = [key for key, value in body.items() if not isinstance(value, (list, Mapping))]
        if single:
            raise DataError(f"{path}: {single[0]!r} is one value, {body[single[0]]!r}; wanted a list for each column")
        lengths = {key: len(value) for key, value in body.items()}
        if len(set(lengths.values())) > 1:
            raise DataError(f"{path}: the columns differ in length ({listed(f'{k} {n}' for k, n in lengths.items())})")
        return _from_frame(pd.DataFrame(body))
    raise DataError(
        f'{path} holds neither a list of records [{{"y": 1, "x": 2}}, ...] nor columns {{"y": [1, ...], "x": [2, ...]}}'
    )


def _netcdf(path: Path, _: str | None) -> Dataset:
    import xarray as xr

    content = xr.load_dataset(path, engine="netcdf4", decode_timedelta=False)
    if not content.data_vars and not content.coords:
        raise DataError(
            f"{path} has no variables outside of groups; write the one that is wanted with DataTree[GROUP].to_netcdf"
        )
    arrays: dict[str, np.ndarray] = {}
    dims: dict[str, tuple[str, ...]] = {}
    coords: dict[str, tuple[Any, ...]] = {}
    for key, variable in content.variables.items():
        values = _plain(np.asarray(variable.values))
        if key in content.indexes:
            coords[str(key)] = tuple(values.tolist())
        elif variable.ndim:
            arrays[str(key)], dims[str(key)] = values, tuple(str(dim) for dim in variable.dims)
    return Dataset(arrays, dims, coords)


def _from_frame(frame: pd.DataFrame) -> Dataset:
    arrays: dict[str, np.ndarray] = {}
    coords: dict[str, tuple[Any, ...]] = {}
    for column in frame.columns:
        series, name = frame[column], str(column).strip()
        if series.dtype.name == "category":
            arrays[name] = series.cat.codes.to_numpy().astype(np.int64)
            coords[name] = tuple(str(label) for label in series.cat.categories)
        else:
            arrays[name] = _column(series)
    return Dataset(arrays, dict.fromkeys(arrays, ("obs",)), coords)


def _column(series: pd.Series[Any]) -> np.ndarray:
    from pandas.api import types

    gaps = bool(series.isna().any())
    if types.is_bool_dtype(series.dtype) and not gaps:
        return series.to_numpy(dtype=bool)
    if types.is_numeric_dtype(series.dtype):
        return series.to_numpy(dtype=np.float64, na_value=np.nan) if gaps else _plain(series.to_numpy())
    return _plain(series.astype(object).where(series.notna(), None).to_numpy(dtype=object))


def _plain(values: np.ndarray) -> np.ndarray:
    """Widen numbers to 64 bits, since narrow integers overflow in a model; write dates and the like as text."""
    kind = values.dtype.kind
    if kind == "u" and values.size and int(values.max()) > np.iinfo(np.int64).max:
        return values.astype(np.float64)
    if kind in "iu":
        return values.astype(np.int64)
    if kind == "f":
        return values.astype(np.float64)
    if kind == "b":
        return values
    if kind == "M":
        values = np.where(np.isnat(values), None, np.datetime_as_string(values))  # type: ignore[call-overload]
    flat = [None if _absent(value) else value for value in values.astype(object).ravel()]
    if all(value is None or (isinstance(value, numbers.Number) and not isinstance(value, bool)) for value in flat):
        return np.array([np.nan if value is None else float(value) for value in flat]).reshape(values.shape)
    texts = np.empty(len(flat), dtype=object)
    texts[:] = [None if value is None else str(value) for value in flat]
    return texts.reshape(values.shape)


def _absent(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))
