"""Synchronous training (A2C): all actor-learners roll out at the same θ, and the sum of their gradients is one update.

It shows what asynchrony itself contributes. There is one worker process per core. The actor-learners of a process act
in lockstep, so that each weight is read once for all of them and written once per round; those of the one-step methods
act one after another, because their updates come due in different rounds.

The learning rate is that of one update, as in the asynchronous methods: a round of n actor-learners makes one step with
the sum of n gradients, where these make n steps with one gradient each. The sum is what is clipped.
"""

import time
from collections.abc import Generator
from multiprocessing.connection import Connection
from typing import ClassVar

from a3crepro.common.config_model import PositiveCount
from a3crepro.common.machine import usable_cores
from a3crepro.common.processes import Child, make_lock
from a3crepro.common.serialization import PyTree
from a3crepro.config import Config
from a3crepro.execution._execution import Event, Execution, ResumePoint, States, receive_messages
from a3crepro.execution._worker_group import AllReduce, RoundMessage, WorkerGroup
from a3crepro.learner.shared_state import SharedState


class Synchronous(Execution):
    """Rounds of all actor-learners, with a barrier after each."""

    makes_one_update: ClassVar[bool] = True

    processes: PositiveCount | None
    """Worker processes; null: one per core. A resumed run keeps its number."""

    def is_exact(self, threads: int) -> bool:
        return True

    def process_count(self, threads: int) -> int:
        return min(self.processes or usable_cores(), threads)

    def run(self, config: Config, shared: SharedState, resume_point: ResumePoint) -> Generator[Event, None, None]:
        shared.share(make_lock())
        trees = resume_point.tree or [None] * config.processes
        all_reduce = AllReduce(len(trees), shared)
        children: list[Child] = []
        began = time.monotonic() - resume_point.real_seconds
        try:
            for part, tree in enumerate(trees):
                children.append(
                    Child(f"process {part}", work, config, shared, all_reduce, part, resume_point.attempt, tree)
                )
                yield Event(resume_point.seconds, resume_point.real_seconds)
            yield from events(children, shared, config, began)
        finally:
            shared.request_stop()
            for child in children:
                child.end(grace=0.0)


def events(children: list[Child], shared: SharedState, config: Config, began: float) -> Generator[Event, None, None]:
    """Reports in the order of rounds and processes, so that tables do not depend on timing."""
    unread: list[list[RoundMessage]] = [[] for _ in children]
    for now, number, message in receive_messages(children, shared, config):
        if number is None:
            yield Event(now - began, now - began)
            continue
        unread[number].append(message)
        if not all(unread):
            continue
        messages = [messages.pop(0) for messages in unread]
        reports = [report for message in messages for report in message.reports]
        for report in sorted(reports, key=lambda report: report.now):
            then = report.moment - began
            yield Event(then, then, report.what)
        if messages[0].arrays is not None:
            states = States(messages[0].arrays, [message.tree for message in messages])
            yield Event(now - began, now - began, states)


def work(
    connection: Connection,
    config: Config,
    shared: SharedState,
    all_reduce: AllReduce,
    part: int,
    attempt: int,
    tree: PyTree,
) -> None:
    """A worker process: rounds until the first one commands to stop."""
    group = WorkerGroup(config, shared, all_reduce, part, attempt)
    if tree is not None:
        group.restore(tree)
    while True:
        all_reduce.wait()  # θ and T are complete
        group.begin_round()
        if part == 0:
            group.command()
        all_reduce.wait()
        stop, save, flush = all_reduce.commands.bool().tolist()
        if flush:
            connection.send(group.message(save))
        if stop:
            return
        group.run_round()
