"""One worker process of the synchronous execution: its actor-learners, and the all-reduce with other processes."""

import math
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
import torch

from a3crepro.algorithms._algorithm import Algorithm
from a3crepro.common.processes import CONTEXT
from a3crepro.common.rollout import Rollout
from a3crepro.common.serialization import PyTree
from a3crepro.config import Config
from a3crepro.execution._execution import FLUSH_SECONDS, TimedReport, Timer
from a3crepro.learner.actor_learner import ActorLearner, Models, Selected, make_models
from a3crepro.learner.reports import Episode, Report
from a3crepro.learner.shared_state import TARGET, TARGET_VERSION, Moment, SharedState
from a3crepro.learner.update import Update
from a3crepro.mathematics.returns import n_step_returns
from a3crepro.models.model import Batch, Model, OutputsAndState


@dataclass(frozen=True)
class RoundMessage:
    """What a process sends between two rounds; all send theirs between the same two."""

    reports: list[TimedReport]
    tree: PyTree | None
    """Its state, if it was requested."""
    arrays: dict[str, np.ndarray] | None
    """The shared arrays at the same moment; only from the first process."""


class AllReduce:
    """What worker processes share beside θ: a barrier, their gradients, and the commands of the first one."""

    def __init__(self, processes: int, shared: SharedState) -> None:
        n = shared.parameters.numel()
        self.processes, self.answered = processes, shared.states_requested
        self.barrier = CONTEXT.Barrier(processes)
        self.gradients = torch.zeros(processes, n)
        self.squares = torch.zeros(processes, dtype=torch.float64)
        self.due = torch.zeros(processes, dtype=torch.int64)
        self.commands = torch.zeros(3, dtype=torch.int64)
        for tensor in (self.gradients, self.squares, self.due, self.commands):
            tensor.share_memory_()  # type: ignore[no-untyped-call]
        self.edges = np.linspace(0, n, processes + 1).astype(int).tolist()

    def wait(self) -> None:
        """Waits for all processes."""
        if self.processes > 1:
            self.barrier.wait()


STOP, SAVE, FLUSH = range(3)
"""Entries of `commands`: stop; send the state; send the reports."""


def shares_gradient(algo: Algorithm) -> bool:
    """Whether the actor-learners of a process add to one gradient and can act as a batch; else each has its own.

    That takes an update after each rollout of each of them. A method that bootstraps from the next action selects it
    by itself, outside of the batch.
    """
    always_due = type(algo).update_is_due is Algorithm.update_is_due
    return algo.uses_thread_copy and always_due and not algo.bootstraps_from_next_action


class BatchedLearners:
    """Actor-learners of one process that act as a batch, one in each lane, so that weights are read once for all."""

    def __init__(self, models: Models, learners: Sequence[ActorLearner]) -> None:
        self.learners, self.target, self.algo = learners, models.target, learners[0].algo
        self.batch = cast(Batch, models.model)

    def compute_gradients(self, moment: Moment) -> list[Rollout]:
        """All roll out at the same θ; dθ ← dθ + the gradients of all rollouts."""
        self.batch.synchronise()
        rollouts = self._roll_out(moment)
        bootstraps = self._bootstrap(rollouts)
        outputs = self.batch.batch_rollout_outputs(rollouts)
        gradients = []
        for learner, rollout, bootstrap, of_rollout in zip(self.learners, rollouts, bootstraps, outputs, strict=True):
            returns = n_step_returns(rollout.rewards, rollout.discounts, bootstrap)
            gradients.append(learner.gradient_at(of_rollout, rollout, returns))
        self.batch.backward_batch(gradients)
        return rollouts

    def _roll_out(self, moment: Moment) -> list[Rollout]:
        """All act in lockstep, each to the end of its rollout."""
        for learner in self.learners:
            learner.begin_at(moment)
        rollouts = [learner.begin_rollout() for learner in self.learners]
        acting = list(range(len(self.learners)))
        while acting:
            answers = self._forward(self.batch, acting)
            for lane in acting:
                learner, (outputs, state) = self.learners[lane], answers[lane]
                learner.step(rollouts[lane], Selected(self.algo.select_action(outputs, learner), state))
            acting = [lane for lane in acting if not rollouts[lane].is_complete(self.algo.rollout_steps)]
        return rollouts

    def _bootstrap(self, rollouts: Sequence[Rollout]) -> list[float]:
        """The values of the states that the rollouts end in; 0 if they are terminal."""
        if all(rollout.terminal for rollout in rollouts) or self.algo.rollout_steps is None:
            return [0.0] * len(rollouts)
        model = self.batch
        if self.algo.bootstraps_from_target:
            model = cast(Batch, self.target)
            model.synchronise()
        answers = self._forward(model, range(len(self.learners)))  # those of terminal states are not used
        return [
            0.0 if rollout.terminal else self.algo.bootstrap_value(answers[lane][0], None, self.learners[lane])
            for lane, rollout in enumerate(rollouts)
        ]

    def _forward(self, batch: Batch, lanes: Iterable[int]) -> dict[int, OutputsAndState]:
        return batch.forward_batch(
            {lane: (self.learners[lane].observation, self.learners[lane].state) for lane in lanes}
        )


class WorkerGroup:
    """The actor-learners of one process, number `part` of them; the run was resumed `attempt` times."""

    def __init__(self, config: Config, shared: SharedState, all_reduce: AllReduce, part: int, attempt: int) -> None:
        self.config, self.shared, self.all_reduce, self.part = config, shared, all_reduce, part
        self.reports: list[TimedReport] = []
        self.rounds, self.answered, self.flushed = 0, all_reduce.answered, time.monotonic()
        self.timer = Timer(config.logging.metrics_seconds)
        self.begin_round()
        self.arrays: dict[str, np.ndarray] | None = None
        self.shares_gradient = shares_gradient(config.algo)
        self._make_learners(range(config.threads)[part :: all_reduce.processes], attempt)
        has_one_gradient = self.shares_gradient or len(self.learners) == 1
        self.updates_alone = all_reduce.processes == 1 and has_one_gradient
        self.slice = slice(*all_reduce.edges[part : part + 2])
        self.update = Update(config, shared, shared.optimizer_state(0))

    def _make_learners(self, threads: Sequence[int], attempt: int) -> None:
        config, shared, spaces = self.config, self.shared, self.config.env.spaces()
        batched = self.shares_gradient and len(threads) > 1
        models = self.models = make_models(config, shared, spaces, len(threads) if batched else 0)
        self.learners = [
            ActorLearner(
                config, shared, thread, attempt, self._report, models if self.shares_gradient else models.replicas()
            )
            for thread in threads
        ]
        self.batched = BatchedLearners(models, self.learners) if batched else None

    def begin_round(self) -> None:
        """Reads T and the normaliser, which hold for the whole round."""
        self.moment = self.shared.moment()

    def _report(self, what: Report) -> None:
        if isinstance(what, Episode):
            what = replace(what, frames=self.moment.frames)  # as in the whole round
        self.reports.append(TimedReport(time.monotonic(), self.rounds, what))

    def run_round(self) -> None:
        """All roll out at the same θ, which is then updated with the sum of the gradients that are due."""
        self.rounds += 1
        due = self._compute_gradients()
        models = [self.models.model] if self.shares_gradient else [learner.model for learner in due]
        if self.updates_alone and models:  # as in the asynchronous executions, in one pass
            self._update_alone(due)
        else:
            self._update_with_others(due, models)

    def _compute_gradients(self) -> list[ActorLearner]:
        """The first half of the loop's body; returns the actor-learners whose updates are due."""
        if self.batched:
            rollouts = self.batched.compute_gradients(self.moment)
        else:
            rollouts = [learner.compute_gradient_at(self.moment) for learner in self.learners]
        due = []
        for learner, rollout in zip(self.learners, rollouts, strict=True):
            learner.count(rollout.frames)
            if self.config.algo.update_is_due(learner.own_steps, rollout):
                due.append(learner)
        return due

    def _update_alone(self, due: list[ActorLearner]) -> None:
        """Updates θ with the only gradient, and θ⁻, in the order of the pseudocode."""
        for learner in due[1:]:
            learner.count_staleness()
        if self.config.algo.updates_target_first:
            self.update.update_target()
        due[0].update_parameters()
        if not self.config.algo.updates_target_first:
            self.update.update_target()

    def _update_with_others(self, due: list[ActorLearner], models: list[Model]) -> None:
        """Sums all gradients over the processes; each process updates its slice of θ."""
        all_reduce, part = self.all_reduce, self.part
        row = all_reduce.gradients[part].numpy()
        row[:] = models[0].full_gradient() if models else 0
        for model in models[1:]:
            row += model.full_gradient()
        for model in models:
            model.clear_gradient()
        for learner in due:
            learner.count_staleness()
        all_reduce.due[part] = len(due)
        all_reduce.wait()
        with np.errstate(all="ignore"):  # the norm shows what is not finite
            gradient = all_reduce.gradients[:, self.slice].numpy().sum(0)
            all_reduce.squares[part] = float(np.dot(gradient, gradient))
        all_reduce.wait()
        if self.config.algo.updates_target_first:
            self._update_target_slice()
        self._update_slice(gradient)
        if not self.config.algo.updates_target_first:
            self._update_target_slice()

    def _update_slice(self, gradient: np.ndarray) -> None:
        """Updates this process's slice of θ with its gradient, if any actor-learner's update is due."""
        if self.all_reduce.due.any():
            norm = math.sqrt(float(self.all_reduce.squares.sum()))
            self.update.apply_slice(self.slice, gradient, norm, self.moment)
            if self.part == 0:
                self.learners[0].count_update(norm)

    def _update_target_slice(self) -> None:
        """Updates this process's slice of θ⁻ if it is due; `command` counts the update."""
        if self.update.target_is_due:
            self.shared.target[self.slice] = self.shared.parameters[self.slice]

    def command(self) -> None:
        """Run by the first process between two rounds: triggers, snapshots, totals, and the commands to all."""
        shared, config, commands = self.shared, self.config, self.all_reduce.commands
        interval = config.algo.target_interval
        if interval is not None and shared.crossed_multiple(TARGET, interval) is not None:
            shared.last_triggers[TARGET_VERSION] += 1
        self.learners[0].snapshot()
        if self.timer.has_passed():
            self._report(shared.totals())
        commands[STOP] = shared.stopping or shared.frames() >= config.frames
        requested = shared.states_requested
        commands[SAVE] = commands[STOP] or requested != self.answered
        self.answered = requested
        self.arrays = shared.arrays() if commands[SAVE] else None  # now, when no process writes
        commands[FLUSH] = commands[SAVE] or time.monotonic() - self.flushed > FLUSH_SECONDS

    def message(self, save: bool) -> RoundMessage:
        """The reports, and the state if it was requested."""
        reports, self.reports, self.flushed = self.reports, [], time.monotonic()
        return RoundMessage(reports, self.state() if save else None, self.arrays)

    def state(self) -> PyTree:
        """The state of this process, beside the shared arrays."""
        learners = [learner.get_state() for learner in self.learners]
        if self.batched:
            learners = [{**state, "gradient": None} for state in learners]  # shared, and 0 between rounds
        return {"models": self.models.get_state(), "learners": learners}

    def restore(self, tree: PyTree) -> None:
        """Restores what `state` returned."""
        self.models.set_state(tree["models"])
        for learner, state in zip(self.learners, tree["learners"], strict=True):
            learner.set_state(state)
