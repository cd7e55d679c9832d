"""No asynchrony: all actor-learners roll out from the same θ, and the sum of their gradients makes one update (A2C).

It shows what asynchrony itself contributes. The actor-learners of a process take their steps together, so that each
weight is read once for all of them, and written once a round. A process a core has its share of the actor-learners
and of θ; the processes meet four times a round. Actor-learners of the one-step methods act one after another: their
gradients come due in different rounds.

The learning rate is that of one update, as in the asynchronous methods: a round of n actor-learners makes one step
with the sum of n gradients where these make n steps with one each. The clip of the gradient's norm acts on the sum.
"""

from __future__ import annotations

import time
from collections.abc import Generator
from multiprocessing.connection import Connection
from typing import ClassVar

from a3crepro.common.machine import usable_cores
from a3crepro.common.plain import Tree
from a3crepro.common.processes import Child, make_lock
from a3crepro.common.settings import PositiveCount
from a3crepro.config import Config
from a3crepro.execution._execution import Event, Execution, Origin, States
from a3crepro.execution._messages import receive_messages, stop_timeout
from a3crepro.execution._worker_group import AllReduce, RoundMessage, WorkerGroup
from a3crepro.learner.shared_state import SharedState


class Synchronous(Execution):
    """Rounds of all actor-learners with a barrier between them."""

    makes_one_update: ClassVar[bool] = True

    processes: PositiveCount | None
    """Processes that share the actor-learners; null: one a core. A run keeps the number that it began with."""

    def is_exact(self, threads: int) -> bool:
        return True

    def process_count(self, threads: int) -> int:
        return min(self.processes or usable_cores(), threads)

    def run(self, config: Config, shared: SharedState, origin: Origin) -> Generator[Event, None, None]:
        shared.share(make_lock())
        trees = origin.tree or [None] * config.processes
        all_reduce = AllReduce(len(trees), shared)
        children: list[Child] = []
        try:
            for part, tree in enumerate(trees):
                children.append(Child(f"process {part}", work, config, shared, all_reduce, part, origin.start, tree))
                yield Event(origin.seconds, origin.real_seconds)
            yield from events(children, shared, stop_timeout(config), time.monotonic() - origin.real_seconds)
        finally:
            shared.request_stop()
            for child in children:
                child.end(grace=0.0)


def events(children: list[Child], shared: SharedState, grace: float, began: float) -> Generator[Event, None, None]:
    """What is reported, in the order of rounds and processes: tables do not depend on who was first."""
    unread: list[list[RoundMessage]] = [[] for _ in children]
    for now, number, message in receive_messages(children, shared, grace):
        if number is None:
            yield Event(now - began, now - began)
            continue
        unread[number].append(message)
        if all(unread):
            yield from _put_together([messages.pop(0) for messages in unread], began, now)


def _put_together(messages: list[RoundMessage], began: float, now: float) -> Generator[Event, None, None]:
    reports = [report for message in messages for report in message.reports]
    for report in sorted(reports, key=lambda report: report.now):
        then = report.moment - began
        yield Event(then, then, report.what)
    arrays = messages[0].arrays
    if arrays is not None:
        yield Event(now - began, now - began, States(arrays, [message.tree for message in messages]))


def work(
    connection: Connection,
    config: Config,
    shared: SharedState,
    all_reduce: AllReduce,
    part: int,
    start: int,
    tree: Tree,
) -> None:
    """One process: rounds until the first one decides to stop."""
    group = WorkerGroup(config, shared, all_reduce, part, start)
    if tree is not None:
        group.restore(tree)
    while True:
        all_reduce.wait()  # θ and T are complete
        group.look()
        if part == 0:
            group.decide()
        all_reduce.wait()
        stop, save, flush = all_reduce.orders.bool().tolist()
        if flush:
            connection.send(group.message(save))
        if stop:
            return
        group.round()
