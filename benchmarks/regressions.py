"""(b) Logistic regression and (c) houses in groups: CPU seconds a fit on one core, draws alone.

Both are measured at the same time, each process bound to a core of its own, and each method beside itself: what the
neighbour takes from the memory is the same for all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmarks.harness import Figure, Job, Table, core, median, together

if TYPE_CHECKING:
    from benchmarks.harness import Size

__all__ = ["measure"]

BARS = {"logistic": {"pymc": 3.0, "nutpie": 1.4}, "houses": {"pymc": 5.0, "nutpie": 1.5}}
TITLES = {"logistic": "(b) logistic regression", "houses": "(c) houses in groups"}
NAMES = {"pymc": "PyMC", "nutpie": "nutpie reused"}


def measure(size: Size) -> Table:
    """Measure bayesrun and the loops on the same datasets."""
    ours, pymc, nutpie = size.regressions
    cases = list(BARS)
    found: dict[str, Any] = {
        "bayesrun": _both("bayesrun", [Job("draws", _batch(c, ours), core(i)) for i, c in enumerate(cases)]),
        "pymc": _both("PyMC", [Job("loops", _loop(c, "pymc", pymc), core(i)) for i, c in enumerate(cases)]),
        "nutpie": _both("nutpie", [Job("loops", _loop(c, "nutpie", nutpie), core(i)) for i, c in enumerate(cases)]),
    }
    table = Table("Regressions: logistic N=1000, K=20, 4 x (500 + 500); 919 houses in 85 groups, 4 x (1000 + 1000)")
    for number, case in enumerate(cases):
        batch = found["bayesrun"][number]["batches"][0]
        ess = median(batch["ess"])
        for method, bar in BARS[case].items():
            loop = found[method][number]
            cpu, theirs = median(loop["cpu"]), median(loop["ess"])
            title, against = TITLES[case], NAMES[method]
            table.figures += [
                Figure(f"{title}, CPU s a fit", batch["cpu_median"], cpu, against, bar=bar),
                Figure(f"{title}, smallest bulk ESS", ess, theirs, against, "more"),
                Figure(f"{title}, ESS a CPU s", ess / batch["cpu_median"], theirs / cpu, against, "more"),
            ]
    table.measured = found
    return table


def _both(who: str, jobs: list[Job]) -> list[dict[str, Any]]:
    return together(f"b, c: {who}, one core each", *jobs)


def _batch(case: str, count: int) -> dict[str, Any]:
    return {"case": case, "batches": [[count, count]]}


def _loop(case: str, method: str, count: int) -> dict[str, Any]:
    given = {"case": case, "method": method, "first": 0, "count": count, "cores": 1}
    return {**given, "pipeline": False, "warm_up": 1}
