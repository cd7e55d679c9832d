"""What actor-learners share: parameters, target parameters, statistics and counters, as vectors in shared memory."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from a3crepro.learner.normalisation import Normaliser
from a3crepro.mathematics.metrics import WIDTH
from a3crepro.optimizers._optimizer import OptimizerState

# Columns of `counters`. Each row belongs to one actor-learner, its only writer, and fills a cache line, so no increment
# is lost and none needs a lock.
FRAMES, UPDATES, NOT_FINITE = range(3)
ROW = 8

# Entries of `last_triggers`: the last multiple of an interval of T that has been handled; the number of updates of θ⁻.
TARGET, SNAPSHOT, TARGET_VERSION, COPY = range(4)

# Entries of `flags`: whether to stop; how often the states of the actor-learners were requested.
STOP, SAVE = range(2)

STALENESS = 512
"""Columns of `staleness`; the last one counts everything beyond."""
GROWTH = 1.01
"""The normaliser is renewed when the number of observations has grown by this factor."""
IDENTITY = Normaliser(np.zeros(0))


class _Views(NamedTuple):
    frames: np.ndarray
    updates: np.ndarray
    not_finite: np.ndarray
    sums: np.ndarray
    normalised_by: np.ndarray
    last_triggers: np.ndarray
    flags: np.ndarray


class Moment(NamedTuple):
    """What an actor-learner reads, beside the parameters, when it begins a rollout."""

    frames: int
    """T: environment frames over all actor-learners."""
    updates: int
    """Number of updates of θ."""
    normaliser: Normaliser
    """Normaliser of observations, from those of all actor-learners."""


class PolicySnapshot(NamedTuple):
    """What a policy consists of: its parameters, and the statistics of its observation normaliser."""

    parameters: np.ndarray
    """θ, float32 [n]."""
    sums: np.ndarray = np.zeros(0)
    """Sums of the observations of all actor-learners (`normalisation.py`); empty if they are not normalised."""


@dataclass(frozen=True)
class Totals:
    """What training adds up to so far; the difference between two moments is a row of `metrics.csv`."""

    frames: np.ndarray
    """Environment frames of each actor-learner, int64 [threads]."""
    updates: int
    """Number of updates of θ."""
    gradients: int
    """Number of gradients of all updates, including those that were skipped because they were not finite."""
    staleness: int
    """Sum over these gradients of the number of updates between reading θ and applying the gradient; above 511 it
    counts as 511."""
    sums: np.ndarray
    """Over all actor-learners, float64 [WIDTH]; see `mathematics/metrics.py`."""

    def since(self, before: Totals) -> Totals:
        """The difference to an earlier moment."""
        return Totals(*(getattr(self, name) - getattr(before, name) for name in vars(self)))


def policy_snapshot(arrays: Mapping[str, np.ndarray]) -> PolicySnapshot:
    """The snapshot in the arrays of a shared state."""
    return PolicySnapshot(arrays["parameters"], arrays["sums"].sum(0))


class SharedState:
    """Parameters, optimizer statistics and counters, written by all actor-learners without locks (§4).

    Attributes:
      parameters: θ, float32 [n].
      target: θ⁻, float32 [n]; empty for a method without a target network.
      statistics: of the optimizer, float32 [1 or threads, vectors, n], before the pending `decay` is multiplied in.
      decay: float32 [1 or threads, rows]; see `OptimizerState`.
      writes: how often each actor-learner has written each row of θ, int32 [threads, rows]; only where the fast path
        runs in several processes, so that each copies to its θ' what others have written.
      counters: frames, updates and skipped gradients of each actor-learner, int64 [threads, 8].
      staleness: histogram of the number of updates between reading θ and applying the gradient, int64 [threads, 512].
      sums: of the observations of each actor-learner, float64 [threads, 1 + 2 components], or of width 0.
      normalised_by: the sum of `sums` when the normaliser was last renewed, float64 [width]. Like a copy of θ, it may
        mix values from before and after another actor-learner's write.
      last_triggers: int64 [4]; see the constants above.
      metric_sums: of each actor-learner, float64 [threads, WIDTH]; see `mathematics/metrics.py`.
      holding: whether the main process leaves reports unread, so that senders wait; not shared.
    """

    ARRAYS = (
        "parameters", "target", "statistics", "decay", "counters", "staleness", "sums", "normalised_by",
        "last_triggers", "metric_sums",
    )  # fmt: skip
    MAY_LACK = ("metric_sums",)
    """Arrays that checkpoints of older versions lack: they stay as they are."""

    def __init__(
        self,
        initial: Tensor,
        rows: Sequence[int],
        *,
        target: bool,
        statistics: tuple[int, int],
        threads: int,
        sums: int = 0,
    ) -> None:
        n, self.row_sizes = initial.numel(), list(rows)
        self.parameters = initial.clone()
        self.target = initial.clone() if target else torch.zeros(0)
        self.statistics = torch.zeros(*statistics, n)
        self.decay = torch.ones(statistics[0], len(rows))
        self.writes = torch.zeros(threads, len(rows), dtype=torch.int32)
        self.counters = torch.zeros(threads, ROW, dtype=torch.int64)
        self.staleness = torch.zeros(threads, STALENESS, dtype=torch.int64)
        self.sums = torch.zeros(threads, sums, dtype=torch.float64)
        self.normalised_by = torch.zeros(sums, dtype=torch.float64)
        self.metric_sums = torch.zeros(threads, WIDTH, dtype=torch.float64)
        self.last_triggers = torch.zeros(4, dtype=torch.int64)
        self.flags = torch.zeros(2, dtype=torch.int64)
        self.lock: AbstractContextManager[Any] = contextlib.nullcontext()
        self.holding = False
        self._normaliser: Normaliser | None = None

    def share(self, lock: AbstractContextManager[Any]) -> None:
        """Moves all arrays into shared memory. The lock guards rare events, never an update of θ."""
        for tensor in (*map(self.__getattribute__, self.ARRAYS), self.flags, self.writes):
            tensor.share_memory_()
        self.__dict__.pop("_views", None)
        self.lock = lock

    @property
    def nbytes(self) -> int:
        """Size of all arrays, in bytes."""
        return sum(getattr(self, name).nbytes for name in (*self.ARRAYS, "writes"))

    def frames(self) -> int:
        """T: environment frames over all actor-learners."""
        return sum(self._views.frames.tolist())

    def updates(self) -> int:
        """Number of updates of θ; it changes whenever θ does."""
        return sum(self._views.updates.tolist())

    def skipped(self) -> int:
        """Number of gradients that were not finite and therefore not applied."""
        return sum(self._views.not_finite.tolist())

    def totals(self) -> Totals:
        """What training adds up to so far."""
        histogram, frames = self.staleness.numpy().sum(0), self._views.frames.copy()
        staleness = int(histogram @ np.arange(STALENESS))
        return Totals(frames, self.updates(), int(histogram.sum()), staleness, self.metric_sums.numpy().sum(0))

    def moment(self) -> Moment:
        """What an actor-learner reads at the beginning of a rollout."""
        return Moment(self.frames(), self.updates(), self.normaliser())

    def crossed_multiple(self, trigger: int, interval: int) -> int | None:
        """The multiple of `interval` that T has crossed since the last call, for one caller of all actor-learners.

        T advances by whole rollouts, so a test of `T mod interval = 0` would miss nearly all multiples.
        """
        if not self.is_due(trigger, interval):
            return None
        with self.lock:
            if not self.is_due(trigger, interval):
                return None
            multiple = self.frames() // interval
            self.last_triggers[trigger] = multiple
            return multiple * interval

    def is_due(self, trigger: int, interval: int) -> bool:
        """Whether T has crossed a multiple of `interval` that has not been handled."""
        return self.frames() // interval > int(self._views.last_triggers[trigger])

    def update_target(self) -> None:
        """θ⁻ ← θ, in place."""
        self.target.copy_(self.parameters)
        with self.lock:
            self.last_triggers[TARGET_VERSION] += 1

    def target_version(self) -> int:
        """Number of updates of θ⁻."""
        return int(self._views.last_triggers[TARGET_VERSION])

    def request_stop(self) -> None:
        """Asks all actor-learners to stop after their current rollout."""
        self.flags[STOP] = 1

    def request_states(self) -> None:
        """Asks all actor-learners for their states, for a checkpoint."""
        self.flags[SAVE] += 1

    @property
    def states_requested(self) -> int:
        """Number of requests for states."""
        return int(self._views.flags[SAVE])

    @property
    def stopping(self) -> bool:
        """Whether actor-learners were asked to stop."""
        return bool(self._views.flags[STOP])

    @cached_property
    def _views(self) -> _Views:
        """The small tensors as NumPy arrays, which are ten times as fast to read; made anew in each process.

        For so few numbers, a list is faster to add up than an array.
        """
        counters, tensors = self.counters.numpy(), (self.sums, self.normalised_by, self.last_triggers, self.flags)
        columns = (counters[:, column] for column in (FRAMES, UPDATES, NOT_FINITE))
        return _Views(*columns, *(tensor.numpy() for tensor in tensors))

    def __getstate__(self) -> dict[str, Any]:
        state = {**self.__dict__, "_normaliser": None}
        state.pop("_views", None)
        return state

    def optimizer_state(self, thread: int) -> OptimizerState:
        """The statistics that an actor-learner updates."""
        row = thread if len(self.statistics) > 1 else 0
        return OptimizerState(self.statistics[row].numpy(), self.decay[row].numpy())

    def decayed_statistics(self) -> np.ndarray:
        """The statistics of the optimizer, float32 [1 or threads, vectors, n]."""
        deferred = np.repeat(self.decay.numpy(), self.row_sizes, axis=1)
        statistics: np.ndarray = self.statistics.numpy() * deferred[:, None]
        return statistics

    def policy_snapshot(self) -> PolicySnapshot:
        """A copy of what a policy is made of."""
        return PolicySnapshot(self.parameters.numpy().copy(), self.seen())

    def seen(self) -> np.ndarray:
        """Sums of the observations of all actor-learners."""
        sums: np.ndarray = self._views.sums.sum(0)
        return sums

    def normaliser(self) -> Normaliser:
        """The current normaliser of observations.

        It is renewed when the number of observations has grown by 1 %: renewing it for every rollout would take a third
        of the time where observations are images.
        """
        normalised_by = self._views.normalised_by
        if not normalised_by.size:
            return IDENTITY
        current = self._normaliser
        if current is None or self._normaliser_is_due() or current.observations != normalised_by[0]:
            with self.lock:
                if self._normaliser_is_due():
                    normalised_by[:] = self.seen()
                current = self._normaliser = Normaliser(normalised_by)
        return current

    def _normaliser_is_due(self) -> bool:
        return bool(self._views.sums[:, 0].sum() > GROWTH * self._views.normalised_by[0])

    def arrays(self) -> dict[str, np.ndarray]:
        """A copy of everything that a checkpoint needs."""
        return {name: getattr(self, name).numpy().copy() for name in self.ARRAYS}

    def restore(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Restores what `arrays` returned.

        Raises:
          KeyError, ValueError: an array is missing or has another shape.
        """
        for name in self.ARRAYS:
            if name in self.MAY_LACK and name not in arrays:
                continue
            tensor = getattr(self, name)
            if arrays[name].shape != tuple(tensor.shape):
                raise ValueError(f"{name} has shape {arrays[name].shape}, expected {tuple(tensor.shape)}")
            tensor.copy_(torch.from_numpy(arrays[name]))
