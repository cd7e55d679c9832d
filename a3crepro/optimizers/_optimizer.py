"""The interface of an optimizer: named statistics, an annealed learning rate, in-place updates of flat vectors."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from a3crepro.common.config_model import ComponentConfig, Count, PositiveFloat

Statistics = np.ndarray | Sequence[np.ndarray]
"""The statistics of the parameters that are updated, each float32 [n], in the order of their names."""


class Optimizer(ComponentConfig, ABC):
    """An optimizer and its settings."""

    statistics: ClassVar[tuple[str, ...]]
    """Names of the statistics: vectors as long as the parameters, initially 0."""
    shares_statistics: ClassVar[bool]
    """Whether actor-learners share one set of statistics, or each has its own."""
    is_fused: ClassVar[bool] = False
    """Whether it implements `update_outer`."""

    lr: PositiveFloat
    """The initial learning rate η."""
    anneal_frames: Count | None
    """Environment frames over which the learning rate falls linearly to 0; null: `frames`, the budget of the run."""

    def learning_rate(self, frames: int, budget: int) -> float:
        """The learning rate η, which falls linearly from `lr` to 0 (§8).

        Args:
          frames: T, in environment frames.
          budget: frames over which it falls if `anneal_frames` is null.
        """
        over = self.annealed_over(budget)
        return self.lr * max(0.0, 1.0 - frames / over) if over else 0.0

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

    def update_outer(
        self,
        weight: np.ndarray,
        delta: np.ndarray,
        inputs: np.ndarray,
        statistics: Statistics,
        copy: np.ndarray,
        clip: float,
        learning_rate: float,
    ) -> None:
        """Updates the weight of a large layer, without materialising its gradient clip · deltaᵀ inputs.

        Args:
          weight: float32 [outputs * n], updated in place.
          delta: ∂loss/∂ the layer's pre-activations, float32 [T, outputs], T ≥ 5.
          inputs: of the layer, float32 [T, n].
          statistics: of the weight, each float32 [outputs * n], updated in place.
          copy: receives the new weight, float32 [blocks, outputs, n / blocks].
          clip: factor that clips the gradient.
          learning_rate: η.
        """
        raise NotImplementedError

    def share_above_epsilon(self, statistics: np.ndarray) -> float | None:
        """Share of the entries of g that exceed ε, given all statistics [rows, vectors, n]; None without g."""
        return None
