"""MLflow: one parent run for a study, one child run for each fit or simulated cell, written by the driver alone.

MLflow is an index, never the truth: everything it shows can be rebuilt from the store, and a server that is
away costs no fit. This package alone imports mlflow, and only inside functions, because the import takes
seconds.
"""

from bayesrun.track.artifacts import aggregates, replicate_metrics, verdicts
from bayesrun.track.cells import CellRun, StudyRun
from bayesrun.track.fit_runs import FitsRun, Record, git_commit
from bayesrun.track.journal import public_uri
from bayesrun.track.server import check, check_place, default_uri, is_gone, ui_command
from bayesrun.track.simulations import SimulationTracker, is_written, unsent
from bayesrun.track.tracker import Tracker, is_closed, pending, sync

__all__ = [
    "CellRun",
    "FitsRun",
    "Record",
    "SimulationTracker",
    "StudyRun",
    "Tracker",
    "aggregates",
    "check",
    "check_place",
    "default_uri",
    "git_commit",
    "is_closed",
    "is_gone",
    "is_written",
    "pending",
    "public_uri",
    "replicate_metrics",
    "sync",
    "ui_command",
    "unsent",
    "verdicts",
]
