"""What a run needs of the machine, told in a line before anything is written where it cannot have it."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn

from a3crepro.common import machine
from a3crepro.common.machine import allow_open_files, free_shared_memory, memory_bytes
from a3crepro.common.settings import RunError, UserError
from a3crepro.config import Config
from a3crepro.learner.shared_state import SharedState
from a3crepro.networks._network import seeded

GIB = 2**30
ROLLOUT = 4 * GIB
"""Bytes that an actor-learner may keep of a rollout: far more than any game needs."""
PROCESS = 16 * 2**20
"""Bytes that a process has for itself at least, beside its network."""
FLOAT = 4
FEW = 200
"""Steps of a rollout whose memory is not worth counting."""
COPIES = 2
"""Vectors as long as θ that an actor-learner has at least: θ' and its gradient."""
FILES, FILES_A_PROCESS = 40, 3
"""Files that the main process of a run has open."""


def check_needs(config: Config, shared: SharedState) -> None:
    """Refuses a run that this machine cannot hold.

    Args:
      config: the run's configuration.
      shared: what its actor-learners share, not yet in shared memory; its size alone is read.

    Raises:
      UserError: it needs more memory than there is; the line names the key.
      RunError: there is too little shared memory, or too few files may be open.
    """
    _check_memory(config, shared)
    _check_shared_memory(config, shared)
    _check_open_files(config)


def _check_memory(config: Config, shared: SharedState) -> None:
    steps_key = "algo.t_max" if hasattr(config.algo, "t_max") else "algo.update_steps"
    steps, a_step = config.rollout_steps, 0
    if steps > FEW:
        a_step = _bytes_of_a_step(config)
        if steps * a_step > ROLLOUT:
            raise UserError(
                f"{steps_key}: a rollout of {steps:,} steps takes {_told(steps * a_step)} of memory in each of "
                f"{config.threads} actor-learners; allowed: {_told(ROLLOUT)}, here {ROLLOUT // a_step:,} steps"
            )
    processes = config.processes
    needs = {
        "network": shared.nbytes + processes * COPIES * shared.parameters.nbytes,
        steps_key: config.threads * steps * a_step,
        "threads": processes * PROCESS,
    }
    needed, there = sum(needs.values()), memory_bytes()
    if needed > there:
        key = max(needs, key=lambda key: needs[key])
        raise UserError(
            f"{key}: {config.threads} actor-learners take at least {_told(needed)} of memory, and this machine has "
            f"{_told(there)}"
        )


def _bytes_of_a_step(config: Config) -> int:
    """Bytes that a rollout keeps of a step at least: the observation, and each layer's output with its gradient."""
    space, actions = config.env.spaces()
    module = seeded(config.network, space, config.algo.heads(actions), config.seed)
    outputs: list[int] = []

    def count(_: nn.Module, __: object, output: Any) -> None:
        outputs.append((output[0] if isinstance(output, tuple) else output).numel())

    for layer in module.modules():
        if not list(layer.children()):
            layer.register_forward_hook(count)
    with torch.no_grad():
        module(torch.zeros(1, *space.shape), module.initial_state())  # type: ignore[operator]
    return math.prod(space.shape) * space.dtype.itemsize + 2 * FLOAT * sum(outputs)


def _check_shared_memory(config: Config, shared: SharedState) -> None:
    processes = config.processes if config.execution.makes_one_update else 0
    needed = shared.nbytes + processes * shared.parameters.nbytes  # and the gradients that are summed
    try:
        free = free_shared_memory()
    except OSError as error:
        where = f"{machine.SHARED_MEMORY}: {error.strerror}"
        raise RunError(f"{where}; the actor-learners share {needed:,} bytes there") from error
    if needed > free:
        raise RunError(
            f"{machine.SHARED_MEMORY} has {free:,} bytes free, and the actor-learners share {needed:,} there; in a "
            f"container, --shm-size={math.ceil(1.25 * needed / 2**20)}m gives it more"
        )


def _check_open_files(config: Config) -> None:
    needed = FILES + FILES_A_PROCESS * config.processes
    allowed = allow_open_files(needed)
    if allowed < needed:
        raise RunError(
            f"{needed} files are to be open at once, and at most {allowed} may be: ulimit -n {needed}, or fewer threads"
        )


def _told(size: float) -> str:
    return f"{size / GIB:,.1f} GiB" if size >= GIB / 10 else f"{size / 2**20:,.0f} MiB"
