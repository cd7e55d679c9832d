"""How the processes of a run report, and how its main process listens to them."""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

from a3crepro.common.processes import Child, any_is_gone, wait_for_messages
from a3crepro.config import Config
from a3crepro.learner.reports import Episode
from a3crepro.learner.shared_state import SharedState

FLUSH_SECONDS = 0.25
"""Seconds between two messages of a process with what it has to report."""
POLL_SECONDS = 0.01
"""Seconds between two looks at whether messages are to be read again."""
TIMEOUT = 5.0
"""Seconds that processes have at least to stop by themselves once they are asked to."""
TIMEOUT_PER_STEP = 0.01
"""More for each step of a rollout: whole episodes of slow tasks take long, and longer with many processes a core."""


class TimedReport(NamedTuple):
    """Something to report, and when it happened."""

    moment: float
    """On a clock that all processes share."""
    now: float
    """The same, in the execution's own time: virtual seconds, rounds."""
    what: Any


class ReportBuffer:
    """Reports on their way to the main process: together where there are many, for each message wakes it."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.reports: list[TimedReport] = []
        self.sent = time.monotonic()

    def add(self, what: Any, now: float = 0.0) -> None:
        """Keeps a report, with the time at which it was made."""
        self.reports.append(TimedReport(time.monotonic(), now, what))
        if isinstance(what, Episode):
            self.send_if_due()
        else:
            self.send()  # evaluations are to come in the order of their frames

    def send_if_due(self) -> None:
        """Sends what there is, if the last time was long enough ago."""
        if self.reports and time.monotonic() - self.sent > FLUSH_SECONDS:
            self.send()

    def send(self) -> None:
        """Sends what there is."""
        self.connection.send(self.reports)
        self.reports, self.sent = [], time.monotonic()


Message = tuple[float, int | None, Any]
"""When it was read, the number of the process that sent it, and what it says; None, None: nothing for a while."""


def stop_timeout(config: Config) -> float:
    """Seconds that processes have to stop by themselves."""
    return TIMEOUT + TIMEOUT_PER_STEP * (config.algo.max_steps or config.env.episode_steps or 0)


def receive_messages(children: Sequence[Child], shared: SharedState, grace: float) -> Generator[Message, None, None]:
    """The messages of these processes, as they come, until all have ended.

    While `shared.holding`, messages stay unread, unless the processes are to stop or one of them has ended.

    Args:
      children: the processes.
      shared: by which they are asked to stop.
      grace: it also ends so many seconds after that: who hangs then is to be killed.

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
            deadline = deadline or now + grace
            if now > deadline:
                return
