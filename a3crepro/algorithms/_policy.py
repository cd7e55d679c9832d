"""Policy distributions: a softmax over discrete actions, a Gaussian over action vectors."""

from abc import ABC, abstractmethod

import numpy as np
from torch import Tensor

from a3crepro.algorithms._algorithm import Outputs
from a3crepro.environments._environment import Action
from a3crepro.mathematics import exploration, losses, metrics, output_gradients
from a3crepro.mathematics.variance import mean_and_variance


class Policy(ABC):
    """π(·|s), parameterised by the outputs of a network.

    Args:
      beta: weight of the entropy in the loss.
    """

    def __init__(self, beta: float) -> None:
        self.beta = beta

    @abstractmethod
    def sample(self, outputs: Outputs, rng: np.random.Generator) -> Action:
        """An action drawn from π(·|s)."""

    @abstractmethod
    def mode(self, outputs: Outputs) -> Action:
        """The most probable action."""

    @abstractmethod
    def entropy(self, outputs: Outputs) -> float:
        """Mean entropy over the states of a rollout, in nats; of vectors per component."""

    @abstractmethod
    def loss(self, outputs: dict[str, Tensor], actions: Tensor, advantage: Tensor) -> Tensor:
        """−Σ [log π(a|s) · advantage + β H]."""

    @abstractmethod
    def gradient(self, outputs: Outputs, actions: np.ndarray, advantage: np.ndarray) -> Outputs:
        """∂loss/∂outputs of the policy's heads."""

    @abstractmethod
    def add_metrics(
        self, sums: np.ndarray, outputs: Outputs, actions: np.ndarray, returns: np.ndarray, value_gradient: float
    ) -> None:
        """Adds the states of a rollout, with their policy and value, to the sums of `mathematics/metrics.py`."""


class Softmax(Policy):
    """Discrete actions; head `logits` [actions]."""

    def sample(self, outputs: Outputs, rng: np.random.Generator) -> Action:
        return exploration.sample_softmax(outputs["logits"], rng)

    def mode(self, outputs: Outputs) -> Action:
        return int(outputs["logits"].argmax())

    def entropy(self, outputs: Outputs) -> float:
        return float(output_gradients.mean_entropy(outputs["logits"]))

    def loss(self, outputs: dict[str, Tensor], actions: Tensor, advantage: Tensor) -> Tensor:
        return losses.policy_loss(outputs["logits"], actions, advantage, self.beta)

    def gradient(self, outputs: Outputs, actions: np.ndarray, advantage: np.ndarray) -> Outputs:
        return {"logits": output_gradients.policy_gradient(outputs["logits"], actions, advantage, self.beta)}

    def add_metrics(
        self, sums: np.ndarray, outputs: Outputs, actions: np.ndarray, returns: np.ndarray, value_gradient: float
    ) -> None:
        metrics.add_softmax(outputs["logits"], outputs["value"], actions, returns, self.beta, value_gradient, sums)


class Gaussian(Policy):
    """Action vectors; heads `mean` [n] and `raw_variance`, [1] or, for a diagonal covariance, [n]."""

    def __init__(self, beta: float, bounded: bool) -> None:
        super().__init__(beta)
        self.bounded = bounded

    def sample(self, outputs: Outputs, rng: np.random.Generator) -> Action:
        return exploration.sample_gaussian(outputs["mean"], outputs["raw_variance"], self.bounded, rng)

    def mode(self, outputs: Outputs) -> Action:
        mean: np.ndarray = exploration.action_at(
            outputs["mean"], outputs["raw_variance"], np.zeros(len(outputs["mean"])), self.bounded
        )
        return mean

    def entropy(self, outputs: Outputs) -> float:
        return float(output_gradients.gaussian_mean_entropy(outputs["raw_variance"], self.bounded))

    def loss(self, outputs: dict[str, Tensor], actions: Tensor, advantage: Tensor) -> Tensor:
        mean, variance = mean_and_variance(outputs["mean"], outputs["raw_variance"], self.bounded)
        return losses.gaussian_policy_loss(mean, variance, actions, advantage, self.beta)

    def gradient(self, outputs: Outputs, actions: np.ndarray, advantage: np.ndarray) -> Outputs:
        mean, raw_variance = output_gradients.gaussian_policy_gradient(
            outputs["mean"], outputs["raw_variance"], actions, advantage, self.beta, self.bounded
        )
        return {"mean": mean, "raw_variance": raw_variance}

    def add_metrics(
        self, sums: np.ndarray, outputs: Outputs, actions: np.ndarray, returns: np.ndarray, value_gradient: float
    ) -> None:
        mean, raw_variance, value = outputs["mean"], outputs["raw_variance"], outputs["value"]
        metrics.add_gaussian(mean, raw_variance, value, actions, returns, self.beta, self.bounded, value_gradient, sums)
