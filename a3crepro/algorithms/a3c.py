"""Asynchronous advantage actor-critic: Algorithm S3 of the paper."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from torch import Tensor

from a3crepro.algorithms._algorithm import Algorithm, Outputs
from a3crepro.mathematics.exploration import sample_softmax
from a3crepro.mathematics.losses import policy_loss, value_loss
from a3crepro.mathematics.output_gradients import mean_entropy, policy_gradient
from a3crepro.mathematics.returns import n_step_returns
from a3crepro.settings import NonNegativeFloat, PositiveCount, PositiveFloat

if TYPE_CHECKING:
    from a3crepro.actor_learner import ActorLearner, Rollout


class A3C(Algorithm):
    """A policy π(a|s; θ) and a value V(s; θ_v) that share all but the heads, learnt from n-step returns."""

    monitor: ClassVar[str] = "entropy"

    t_max: PositiveCount
    """Longest rollout, in agent steps."""
    entropy_beta: NonNegativeFloat
    """Weight β of the policy's entropy."""
    value_gradient: PositiveFloat
    """Factor of the value's gradient (V − R)∇V."""
    evaluation_policy: Literal["sample", "greedy"]
    """The policy that is scored: actions drawn from π, or its most probable ones."""

    @property
    def max_steps(self) -> int:
        return self.t_max

    def heads(self, actions: int) -> dict[str, int]:
        return {"logits": actions, "value": 1}

    def choose(self, outputs: Outputs, learner: ActorLearner) -> int:
        """a drawn from π(·|s; θ')."""
        return sample_softmax(outputs["logits"], learner.rng)

    def compute(self, learner: ActorLearner) -> Rollout:
        learner.synchronise()  # θ' ← θ
        rollout = learner.roll_out(self.t_max)
        value = 0.0 if rollout.terminal else learner.outputs()["value"].item()  # V(s_t; θ'_v)
        returns = n_step_returns(rollout.rewards, rollout.discounts, value)
        outputs = learner.accumulate(rollout, returns)
        learner.monitor(mean_entropy(outputs["logits"]))
        return rollout

    def write(self, learner: ActorLearner, rollout: Rollout) -> None:
        learner.count(rollout.frames)
        learner.apply()

    def loss(self, outputs: dict[str, Tensor], actions: Tensor, returns: Tensor) -> Tensor:
        """The sum of policy and value losses over a rollout."""
        values = outputs["value"][:, 0]
        advantage = returns - values.detach()
        policy = policy_loss(outputs["logits"], actions, advantage, self.entropy_beta)
        return policy + value_loss(values, returns, self.value_gradient)

    def output_gradient(
        self, outputs: dict[str, np.ndarray], actions: np.ndarray, returns: np.ndarray
    ) -> dict[str, np.ndarray]:
        advantage = returns - outputs["value"][:, 0]
        policy = policy_gradient(outputs["logits"], actions, advantage, self.entropy_beta)
        return {"logits": policy, "value": -self.value_gradient * advantage[:, None]}

    def act_in_evaluation(self, outputs: Outputs, rng: np.random.Generator) -> int:
        if self.evaluation_policy == "greedy":
            return int(outputs["logits"].argmax())
        return sample_softmax(outputs["logits"], rng)
