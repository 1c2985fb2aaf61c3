"""data -> model -> sample for the fits of a batch. No files; their steps are those of `work.steps`."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from bayesrun.base.alignment import SAMPLE_DIMS, aligned
from bayesrun.base.digits import against, exact
from bayesrun.base.imports import import_target, module_constant, sampler_constant
from bayesrun.base.time_limit import LateError, within
from bayesrun.errors import FitError, FitTimeoutError
from bayesrun.planning.effort import effort
from bayesrun.planning.fingerprint import graph_digest
from bayesrun.types import canonical_json
from bayesrun.work.building import builder_of, own_builder, sharing
from bayesrun.work.case import Case, Fitted
from bayesrun.work.steps import do_steps

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping, Sequence

    import pymc as pm

    from bayesrun.types import Dataset, FitSpec, Steps

__all__ = ["ESCALATED", "fit", "fit_case", "fits", "ready", "resumed"]


ESCALATED = "after target_accept="
"""What a note at an error begins with that tells of draws which diverged before it."""


def fits(cases: Sequence[Case]) -> Iterator[tuple[Case, Fitted | FitError]]:
    """Draw from the posteriors of a batch.

    A sampler whose module has a function ``fits`` gets all cases of one recipe at once; others draw for one after
    another.

    Parameters
    ----------
    cases
        Of one batch.

    Yields
    ------
    tuple of Case and Fitted or FitError
        As they are done. What a sampler raises leaves the generator, and those that were not yielded are not done.
    """
    for group in _alike(cases):
        yield from _in_time(group)


def _in_time(cases: Sequence[Case]) -> Iterator[tuple[Case, Fitted | FitError]]:
    """Draw for a group, and give up what is left of it when the time of all that is left is over."""
    left = {case.spec.key: case for case in cases}
    arriving = _draw(cases)
    while left:
        bound = cases[0].timeout
        try:
            arrived = within(bound and bound * len(left), lambda: next(arriving, None))
        except LateError as late:
            for case in left.values():
                yield case, _late(bound or 0.0, len(left), late.seconds)
            return
        if arrived is None:
            return
        del left[arrived[0].spec.key]
        yield arrived


def _late(bound: float, together: int, seconds: float) -> FitTimeoutError:
    who = "took" if together == 1 else f"with {together - 1} others of its batch took"
    may = f"{exact(bound)} s" if together == 1 else f"{together} x {exact(bound)} s"
    after = against(seconds, bound * together, ".1f")
    return FitTimeoutError(f"{who} longer than {may}, and was stopped after {after} s; raise sampler.timeout")


def ready(found: Fitted, case: Case) -> Fitted:
    """Put the truth beside the draws of simulated data, and take away what a sampler gives and nobody asked for."""
    if not case.spec.steps.log_likelihood and "log_likelihood" in found.tree.children:
        del found.tree["log_likelihood"]
    if case.truth:
        found.tree["truth"] = xr.DataTree(_truth(found.tree["posterior"].dataset, case))
    return found


def fit(spec: FitSpec, dataset: Dataset) -> Fitted:
    """Draw from the posterior of one dataset and do the workflow's steps.

    Raises
    ------
    FitError
        If the sampler returns nothing, or the model is no longer the one that was planned.
    """
    return fit_case(Case(spec, dataset))


def fit_case(case: Case) -> Fitted:
    """Draw from one posterior; see `fit`."""
    ((_, found),) = fits([case])
    if isinstance(found, FitError):
        raise found
    return do_steps(ready(found, case), case, case.spec.steps)


def _truth(posterior: xr.Dataset, case: Case) -> xr.Dataset:
    """Give true values the layout of their draws, and those that no estimate belongs to axes of their own."""
    matched = aligned(case.truth, case.layouts, posterior)
    variables: dict[str, tuple[tuple[Any, ...], np.ndarray]] = {}
    for name, values in case.truth.items():
        dims: tuple[Any, ...] = tuple(f"{name}_dim_{i}" for i in range(np.ndim(values)))
        if name in posterior and name in matched:
            dims = tuple(dim for dim in posterior.variables[name].dims if dim not in SAMPLE_DIMS)
        variables[name] = dims, np.asarray(matched.get(name, values))
    used = {dim for dims, _ in variables.values() for dim in dims}
    return xr.Dataset(variables, coords={dim: posterior.coords[dim] for dim in used if dim in posterior.coords})


def resumed(tree: xr.DataTree, missing: Steps, case: Case) -> Fitted:
    """Take up a stored posterior to which steps are added.

    Raises
    ------
    FitError
        If the model is no longer the one that was planned.
    """
    _refuse_other_model(case)
    if missing.log_likelihood and "log_likelihood" in tree.children:
        del tree["log_likelihood"]  # by another source than now
    return Fitted(tree)


def _alike(cases: Sequence[Case]) -> list[list[Case]]:
    """Put cases together that one call of a sampler can take; of real data each has a model of its own meaning."""
    groups: dict[str, list[Case]] = {}
    for case in cases:
        spec = case.spec
        many = module_constant(import_target("sampler", spec.sampler.path), "fits", None)
        meaning = spec.fingerprint if spec.simulation else ""
        same = [spec.model, spec.sampler, spec.options, spec.divergence_limit, spec.simulation, meaning]
        groups.setdefault(canonical_json(same if many else [spec.key]), []).append(case)
    return list(groups.values())


def _refuse_other_model(case: Case) -> None:
    """Refuse a model that is not the planned one: its file was edited meanwhile, or this node has another version."""
    spec = case.spec
    if spec.fingerprint and _graph_digest(own_builder(spec), case) != spec.fingerprint.rpartition("-")[2]:
        raise FitError(
            f"{spec.model.path} builds another model here than when the plan was made: its source changed meanwhile, "
            "this node has another version of it, or it draws random numbers; run the command again"
        )


def _graph_digest(builder: Callable[[Dataset], pm.Model], case: Case) -> str:
    """Digest the model of a case; for simulated data that of the dataset that the plan was made with, once."""
    if case.base is None:
        return graph_digest(builder(case.dataset), _used(case.spec, case.dataset))
    name = (case.spec.fingerprint, canonical_json([case.spec.model, case.spec.data_hash]))
    if name not in _digests:
        _digests[name] = graph_digest(builder(case.base), _used(case.spec, case.base))
    return _digests[name]


def _used(spec: FitSpec, dataset: Dataset) -> Dataset:
    """Leave out what is stored although the model does not use it."""
    return dataset.only(spec.used) if spec.used else dataset


_digests: dict[tuple[str, str], str] = {}


def _draw(cases: Sequence[Case]) -> Iterator[tuple[Case, Fitted | FitError]]:
    """Draw, and draw again with a larger target_accept for those that diverge, as far as the recipe allows."""
    first = cases[0].spec
    limit = 0 if first.divergence_limit is None else first.divergence_limit
    levels = [first.options.target_accept, *(a for a in first.options.escalate if a > first.options.target_accept)]
    attempts: dict[str, list[Mapping[str, float]]] = {case.spec.key: [] for case in cases}
    left = list(cases)
    for level in levels:
        again = []
        for case, tree, seconds in _noted(_sample(left, level), attempts if len(left) == 1 else {}):
            if isinstance(tree, FitError):
                _note(tree, attempts[case.spec.key])
                yield case, tree
                continue
            diverging = int(tree["sample_stats"]["diverging"].sum()) if "diverging" in tree["sample_stats"] else 0
            tried = attempts[case.spec.key]
            tried.append({"target_accept": level, "n_divergent": float(diverging), "seconds": seconds})
            if diverging > limit and level != levels[-1]:
                again.append(case)
                continue
            spent = sum(attempt["seconds"] for attempt in tried)
            consisted = _effort(case, tree, len(cases), seconds)
            yield case, Fitted(tree, {"sample": spent}, tuple(tried) if len(levels) > 1 else (), consisted)
        left = again


def _noted[T](sampling: Iterator[T], attempts: Mapping[str, Sequence[Mapping[str, float]]]) -> Iterator[T]:
    """Note at what a fit raises the draws that diverged before."""
    try:
        yield from sampling
    except Exception as error:
        for tried in attempts.values():
            _note(error, tried)
        raise


def _note(error: BaseException, tried: Sequence[Mapping[str, float]]) -> None:
    if tried:
        each = (f"{a['target_accept']:g}: {a['n_divergent']:.0f} divergences in {a['seconds']:.1f} s" for a in tried)
        error.add_note(f"{ESCALATED}{', '.join(each)}")


def _effort(case: Case, tree: xr.DataTree, together: int, seconds: float) -> dict[str, Any]:
    """Say what drawing consisted of; what of its seconds the sampler does not call steps is taken for compilation."""
    kind = str(sampler_constant(import_target("sampler", case.spec.sampler.path), "KIND"))
    stepping = float(tree.attrs.get("sampling_seconds", seconds)) - float(tree.attrs.get("compile_seconds", 0.0))
    return effort(case.spec, kind, together=together, compile_seconds=max(0.0, seconds - stepping))


def _as_planned(cases: Sequence[Case]) -> Generator[tuple[Case, FitError, float], None, list[Case]]:
    """Refuse those whose model is another one here, and return the others."""
    planned = []
    for case in cases:
        begin = time.perf_counter()
        try:
            _refuse_other_model(case)
        except FitError as error:
            yield case, error, time.perf_counter() - begin
        else:
            planned.append(case)
    return planned


def _sample(cases: Sequence[Case], target_accept: float) -> Iterator[tuple[Case, xr.DataTree | FitError, float]]:
    """Call the sampler; with each tree the wall-clock seconds that it took, or its share of a batch's."""
    if not cases:
        return
    spec = cases[0].spec
    builder = builder_of(spec)
    planned = yield from _as_planned(cases)
    if not planned:
        return
    cases = planned
    sample = import_target("sampler", spec.sampler.path)
    options = replace(spec.options, target_accept=target_accept)
    datasets, seeds = [case.dataset for case in cases], [case.spec.fit_seed for case in cases]
    many = module_constant(sample, "fits", None)
    begin = time.perf_counter()
    if many is None:
        found = ((0, next(iter(sample(sharing(cases[0], builder, "draws"), datasets, seeds, options)), None)),)
    else:
        found = many(builder, datasets, seeds, options, like=cases[0].form or cases[0].base, timeout=cases[0].timeout)
    for index, tree in found:
        if tree is None:
            raise FitError(f"{spec.sampler.path} returned no posterior; it must yield one tree for each dataset")
        if not isinstance(tree, FitError):
            tree.attrs["target_accept"] = target_accept
        own = getattr(tree, "attrs", {}).get("sampling_seconds") if len(cases) > 1 else None
        yield cases[index], tree, time.perf_counter() - begin if own is None else float(own)
