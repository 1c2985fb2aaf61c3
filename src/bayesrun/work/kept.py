"""What of a fit goes into its posterior.nc: what is left out can be made again from the draws of the free variables."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from bayesrun.types import LEFT, canonical_json
from bayesrun.types.kept import ALL, GROUPS, OF_STEP
from bayesrun.work.building import builder_of
from bayesrun.work.steps import left_for_later

if TYPE_CHECKING:
    from collections.abc import Collection

    import xarray as xr

    from bayesrun.types import Outcome, Steps
    from bayesrun.work.case import Case

__all__ = ["as_kept", "in_tree", "made_again"]

_derived: dict[str, tuple[str, ...]] = {}
"""Deterministics of models."""


def as_kept(
    outcome: Outcome, tree: xr.DataTree, case: Case, there: Collection[str] = (), before: Collection[str] = ()
) -> tuple[Outcome, xr.DataTree]:
    """Leave out what is not to be kept.

    Parameters
    ----------
    outcome
        What came back; the new one says what is left out.
    tree
        The fit, which stays as it is.
    case
        Its recipe and data.
    there
        Groups and Deterministics that are stored already (`in_tree`), which stay.
    before
        Those that were left out of what is stored.
    """
    kept = case.spec.kept
    single = kept.single and not (set(there) & set(GROUPS) and not outcome.single)
    if ALL in kept.what:
        return dataclasses.replace(outcome, left_out=(), single=single), tree
    derived = [name for name in _deterministics(case) if name in tree["posterior"].data_vars]
    out = [name for name in (*GROUPS, *derived) if not kept.has(name) and name not in there]
    gone = [name for name in out if name in tree.children or name in derived or name in before]
    lean = type(tree).from_dict({name: node.dataset for name, node in tree.children.items() if name not in gone})
    lean.attrs.update(tree.attrs)
    dropped = [name for name in derived if name in gone]
    lean["posterior"] = type(tree)(tree["posterior"].to_dataset().drop_vars(dropped))
    if dropped:
        lean.attrs[LEFT] = "\n".join([*left_for_later(tree), *dropped])
    return dataclasses.replace(outcome, left_out=tuple(gone), single=single), lean


def in_tree(tree: xr.DataTree) -> frozenset[str]:
    """Name the groups of a tree and the variables of its posterior."""
    return frozenset((*map(str, tree.children), *map(str, tree["posterior"].data_vars)))


def made_again(missing: Steps, stored: Outcome, wanted: Steps) -> Steps:
    """Add to steps that are missing those whose groups were left out, and that a summary or a figure is made of."""
    again = {
        name: getattr(missing, name) or (getattr(wanted, name) and bool(set(groups) & set(stored.left_out)))
        for name, groups in OF_STEP.items()
        if name != "posterior_predictive" or wanted.figures
    }
    return dataclasses.replace(missing, **again)


def _deterministics(case: Case) -> tuple[str, ...]:
    spec = case.spec
    name = canonical_json([spec.model, spec.fingerprint])
    if name not in _derived:
        _derived[name] = tuple(str(v.name) for v in builder_of(spec)(case.dataset).deterministics)
    return _derived[name]
