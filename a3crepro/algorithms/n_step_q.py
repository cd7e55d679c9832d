"""Asynchronous n-step Q-learning: Algorithm S2 of the paper."""

from __future__ import annotations

from a3crepro.algorithms._algorithm import Actor, Outputs, ValueBased
from a3crepro.common.config_model import RolloutLength
from a3crepro.common.rollout import Action


class NStepQ(ValueBased):
    """R = r_1 + γ r_2 + … + γⁿ max_a Q(s_n, a; θ⁻): each state of a rollout gets the longest return there is."""

    t_max: RolloutLength
    """Longest rollout, in agent steps. `episode`: one update an episode and no bootstrapping, as A3C has it."""

    @property
    def max_steps(self) -> int | None:
        return None if self.t_max == "episode" else self.t_max

    def bootstrap_value(self, outputs: Outputs, next_action: Action | None, actor: Actor) -> float:
        """max_a Q(s_n, a; θ⁻), float32: so are the returns, step by step."""
        best: float = outputs["q"].max()
        return best
