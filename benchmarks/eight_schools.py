"""(a) The whole pipeline on eight schools, and what goes with it: draws alone, (d) overhead, memory, ESS."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Any

from benchmarks.cases import STUDY_SEED
from benchmarks.harness import CACHE, WORK, Figure, Job, Table, core, cores, median, number, together
from benchmarks.study import command_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.harness import Size

__all__ = ["measure"]

type Found = list[dict[str, Any]]


def measure(size: Size) -> Table:
    """Measure bayesrun's study and the loops on the same datasets."""
    cold = _cold(size) if size.everything else None
    (ours,) = together("a: bayesrun, whole pipeline", Job("study", _study(size)))
    loops = dict(_loops(size))
    draws, nutpie_draws = together(
        "a: draws only, bayesrun beside nutpie",
        Job("draws", {"case": "eight_schools", "batches": [[size.drawn, size.drawn]]}, core(0)),
        Job("loops", _loop("nutpie", 0, size.drawn, size.warm_up_fits, pipeline=False), core(1)),
    )
    table = Table("Eight schools, 4 x (1000 + 1000)")
    table.figures += _draws_only(draws["batches"][0], nutpie_draws)
    table.figures += _pipeline(ours, loops)
    table.figures += _quality(ours, loops)
    if cold is not None:
        table.figures.append(_whole_cold(cold, loops, size.replicates))
    table.head, table.rows = ("where the time goes", "", "s a fit"), list(_stages(ours, loops))
    table.measured = {"study": ours, "loops": loops, "draws": draws, "nutpie_draws": nutpie_draws, "cold": cold}
    return table


def _study(size: Size) -> dict[str, Any]:
    return {
        "what": "warm",
        "seed": STUDY_SEED,
        "replicates": size.replicates,
        "warm_up": size.warm_up,
        "repeats": size.repeats,
        "compared": size.pymc + 2 * size.pymc_shared,
    }


def _cold(size: Size) -> dict[str, Any]:
    """Run the command as a user does for the first time: nothing compiled, Ray to be started."""
    if (CACHE / "jax").exists():
        raise RuntimeError(f"{CACHE} holds compiled programs; a run begins without")
    arguments = command_line(WORK / "studies" / "cold", size.replicates, STUDY_SEED)
    (found,) = together(
        "a: bayesrun, first command ever", Job("study", {"what": "restart", "arguments": arguments, "ray": True})
    )
    return found


def _loop(
    method: str, first: int, count: int, warm_up: int, *, pipeline: bool = True, n_cores: int = 1
) -> dict[str, Any]:
    return {
        "case": "eight_schools",
        "method": method,
        "first": first,
        "count": count,
        "pipeline": pipeline,
        "cores": n_cores,
        "warm_up": warm_up,
    }


def _loops(size: Size) -> Iterator[tuple[str, Found]]:
    """Run the loops, each alone on the machine."""
    rest, before = size.pymc, size.warm_up_fits
    yield (
        "PyMC, one core",
        together("a: loop of pm.sample, one core", Job("loops", _loop("pymc", 0, size.pymc, before), core(0))),
    )
    shared = [
        Job("loops", _loop("pymc", rest + number * size.pymc_shared, size.pymc_shared, before), core(number))
        for number in range(2)
    ]
    yield "PyMC, two processes", together("a: loop of pm.sample, two processes", *shared)
    yield (
        "NumPyro, both cores",
        together("a: loop of NumPyro, both cores", Job("loops", _loop("numpyro", 0, size.numpyro, before))),
    )
    yield (
        "nutpie, both cores",
        together(
            "a: loop of nutpie, both cores", Job("loops", _loop("nutpie", 0, size.nutpie, before, n_cores=len(cores())))
        ),
    )
    if not size.everything:
        return
    yield (
        "nutpie, one core",
        together("a: loop of nutpie, one core", Job("loops", _loop("nutpie", 0, size.nutpie, before), core(0))),
    )
    half = size.nutpie // 2
    halves = [Job("loops", _loop("nutpie", number * half, half, before), core(number)) for number in range(2)]
    yield "nutpie, two processes", together("a: loop of nutpie, two processes", *halves)


def _rate(found: Found) -> float:
    """Fits per second of loops that run side by side."""
    return sum(1.0 / median(one["seconds"]) for one in found)


def _our_rate(ours: dict[str, Any]) -> float:
    return median(run["fits"] / run["wall"] for run in ours["runs"])


def _cpu(found: Found) -> float:
    return median(value for one in found for value in one["cpu"])


def _draws_only(ours: dict[str, Any], nutpie: dict[str, Any]) -> list[Figure]:
    against = "nutpie reused"
    ess, theirs = median(ours["ess"]), median(nutpie["ess"])
    mean = statistics.fmean(nutpie["cpu"])
    return [
        Figure("(a) draws only, CPU s a fit, median", ours["cpu_median"], median(nutpie["cpu"]), against, bar=3.0),
        Figure("(a) draws only, CPU s a fit, mean", ours["cpu"], mean, against),
        Figure("(a) draws only, smallest bulk ESS", ess, theirs, against, "more"),
        Figure("(a) draws only, ESS a CPU s (mean)", ess / ours["cpu"], theirs / mean, against, "more"),
    ]


def _pipeline(ours: dict[str, Any], loops: dict[str, Found]) -> list[Figure]:
    bars = {"PyMC, one core": 30.0, "PyMC, two processes": 18.0, "nutpie, both cores": 4.0}
    rate = _our_rate(ours)
    figures = [
        Figure("(a) whole pipeline, fits a second", rate, _rate(found), name, "more", bars.get(name))
        for name, found in loops.items()
    ]
    cpu = median(run["cpu"] / run["fits"] for run in ours["runs"])
    figures += [
        Figure("(a) whole pipeline, CPU s a fit", cpu, _cpu(loops[name]), name)
        for name in ("PyMC, one core", "nutpie, both cores")
    ]
    return figures


def _quality(ours: dict[str, Any], loops: dict[str, Found]) -> list[Figure]:
    pymc = loops["PyMC, one core"] + loops["PyMC, two processes"]
    by_dataset = [value for one in pymc for value in one["ess"]]
    theirs, ess, rate = median(by_dataset), median(ours["ess"]), _our_rate(ours)
    paired = median(mine / other for mine, other in zip(ours["ess"], by_dataset, strict=True))
    against = "PyMC, same datasets"
    shared = loops["PyMC, two processes"]
    peak = max(one["peak_bytes"] for one in loops["PyMC, one core"])
    drawing = [_not_drawing(run, run["wall"]) for run in ours["runs"]]
    fitting = [_not_drawing(run, run["fitting"]) for run in ours["runs"]]
    return [
        Figure("(a) smallest bulk ESS, median over fits", ess, theirs, against, "more", 0.9),
        Figure(
            "(a) smallest bulk ESS, as a multiple of the loop's, median over datasets", paired, 1.0, against, "more"
        ),
        Figure("(a) ESS a second", ess * rate, theirs * _rate(shared), "PyMC, two processes", "more"),
        Figure("(d) share of the study's time that is not drawing, %", median(drawing), bar=35.0, of="at most"),
        Figure("(d) the same while fits are under way, %", median(fitting)),
        Figure(
            "(a) peak memory of a worker, GB",
            max(ours["worker_peak_bytes"]) / 1e9,
            peak / 1e9,
            "PyMC, one core",
            bar=1.5,
            of="at most",
        ),
    ]


def _not_drawing(run: dict[str, Any], seconds: float) -> float:
    """Percent of the workers' time that was not drawing: 1 - drawing / (workers x seconds)."""
    share: float = run["stages"]["sample"] / (run["workers"] * seconds)
    return 100.0 * (1.0 - share)


def _whole_cold(cold: dict[str, Any], loops: dict[str, Found], replicates: int) -> Figure:
    """Compare the first command ever with two processes that start with nothing, by what their fits take."""
    shared = loops["PyMC, two processes"]
    each = replicates / len(shared)
    theirs = statistics.fmean(one["first_fit_seconds"] + (each - 1.0) * median(one["seconds"]) for one in shared)
    name = f"(a) {replicates} fits from nothing, s"
    return Figure(name, cold["seconds"], theirs, "PyMC, two processes (extrapolated)")


def _stages(ours: dict[str, Any], loops: dict[str, Found]) -> Iterator[list[str]]:
    """Yield seconds by stage for one fit: those of a worker, and those of the whole study."""
    last = ours["runs"][-1]
    fits = last["fits"]
    for stage, seconds in last["stages"].items():
        yield ["bayesrun's workers", "drawing" if stage == "sample" else stage, number(seconds / fits)]
    outside = last["workers"] * last["fitting"] - sum(last["stages"].values())
    yield ["bayesrun's workers", "between the stages: simulate, trees, NetCDF", number(outside / fits)]
    yield ["bayesrun's driver", "before fits are handed out", number(last["until_dispatch"] / fits)]
    after = last["wall"] - last["until_dispatch"] - last["fitting"]
    yield ["bayesrun's driver", "after the last fit: tables, verdicts, report", number(after / fits)]
    for name in ("PyMC, one core", "nutpie, both cores"):
        (found,) = loops[name]
        for stage, seconds in found["stages"].items():
            yield [name, stage, number(seconds / len(found["seconds"]))]
