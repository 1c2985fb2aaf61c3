"""Studies by the calendar: what a pipeline is, one run of it for each date, and the bounds it is held to.

It starts nothing at a given time: cron, Slurm or Kubernetes do; see ``pipelines/``.
"""

from bayesrun.schedule.bounds import Held, held, missing_fits
from bayesrun.schedule.pipeline import Gates, Pipeline, find, names
from bayesrun.schedule.runs import Ended, folder_of, run

__all__ = ["Ended", "Gates", "Held", "Pipeline", "find", "folder_of", "held", "missing_fits", "names", "run"]
