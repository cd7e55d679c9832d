"""What all ways of running actor-learners have in common: a stream of what happened."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Generator, Mapping
from dataclasses import dataclass

import numpy as np

from a3crepro.common.serialization import PyTree
from a3crepro.config import Config, ExecutionConfig
from a3crepro.learner.reports import Report
from a3crepro.learner.shared_state import SharedState


@dataclass(frozen=True)
class States:
    """The full state needed to resume, at one moment."""

    arrays: Mapping[str, np.ndarray]
    """Of the shared state."""
    tree: PyTree
    """Of the actor-learners and of the execution itself."""


@dataclass(frozen=True)
class Event:
    """Something that was reported, or nothing for a while (`report` is None)."""

    seconds: float
    """Since the start of training, over all attempts; virtual where the execution's time is."""
    real_seconds: float
    """The same, by a clock on the wall."""
    report: Report | States | None = None


@dataclass(frozen=True)
class ResumePoint:
    """Where a run resumes."""

    attempt: int = 0
    """How often it was started before."""
    seconds: float = 0.0
    real_seconds: float = 0.0
    tree: PyTree = None
    """The `tree` of `States`; None: from the beginning."""


class Execution(ExecutionConfig):
    """Runs `threads` actor-learners until T reaches `frames` or `shared.request_stop()` is called."""

    @abstractmethod
    def run(self, config: Config, shared: SharedState, resume_point: ResumePoint) -> Generator[Event, None, None]:
        """Starts the actor-learners and yields what they report, and an event without a report at least once a second.

        It reports `States` soon after each `shared.request_states()`, and at the end.

        Args:
          config: the run's configuration.
          shared: parameters and counters, as they are where it resumes.
          resume_point: where it resumes.

        Raises:
          ProcessDied: an actor-learner raised an exception or was killed; all others have been ended.
        """
