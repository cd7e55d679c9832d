"""What all optimizers have in common: an annealed learning rate and one pass over flat vectors."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np

from a3crepro.settings import Component, Count, PositiveFloat


class Optimizer(Component, ABC):
    """Settings of an optimizer; its state is a vector of statistics as long as the parameters."""

    shares_statistics: ClassVar[bool]
    """One vector of statistics for all actor-learners, or one for each."""

    lr: PositiveFloat
    """The initial learning rate η."""
    anneal_frames: Count | None
    """The learning rate falls linearly to 0 over so many frames; null: over all of `frames`."""

    @abstractmethod
    def update(
        self, parameters: np.ndarray, gradient: np.ndarray, statistics: np.ndarray, learning_rate: float
    ) -> None:
        """One step down the gradient: writes `parameters` and `statistics`, both float32 vectors, without locks."""


def annealed(initial: float, frames: int, anneal_frames: int) -> float:
    """The learning rate after so many frames: linearly from `initial` to 0 (§8)."""
    return initial * max(0.0, 1.0 - frames / anneal_frames) if anneal_frames else 0.0
