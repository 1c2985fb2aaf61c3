"""(e) Warm restart: the time from the start of a fresh process to its first outcome, programs compiled before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmarks.harness import CACHE, WORK, Figure, Job, Table, median, together
from benchmarks.study import command_line, outcomes

if TYPE_CHECKING:
    from benchmarks.harness import Size

__all__ = ["measure"]

REPLICATES = 32
"""As many as fill the lanes of two workers, so that the program is that of a large study."""
BAR_SECONDS = 10.0


def measure(size: Size) -> Table:
    """Measure a restart in this process, and through Ray without the seconds that Ray's own start takes."""
    if not (CACHE / "jax").exists():  # the studies of (a) have compiled the same programs
        _restart("prime", 0, ray=False)
    serial = [_restart("serial", number, ray=False) for number in range(size.restarts)]
    ray = [_restart("Ray", number, ray=True) for number in range(size.restarts if size.everything else 1)]
    table = Table("Warm restart of a study of eight schools, in a fresh process")
    for name, found in (("serial", serial), ("Ray, its start not counted", ray)):
        seconds = median(one["first"] - one["ray_seconds"] for one in found)
        table.figures.append(Figure(f"(e) first outcome, s: {name}", seconds, bar=BAR_SECONDS, of="at most"))
    table.figures.append(Figure("(e) CPU s until then, serial", median(one["first_cpu"] for one in serial)))
    table.figures.append(Figure("(e) start of Ray alone, s", median(one["ray_seconds"] for one in ray)))
    table.measured = {"serial": serial, "ray": ray}
    return table


def _restart(name: str, number: int, *, ray: bool) -> dict[str, Any]:
    folder = WORK / "restarts" / f"{name}-{number}"
    dispatch = ["dispatch=ray"] if ray else ["dispatch=serial"]
    arguments = command_line(folder, REPLICATES, 7, *dispatch)
    given = {"what": "restart", "arguments": arguments, "ray": ray, "folder": str(folder)}
    (found,) = together(f"e: warm restart, {name} {number + 1}", Job("study", given))
    first = outcomes(folder)[0]["written"]
    return {**found, "first": first - found["began"]}
