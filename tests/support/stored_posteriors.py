"""Posteriors as files, as truth is drawn from them."""

import xarray as xr


def write_posterior(path, **draws):
    """A file in the InferenceData schema: arrays with dims (chain, draw, ...)."""
    variables = {
        name: (("chain", "draw", *(f"{name}_{axis}" for axis in range(values.ndim - 2))), values)
        for name, values in draws.items()
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    xr.DataTree.from_dict({"posterior": xr.Dataset(variables)}).to_netcdf(path)
    return path
