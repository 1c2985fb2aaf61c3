"""A whole study of bayesrun through its command line, in one process tree. Runs as a child process.

``warm``: a cluster is started, a small study warms its workers, and then the study that counts is run on them.
``restart``: the command once, in this fresh process; the time that Ray takes to start is measured apart.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.harness import WORK, Tree, cores, cpu_seconds, finish, job

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["command_line"]


def command_line(folder: Path, replicates: int, seed: int, *more: str) -> list[str]:
    """Arguments of the study that is measured: simulate, fit, log-likelihood, summary, LOO, ranks, NetCDF, MLflow."""
    return [
        "study=sbc",
        f"study.replicates={replicates}",
        f"study.seed={seed}",
        "study.name=schools",
        "model=hierarchical",
        "data=eight_schools",
        "sampler=numpyro",
        "sampler.target_accept=0.8",
        "track=mlflow",
        f"output.dir={folder}",
        *more,
    ]


def command(arguments: Iterable[str]) -> float:
    """Run the command in this process and return its wall-clock seconds.

    What the study concludes is not measured: with a target_accept of 0.8 many of its fits diverge, and it ends with 1.

    Raises
    ------
    RuntimeError
        If it refused to start.
    """
    from bayesrun.command.main import main as bayesrun

    sys.argv[1:] = arguments
    begin = time.perf_counter()
    try:
        bayesrun()
    except SystemExit as end:
        if end.code not in (0, 1):
            raise RuntimeError(f"bayesrun {' '.join(sys.argv[1:])} ended with {end.code}") from None
    return time.perf_counter() - begin


def outcomes(folder: Path) -> list[dict[str, Any]]:
    """Read what a study says of its fits, in the order in which they were done.

    Raises
    ------
    RuntimeError
        If a fit failed, or the study did not come to its end.
    """
    if not (folder / "schools" / "report.html").exists():
        raise RuntimeError(f"{folder}: the study has no report; see the log")
    found = []
    for path in (folder / "schools" / "fits").glob("*/outcome.json"):
        outcome = json.loads(path.read_text())
        if outcome["status"] != "done":
            raise RuntimeError(f"replicate {outcome['replicate']} failed: {outcome['message']}")
        found.append({**outcome, "written": path.stat().st_mtime, "path": path.with_name("posterior.nc")})
    return sorted(found, key=lambda outcome: float(outcome["written"]))


def refuse_other_data(found: list[dict[str, Any]]) -> None:
    """Refuse to compare fits to other datasets than those that the loops get.

    Raises
    ------
    ValueError
        If the observed values of a fit are not those of its replicate.
    """
    import numpy as np
    import xarray as xr
    from benchmarks.cases import CASES, truths

    drawn = truths(CASES["eight_schools"])
    for outcome in found:
        with xr.open_dataset(outcome["path"], group="observed_data") as observed:
            if not np.array_equal(observed["y_obs"].to_numpy(), drawn[outcome["replicate"]]):
                raise ValueError(f"replicate {outcome['replicate']}: the study drew another dataset than cases.py")


def smallest_ess(found: list[dict[str, Any]], fewer: int) -> list[float]:
    """Smallest bulk ESS of the free variables of the first replicates, by the function that measures the loops."""
    import xarray as xr
    from benchmarks import loops

    values = []
    for outcome in sorted(found, key=lambda outcome: int(outcome["replicate"]))[:fewer]:
        with xr.open_dataset(outcome["path"], group="posterior") as posterior:
            values.append(loops.smallest_ess(posterior[["mu", "tau", "theta_raw"]].load()))
    return values


def compiling(found: list[dict[str, Any]]) -> float:
    """Seconds of the stage ``sample`` that were not drawing."""
    import xarray as xr

    total = 0.0
    for outcome in found:
        with xr.open_dataset(outcome["path"]) as root:
            total += float(root.attrs.get("compile_seconds", 0.0))
    return total


def warm(given: dict[str, Any]) -> dict[str, Any]:
    """Measure studies on warm workers."""
    import ray

    folder = WORK / "studies"
    n_workers = len(cores())
    ray.init("local", num_cpus=n_workers, include_dashboard=False, log_to_driver=False)
    runs = []
    with Tree() as tree:
        command(command_line(folder / "warm-up", given["warm_up"], 1))
        for number in range(given["repeats"]):
            place, spent, began = folder / f"warm-{number}", tree.total_cpu(), time.time()
            wall = command(command_line(place, given["replicates"], given["seed"]))
            cpu, found = tree.total_cpu() - spent, outcomes(place)
            refuse_other_data(found)
            runs.append({"wall": wall, "cpu": cpu, "workers": n_workers, **_time_spent(found, began)})
        workers = {int(outcome["where"].rpartition(":")[2]) for outcome in found}
        peaks = [tree.peak_bytes[number] for number in workers]
    ray.shutdown()
    return {"runs": runs, "worker_peak_bytes": peaks, "ess": smallest_ess(found, given["compared"])}


def _time_spent(found: list[dict[str, Any]], began: float) -> dict[str, Any]:
    """Say where the time of the workers went: seconds by stage, and when they were busy."""
    stages: dict[str, float] = defaultdict(float)
    for outcome in found:
        for stage, seconds in outcome["seconds"].items():
            stages[stage] += seconds
    compiled = compiling(found)
    stages["compile"] += compiled
    stages["sample"] -= compiled
    study = found[0]["path"].parents[2]
    handed_out = min(path.stat().st_mtime for path in (study / "data").iterdir())
    return {
        "fits": len(found),
        "stages": stages,
        "until_dispatch": handed_out - began,
        "fitting": found[-1]["written"] - handed_out,
    }


def restart(given: dict[str, Any]) -> dict[str, Any]:
    """Run the command once; without Ray say what CPU the first outcome took, with Ray how long Ray took to start."""
    if not given["ray"]:
        return _serial_restart(given)
    import ray

    start, taken = ray.init, []

    def timed(*arguments: Any, **options: Any) -> Any:
        begin = time.perf_counter()
        context = start(*arguments, **options)
        taken.append(time.perf_counter() - begin)
        return context

    ray.init = timed
    return {"seconds": command(given["arguments"]), "ray_seconds": sum(taken)}


def _serial_restart(given: dict[str, Any]) -> dict[str, Any]:
    fits, spent = Path(given["folder"]) / "schools" / "fits", []

    def watch() -> None:
        while not any(fits.glob("*/outcome.json")):
            time.sleep(0.02)
        spent.append(cpu_seconds())

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    seconds = command(given["arguments"])
    thread.join()
    return {"seconds": seconds, "ray_seconds": 0.0, "first_cpu": spent[0]}


def main() -> None:
    """Do the job of a child process."""
    given, path = job()
    finish({"warm": warm, "restart": restart}[given["what"]](given), path)


if __name__ == "__main__":
    main()
