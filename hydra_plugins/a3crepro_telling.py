"""Hydra's basic sweeper, but reporting every failed job instead of only the first."""

from __future__ import annotations

import os
from collections.abc import Sequence

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class TellingSweeper(BasicSweeper):
    """Runs the product of all values with the chosen launcher."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        super().setup(hydra_context=hydra_context, task_function=task_function, config=config)
        assert self.launcher is not None
        self.launcher = _Telling(self.launcher)


class _Telling(Launcher):
    """Wraps a launcher and raises one error for all failed jobs."""

    def __init__(self, launcher: Launcher) -> None:
        self.launcher = launcher

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Does nothing: the wrapped launcher is already set up."""

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        from a3crepro.runs.command_line import JobsFailed

        done = self.launcher.launch(job_overrides, initial_job_idx=initial_job_idx)
        failures = [
            (os.path.relpath(job.hydra_cfg.hydra.runtime.output_dir), job._return_value)
            for job in done
            if job.status == JobStatus.FAILED
        ]
        if failures:
            raise JobsFailed(failures)
        return done
