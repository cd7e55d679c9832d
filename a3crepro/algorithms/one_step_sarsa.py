"""Asynchronous one-step Sarsa: Algorithm 1 with Sarsa's target (§4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from a3crepro.algorithms._one_step import OneStep

if TYPE_CHECKING:
    from a3crepro.actor_learner import ActorLearner


class OneStepSarsa(OneStep):
    """y = r + γ Q(s', a'; θ⁻) with the action a' that is then taken in s'."""

    def following(self, learner: ActorLearner) -> float:
        action = learner.decide()  # a', kept: the next step takes it
        return float(learner.target_outputs()["q"][action])
