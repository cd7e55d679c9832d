"""A rollout: the steps whose gradient is computed at once."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

Action = int | np.ndarray
"""A discrete action, or a vector, float32 [n]."""


@dataclass
class Rollout:
    """Consecutive steps of one episode."""

    state: Any
    """The recurrent state before the first step."""
    frames_per_step: int
    observations: list[np.ndarray] = field(default_factory=list)
    actions: list[Action] = field(default_factory=list)
    rewards: list[float] = field(default_factory=list)
    """Rewards as the learner sees them: clipped if `env.reward_clip` is set."""
    discounts: list[float] = field(default_factory=list)
    """γ, or 0 if the state that was reached is terminal."""
    terminal: bool = False
    """Whether the last state reached is terminal."""
    episode_ended: bool = False
    """Whether the episode ended, at a terminal state or at a time limit."""

    @property
    def frames(self) -> int:
        """Environment frames."""
        return len(self.actions) * self.frames_per_step

    def is_complete(self, steps: int | None) -> bool:
        """Whether it has `steps` steps (None: any number), or the episode has ended."""
        return self.episode_ended or (steps is not None and len(self.actions) >= steps)
