"""No asynchrony: all actor-learners roll out from the same θ, and the sum of their gradients makes one update (A2C).

It shows what asynchrony itself contributes. The actor-learners of a process take their steps together, so that each
weight is read once for all of them, and written once a round. A process a core has its share of the actor-learners
and of θ; the processes meet four times a round. Actor-learners of the one-step methods act one after another: their
gradients come due in different rounds.

The learning rate is that of one update, as in the asynchronous methods: a round of n actor-learners makes one step
with the sum of n gradients where these make n steps with one each. The clip of the gradient's norm acts on the sum.
"""

from __future__ import annotations

import os
import time
from collections.abc import Generator
from multiprocessing.connection import Connection
from typing import ClassVar

from a3crepro.config import Config
from a3crepro.execution._execution import GRACE, Event, Execution, Origin, States
from a3crepro.execution._team import Letter, Meeting, Team
from a3crepro.plain import Tree
from a3crepro.processes import CONTEXT, Child, wait_for_messages
from a3crepro.settings import PositiveCount
from a3crepro.shared_state import SharedState


class Synchronous(Execution):
    """Rounds of all actor-learners with a barrier between them."""

    makes_one_update: ClassVar[bool] = True

    processes: PositiveCount | None
    """Processes that share the actor-learners; null: one a core. A run keeps the number that it began with."""

    def is_exact(self, config: Config) -> bool:
        return True

    def process_count(self, config: Config) -> int:
        return min(self.processes or len(os.sched_getaffinity(0)), config.threads)

    def run(self, config: Config, shared: SharedState, origin: Origin) -> Generator[Event, None, None]:
        shared.share(CONTEXT.Lock())
        trees = origin.tree or [None] * self.process_count(config)
        meeting = Meeting(len(trees), shared)
        children: list[Child] = []
        try:
            for part, tree in enumerate(trees):
                children.append(Child(f"process {part}", work, config, shared, meeting, part, origin.start, tree))
                yield Event(origin.seconds, origin.real_seconds)
            yield from Listener(children, shared, time.monotonic() - origin.real_seconds).events()
        finally:
            shared.request_stop()
            for child in children:
                child.end(grace=0.0)


class Listener:
    """Puts the letters of all processes together, by rounds and processes: tables do not depend on who was first."""

    def __init__(self, children: list[Child], shared: SharedState, began: float) -> None:
        self.children, self.shared, self.began = children, shared, began
        self.letters: list[list[Letter]] = [[] for _ in children]

    def events(self) -> Generator[Event, None, None]:
        """What is reported, until the last round."""
        deadline = None
        while not all(child.finished for child in self.children):
            wait_for_messages(self.children, timeout=0.2)
            now = time.monotonic() - self.began
            for letters, child in zip(self.letters, self.children, strict=True):
                letters.extend(child.receive())
            while all(self.letters):
                yield from self._put_together([letters.pop(0) for letters in self.letters], now)
            yield Event(now, now)
            if self.shared.stopping:
                deadline = deadline or now + GRACE
                if now > deadline:
                    return  # whoever hangs is killed; what was saved before is whole

    def _put_together(self, letters: list[Letter], now: float) -> Generator[Event, None, None]:
        reports = [report for letter in letters for report in letter.reports]
        for report in sorted(reports, key=lambda report: report.round):
            then = report.moment - self.began
            yield Event(then, then, report.what)
        arrays = letters[0].arrays
        if arrays is not None:
            yield Event(now, now, States(arrays, [letter.tree for letter in letters]))


def work(
    connection: Connection, config: Config, shared: SharedState, meeting: Meeting, part: int, start: int, tree: Tree
) -> None:
    """One process: rounds until the first one decides to stop."""
    team = Team(config, shared, meeting, part, start)
    if tree is not None:
        team.restore(tree)
    while True:
        meeting.wait()  # θ and T are complete
        team.frames = shared.frames()
        if part == 0:
            team.decide()
        meeting.wait()
        stop, save, post = meeting.orders.bool().tolist()
        if post:
            connection.send(team.letter(save))
        if stop:
            return
        team.round()
