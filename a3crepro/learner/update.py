"""The update of θ and of θ⁻, the same in all executions: clip, annealed learning rate, optimizer, target network."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from a3crepro.config import Config
from a3crepro.learner.shared_state import TARGET, Moment, SharedState
from a3crepro.models.model import Model


class Update:
    """Updates what actor-learners share.

    Args:
      config: the run's configuration.
      shared: what is updated.
      statistics: the optimizer's vectors, float32 [vectors, n].
    """

    def __init__(self, config: Config, shared: SharedState, statistics: np.ndarray) -> None:
        self.config, self.shared, self.statistics = config, shared, statistics

    def in_order(self, parameters: Callable[[], None], target: Callable[[], None]) -> None:
        """Updates θ and θ⁻ in the order of the method's pseudocode."""
        first, second = (target, parameters) if self.config.algo.updates_target_first else (parameters, target)
        first()
        second()

    def apply(self, model: Model, frames: int) -> bool:
        """θ ← θ − …, with the gradient dθ of a model, clipped, at the learning rate of T = `frames`.

        Returns:
          Whether dθ was finite. If it was not, nothing is updated.
        """
        norm = model.gradient_norm()
        if math.isfinite(norm):
            step = self.shared.updates() + 1
            model.update(self.config.optimizer, self.statistics, *self._step_size(frames, norm), step)
        return math.isfinite(norm)

    def apply_to(self, part: slice, gradient: np.ndarray, norm: float, moment: Moment) -> bool:
        """The same for a part of θ.

        Args:
          part: of θ.
          gradient: its part of the gradient.
          norm: of the whole gradient.
          moment: at which the rollouts began; whoever updates another part knows the same.
        """
        if math.isfinite(norm):
            rate, clip = self._step_size(moment.frames, norm)
            theta, statistics = self.shared.parameters.numpy()[part], self.statistics[:, part]
            self.config.optimizer.update(theta, np.float32(clip) * gradient, statistics, rate, moment.updates + 1)
        return math.isfinite(norm)

    def _step_size(self, frames: int, norm: float) -> tuple[float, float]:
        """The learning rate, and the factor by which a gradient of this norm is clipped."""
        rate = self.config.optimizer.learning_rate(frames, self.config.frames)
        return rate, min(1.0, self.config.algo.max_gradient_norm / norm) if norm else 1.0

    @property
    def target_is_due(self) -> bool:
        """Whether T has crossed a multiple of I_target since θ⁻ was last updated."""
        interval = self.config.algo.target_interval
        return interval is not None and self.shared.is_due(TARGET, interval)

    def update_target(self) -> None:
        """θ⁻ ← θ if it is due: one of the actor-learners does it."""
        interval = self.config.algo.target_interval
        if interval is not None and self.shared.crossed(TARGET, interval) is not None:
            self.shared.update_target()
