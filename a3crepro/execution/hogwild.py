"""Processes on shared memory without locks (§4): the paper's own way, in wall-clock time."""

from __future__ import annotations

import time
from collections.abc import Iterator
from multiprocessing.connection import Connection

from a3crepro.actor_learner import ActorLearner
from a3crepro.config import Config
from a3crepro.execution._execution import Event, Execution
from a3crepro.processes import CONTEXT, Child, wait_for_messages
from a3crepro.shared_state import SharedState

GRACE = 5.0
"""Seconds that actor-learners have to stop by themselves once they are asked to."""


class Hogwild(Execution):
    """Each actor-learner is a process that goes as fast as it can."""

    def run(self, config: Config, shared: SharedState, start: int, seconds: float) -> Iterator[Event]:
        began = time.monotonic() - seconds
        shared.share(CONTEXT.Lock())
        children: list[Child] = []
        deadline: float | None = None
        try:
            for thread in range(config.threads):
                children.append(Child(f"actor-learner {thread}", work, config, shared, thread, start))
            while not all(child.finished for child in children):
                wait_for_messages(children, timeout=0.2)
                now = time.monotonic()
                for child in children:
                    for report in child.receive():
                        yield Event(now - began, report)
                yield Event(now - began)
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
    learner = ActorLearner(config, shared, thread, start, connection.send)
    for _ in learner.run():
        if shared.stopping or shared.frames() >= config.frames:
            break
