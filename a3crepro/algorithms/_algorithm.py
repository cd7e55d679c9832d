"""What all methods have in common: an endless repetition of two halves, one that reads θ and one that writes it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar

import gymnasium as gym
import numpy as np
import torch
from pydantic import model_validator
from torch import Tensor

from a3crepro.environments._environment import Action, ActionSpace
from a3crepro.mathematics.exploration import epsilon, epsilon_greedy, final_epsilon, is_distribution
from a3crepro.mathematics.losses import q_loss
from a3crepro.mathematics.output_gradients import q_gradient
from a3crepro.settings import Component, Count, Fraction, PositiveCount, PositiveFloat, Settings

if TYPE_CHECKING:
    from a3crepro.actor_learner import ActorLearner, Rollout

Outputs = dict[str, np.ndarray]
"""A network's outputs for one observation: the vector of each head."""


class Algorithm(Component, ABC):
    """Settings of a method, and the method itself as it is written in the paper."""

    uses_thread_copy: ClassVar[bool] = True
    """Whether an actor-learner acts and computes gradients at a copy θ' of its own, or at the shared θ itself."""
    monitor: ClassVar[str]
    """What the number that an actor-learner shows on the screen is."""

    gamma: Fraction
    """The discount γ."""
    max_gradient_norm: PositiveFloat
    """A gradient with a larger L2 norm is scaled down to it."""
    paper_step_seconds: PositiveFloat
    """Duration of an agent step on the paper's machine, in seconds, with 16 threads at once; median of its games."""

    @property
    def target_interval(self) -> int | None:
        """I_target, in frames over all actor-learners; None for a method without a target network θ⁻."""
        return None

    @property
    @abstractmethod
    def max_steps(self) -> int | None:
        """Most agent steps whose gradients are summed into an update; None: as many as an episode has."""

    @abstractmethod
    def heads(self, actions: ActionSpace) -> dict[str, int]:
        """Names and widths of the network's outputs.

        Raises:
          ValueError: the method does not choose among such actions; says what it needs.
        """

    # The body of the pseudocode's loop, in two halves. Between them whoever runs the actor-learners can let others
    # come; in each, and from a second one to the next first one, an actor-learner reads and writes in one go.

    @abstractmethod
    def compute(self, learner: ActorLearner) -> Rollout:
        """Synchronises, acts, and adds to dθ. Writes nothing that is shared."""

    @abstractmethod
    def write(self, learner: ActorLearner, rollout: Rollout) -> None:
        """Counts the rollout's frames, and updates θ and θ⁻ where the method does."""

    @abstractmethod
    def choose(self, outputs: Outputs, learner: ActorLearner) -> Action:
        """The action that an actor-learner takes, from the network's outputs for a state."""

    def entropy(self, outputs: Outputs) -> float | None:
        """Mean entropy of the policy over states, in nats, from outputs [T, width]; None where it has no entropy."""
        return None

    @abstractmethod
    def loss(self, outputs: dict[str, Tensor], actions: Tensor, returns: Tensor) -> Tensor:
        """The summed loss of a rollout.

        Args:
          outputs: of the network for s_0 … s_{T-1}, [T, width] for each head.
          actions: a_0 … a_{T-1}, int64 [T] or float32 [T, n].
          returns: the targets or returns of these states, float32 [T].
        """

    def output_gradient(
        self, outputs: dict[str, np.ndarray], actions: np.ndarray, returns: np.ndarray
    ) -> dict[str, np.ndarray]:
        """∂loss/∂outputs, for networks without autograd: by autograd on the outputs alone, or in closed form."""
        leaves = {name: torch.from_numpy(np.ascontiguousarray(values)) for name, values in outputs.items()}
        for leaf in leaves.values():
            leaf.requires_grad_()
        self.loss(leaves, torch.from_numpy(actions), torch.from_numpy(returns)).backward()  # type: ignore[no-untyped-call]
        return {name: leaf.grad.numpy() for name, leaf in leaves.items() if leaf.grad is not None}

    @abstractmethod
    def act_in_evaluation(self, outputs: Outputs, rng: np.random.Generator) -> Action:
        """The action of the policy that is scored."""


class Exploration(Settings):
    """ε-greedy exploration with a final ε that each actor-learner draws for itself (§4, §8)."""

    anneal_frames: Count
    """Frames (over all actor-learners) in which ε falls from 1 to its final value."""
    final_values: list[Fraction]
    """The values that the final ε is drawn from."""
    probabilities: list[Fraction]
    """Their probabilities."""
    redraw_frames: PositiveCount
    """An actor-learner draws anew after this many frames of its own: in frames, not in episodes, which would favour the
    long ones of a small ε."""

    @model_validator(mode="after")
    def _fits(self) -> Exploration:
        if len(self.final_values) != len(self.probabilities) or not is_distribution(self.probabilities):
            raise ValueError("probabilities: needs one for each of final_values, with a sum of 1")
        return self


class ValueBased(Algorithm):
    """What the three value-based methods have in common."""

    monitor: ClassVar[str] = "epsilon"

    target_update_frames: PositiveCount
    """I_target: θ⁻ ← θ whenever the frames of all actor-learners cross a multiple of this."""
    exploration: Exploration
    evaluation_epsilon: Fraction
    """ε of the policy that is scored."""

    @property
    def target_interval(self) -> int:
        return self.target_update_frames

    def heads(self, actions: ActionSpace) -> dict[str, int]:
        if not isinstance(actions, gym.spaces.Discrete):
            raise ValueError(
                f"{self.name} chooses among discrete actions, this environment's are vectors; a3c takes them"
            )
        return {"q": int(actions.n)}

    def epsilon(self, learner: ActorLearner) -> float:
        """The actor-learner's ε at this moment."""
        how = self.exploration
        draw = learner.own_frames // how.redraw_frames
        final = final_epsilon(learner.seed, learner.thread, draw, tuple(how.final_values), tuple(how.probabilities))
        return epsilon(learner.global_frames, how.anneal_frames, final)

    def choose(self, outputs: Outputs, learner: ActorLearner) -> int:
        """a ε-greedy with respect to Q(s, ·; θ)."""
        now = self.epsilon(learner)
        learner.monitor(now)
        return epsilon_greedy(outputs["q"], now, learner.rng)

    def loss(self, outputs: dict[str, Tensor], actions: Tensor, returns: Tensor) -> Tensor:
        return q_loss(outputs["q"], actions, returns)

    def output_gradient(
        self, outputs: dict[str, np.ndarray], actions: np.ndarray, returns: np.ndarray
    ) -> dict[str, np.ndarray]:
        return {"q": q_gradient(outputs["q"], actions, returns)}

    def act_in_evaluation(self, outputs: Outputs, rng: np.random.Generator) -> int:
        return epsilon_greedy(outputs["q"], self.evaluation_epsilon, rng)
