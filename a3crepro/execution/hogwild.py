"""Processes on shared memory without locks (§4): the paper's own way, in wall-clock time."""

from __future__ import annotations

import time
from collections.abc import Generator
from dataclasses import dataclass
from multiprocessing.connection import Connection

import numpy as np

from a3crepro.actor_learner import ActorLearner, Episode, Snapshot
from a3crepro.config import Config
from a3crepro.execution._execution import GRACE, LETTERS, Event, Execution, Origin, States
from a3crepro.plain import Tree
from a3crepro.processes import CONTEXT, Child, wait_for_messages
from a3crepro.scheduling import ask_for_long_time_slices
from a3crepro.shared_state import SharedState


class Hogwild(Execution):
    """Each actor-learner is a process that goes as fast as it can."""

    def is_exact(self, config: Config) -> bool:
        return config.threads == 1

    def process_count(self, config: Config) -> int:
        return config.threads

    def run(self, config: Config, shared: SharedState, origin: Origin) -> Generator[Event, None, None]:
        shared.share(CONTEXT.Lock())
        children: list[Child] = []
        states = Collection(config, shared)
        trees = origin.tree or [None] * config.threads
        deadline: float | None = None
        exact = self.is_exact(config)  # without its state it would not go on as it would have gone on
        try:
            for thread in range(config.threads):
                children.append(
                    Child(
                        f"actor-learner {thread}",
                        work,
                        config,
                        shared,
                        thread,
                        origin.start,
                        trees[thread],
                        states.answered,
                    )
                )
                yield Event(origin.seconds, origin.real_seconds)
            began = time.monotonic() - origin.real_seconds  # not before: imports are no training
            while not all(child.finished for child in children):
                wait_for_messages(children, timeout=0.2)
                now = time.monotonic() - began
                for child in children:
                    for reports in child.receive():
                        for moment, report in reports:
                            then = max(origin.seconds, moment - began)
                            if not isinstance(report, State):
                                yield Event(then, then, report)
                            elif whole := states.add(report):
                                yield Event(then, then, whole)
                yield Event(now, now, None if exact else states.overdue())
                if shared.stopping:
                    deadline = deadline or now + GRACE
                    if now > deadline:
                        break  # whoever hangs is killed below
            if not exact or states.complete:
                yield Event(now, now, states.last())
        finally:
            shared.request_stop()
            grace = time.monotonic() + (0.0 if deadline else GRACE / 2)
            for child in children:
                child.end(grace=max(0.0, grace - time.monotonic()))


@dataclass(frozen=True)
class State:
    """The state of one actor-learner, on its way to the main process."""

    thread: int
    request: int
    """The request that it answers; LAST at the end of the process."""
    tree: Tree
    arrays: dict[str, np.ndarray] | None
    """The shared state at the same moment, from an actor-learner that is alone: it does not wait for the others."""


LAST = -1


class Collection:
    """The actor-learners' states, until they are complete."""

    def __init__(self, config: Config, shared: SharedState) -> None:
        self.config, self.shared = config, shared
        self._of: dict[int, dict[int, Tree]] = {}
        self.answered = shared.states_requested
        self._arrays: dict[str, np.ndarray] | None = None

    def add(self, state: State) -> States | None:
        """All states that answer the same request, where this one is the last of them."""
        answers = self._of.setdefault(state.request, {})
        answers[state.thread], self._arrays = state.tree, state.arrays
        if len(answers) < self.config.threads or state.request == LAST:
            return None
        del self._of[state.request]
        self.answered = state.request
        return self._states(answers)

    def overdue(self) -> States | None:
        """The answers to a request before the last one: whoever has not answered yet hangs, and will begin anew."""
        request = self.shared.states_requested - 1
        if request <= self.answered:
            return None
        self.answered = request
        return self._states(self._of.pop(request, {}))

    @property
    def complete(self) -> bool:
        """Whether all have told their last state."""
        return len(self._of.get(LAST, {})) == self.config.threads

    def last(self) -> States:
        """Those at the end; without that of a process that had to be killed."""
        return self._states(self._of.get(LAST, {}))

    def _states(self, answers: dict[int, Tree]) -> States:
        arrays = self._arrays or self.shared.arrays()
        return States(arrays, [answers.get(thread) for thread in range(self.config.threads)])


def work(
    connection: Connection, config: Config, shared: SharedState, thread: int, start: int, tree: Tree, answered: int
) -> None:
    """The process of one actor-learner; `answered`: requests for its state that were made before this start."""
    ask_for_long_time_slices()
    outbox = Outbox(connection)
    learner = ActorLearner(config, shared, thread, start, outbox.add)
    alone = config.threads == 1
    if tree is not None:
        learner.models.set_state(tree["models"])
        learner.set_state(tree["learner"])

    def send_state(request: int) -> None:
        tree = {"learner": learner.get_state(), "models": learner.models.get_state()}
        outbox.add(State(thread, request, tree, shared.arrays() if alone else None))

    try:
        while not shared.stopping and shared.frames() < config.frames:
            learner.segment()
            outbox.send_if_due()
            if shared.states_requested != answered:
                answered = shared.states_requested
                send_state(answered)
        send_state(LAST)
    finally:
        outbox.send()


class Outbox:
    """Reports on their way to the main process: together where there are many, for each letter wakes it."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.reports: list[tuple[float, Episode | Snapshot | State]] = []
        self.sent = time.monotonic()

    def add(self, report: Episode | Snapshot | State) -> None:
        """Keeps a report, with the time at which it was made (on a clock that all processes share)."""
        self.reports.append((time.monotonic(), report))
        if isinstance(report, Episode):
            self.send_if_due()
        else:
            self.send()  # evaluations are to come in the order of their frames

    def send_if_due(self) -> None:
        """Sends what there is, if the last time was long enough ago."""
        if self.reports and time.monotonic() - self.sent > LETTERS:
            self.send()

    def send(self) -> None:
        """Sends what there is."""
        self.connection.send(self.reports)
        self.reports, self.sent = [], time.monotonic()
