"""MLflow: one parent run for a study, one child run for each fit, written by the driver alone.

MLflow is an index, never the truth: everything it shows can be rebuilt from the store, and a server that is
away costs no fit. This package alone imports mlflow, and only inside functions, because the import takes
seconds.
"""

from bayesrun.track.journal import public_uri
from bayesrun.track.records import Record, git_commit
from bayesrun.track.server import check, default_uri, ui_command
from bayesrun.track.tracker import Tracker, is_closed, pending, sync

__all__ = [
    "Record",
    "Tracker",
    "check",
    "default_uri",
    "git_commit",
    "is_closed",
    "pending",
    "public_uri",
    "sync",
    "ui_command",
]
