"""Asynchronous one-step Q-learning: Algorithm 1 of the paper."""

from a3crepro.algorithms._algorithm import Actor, Outputs
from a3crepro.algorithms._one_step import OneStep
from a3crepro.common.rollout import Action


class OneStepQ(OneStep):
    """y = r + γ max_a' Q(s', a'; θ⁻)."""

    def bootstrap_value(self, outputs: Outputs, next_action: Action | None, actor: Actor) -> float:
        return float(outputs["q"].max())
