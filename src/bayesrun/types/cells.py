"""The rows of the design: as the config states them, and as they are once their data and models were checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bayesrun.types.kept import Kept
from bayesrun.types.options import ALL_OPTIONS, Asked, DiagnosticsOptions, Gate, Resources, SamplerOptions, Steps
from bayesrun.types.simulations import Simulation
from bayesrun.types.targets import Target

__all__ = ["Cell", "CheckedCell", "Observed", "Refused"]


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
    words
        What was typed and chosen for it, by config path; not what files contain.
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
    words: Mapping[str, Any] = field(default_factory=dict)


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
        Digest of what the model means: its graph, and where that does not show all its sources and parameters.
    conditioned
        Digest of the values that the model observes.
    sampler_version
        The version constant of a shipped sampler; for a user's own also the digest of its sources.
    sampler_options
        Names of the options that change this sampler's draws; the others have no part in its key and seed.
    parts
        Digests of each variable of the model, of what it is made of and of its density; they are part of no key.
    same_draws
        Keys of ``sampler.extra`` that change no draw.
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
    step_sources
        Digest of the source of the model's own function for a step, by the name of the step.
    source
        Digest of the source that its models are built by, by which an edit is told from an upgrade; part of no key.
    asked
        In a study that asked for more before, what the latest command asks of `cell`, which has the steps and
        diagnostics of all commands together; None: all of it.
    batched
        Whether the sampler fits many datasets at once.
    simulation
        What its datasets are drawn from; None: they are real.
    replicates
        How many there are.
    used
        Arrays of its dataset that the model uses; the others are there because they are to be kept.
    left_out
        Columns of the table that are not stored, because the model does not use them.
    meant_by
        In the design of a study, all words that mean it now.
    superseded
        In the design of a study, in what the fit that its words mean now differs; empty: it is current.
    kept
        What of its fits stays in their files; part of no key.
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
    conditioned: str = ""
    same_draws: tuple[str, ...] = ()
    parts: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    meant_by: tuple[Mapping[str, Any], ...] = ()
    superseded: str = ""
    step_sources: Mapping[str, str] = field(default_factory=dict)
    asked: Asked | None = None
    source: str = ""
    used: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    kept: Kept = Kept()


@dataclass(frozen=True)
class Refused:
    """One of several datasets that cannot be fitted, while others can.

    Parameters
    ----------
    label
        Of its cell.
    reason
        Why not, a line or more.
    source
        What the datasets are together: a folder of files, or a table and the column that parts it.
    words
        What was typed and chosen for it, as `Cell.words`.
    """

    label: str
    reason: str
    source: str = ""
    words: Mapping[str, Any] = field(default_factory=dict)
