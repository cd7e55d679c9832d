"""A repeatable simulation of asynchrony: many actor-learners in one process, on a virtual clock.

A rollout begins at a virtual time with a copy of θ, lasts as long as its steps cost, and is applied at its end; the
updates of others that fall in between come first. So gradients are as stale as on a machine with a free core for each
thread. Copies and updates are atomic and take no time: that is what the model leaves out.
"""

import heapq
import time
from collections.abc import Generator
from dataclasses import replace
from multiprocessing.connection import Connection

import numpy as np

from a3crepro.common.config_model import NonNegativeFloat, PositiveFloat
from a3crepro.common.machine import ask_for_long_time_slices
from a3crepro.common.processes import Child, make_lock
from a3crepro.common.rollout import Rollout
from a3crepro.common.serialization import PyTree
from a3crepro.config import Config
from a3crepro.execution._execution import Event, Execution, ReportBuffer, ResumePoint, States, receive_messages
from a3crepro.learner.actor_learner import ActorLearner, Interrupted, make_models
from a3crepro.learner.reports import Copy, Episode, Report, Snapshot
from a3crepro.learner.shared_state import SharedState


class VirtualTime(Execution):
    """A discrete-event simulation of any number of actor-learners on one core."""

    step_seconds: PositiveFloat
    """Mean virtual duration of an agent step, in seconds."""
    spread: NonNegativeFloat
    """Standard deviation of the duration of a step, relative to its mean."""

    def is_exact(self, threads: int) -> bool:
        return True

    def process_count(self, threads: int) -> int:
        return 1

    def duration(self, steps: int, rng: np.random.Generator) -> float:
        """Virtual duration of `steps` steps, in seconds: a sum of gamma variates, which is a gamma variate."""
        if self.spread == 0:
            return steps * self.step_seconds
        return float(rng.gamma(steps / self.spread**2, self.step_seconds * self.spread**2))

    def run(self, config: Config, shared: SharedState, resume_point: ResumePoint) -> Generator[Event, None, None]:
        shared.share(make_lock())
        child = Child("the actor-learners' process", work, self, config, shared, resume_point)
        try:
            began, virtual = time.monotonic() - resume_point.real_seconds, resume_point.seconds
            for now, _, reports in receive_messages([child], shared, config):
                for report in reports or ():
                    virtual = report.now
                    yield Event(virtual, max(resume_point.real_seconds, report.moment - began), report.what)
                yield Event(virtual, now - began)
        finally:
            shared.request_stop()
            child.end(grace=0.0)


def work(
    connection: Connection, settings: VirtualTime, config: Config, shared: SharedState, resume_point: ResumePoint
) -> None:
    """The process: one rollout after another until the budget is used up."""
    ask_for_long_time_slices()
    clock, buffer = Clock(settings, config, shared, resume_point), ReportBuffer(connection)
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
    """The actor-learners, their current rollouts, and the virtual time at which each rollout ends."""

    def __init__(self, settings: VirtualTime, config: Config, shared: SharedState, resume_point: ResumePoint) -> None:
        self.settings, self.shared, self.now = settings, shared, resume_point.seconds
        self.rng = np.random.default_rng([config.seed, 2**32 - 1])
        self.models = make_models(config, shared, config.env.spaces())
        self.learners = [
            ActorLearner(config, shared, thread, resume_point.attempt, self._report, self.models.replicas())
            for thread in range(config.threads)
        ]
        self.rollouts: list[Rollout | None] = [None] * config.threads
        self.episodes: list[list[Episode]] = [[] for _ in range(config.threads)]  # that ended in the current rollout
        self.queue: list[tuple[float, int]] = []
        self.idle = list(range(config.threads))
        self._snapshots: list[Snapshot | Copy] = []
        self._metrics_seconds = config.logging.metrics_seconds
        if resume_point.tree is not None:
            self._restore(resume_point.tree)

    def _report(self, report: Report) -> None:
        if isinstance(report, Episode):
            self.episodes[report.thread].append(report)
        elif isinstance(report, Snapshot | Copy):
            self._snapshots.append(report)

    def advance(self) -> list[Report]:
        """Advances to the next end of a rollout, applies its gradient, and returns the reports.

        Returns nothing if the run is stopped before all rollouts have begun.
        """
        while self.idle:
            if self.shared.stopping:
                return []
            begins = self.idle[0]
            try:
                rollout = self.learners[begins].compute_gradient()  # at the current θ, applied when its time is over
            except Interrupted:
                return []
            del self.idle[0]
            self.rollouts[begins] = rollout
            heapq.heappush(self.queue, (self.now + self.settings.duration(len(rollout.actions), self.rng), begins))
        before = self.now // self._metrics_seconds
        self.now, thread = heapq.heappop(self.queue)
        ended, episodes = self.rollouts[thread], self.episodes[thread]
        assert ended is not None
        frames = self.shared.frames()
        self.learners[thread].apply_gradient(ended)
        self.idle, self.rollouts[thread], self.episodes[thread] = [thread], None, []
        snapshots, self._snapshots = self._snapshots, []
        totals = [self.shared.totals()] if self.now // self._metrics_seconds > before else []
        return [*(replace(episode, frames=frames) for episode in episodes), *snapshots, *totals]

    def states(self) -> States:
        """The state between two events."""
        tree = {
            "now": self.now,
            "queue": self.queue,
            "idle": self.idle,
            "random": self.rng.bit_generator.state,
            "rollouts": [rollout and (rollout.actions, rollout.episode_ended) for rollout in self.rollouts],
            "episodes": [[(each.score, each.episode_frames) for each in ended] for ended in self.episodes],
            "models": self.models.get_state(),
            "learners": [learner.get_state() for learner in self.learners],
        }
        return States(self.shared.arrays(), tree)

    def _restore(self, tree: PyTree) -> None:
        self.now, self.queue, self.idle = tree["now"], tree["queue"], tree["idle"]
        self.rng.bit_generator.state = tree["random"]
        for thread, learner in enumerate(self.learners):
            learner.set_state(tree["learners"][thread])
            if stored := tree["rollouts"][thread]:
                actions, episode_ended = stored
                frames_per_step = learner.config.env.frames_per_step
                self.rollouts[thread] = Rollout(None, frames_per_step, actions=actions, episode_ended=episode_ended)
            self.episodes[thread] = [Episode(0, thread, *episode) for episode in tree["episodes"][thread]]
        self.models.set_state(tree["models"])
