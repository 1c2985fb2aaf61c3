"""The frozen values that pass between stages, and the protocols that stages rely on.

It computes nothing beyond canonical forms and digests of these values, and imports no heavy package.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Literal, Protocol

from annotated_types import Ge, Gt, Le, Len, Lt

from bayesrun.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    import pymc as pm
    import xarray as xr

__all__ = [
    "SCHEMA_VERSION",
    "Batch",
    "Builder",
    "Cell",
    "CheckedCell",
    "Dataset",
    "DiagnosticsOptions",
    "DispatchOptions",
    "FitSpec",
    "Gate",
    "Origin",
    "Original",
    "Outcome",
    "OutputOptions",
    "Plan",
    "Resources",
    "Role",
    "SampleFunction",
    "SamplerOptions",
    "Settings",
    "Simulation",
    "Steps",
    "StudyOptions",
    "Target",
    "TrackOptions",
    "Verdict",
    "canonical_json",
    "digest",
]

Share = Annotated[float, Gt(0), Lt(1)]

SCHEMA_VERSION = 1
"""Version of what is stored and hashed; raised when a key or a stored field changes its meaning."""


def canonical_json(value: Any) -> str:
    """Serialise plain values to JSON text that is the same in every process.

    Parameters
    ----------
    value
        Nested mappings, sequences, strings, numbers, booleans and None, or dataclasses of them.

    Returns
    -------
    str
        JSON with sorted keys and no spaces. Integers and equal floats differ (``36`` and ``36.0``).
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), default=_plain)


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} has no canonical JSON form")


def digest(value: Any, length: int = 16) -> str:
    """Hash plain values: the first `length` hexadecimal digits of SHA-256 of their canonical JSON."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()[:length]


@dataclass(frozen=True)
class Role:
    """What a model asks of one named array of its dataset.

    Parameters
    ----------
    kind
        ``real`` (any finite number), ``positive`` (> 0), ``count`` (0, 1, 2, ...), ``binary`` (0 or 1),
        ``category`` (labels, coded 0..K-1, at least two levels) or ``predictors`` (a matrix with dims
        (obs, predictor), no constant column).
    doc
        One line for people: what the array means.
    optional
        Whether the model can do without it.
    unit
        The array whose unit it has (standard errors: that of the estimates): the config may scale neither alone.
    series
        Whether its rows are a series, equally spaced in time: they are sorted by their index, and gaps are refused.
    """

    kind: Literal["real", "positive", "count", "binary", "category", "predictors"]
    doc: str
    optional: bool = False
    unit: str | None = None
    series: bool = False


@dataclass(frozen=True, eq=False)
class Origin:
    """How the arrays of a dataset came about. None of it is part of the digest.

    Parameters
    ----------
    notes
        What people should know: which label is the event, how many rows were left out and why.
    changed
        Array to what was done to its numbers (``log, standardize``).
    absent
        Array to the words that were taken as missing, counted (``2 'NA', 1 blank``).
    written
        Array of numbers to its cells as the file writes them, dims (obs,), None where they are missing. Only until
        the form of the dataset is known: the store does not keep it.
    gaps
        Rows that were left out: all of them by the labels of the index, or those between others by their number.
    twins
        Column name to the headers of the file that all come down to it.
    """

    notes: tuple[str, ...] = ()
    changed: Mapping[str, str] = field(default_factory=dict)
    absent: Mapping[str, str] = field(default_factory=dict)
    written: Mapping[str, np.ndarray] = field(default_factory=dict)
    gaps: tuple[str, ...] = ()
    twins: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Dataset(Mapping[str, "np.ndarray"]):
    """Named arrays with their dims and coords: what a model is conditioned on.

    Parameters
    ----------
    arrays
        Name to array. The first dim of every array is ``obs`` unless `dims` says otherwise.
    dims
        Name to the dim names of that array, one for each axis.
    coords
        Dim name to labels. A category array ``g`` holds codes, and ``coords["g"]`` its labels.
    name
        A short name for people and folder names.
    citation
        Where the numbers come from.
    ordered
        Category arrays whose order of labels was stated, by the user or by the file. The last of two is the event.
    origin
        How the arrays came about.
    """

    arrays: Mapping[str, np.ndarray]
    dims: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    coords: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    name: str = "data"
    citation: str = ""
    ordered: tuple[str, ...] = ()
    origin: Origin = Origin()

    def __getitem__(self, key: str) -> np.ndarray:
        """Return the array called `key`, or say which arrays there are."""
        try:
            return self.arrays[key]
        except KeyError:
            raise DataError(
                f"data has no array {key!r}; it has {', '.join(sorted(self.arrays)) or 'none'}. "
                f"Map a column to it: data.columns={{{key}: COLUMN}}"
            ) from None

    def __contains__(self, key: object) -> bool:
        """Whether there is an array called `key`."""
        return key in self.arrays

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names of the arrays."""
        return iter(self.arrays)

    def __len__(self) -> int:
        """Count the arrays."""
        return len(self.arrays)

    def labels(self, name: str) -> tuple[Any, ...] | None:
        """Return the labels of an array of codes; None for any other, also for one that is called like a dim."""
        array = self.arrays[name]
        if name not in self.coords or array.dtype.kind not in "iu" or name in self.dim_names():
            return None
        return tuple(self.coords[name])

    def dim_names(self) -> set[str]:
        """Return the names of all dims, ``obs`` included."""
        return {"obs"} | {dim for along in self.dims.values() for dim in along}

    def noted(self, *notes: str) -> Dataset:
        """Return the same dataset with further notes."""
        fresh = tuple(note for note in notes if note not in self.origin.notes)
        if not fresh:
            return self
        origin = dataclasses.replace(self.origin, notes=(*self.origin.notes, *fresh))
        return dataclasses.replace(self, origin=origin)

    def digest(self) -> str:
        """Hash the content: names, dtypes, shapes, bytes, dims, coords, stated orders; not `name` or `citation`."""
        sha = hashlib.sha256()
        for name in sorted(self.arrays):
            array = self.arrays[name]
            text = array.dtype.kind in "OUST"
            body = canonical_json([str(v) for v in array.ravel()]).encode() if text else array.tobytes("C")
            head = [name, "str" if text else array.dtype.str, list(array.shape), list(self.dims.get(name, ()))]
            sha.update(canonical_json(head).encode() + b"\0" + body)
        sha.update(canonical_json({k: [str(v) for v in self.coords[k]] for k in self.coords}).encode())
        if self.ordered:
            sha.update(canonical_json(sorted(self.ordered)).encode())
        return sha.hexdigest()[:16]


@dataclass(frozen=True)
class Target:
    """An importable function and the keyword arguments that the config gives it.

    Parameters
    ----------
    name
        The name of the config that chose it (``hierarchical``, ``nuts``, ``eight_schools``).
    path
        Its import path, ``package.module.function``.
    params
        Keyword arguments, plain values only.
    """

    name: str
    path: str
    params: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Resources:
    """What one batch may use of a node: cores, GPUs, memory in GiB (None: no claim)."""

    num_cpus: Annotated[float, Gt(0)] = 1.0
    num_gpus: Annotated[float, Ge(0)] = 0.0
    memory_gb: Annotated[float, Gt(0)] | None = None


@dataclass(frozen=True)
class SamplerOptions:
    """The options that every sampler takes, so that one command line can sweep over samplers.

    Parameters
    ----------
    draws
        Kept draws per chain. Variational samplers return draws x chains independent draws as one chain;
        smc uses draws particles per chain.
    tune
        Warm-up steps per chain, not kept. No meaning for variational samplers and smc.
    chains
        Independent chains. For smc independent runs.
    target_accept
        Acceptance rate that the NUTS step size is adapted to: 0.95 costs about a quarter more leapfrog steps
        than 0.8, and leaves posteriors of hierarchies without most of the divergences. No meaning for other
        samplers.
    max_treedepth
        Largest NUTS tree, 2**max_treedepth - 1 leapfrog steps. No meaning for other samplers.
    iterations
        Optimisation steps of variational samplers. No meaning for others.
    learning_rate
        Step size of the variational optimiser. No meaning for other samplers.
    escalate
        Larger values of target_accept to try, one after another, while a fit diverges. NUTS only.
    engine
        What numpyro draws with: ``lanes`` (many datasets at once, each chain at its own pace) or ``numpyro``
        (NumPyro's own kernel through PyMC, one dataset at a time). advi_jax refuses the latter; no meaning for
        other samplers.
    precision
        Of the log density in numpyro's lanes: ``float64``, or ``float32``, which is faster where the likelihood
        is the cost, and rounds. advi_jax refuses the latter; no meaning for other samplers.
    batch_size
        Datasets that one worker call fits together; ``auto`` decides by the sampler, the number of fits and
        what earlier fits took. It changes no draw.
    extra
        Options of one sampler only, passed on as they are.
    """

    draws: Annotated[int, Ge(1)] = 1000
    tune: Annotated[int, Ge(0)] = 1000
    chains: Annotated[int, Ge(1)] = 4
    target_accept: Share = 0.95
    max_treedepth: Annotated[int, Ge(1), Le(20)] = 10
    iterations: Annotated[int, Ge(1)] = 30_000
    learning_rate: Annotated[float, Gt(0)] = 0.01
    escalate: tuple[Share, ...] = ()
    engine: Literal["lanes", "numpyro"] = "lanes"
    precision: Literal["float64", "float32"] = "float64"
    batch_size: Literal["auto"] | Annotated[int, Ge(1)] = "auto"
    extra: Mapping[str, Any] = field(default_factory=dict)


ALL_OPTIONS = tuple(option.name for option in dataclasses.fields(SamplerOptions) if option.name != "batch_size")
"""What counts for a sampler that does not say which options it reads."""


@dataclass(frozen=True)
class Steps:
    """Which steps of the workflow a fit does beside drawing; none of them changes a draw.

    Parameters
    ----------
    prior_predictive, posterior_predictive
        Whether to simulate observations from the prior and from the posterior.
    log_likelihood
        Whether to compute the pointwise log-likelihood, which LOO and comparisons need.
    prior_draws
        Draws from the prior, when prior_predictive is on.
    figures
        Whether to draw the figures of each fit.
    """

    prior_predictive: bool = True
    posterior_predictive: bool = True
    log_likelihood: bool = True
    prior_draws: Annotated[int, Ge(1)] = 500
    figures: bool = True


@dataclass(frozen=True)
class DiagnosticsOptions:
    """How a posterior is summarised; none of it changes a draw.

    Parameters
    ----------
    ci_prob, ci_kind
        Probability and kind of the interval.
    waic
        Whether WAIC is wanted too.
    loo_var
        Which observed variable LOO is for; None: the only one.
    levels
        Probabilities of further intervals, columns ``lower_0.5``, ``upper_0.5``, ...
    ranks
        Draws L that the rank of the truth is counted among; 0: no ranks. Simulated data only.
    quantities
        Name to importable function ``(draws, data)`` of a further scalar, or of several (see `scores`).
    decisions
        Rules such as ``P(beta > 0 | y) > 0.95`` that are decided for every fit.
    """

    ci_prob: Share = 0.89
    ci_kind: Literal["eti", "hdi"] = "eti"
    waic: bool = False
    loo_var: str | None = None
    levels: tuple[Share, ...] = ()
    ranks: Annotated[int, Ge(0)] = 0
    quantities: Mapping[str, str] | None = None
    decisions: tuple[str, ...] = ()


@dataclass(frozen=True)
class Gate:
    """Thresholds fixed before sampling; None switches one off.

    Defaults: R-hat and ESS after Vehtari et al. (2021, doi:10.1214/20-BA1221), 100 effective draws per
    chain; E-BFMI after Betancourt (2016, arXiv:1604.00695); k-hat of a variational approximation after
    Yao et al. (2018, arXiv:1802.02538).

    Parameters
    ----------
    fail
        Whether a verdict that does not pass makes the command exit with 1.
    rhat_max, ess_bulk_per_chain, ess_tail_per_chain, n_divergent, bfmi_min, n_max_treedepth
        Bounds on the diagnostics of those names; ess is counted per chain; n_max_treedepth is a share of
        the draws.
    divergent_share
        Largest share of draws that diverge. For simulated data, whose truths are as extreme as the prior lets them
        be, a single divergence is no failure.
    pareto_k_share
        Largest share of observations whose Pareto k is above its bound.
    khat
        Largest PSIS k-hat of a variational approximation.
    """

    fail: bool = False
    rhat_max: Annotated[float, Ge(1)] | None = 1.01
    ess_bulk_per_chain: Annotated[float, Ge(0)] | None = 100.0
    ess_tail_per_chain: Annotated[float, Ge(0)] | None = 100.0
    n_divergent: Annotated[int, Ge(0)] | None = 0
    divergent_share: Annotated[float, Ge(0), Le(1)] | None = None
    bfmi_min: Annotated[float, Ge(0)] | None = 0.3
    n_max_treedepth: Annotated[float, Ge(0), Le(1)] | None = 0.05
    pareto_k_share: Annotated[float, Ge(0), Le(1)] | None = None
    khat: float | None = 0.7


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
    """The folder that studies are written to; relative ones are relative to the working directory."""

    dir: Annotated[str, Len(1)] = "studies"


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


@dataclass(frozen=True)
class Cell:
    """One row of the design as the config states it: model x data x sampler x parameter values.

    Parameters
    ----------
    label
        Short name, unique in its study.
    model, data, sampler
        The targets.
    options
        What the sampler is told.
    resources
        What one batch of it may use.
    timeout
        Wall-clock seconds that one fit may take; None: no bound.
    steps, diagnostics, gate
        Workflow, summaries and thresholds.
    overrides
        The values by which this cell differs from its neighbours, by config path.
    config
        The resolved configuration as YAML, kept beside the fit.
    """

    label: str
    model: Target
    data: Target
    sampler: Target
    options: SamplerOptions
    resources: Resources = Resources()
    timeout: float | None = None
    steps: Steps = Steps()
    diagnostics: DiagnosticsOptions = DiagnosticsOptions()
    gate: Gate = Gate()
    overrides: Mapping[str, Any] = field(default_factory=dict)
    config: str = ""


@dataclass(frozen=True)
class Observed:
    """What the terms of a log-likelihood are about, as far as LOO compares them between cells; digests, or empty.

    Parameters
    ----------
    values
        Of the observed values, in the order of the model.
    source, numbers
        Of the table, and of the numbers that the rows have in it.
    labels
        Of the labels of the rows.
    members
        Of the rows, whatever their order.
    measure, kinds
        What the terms are, for people, and the digest of what each of them is.
    given
        Of what else the likelihood is given that is no parameter: other observed values, and data that a log density
        of the user's own works on.
    reason
        Why LOO of this cell is comparable with that of no other; empty if it can be.
    """

    values: str = ""
    source: str = ""
    numbers: str = ""
    labels: str = ""
    members: str = ""
    measure: str = ""
    kinds: str = ""
    given: str = ""
    reason: str = ""


@dataclass(frozen=True)
class CheckedCell:
    """A cell whose data were loaded and whose model was built: it can be planned.

    Parameters
    ----------
    cell
        The row.
    data_hash
        Digest of the dataset, which the store holds under that name.
    fingerprint
        Digest of what the model means: its sources and its graph.
    sampler_version
        The version constant of a shipped sampler; for a user's own also the digest of its sources.
    sampler_options
        Names of the options that change this sampler's draws; the others have no part in its key and seed.
    observed
        What the terms of its likelihood are about, by which comparable cells are found.
    kind
        What the sampler is: nuts, mcmc, smc or variational.
    centred
        Free vector variables that are centred on other free variables, and on which.
    warnings
        What the user should know before the start.
    notes
        How the data were read: events, missing words, rows left out.
    quantity_sources
        Digest of the source of each quantity, by its name.
    batched
        Whether the sampler fits many datasets at once.
    simulation
        What its datasets are drawn from; None: they are real.
    replicates
        How many there are.
    """

    cell: Cell
    data_hash: str
    fingerprint: str
    sampler_version: int | str
    kind: str
    observed: Observed = Observed()
    centred: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    sampler_options: tuple[str, ...] = ALL_OPTIONS
    batched: bool = False
    simulation: Simulation | None = None
    replicates: int = 1
    notes: tuple[str, ...] = ()
    quantity_sources: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Original:
    """The earlier fit whose posterior truth is drawn from.

    Parameters
    ----------
    path
        Its posterior.nc.
    key
        Its key, where it is a fit of bayesrun.
    sampler
        Name of its sampler; empty where that is not known.
    kind
        What the sampler is, by its statistics where nothing else tells.
    facts
        Its diagnostics (rhat_max, ess_bulk_min, khat, n_draws, ...).
    failures, remedies
        What its gate, or else the usual one, says of them; no failure is a pass.
    unknown
        What could not be compared with the generating model, in a sentence; empty where nothing is left open.
    """

    path: str
    key: str = ""
    sampler: str = ""
    kind: str = "mcmc"
    facts: Mapping[str, float] = field(default_factory=dict)
    failures: tuple[str, ...] = ()
    remedies: tuple[str, ...] = ()
    unknown: str = ""

    @property
    def effective(self) -> int:
        """How many independent draws its draws are worth: of independent ones all."""
        draws = self.facts.get("n_draws", 0.0)
        return round(draws if self.kind in ("smc", "variational") else self.facts.get("ess_bulk_min", draws))


@dataclass(frozen=True)
class Simulation:
    """Where simulated datasets come from: it is part of the key of every fit to one of them.

    Parameters
    ----------
    generator
        The model that the data are drawn from.
    fingerprint
        What that model meant when the plan was made.
    truth
        ``prior``, a mapping of fixed values by variable, or ``{"posterior": PATH}``.
    identity
        What the truth is, in plain values: kind (prior, fixed or posterior) and content, and ``joint`` where fits are
        to the observed and the simulated data together. The path of a posterior is not part of it.
    base_hash
        Digest of the dataset whose covariates are kept; the store holds it.
    design
        For covariates that are drawn anew for every replicate, the data target that draws them; None: kept.
    original
        For truth from a posterior, what is known of that fit. It is not part of the key.
    """

    generator: Target
    fingerprint: str
    truth: Any = "prior"
    identity: Mapping[str, Any] = field(default_factory=lambda: {"kind": "prior"})
    base_hash: str = ""
    design: Target | None = None
    original: Original | None = None

    @property
    def joint(self) -> bool:
        """Whether fits are to the observed and the simulated data together."""
        return bool(self.identity.get("joint"))

    @property
    def ranked(self) -> bool:
        """Whether ranks of the truth say anything: it is drawn from what the fit conditions on beside the data."""
        return self.joint or self.identity["kind"] == "prior"


@dataclass(frozen=True)
class FitSpec:
    """The recipe of one fit. `key` is the content hash of everything that changes its draws.

    `fingerprint` is what the model meant when the plan was made; a worker that finds another meaning refuses.
    For simulated data, `simulation` says what they are drawn from and `data_seed` which they are. `quantity_sources`
    are those of `CheckedCell`; they change no draw.
    """

    key: str
    cell: str
    replicate: int
    fit_seed: int
    data_hash: str
    observed_hash: str
    model: Target
    sampler: Target
    options: SamplerOptions
    steps: Steps
    diagnostics: DiagnosticsOptions
    divergence_limit: int | None = 0
    fingerprint: str = ""
    simulation: Simulation | None = None
    data_seed: int = 0
    quantity_sources: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Try:
    """One time that a fit was started and did not come to its end.

    Parameters
    ----------
    reason
        ``error``, ``timeout``, ``oom`` or ``lost``.
    together
        Fits that were under way in the same call, itself included.
    seconds
        Wall-clock seconds until that call broke; None where its worker broke before a word of it arrived.
    """

    reason: Literal["error", "timeout", "oom", "lost"]
    together: int
    seconds: float | None


@dataclass(frozen=True)
class Batch:
    """Fits that share a model graph and a sampler, run together in one worker call.

    `tried` has, by key, the times that fits were started before in calls that broke.
    """

    specs: tuple[FitSpec, ...]
    resources: Resources
    timeout: float | None = None
    tried: Mapping[str, tuple[Try, ...]] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """Name for progress lines."""
        return self.specs[0].cell

    def halves(self, left: Collection[str]) -> tuple[Batch, ...]:
        """Cut the fits whose keys are left into two batches; one that is left alone stays one."""
        specs = [spec for spec in self.specs if spec.key in left]
        middle = len(specs) // 2
        parts = (specs[:middle], specs[middle:])
        return tuple(dataclasses.replace(self, specs=tuple(part)) for part in parts if part)


@dataclass(frozen=True)
class Plan:
    """The frozen list of batches, and the keys that were found done.

    Parameters
    ----------
    batches
        What is left to do.
    specs
        Every fit of the study, in the order of the cells.
    done
        Keys of fits that need nothing more.
    """

    batches: tuple[Batch, ...]
    specs: tuple[FitSpec, ...]
    done: frozenset[str]

    def __contains__(self, key: object) -> bool:
        """Whether there is a fit of that key."""
        return any(spec.key == key for spec in self.specs)


@dataclass(frozen=True)
class Outcome:
    """What came back from one fit; it stays a few kB.

    Parameters
    ----------
    key, cell, replicate
        Which fit.
    status
        ``done`` or ``failed``.
    reason
        For a failed fit: ``error``, ``timeout``, ``oom`` or ``lost``.
    message
        For a failed fit: one line that says what happened.
    diagnostics
        Facts by name (rhat_max, ess_bulk_min, n_divergent, elpd_loo, ...), finite floats only.
    absent
        Diagnostics that do not exist for this fit, with the reason.
    warnings
        What the fit met on its way.
    seconds
        Wall-clock seconds by stage; of a failed fit ``failed``: those until it failed, of everything that was tried. In
        a worker call that draws for many at once, or that was lost, these are the seconds of the call.
    effort
        What the sampling consisted of, by which the seconds of other fits are predicted: see `effort.effort`.
    attempts
        One entry for each target_accept tried: target_accept, n_divergent, seconds.
    steps, diagnostics_options, quantity_sources
        What was done, so that a step that is wanted later can be completed, and what an edited function had worked out
        is worked out again.
    observed_hash
        Digest of what the terms of the likelihood are about.
    where
        Host name and process number.
    size, checksum
        Bytes and SHA-256 of posterior.nc. A failed fit has them where its draws are stored, and a later step failed.
    files
        Bytes and SHA-256 of what was worked out from the posterior: summary.parquet, and figures.
    versions
        Of Python and the packages that decide the draws.
    degenerate
        For simulated data that are not finite or do not vary: what is wrong with them.
    """

    key: str
    cell: str
    replicate: int
    status: Literal["done", "failed"]
    reason: Literal["error", "timeout", "oom", "lost"] | None = None
    message: str = ""
    diagnostics: Mapping[str, float] = field(default_factory=dict)
    absent: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)
    effort: Mapping[str, Any] = field(default_factory=dict)
    attempts: tuple[Mapping[str, float], ...] = ()
    steps: Steps = Steps()
    diagnostics_options: DiagnosticsOptions = DiagnosticsOptions()
    quantity_sources: Mapping[str, str] = field(default_factory=dict)
    observed_hash: str = ""
    where: str = ""
    size: int = 0
    checksum: str = ""
    files: Mapping[str, tuple[int, str]] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    degenerate: str = ""


@dataclass(frozen=True)
class Verdict:
    """What the gate says of one outcome.

    Parameters
    ----------
    passed
        Whether every threshold holds.
    failures
        One short text for each threshold that does not hold (``rhat_max 1.04 > 1.01``).
    remedies
        What to try, most promising first.
    """

    passed: bool
    failures: tuple[str, ...] = ()
    remedies: tuple[str, ...] = ()


class Builder(Protocol):
    """A model: any importable function of a dataset and parameters."""

    def __call__(self, data: Dataset, **params: Any) -> pm.Model:
        """Build the model conditioned on `data`."""
        ...


class SampleFunction(Protocol):
    """One way to draw. Its module also has ``VERSION: int`` and ``KIND`` (nuts, mcmc, smc, variational).

    Parameters
    ----------
    build
        Builds the model of one dataset.
    datasets
        One for each fit.
    seeds
        One integer for each fit; the same seed gives the same draws.
    options
        What every sampler is told.

    Returns
    -------
    Iterator of xarray.DataTree
        One for each dataset, in their order, each as soon as it is there, with groups ``posterior``
        (dims chain, draw, ...), ``sample_stats`` and ``observed_data``.
    """

    def __call__(
        self,
        build: Callable[[Dataset], pm.Model],
        datasets: Iterable[Dataset],
        seeds: Iterable[int],
        options: SamplerOptions,
    ) -> Iterator[xr.DataTree]:
        """Draw from the posterior of each dataset."""
        ...
