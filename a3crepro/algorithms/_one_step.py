"""What one-step Q-learning and one-step Sarsa share: Algorithm 1 except for the value that it bootstraps from."""

from typing import ClassVar

from a3crepro.algorithms._algorithm import ValueBased
from a3crepro.common.config_model import PositiveCount
from a3crepro.common.rollout import Rollout


class OneStep(ValueBased):
    """Computes gradients of single steps at the shared θ, and applies their sum every I_AsyncUpdate steps."""

    uses_thread_copy: ClassVar[bool] = False
    updates_target_first: ClassVar[bool] = True
    rollout_key: ClassVar[str] = "update_steps"

    update_steps: PositiveCount
    """I_AsyncUpdate: θ is updated where t mod I_AsyncUpdate = 0, and at the end of an episode."""

    @property
    def max_update_steps(self) -> int:
        return self.update_steps

    @property
    def rollout_steps(self) -> int:
        return 1

    def update_is_due(self, own_steps: int, rollout: Rollout) -> bool:
        return own_steps % self.update_steps == 0 or rollout.episode_ended
