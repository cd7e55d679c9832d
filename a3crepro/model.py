"""A network at a flat vector of parameters: outputs for acting, gradients for learning, updates.

`ModuleModel` is an `nn.Module` with autograd, for any network. `a3crepro.fast.model.FastModel` has the same face for
the networks that it knows.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import gymnasium as gym
import numpy as np
import torch
from torch import Tensor, nn

from a3crepro.environments._environment import Action
from a3crepro.mathematics.norm import l2_norm
from a3crepro.networks._network import view_as_parameters
from a3crepro.optimizers._optimizer import Optimizer
from a3crepro.plain import Tree

if TYPE_CHECKING:
    from a3crepro.actor_learner import Rollout
    from a3crepro.algorithms._algorithm import Algorithm


Answer = tuple[dict[str, np.ndarray], Any]
"""The vector of each head for an observation, and the recurrent state after it."""


class Model(Protocol):
    """What an actor-learner needs of a network."""

    def sibling(self) -> Model:
        """A model at the same parameters, with a gradient of its own, for another actor-learner of this process.

        Siblings share θ': each may use it from a `synchronise` to the gradient of what it was asked for since.
        """

    def initial_state(self) -> Any:
        """The recurrent state at the start of an episode, or None."""

    def synchronise(self) -> None:
        """θ' ← θ, where the model has a copy of its own."""

    def outputs(self, observation: np.ndarray, state: Any) -> Answer:
        """The answer for one observation; its vectors are good until the next call."""

    def accumulate(
        self,
        observations: Sequence[np.ndarray],
        actions: Sequence[Action],
        returns: np.ndarray,
        state: Any,
        algo: Algorithm,
    ) -> dict[str, np.ndarray]:
        """dθ ← dθ + ∂loss/∂θ'.

        Args:
          observations: s_0 … s_{T-1}, of which `outputs` was asked in this order since `synchronise`.
          actions: a_0 … a_{T-1}.
          returns: the targets or returns of these states, float32 [T].
          state: the recurrent state before s_0; the gradient is cut there.
          algo: whose loss it is.

        Returns:
          The outputs for these states, [T, width] for each head.
        """

    def gradient_norm(self) -> float:
        """L2 norm of dθ."""

    def full_gradient(self) -> np.ndarray:
        """dθ, as a flat vector."""

    def update(self, optimizer: Optimizer, statistics: np.ndarray, rate: float, scale: float) -> None:
        """One step of the optimizer on the shared θ with dθ times `scale`."""

    def clear_gradient(self) -> None:
        """dθ ← 0."""

    def get_state(self) -> Tree:
        """The gradient."""

    def set_state(self, state: Tree) -> None:
        """Takes over what `get_state` told."""

    def get_shared_state(self) -> Tree:
        """What it shares with its siblings, beside θ, and what later outputs depend on."""

    def set_shared_state(self, state: Tree) -> None:
        """Takes over what `get_shared_state` told, where θ is as it was."""


class Batch(Model, Protocol):
    """A model for many actor-learners of a process that act together at the same θ': each has a lane."""

    def outputs_of(self, asked: Mapping[int, tuple[np.ndarray, Any]]) -> dict[int, Answer]:
        """Outputs for observations and recurrent states of the lanes that ask; all do after `synchronise`.

        The vectors are good until the next `synchronise`.
        """

    def accumulate_all(self, rollouts: Sequence[Rollout], returns: Sequence[np.ndarray], algo: Algorithm) -> None:
        """dθ ← dθ + ∂loss/∂θ' of a rollout of each lane, of whose states `outputs_of` was asked since `synchronise`."""


class ModuleModel:
    """A module whose parameters are views of a flat vector, and whose gradient is summed into another.

    Args:
      module: of the face that `networks/_network.py` describes.
      theta: the shared parameters, float32 [n].
      copy: whether the module stands at a copy θ' of its own, or at θ itself.
    """

    def __init__(self, module: nn.Module, theta: Tensor, copy: bool) -> None:
        self.module, self.theta, self.has_copy = module, theta, copy
        self.parameters = theta.clone() if copy else theta
        self.gradient = torch.zeros_like(theta)
        view_as_parameters(module, self.parameters, self.gradient)

    def sibling(self) -> ModuleModel:
        sibling = copy.copy(self)
        sibling.gradient = torch.zeros_like(self.theta)
        return sibling

    def initial_state(self) -> Tensor | None:
        return self.module.initial_state()  # type: ignore[operator, no-any-return]

    def synchronise(self) -> None:
        if self.has_copy:
            self.parameters.copy_(self.theta)

    @torch.no_grad()
    def outputs(self, observation: np.ndarray, state: Tensor | None) -> tuple[dict[str, np.ndarray], Tensor | None]:
        outputs, state = self.module(torch.from_numpy(observation)[None], state)
        return {name: output[0].numpy() for name, output in outputs.items()}, state

    def accumulate(
        self,
        observations: Sequence[np.ndarray],
        actions: Sequence[Action],
        returns: np.ndarray,
        state: Tensor | None,
        algo: Algorithm,
    ) -> dict[str, np.ndarray]:
        first = next(self.module.parameters()).grad
        if first is None or first.data_ptr() != self.gradient.data_ptr():  # the module's gradient is a sibling's
            view_as_parameters(self.module, self.parameters, self.gradient)
        outputs, _ = self.module(torch.from_numpy(np.stack(observations)), state)
        algo.loss(outputs, torch.from_numpy(np.asarray(actions)), torch.from_numpy(returns)).backward()  # type: ignore[no-untyped-call]
        return {name: output.detach().numpy() for name, output in outputs.items()}

    def gradient_norm(self) -> float:
        return l2_norm(self.gradient.numpy())  # torch's own norm of float32 is off by 4e-5

    def full_gradient(self) -> np.ndarray:
        return self.gradient.numpy()

    def update(self, optimizer: Optimizer, statistics: np.ndarray, rate: float, scale: float) -> None:
        if scale != 1.0:
            self.gradient.mul_(scale)
        optimizer.update(self.theta.numpy(), self.gradient.numpy(), statistics, rate)

    def clear_gradient(self) -> None:
        self.gradient.zero_()

    def get_state(self) -> Tree:
        return self.gradient.numpy()

    def set_state(self, state: Tree) -> None:
        self.gradient.copy_(torch.from_numpy(state))

    def get_shared_state(self) -> Tree:
        return None

    def set_shared_state(self, state: Tree) -> None:
        pass


class ModuleBatch(ModuleModel):
    """The same for many actor-learners; a recurrent module is asked for one after another."""

    def outputs_of(self, asked: Mapping[int, tuple[np.ndarray, Any]]) -> dict[int, Answer]:
        if any(state is not None for _, state in asked.values()):
            return {lane: self.outputs(*question) for lane, question in asked.items()}
        with torch.no_grad():
            outputs, _ = self.module(torch.from_numpy(np.stack([observation for observation, _ in asked.values()])))
        return {
            lane: ({name: output[i].numpy() for name, output in outputs.items()}, None) for i, lane in enumerate(asked)
        }

    def accumulate_all(self, rollouts: Sequence[Rollout], returns: Sequence[np.ndarray], algo: Algorithm) -> None:
        if any(rollout.state is not None for rollout in rollouts):
            for rollout, theirs in zip(rollouts, returns, strict=True):
                self.accumulate(rollout.observations, rollout.actions, theirs, rollout.state, algo)
            return
        observations = [observation for rollout in rollouts for observation in rollout.observations]
        actions = [action for rollout in rollouts for action in rollout.actions]
        self.accumulate(observations, actions, np.concatenate(returns), None, algo)


class Sizes(NamedTuple):
    """How much a model is asked for between two changes of its parameters."""

    slots: int
    """Observations whose outputs are asked for, one after another."""
    steps: int
    """States whose gradients are summed; 0: none."""
    lanes: int = 0
    """Actor-learners that act together; 0: one after another."""


def make_model(
    module: nn.Module,
    observation_space: gym.spaces.Box,
    theta: Tensor,
    version: Callable[[], int] | None,
    sizes: Sizes,
    implementation: str,
) -> Model:
    """The fast path where it is asked for and knows the network, else the module itself; a `Batch`, where it has lanes.

    `version` is a number that changes whenever θ does, for a model at the shared θ; None for one at a copy θ'.
    """
    from a3crepro.fast.model import FastBatch, FastModel, Place, network_for

    fast = implementation == "fast"
    network = network_for(module, observation_space, sizes.slots, max(1, sizes.lanes)) if fast else None
    if network is None:
        return (ModuleBatch if sizes.lanes else ModuleModel)(module, theta, copy=version is None)
    place = Place(network, theta.numpy(), version)
    return (FastBatch if sizes.lanes else FastModel)(place, sizes.steps)
