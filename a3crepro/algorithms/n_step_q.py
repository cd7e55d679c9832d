"""Asynchronous n-step Q-learning: Algorithm S2 of the paper."""

from __future__ import annotations

from typing import TYPE_CHECKING

from a3crepro.algorithms._algorithm import ValueBased
from a3crepro.mathematics.returns import n_step_returns
from a3crepro.settings import PositiveCount

if TYPE_CHECKING:
    from a3crepro.actor_learner import ActorLearner, Rollout


class NStepQ(ValueBased):
    """R = r_1 + γ r_2 + … + γⁿ max_a Q(s_n, a; θ⁻): each state of a rollout gets the longest return there is."""

    t_max: PositiveCount
    """Longest rollout, in agent steps."""

    @property
    def max_steps(self) -> int:
        return self.t_max

    def compute(self, learner: ActorLearner) -> Rollout:
        learner.synchronise()  # θ' ← θ
        rollout = learner.roll_out(self.t_max)
        best = 0.0 if rollout.terminal else learner.target_outputs()["q"].max()
        returns = n_step_returns(rollout.rewards, rollout.discounts, best)
        learner.accumulate(rollout, returns)
        return rollout

    def write(self, learner: ActorLearner, rollout: Rollout) -> None:
        learner.count(rollout.frames)
        learner.apply()
        learner.update_target()
