"""A network at one flat vector of parameters: outputs for acting, gradients for learning."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from a3crepro.networks._network import view_as_parameters

Loss = Callable[[dict[str, Tensor], Tensor, Tensor], Tensor]
"""From a rollout's outputs, actions and returns to its summed loss; see `Algorithm.loss`."""


class Model:
    """A module whose parameters are views of a flat vector, and whose gradient is summed into another."""

    def __init__(self, module: nn.Module, parameters: Tensor, gradient: Tensor | None = None) -> None:
        self.module = module
        self.parameters = parameters
        self.gradient = gradient
        view_as_parameters(module, parameters, gradient)

    def initial_state(self) -> Tensor | None:
        """The recurrent state at the start of an episode."""
        return self.module.initial_state()  # type: ignore[operator, no-any-return]

    @torch.no_grad()
    def outputs(self, observation: np.ndarray, state: Tensor | None) -> tuple[dict[str, np.ndarray], Tensor | None]:
        """The vector of each head for one observation, and the recurrent state after it."""
        outputs, state = self.module(torch.from_numpy(observation)[None], state)
        return {name: output[0].numpy() for name, output in outputs.items()}, state

    def accumulate(
        self, observations: np.ndarray, state: Tensor | None, loss: Callable[[dict[str, Tensor]], Tensor]
    ) -> dict[str, Tensor]:
        """Adds the gradient of a rollout's loss to the gradient vector; returns the outputs.

        Args:
          observations: s_0 … s_{T-1}, [T, ...].
          state: the recurrent state before s_0; the gradient is cut there.
          loss: from the outputs [T, width] to the summed loss.
        """
        outputs: dict[str, Tensor]
        outputs, _ = self.module(torch.from_numpy(observations), state)
        loss(outputs).backward()  # type: ignore[no-untyped-call]
        return outputs
