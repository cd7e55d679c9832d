"""Hydra sweepers: one that reports every failed job, not only the first; one for a list of jobs; one that searches."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class ListedSweeper(BasicSweeper):
    """Launches an explicit list of jobs in one batch, instead of a product of values."""

    jobs: ClassVar[Sequence[Sequence[str]]] = ()
    """Overrides of each job, in addition to those of the command."""

    def sweep(self, arguments: list[str]) -> Any:
        """Launches all jobs and returns when they have finished."""
        assert self.launcher is not None
        return self.launcher.launch(self.jobs, initial_job_idx=0)


class ReportingSweeper(BasicSweeper):
    """Runs the product of all values with the chosen launcher, and raises one error for all failed jobs."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        super().setup(hydra_context=hydra_context, task_function=task_function, config=config)
        assert self.launcher is not None
        self.launcher = _ReportingLauncher(self.launcher)


class OptunaSweeper(Sweeper):
    """Searches for the overrides with the best final score; see `a3crepro.experiments.search`."""

    def __init__(self, **keys: Any) -> None:
        self.keys = keys

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.config = config
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> None:
        """Runs the trials that are missing."""
        from a3crepro.config import search_config, search_space
        from a3crepro.experiments.search import search

        config = search_config(self.keys)
        assert self.config is not None and self.launcher is not None
        directory = Path(str(self.config.hydra.sweep.dir))
        search(self.launcher.launch, config, search_space(arguments, config.params), directory)


class _ReportingLauncher(Launcher):
    """Wraps a launcher that is set up already."""

    def __init__(self, launcher: Launcher) -> None:
        self.launcher = launcher

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        pass

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        from a3crepro.runs.command_line import JobsFailed

        done = self.launcher.launch(job_overrides, initial_job_idx=initial_job_idx)
        failures = [(_directory(job), job._return_value) for job in done if job.status == JobStatus.FAILED]
        if failures:
            raise JobsFailed(failures)
        return done


def _directory(job: JobReturn) -> str:
    assert job.hydra_cfg is not None
    return os.path.relpath(str(job.hydra_cfg.hydra.runtime.output_dir))
