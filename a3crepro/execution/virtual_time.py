"""Asynchrony that can be repeated: many actor-learners in one process, on a clock of their own.

A rollout begins at a virtual moment with a copy of θ as it is then, lasts as long as its steps cost, and is written at
its end; in between come the writes of the others, in the order of their moments. So θ is as stale as on a machine with
a free core for each thread. Copies and writes are atomic, and nobody waits for memory: that is what the model leaves
out.
"""

from __future__ import annotations

import heapq
import time
from collections.abc import Generator
from dataclasses import replace
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING

import numpy as np

from a3crepro.common.plain import Tree
from a3crepro.common.processes import Child, make_lock
from a3crepro.common.rollout import Rollout
from a3crepro.common.scheduling import ask_for_long_time_slices
from a3crepro.common.settings import NonNegativeFloat, PositiveFloat
from a3crepro.execution._execution import Event, Execution, Origin, States
from a3crepro.execution._messages import ReportBuffer, receive_messages, stop_timeout
from a3crepro.learner.actor_learner import ActorLearner, Interrupted, make_models
from a3crepro.learner.reports import Copy, Episode, Snapshot

if TYPE_CHECKING:
    from a3crepro.config import Config
    from a3crepro.learner.shared_state import SharedState


class VirtualTime(Execution):
    """A discrete-event clock; one core is enough for any number of threads."""

    step_seconds: PositiveFloat
    """Mean virtual duration of an agent step, in seconds."""
    spread: NonNegativeFloat
    """Standard deviation of a step's duration, as a share of the mean; 0: all steps last equally long."""

    def is_exact(self, threads: int) -> bool:
        return True

    def process_count(self, threads: int) -> int:
        return 1

    def duration(self, steps: int, rng: np.random.Generator) -> float:
        """Seconds that so many steps last: a sum of gamma-distributed ones, which is gamma-distributed itself."""
        if self.spread == 0:
            return steps * self.step_seconds
        return float(rng.gamma(steps / self.spread**2, self.step_seconds * self.spread**2))

    def run(self, config: Config, shared: SharedState, origin: Origin) -> Generator[Event, None, None]:
        shared.share(make_lock())
        child = Child("the actor-learners' process", work, self, config, shared, origin)
        try:
            began, virtual = time.monotonic() - origin.real_seconds, origin.seconds
            for now, _, reports in receive_messages([child], shared, stop_timeout(config)):
                for report in reports or ():
                    virtual = report.now
                    yield Event(virtual, max(origin.real_seconds, report.moment - began), report.what)
                yield Event(virtual, now - began)
        finally:
            shared.request_stop()
            child.end(grace=0.0)


def work(connection: Connection, settings: VirtualTime, config: Config, shared: SharedState, origin: Origin) -> None:
    """The process: one rollout after another, until all frames are there."""
    ask_for_long_time_slices()
    clock, buffer = Clock(settings, config, shared, origin), ReportBuffer(connection)
    answered = shared.states_requested
    try:
        while not shared.stopping and shared.frames() < config.frames:
            for report in clock.advance():
                buffer.add(report, clock.now)
            buffer.send_if_due()
            if shared.states_requested != answered:
                answered = shared.states_requested
                buffer.add(clock.states(), clock.now)
        buffer.add(clock.states(), clock.now)
    finally:
        buffer.send()


class Clock:
    """The actor-learners, the rollouts that they are in the middle of, and when each of these ends."""

    def __init__(self, settings: VirtualTime, config: Config, shared: SharedState, origin: Origin) -> None:
        self.settings, self.shared, self.now = settings, shared, origin.seconds
        self.rng = np.random.default_rng([config.seed, 2**32 - 1])
        self.models = make_models(config, shared, config.env.spaces())
        self.learners = [
            ActorLearner(config, shared, thread, origin.start, self._report, self.models.replicas())
            for thread in range(config.threads)
        ]
        self.rollouts: list[Rollout | None] = [None] * config.threads
        self.games: list[list[Episode]] = [[] for _ in range(config.threads)]  # that end with a rollout
        self.queue: list[tuple[float, int]] = []
        self.idle = list(range(config.threads))
        self._snapshots: list[Snapshot | Copy] = []
        if origin.tree is not None:
            self._restore(origin.tree)

    def _report(self, report: Episode | Snapshot | Copy) -> None:
        if isinstance(report, Episode):
            self.games[report.thread].append(report)
        else:
            self._snapshots.append(report)

    def advance(self) -> list[Episode | Snapshot | Copy]:
        """Begins what is to begin, and goes on to the next end of a rollout, which is written; what it reports.

        Nothing, where it is requests to stop before all have begun: whole episodes are long.
        """
        while self.idle:
            if self.shared.stopping:
                return []
            try:
                self._begin(self.idle[0])
            except Interrupted:
                return []
            del self.idle[0]
        self.now, thread = heapq.heappop(self.queue)
        rollout, games = self.rollouts[thread], self.games[thread]
        assert rollout is not None
        frames = self.shared.frames()
        self.learners[thread].apply_gradient(rollout)
        self.idle, self.rollouts[thread], self.games[thread] = [thread], None, []
        snapshots, self._snapshots = self._snapshots, []
        return [*(replace(game, frames=frames) for game in games), *snapshots]

    def _begin(self, thread: int) -> None:
        """Computes a rollout and its gradient at θ as it is now; they are written when its time is over."""
        self.rollouts[thread] = rollout = self.learners[thread].compute_gradient()
        ends = self.now + self.settings.duration(len(rollout.actions), self.rng)
        heapq.heappush(self.queue, (ends, thread))

    def states(self) -> States:
        """Everything, as it is between two events."""
        tree = {
            "now": self.now,
            "queue": self.queue,
            "idle": self.idle,
            "random": self.rng.bit_generator.state,
            "rollouts": [rollout and (rollout.actions, rollout.episode_ended) for rollout in self.rollouts],
            "games": [[(game.score, game.episode_frames) for game in games] for games in self.games],
            "models": self.models.get_state(),
            "learners": [learner.get_state() for learner in self.learners],
        }
        return States(self.shared.arrays(), tree)

    def _restore(self, tree: Tree) -> None:
        self.now, self.queue, self.idle = tree["now"], tree["queue"], tree["idle"]
        self.rng.bit_generator.state = tree["random"]
        for thread, learner in enumerate(self.learners):
            learner.set_state(tree["learners"][thread])
            if stored := tree["rollouts"][thread]:
                actions, episode_ended = stored
                frames_per_step = learner.config.env.frames_per_step
                self.rollouts[thread] = Rollout(None, frames_per_step, actions=actions, episode_ended=episode_ended)
            self.games[thread] = [Episode(0, thread, *game) for game in tree["games"][thread]]
        self.models.set_state(tree["models"])
