"""The interface of an optimizer: named statistics, an annealed learning rate, in-place updates of flat vectors."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, NamedTuple

import numpy as np

from a3crepro.common.config_model import ComponentConfig, Count, PositiveFloat

Statistics = np.ndarray | Sequence[np.ndarray]
"""The statistics of the parameters that are updated, each float32 [n], in the order of their names."""


class OptimizerState(NamedTuple):
    """The statistics of an optimizer, and their deferred decay.

    The statistics of a row of weights (`row_sizes`) are its `decay` times what is stored: where a gradient is 0 because
    a rectified unit was, the whole row decays by one multiplication.
    """

    statistics: np.ndarray
    """float32 [vectors, n]."""
    decay: np.ndarray
    """float32 [rows]; 1 where nothing is deferred."""


class Step(NamedTuple):
    """The size of an update."""

    learning_rate: float
    """η."""
    clip: float
    """Factor that clips the gradient."""
    number: int
    """Number of the update, from 1, over all actor-learners."""


class LargeWeight(NamedTuple):
    """The weight of a large layer, with a row for each of its units, and what belongs to it."""

    weight: np.ndarray
    """float32 [units, n]."""
    statistics: Sequence[np.ndarray]
    """Statistics of the weight, each float32 [units, n]."""
    decay: np.ndarray
    """Deferred decay of the statistics, float32 [units]; see `OptimizerState`."""
    copy: np.ndarray | None
    """A copy of the weight, or None."""
    writes: np.ndarray
    """How often each row was written, int32 [units]."""


def apply_deferred_decay(large: LargeWeight) -> None:
    """Multiplies the statistics by their deferred decay."""
    deferred = np.flatnonzero(large.decay != 1)
    for vector in large.statistics if deferred.size else ():
        vector[deferred] *= large.decay[deferred, None]
    large.decay[deferred] = 1


class Optimizer(ComponentConfig, ABC):
    """An optimizer and its settings."""

    statistics: ClassVar[tuple[str, ...]]
    """Names of the statistics: vectors as long as the parameters, initially 0."""
    shares_statistics: ClassVar[bool]
    """Whether actor-learners share one set of statistics, or each has its own."""
    is_fused: ClassVar[bool] = False
    """Whether it implements `update_slices` and `update_outer`."""

    lr: PositiveFloat
    """The initial learning rate η."""
    anneal_frames: Count | None
    """Environment frames over which the learning rate falls linearly to 0; null: `frames`, the budget of the run; 0:
    it stays as it is."""

    def learning_rate(self, frames: int, budget: int) -> float:
        """The learning rate η, which falls linearly from `lr` to 0 (§8), or stays at `lr` if `anneal_frames` is 0.

        Args:
          frames: T, in environment frames.
          budget: frames over which it falls if `anneal_frames` is null.
        """
        over = self.annealed_over(budget)
        return self.lr * max(0.0, 1.0 - frames / over) if over else self.lr

    def annealed_over(self, budget: int) -> int:
        """Frames over which the learning rate falls to 0: `anneal_frames`, or the budget if that is null."""
        return budget if self.anneal_frames is None else self.anneal_frames

    @abstractmethod
    def update(
        self, parameters: np.ndarray, gradient: np.ndarray, statistics: Statistics, learning_rate: float, step: int
    ) -> None:
        """Updates parameters and statistics in place, without locks.

        Args:
          parameters: float32 [n].
          gradient: float32 [n].
          statistics: each float32 [n].
          learning_rate: η.
          step: number of the update, from 1, over all actor-learners.
        """

    def update_slices(
        self, parameters: np.ndarray, gradient: np.ndarray, statistics: np.ndarray, slices: np.ndarray, step: Step
    ) -> None:
        """Updates some slices of parameters and statistics with the gradient clip · dθ.

        Args:
          parameters: float32 [n].
          gradient: dθ, float32 [n]; these slices are clipped in place.
          statistics: float32 [vectors, n].
          slices: where each begins and ends, int64 [slices, 2].
          step: the size of the update.
        """
        raise NotImplementedError

    def update_outer(self, large: LargeWeight, delta: np.ndarray, inputs: np.ndarray, step: Step) -> None:
        """Updates a large weight and its copy without materialising the gradient clip · deltaᵀ inputs.

        Rows without a gradient are not read: their statistics' decay is deferred. Rows that are written are counted.

        Args:
          large: the weight.
          delta: ∂loss/∂ the layer's pre-activations, float32 [T, units], T ≥ 5.
          inputs: of the layer, float32 [T, n].
          step: the size of the update.
        """
        raise NotImplementedError

    def share_above_epsilon(self, statistics: np.ndarray) -> float | None:
        """Share of the entries of g that exceed ε, given all statistics [rows, vectors, n]; None without g.

        It is asked for only if `statistics` names `g`.
        """
        return None
