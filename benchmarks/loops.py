"""What a user would write instead of bayesrun: one fit after another in a plain loop. Runs as a child process.

Each method draws for the same datasets. In a pipeline every fit is followed by its log-likelihood, summary, LOO, NetCDF
file and MLflow metrics, written without waste: one run whose steps are the fits, one log_batch for each, no progress
bars, no convergence checks that the summary repeats.
"""

from __future__ import annotations

import logging
import resource
import time
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import pymc as pm
from benchmarks.cases import CASES, TARGET_ACCEPT, Case, datasets, held
from benchmarks.harness import WORK, cpu_seconds, finish, job

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import xarray as xr

    from bayesrun.types import Dataset

__all__: list[str] = []

type Drawn = tuple[xr.DataTree, pm.Model]


def pymc_loop(case: Case) -> Callable[[Dataset, int], Drawn]:
    """PyMC's own NUTS, chains one after another."""
    return _pm_sample(case, "pymc", cores=1)


def numpyro_loop(case: Case) -> Callable[[Dataset, int], Drawn]:
    """NumPyro through PyMC, which compiles every fit anew."""
    return _pm_sample(case, "numpyro")


def _pm_sample(case: Case, sampler: str, **options: Any) -> Callable[[Dataset, int], Drawn]:
    def fit(data: Dataset, seed: int) -> Drawn:
        model = case.model(data, np.asarray)
        tree = pm.sample(
            model=model,
            draws=case.draws,
            tune=case.tune,
            chains=case.chains,
            nuts_sampler=sampler,
            nuts={"target_accept": TARGET_ACCEPT},
            random_seed=seed,
            progressbar=False,
            quiet=True,
            compute_convergence_checks=False,
            **options,
        )
        return tree, model

    return fit


def nutpie_loop(case: Case, cores: int) -> Callable[[Dataset, int], Drawn]:
    """nutpie, whose compiled model is kept: only its data are exchanged."""
    import nutpie  # type: ignore[import-not-found]  # in the benchmarks' own environment only

    model = case.model(datasets(case, 0, 1)[0], held)
    compiled = nutpie.compile_pymc_model(model)

    def fit(data: Dataset, seed: int) -> Drawn:
        tree = nutpie.sample(
            compiled.with_data(y=data["y"]),
            draws=case.draws,
            tune=case.tune,
            chains=case.chains,
            cores=cores,
            seed=seed,
            target_accept=TARGET_ACCEPT,
            save_warmup=False,
            progress_bar=False,
        )
        pm.set_data({"y": data["y"]}, model=model)
        return tree, model

    return fit


class Finish:
    """What follows the draws in a pipeline, with the seconds of each stage."""

    def __init__(self, folder: Path) -> None:
        from mlflow import MlflowClient

        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.client = MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")
        experiment = self.client.create_experiment("loop", (folder / "artifacts").as_uri())
        self.run = self.client.create_run(experiment).info.run_id
        self.seconds: dict[str, float] = {}

    def __call__(self, number: int, drawn: Drawn) -> None:
        """Do it for one fit."""
        import arviz as az

        tree, model = drawn
        with self.timed("log-likelihood"):
            pm.compute_log_likelihood(tree, model=model, progressbar=False)
        with self.timed("summary"):
            summary = az.summary(tree)
        with self.timed("LOO"):
            loo = az.loo(tree)
        with self.timed("NetCDF"):
            tree.to_netcdf(self.folder / f"{number}.nc")
            summary.to_csv(self.folder / f"{number}.csv")
        with self.timed("MLflow"):
            self._log(number, {"elpd_loo": loo.elpd, "rhat_max": summary["r_hat"].max()})

    def _log(self, number: int, facts: dict[str, float]) -> None:
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        self.client.log_batch(self.run, [Metric(name, float(value), now, number) for name, value in facts.items()])

    def timed(self, stage: str) -> _Timed:
        """Add the time of a block to a stage."""
        return _Timed(self.seconds, stage)


class _Timed:
    def __init__(self, seconds: dict[str, float], stage: str) -> None:
        self.seconds, self.stage, self.begin = seconds, stage, 0.0

    def __enter__(self) -> None:
        self.begin = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self.seconds[self.stage] = self.seconds.get(self.stage, 0.0) + time.perf_counter() - self.begin


def smallest_ess(posterior: xr.Dataset) -> float:
    """Smallest bulk effective sample size among all scalars of a posterior."""
    import arviz as az

    found = az.ess(posterior)
    return min(float(values.min()) for values in found.data_vars.values())


def run(given: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Fit datasets one after another; the files of a pipeline go to `folder`.

    The first fits, which compile, are only timed. CPU seconds are those of this process and its children.
    """
    begin = time.perf_counter()
    case, method = CASES[given["case"]], given["method"]
    fit = (
        nutpie_loop(case, given["cores"])
        if method == "nutpie"
        else {"pymc": pymc_loop, "numpyro": numpyro_loop}[method](case)
    )
    end = Finish(folder) if given["pipeline"] else None
    names = [str(rv.name) for rv in case.model(datasets(case, 0, 1)[0], np.asarray).free_RVs]
    cold, seconds, cpu, ess, drawing = 0.0, [], [], [], []
    warm_up = given["warm_up"]
    data = datasets(case, given["first"], given["count"])
    for number, dataset in enumerate([*data[:1] * warm_up, *data]):
        wall, spent = time.perf_counter(), cpu_seconds()
        drawn = fit(dataset, number)
        drawing_seconds = time.perf_counter() - wall
        if end is not None:
            end(number, drawn)
        if number == 0:
            cold = time.perf_counter() - begin
        if number < warm_up:
            if end is not None:
                end.seconds.clear()
            continue
        seconds.append(time.perf_counter() - wall)
        cpu.append(cpu_seconds() - spent)
        drawing.append(drawing_seconds)
        ess.append(smallest_ess(drawn[0]["posterior"].to_dataset()[names]))
    return {
        "first_fit_seconds": cold,
        "seconds": seconds,
        "drawing_seconds": drawing,
        "cpu": cpu,
        "ess": ess,
        "stages": {"drawing": sum(drawing), **(end.seconds if end is not None else {})},
        "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }


def main() -> None:
    """Do the job of a child process."""
    given, path = job()
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    finish(run(given, WORK / "loops" / path.stem), path)


if __name__ == "__main__":
    main()
