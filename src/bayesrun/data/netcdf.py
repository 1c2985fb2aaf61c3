"""A dataset as one NetCDF file, exactly; where the file is and how it gets there safely is the store's part."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesrun.errors import DataError
from bayesrun.types import Dataset, Origin

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["load", "save"]

# array names may be anything that a column is called, NetCDF names may not: variables are numbered, and
# carry the name as an attribute
_LAYOUT = 1


def save(dataset: Dataset, path: Path) -> None:
    """Write a dataset to a NetCDF file.

    Each array is a variable ``array_I`` with the attributes ``array`` (its name) and ``stored_as`` (its
    dtype); dims, coords, orders, notes, name and citation are the text of the variable ``description``, as JSON.

    Parameters
    ----------
    dataset
        Arrays of numbers, booleans or text.
    path
        The file; one that is there is replaced.
    """
    import xarray as xr

    description = {
        "layout": _LAYOUT,
        "name": dataset.name,
        "citation": dataset.citation,
        "dims": {name: list(along) for name, along in dataset.dims.items()},
        "ordered": list(dataset.ordered),
        "notes": list(dataset.origin.notes),
        "changed": dict(dataset.origin.changed),
        "meant": list(dataset.origin.meant),
        "coords": {dim: [_label(label) for label in labels] for dim, labels in dataset.coords.items()},
    }
    variables: dict[str, xr.Variable] = {}
    for number, (name, array) in enumerate(dataset.arrays.items()):
        # own dims for each variable: two arrays that disagree on a dim are the checks' matter
        along = [f"array_{number}_dim_{axis}" for axis in range(array.ndim)]
        text = array.dtype.kind in "OSUT"
        stored = array.astype(str).astype(object) if text else array
        encoding = {} if text or array.dtype.kind == "b" else {"_FillValue": None}
        attrs = {"array": name, "stored_as": "text" if text else array.dtype.str}
        variables[f"array_{number}"] = xr.Variable(along, stored, attrs, encoding)
    variables["description"] = xr.Variable((), np.array(json.dumps(description), dtype=object))
    xr.Dataset(variables).to_netcdf(path, engine="netcdf4")


def load(path: Path) -> Dataset:
    """Read back what `save` wrote: the same arrays, dims, coords, name, citation and digest.

    Raises
    ------
    DataError
        If the file is not one that `save` wrote.
    """
    import xarray as xr

    content = xr.load_dataset(path, engine="netcdf4")
    if "description" not in content.variables:
        raise DataError(
            f"{path} is not a dataset that bayesrun stored; files of your own are read with data=netcdf data.path=FILE"
        )
    description = json.loads(str(content["description"].item()))
    arrays: dict[str, np.ndarray] = {}
    for key, variable in content.variables.items():
        if key == "description":
            continue
        dtype = variable.attrs["stored_as"]
        arrays[variable.attrs["array"]] = np.asarray(variable.values).astype(
            str if dtype == "text" else np.dtype(dtype)
        )
    return Dataset(
        arrays,
        {name: tuple(along) for name, along in description["dims"].items()},
        {dim: tuple(labels) for dim, labels in description["coords"].items()},
        description["name"],
        description["citation"],
        tuple(description.get("ordered", ())),
        Origin(
            tuple(description.get("notes", ())),
            description.get("changed", {}),
            meant=tuple(description.get("meant", ())),
        ),
    )


def _label(label: Any) -> Any:
    return label.item() if isinstance(label, np.generic) else label
