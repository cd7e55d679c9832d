"""What A3C and n-step Q-learning share: rollouts of up to t_max steps, each followed by an update."""

from typing import ClassVar

from a3crepro.algorithms._algorithm import Algorithm
from a3crepro.common.config_model import RolloutLength


class NStep(Algorithm):
    """Computes the gradient of a rollout at a copy θ', and applies it at once."""

    rollout_key: ClassVar[str] = "t_max"

    t_max: RolloutLength
    """Maximum length of a rollout, in agent steps. `episode`: one update per episode, without bootstrapping, even at a
    time limit (§9)."""

    @property
    def max_update_steps(self) -> int | None:
        return None if self.t_max == "episode" else self.t_max
