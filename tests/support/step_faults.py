"""Every step of a fit after drawing, with a way to make it fail: it raises, it hangs, or its process is killed."""

import os
import signal
import time
import warnings
from collections.abc import Callable

import numpy as np
import pytest

RULE = "P(theta > 0 | y) > 0.5"

STEPS = {
    "log_likelihood": "bayesrun.work.steps._log_likelihood",
    "prior_predictive": "bayesrun.work.steps._prior_predictive",
    "log_prior": "bayesrun.work.steps._log_prior",
    "posterior_predictive": "bayesrun.work.steps._posterior_predictive",
    "diagnostics": "bayesrun.statistics.fit_summary._basic",
    "loo": "bayesrun.statistics.fit_summary.cross_validate",
    "prior_sensitivity": "bayesrun.statistics.fit_summary.disagreements",
    "quantity size": "bayesrun.work.summary_columns._quantity",
    f"decision {RULE}": "bayesrun.work.summary_columns._decided",
    "summary": "bayesrun.work.summary_columns._table",
    "figure trace": "bayesrun.figures.one_fit._trace",
}
"""The name of each step, and the function that does it."""


def size(draws, data) -> np.ndarray:
    """A quantity of the user's."""
    return np.abs(draws["theta"])


def slow(draws, data) -> np.ndarray:
    """A quantity that never comes back."""
    time.sleep(600)
    return draws["theta"]


def killed(draws, data) -> np.ndarray:
    """A quantity that ends its process."""
    os.kill(os.getpid(), signal.SIGKILL)
    return draws["theta"]


def stuck(draws, data) -> np.ndarray:
    """A quantity that no signal interrupts, like compiled code."""
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM])
    time.sleep(600)
    return draws["theta"]


def _raises(*_, **__):
    raise ValueError("not today")


def _hangs(*_, **__):
    signal.setitimer(signal.ITIMER_REAL, 0.01)  # the bound of a step is over at once
    time.sleep(600)


def _kills(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)


FAULTS = {"failed": _raises, "timeout": _hangs, "lost": _kills}
"""What a step does, by what is said of it."""


def plant(patch: pytest.MonkeyPatch, step: str, fault: str) -> None:
    """Let a step fail."""
    patch.setattr(STEPS[step], FAULTS[fault])


def in_another_process(work: Callable[[], object]) -> int:
    """Do something in a copy of this process; the signal that ended it, or 0."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of threads, which the copy does not have
        child = os.fork()
    if child == 0:
        try:
            work()
        finally:
            os._exit(0)
    return os.WTERMSIG(os.waitpid(child, 0)[1])
