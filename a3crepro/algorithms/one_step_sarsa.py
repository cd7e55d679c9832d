"""Asynchronous one-step Sarsa: Algorithm 1 with Sarsa's target (§4)."""

from typing import ClassVar

from a3crepro.algorithms._algorithm import Actor, Outputs
from a3crepro.algorithms._one_step import OneStep
from a3crepro.common.rollout import Action


class OneStepSarsa(OneStep):
    """y = r + γ Q(s', a'; θ⁻), where a' is the action taken in s'."""

    bootstraps_from_next_action: ClassVar[bool] = True

    def bootstrap_value(self, outputs: Outputs, next_action: Action | None, actor: Actor) -> float:
        return float(outputs["q"][next_action])
