"""bayesrun's batched engine alone: draws for datasets in batches, in one process. Runs as a child process."""

from __future__ import annotations

import resource
import time
from typing import Any

from benchmarks.cases import CASES, TARGET_ACCEPT, Case, datasets
from benchmarks.harness import cpu_seconds, finish, job, median
from benchmarks.loops import smallest_ess

from bayesrun.samplers import numpyro
from bayesrun.types import Dataset, SamplerOptions

__all__: list[str] = []


def batch(case: Case, data: list[Dataset], size: int, *, measured: bool) -> dict[str, Any]:
    """Draw for datasets, as many of them together as `size` says.

    Returns
    -------
    dict
        ``cpu`` and ``seconds`` of a fit, trees included, the mean; ``cpu_median``, the median over fits of their own
        part of the time that lanes worked, and an equal part of the rest; ``useful``, the share of leapfrog steps that
        belonged to a trajectory; ``ess``, the smallest of each fit.
    """
    options = SamplerOptions(
        draws=case.draws, tune=case.tune, chains=case.chains, target_accept=TARGET_ACCEPT, batch_size=size
    )
    names = [str(rv.name) for rv in case.build(data[0]).free_RVs]
    useful, kept, own = 0.0, [], []
    wall, spent = time.perf_counter(), cpu_seconds()
    for first in range(0, len(data), size):
        together = data[first : first + size]
        seeds = range(first, first + len(together))
        for _, tree in numpyro.fits(case.build, together, seeds, options, like=case.base()):
            if isinstance(tree, Exception):
                raise tree
            share = float(tree.attrs["useful_steps"])
            own.append(float(tree.attrs["sampling_seconds"]))
            kept.append(tree["posterior"].to_dataset()[names])
        useful += share * len(together)
    cpu, seconds = cpu_seconds() - spent, time.perf_counter() - wall
    ess = [smallest_ess(posterior) for posterior in kept] if measured else []
    fits = len(data)
    middle = (median(own) + (seconds - sum(own)) / fits) * cpu / seconds
    found = {"fits": fits, "cpu": cpu / fits, "cpu_median": middle, "seconds": seconds / fits}
    return {**found, "useful": useful / fits, "ess": ess}


def main() -> None:
    """Do the job of a child process: every batch size once to compile, and once to measure."""
    given, path = job()
    case = CASES[given["case"]]
    found = []
    for size, count in given["batches"]:
        data = datasets(case, 0, count)
        first = batch(case, data, size, measured=False)
        second = batch(case, data, size, measured=True)
        cold = first["seconds"] * count
        found.append({"size": size, "first_pass_seconds": cold, **second})
    finish({"batches": found, "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}, path)


if __name__ == "__main__":
    main()
