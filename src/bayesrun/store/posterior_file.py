"""A fit's tree as a NetCDF file that xarray and ArviZ open; it decides no names and keeps no folder.

xarray's own writer alternates between defining variables and filling them, which makes libnetcdf write its tables anew
for each. Here all are defined first: a third of the time, and the same tree comes back. What this writer does not know
(dates, complex numbers, coordinates that are no dims) it leaves to xarray. Labels that no file can hold (intervals,
days, times with a zone) are written as their text.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    import xarray as xr

__all__ = ["write_tree"]

SPARE = 65536
"""Bytes beside the numbers, for names and attributes; the file grows beyond that if it has to."""


def write_tree(tree: xr.DataTree, path: Path) -> None:
    """Write a tree of one level of groups.

    Parameters
    ----------
    tree
        Groups of numbers, truth values and text, with attributes that NetCDF takes.
    path
        Of the new file.
    """
    tree = _with_text(tree)
    if _is_plain(tree):
        path.write_bytes(_bytes(tree))
    else:
        tree.to_netcdf(path, engine="netcdf4")


def _with_text(tree: xr.DataTree) -> xr.DataTree:
    """Make text of labels that are objects of Python; a tree without such is returned as it is."""
    import xarray as xr

    found = {}
    for name, node in tree.children.items():
        dataset = node.to_dataset(inherit=False)
        objects = [key for key, values in dataset.coords.items() if values.dtype == object]
        odd = [key for key in objects if not _is_simple(dataset[key].values)]
        if odd:
            texts = {key: (dataset[key].dims, dataset[key].values.astype(str)) for key in odd}
            found[name] = dataset.drop_vars(odd).assign_coords(texts)
    if not found:
        return tree
    groups = {name: found.get(name, node.to_dataset(inherit=False)) for name, node in tree.children.items()}
    root = xr.DataTree.from_dict(groups)
    root.attrs.update(tree.attrs)
    return root


def _is_simple(labels: np.ndarray) -> bool:
    return all(isinstance(label, (str, bool, int, float)) or hasattr(label, "dtype") for label in labels.ravel())


def _is_plain(tree: xr.DataTree) -> bool:
    if tree.to_dataset().variables or any(node.children for node in tree.children.values()):
        return False
    for node in tree.children.values():
        dataset = node.to_dataset(inherit=False)
        if any(name not in dataset.sizes for name in dataset.coords):
            return False
        for variable in dataset.variables.values():
            text = variable.dtype.kind == "U" or (
                variable.dtype == object and all(isinstance(v, str) for v in variable.values.ravel())
            )
            if not (text or variable.dtype.kind in "bif") or variable.values.size == 0:
                return False
            if variable.attrs or set(variable.encoding) & {"scale_factor", "add_offset", "_FillValue", "units"}:
                return False
    return True


def _bytes(tree: xr.DataTree) -> memoryview:
    import netCDF4

    size = sum(node.to_dataset(inherit=False).nbytes for node in tree.children.values())
    file = netCDF4.Dataset("tree.nc", "w", format="NETCDF4", memory=size + SPARE)
    file.set_fill_off()
    file.setncatts({str(key): value for key, value in tree.attrs.items()})
    filled: list[tuple[Any, np.ndarray]] = []
    for name, node in tree.children.items():
        dataset, group = node.to_dataset(inherit=False), file.createGroup(name)
        group.setncatts(dataset.attrs)
        for dim, length in dataset.sizes.items():
            group.createDimension(str(dim), length)
        filled += [_defined(group, str(key), variable) for key, variable in dataset.variables.items()]
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
