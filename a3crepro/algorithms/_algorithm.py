"""The interface of a method: what differs between methods in the loop that `ActorLearner` runs.

A method selects actions, chooses the value that a rollout bootstraps from, defines the loss, and decides when θ and θ⁻
are updated.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import cached_property
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
from a3crepro.mathematics.metrics import add_q
from a3crepro.mathematics.output_gradients import q_gradient

Outputs = dict[str, np.ndarray]
"""Arrays by head: [width] for one observation, [T, width] for a rollout."""


class ActorProgress(Protocol):
    """How far an actor-learner has come, which its ε depends on."""

    seed: int
    """Seed of the run."""
    thread: int
    """Number of the actor-learner, from 0."""
    global_frames: int
    """T when it last read the shared parameters, in environment frames."""

    @property
    def own_frames(self) -> int:
        """Environment frames of this actor-learner alone."""


class Actor(ActorProgress, Protocol):
    """What an algorithm may read of an actor-learner."""

    rng: np.random.Generator


class Algorithm(ComponentConfig, ABC):
    """A method and its settings."""

    uses_thread_copy: ClassVar[bool] = True
    """Whether an actor-learner acts and computes gradients at its own copy θ', or at the shared θ."""
    bootstraps_from_target: ClassVar[bool] = False
    """Whether a rollout bootstraps from the target network θ⁻, or from θ'."""
    bootstraps_from_next_action: ClassVar[bool] = False
    """Whether the bootstrap value depends on the next action (Sarsa)."""
    rollout_key: ClassVar[str]
    """The setting that `max_update_steps` is read from, which errors name."""
    updates_target_first: ClassVar[bool] = False
    """Whether θ⁻ is updated before θ (Algorithm 1) or after it (Algorithm S2)."""

    gamma: Fraction
    """The discount γ."""
    max_gradient_norm: PositiveFloat
    """Gradients with a larger L2 norm are scaled down to it."""
    paper_step_seconds: PositiveFloat | None = None
    """Default of `execution.step_seconds`: seconds per agent step of one of 16 threads on the paper's machine, median
    of its games."""

    @property
    def target_interval(self) -> int | None:
        """I_target, in environment frames over all actor-learners; None without a target network θ⁻."""
        return None

    @property
    @abstractmethod
    def max_update_steps(self) -> int | None:
        """Maximum number of agent steps whose gradients are summed into an update; None: those of an episode."""

    @property
    def rollout_steps(self) -> int | None:
        """Maximum length of a rollout, in agent steps; None: a whole episode, without bootstrapping."""
        return self.max_update_steps

    @abstractmethod
    def heads(self, actions: ActionSpace) -> dict[str, int]:
        """Names and widths of the network's outputs.

        Raises:
          ValueError: the method does not support this action space; the message says what it supports.
        """

    @abstractmethod
    def select_action(self, outputs: Outputs, actor: Actor) -> Action:
        """The action of the behaviour policy, from the outputs for one state."""

    @abstractmethod
    def bootstrap_value(self, outputs: Outputs, next_action: Action | None, actor: Actor) -> float:
        """The value of a non-terminal state that a rollout ends in.

        Args:
          outputs: for this state, from the target network if `bootstraps_from_target`.
          next_action: the action taken in it, if `bootstraps_from_next_action`.
          actor: the actor-learner.
        """

    def update_is_due(self, own_steps: int, rollout: Rollout) -> bool:
        """Whether θ is updated after this rollout; else the gradient of the next one is added first.

        Args:
          own_steps: t, the steps of this actor-learner, including those of the rollout.
          rollout: the rollout.
        """
        return True

    def epsilon(self, actor: ActorProgress) -> float | None:
        """The current ε of an actor-learner; None for a policy without ε."""
        return None

    def add_metrics(self, sums: np.ndarray, outputs: Outputs, actions: np.ndarray, returns: np.ndarray) -> None:
        """Adds the states of a rollout to the sums of `mathematics/metrics.py`; by default none, so cells stay empty.

        Args:
          sums: float64 [WIDTH].
          outputs: for s_0 … s_{T-1}, [T, width] for each head.
          actions: a_0 … a_{T-1}, int64 [T] or float32 [T, n].
          returns: returns (or targets) of these states, float32 [T].
        """

    def entropy(self, outputs: Outputs) -> float | None:
        """Mean entropy of the policy in nats, of vectors per component, from outputs [T, width]; None if ε-greedy."""
        return None

    @abstractmethod
    def loss(self, outputs: dict[str, Tensor], actions: Tensor, returns: Tensor) -> Tensor:
        """The summed loss of a rollout.

        Args:
          outputs: for s_0 … s_{T-1}, [T, width] for each head.
          actions: a_0 … a_{T-1}, int64 [T] or float32 [T, n].
          returns: returns (or targets) of these states, float32 [T].
        """

    def autograd_output_gradient(self, outputs: Outputs, actions: np.ndarray, returns: np.ndarray) -> Outputs:
        """∂loss/∂outputs by autograd, [T, width] for each head; arguments as for `loss`."""
        leaves = {name: torch.from_numpy(np.ascontiguousarray(values)) for name, values in outputs.items()}
        for leaf in leaves.values():
            leaf.requires_grad_()
        self.loss(leaves, torch.from_numpy(actions), torch.from_numpy(returns)).backward()  # type: ignore[no-untyped-call]
        return {name: leaf.grad.numpy() for name, leaf in leaves.items() if leaf.grad is not None}

    def output_gradient(self, outputs: Outputs, actions: np.ndarray, returns: np.ndarray) -> Outputs:
        """∂loss/∂outputs. Override it with a closed form, which takes a hundredth of the time."""
        return self.autograd_output_gradient(outputs, actions, returns)

    @abstractmethod
    def act_in_evaluation(self, outputs: Outputs, rng: np.random.Generator) -> Action:
        """The action of the policy that evaluations score, from the outputs for one state."""

    @property
    @abstractmethod
    def score_type(self) -> str:
        """How evaluations act, as the tables of experiments name it: `sampled`, `greedy`, `epsilon_greedy 0.05`."""

    def greedy(self) -> Algorithm | None:
        """This method with evaluations of the most probable actions; None unless evaluations sample from a policy."""
        return None


class Exploration(ConfigModel):
    """ε-greedy exploration; each actor-learner draws its own final ε (§4, §8)."""

    anneal_frames: Count
    """Environment frames, over all actor-learners, in which ε falls linearly from 1 to its final value."""
    final_values: list[Fraction]
    """The values that the final ε is drawn from."""
    probabilities: list[Fraction]
    """Their probabilities."""
    redraw_frames: PositiveCount
    """Environment frames of an actor-learner between its draws: drawing per episode would favour the long episodes of a
    small ε."""

    @cached_property
    def distribution(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """The values, and their probabilities."""
        return tuple(self.final_values), tuple(self.probabilities)

    @model_validator(mode="after")
    def _fits(self) -> Exploration:
        if len(self.final_values) != len(self.probabilities) or not is_distribution(self.probabilities):
            raise ValueError("probabilities: needs one for each of final_values, with a sum of 1")
        return self


class ValueBased(Algorithm):
    """A method that learns action values Q(s, ·; θ) and acts ε-greedily."""

    bootstraps_from_target: ClassVar[bool] = True

    target_update_frames: PositiveCount
    """I_target: θ⁻ ← θ whenever T, in environment frames over all actor-learners, crosses a multiple of it."""
    exploration: Exploration
    evaluation_epsilon: Fraction
    """ε of the policy that evaluations score."""

    @property
    def target_interval(self) -> int:
        return self.target_update_frames

    def heads(self, actions: ActionSpace) -> dict[str, int]:
        if not isinstance(actions, gym.spaces.Discrete):
            raise ValueError(
                f"{self.name} needs discrete actions, but this environment's actions are vectors; use algo=a3c"
            )
        return {"q": int(actions.n)}

    def epsilon(self, actor: ActorProgress) -> float:
        exploration = self.exploration
        draw = actor.own_frames // exploration.redraw_frames
        final = final_epsilon(actor.seed, actor.thread, draw, *exploration.distribution)
        return epsilon(actor.global_frames, exploration.anneal_frames, final)

    def select_action(self, outputs: Outputs, actor: Actor) -> int:
        return epsilon_greedy(outputs["q"], self.epsilon(actor), actor.rng)

    def add_metrics(self, sums: np.ndarray, outputs: Outputs, actions: np.ndarray, returns: np.ndarray) -> None:
        add_q(outputs["q"], actions, returns, sums)

    def loss(self, outputs: dict[str, Tensor], actions: Tensor, returns: Tensor) -> Tensor:
        return q_loss(outputs["q"], actions, returns)

    def output_gradient(self, outputs: Outputs, actions: np.ndarray, returns: np.ndarray) -> Outputs:
        return {"q": q_gradient(outputs["q"], actions, returns)}

    @property
    def score_type(self) -> str:
        return f"epsilon_greedy {self.evaluation_epsilon}"

    def act_in_evaluation(self, outputs: Outputs, rng: np.random.Generator) -> int:
        return epsilon_greedy(outputs["q"], self.evaluation_epsilon, rng)
