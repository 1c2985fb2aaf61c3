"""A fit's tree as a NetCDF file that xarray and ArviZ open; it keeps no folder.

xarray's own writer alternates between defining variables and filling them, which makes libnetcdf write its tables anew
for each. Here all are defined first: a third of the time, and the same tree comes back. What this writer does not know
(dates, arrays of nothing, coordinates that are no dims) it leaves to xarray. Names and labels that no file can hold are
translated, and read back as they were: see `netcdf_names`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

    import numpy as np
    import xarray as xr

    from bayesrun.base.netcdf_names import Group

__all__ = ["read_tree", "write_tree"]

NARROW = "single_precision"
"""Attribute that names the groups whose double numbers are stored in single precision."""
SPARE = 65536
"""Bytes beside the numbers, for names and attributes; the file grows beyond that if it has to."""


def write_tree(tree: xr.DataTree, path: Path, single: Collection[str] = ()) -> None:
    """Write a tree of one level of groups.

    Parameters
    ----------
    tree
        Groups of any values, names and labels, with attributes that NetCDF takes.
    path
        Of the new file.
    single
        Groups whose double numbers are written in single precision.
    """
    from bayesrun.base.netcdf_names import encode, encoded

    groups = encode(tree)
    narrow = [name for name in single if name in groups and _doubles(groups[name])]
    nested = tree.to_dataset().variables or any(node.children for node in tree.children.values())
    said = {NARROW: " ".join(narrow)} if narrow else {}
    if not nested and all(map(_is_plain, groups.values())):
        _write(groups, dict(tree.attrs) | said, path, narrow)
    else:
        encoding = {f"/{name}": {key: {"dtype": "f4"} for key in _doubles(groups[name])} for name in narrow}
        whole = encoded(tree).copy()
        whole.attrs |= said
        whole.to_netcdf(path, engine="netcdf4", encoding=encoding)


def read_tree(path: Path) -> xr.DataTree:
    """Read a tree into memory, its names and labels as they were before `write_tree`.

    Double numbers that are stored in single precision become double ones again. Arrays that are large together are kept
    as `large_arrays` does.
    """
    import xarray as xr

    from bayesrun.base.large_arrays import LARGE
    from bayesrun.base.netcdf_names import decode

    with xr.open_datatree(path, engine="netcdf4") as tree:
        many = sum(node.nbytes for node in tree.children.values()) > LARGE
        return decode(_read(tree) if many or NARROW in tree.attrs else tree.load())


def _read(tree: xr.DataTree) -> xr.DataTree:
    """Read the numbers of a tree piece by piece."""
    import numpy as np
    import xarray as xr

    from bayesrun.base.large_arrays import empty, let_go, pieces

    lazy = {str(name): node.to_dataset(inherit=False) for name, node in tree.children.items()}
    numbers = {
        (group, str(name)): variable
        for group, dataset in lazy.items()
        for name, variable in dataset.data_vars.items()
        if variable.dtype.kind in "biuf"
    }
    narrow = str(tree.attrs.get(NARROW, "")).split()
    dtypes = {place: np.float64 if place[0] in narrow and v.dtype == "f4" else v.dtype for place, v in numbers.items()}
    arrays = empty({place: (variable.shape, dtypes[place]) for place, variable in numbers.items()})
    for place, variable in numbers.items():
        for piece in pieces(variable.shape, variable.dtype.itemsize):
            arrays[place][piece] = variable[piece].values
            let_go(arrays[place])
    made = {}
    for group, dataset in lazy.items():
        found = {
            name: (v.dims, arrays[group, str(name)], v.attrs) if (group, str(name)) in arrays else v.load()
            for name, v in dataset.data_vars.items()
        }
        made[group] = xr.Dataset(found, coords=dataset.coords, attrs=dataset.attrs).load()
    whole = xr.DataTree.from_dict(made)
    whole.attrs.update({key: value for key, value in tree.attrs.items() if key != NARROW})
    return whole


def _doubles(group: Group) -> list[str]:
    return [name for name, variable in group.variables.items() if name not in group.coords and variable.dtype == "f8"]


def _is_plain(group: Group) -> bool:
    if any(group.variables[name].dims != (name,) for name in group.coords):
        return False
    for variable in group.variables.values():
        text = variable.dtype.kind == "U" or (
            variable.dtype == object and all(isinstance(v, str) for v in variable.values.ravel())
        )
        if not (text or variable.dtype.kind in "bif") or variable.values.size == 0:
            return False
        if variable.attrs or set(variable.encoding) & {"scale_factor", "add_offset", "_FillValue", "units"}:
            return False
    return True


def _write(groups: Mapping[str, Group], attrs: Mapping[Any, Any], path: Path, single: Collection[str]) -> None:
    """Write groups: what is small in memory and at once, what is large piece by piece."""
    import netCDF4

    from bayesrun.base.large_arrays import LARGE, let_go, pieces

    size = sum(variable.nbytes for group in groups.values() for variable in group.variables.values())
    small = size <= LARGE
    where = {"filename": "tree.nc", "memory": size + SPARE} if small else {"filename": path}
    file = netCDF4.Dataset(mode="w", format="NETCDF4", **where)
    file.set_fill_off()
    file.setncatts({str(key): value for key, value in attrs.items()})
    filled: list[tuple[Any, np.ndarray]] = []
    for name, held in groups.items():
        group = file.createGroup(name)
        group.setncatts(held.attrs)
        lengths = {dim: length for v in held.variables.values() for dim, length in v.sizes.items()}
        for dim, length in lengths.items():
            group.createDimension(str(dim), length)
        narrow = _doubles(held) if name in single else []
        filled += [_defined(group, key, variable, narrow=key in narrow) for key, variable in held.variables.items()]
    for variable, values in filled:
        variable.set_auto_maskandscale(False)
        for piece in pieces(values.shape, values.dtype.itemsize):
            # the file narrows what is wider than its variable
            variable[piece or ...] = values[piece]
            let_go(values)
    content: memoryview | None = file.close()
    if content is not None:
        path.write_bytes(content)


def _defined(group: Any, name: str, variable: xr.Variable, *, narrow: bool = False) -> tuple[Any, np.ndarray]:
    """Define a variable and return it with what is to be put into it, as xarray encodes it."""
    values = variable.values
    if values.dtype.kind in "UO":
        return group.createVariable(name, str, variable.dims), values.astype(object)
    truths = values.dtype.kind == "b"
    stored = values.astype("i1") if truths else values
    dtype = "f4" if narrow else stored.dtype
    made = group.createVariable(name, dtype, variable.dims, contiguous=True, fill_value=False)
    if truths:
        made.setncattr("dtype", "bool")
    return made, stored
