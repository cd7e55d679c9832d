"""A Hydra sweeper that launches an explicit list of jobs in one batch, instead of a product of values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class ListedSweeper(Sweeper):
    """Passes the list to the chosen launcher."""

    jobs: ClassVar[Sequence[Sequence[str]]] = ()
    """Overrides of each job, in addition to those of the command."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.launcher: Launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> Any:
        """Launches all jobs and returns when they have finished."""
        return self.launcher.launch(self.jobs, initial_job_idx=0)
