"""What a file of draws calls the names and labels that NetCDF cannot hold or that ArviZ keeps for itself; and back.

`encoded` and `decode` are one pair: what is plain is left as it is, what is not gets a name or a text that every reader
takes, and a group's attribute `ATTRIBUTE` says what it was. No file is read or written here.
"""

from __future__ import annotations

import json
import re
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesrun.base.label_forms import as_form, from_form

if TYPE_CHECKING:
    from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence

    import xarray as xr

__all__ = [
    "ATTRIBUTE",
    "OF_ARVIZ",
    "Group",
    "decode",
    "decoded",
    "dim_of_model",
    "dim_of_tree",
    "encode",
    "encoded",
    "plain_names",
]

ATTRIBUTE = "bayesrun_names"
"""Attribute of a group with what its names and labels were, as JSON."""

OF_ARVIZ = frozenset(
    {"sample", "group", "model", "summary", "variable", "plot", "plot_axis", "column", "label", "component"}
    | {"component_group", "kwarg", "ci_bound"}
)
"""Names that ArviZ gives to axes and columns of its own, so that one of its functions fails at a dim called so."""

SAMPLE_DIMS = ("chain", "draw")
NUMBERS = ("posterior", "posterior_predictive", "prior", "prior_predictive")
"""Groups whose truth values are stored as 0 and 1: ArviZ summarises numbers only."""

OF_NETCDF = ("_nc4_non_coord_", "_NC")
"""What the names begin with that the library keeps for itself."""

MOST_BYTES = 200
"""Of a name; NetCDF takes 256, some of which its library uses for a mark of its own."""

NO_LETTER = re.compile(r"[\x00-\x1f\x7f-\x9f/\ud800-\udfff]")
"""What no name in a file may hold."""

MARKUP = re.compile(r"[$\\{}]")
"""What mathematics is written with, which matplotlib would draw, or fail at."""

FIRST = re.compile(r"[A-Za-z0-9_\x80-\U0010ffff]")
"""What a name in a file begins with."""

SLASH, BIG_SLASH = "\N{DIVISION SLASH}", "\N{BIG SOLIDUS}"
IN_TREE = {"/": SLASH, SLASH: BIG_SLASH + SLASH, BIG_SLASH: 2 * BIG_SLASH}
OF_MODEL = {code: letter for letter, code in IN_TREE.items()}

type Name = tuple[str, str]
"""``dim`` or ``variable``, and how it is called; a dim and the variable that labels it are one."""


def dim_of_tree(dim: str) -> str:
    """Name a dim of a model as xarray's trees can: they take a slash for the border between groups."""
    return re.sub(f"[/{SLASH}{BIG_SLASH}]", lambda found: IN_TREE[found[0]], dim)


def dim_of_model(dim: str) -> str:
    """Undo `dim_of_tree`."""
    return re.sub(f"{BIG_SLASH}.|{SLASH}", lambda found: OF_MODEL.get(found[0], found[0]), dim)


def plain_names[Key: Hashable](
    names: Mapping[Key, str], reserved: Collection[str] = OF_ARVIZ, keep: Collection[str] = ()
) -> dict[Key, str]:
    """Give each thing a name that every reader of NetCDF takes, no two of them the same.

    Parameters
    ----------
    names
        Thing to its name; two may be called the same.
    reserved
        Names that nothing may have.
    keep
        Names that stay whatever they are.

    Returns
    -------
    dict
        Thing to name. A plain one that nothing before it has stays; others get a readable one made of theirs.
    """
    found: dict[Key, str] = {}
    taken: set[str] = set()
    for key, name in names.items():
        if name not in taken and (name in keep or _is_plain(name, reserved)):
            found[key] = name
            taken.add(name)
    for key, name in names.items():
        if key not in found:
            found[key] = _free(_readable(name), taken | set(reserved))
            taken.add(found[key])
    return {key: found[key] for key in names}


def _is_plain(name: str, reserved: Collection[str]) -> bool:
    if name.isascii() and name.isidentifier() and len(name) <= MOST_BYTES:
        return name not in reserved and not name.startswith(OF_NETCDF)
    return (
        bool(name)
        and name == name.strip()
        and not NO_LETTER.search(name)
        and not MARKUP.search(name)
        and FIRST.match(name) is not None
        and not name.startswith(OF_NETCDF)
        and unicodedata.is_normalized("NFC", name)
        and len(name.encode()) <= MOST_BYTES
    )


def _readable(name: str) -> str:
    """Make a name of the letters that a file takes, which says what it stands for."""
    text = unicodedata.normalize("NFC", NO_LETTER.sub("_", MARKUP.sub("", name))).strip()
    if not FIRST.match(text) or text.startswith(OF_NETCDF):
        text = f"_{text}" if not text.startswith("_") else f"x{text}"
    return _cut(text, MOST_BYTES)


def _cut(text: str, most: int) -> str:
    return unicodedata.normalize("NFC", text.encode()[:most].decode(errors="ignore")).strip()


def _free(name: str, taken: Collection[str]) -> str:
    """Put a number behind a name that something else has."""
    found, number = name, 1
    while found in taken:
        end = "_" if number == 1 else f"_{number}"
        found, number = _cut(name, MOST_BYTES - len(end)) + end, number + 1
    return found


@dataclass(frozen=True, eq=False)
class Group:
    """A group of a file: its variables by name, which of them are coordinates, and its attributes."""

    variables: Mapping[str, xr.Variable]
    coords: Sequence[str]
    attrs: Mapping[str, Any]
    changed: bool = False


def encode(tree: xr.DataTree) -> dict[str, Group]:
    """Give the groups of a tree names, labels and dtypes that a NetCDF file can hold.

    Parameters
    ----------
    tree
        Groups of one level.
    """
    groups = {str(name): node.to_dataset(inherit=False) for name, node in tree.children.items()}
    names = _names(groups.values())
    odd = any(name != stored for (_, name), stored in names.items())
    return {name: _encoded(dataset, names, odd=odd, numbers=name in NUMBERS) for name, dataset in groups.items()}


def encoded(tree: xr.DataTree) -> xr.DataTree:
    """Do what `encode` does; a tree that a file can hold is returned as it is."""
    import xarray as xr

    groups = encode(tree)
    if not any(group.changed for group in groups.values()):
        return tree
    made = {name: xr.Dataset(g.variables, attrs=g.attrs).set_coords(g.coords) for name, g in groups.items()}
    return _tree(made, tree)


def decode(tree: xr.DataTree) -> xr.DataTree:
    """Undo `encoded`: labels come back equal where their kind is known, and as their text where it is not."""
    groups = {str(name): node.to_dataset(inherit=False) for name, node in tree.children.items()}
    made = {name: decoded(dataset) for name, dataset in groups.items()}
    return tree if all(made[name] is groups[name] for name in groups) else _tree(made, tree)


def _tree(groups: Mapping[str, xr.Dataset], like: xr.DataTree) -> xr.DataTree:
    import xarray as xr

    tree = xr.DataTree.from_dict(groups)
    tree.attrs.update(like.attrs)
    return tree


def _names(groups: Iterable[xr.Dataset]) -> dict[Name, str]:
    """Name the dims and variables of all groups, the same everywhere."""
    wanted: dict[Name, str] = {}
    for dataset in groups:
        for dim in dataset.sizes:
            wanted["dim", str(dim)] = dim_of_model(str(dim))
    for dataset in groups:
        for name in dataset.variables:
            if name not in dataset.dims:
                wanted["variable", str(name)] = str(name)
    return plain_names(wanted, keep=SAMPLE_DIMS)


def _key(dataset: xr.Dataset, name: Hashable) -> Name:
    return ("dim" if name in dataset.dims else "variable"), str(name)


def _encoded(dataset: xr.Dataset, names: Mapping[Name, str], *, odd: bool, numbers: bool) -> Group:
    """Translate a group; `odd`: some name of the tree is not plain; `numbers`: see `NUMBERS`."""
    import xarray as xr

    said: dict[str, Any] = {"dims": {}, "variables": {}, "values": {}, "empty": {}}
    if odd:
        for key in [
            *(("dim", str(dim)) for dim in dataset.sizes),
            *(_key(dataset, name) for name in dataset.variables),
        ]:
            if names[key] != key[1]:
                said[f"{key[0]}s"][names[key]] = dim_of_model(key[1]) if key[0] == "dim" else key[1]
    variables: dict[str, xr.Variable] = {}
    changed = False
    for name, variable in dataset.variables.items():
        stored = names[_key(dataset, name)]
        dims = tuple(names["dim", str(dim)] for dim in variable.dims)
        if variable.size == 0:  # ArviZ fails at arrays of nothing, and what they are can be said
            said["empty"][stored] = {"dims": dims, "shape": variable.shape, "dtype": variable.dtype.str}
            continue
        labels = name in dataset.coords and variable.ndim == 1
        values, how = as_form(variable.values, distinct=labels) if _is_odd(variable, labels=labels) else (None, None)
        if numbers and variable.dtype.kind == "b" and name not in dataset.coords:
            values, how = variable.values.astype(np.int8), {"dtype": variable.dtype.str}
        if how is not None:
            said["values"][stored] = how
        if variable.dtype.kind == "c" and values is None:
            imaginary = _free(f"{stored}_imag", set(names.values()))
            said["values"][stored] = {"imaginary": imaginary, "dtype": variable.dtype.str}
            variables[imaginary] = xr.Variable(dims, variable.values.imag)
            values = variable.values.real
        changed = changed or values is not None
        same = values is None and dims == variable.dims
        data = variable.values if values is None else values
        variables[stored] = variable if same else xr.Variable(dims, data, variable.attrs, variable.encoding)
    coords = [names[_key(dataset, name)] for name in dataset.coords]
    if said["empty"]:
        said |= {"order": [names[_key(dataset, name)] for name in dataset.variables], "coords": coords}
        coords = [name for name in coords if name in variables]
    said = {part: found for part, found in said.items() if found}
    attrs = dict(dataset.attrs) | ({ATTRIBUTE: json.dumps(said)} if said else {})
    return Group(variables, coords, attrs, bool(said) or changed)


def _is_odd(variable: xr.Variable, *, labels: bool) -> bool:
    """Whether values may be such that no file holds them as they are; `labels`: each has to be told from the others."""
    kind, size = variable.dtype.kind, variable.dtype.itemsize
    if kind in "biuMm":
        return labels and _repeated(variable.values)
    if kind == "f":
        return size not in (4, 8) or (labels and _repeated(variable.values))
    return not (kind == "c" and not labels)


def _repeated(values: np.ndarray) -> bool:
    rising = bool((values[1:] > values[:-1]).all())  # as most labels are that are numbers
    return not rising and len(np.unique(values)) < len(values)


def decoded(dataset: xr.Dataset) -> xr.Dataset:
    """Undo `encoded` for one group; one that was plain is returned as it is."""
    import xarray as xr

    if ATTRIBUTE not in dataset.attrs:
        return dataset
    said = json.loads(dataset.attrs[ATTRIBUTE])
    known, values, empty = said.get("variables", {}), said.get("values", {}), said.get("empty", {})
    stored_dims = {str(dim) for dim in dataset.sizes} | {dim for how in empty.values() for dim in how["dims"]}
    dims = {dim: dim_of_tree(said.get("dims", {}).get(dim, dim)) for dim in stored_dims}

    def name(stored: str) -> str:
        return dims[stored] if stored in dims else str(known.get(stored, stored))

    beside = {how["imaginary"] for how in values.values() if "imaginary" in how}
    variables = {}
    for stored in said.get("order") or [str(key) for key in dataset.variables if key not in beside]:
        if stored in empty:
            array = np.empty(empty[stored]["shape"], np.dtype(empty[stored]["dtype"]))
            variables[name(stored)] = xr.Variable([dims[dim] for dim in empty[stored]["dims"]], array)
            continue
        variable, how = dataset.variables[stored], values.get(stored)
        data = variable.values
        if how is not None and "imaginary" in how:
            data = (data + 1j * dataset.variables[how["imaginary"]].values).astype(how["dtype"])
        elif how is not None:
            data = from_form(data, how)
        along = tuple(dims[str(dim)] for dim in variable.dims)
        variables[name(stored)] = xr.Variable(along, data, variable.attrs, variable.encoding)
    attrs = {key: value for key, value in dataset.attrs.items() if key != ATTRIBUTE}
    coords = said.get("coords") or [str(key) for key in dataset.coords]
    return xr.Dataset(variables, attrs=attrs).set_coords([name(stored) for stored in coords])
