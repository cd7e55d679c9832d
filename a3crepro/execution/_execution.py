"""What all ways of running actor-learners have in common: a stream of what happened."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from a3crepro.settings import Component

if TYPE_CHECKING:
    from a3crepro.actor_learner import Episode, Snapshot
    from a3crepro.config import Config
    from a3crepro.shared_state import SharedState


@dataclass(frozen=True)
class Event:
    """Something that an actor-learner reported, or nothing for a while (`report` is None)."""

    seconds: float
    """Since the start of training, over all its starts together; virtual where the execution's time is."""
    real_seconds: float
    """The same, by a clock on the wall."""
    report: Episode | Snapshot | None = None


class Execution(Component, ABC):
    """Runs `threads` actor-learners until T reaches `frames` or `shared.request_stop()` is called."""

    @abstractmethod
    def run(self, config: Config, shared: SharedState, start: int, seconds: float) -> Generator[Event, None, None]:
        """Starts the actor-learners and yields what they report, and an event without a report at least once a second.

        Args:
          config: the run's configuration.
          shared: parameters and counters, as they are at the start.
          start: how often the run was started before.
          seconds: the time at which it goes on.

        Raises:
          ProcessDied: an actor-learner raised an exception or was killed; all others have been ended.
        """
