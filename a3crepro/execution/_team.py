"""The actor-learners of one process in the synchronous execution: they roll out, and meet those of other processes."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import torch

from a3crepro.actor_learner import ActorLearner, Copy, Episode, Models, Rollout, Snapshot, make_models, step_size
from a3crepro.algorithms._algorithm import Algorithm, Outputs
from a3crepro.config import Config
from a3crepro.execution._post import LETTERS, Report
from a3crepro.model import Answer, Batch, Model
from a3crepro.plain import Tree
from a3crepro.processes import CONTEXT
from a3crepro.scaling import Scaling
from a3crepro.shared_state import TARGET, TARGET_VERSION, SharedState


@dataclass(frozen=True)
class Letter:
    """What a process reports: all processes send theirs between the same two rounds."""

    reports: list[Report]
    tree: Tree | None
    """Its state, where it was asked for."""
    arrays: dict[str, np.ndarray] | None
    """The shared state at the same moment, from the first process."""


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
        self.read_shared(self.team.frames)
        self.model.synchronise()

    def current_scale(self) -> Scaling:
        return self.team.scale

    def apply(self) -> None:
        self.due = True

    def update_target(self) -> None:
        self.target_first = not self.due


class Lane(Member):
    """One that takes its steps together with the others of its team: what it asks for, they all have asked for."""

    lanes: Lanes
    number = 0
    """Among the lanes."""

    def begin(self) -> Rollout:
        self.read_shared(self.team.frames)
        self.acted: list[Outputs] = []
        self.rollout = super().begin()
        return self.rollout

    def synchronise(self) -> None:
        """All have done so together, before their rollouts."""

    def act(self, outputs: Outputs, state: Any) -> None:
        """Takes a step, with the network's outputs for the current state."""
        self.acted.append(outputs)
        self.decide_from(outputs, state)
        self.step(self.rollout)

    def roll_out(self, steps: int | None) -> Rollout:
        assert steps == self.algo.max_steps
        return self.rollout

    def ask(self, model: Model) -> Answer:
        return self.lanes.answers(model)[self.number]

    def get_state(self) -> Tree:
        return {**super().get_state(), "gradient": None}  # that of all lanes, and 0 between two rounds

    def accumulate(self, rollout: Rollout, returns: np.ndarray) -> dict[str, np.ndarray]:
        self.returns = returns
        return {name: np.stack([outputs[name] for outputs in self.acted]) for name in self.acted[0]}


class Lanes:
    """The actor-learners of one process, where they take their steps together."""

    def __init__(self, models: Models, lanes: list[Lane]) -> None:
        self.lanes, self.target = lanes, models.target
        self.batch = cast(Batch, models.model)
        self._answers: dict[int, dict[int, Answer]] = {}
        for number, lane in enumerate(lanes):
            lane.lanes, lane.number = self, number

    def roll_out(self) -> None:
        """All act, step by step together, each to the end of its rollout."""
        self.batch.synchronise()
        self._answers.clear()
        for lane in self.lanes:
            lane.begin()
        going = self.lanes
        while going:
            answers = self._ask(self.batch, going)
            for lane in going:
                lane.act(*answers[lane.number])
            going = [lane for lane in going if not lane.rollout.is_complete(lane.algo.max_steps)]

    def answers(self, model: Model) -> dict[int, Answer]:
        """What a model says of the states that the lanes have come to; of terminal ones it means nothing."""
        if id(model) not in self._answers:
            if model is self.target:
                model.synchronise()
            self._answers[id(model)] = self._ask(cast(Batch, model), self.lanes)
        return self._answers[id(model)]

    def _ask(self, batch: Batch, lanes: list[Lane]) -> dict[int, Answer]:
        return batch.outputs_of({lane.number: (lane.observation, lane.state) for lane in lanes})

    def accumulate(self, algo: Algorithm) -> None:
        """dθ ← dθ + the gradients of all rollouts."""
        self.batch.accumulate_all([lane.rollout for lane in self.lanes], [lane.returns for lane in self.lanes], algo)


class Team:
    """The actor-learners of one process."""

    def __init__(self, config: Config, shared: SharedState, meeting: Meeting, part: int, start: int) -> None:
        self.config, self.shared, self.meeting, self.part = config, shared, meeting, part
        self.reports: list[Report] = []
        self.rounds, self.answered, self.posted = 0, meeting.answered, time.monotonic()
        self.look()
        self.arrays: dict[str, np.ndarray] | None = None
        # Where a rollout is an update, one gradient is summed for all; else some may have to wait for theirs.
        self.together = config.algo.uses_thread_copy
        self._make_members(range(config.threads)[part :: meeting.processes], start)
        self.slice = slice(*meeting.edges[part : part + 2])

    def _make_members(self, threads: Sequence[int], start: int) -> None:
        config, shared, spaces = self.config, self.shared, self.config.env.spaces()
        self.lanes: Lanes | None = None
        self.members: Sequence[Member]
        if self.together and len(threads) > 1:
            self.models = make_models(config, shared, spaces, len(threads))
            lanes = [Lane(config, shared, thread, start, self._report, self.models) for thread in threads]
            self.members, self.lanes = lanes, Lanes(self.models, lanes)
        else:
            models = self.models = make_models(config, shared, spaces)
            self.members = [
                Member(config, shared, thread, start, self._report, models if self.together else models.siblings())
                for thread in threads
            ]
        for member in self.members:
            member.team = self

    def look(self) -> None:
        """Takes note of T and of what scales observations, which stay what they are in the whole round."""
        self.frames, self.scale = self.shared.frames(), self.shared.scale()

    def _report(self, what: Episode | Snapshot | Copy) -> None:
        if isinstance(what, Episode):
            what = replace(what, frames=self.frames)  # T as it is in the whole round
        self.reports.append(Report(time.monotonic(), self.rounds, what))

    def round(self) -> None:
        """All roll out from the same θ, which then is updated with the sum of the gradients that are due."""
        self.rounds += 1
        if self.lanes:
            self.lanes.roll_out()
        for member in self.members:
            member.due = False
            member.write(member.compute())
        if self.lanes:
            self.lanes.accumulate(self.config.algo)
        due = [member for member in self.members if member.due]
        models = [self.models.model] if self.together else [member.model for member in due]
        if self.meeting.processes == 1 and len(models) == 1:
            self._update_alone(due)
        else:
            self._update_with_others(due, models)

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
        row[:] = models[0].full_gradient() if models else 0
        for model in models[1:]:
            row += model.full_gradient()
        for model in models:
            model.clear_gradient()
        for member in due:
            member.count_staleness()
        meeting.due[part] = len(due)
        meeting.wait()
        with np.errstate(all="ignore"):  # what is not finite is seen in the norm, and refused
            gradient = meeting.gradients[:, self.slice].numpy().sum(0)
            meeting.squares[part] = float(np.dot(gradient, gradient))
        meeting.wait()
        self._update_slice(gradient)

    def _update_slice(self, gradient: np.ndarray) -> None:
        """θ⁻ and θ, as far as they are this process's."""
        shared, config = self.shared, self.config
        theta, interval = shared.parameters.numpy()[self.slice], config.algo.target_interval
        crossed = interval is not None and shared.is_due(TARGET, interval)
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
        requested = shared.states_requested
        orders[SAVE] = orders[STOP] or requested != self.answered
        self.answered = requested
        self.arrays = shared.arrays() if orders[SAVE] else None  # now, for nobody writes
        orders[POST] = orders[SAVE] or time.monotonic() - self.posted > LETTERS

    def letter(self, save: bool) -> Letter:
        """What there is to report."""
        reports, self.reports, self.posted = self.reports, [], time.monotonic()
        if not save:
            return Letter(reports, None, None)
        return Letter(reports, self.state(), self.arrays)

    def state(self) -> Tree:
        """Everything of this process that is not shared."""
        return {"models": self.models.get_state(), "members": [member.get_state() for member in self.members]}

    def restore(self, tree: Tree) -> None:
        """Goes on from there."""
        self.models.set_state(tree["models"])
        for member, state in zip(self.members, tree["members"], strict=True):
            member.set_state(state)
