"""What all methods have in common.

An algorithm says what differs between the methods: which action an actor takes, which value a rollout bootstraps from,
which loss it has, and when θ and θ⁻ are updated. `ActorLearner` runs the loop that they share.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, Protocol

import gymnasium as gym
import numpy as np
import torch
from pydantic import model_validator
from torch import Tensor

from a3crepro.common.config_model import ComponentConfig, ConfigModel, Count, Fraction, PositiveCount, PositiveFloat
from a3crepro.common.rollout import Action, Rollout
from a3crepro.environments._environment import ActionSpace
from a3crepro.mathematics.exploration import epsilon, epsilon_greedy, final_epsilon, is_distribution
from a3crepro.mathematics.losses import q_loss
from a3crepro.mathematics.output_gradients import q_gradient

Outputs = dict[str, np.ndarray]
"""A network's outputs for one observation: the vector of each head."""


class Actor(Protocol):
    """What an algorithm may know of the actor-learner whose action it selects."""

    seed: int
    """The run's."""
    thread: int
    """Number of the actor-learner, from 0."""
    rng: np.random.Generator
    global_frames: int
    """T when it last read the shared parameters."""

    @property
    def own_frames(self) -> int:
        """Environment frames of this actor-learner alone."""


class Algorithm(ComponentConfig, ABC):
    """Settings of a method, and what is its own in the paper's pseudocode."""

    uses_thread_copy: ClassVar[bool] = True
    """Whether an actor-learner acts and computes gradients at a copy θ' of its own, or at the shared θ itself."""
    bootstraps_from_target: ClassVar[bool] = False
    """Whether the value of the last state of a rollout comes from the target network θ⁻, or from θ'."""
    bootstraps_from_next_action: ClassVar[bool] = False
    """Whether that value needs the action that the actor-learner takes next (Sarsa)."""
    updates_target_first: ClassVar[bool] = False
    """Whether θ⁻ is updated before θ (Algorithm 1) or after it (Algorithm S2)."""
    metric_name: ClassVar[str]
    """Name of the number that `metric` returns."""

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

    @property
    def rollout_steps(self) -> int | None:
        """Agent steps after which a gradient is computed, unless the episode ends before; None: at its end only.

        A method without this limit does not bootstrap, not even at a time limit.
        """
        return self.max_steps

    @abstractmethod
    def heads(self, actions: ActionSpace) -> dict[str, int]:
        """Names and widths of the network's outputs.

        Raises:
          ValueError: the method does not choose among such actions; says what it needs.
        """

    @abstractmethod
    def select_action(self, outputs: Outputs, actor: Actor) -> Action:
        """The action that an actor-learner takes, from the network's outputs for a state."""

    @abstractmethod
    def bootstrap_value(self, outputs: Outputs, next_action: Action | None, actor: Actor) -> float:
        """The value of the state that a rollout ends in, if it is not terminal.

        Args:
          outputs: for this state, of the target network if `bootstraps_from_target`.
          next_action: the action that is taken in it, if `bootstraps_from_next_action`.
          actor: the actor-learner whose rollout it is.
        """

    def update_is_due(self, own_steps: int, rollout: Rollout) -> bool:
        """Whether θ is updated after this rollout, or the next gradient is added first.

        Args:
          own_steps: t, the steps of this actor-learner, those of the rollout included.
        """
        return True

    @abstractmethod
    def metric(self, outputs: Outputs, actor: Actor) -> float:
        """A number that shows how the training goes: the policy's entropy in a rollout, in nats, or ε."""

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

    def autograd_output_gradient(
        self, outputs: dict[str, np.ndarray], actions: np.ndarray, returns: np.ndarray
    ) -> dict[str, np.ndarray]:
        """∂loss/∂outputs by autograd, from outputs [T, width] of each head."""
        leaves = {name: torch.from_numpy(np.ascontiguousarray(values)) for name, values in outputs.items()}
        for leaf in leaves.values():
            leaf.requires_grad_()
        self.loss(leaves, torch.from_numpy(actions), torch.from_numpy(returns)).backward()  # type: ignore[no-untyped-call]
        return {name: leaf.grad.numpy() for name, leaf in leaves.items() if leaf.grad is not None}

    def output_gradient(
        self, outputs: dict[str, np.ndarray], actions: np.ndarray, returns: np.ndarray
    ) -> dict[str, np.ndarray]:
        """The same; a method may have it in closed form, which takes a tenth of the time."""
        return self.autograd_output_gradient(outputs, actions, returns)

    @abstractmethod
    def act_in_evaluation(self, outputs: Outputs, rng: np.random.Generator) -> Action:
        """The action of the policy that is scored."""


class Exploration(ConfigModel):
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

    metric_name: ClassVar[str] = "epsilon"
    bootstraps_from_target: ClassVar[bool] = True

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

    def epsilon(self, actor: Actor) -> float:
        """The actor-learner's ε at this moment."""
        how = self.exploration
        draw = actor.own_frames // how.redraw_frames
        final = final_epsilon(actor.seed, actor.thread, draw, tuple(how.final_values), tuple(how.probabilities))
        return epsilon(actor.global_frames, how.anneal_frames, final)

    def select_action(self, outputs: Outputs, actor: Actor) -> int:
        """a ε-greedy with respect to Q(s, ·; θ)."""
        return epsilon_greedy(outputs["q"], self.epsilon(actor), actor.rng)

    def metric(self, outputs: Outputs, actor: Actor) -> float:
        """ε."""
        return self.epsilon(actor)

    def loss(self, outputs: dict[str, Tensor], actions: Tensor, returns: Tensor) -> Tensor:
        return q_loss(outputs["q"], actions, returns)

    def output_gradient(
        self, outputs: dict[str, np.ndarray], actions: np.ndarray, returns: np.ndarray
    ) -> dict[str, np.ndarray]:
        return {"q": q_gradient(outputs["q"], actions, returns)}

    def act_in_evaluation(self, outputs: Outputs, rng: np.random.Generator) -> int:
        return epsilon_greedy(outputs["q"], self.evaluation_epsilon, rng)
