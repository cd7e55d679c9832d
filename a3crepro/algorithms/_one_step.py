"""What one-step Q-learning and one-step Sarsa have in common: Algorithm 1, but for the target's Q(s', ·; θ⁻)."""

from __future__ import annotations

from typing import ClassVar

from a3crepro.algorithms._algorithm import ValueBased
from a3crepro.common.config_model import PositiveCount
from a3crepro.common.rollout import Rollout


class OneStep(ValueBased):
    """Gradients of single steps at the shared θ, summed and applied every I_AsyncUpdate steps."""

    uses_thread_copy: ClassVar[bool] = False
    updates_target_first: ClassVar[bool] = True

    update_steps: PositiveCount
    """I_AsyncUpdate: an update sums the gradients since the last one, where t mod this = 0 or a state is terminal."""

    @property
    def max_steps(self) -> int:
        return self.update_steps

    @property
    def rollout_steps(self) -> int:
        return 1

    def update_is_due(self, own_steps: int, rollout: Rollout) -> bool:
        return own_steps % self.update_steps == 0 or rollout.episode_ended
