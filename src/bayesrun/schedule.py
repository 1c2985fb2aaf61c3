"""Studies by the calendar, as pipeline files state them; what it takes to run them is in `command.pipelines`."""

from bayesrun.command.pipelines import Ended, Gates, Held, Pipeline, find, folder_of, held, missing_fits, names, run

__all__ = ["Ended", "Gates", "Held", "Pipeline", "find", "folder_of", "held", "missing_fits", "names", "run"]
