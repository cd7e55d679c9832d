"""Chooses the implementation of a network: the fast path if it supports the network, else a module with autograd."""

import gymnasium as gym
from torch import nn

from a3crepro.models.fast.model import FastBatch, FastModel, LocalParameters, network_for
from a3crepro.models.model import Model, Sizes, Theta
from a3crepro.models.module import ModuleBatch, ModuleModel


def make_model(
    module: nn.Module, observation_space: gym.spaces.Box, theta: Theta, sizes: Sizes, implementation: str
) -> Model:
    """A model of a network; a `Batch` if it has lanes.

    Args:
      module: defines the network.
      observation_space: of the environment.
      theta: its parameters.
      sizes: capacity of the model.
      implementation: `fast` or `module`.
    """
    fast = implementation == "fast"
    network = network_for(module, observation_space, theta, sizes.entries, max(1, sizes.lanes)) if fast else None
    if network is None:
        return (ModuleBatch if sizes.lanes else ModuleModel)(module, theta.shared, copy=theta.version is None)
    return (FastBatch if sizes.lanes else FastModel)(LocalParameters(network, theta), sizes.steps)
