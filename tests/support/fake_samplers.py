"""A sampler that draws from the prior in no time, and fails on purpose in every way that a fit can fail."""

import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import pymc as pm
import xarray as xr

from bayesrun.samplers import groups
from bayesrun.types import Dataset, SamplerOptions

VERSION = 1
KIND = "nuts"
DISCRETE = False


def calls(log: Path) -> list[str]:
    """What the sampler was called with, one line for each call: target_accept and seed."""
    return log.read_text().splitlines() if log.exists() else []


def sample(
    build: Callable[[Dataset], pm.Model], datasets: Iterable[Dataset], seeds: Iterable[int], options: SamplerOptions
) -> Iterator[xr.DataTree]:
    """Draw from the prior; `options.extra` has what else happens.

    ``log``: file that gets a line for each call. ``diverge``: how many calls diverge. Each of ``raise``
    (text), ``memory``, ``leave``, ``exit``, ``kill``, ``hang`` (seconds) and ``nothing`` happens in the first
    ``times`` calls, or in all; ``late`` raises in every call but the first.
    """
    for dataset, seed in zip(datasets, seeds, strict=True):
        log = Path(options.extra.get("log", os.devnull))
        before = len(calls(log)) if log.is_file() else 0
        with log.open("a") as file:
            file.write(f"{options.target_accept:g} {seed}\n")
        if before and "late" in options.extra:
            raise ValueError("late")
        if before < options.extra.get("times", 1000):
            _misbehave(options)
            if "nothing" in options.extra:
                return
        yield _tree(build(dataset), seed, options, before < options.extra.get("diverge", 0))


def _misbehave(options: SamplerOptions) -> None:
    extra = options.extra
    if "raise" in extra:
        raise ValueError(extra["raise"])
    if "memory" in extra:
        raise MemoryError("no room")
    if "leave" in extra:
        raise SystemExit("gone")
    if "exit" in extra:
        os._exit(3)
    if "kill" in extra:
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(extra.get("hang", 0.0))


def _tree(model: pm.Model, seed: int, options: SamplerOptions, diverges: bool) -> xr.DataTree:
    shape = (options.chains, options.draws)
    names = groups.posterior_names(model)
    flat = pm.draw([model[name] for name in names], draws=shape[0] * shape[1], random_seed=seed)
    posterior = {name: values.reshape(*shape, *values.shape[1:]) for name, values in zip(names, flat, strict=True)}
    rng = np.random.default_rng(seed)
    stats = {
        "lp": rng.standard_normal(shape),
        "energy": rng.standard_normal(shape),
        "diverging": np.full(shape, diverges),
        "n_steps": np.full(shape, 3),
    }
    return groups.tree(model, posterior, stats, {"sampler": "fake", "sampling_seconds": 0.01})
