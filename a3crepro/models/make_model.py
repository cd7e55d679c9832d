"""Chooses the implementation of a network: the fast path if it supports the network, else a module with autograd."""

from collections.abc import Callable

import gymnasium as gym
from torch import Tensor, nn

from a3crepro.models.fast.model import FastBatch, FastModel, LocalParameters, network_for
from a3crepro.models.model import Model, Sizes
from a3crepro.models.module import ModuleBatch, ModuleModel


def make_model(
    module: nn.Module,
    observation_space: gym.spaces.Box,
    theta: Tensor,
    version: Callable[[], int] | None,
    sizes: Sizes,
    implementation: str,
) -> Model:
    """A model of a network; a `Batch` if it has lanes.

    Args:
      module: defines the network.
      observation_space: of the environment.
      theta: the shared parameters, float32 [n].
      version: returns a number that changes whenever θ does, for a model that acts at the shared θ; None for a model
        that acts at a copy θ'.
      sizes: capacity of the model.
      implementation: `fast` or `module`.
    """
    fast = implementation == "fast"
    network = network_for(module, observation_space, sizes.entries, max(1, sizes.lanes)) if fast else None
    if network is None:
        return (ModuleBatch if sizes.lanes else ModuleModel)(module, theta, copy=version is None)
    local = LocalParameters(network, theta.numpy(), version)
    return (FastBatch if sizes.lanes else FastModel)(local, sizes.steps)
