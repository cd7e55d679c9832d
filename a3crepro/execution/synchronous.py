"""No asynchrony: all actor-learners roll out from the same θ, and the sum of their gradients makes one update (A2C).

It shows what asynchrony itself contributes, and is the fastest way to use a few cores: the actor-learners of a process
take their steps together, so that each weight is read once for all of them, and written once a round. A process a core
has its share of the actor-learners and of θ; the processes meet four times a round. Actor-learners of the one-step
methods act one after another: their gradients come due in different rounds.

The learning rate is that of one update, as in the asynchronous methods: a round of n actor-learners makes one step with
the sum of n gradients where these make n steps with one each. The clip of the gradient's norm acts on the sum.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

import numpy as np
import torch

from a3crepro.actor_learner import ActorLearner, Episode, Models, Rollout, Snapshot, make_models, step_size
from a3crepro.algorithms._algorithm import Outputs
from a3crepro.config import Config
from a3crepro.execution._execution import Event, Execution, Origin, States
from a3crepro.execution.hogwild import GRACE, LETTERS
from a3crepro.model import Answer, Model
from a3crepro.plain import Tree
from a3crepro.processes import CONTEXT, Child, wait_for_messages
from a3crepro.settings import PositiveCount
from a3crepro.shared_state import TARGET, TARGET_VERSION, SharedState


class Synchronous(Execution):
    """Rounds of all actor-learners with a barrier between them."""

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


class Report(NamedTuple):
    """Something to report, and when it happened."""

    round: int
    moment: float
    """On a clock that all processes share."""
    what: Episode | Snapshot


@dataclass(frozen=True)
class Letter:
    """What a process reports: all processes send theirs between the same two rounds."""

    reports: list[Report]
    tree: Tree | None
    """Its state, where it was asked for."""
    arrays: dict[str, np.ndarray] | None
    """The shared state at the same moment, from the first process."""


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


class Meeting:
    """What the processes share beside θ: a barrier, the sums of their gradients, and what the first of them decides."""

    def __init__(self, processes: int, shared: SharedState) -> None:
        n = shared.parameters.numel()
        self.processes, self.answered = processes, shared.states_requested
        self.barrier = CONTEXT.Barrier(processes)
        self.gradients = torch.zeros(processes, n)
        self.squares = torch.zeros(processes, dtype=torch.float64)
        self.due = torch.zeros(processes, dtype=torch.int64)
        self.orders = torch.zeros(3, dtype=torch.int64)
        for tensor in (self.gradients, self.squares, self.due, self.orders):
            tensor.share_memory_()  # type: ignore[no-untyped-call]
        self.edges = np.linspace(0, n, processes + 1).astype(int).tolist()

    def wait(self) -> None:
        """Returns when all processes are here."""
        if self.processes > 1:
            self.barrier.wait()


STOP, SAVE, POST = range(3)
"""Entries of `orders`: stop here; send your states; send what you have to report."""


class Member(ActorLearner):
    """An actor-learner that leaves T, the update and the target network to its team."""

    team: Team
    due = False
    """Its gradient is to be part of this round's update."""
    target_first = False
    """The method sets θ⁻ before it updates θ."""

    def synchronise(self) -> None:
        self.global_frames = self.team.frames
        self._read_at.append(self.shared.updates())
        if self.team.synchronised:
            self.model.begin_rollout()
        else:
            self.model.synchronise()
            self.team.synchronised = True

    def apply(self) -> None:
        self.due = True

    def update_target(self) -> None:
        self.target_first = not self.due


class Lane(Member):
    """One that takes its steps together with the others of its team: what it asks for, they all have asked for."""

    lane = 0

    def begin(self) -> Rollout:
        self.acted: list[Outputs] = []
        self.rollout = super().begin()
        return self.rollout

    def act(self, outputs: Outputs, state: Any) -> None:
        """Takes a step, with the network's outputs for the current state."""
        self.acted.append(outputs)
        self.decide_from(outputs, state)
        self.step(self.rollout)

    def roll_out(self, steps: int) -> Rollout:
        assert steps == self.algo.max_steps
        return self.rollout

    def ask(self, model: Model) -> Answer:
        return self.team.answers(model)[self.lane]

    def accumulate(self, rollout: Rollout, returns: np.ndarray) -> dict[str, np.ndarray]:
        self.returns = returns
        return {name: np.stack([outputs[name] for outputs in self.acted]) for name in self.acted[0]}


class Team:
    """The actor-learners of one process."""

    def __init__(self, config: Config, shared: SharedState, meeting: Meeting, part: int, start: int) -> None:
        self.config, self.algo, self.shared, self.meeting, self.part = config, config.algo, shared, meeting, part
        self.reports: list[Report] = []
        self.rounds, self.answered, self.posted = 0, meeting.answered, time.monotonic()
        self.frames = shared.frames()
        self.synchronised = False
        threads = range(config.threads)[part :: meeting.processes]
        # Where a rollout is an update, one gradient is summed for all; else some may have to wait for theirs.
        self.together = config.algo.uses_thread_copy
        self.lanes: list[Lane] = []
        self._answers: dict[int, dict[int, Answer]] = {}
        if self.together and len(threads) > 1:
            self.models = make_models(config, shared, config.env.spaces(), len(threads))
            self.lanes = [Lane(config, shared, thread, start, self._report, self.models) for thread in threads]
            for number, lane in enumerate(self.lanes):
                lane.lane = number
        else:
            self.models = make_models(config, shared, config.env.spaces())
        self.members: Sequence[Member] = self.lanes or [
            Member(config, shared, thread, start, self._report, self._models()) for thread in threads
        ]
        for member in self.members:
            member.team = self
        self.slice = slice(*meeting.edges[part : part + 2])

    def _models(self) -> Models:
        return self.models if self.together else self.models.siblings()

    def _report(self, what: Episode | Snapshot) -> None:
        if isinstance(what, Episode):
            what = replace(what, frames=self.frames)  # T as it is in the whole round
        self.reports.append(Report(self.rounds, time.monotonic(), what))

    def round(self) -> None:
        """All roll out from the same θ, which then is updated with the sum of the gradients that are due."""
        self.rounds += 1
        self.synchronised = False
        if self.lanes:
            self._roll_out()
        for member in self.members:
            member.due = False
            member.write(member.compute())
        if self.lanes:
            batch: Any = self.models.model
            batch.accumulate_all(
                [lane.rollout for lane in self.lanes], [lane.returns for lane in self.lanes], self.algo
            )
        due = [member for member in self.members if member.due]
        models = [self.models.model] if self.together else [member.model for member in due]
        if self.meeting.processes == 1 and len(models) == 1:
            self._update_alone(due)
        else:
            self._update_with_others(due, models)

    def _roll_out(self) -> None:
        """All lanes act, step by step together, each to the end of its rollout."""
        batch: Any = self.models.model
        batch.synchronise()
        self.synchronised = True
        self._answers.clear()
        for lane in self.lanes:
            lane.begin()
        going = self.lanes
        while going:
            answers = batch.outputs_of({lane.lane: (lane.observation, lane.state) for lane in going})
            for lane in going:
                lane.act(*answers[lane.lane])
            going = [lane for lane in going if not lane.rollout.is_complete(self.algo.max_steps)]

    def answers(self, model: Model) -> dict[int, Answer]:
        """What a model says of the states that the lanes have come to, where these are not terminal."""
        if id(model) not in self._answers:
            batch: Any = model
            if model is self.models.target:
                batch.synchronise()
            asked = {lane.lane: (lane.observation, lane.state) for lane in self.lanes if not lane.rollout.terminal}
            self._answers[id(model)] = batch.outputs_of(asked)
        return self._answers[id(model)]

    def _update_alone(self, due: list[Member]) -> None:
        """As the asynchronous methods do it."""
        lead = due[0]
        for member in due[1:]:
            member.count_staleness()
        if lead.target_first:
            ActorLearner.update_target(lead)
        ActorLearner.apply(lead)
        if not lead.target_first:
            ActorLearner.update_target(lead)

    def _update_with_others(self, due: list[Member], models: list[Model]) -> None:
        meeting, part = self.meeting, self.part
        row = meeting.gradients[part].numpy()
        row[:] = 0
        for model in models:
            row += model.full_gradient()
            model.clear_gradient()
        for member in due:
            member.count_staleness()
        meeting.due[part] = len(due)
        meeting.wait()
        gradient = meeting.gradients[:, self.slice].numpy().sum(0)
        meeting.squares[part] = float(np.dot(gradient, gradient))
        meeting.wait()
        self._update_slice(gradient)

    def _update_slice(self, gradient: np.ndarray) -> None:
        """θ⁻ and θ, as far as they are this process's."""
        shared, config = self.shared, self.config
        theta, interval = shared.parameters.numpy()[self.slice], config.algo.target_interval
        crossed = interval is not None and shared.frames() // interval > int(shared.marks[TARGET])
        target_first = self.members[0].target_first
        if crossed and target_first:
            shared.target.numpy()[self.slice] = theta
        if self.meeting.due.any():
            norm = math.sqrt(float(self.meeting.squares.sum()))
            if math.isfinite(norm):
                rate, clip = step_size(config, self.frames, norm)
                statistics = shared.statistics[0].numpy()[self.slice]
                config.optimizer.update(theta, np.float32(clip) * gradient, statistics, rate)
            if self.part == 0:
                self.members[0].count_update(math.isfinite(norm))
        if crossed and not target_first:
            shared.target.numpy()[self.slice] = theta

    def decide(self) -> None:
        """What the first process does between two rounds, while the others wait."""
        shared, config, orders = self.shared, self.config, self.meeting.orders
        interval = config.algo.target_interval
        if interval is not None and shared.crossed(TARGET, interval) is not None:
            shared.marks[TARGET_VERSION] += 1
        self.members[0].snapshot()
        orders[STOP] = shared.stopping or shared.frames() >= config.frames
        orders[SAVE] = orders[STOP] or shared.states_requested != self.answered
        self.answered = shared.states_requested
        orders[POST] = orders[SAVE] or time.monotonic() - self.posted > LETTERS

    def letter(self, save: bool) -> Letter:
        """What there is to report."""
        reports, self.reports, self.posted = self.reports, [], time.monotonic()
        if not save:
            return Letter(reports, None, None)
        return Letter(reports, self.state(), self.shared.arrays() if self.part == 0 else None)

    def state(self) -> Tree:
        """Everything of this process that is not shared."""
        return {"models": self.models.get_state(), "members": [member.get_state() for member in self.members]}

    def restore(self, tree: Tree) -> None:
        """Goes on from there."""
        self.models.set_state(tree["models"])
        for member, state in zip(self.members, tree["members"], strict=True):
            member.set_state(state)


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
