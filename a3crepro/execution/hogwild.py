"""Processes on shared memory without locks (§4): the paper's own way, in wall-clock time."""

from __future__ import annotations

import time
from collections.abc import Generator
from multiprocessing.connection import Connection

from a3crepro.actor_learner import ActorLearner, Episode, Snapshot
from a3crepro.config import Config
from a3crepro.execution._execution import Event, Execution
from a3crepro.processes import CONTEXT, Child, wait_for_messages
from a3crepro.scheduling import ask_for_long_time_slices
from a3crepro.shared_state import SharedState

LETTERS = 0.25
"""Seconds between two letters of an actor-learner with what it has to report."""
GRACE = 5.0
"""Seconds that actor-learners have to stop by themselves once they are asked to."""


class Hogwild(Execution):
    """Each actor-learner is a process that goes as fast as it can."""

    def run(self, config: Config, shared: SharedState, start: int, seconds: float) -> Generator[Event, None, None]:
        shared.share(CONTEXT.Lock())
        children: list[Child] = []
        deadline: float | None = None
        try:
            for thread in range(config.threads):
                children.append(Child(f"actor-learner {thread}", work, config, shared, thread, start))
                yield Event(seconds, seconds)
            began = time.monotonic() - seconds  # not before: imports are no training
            while not all(child.finished for child in children):
                wait_for_messages(children, timeout=0.2)
                now = time.monotonic()
                for child in children:
                    for reports in child.receive():
                        for moment, report in reports:
                            then = max(seconds, moment - began)
                            yield Event(then, then, report)
                yield Event(now - began, now - began)
                if shared.stopping:
                    deadline = deadline or now + GRACE
                    if now > deadline:
                        break  # whoever hangs is killed below
        finally:
            shared.request_stop()
            deadline = time.monotonic() + (0.0 if deadline else GRACE / 2)
            for child in children:
                child.end(grace=max(0.0, deadline - time.monotonic()))


def work(connection: Connection, config: Config, shared: SharedState, thread: int, start: int) -> None:
    """The process of one actor-learner."""
    ask_for_long_time_slices()
    outbox = Outbox(connection)
    learner = ActorLearner(config, shared, thread, start, outbox.add)
    try:
        while not shared.stopping and shared.frames() < config.frames:
            learner.segment()
            outbox.send_if_due()
    finally:
        outbox.send()


class Outbox:
    """Reports on their way to the main process: together where there are many, for each letter wakes it."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.reports: list[tuple[float, Episode | Snapshot]] = []
        self.sent = time.monotonic()

    def add(self, report: Episode | Snapshot) -> None:
        """Keeps a report, with the time at which it was made (on a clock that all processes share)."""
        self.reports.append((time.monotonic(), report))
        if isinstance(report, Snapshot):
            self.send()  # evaluations are to come in the order of their frames
        else:
            self.send_if_due()

    def send_if_due(self) -> None:
        """Sends what there is, if the last time was long enough ago."""
        if self.reports and time.monotonic() - self.sent > LETTERS:
            self.send()

    def send(self) -> None:
        """Sends what there is."""
        self.connection.send(self.reports)
        self.reports, self.sent = [], time.monotonic()
