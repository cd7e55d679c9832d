"""`Model` with autograd: the reference, for any `nn.Module` with the interface of `networks/_network.py`."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from a3crepro.common.rollout import Rollout
from a3crepro.common.serialization import PyTree
from a3crepro.mathematics.norm import l2_norm
from a3crepro.models.model import Gradients, OutputsAndState
from a3crepro.networks._network import view_as_parameters
from a3crepro.optimizers._optimizer import Optimizer, OptimizerState, Step


class ModuleModel:
    """A module whose parameters and gradients are views of flat vectors.

    Args:
      module: the network.
      theta: the shared parameters, float32 [n].
      copy: whether the module acts at its own copy θ', or at θ.
    """

    uses_autograd: ClassVar[bool] = True

    def __init__(self, module: nn.Module, theta: Tensor, copy: bool) -> None:
        self.module, self.theta, self.has_copy = module, theta, copy
        self.parameters = theta.clone() if copy else theta
        self.gradient = torch.zeros_like(theta)
        view_as_parameters(module, self.parameters, self.gradient)

    def replica(self) -> ModuleModel:
        replica = copy.copy(self)
        replica.gradient = torch.zeros_like(self.theta)
        return replica

    def initial_state(self) -> Tensor | None:
        return self.module.initial_state()  # type: ignore[operator, no-any-return]

    def synchronise(self) -> None:
        if self.has_copy:
            self.parameters.copy_(self.theta)

    @torch.no_grad()
    def forward(self, observation: np.ndarray, state: Tensor | None) -> tuple[dict[str, np.ndarray], Tensor | None]:
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
        """Points the gradients of the module, which replicas share, to this model's vector."""
        first = next(self.module.parameters()).grad
        if first is None or first.data_ptr() != self.gradient.data_ptr():
            view_as_parameters(self.module, self.parameters, self.gradient)

    def gradient_norm(self) -> float:
        return l2_norm(self.gradient.numpy())  # more exact than PyTorch's norm of float32 vectors, which is off by 4e-5

    def full_gradient(self) -> np.ndarray:
        return self.gradient.numpy()

    def update(self, optimizer: Optimizer, state: OptimizerState, step: Step) -> None:
        if step.clip != 1.0:
            self.gradient.mul_(step.clip)
        gradient = self.gradient.numpy()
        optimizer.update(self.theta.numpy(), gradient, state.statistics, step.learning_rate, step.number)

    def clear_gradient(self) -> None:
        self.gradient.zero_()

    def get_state(self) -> PyTree:
        return self.gradient.numpy()

    def set_state(self, state: PyTree) -> None:
        self.gradient.copy_(torch.from_numpy(state))

    def get_cache(self) -> PyTree:
        return None

    def set_cache(self, state: PyTree) -> None:
        pass


class ModuleBatch(ModuleModel):
    """A `ModuleModel` for several actor-learners that act together; recurrent modules compute one after another."""

    def forward_batch(self, requests: Mapping[int, tuple[np.ndarray, Any]]) -> dict[int, OutputsAndState]:
        if any(state is not None for _, state in requests.values()):
            return {lane: self.forward(*request) for lane, request in requests.items()}
        observations = np.stack([observation for observation, _ in requests.values()])
        with torch.no_grad():
            outputs, _ = self.module(torch.from_numpy(observations))
        arrays = {name: output.numpy() for name, output in outputs.items()}
        return {lane: ({name: array[i] for name, array in arrays.items()}, None) for i, lane in enumerate(requests)}

    def batch_rollout_outputs(self, rollouts: Sequence[Rollout]) -> list[dict[str, np.ndarray]]:
        if self._recurrent:
            found = [(self.rollout_outputs(rollout), self._outputs) for rollout in rollouts]
            self._each = [tensors for _, tensors in found]
            return [outputs for outputs, _ in found]
        observations = [observation for rollout in rollouts for observation in rollout.observations]
        outputs = self.rollout_outputs(Rollout(None, 1, observations))
        edges = np.cumsum([len(rollout.actions) for rollout in rollouts])[:-1]
        parts = {name: np.split(output, edges) for name, output in outputs.items()}
        return [{name: part[lane] for name, part in parts.items()} for lane in range(len(rollouts))]

    def backward_batch(self, gradients: Sequence[Gradients]) -> None:
        if self._recurrent:
            for outputs, gradient in zip(self._each, gradients, strict=True):
                self._outputs = outputs
                self.backward(gradient)
        else:
            self.backward({name: np.concatenate([each[name] for each in gradients]) for name in gradients[0]})

    @property
    def _recurrent(self) -> bool:
        return self.initial_state() is not None
