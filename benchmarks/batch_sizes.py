"""(f) What a fit costs by the number of datasets that are drawn for together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.harness import Job, Table, core, median, number, together

if TYPE_CHECKING:
    from benchmarks.harness import Size

__all__ = ["measure"]


def measure(size: Size) -> Table:
    """Measure draws alone on one core."""
    (found,) = together(
        "f: datasets in a batch", Job("draws", {"case": "eight_schools", "batches": size.batches}, core(0))
    )
    table = Table("(f) Eight schools, draws only, by datasets in a batch")
    table.head = (
        "datasets in a batch",
        "fits measured",
        "CPU s a fit, mean",
        "median",
        "useful leapfrog steps, %",
        "smallest bulk ESS",
    )
    table.rows = [
        [
            str(one["size"]),
            str(one["fits"]),
            number(one["cpu"]),
            number(one["cpu_median"]),
            number(100.0 * one["useful"]),
            number(median(one["ess"])),
        ]
        for one in found["batches"]
    ]
    table.measured = {"batches": found}
    return table
