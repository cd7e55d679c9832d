"""What all optimizers have in common: named statistics, an annealed learning rate, one pass over flat vectors."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from a3crepro.common.config_model import ComponentConfig, Count, PositiveFloat

Statistics = np.ndarray | Sequence[np.ndarray]
"""The optimizer's vectors, float32, each as long as the parameters that are updated."""


class Optimizer(ComponentConfig, ABC):
    """Settings of an optimizer, and its equation."""

    statistics: ClassVar[tuple[str, ...]]
    """Names of its statistics: vectors as long as the parameters, 0 at first."""
    shares_statistics: ClassVar[bool]
    """Whether all actor-learners share one set of statistics, or each has its own."""
    is_fused: ClassVar[bool] = False
    """Whether it has `update_outer`."""

    lr: PositiveFloat
    """The initial learning rate η."""
    anneal_frames: Count | None
    """The learning rate falls linearly to 0 over so many frames; null: over all of `frames`."""

    def learning_rate(self, frames: int, budget: int) -> float:
        """The learning rate after `frames` environment frames: linearly from `lr` to 0 (§8).

        Args:
          frames: T.
          budget: over which it falls if `anneal_frames` is null.
        """
        over = budget if self.anneal_frames is None else self.anneal_frames
        return self.lr * max(0.0, 1.0 - frames / over) if over else 0.0

    @abstractmethod
    def update(
        self, parameters: np.ndarray, gradient: np.ndarray, statistics: Statistics, learning_rate: float, step: int
    ) -> None:
        """One step down the gradient, without locks.

        Args:
          parameters: float32 [n], updated in place.
          gradient: float32 [n].
          statistics: in the order of their names, each float32 [n], updated in place.
          learning_rate: η at this step.
          step: number of the update, from 1, over all actor-learners.
        """

    def update_outer(
        self,
        weight: np.ndarray,
        delta: np.ndarray,
        inputs: np.ndarray,
        statistics: Statistics,
        copy: np.ndarray,
        scale: float,
        learning_rate: float,
    ) -> None:
        """`update` of a large layer's weight, whose gradient deltaᵀ inputs is never written.

        Args:
          weight: float32 [outputs * n], updated in place.
          delta: gradients of the layer's sums, float32 [T, outputs], T ≥ 5.
          inputs: of the layer, float32 [T, n].
          statistics: of the weight, each float32 [outputs * n], updated in place.
          copy: takes the new weight, float32 [blocks, outputs, n / blocks].
          scale: by which the gradient is clipped.
          learning_rate: η at this step.
        """
        raise NotImplementedError

    def share_above_epsilon(self, statistics: np.ndarray) -> float | None:
        """Share of the entries of g that exceed ε, from all statistics [rows, vectors, n]; None without a g."""
        return None
