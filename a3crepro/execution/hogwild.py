"""Processes on shared memory without locks (§4), as in the paper."""

import time
from collections.abc import Generator
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection

import numpy as np

from a3crepro.common.machine import ask_for_long_time_slices
from a3crepro.common.processes import Child, make_lock
from a3crepro.common.serialization import PyTree
from a3crepro.config import Config
from a3crepro.execution._execution import (
    Event,
    Execution,
    ReportBuffer,
    ResumePoint,
    States,
    Timer,
    receive_messages,
    stop_timeout,
)
from a3crepro.learner.actor_learner import ActorLearner, Interrupted
from a3crepro.learner.shared_state import SharedState


class Hogwild(Execution):
    """One process for each actor-learner, as fast as it can."""

    def is_exact(self, threads: int) -> bool:
        return threads == 1

    def process_count(self, threads: int) -> int:
        return threads

    def run(self, config: Config, shared: SharedState, resume_point: ResumePoint) -> Generator[Event, None, None]:
        shared.share(make_lock())
        children: list[Child] = []
        states = StateCollection(config, shared)
        try:
            for thread, tree in enumerate(resume_point.tree or [None] * config.threads):
                if thread == 0:  # it trains while the others start; the imports before it do not count as training
                    began = time.monotonic() - resume_point.real_seconds
                name = f"actor-learner {thread}"
                children.append(Child(name, work, config, shared, thread, resume_point.attempt, tree, states.answered))
                now = time.monotonic()
                yield Event(now - began, now - began)
            for now, _, reports in receive_messages(children, shared, config):
                for report in reports or ():
                    then = max(resume_point.seconds, report.moment - began)
                    what = states.add(report.what) if isinstance(report.what, LearnerState) else report.what
                    if what is not None:
                        yield Event(then, then, what)
                if reports is None:
                    yield Event(now - began, now - began, states.overdue())
            yield Event(now - began, now - began, states.last())
        finally:
            deadline = time.monotonic() + (0.0 if shared.stopping else stop_timeout(config) / 2)
            shared.request_stop()
            for child in children:
                child.end(grace=max(0.0, deadline - time.monotonic()))


@dataclass(frozen=True)
class LearnerState:
    """The state of one actor-learner."""

    thread: int
    request: int
    """Number of the request that it answers; LAST when the process ends."""
    tree: PyTree
    arrays: dict[str, np.ndarray] | None
    """The shared arrays at the same moment; only if there is one actor-learner."""


LAST = -1


class StateCollection:
    """Collects the states of all actor-learners for a checkpoint."""

    def __init__(self, config: Config, shared: SharedState) -> None:
        self.config, self.shared = config, shared
        self._of: dict[int, dict[int, PyTree]] = {}
        self.answered = shared.states_requested
        self._arrays: dict[str, np.ndarray] | None = None

    def add(self, state: LearnerState) -> States | None:
        """Adds a state; returns all states that answer the same request once they are complete."""
        if LAST != state.request <= self.answered:
            return None  # too late
        answers = self._of.setdefault(state.request, {})
        answers[state.thread], self._arrays = state.tree, state.arrays
        if len(answers) < self.config.threads or state.request == LAST:
            return None
        del self._of[state.request]
        self.answered = state.request
        return self._states(answers)

    def overdue(self) -> States | None:
        """The states for the last request but one.

        An actor-learner that has not answered is treated as hung and restarts from scratch.
        """
        request = self.shared.states_requested - 1
        if request <= self.answered or self.config.is_exact:  # which needs all states
            return None
        self.answered = request
        return self._states(self._of.pop(request, {}))

    def last(self) -> States | None:
        """The last states, without those of processes that were killed; None if an exact run lacks one."""
        answers = self._of.get(LAST, {})
        return None if self.config.is_exact and len(answers) < self.config.threads else self._states(answers)

    def _states(self, answers: dict[int, PyTree]) -> States:
        arrays = self._arrays or self.shared.arrays()
        return States(arrays, [answers.get(thread) for thread in range(self.config.threads)])


def work(
    connection: Connection, config: Config, shared: SharedState, thread: int, attempt: int, tree: PyTree, answered: int
) -> None:
    """The process of one actor-learner, which starts from the state `tree`, if there is one.

    `answered` requests for states were made before it started.
    """
    ask_for_long_time_slices()
    buffer = ReportBuffer(connection)
    learner = ActorLearner(config, shared, thread, attempt, buffer.add)
    alone, timer = config.threads == 1, Timer(config.logging.metrics_seconds)
    if tree is not None:
        learner.models.set_state(tree["models"])
        learner.set_state(tree["learner"])

    def send_state(request: int) -> None:
        tree = {"learner": learner.get_state(), "models": learner.models.get_state()}
        buffer.add(LearnerState(thread, request, tree, shared.arrays() if alone else None))

    try:
        while not shared.stopping and shared.frames() < config.frames:
            with suppress(Interrupted):
                learner.iterate()
            buffer.send_if_due()
            if thread == 0 and timer.has_passed():
                buffer.add(shared.totals())
            if shared.states_requested != answered:
                answered = shared.states_requested
                send_state(answered)
        send_state(LAST)
    finally:
        buffer.send()
