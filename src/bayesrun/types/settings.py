"""What the config says of a whole study, and what is the same for every cell of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Le, Len

from bayesrun.types.options import Share
from bayesrun.types.targets import Target

__all__ = ["DispatchOptions", "OutputOptions", "Settings", "StudyOptions", "TrackOptions"]


@dataclass(frozen=True)
class StudyOptions:
    """What one command asks for.

    Parameters
    ----------
    name
        Name and folder of the study; None: made from the choices of models and data.
    seed
        The one seed that every other seed is derived from.
    objective
        Diagnostic that a Hydra optimising sweeper gets back (elpd_loo, ess_per_second, ...).
    reference
        Sampler that the others are compared with; None: the most exact one of the sweep.
    kind
        ``fit`` (real data), ``sbc`` (is model and sampler calibrated?), ``recovery`` (bias, coverage, ...) or
        ``power`` (how often does a decision rule decide?). The last three simulate their data.
    replicates
        Simulated datasets for each cell; ``auto``: in rounds until `target_mcse` or `max_replicates` is reached.
    max_replicates
        Bound of ``auto``.
    target_mcse
        Measure to the Monte Carlo standard error wanted of it (``{coverage: 0.01}``).
    truth
        ``prior``, fixed values by variable, or ``{posterior: PATH}``; see `simulate`.
    generator
        Name of the model config that data are drawn from, or a mapping of ``name`` and parameters that differ from
        it; None: the model that is fitted.
    levels
        Interval probabilities that coverage is measured for.
    ranks
        Draws L that ranks are counted among.
    quantities, decisions
        See `DiagnosticsOptions`.
    nulls
        Variable to the value at which a decision for it is an error of type I.
    alpha
        Level of the tests of calibration, over the family of quantities.
    max_failed
        Largest share of failed or not converged fits in a cell.
    aims
        What the study is for, in a sentence of the report.
    """

    name: Annotated[str, Len(1, 100)] | None = None
    seed: Annotated[int, Ge(0)] = 42
    objective: str = "elpd_loo"
    reference: str | None = None
    kind: Literal["fit", "sbc", "recovery", "power"] = "fit"
    replicates: Literal["auto"] | Annotated[int, Ge(1)] = 1
    max_replicates: Annotated[int, Ge(1)] = 10_000
    target_mcse: Mapping[str, Annotated[float, Gt(0)]] | None = None
    truth: Any = "prior"
    generator: str | Mapping[str, Any] | None = None
    levels: tuple[Share, ...] = (0.5, 0.8, 0.89, 0.95)
    ranks: Annotated[int, Ge(1)] = 99
    quantities: Mapping[str, str] | None = None
    decisions: tuple[str, ...] = ()
    nulls: Mapping[str, float] | None = None
    alpha: Share = 0.05
    max_failed: Annotated[float, Ge(0), Le(1)] = 0.05
    aims: str = ""


@dataclass(frozen=True)
class DispatchOptions:
    """Where batches run.

    Parameters
    ----------
    kind
        ``ray`` (tasks on a local or an existing cluster) or ``serial`` (in this process).
    address
        Address of an existing Ray cluster; None: start a local one and stop it at the end.
    num_cpus
        Cores that a local cluster offers; None: those of the machine.
    retries
        How often a batch is handed out again after its worker was lost. A fit that failed by an exception or ran out
        of time is never retried.
    timeout
        Wall-clock seconds for one batch, from when its worker has loaded its libraries, beside the timeout of its
        sampler; None: no bound.
    runtime_env
        Ray runtime environment for an existing cluster.
    """

    kind: Literal["ray", "serial"] = "ray"
    address: str | None = None
    num_cpus: Annotated[int, Ge(1)] | None = None
    retries: Annotated[int, Ge(0)] = 1
    timeout: Annotated[float, Gt(0)] | None = None
    runtime_env: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class TrackOptions:
    """Where runs are logged: on or off, the MLflow address (None: SQLite beside the studies), experiment."""

    enabled: bool = True
    uri: str | None = None
    experiment: Annotated[str, Len(1, 250)] = "bayesrun"


@dataclass(frozen=True)
class OutputOptions:
    """Where studies are written to, and what of their fits is kept.

    Parameters
    ----------
    dir
        The folder; a relative one is relative to the working directory.
    keep
        ``all``, ``lean`` (the draws of the free variables and what is small: sample statistics, truth, data, LOO by
        observation), or what is kept beside these: a list of groups and Deterministics. None: all, of simulated fits
        too: what a study of them reports is in their summaries, but a replicate is opened to see why it went wrong, and
        its Deterministics and log-likelihood should be there without the model.
    precision
        Of stored log-likelihoods and predictive draws: ``float64`` or ``float32``.
    """

    dir: Annotated[str, Len(1)] = "studies"
    keep: str | tuple[str, ...] | None = None
    precision: Literal["float64", "float32"] = "float64"


@dataclass(frozen=True)
class Settings:
    """What must be the same for every cell of a study.

    Parameters
    ----------
    study, dispatch, track, output
        The sections of those names.
    generator
        The model that data are drawn from, where the study names one.
    dry_run
        Whether to print the plan and start nothing.
    verbose
        Whether to show tracebacks and the logs of the libraries.
    """

    study: StudyOptions = StudyOptions()
    dispatch: DispatchOptions = DispatchOptions()
    track: TrackOptions = TrackOptions()
    output: OutputOptions = OutputOptions()
    generator: Target | None = None
    dry_run: bool = False
    verbose: bool = False
