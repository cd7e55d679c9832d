"""What all ways of running actor-learners have in common: a stream of what happened, and messages from processes."""

import time
from abc import abstractmethod
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

import numpy as np

from a3crepro.common.processes import Child, any_is_gone, wait_for_messages
from a3crepro.common.serialization import PyTree
from a3crepro.config import Config, ExecutionConfig
from a3crepro.learner.reports import Episode, Report
from a3crepro.learner.shared_state import SharedState

FLUSH_SECONDS = 0.25
"""Shortest time between two messages with episodes from one process; each message wakes the main process."""
POLL_SECONDS = 0.01
"""Poll interval while messages are held."""
TIMEOUT = 5.0
"""Seconds that processes have to stop by themselves once they are asked to."""
TIMEOUT_PER_STEP = 0.01
"""Additional seconds for each step of a rollout: whole episodes of slow tasks take long."""


@dataclass(frozen=True)
class States:
    """The full state needed to resume, at one moment."""

    arrays: Mapping[str, np.ndarray]
    """Arrays of the shared state."""
    tree: PyTree
    """State of the actor-learners and of the execution itself."""


@dataclass(frozen=True)
class Event:
    """A timed event of a run; `report` is None if nothing was reported."""

    seconds: float
    """Seconds since the start of training, over all attempts; virtual if the execution's time is."""
    real_seconds: float
    """Wall-clock seconds since the start of training, over all attempts."""
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

        Raises:
          ProcessDied: an actor-learner raised an exception or was killed; all others have been ended.
        """


# ---- Messages from the processes of a run to its main process --------------------------------------------------------


class TimedReport(NamedTuple):
    """A report and its time."""

    moment: float
    """Time on the monotonic clock, which all processes share."""
    now: float
    """Time on the execution's own clock: virtual seconds, or rounds."""
    what: Any


class Timer:
    """A timer that fires at most once per `seconds` of wall-clock time."""

    def __init__(self, seconds: float) -> None:
        self.seconds, self._began = seconds, time.monotonic()

    def has_passed(self) -> bool:
        """Returns whether the interval has passed, and if so restarts it."""
        now = time.monotonic()
        if now - self._began < self.seconds:
            return False
        self._began = now
        return True


class ReportBuffer:
    """Buffers reports on their way to the main process."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.reports: list[TimedReport] = []
        self.sent = time.monotonic()

    def add(self, what: Any, now: float = 0.0) -> None:
        """Adds a report made now; sends all but episodes at once."""
        self.reports.append(TimedReport(time.monotonic(), now, what))
        if isinstance(what, Episode):
            self.send_if_due()
        else:
            self.send()  # keeps evaluations in the order of their frames

    def send_if_due(self) -> None:
        """Sends the reports if the last message was sent long enough ago."""
        if self.reports and time.monotonic() - self.sent > FLUSH_SECONDS:
            self.send()

    def send(self) -> None:
        """Sends the reports."""
        self.connection.send(self.reports)
        self.reports, self.sent = [], time.monotonic()


Message = tuple[float, int | None, Any]
"""Time of receipt, number of the sending process, and content; (time, None, None) if there was none for a while."""


def stop_timeout(config: Config) -> float:
    """Seconds that processes have to stop by themselves, after what cannot be interrupted: a rollout, or a round."""
    rollouts = -(-config.threads // config.processes) if config.execution.makes_one_update else 1
    return TIMEOUT + TIMEOUT_PER_STEP * rollouts * (config.algo.max_update_steps or config.env.episode_steps or 0)


def receive_messages(children: Sequence[Child], shared: SharedState, config: Config) -> Generator[Message, None, None]:
    """Yields the messages of processes until all have ended.

    While `shared.holding`, messages stay unread, unless the run stops or a process has ended. After a request to stop,
    it ends in `stop_timeout` seconds; the caller then kills processes that hang.

    Raises:
      ProcessDied: a process raised an exception or was killed.
    """
    deadline = None
    while not all(child.finished for child in children):
        held = shared.holding and not shared.stopping
        held = held and not any_is_gone([child for child in children if not child.finished], POLL_SECONDS)
        if not held:
            wait_for_messages(children, timeout=0.2)
        now = time.monotonic()
        for number, child in enumerate([] if held else children):
            for message in child.receive():
                yield now, number, message
        yield now, None, None
        if shared.stopping:
            deadline = deadline or now + stop_timeout(config)
            if now > deadline:
                return
