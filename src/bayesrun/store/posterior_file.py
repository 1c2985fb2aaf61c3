"""A fit's tree as a NetCDF file that xarray and ArviZ open; it keeps no folder.

xarray's own writer alternates between defining variables and filling them, which makes libnetcdf write its tables anew
for each. Here all are defined first: a third of the time, and the same tree comes back. What this writer does not know
(dates, arrays of nothing, coordinates that are no dims) it leaves to xarray. Names and labels that no file can hold are
translated, and read back as they were: see `netcdf_names`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy as np
    import xarray as xr

    from bayesrun.base.netcdf_names import Group

__all__ = ["read_tree", "write_tree"]

SPARE = 65536
"""Bytes beside the numbers, for names and attributes; the file grows beyond that if it has to."""


def write_tree(tree: xr.DataTree, path: Path) -> None:
    """Write a tree of one level of groups.

    Parameters
    ----------
    tree
        Groups of any values, names and labels, with attributes that NetCDF takes.
    path
        Of the new file.
    """
    from bayesrun.base.netcdf_names import encode, encoded

    groups = encode(tree)
    nested = tree.to_dataset().variables or any(node.children for node in tree.children.values())
    if not nested and all(map(_is_plain, groups.values())):
        path.write_bytes(_bytes(groups, tree.attrs))
    else:
        encoded(tree).to_netcdf(path, engine="netcdf4")


def read_tree(path: Path) -> xr.DataTree:
    """Read a tree into memory, its names and labels as they were before `write_tree`."""
    import xarray as xr

    from bayesrun.base.netcdf_names import decode

    with xr.open_datatree(path, engine="netcdf4") as tree:
        return decode(tree.load())


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


def _bytes(groups: Mapping[str, Group], attrs: Mapping[Any, Any]) -> memoryview:
    import netCDF4

    size = sum(variable.nbytes for group in groups.values() for variable in group.variables.values())
    file = netCDF4.Dataset("tree.nc", "w", format="NETCDF4", memory=size + SPARE)
    file.set_fill_off()
    file.setncatts({str(key): value for key, value in attrs.items()})
    filled: list[tuple[Any, np.ndarray]] = []
    for name, held in groups.items():
        group = file.createGroup(name)
        group.setncatts(held.attrs)
        lengths = {dim: length for v in held.variables.values() for dim, length in v.sizes.items()}
        for dim, length in lengths.items():
            group.createDimension(str(dim), length)
        filled += [_defined(group, key, variable) for key, variable in held.variables.items()]
    for variable, values in filled:
        variable.set_auto_maskandscale(False)
        variable[:] = values
    content: memoryview = file.close()
    return content


def _defined(group: Any, name: str, variable: xr.Variable) -> tuple[Any, np.ndarray]:
    """Define a variable and return it with what is to be put into it, as xarray encodes it."""
    values = variable.values
    if values.dtype.kind in "UO":
        return group.createVariable(name, str, variable.dims), values.astype(object)
    truths = values.dtype.kind == "b"
    stored = values.astype("i1") if truths else values
    made = group.createVariable(name, stored.dtype, variable.dims, contiguous=True, fill_value=False)
    if truths:
        made.setncattr("dtype", "bool")
    return made, stored
