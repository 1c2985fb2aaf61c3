"""The chains of a dataset as the groups that every sampler writes; it computes no diagnostics.

Draws of one generator mostly share names, dims and coords, which take longer to work out than their numbers take to
copy: they are kept from a tree with the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from bayesrun.samplers import groups
from bayesrun.types import LEFT

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pymc as pm


__all__ = ["Mould", "Moulds", "whole_tree"]

type Kind = tuple[tuple[int, ...], str]
type Labels = tuple[tuple[str, ...], Mapping[str, Any], Mapping[str, Any], Mapping[str, Mapping[str, Kind]]]

MOST_MOULDS = 8
"""Sets of labels that are kept of one form: where every dataset has its own, nothing is saved by keeping them."""


def whole_tree(
    model: pm.Model,
    posterior: Mapping[str, np.ndarray],
    stats: Mapping[str, np.ndarray],
    terms: Mapping[str, np.ndarray],
    attrs: groups.Attributes,
) -> xr.DataTree:
    """Put the arrays of one fit into groups, by its own model.

    Parameters
    ----------
    posterior, stats
        See `groups.tree`.
    terms
        Pointwise log-likelihood by observed variable, dims (chain, draw, ...); the group is left out without any.
    """
    tree = groups.tree(model, posterior, stats, attrs)
    if terms:
        tree["log_likelihood"] = xr.DataTree(_pointwise(terms, tree["observed_data"].to_dataset()))
    return tree


class Mould:
    """What the trees of one generator's draws have in common, taken from the first of them.

    Parameters
    ----------
    tree
        Groups ``posterior``, ``sample_stats``, ``observed_data`` and what else there is.
    """

    def __init__(self, tree: xr.DataTree) -> None:
        self.left = {name: value for name, value in tree.attrs.items() if name == LEFT}
        self.groups = {name: node.to_dataset() for name, node in tree.children.items()}
        for group in self.groups.values():  # the attributes of the first fit are its own
            group.attrs = {key: value for key, value in group.attrs.items() if key not in tree.attrs}

    def cast(self, arrays: Mapping[str, Mapping[str, np.ndarray]], attrs: groups.Attributes) -> xr.DataTree:
        """Make a tree like the first one.

        Parameters
        ----------
        arrays
            By group the variables that differ from the first tree's, in the same shapes.
        attrs
            Of the tree, its posterior and its statistics.
        """
        made = {}
        for name, first in self.groups.items():
            own = arrays.get(name, {})
            made[name] = xr.Dataset(
                {
                    key: (v.dims, _like(own[str(key)], v) if key in own else v.values, v.attrs)
                    for key, v in first.data_vars.items()
                },
                coords=first.coords,
                attrs=first.attrs | (attrs if name in ("posterior", "sample_stats") else {}),
            )
        tree = xr.DataTree.from_dict(made)
        tree.attrs.update(attrs | self.left)
        return tree


class Moulds:
    """The trees of datasets whose models have one form, cast after the first one with the same labels."""

    def __init__(self) -> None:
        self.made: list[tuple[Labels, Mould]] = []

    def tree(
        self,
        model: pm.Model,
        arrays: Mapping[str, Mapping[str, np.ndarray]],
        attrs: groups.Attributes,
    ) -> xr.DataTree:
        """Make the tree of one dataset.

        Parameters
        ----------
        model
            Its own model.
        arrays
            The groups ``posterior``, ``sample_stats`` and ``log_likelihood`` (see `whole_tree`).
        attrs
            Of the tree, its posterior and its statistics.
        """
        data = groups.data_of(model)
        labels = _labels(model, tuple(arrays["posterior"]), data)
        for known, mould in self.made:
            if known == labels:
                return mould.cast({**arrays, **data}, attrs)
        posterior, stats, terms = (arrays[name] for name in ("posterior", "sample_stats", "log_likelihood"))
        tree = whole_tree(model, posterior, stats, terms, attrs)
        self.made = [*self.made, (labels, Mould(tree))][-MOST_MOULDS:]
        return tree


def _labels(model: pm.Model, names: tuple[str, ...], data: Mapping[str, Mapping[str, np.ndarray]]) -> Labels:
    """Return the names in a posterior, dims and coords of its model, and shapes and dtypes of data by group."""
    kinds = {group: {name: (v.shape, v.dtype.str) for name, v in held.items()} for group, held in data.items()}
    coords = {dim: None if labels is None else tuple(labels) for dim, labels in model.coords.items()}
    return names, dict(model.named_vars_to_dims), coords, kinds


def _like(value: np.ndarray, first: xr.DataArray) -> np.ndarray:
    return np.asarray(value, dtype=first.dtype).reshape(first.shape)


def _pointwise(terms: Mapping[str, np.ndarray], observed: xr.Dataset) -> xr.Dataset:
    """Give log-likelihood terms the dims and coords of what was observed, as many as they have."""
    named = {}
    for name, value in terms.items():
        extra = observed[name].dims[: value.ndim - 2] if name in observed else ()
        if len(extra) < value.ndim - 2:
            extra = tuple(f"{name}_dim_{i}" for i in range(value.ndim - 2))
        named[name] = ("chain", "draw", *extra)
    used = {dim for names in named.values() for dim in names}
    chains, draws = next(iter(terms.values())).shape[:2]
    coords: dict[Any, Any] = {dim: observed.coords[dim] for dim in used if dim in observed.coords}
    coords |= {"chain": np.arange(chains), "draw": np.arange(draws)}
    return xr.Dataset({name: (named[name], value) for name, value in terms.items()}, coords=coords)
