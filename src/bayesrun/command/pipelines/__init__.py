"""Studies by the calendar: what a pipeline is, one run of it for each date, and the bounds it is held to.

It starts nothing at a given time: cron, Slurm or Kubernetes do; see ``pipelines/``.
"""

from bayesrun.command.pipelines.bounds import Held, held, missing_fits
from bayesrun.command.pipelines.definition import Gates, Pipeline, find, names
from bayesrun.command.pipelines.runs import Ended, folder_of, run

__all__ = ["Ended", "Gates", "Held", "Pipeline", "find", "folder_of", "held", "missing_fits", "names", "run"]
