"""Asynchronous advantage actor-critic: Algorithm S3 of the paper."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, ClassVar, Literal

import gymnasium as gym
import numpy as np
from torch import Tensor

from a3crepro.algorithms._algorithm import Algorithm, Outputs
from a3crepro.algorithms._policy import Gaussian, Policy, Softmax
from a3crepro.environments._environment import Action, ActionSpace
from a3crepro.mathematics.losses import value_loss
from a3crepro.mathematics.returns import n_step_returns
from a3crepro.settings import NonNegativeFloat, PositiveFloat, RolloutLength, Settings

if TYPE_CHECKING:
    from a3crepro.actor_learner import ActorLearner, Rollout


class GaussianPolicy(Settings):
    """The policy where actions are vectors (§5.3, §9): a normal distribution."""

    covariance: Literal["spherical", "diagonal"]
    """One variance for all components, or one for each."""
    bounded: bool
    """Mean in [-1, 1] and variance in [0.01, 2.01], as the Control Suite's own A3C has them, whatever the bounds of the
    actions are; else the mean is the linear layer's output and the variance its softplus."""
    entropy_cost: NonNegativeFloat
    """Weight of −½ (log 2πσ² + 1) in the loss. It counts once, whatever the number of components: with a diagonal
    covariance it is the mean over them."""


class A3C(Algorithm):
    """A policy π(a|s; θ) and a value V(s; θ_v), learnt from n-step returns."""

    monitor: ClassVar[str] = "entropy"

    t_max: RolloutLength
    """Longest rollout, in agent steps. `episode`: one update an episode and no bootstrapping, the return is 0 beyond
    its end, at a time limit, too (§9)."""
    entropy_beta: NonNegativeFloat
    """Weight β of the entropy of a policy over discrete actions."""
    gaussian: GaussianPolicy
    value_gradient: PositiveFloat
    """Factor of the value's gradient (V − R)∇V."""
    evaluation_policy: Literal["sample", "greedy"]
    """The policy that is scored: actions drawn from π, or its most probable ones."""

    @property
    def max_steps(self) -> int | None:
        return None if self.t_max == "episode" else self.t_max

    def heads(self, actions: ActionSpace) -> dict[str, int]:
        if isinstance(actions, gym.spaces.Discrete):
            return {"logits": int(actions.n), "value": 1}
        n = int(np.prod(actions.shape))
        return {"mean": n, "spread": 1 if self.gaussian.covariance == "spherical" else n, "value": 1}

    def policy(self, heads: Iterable[str]) -> Policy:
        """π as a network with such heads has it."""
        return (
            Softmax(self.entropy_beta)
            if "logits" in heads
            else Gaussian(self.gaussian.entropy_cost, self.gaussian.bounded)
        )

    def choose(self, outputs: Outputs, learner: ActorLearner) -> Action:
        """a drawn from π(·|s; θ')."""
        return self.policy(outputs).sample(outputs, learner.rng)

    def entropy(self, outputs: Outputs) -> float:
        return self.policy(outputs).entropy(outputs)

    def compute(self, learner: ActorLearner) -> Rollout:
        learner.synchronise()  # θ' ← θ
        rollout = learner.roll_out(self.max_steps)
        bootstraps = not rollout.terminal and self.t_max != "episode"
        value = learner.outputs()["value"].item() if bootstraps else 0.0  # V(s_t; θ'_v)
        returns = n_step_returns(rollout.rewards, rollout.discounts, value)
        outputs = learner.accumulate(rollout, returns)
        learner.monitor(self.entropy(outputs))
        return rollout

    def write(self, learner: ActorLearner, rollout: Rollout) -> None:
        learner.count(rollout.frames)
        learner.apply()

    def loss(self, outputs: dict[str, Tensor], actions: Tensor, returns: Tensor) -> Tensor:
        """The sum of policy and value losses over a rollout."""
        values = outputs["value"][:, 0]
        advantage = returns - values.detach()
        policy = self.policy(outputs).loss(outputs, actions, advantage)
        return policy + value_loss(values, returns, self.value_gradient)

    def output_gradient(
        self, outputs: dict[str, np.ndarray], actions: np.ndarray, returns: np.ndarray
    ) -> dict[str, np.ndarray]:
        advantage = returns - outputs["value"][:, 0]
        policy = self.policy(outputs).gradient(outputs, actions, advantage)
        return {**policy, "value": -self.value_gradient * advantage[:, None]}

    def act_in_evaluation(self, outputs: Outputs, rng: np.random.Generator) -> Action:
        policy = self.policy(outputs)
        return policy.mode(outputs) if self.evaluation_policy == "greedy" else policy.sample(outputs, rng)
