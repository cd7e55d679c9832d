"""Processes on shared memory without locks (§4): the paper's own way, in wall-clock time."""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection

import numpy as np

from a3crepro.common.plain import Tree
from a3crepro.common.processes import Child, make_lock
from a3crepro.common.scheduling import ask_for_long_time_slices
from a3crepro.config import Config
from a3crepro.execution._execution import Event, Execution, Origin, States
from a3crepro.execution._messages import ReportBuffer, receive_messages, stop_timeout
from a3crepro.learner.actor_learner import ActorLearner, Interrupted
from a3crepro.learner.shared_state import SharedState


class Hogwild(Execution):
    """Each actor-learner is a process that goes as fast as it can."""

    def is_exact(self, threads: int) -> bool:
        return threads == 1

    def process_count(self, threads: int) -> int:
        return threads

    def run(self, config: Config, shared: SharedState, origin: Origin) -> Generator[Event, None, None]:
        shared.share(make_lock())
        children: list[Child] = []
        states = Collection(config, shared)
        trees = origin.tree or [None] * config.threads
        try:
            for thread, tree in enumerate(trees):
                name = f"actor-learner {thread}"
                children.append(Child(name, work, config, shared, thread, origin.start, tree, states.answered))
                yield Event(origin.seconds, origin.real_seconds)
            yield from self._events(config, shared, origin, children, states)
        finally:
            grace = time.monotonic() + (0.0 if shared.stopping else stop_timeout(config) / 2)
            shared.request_stop()
            for child in children:
                child.end(grace=max(0.0, grace - time.monotonic()))

    def _events(
        self, config: Config, shared: SharedState, origin: Origin, children: list[Child], states: Collection
    ) -> Generator[Event, None, None]:
        now = time.monotonic()  # not before: imports are no training
        began = now - origin.real_seconds
        exact = config.is_exact  # without its state it would not go on as it would have gone on
        for now, _, reports in receive_messages(children, shared, stop_timeout(config)):
            for report in reports or ():
                then = max(origin.seconds, report.moment - began)
                if not isinstance(report.what, State):
                    yield Event(then, then, report.what)
                elif whole := states.add(report.what):
                    yield Event(then, then, whole)
            if reports is None:
                yield Event(now - began, now - began, None if exact else states.overdue())
        if not exact or states.complete:
            yield Event(now - began, now - began, states.last())


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
    buffer = ReportBuffer(connection)
    learner = ActorLearner(config, shared, thread, start, buffer.add)
    alone = config.threads == 1
    if tree is not None:
        learner.models.set_state(tree["models"])
        learner.set_state(tree["learner"])

    def send_state(request: int) -> None:
        tree = {"learner": learner.get_state(), "models": learner.models.get_state()}
        buffer.add(State(thread, request, tree, shared.arrays() if alone else None))

    try:
        while not shared.stopping and shared.frames() < config.frames:
            with suppress(Interrupted):
                learner.iterate()
            buffer.send_if_due()
            if shared.states_requested != answered:
                answered = shared.states_requested
                send_state(answered)
        send_state(LAST)
    finally:
        buffer.send()
