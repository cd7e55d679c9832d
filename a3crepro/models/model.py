"""A network at a flat vector of parameters: outputs for acting, gradients for learning, updates.

`ModuleModel` is an `nn.Module` with autograd, for any network. `a3crepro.models.fast.model.FastModel` has the same
interface for the networks that it knows.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from a3crepro.common.plain import Tree
from a3crepro.common.rollout import Rollout
from a3crepro.mathematics.norm import l2_norm
from a3crepro.networks._network import view_as_parameters
from a3crepro.optimizers._optimizer import Optimizer

Gradients = Mapping[str, np.ndarray]
"""∂loss/∂outputs, [T, width] for each head."""
Answer = tuple[dict[str, np.ndarray], Any]
"""The vector of each head for an observation, and the recurrent state after it."""


class Model(Protocol):
    """What an actor-learner needs of a network."""

    uses_autograd: ClassVar[bool]
    """Whether its outputs are differentiated by PyTorch's autograd."""

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

    def rollout_outputs(self, rollout: Rollout) -> dict[str, np.ndarray]:
        """The outputs for a rollout's states, [T, width] for each head, at the parameters at which it acted.

        Args:
          rollout: of whose observations `outputs` was asked in this order since `synchronise`.
        """

    def backward(self, gradients: Gradients) -> None:
        """dθ ← dθ + ∂loss/∂θ', for the rollout of the last `rollout_outputs`, and cut at its first recurrent state."""

    def gradient_norm(self) -> float:
        """L2 norm of dθ."""

    def full_gradient(self) -> np.ndarray:
        """dθ, as a flat vector."""

    def update(self, optimizer: Optimizer, statistics: np.ndarray, rate: float, scale: float, step: int) -> None:
        """One step of the optimizer on the shared θ with dθ times `scale`.

        Args:
          optimizer: whose equation it is.
          statistics: of the optimizer, float32 [vectors, n].
          rate: the learning rate.
          scale: by which the gradient is clipped.
          step: number of the update, from 1.
        """

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

    def rollouts_outputs(self, rollouts: Sequence[Rollout]) -> list[dict[str, np.ndarray]]:
        """`rollout_outputs` of a rollout of each lane, of whose states `outputs_of` was asked since `synchronise`."""

    def backward_all(self, gradients: Sequence[Gradients]) -> None:
        """dθ ← dθ + ∂loss/∂θ' of the rollouts of the last `rollouts_outputs`."""


class ModuleModel:
    """A module whose parameters are views of a flat vector, and whose gradient is summed into another.

    Args:
      module: of the face that `networks/_network.py` describes.
      theta: the shared parameters, float32 [n].
      copy: whether the module stands at a copy θ' of its own, or at θ itself.
    """

    uses_autograd: ClassVar[bool] = True

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

    def rollout_outputs(self, rollout: Rollout) -> dict[str, np.ndarray]:
        self._use_own_gradient()
        self._outputs, _ = self.module(torch.from_numpy(np.stack(rollout.observations)), rollout.state)
        return {name: output.detach().numpy() for name, output in self._outputs.items()}

    def backward(self, gradients: Gradients) -> None:
        outputs = [self._outputs[name] for name in gradients]
        torch.autograd.backward(outputs, [torch.from_numpy(gradient) for gradient in gradients.values()])

    def _use_own_gradient(self) -> None:
        """Lets autograd add to this model's gradient, if the module's is a sibling's."""
        first = next(self.module.parameters()).grad
        if first is None or first.data_ptr() != self.gradient.data_ptr():
            view_as_parameters(self.module, self.parameters, self.gradient)

    def gradient_norm(self) -> float:
        return l2_norm(self.gradient.numpy())  # torch's own norm of float32 is off by 4e-5

    def full_gradient(self) -> np.ndarray:
        return self.gradient.numpy()

    def update(self, optimizer: Optimizer, statistics: np.ndarray, rate: float, scale: float, step: int) -> None:
        if scale != 1.0:
            self.gradient.mul_(scale)
        optimizer.update(self.theta.numpy(), self.gradient.numpy(), statistics, rate, step)

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

    def rollouts_outputs(self, rollouts: Sequence[Rollout]) -> list[dict[str, np.ndarray]]:
        if self._recurrent:
            found = [(self.rollout_outputs(rollout), self._outputs) for rollout in rollouts]
            self._each = [tensors for _, tensors in found]
            return [outputs for outputs, _ in found]
        observations = [observation for rollout in rollouts for observation in rollout.observations]
        outputs = self.rollout_outputs(Rollout(None, 1, observations))
        edges = np.cumsum([len(rollout.actions) for rollout in rollouts])[:-1]
        parts = {name: np.split(output, edges) for name, output in outputs.items()}
        return [{name: part[lane] for name, part in parts.items()} for lane in range(len(rollouts))]

    def backward_all(self, gradients: Sequence[Gradients]) -> None:
        if self._recurrent:
            for outputs, gradient in zip(self._each, gradients, strict=True):
                self._outputs = outputs
                self.backward(gradient)
        else:
            self.backward({name: np.concatenate([each[name] for each in gradients]) for name in gradients[0]})

    @property
    def _recurrent(self) -> bool:
        return self.initial_state() is not None


class Sizes(NamedTuple):
    """How much a model is asked for between two changes of its parameters."""

    slots: int
    """Observations whose outputs are asked for, one after another."""
    steps: int
    """States whose gradients are summed; 0: none."""
    lanes: int = 0
    """Actor-learners that act together; 0: one after another."""
