"""Asynchronous one-step Sarsa: Algorithm 1 with Sarsa's target (§4)."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from a3crepro.algorithms._algorithm import ValueBased
from a3crepro.mathematics.returns import n_step_returns
from a3crepro.settings import PositiveCount

if TYPE_CHECKING:
    from a3crepro.actor_learner import ActorLearner, Rollout


class OneStepSarsa(ValueBased):
    """y = r + γ Q(s', a'; θ⁻) with the action a' that is then taken in s'."""

    uses_thread_copy: ClassVar[bool] = False

    update_steps: PositiveCount
    """I_AsyncUpdate: an update sums the gradients since the last one, where t mod this = 0 or a state is terminal."""

    @property
    def max_steps(self) -> int:
        return self.update_steps

    def compute(self, learner: ActorLearner) -> Rollout:
        learner.synchronise()  # reads T; θ is the shared one
        step = learner.roll_out(1, self.epsilon_greedy)
        following = 0.0
        if not step.terminal:
            action = learner.decide(self.epsilon_greedy)  # a', kept: the next step takes it
            following = learner.target_outputs()["q"][action]
        y = n_step_returns(step.rewards, step.discounts, following)
        learner.accumulate(step, y)
        return step

    def write(self, learner: ActorLearner, step: Rollout) -> None:
        learner.count(step.frames)  # T ← T + 1, t ← t + 1
        learner.update_target()
        if learner.own_steps % self.update_steps == 0 or step.episode_ended:
            learner.apply()
