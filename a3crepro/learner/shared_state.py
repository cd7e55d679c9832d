"""What actor-learners share: parameters, target parameters, statistics and counters, as vectors in shared memory."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from a3crepro.learner.scaling import Scaling

# Columns of `counters`. Each row belongs to one actor-learner, which alone writes it, and fills a cache line: no
# addition is lost, and none needs a lock.
FRAMES, UPDATES, NOT_FINITE = range(3)
ROW = 8

# Entries of `marks`: the last multiple of an interval that somebody has dealt with; how often θ⁻ was written.
TARGET, SNAPSHOT, TARGET_VERSION, COPY = range(4)

# Entries of `flags`: whether to stop; how often the actor-learners' states were asked for.
STOP, SAVE = range(2)

STALENESS = 512
"""Columns of `staleness`; the last one counts everything from there on."""


UNSCALED = Scaling(np.zeros(0))
GROWTH = 1.01
"""By this factor more observations must have been seen before what they are scaled by is renewed."""


class _Views(NamedTuple):
    counters: np.ndarray
    sums: np.ndarray
    scaled_by: np.ndarray
    marks: np.ndarray
    flags: np.ndarray


class Moment(NamedTuple):
    """What an actor-learner reads, beside the parameters, when it begins a rollout."""

    frames: int
    """T: environment frames over all actor-learners."""
    updates: int
    """How often θ was updated."""
    scale: Scaling
    """Scales observations by what all actor-learners have seen."""


class Learnt(NamedTuple):
    """What a policy is made of."""

    parameters: np.ndarray
    """θ, float32 [n]."""
    sums: np.ndarray = np.zeros(0)
    """Sums of observations, of all actor-learners (`scaling.py`); of length 0 where they are not scaled."""


def learnt(arrays: Mapping[str, np.ndarray]) -> Learnt:
    """What was learnt, of the arrays of a shared state."""
    return Learnt(arrays["parameters"], arrays["sums"].sum(0))


class SharedState:
    """Written by all actor-learners without locks, as the paper has it.

    Attributes:
      parameters: θ, float32 [n].
      target: θ⁻, float32 [n], or of length 0 where no target network is used.
      statistics: of the optimizer, float32 [1 or threads, vectors, n].
      counters: frames, updates and refused gradients of each actor-learner, int64 [threads, 8].
      staleness: how many gradients of each actor-learner came to a θ that had had 0, 1, 2, … updates since they
        read it, int64 [threads, 512].
      sums: of the observations of each actor-learner, float64 [threads, 1 + 2 components], or of width 0
        where observations are not scaled.
      scaled_by: their sum over the actor-learners, as it was when it was last renewed (`scale`), float64 [width]. Like
        a copy of θ, it may have some of an actor-learner's numbers of before and some of after its last rollout.
      marks: what was done at multiples of T, int64 [4].
      monitors: one number an actor-learner for the screen (its entropy or ε), float64 [threads].
      holding: whether the main process, whose alone this is, leaves reports unread: who has one to send waits.
    """

    ARRAYS = ("parameters", "target", "statistics", "counters", "staleness", "sums", "scaled_by", "marks", "monitors")

    def __init__(
        self, initial: Tensor, *, target: bool, statistics: tuple[int, int], threads: int, sums: int = 0
    ) -> None:
        n = initial.numel()
        self.parameters = initial.clone()
        self.target = initial.clone() if target else torch.zeros(0)
        self.statistics = torch.zeros(*statistics, n)
        self.counters = torch.zeros(threads, ROW, dtype=torch.int64)
        self.staleness = torch.zeros(threads, STALENESS, dtype=torch.int64)
        self.sums = torch.zeros(threads, sums, dtype=torch.float64)
        self.scaled_by = torch.zeros(sums, dtype=torch.float64)
        self.monitors = torch.zeros(threads, dtype=torch.float64)
        self.marks = torch.zeros(4, dtype=torch.int64)
        self.flags = torch.zeros(2, dtype=torch.int64)
        self.lock: AbstractContextManager[Any] = contextlib.nullcontext()
        self.holding = False

    def share(self, lock: AbstractContextManager[Any]) -> None:
        """Moves everything into shared memory; the lock is that of rare events, never of an update."""
        for tensor in (*map(self.__getattribute__, self.ARRAYS), self.flags):
            tensor.share_memory_()
        self.__dict__.pop("_cached", None)
        self.lock = lock

    @property
    def nbytes(self) -> int:
        """Bytes of all of it."""
        return sum(getattr(self, name).nbytes for name in self.ARRAYS)

    def frames(self) -> int:
        """T: environment frames over all actor-learners."""
        return int(self._views.counters[:, FRAMES].sum())

    def updates(self) -> int:
        """Updates that were applied: a number that changes whenever θ has changed, by one for each."""
        return int(self._views.counters[:, UPDATES].sum())

    def moment(self) -> Moment:
        """What is read at the beginning of a rollout."""
        return Moment(self.frames(), self.updates(), self.scale())

    def refused(self) -> int:
        """Gradients that were not finite and therefore not applied."""
        return int(self._views.counters[:, NOT_FINITE].sum())

    def crossed(self, mark: int, interval: int) -> int | None:
        """The multiple of `interval` that T has crossed since anybody last asked, once for all actor-learners.

        T jumps over multiples, so that `T mod interval = 0` would miss nearly all of them.
        """
        if not self.is_due(mark, interval):
            return None
        with self.lock:
            if not self.is_due(mark, interval):
                return None
            multiple = self.frames() // interval
            self.marks[mark] = multiple
            return multiple * interval

    def is_due(self, mark: int, interval: int) -> bool:
        """Whether T has crossed a multiple of `interval` that nobody has asked about."""
        return self.frames() // interval > int(self._views.marks[mark])

    def update_target(self) -> None:
        """θ⁻ ← θ: the values change, the tensor stays."""
        self.target.copy_(self.parameters)
        with self.lock:
            self.marks[TARGET_VERSION] += 1

    def target_version(self) -> int:
        """A number that changes whenever θ⁻ has changed."""
        return int(self._views.marks[TARGET_VERSION])

    def request_stop(self) -> None:
        """Asks all actor-learners to stop at their next segment."""
        self.flags[STOP] = 1

    def request_states(self) -> None:
        """Asks all actor-learners for their states at their next segment, for a checkpoint."""
        self.flags[SAVE] += 1

    @property
    def states_requested(self) -> int:
        """How often they were asked."""
        return int(self._views.flags[SAVE])

    @property
    def stopping(self) -> bool:
        return bool(self._views.flags[STOP])

    @property
    def _views(self) -> _Views:
        """The small tensors as arrays, which are read in a tenth of the time; made in each process for itself."""
        views: _Views | None = self.__dict__.get("_cached")
        if views is None:
            tensors = self.counters, self.sums, self.scaled_by, self.marks, self.flags
            views = _Views(*(tensor.numpy() for tensor in tensors))
            self.__dict__["_cached"] = views
        return views

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name not in ("_cached", "_scale")}

    def learnt(self) -> Learnt:
        """A copy of what evaluations need."""
        return Learnt(self.parameters.numpy().copy(), self.seen())

    def seen(self) -> np.ndarray:
        """Sums of the observations of all actor-learners."""
        sums: np.ndarray = self._views.sums.sum(0)
        return sums

    def scale(self) -> Scaling:
        """What scales observations: renewed when a hundredth more of them has been seen than when it last was.

        It is as long as several pictures: to renew it at every rollout took a third of the time of a race.
        """
        scaled_by = self._views.scaled_by
        if not scaled_by.size:
            return UNSCALED
        scale: Scaling | None = self.__dict__.get("_scale")
        if scale is None or self._scale_is_due() or scale.observations != scaled_by[0]:
            with self.lock:
                if self._scale_is_due():
                    scaled_by[:] = self.seen()
                scale = self.__dict__["_scale"] = Scaling(scaled_by)
        return scale

    def _scale_is_due(self) -> bool:
        return bool(self._views.sums[:, 0].sum() > GROWTH * self._views.scaled_by[0])

    def arrays(self) -> dict[str, np.ndarray]:
        """A copy of everything needed to go on."""
        return {name: getattr(self, name).numpy().copy() for name in self.ARRAYS}

    def restore(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Takes over what `arrays` returned.

        Raises:
          KeyError, ValueError: an array is missing or of another shape.
        """
        arrays = {"scaled_by": self.scaled_by.numpy(), **arrays}  # a run of before there was one: it is renewed at once
        if len(arrays["marks"]) == COPY:  # a run of before copies were kept
            arrays["marks"] = np.append(arrays["marks"], 0)
        for name in self.ARRAYS:
            tensor = getattr(self, name)
            if arrays[name].shape != tuple(tensor.shape):
                raise ValueError(f"{name} has shape {arrays[name].shape}, expected {tuple(tensor.shape)}")
            tensor.copy_(torch.from_numpy(arrays[name]))
