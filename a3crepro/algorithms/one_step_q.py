"""Asynchronous one-step Q-learning: Algorithm 1 of the paper."""

from __future__ import annotations

from typing import TYPE_CHECKING

from a3crepro.algorithms._one_step import OneStep

if TYPE_CHECKING:
    from a3crepro.actor_learner import ActorLearner


class OneStepQ(OneStep):
    """y = r + γ max_a' Q(s', a'; θ⁻)."""

    def following(self, learner: ActorLearner) -> float:
        return float(learner.target_outputs()["q"].max())
