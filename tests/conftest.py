import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import sys
from collections.abc import Generator
from typing import Any

import composing
import pytest
import torch

from a3crepro.cli import main
from a3crepro.common.errors import UserError
from a3crepro.config import Config, compose
from a3crepro.learner.actor_learner import ActorLearner, Episode, Snapshot
from a3crepro.learner.shared_state import SharedState
from a3crepro.runs.training import initial_state

torch.set_num_threads(1)
composing.remember()


IN_ONE_PROCESS = (
    "tests/test_agents.py",
    "tests/test_analysis.py",
    "tests/test_site.py",
    "tests/test_site_in_browser.py",
    "tests/test_sweeping.py",
)
"""Files whose tests share what takes long to make."""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """With several processes, each gets the next test, or the next file of those that share; these come first."""
    if config.getoption("dist") != "load":
        return None
    from xdist.scheduler import LoadScopeScheduling

    class Scheduling(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.partition("::")[0]
            return file if file in IN_ONE_PROCESS else nodeid

    return Scheduling(config, log)


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call() -> Generator[None, object, object]:
    """The Control Suite cannot be installed on Python 3.13."""
    try:
        return (yield)
    except (ImportError, UserError) as error:
        if sys.version_info >= (3, 13) and "dm_control" in str(error):
            pytest.skip(str(error))
        raise


class Bench:
    """An actor-learner in this process, with what it shares and what it reports."""

    def __init__(self, *overrides: str) -> None:
        self.config: Config = compose(*overrides)
        self.shared: SharedState = initial_state(self.config)
        self.reports: list[Episode | Snapshot] = []
        self.learners = [
            ActorLearner(self.config, self.shared, thread, 0, self.reports.append)
            for thread in range(self.config.threads)
        ]
        self.learner = self.learners[0]


@pytest.fixture
def bench():
    return Bench


@pytest.fixture
def command(tmp_path, monkeypatch, capsys):
    """Runs the command line in this process, in an empty directory; returns its status and what it printed."""
    monkeypatch.chdir(tmp_path)

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["a3crepro", *words])
        status = 0
        try:
            main()
        except SystemExit as error:
            status = error.code
        return status, *capsys.readouterr()

    return run
