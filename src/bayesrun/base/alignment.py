"""Which element of an estimate a true value belongs to: by dims and labels, and by position where there are none.

A name and a number of elements say too little: a generator may have other dims, or labels in another order, than the
model that is fitted. It knows arrays and their layouts only.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesrun.base.label_forms import told_apart
from bayesrun.base.netcdf_names import dim_of_model

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pymc as pm
    import xarray as xr

__all__ = [
    "SAMPLE_DIMS",
    "Layout",
    "Match",
    "aligned",
    "drawn",
    "entries",
    "match",
    "model_layouts",
    "posterior_layouts",
]

SAMPLE_DIMS = ("chain", "draw")
"""Dims of draws, which come before those of the variable."""
UNNAMED = r"{}_dim_\d+"
"""What ArviZ calls the dims of a variable that has none."""
TIME = re.compile(r"(?P<day>\d{4}-\d\d-\d\d)[T ](?P<clock>\d\d:\d\d:\d\d(\.\d*[1-9])?)(\.?0*)")
MOST_NAMED = 5
"""Labels in a message."""


@dataclass(frozen=True, eq=False)
class Layout:
    """What the axes of a variable are.

    Parameters
    ----------
    dims
        Name of each axis; None where it has none.
    labels
        Labels along each axis, dims (label,); None where entries are only counted.
    """

    dims: tuple[str | None, ...]
    labels: tuple[np.ndarray | None, ...]


@dataclass(frozen=True, eq=False)
class Match:
    """Values in the layout of another variable, or why there are none.

    Parameters
    ----------
    values
        In the other layout, NaN for entries whose label is not known; None where nothing is known.
    lacking
        Why some or all values are not known, for people; empty where all are.
    refused
        How both layouts contradict each other, for people; empty where they do not.
    """

    values: np.ndarray | None
    lacking: str = ""
    refused: str = ""


def model_layouts(model: pm.Model) -> dict[str, Layout]:
    """Return the layouts of a model's free variables and Deterministics, by name."""
    coords = {dim: None if labels is None else _vector(labels) for dim, labels in model.coords.items()}
    found = {}
    for variable in model.unobserved_RVs:
        named = tuple(model.named_vars_to_dims.get(variable.name) or ())
        dims = (*named, *(None,) * (variable.type.ndim - len(named)))
        found[str(variable.name)] = Layout(dims, tuple(coords.get(dim) for dim in dims))
    return found


def posterior_layouts(posterior: xr.Dataset) -> dict[str, Layout]:
    """Return the layouts of a posterior's variables without chain and draw, by name."""
    found = {}
    for name in posterior.data_vars:
        unnamed = re.compile(UNNAMED.format(re.escape(str(name))))
        axes = [str(dim) for dim in posterior.variables[name].dims if dim not in SAMPLE_DIMS]
        named = [None if unnamed.fullmatch(dim) else dim for dim in axes]
        labels = (posterior.variables[dim].values if dim in posterior.variables else None for dim in named)
        found[str(name)] = Layout(tuple(dim and dim_of_model(dim) for dim in named), tuple(labels))
    return found


def entries(layout: Layout, shape: tuple[int, ...]) -> list[tuple[str, ...]]:
    """List the labels of the entries of a variable, one for each axis, in the order of its elements."""
    named = [
        told_apart([str(entry) for entry in (range(length) if labels is None else labels)])
        for labels, length in zip(layout.labels, shape, strict=True)
    ]
    return list(itertools.product(*named))


def drawn(layout: Layout) -> Layout:
    """Return the layout of draws of a variable, dims (draw, ...)."""
    return Layout(("draw", *layout.dims), (None, *layout.labels))


def aligned(
    truth: Mapping[str, np.ndarray], layouts: Mapping[str, Layout], posterior: xr.Dataset
) -> dict[str, np.ndarray]:
    """Give true values the layout of their estimates.

    Parameters
    ----------
    truth
        Values by variable, in their natural shape.
    layouts
        Of the generating model; a variable without one is taken by position.
    posterior
        Variables with dims (chain, draw, ...).

    Returns
    -------
    dict
        Truth of the posterior's variables, dims as theirs without chain and draw, NaN for entries that have none; what
        does not fit at all is left out. Variables that the posterior does not have are as they were.
    """
    wanted = posterior_layouts(posterior)
    found = {}
    for name, values in truth.items():
        if name not in wanted:
            found[name] = np.asarray(values)
            continue
        shape = tuple(size for dim, size in posterior.variables[name].sizes.items() if dim not in SAMPLE_DIMS)
        placed = match(np.asarray(values), layouts.get(name), wanted[name], shape).values
        if placed is not None:
            found[name] = placed
    return found


def match(
    values: np.ndarray, own: Layout | None, wanted: Layout, shape: tuple[int, ...], *, stated: bool = False
) -> Match:
    """Bring values from their own layout into another.

    Axes belong together by the name of their dim, whatever their order, and others by position. Along them entries
    belong together by label, or by position where one side has only counts (no labels, or 0, 1, 2, ...). Axes of one
    entry may be there on one side only.

    Parameters
    ----------
    values
        In the own layout.
    own
        Its layout; None: axes without names.
    wanted, shape
        The other layout, and its lengths.
    stated
        Whether both layouts are those of models, which have no labels where none were given: then 0, 1, 2 are labels
        too, and no counts, where some of them are labels of the other side (lags from 0 and lags from 1).

    Returns
    -------
    Match
        Refused are dims of other names whose labels are not the same, and labels of which each side lacks some: what
        both have is matched even so. Other lengths only mean that something is not known.
    """
    own = own or Layout((None,) * values.ndim, (None,) * values.ndim)
    if values.shape == shape and _same(own, wanted):
        return Match(values)
    axes = _pairs(own, values.shape, wanted, shape)
    if axes is None:
        text = f"{_said(own, values.shape)}; wanted {_said(wanted, shape)}"
        other = sorted(values.shape) != sorted(shape)
        return Match(None, lacking=text) if other else Match(None, refused=text)
    rest = [axis for axis in range(values.ndim) if axis not in {place for place, _ in axes}]  # of one entry each
    found = values.transpose([place for place, _ in axes] + rest).reshape([values.shape[place] for place, _ in axes])
    single = sum(own.dims[place] != wanted.dims[partner] for place, partner in axes) == 1
    lacking: list[str] = []
    refused: list[str] = []
    for axis, (place, partner) in enumerate(axes):
        ends = _Axis(own, place, values.shape[place]), _Axis(wanted, partner, shape[partner])
        if stated and _overlap(*ends):
            return Match(None, refused=_differing(*ends))
        entries = _entries(*ends, single=single)
        if isinstance(entries, Match):
            return entries
        found = found.take(entries, axis=axis)
        if (entries < 0).any():
            unknown = (entries < 0).reshape([-1 if other == axis else 1 for other in range(found.ndim)])
            found = np.where(unknown, np.nan, found)
            (lacking if set(ends[0].keys) <= set(ends[1].keys) else refused).append(_differing(*ends))
    return Match(found.reshape(shape), " and ".join(lacking), " and ".join(refused))


@dataclass(frozen=True, eq=False)
class _Axis:
    """An axis of a layout, with its length."""

    layout: Layout
    place: int
    length: int

    @property
    def dim(self) -> str | None:
        return self.layout.dims[self.place]

    @property
    def labels(self) -> np.ndarray | None:
        return self.layout.labels[self.place]

    @property
    def keys(self) -> list[str]:
        return [] if self.labels is None else _keys(self.labels)


def _entries(own: _Axis, wanted: _Axis, *, single: bool) -> np.ndarray | Match:
    """Find the own entry for each of the wanted ones, -1 where there is none; `single`: it can be no other axis."""
    text = _differing(own, wanted)
    if own.labels is not None and wanted.labels is not None and _equal(own.labels, wanted.labels):
        return np.arange(wanted.length)
    counts = [_counted(own.labels), _counted(wanted.labels)]
    if own.dim and wanted.dim and own.dim != wanted.dim:
        if own.length != wanted.length:
            return Match(None, lacking=text)
        return np.arange(wanted.length) if all(counts) or (single and any(counts)) else Match(None, refused=text)
    left, right = own.keys, wanted.keys
    distinct = len(set(left)) == len(left) > 0 and len(set(right)) == len(right) > 0
    if distinct and (set(left) == set(right) or not any(counts)):
        if not set(left) & set(right):
            return Match(None, refused=text)
        number = {key: entry for entry, key in enumerate(left)}
        return np.array([number.get(key, -1) for key in right], dtype=np.int64)
    if own.length != wanted.length:
        return Match(None, lacking=text)
    if not any(counts):
        return Match(None, refused=text)  # a label that is there twice
    numbers = sorted(map(str, range(own.length)))
    if numbers in [sorted(keys) for keys, counted in zip((left, right), counts, strict=True) if not counted]:
        return Match(None, refused=text)  # 2, 0, 1 against no labels: entry 0, or the one that is called 0?
    return np.arange(wanted.length)


def _overlap(own: _Axis, wanted: _Axis) -> bool:
    """Whether as many labels of one dim are given on both sides, of which some are the same and others are not."""
    left, right = set(own.keys), set(wanted.keys)
    return own.dim == wanted.dim and own.length == wanted.length and left != right and bool(left & right)


def _differing(own: _Axis, wanted: _Axis) -> str:
    return f"{_along(own)}; wanted {_along(wanted)}"


def _along(axis: _Axis) -> str:
    """Say what is along an axis."""
    dim = f" along {axis.dim}" if axis.dim else ""
    if axis.labels is None:
        return f"{axis.length} entries without labels{dim}"
    more = ", ..." if axis.length > MOST_NAMED else ""
    return f"{', '.join(_keys(axis.labels[:MOST_NAMED]))}{more}{dim}"


def _said(layout: Layout, lengths: tuple[int, ...]) -> str:
    """Say dims and lengths of a variable."""
    if not lengths:
        return "one value"
    pairs = zip(layout.dims, lengths, strict=True)
    axes = [str(length) if dim is None else f"{dim}: {length}" for dim, length in pairs]
    return f"dims ({', '.join(axes)})"


def _vector(labels: Sequence[Any]) -> np.ndarray:
    """Make an array of labels, of which some may be tuples."""
    array = np.empty(len(labels), dtype=object)
    array[:] = list(labels)
    return array


def _same(own: Layout, wanted: Layout) -> bool:
    if own.dims != wanted.dims:
        return False
    pairs = zip(own.labels, wanted.labels, strict=True)
    return all(a is b or (a is not None and b is not None and _equal(a, b)) for a, b in pairs)


def _equal(own: np.ndarray, wanted: np.ndarray) -> bool:
    return len(own) == len(wanted) and (np.array_equal(own, wanted) or _keys(own) == _keys(wanted))


def _keys(labels: np.ndarray) -> list[str]:
    return [_key(label) for label in (labels if labels.dtype.kind == "M" else labels.tolist())]


def _key(label: Any) -> str:
    """Say a label as it is compared: 1, 1.0 and "1" are one, and so are a day and its midnight."""
    if isinstance(label, np.generic) and label.dtype.kind != "M":
        label = label.item()
    text = str(int(label)) if isinstance(label, float) and label.is_integer() else str(label)
    time = TIME.fullmatch(text)
    return text if time is None else time["day"] + ("" if time["clock"] == "00:00:00" else f" {time['clock']}")


def _counted(labels: np.ndarray | None) -> bool:
    """Whether there are no labels but 0, 1, 2, ..., which PyMC and ArviZ write where none are given."""
    return labels is None or _keys(labels) == [str(i) for i in range(len(labels))]


def _pairs(
    own: Layout, lengths: tuple[int, ...], wanted: Layout, shape: tuple[int, ...]
) -> list[tuple[int, int]] | None:
    """Pair the own axes with the wanted ones, in the wanted order; None where they do not belong together."""
    common = {d for d in own.dims if d and own.dims.count(d) == wanted.dims.count(d) == 1}
    alike = len(lengths) == len(shape)
    left, right = (
        [axis for axis, length in enumerate(of) if alike or length != 1 or dims[axis] in common]
        for of, dims in ((lengths, own.dims), (shape, wanted.dims))
    )
    if len(left) != len(right):
        return None
    found = []
    for place, partner in zip(left, right, strict=True):
        name = wanted.dims[partner]
        if name in common:
            found.append((own.dims.index(name), partner))
        elif own.dims[place] in common:
            return None
        else:
            found.append((place, partner))
    return found
