"""Asynchronous advantage actor-critic: Algorithm S3 of the paper."""

from collections.abc import Iterable
from functools import lru_cache
from typing import Literal, Self

import gymnasium as gym
import numpy as np
from torch import Tensor

from a3crepro.algorithms._algorithm import Actor, Outputs
from a3crepro.algorithms._n_step import NStep
from a3crepro.algorithms._policy import Gaussian, Policy, Softmax
from a3crepro.common.config_model import ConfigModel, NonNegativeFloat, PositiveFloat
from a3crepro.common.rollout import Action
from a3crepro.environments._environment import ActionSpace
from a3crepro.mathematics.losses import value_loss


class GaussianPolicy(ConfigModel):
    """The policy over action vectors (§5.3, §9): a normal distribution."""

    covariance: Literal["spherical", "diagonal"]
    """One variance for all components, or one per component."""
    bounded: bool
    """Whether the mean is in [-1, 1] and the variance in [0.01, 2.01], as in the Control Suite's own A3C; else the mean
    is a linear output and the variance the softplus of one (§9)."""
    entropy_cost: NonNegativeFloat
    """Weight of −½ (log 2πσ² + 1) in the loss: the mean over components, not their sum."""


_softmax, _gaussian = lru_cache(Softmax), lru_cache(Gaussian)


class A3C(NStep):
    """Learns a policy π(a|s; θ) and a value V(s; θ_v) from n-step returns."""

    entropy_beta: NonNegativeFloat
    """Weight β of the entropy of a policy over discrete actions."""
    gaussian: GaussianPolicy
    value_gradient: PositiveFloat
    """Factor of the gradient (V − R)∇V of the value."""
    evaluation_policy: Literal["sample", "greedy"]
    """Whether an evaluation samples actions from π, or takes the most probable one."""

    def heads(self, actions: ActionSpace) -> dict[str, int]:
        if isinstance(actions, gym.spaces.Discrete):
            return {"logits": int(actions.n), "value": 1}
        n = int(np.prod(actions.shape))
        return {"mean": n, "raw_variance": 1 if self.gaussian.covariance == "spherical" else n, "value": 1}

    def policy(self, heads: Iterable[str]) -> Policy:
        """The policy distribution of a network with these heads."""
        if "logits" in heads:
            return _softmax(self.entropy_beta)
        return _gaussian(self.gaussian.entropy_cost, self.gaussian.bounded)

    def select_action(self, outputs: Outputs, actor: Actor) -> Action:
        """a drawn from π(·|s; θ')."""
        return self.policy(outputs).sample(outputs, actor.rng)

    def bootstrap_value(self, outputs: Outputs, next_action: Action | None, actor: Actor) -> float:
        """V(s; θ'_v)."""
        return float(outputs["value"].item())

    def entropy(self, outputs: Outputs) -> float:
        return self.policy(outputs).entropy(outputs)

    def add_metrics(self, sums: np.ndarray, outputs: Outputs, actions: np.ndarray, returns: np.ndarray) -> None:
        self.policy(outputs).add_metrics(sums, outputs, actions, returns, self.value_gradient)

    def loss(self, outputs: dict[str, Tensor], actions: Tensor, returns: Tensor) -> Tensor:
        """The sum of policy and value losses over a rollout."""
        values = outputs["value"][:, 0]
        advantage = returns - values.detach()
        policy_loss = self.policy(outputs).loss(outputs, actions, advantage)
        return policy_loss + value_loss(values, returns, self.value_gradient)

    def output_gradient(self, outputs: Outputs, actions: np.ndarray, returns: np.ndarray) -> Outputs:
        advantage = returns - outputs["value"][:, 0]
        policy_gradient = self.policy(outputs).gradient(outputs, actions, advantage)
        return {**policy_gradient, "value": -self.value_gradient * advantage[:, None]}

    def act_in_evaluation(self, outputs: Outputs, rng: np.random.Generator) -> Action:
        policy = self.policy(outputs)
        return policy.mode(outputs) if self.evaluation_policy == "greedy" else policy.sample(outputs, rng)

    @property
    def score_type(self) -> str:
        return "greedy" if self.evaluation_policy == "greedy" else "sampled"

    def greedy(self) -> Self | None:
        return None if self.evaluation_policy == "greedy" else self.model_copy(update={"evaluation_policy": "greedy"})
