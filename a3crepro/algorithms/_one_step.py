"""What one-step Q-learning and one-step Sarsa have in common: Algorithm 1, but for the target's Q(s', ·; θ⁻)."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar

from a3crepro.algorithms._algorithm import ValueBased
from a3crepro.mathematics.returns import n_step_returns
from a3crepro.settings import PositiveCount

if TYPE_CHECKING:
    from a3crepro.actor_learner import ActorLearner, Rollout


class OneStep(ValueBased):
    """Gradients of single steps at the shared θ, summed and applied every I_AsyncUpdate steps."""

    uses_thread_copy: ClassVar[bool] = False

    update_steps: PositiveCount
    """I_AsyncUpdate: an update sums the gradients since the last one, where t mod this = 0 or a state is terminal."""

    @property
    def max_steps(self) -> int:
        return self.update_steps

    @abstractmethod
    def following(self, learner: ActorLearner) -> float:
        """What the state s' that was reached is worth, by Q(s', ·; θ⁻)."""

    def compute(self, learner: ActorLearner) -> Rollout:
        learner.synchronise()  # reads T; θ is the shared one
        step = learner.roll_out(1)
        following = 0.0 if step.terminal else self.following(learner)
        y = n_step_returns(step.rewards, step.discounts, following)
        learner.accumulate(step, y)
        return step

    def write(self, learner: ActorLearner, step: Rollout) -> None:
        learner.count(step.frames)  # T ← T + 1, t ← t + 1
        learner.update_target()
        if learner.own_steps % self.update_steps == 0 or step.episode_ended:
            learner.apply()
