"""The frozen values that pass between stages, and the protocols that stages rely on.

It computes nothing beyond canonical forms and digests of these values, and imports no heavy package. One module has the
values of one stage; all others import them from here.
"""

from bayesrun.types.canonical import SCHEMA_VERSION, canonical_json, digest
from bayesrun.types.cells import Cell, CheckedCell, Observed, Refused
from bayesrun.types.data import Dataset, Origin, Role
from bayesrun.types.fits import Batch, FitSpec, Plan, Try
from bayesrun.types.kept import Kept
from bayesrun.types.options import ALL_OPTIONS, Asked, DiagnosticsOptions, Gate, Resources, SamplerOptions, Steps
from bayesrun.types.outcomes import DIAGNOSTICS, Absent, Drawn, Outcome, Verdict
from bayesrun.types.protocols import BESIDE, LEFT, NO_DENSITY, PSEUDO, Builder, SampleFunction
from bayesrun.types.settings import DispatchOptions, OutputOptions, Settings, StudyOptions, TrackOptions
from bayesrun.types.simulations import Original, Simulation
from bayesrun.types.targets import Target

__all__ = [
    "ALL_OPTIONS",
    "BESIDE",
    "DIAGNOSTICS",
    "LEFT",
    "NO_DENSITY",
    "PSEUDO",
    "SCHEMA_VERSION",
    "Absent",
    "Asked",
    "Batch",
    "Builder",
    "Cell",
    "CheckedCell",
    "Dataset",
    "DiagnosticsOptions",
    "DispatchOptions",
    "Drawn",
    "FitSpec",
    "Gate",
    "Kept",
    "Observed",
    "Origin",
    "Original",
    "Outcome",
    "OutputOptions",
    "Plan",
    "Refused",
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
    "Try",
    "Verdict",
    "canonical_json",
    "digest",
]
