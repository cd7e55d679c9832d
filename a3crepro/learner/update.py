"""The update of θ and θ⁻, the same in all executions: clipping, learning rate, optimizer, target network."""

import math

import numpy as np

from a3crepro.config import Config
from a3crepro.learner.shared_state import TARGET, Moment, SharedState
from a3crepro.models.model import Model
from a3crepro.optimizers._optimizer import OptimizerState, Step


class Update:
    """Updates the shared parameters.

    Args:
      config: the run's configuration.
      shared: holds the parameters.
      state: of the optimizer.
    """

    def __init__(self, config: Config, shared: SharedState, state: OptimizerState) -> None:
        self.config, self.shared, self.state = config, shared, state

    def apply(self, model: Model, frames: int) -> float:
        """Updates θ with the gradient of a model.

        Args:
          model: holds the gradient.
          frames: T, which the learning rate depends on.

        Returns:
          The norm of the gradient before clipping; if it is not finite, nothing is updated.
        """
        norm = model.gradient_norm()
        if math.isfinite(norm):
            model.update(self.config.optimizer, self.state, self._step(frames, norm, self.shared.updates() + 1))
        return norm

    def apply_slice(self, part: slice, gradient: np.ndarray, norm: float, moment: Moment) -> None:
        """Updates a slice of θ, while other processes update the others.

        Args:
          part: the slice.
          gradient: its gradient.
          norm: of the whole gradient; if it is not finite, nothing is updated.
          moment: at which the rollouts began, the same in all processes.
        """
        if math.isfinite(norm):
            step = self._step(moment.frames, norm, moment.updates + 1)
            theta, statistics = self.shared.parameters.numpy()[part], self.state.statistics[:, part]
            gradient = np.float32(step.clip) * gradient
            self.config.optimizer.update(theta, gradient, statistics, step.learning_rate, step.number)

    def _step(self, frames: int, norm: float, number: int) -> Step:
        """The size of an update at this time, with a gradient of this norm."""
        learning_rate = self.config.optimizer.learning_rate(frames, self.config.frames)
        clip = min(1.0, self.config.algo.max_gradient_norm / norm) if norm else 1.0
        return Step(learning_rate, clip, number)

    @property
    def target_is_due(self) -> bool:
        """Whether T has crossed a multiple of I_target since the last update of θ⁻."""
        interval = self.config.algo.target_interval
        return interval is not None and self.shared.is_due(TARGET, interval)

    def update_target(self) -> None:
        """θ⁻ ← θ if it is due and no other actor-learner does it."""
        interval = self.config.algo.target_interval
        if interval is not None and self.shared.crossed_multiple(TARGET, interval) is not None:
            self.shared.update_target()
