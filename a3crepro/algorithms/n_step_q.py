"""Asynchronous n-step Q-learning: Algorithm S2 of the paper."""

from a3crepro.algorithms._algorithm import Actor, Outputs, ValueBased
from a3crepro.algorithms._n_step import NStep
from a3crepro.common.rollout import Action


class NStepQ(NStep, ValueBased):
    """R = r_1 + γ r_2 + … + γⁿ max_a Q(s_n, a; θ⁻), the longest return within the rollout for each of its states."""

    def bootstrap_value(self, outputs: Outputs, next_action: Action | None, actor: Actor) -> float:
        """max_a Q(s_n, a; θ⁻), kept as a float32, so that runs repeat those of earlier versions bit for bit."""
        value: float = outputs["q"].max()
        return value
