"""Hydra's door to bayesrun: a launcher that hands all jobs of a sweep over as one study, and a sweeper that fits it.

Hydra executes this module more than once, without an entry in sys.modules, and imports it for shell
completion: it keeps no state, declares no dataclass and imports nothing heavy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hydra._internal.core_plugins import basic_sweeper
from hydra.core.config_store import ConfigStore
from hydra.plugins.launcher import Launcher

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hydra.core.utils import JobReturn
    from hydra.types import HydraContext, TaskFunction
    from omegaconf import DictConfig

__all__ = ["BayesrunLauncher", "BayesrunSweeper"]

# the launcher has no options of its own: they are in the dispatch group
ConfigStore.instance().store(
    group="hydra/launcher", name="bayesrun", node={"_target_": "hydra_plugins.bayesrun_launcher.BayesrunLauncher"}
)
# and the sweeper those of Hydra's own
ConfigStore.instance().store(
    group="hydra/sweeper",
    name="bayesrun",
    node={"_target_": "hydra_plugins.bayesrun_launcher.BayesrunSweeper", "max_batch_size": None, "params": None},
)


class BayesrunSweeper(basic_sweeper.BasicSweeper):
    """Hydra's own sweeper, by which each job is composed once."""

    def validate_batch_is_legal(self, batch: Sequence[Sequence[str]]) -> None:
        """Leave it to the launcher, which composes every job in this process before anything starts."""


class BayesrunLauncher(Launcher):
    """Composes every job of a sweep, then runs all of them as one study."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Keep what Hydra gives."""
        del task_function
        self.context = hydra_context
        self.config = config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run the study; one return value for each job, which optimising sweepers read."""
        from bayesrun.command.hydra_app import launch

        composed: list[Any] = []
        for index, overrides in enumerate(job_overrides):
            job = self.context.config_loader.load_sweep_config(self.config, list(overrides))
            job.hydra.job.num = initial_job_idx + index
            composed.append(job)
        return launch(composed, [list(overrides) for overrides in job_overrides])
