"""The network of an actor-learner or a policy: the fast path where there is one, else a module with autograd."""

from __future__ import annotations

from collections.abc import Callable

import gymnasium as gym
from torch import Tensor, nn

from a3crepro.models.fast.model import FastBatch, FastModel, Place, network_for
from a3crepro.models.model import Model, ModuleBatch, ModuleModel, Sizes


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
    fast = implementation == "fast"
    network = network_for(module, observation_space, sizes.slots, max(1, sizes.lanes)) if fast else None
    if network is None:
        return (ModuleBatch if sizes.lanes else ModuleModel)(module, theta, copy=version is None)
    place = Place(network, theta.numpy(), version)
    return (FastBatch if sizes.lanes else FastModel)(place, sizes.steps)
