"""What a plan will take: disk from the shapes of the models, time from fits that were done before."""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections import Counter
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from bayesrun.base.large_arrays import LARGE
from bayesrun.base.machine import cores
from bayesrun.planning.completion import SWITCHES
from bayesrun.planning.disk_space import fit_bytes, numbers_of, study_bytes
from bayesrun.planning.effort import alike, steps_of
from bayesrun.store.whole_files import unsealed
from bayesrun.types import Kept, canonical_json
from bayesrun.types.kept import LEAN

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from typing import Any

    import pymc as pm

    from bayesrun.planning.disk_space import Numbers
    from bayesrun.store.folder import Store
    from bayesrun.types import Batch, CheckedCell, DispatchOptions, FitSpec, Plan, SamplerOptions, Steps

__all__ = ["Estimate", "Fact", "estimate", "known", "known_seconds", "predicted", "workers"]

SAMPLE = 200
"""Fits of a study whose times are looked at: thousands would tell no more."""
REMOTE_WORKERS = 32
START_SECONDS = 12.0
"""Start of a local Ray cluster with cold workers, measured on two cores."""
LANES = 64
"""Chains that a batched sampler moves side by side at the cost of one: see `samplers.lanes.engine`."""
SLOPES: Mapping[str, tuple[float, float]] = {
    "log_likelihood": (6e-6, 1e-8),
    "posterior_predictive": (8e-5, 3e-8),
    "diagnose": (4e-6, 4.5e-8),
    "figures": (3e-5, 0.0),
}
"""Seconds of a stage for each draw, and more for each number of a draw (observed values, and for diagnose scalars),
measured on one core: by them what a longer fit takes is told apart from what every fit takes."""
SIMULATED_FIT, SIMULATED_STUDY = 0.03, 8.0
"""Seconds that drawing and storing one simulated dataset takes, and what a study of them has before and after its
fits: how far its truths spread, tables, figures, page."""


@dataclass(frozen=True)
class Estimate:
    """What is left to do will take this.

    Parameters
    ----------
    bytes
        Disk in the study's folder.
    seconds
        Wall-clock time; None where no fit of these models, data and samplers was ever done here.
    unknown
        Labels of cells for which there is no earlier fit to go by.
    loose
        Labels of cells for which there are only fits with other parameters or options to go by.
    largest
        Bytes of the largest fit among them.
    lean
        Bytes that the study would take with ``output.keep=lean``.
    meanwhile
        Bytes of disk that are taken beside these while fits are worked on, and free again after that.
    """

    bytes: int
    seconds: float | None
    unknown: tuple[str, ...] = ()
    loose: tuple[str, ...] = ()
    largest: int = 0
    lean: int = 0
    meanwhile: int = 0


@dataclass(frozen=True)
class Fact:
    """What a fit took that was done before.

    Parameters
    ----------
    seconds
        By stage.
    effort
        What was done in them, see `effort`.
    """

    seconds: Mapping[str, float]
    effort: Mapping[str, Any]


type Known = Mapping[str, Sequence[Fact]]


def estimate(
    plan: Plan,
    cells: Sequence[CheckedCell],
    models: Mapping[str, pm.Model],
    store: Store,
    dispatch: DispatchOptions,
) -> Estimate:
    """Estimate disk and time of what a plan leaves to do.

    Parameters
    ----------
    plan
        Its batches are what is left.
    cells, models
        What is planned, and the model of each cell by its label.
    store
        The folders beside it hold the earlier studies whose times are used.
    dispatch
        How many cores share the work.
    """
    left = [spec for batch in plan.batches for spec in batch.specs]
    if not left:
        return Estimate(0, 0.0)
    by_label = {checked.cell.label: checked for checked in cells}
    there = {spec.cell: by_label[spec.cell] for spec in left}
    counted = _counted(models, there)
    sizes = list(_sizes(left, plan, there, counted))
    beside = study_bytes(counted, there)
    size = sum(sizes) + beside
    sparse = {label: dataclasses.replace(cell, kept=Kept((LEAN,))) for label, cell in there.items()}
    whole = {label: dataclasses.replace(cell, kept=Kept()) for label, cell in there.items()}
    each = max(_sizes(left, plan, whole, counted))
    room: dict[str, Any] = {
        "largest": max(sizes),
        "lean": sum(_sizes(left, plan, sparse, counted)) + beside,
        "meanwhile": min(workers(dispatch), len(left)) * 2 * each * (each > LARGE),
    }
    facts = known(store)
    basis = {label: _basis(spec, facts) for label, spec in _first(left).items()}
    unknown = tuple(label for label, (found, _) in basis.items() if not found)
    if unknown:
        return Estimate(size, None, unknown, **room)
    loose = tuple(label for label, (_, same) in basis.items() if not same)
    many = workers(dispatch)
    calls = [_call(batch, plan.kept, there, counted, basis) for batch in plan.batches]
    cores_used = [max(1.0, batch.resources.num_cpus) for batch in plan.batches]
    work = sum(seconds * wide for seconds, wide in zip(calls, cores_used, strict=True))
    start = START_SECONDS if dispatch.kind == "ray" else 0.0
    start += SIMULATED_STUDY * any(checked.simulation is not None for checked in there.values())
    drawing = {spec.cell for spec in left if spec.key not in plan.kept}
    compiled = sum(_compiled(basis[label][0], there[label]) for label in basis if label in drawing)
    return Estimate(size, start + compiled + max(work / many, *calls), loose=loose, **room)


def _sizes(
    left: Iterable[FitSpec], plan: Plan, cells: Mapping[str, CheckedCell], numbers: Mapping[str, Numbers]
) -> Iterator[int]:
    """Predict the bytes that each fit adds: of one whose draws are kept, those of the steps that are done on them."""
    known: dict[str, int] = {}
    for spec in left:
        added = plan.kept.get(spec.key)
        name = canonical_json([spec.cell, added])
        if name not in known:
            known[name] = _bytes(numbers[spec.cell], cells[spec.cell], spec.steps)
            if added is not None:
                known[name] -= _bytes(numbers[spec.cell], cells[spec.cell], _less(spec.steps, added))
        yield known[name]


def _bytes(numbers: Numbers, checked: CheckedCell, steps: Steps) -> int:
    return fit_bytes(numbers, dataclasses.replace(checked, cell=dataclasses.replace(checked.cell, steps=steps)))


def _less(steps: Steps, added: Steps) -> Steps:
    """Return steps without those that are added."""
    return dataclasses.replace(steps, **{s: getattr(steps, s) and not getattr(added, s) for s in SWITCHES})


def workers(dispatch: DispatchOptions) -> int:
    """Say how many worker calls run at the same time; of a cluster that is not joined yet, a guess."""
    if dispatch.kind == "serial":
        return 1
    return dispatch.num_cpus or (cores() if dispatch.address is None else REMOTE_WORKERS)


def predicted(facts: Sequence[Fact], spec: FitSpec, checked: CheckedCell, numbers: Numbers, together: int) -> float:
    """Predict the seconds of one fit, from those of fits that were shorter or longer.

    Parameters
    ----------
    facts
        At least one. Those count whose number of steps is nearest.
    spec, checked
        The fit, and its cell.
    numbers
        Of its model.
    together
        Fits of its worker call, where its sampler draws for many at once.

    Returns
    -------
    float
        Wall-clock seconds, or of a fit that is drawn with others its share. Steps cost what they cost before. What
        comes before the first step takes as long as in the fit where it took least: what was compiled is kept.
    """
    steps = steps_of(spec.options, checked.kind, _side_by_side(checked))
    distance = [abs(math.log(max(fact.effort["steps"], 1) / max(steps, 1))) for fact in facts]
    nearest = [fact for fact, far in zip(facts, distance, strict=True) if far <= min(distance) + 1e-9]
    compiled: float = min(fact.effort["compile"] * fact.effort["together"] for fact in facts) / together
    return compiled + statistics.median(_without(fact, spec, steps, numbers, together) for fact in nearest)


def _without(fact: Fact, spec: FitSpec, steps: int, numbers: Numbers, together: int) -> float:
    """Predict the seconds of a fit from those of another one, without what comes before the first step."""
    had, options = fact.effort, spec.options
    share = _share(together, options.chains) / _share(had["together"], had["chains"])
    total: float = max(0.0, fact.seconds.get("sample", 0.0) - had["compile"]) * share * steps / max(had["steps"], 1)
    return total + _stages(fact, spec.options, spec.steps, numbers)


def _stages(fact: Fact, options: SamplerOptions, done: Steps, numbers: Numbers) -> float:
    """Predict the seconds of what is done on the draws of a fit from those of another one."""
    had, total = fact.effort, 0.0
    draws = options.draws * options.chains
    for stage, seconds in fact.seconds.items():
        if stage == "sample" or not getattr(done, stage, True):
            continue
        each, every = SLOPES.get(stage, (0.0, 0.0))
        values = numbers.observed + (numbers.free + numbers.derived) * (stage == "diagnose")
        slope = min(each + every * values, seconds / max(had["draws"], 1))
        total += seconds + slope * (draws - had["draws"])
    return total


def _share(together: int, chains: int) -> float:
    """Say what a fit costs of the lanes, in units of one fit that has all of them for itself."""
    return max(1.0, together * chains / LANES) / together


def _side_by_side(checked: CheckedCell) -> int:
    return 1 if checked.batched else max(1, int(checked.cell.resources.num_cpus))


def _basis(spec: FitSpec, facts: Known) -> tuple[Sequence[Fact], bool]:
    """Find the earlier fits that tell most of a fit, and whether they differ from it in lengths alone."""
    narrow, wide = alike(spec)
    same = facts.get(narrow, ())
    return same or facts.get(wide, ()), bool(same)


def _first(specs: Iterable[FitSpec]) -> dict[str, FitSpec]:
    """Return the first fit of each cell."""
    found: dict[str, FitSpec] = {}
    for spec in specs:
        found.setdefault(spec.cell, spec)
    return found


def _call(
    batch: Batch,
    kept: Mapping[str, Steps],
    cells: Mapping[str, CheckedCell],
    numbers: Mapping[str, Numbers],
    basis: Mapping[str, tuple[Sequence[Fact], bool]],
) -> float:
    """Predict the seconds of one worker call; of a fit whose draws are kept, those of what is done on them."""
    simulated = [spec for spec in batch.specs if cells[spec.cell].simulation is not None]
    drawn = Counter(spec.cell for spec in batch.specs if spec.key not in kept)
    first = _first(batch.specs)
    total = SIMULATED_FIT * len(simulated)
    for label, count in drawn.items():
        together = drawn.total() if cells[label].batched else 1
        total += count * predicted(basis[label][0], first[label], cells[label], numbers[label], together)
    for spec in batch.specs:
        if spec.key in kept:
            facts = basis[spec.cell][0]
            total += statistics.median(
                _stages(fact, spec.options, kept[spec.key], numbers[spec.cell]) for fact in facts
            )
    return total


def _compiled(facts: Sequence[Fact], checked: CheckedCell) -> float:
    """Say what the first of many simulated fits takes longer, in every worker at the same time."""
    if checked.simulation is None or checked.batched:
        return 0.0
    seconds = [fact.effort["compile"] for fact in facts]
    return float(max(seconds) - min(seconds))


def _counted(models: Mapping[str, pm.Model], cells: Mapping[str, CheckedCell]) -> dict[str, Numbers]:
    """Count the numbers of each model once, however many cells have it."""
    once = {id(models[label]): models[label] for label in cells}
    numbers = {name: numbers_of(model) for name, model in once.items()}
    return {label: numbers[id(models[label])] for label in cells}


def known(store: Store) -> dict[str, list[Fact]]:
    """Read what the fits of every study beside this one took, by what they are alike in."""
    found: dict[str, list[Fact]] = {}
    for fields in _done(store):
        effort = fields.get("effort") or {}
        for name in effort.get("alike", ()):
            found.setdefault(name, []).append(Fact(fields["seconds"], effort))
    return found


def known_seconds(store: Store) -> dict[str, float]:
    """Median seconds of the finished fits of every study beside this one, by model, data and sampler."""
    times: dict[str, list[float]] = {}
    for fields in _done(store):
        times.setdefault(str(fields["cell"]).split(" ", 1)[0], []).append(sum(fields["seconds"].values()))
    return {kind: statistics.median(found) for kind, found in times.items()}


def _done(store: Store) -> Iterator[Mapping[str, Any]]:
    """Read outcomes of finished fits; a torn one is passed over."""
    for study in store.root.parent.glob("*/fits"):
        for path in islice(study.glob("*/outcome.json"), SAMPLE):
            try:
                fields = unsealed(path.read_text())
            except (OSError, ValueError):
                continue
            if fields.get("status") == "done":
                yield fields
