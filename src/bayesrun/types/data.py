"""What a model is conditioned on: named arrays, what a model asks of each, and how they came about.

It loads and checks nothing.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from bayesrun.errors import DataError
from bayesrun.types.canonical import canonical_json

if TYPE_CHECKING:
    import numpy as np

__all__ = ["Dataset", "Origin", "Role"]


@dataclass(frozen=True)
class Role:
    """What a model asks of one named array of its dataset.

    Parameters
    ----------
    kind
        ``real`` (any finite number), ``positive`` (> 0), ``count`` (0, 1, 2, ...), ``binary`` (0 or 1),
        ``category`` (labels, coded 0..K-1, at least two levels) or ``predictors`` (a matrix with dims
        (obs, predictor), no constant column).
    doc
        One line for people: what the array means.
    optional
        Whether the model can do without it.
    unit
        The array whose unit it has (standard errors: that of the estimates): the config may scale neither alone.
    series
        Whether its rows are a series, equally spaced in time: they are sorted by their index, and gaps are refused.
    """

    kind: Literal["real", "positive", "count", "binary", "category", "predictors"]
    doc: str
    optional: bool = False
    unit: str | None = None
    series: bool = False


@dataclass(frozen=True, eq=False)
class Origin:
    """How the arrays of a dataset came about. None of it is part of the digest.

    Parameters
    ----------
    notes
        What people should know: which label is the event, how many rows were left out and why.
    changed
        Array to what was done to its numbers (``log, standardize``).
    absent
        Array to the words that were taken as missing, counted (``2 'NA', 1 blank``).
    written
        Array of numbers to its cells as the file writes them, dims (obs,), None where they are missing. Only until
        the form of the dataset is known: the store does not keep it.
    gaps
        Rows that were left out: all of them by the labels of the index, or those between others by their number.
    twins
        Column name to the headers of the file that all come down to it.
    keep
        Arrays that are stored whether a model uses them or not.
    meant
        Arrays that the user says are labels.
    nested
        Column to what it holds in its cells, where that is no single value.
    read
        Keys of the data config, and the values that they would have, if what was found in the file were stated.
    """

    notes: tuple[str, ...] = ()
    changed: Mapping[str, str] = field(default_factory=dict)
    absent: Mapping[str, str] = field(default_factory=dict)
    written: Mapping[str, np.ndarray] = field(default_factory=dict)
    gaps: tuple[str, ...] = ()
    twins: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    keep: tuple[str, ...] = ()
    meant: tuple[str, ...] = ()
    nested: Mapping[str, str] = field(default_factory=dict)
    read: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Dataset(Mapping[str, "np.ndarray"]):
    """Named arrays with their dims and coords: what a model is conditioned on.

    Parameters
    ----------
    arrays
        Name to array. The first dim of every array is ``obs`` unless `dims` says otherwise.
    dims
        Name to the dim names of that array, one for each axis.
    coords
        Dim name to labels. A category array ``g`` holds codes, and ``coords["g"]`` its labels.
    name
        A short name for people and folder names.
    citation
        Where the numbers come from.
    ordered
        Category arrays whose order of labels was stated, by the user or by the file. The last of two is the event.
    origin
        How the arrays came about.
    """

    arrays: Mapping[str, np.ndarray]
    dims: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    coords: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    name: str = "data"
    citation: str = ""
    ordered: tuple[str, ...] = ()
    origin: Origin = Origin()

    def __getitem__(self, key: str) -> np.ndarray:
        """Return the array called `key`, or say which arrays there are."""
        try:
            return self.arrays[key]
        except KeyError:
            if not self.arrays:
                raise DataError(
                    f"data={self.name} has no arrays, and the model reads {key!r}; name others: data=NAME, or "
                    "data=csv data.path=FILE"
                ) from None
            raise DataError(
                f"data has no array {key!r}; it has {', '.join(sorted(self.arrays))}. "
                f"Map a column to it: data.columns={{{key}: COLUMN}}"
            ) from None

    def __contains__(self, key: object) -> bool:
        """Whether there is an array called `key`."""
        return key in self.arrays

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names of the arrays."""
        return iter(self.arrays)

    def __len__(self) -> int:
        """Count the arrays."""
        return len(self.arrays)

    def labels(self, name: str) -> tuple[Any, ...] | None:
        """Return the labels of an array of codes; None for any other, also for one that is called like a dim."""
        array = self.arrays[name]
        if name not in self.coords or array.dtype.kind not in "iu" or name in self.dim_names():
            return None
        return tuple(self.coords[name])

    def dim_names(self) -> set[str]:
        """Return the names of all dims, ``obs`` included."""
        return {"obs"} | {dim for along in self.dims.values() for dim in along}

    def only(self, names: Collection[str], coords: Collection[str] = ()) -> Dataset:
        """Return the same dataset without the other arrays, their labels and the dims that they alone have.

        Parameters
        ----------
        names
            Of the arrays that stay.
        coords
            Names of coords that stay in any case.
        """
        gone = [name for name in self.arrays if name not in names]
        if not gone:
            return self
        left = {name: array for name, array in self.arrays.items() if name in names}
        dims = {dim for name in left for dim in self.dims.get(name, ("obs",))}
        out = {dim for name in gone for dim in self.dims.get(name, ("obs",))}.union(gone) - dims - {*left, *coords}
        origin = self.origin
        of_left: dict[str, Any] = {
            field: {name: value for name, value in getattr(origin, field).items() if name in left}
            for field in ("changed", "absent", "written")
        }
        return dataclasses.replace(
            self,
            arrays=left,
            dims={name: along for name, along in self.dims.items() if name in left},
            coords={dim: labels for dim, labels in self.coords.items() if dim not in out},
            ordered=tuple(name for name in self.ordered if name in left),
            origin=dataclasses.replace(origin, **of_left),
        )

    def noted(self, *notes: str) -> Dataset:
        """Return the same dataset with further notes."""
        fresh = tuple(note for note in notes if note not in self.origin.notes)
        if not fresh:
            return self
        origin = dataclasses.replace(self.origin, notes=(*self.origin.notes, *fresh))
        return dataclasses.replace(self, origin=origin)

    def digest(self) -> str:
        """Hash the content: names, dtypes, shapes, bytes, dims, coords, stated orders; not `name` or `citation`."""
        sha = hashlib.sha256()
        for name in sorted(self.arrays):
            array = self.arrays[name]
            text = array.dtype.kind in "OUST"
            body = canonical_json([str(v) for v in array.ravel()]).encode() if text else array.tobytes("C")
            head = [name, "str" if text else array.dtype.str, list(array.shape), list(self.dims.get(name, ()))]
            sha.update(canonical_json(head).encode() + b"\0" + body)
        sha.update(canonical_json({k: [str(v) for v in self.coords[k]] for k in self.coords}).encode())
        if self.ordered:
            sha.update(canonical_json(sorted(self.ordered)).encode())
        return sha.hexdigest()[:16]
