"""Asynchronous n-step Q-learning: Algorithm S2 of the paper."""

from __future__ import annotations

from typing import TYPE_CHECKING

from a3crepro.algorithms._algorithm import ValueBased
from a3crepro.mathematics.returns import n_step_returns
from a3crepro.settings import RolloutLength

if TYPE_CHECKING:
    from a3crepro.actor_learner import ActorLearner, Rollout


class NStepQ(ValueBased):
    """R = r_1 + γ r_2 + … + γⁿ max_a Q(s_n, a; θ⁻): each state of a rollout gets the longest return there is."""

    t_max: RolloutLength
    """Longest rollout, in agent steps. `episode`: one update an episode and no bootstrapping, as A3C has it."""

    @property
    def max_steps(self) -> int | None:
        return None if self.t_max == "episode" else self.t_max

    def compute(self, learner: ActorLearner) -> Rollout:
        learner.synchronise()  # θ' ← θ
        rollout = learner.roll_out(self.max_steps)
        bootstraps = not rollout.terminal and self.t_max != "episode"
        best = learner.target_outputs()["q"].max() if bootstraps else 0.0
        returns = n_step_returns(rollout.rewards, rollout.discounts, best)
        learner.accumulate(rollout, returns)
        return rollout

    def write(self, learner: ActorLearner, rollout: Rollout) -> None:
        learner.count(rollout.frames)
        learner.apply()
        learner.update_target()
