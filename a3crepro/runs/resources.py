"""Checks that the machine has the memory and open files that a run needs, before anything is written."""

import math
from typing import Any

import torch
from torch import nn

from a3crepro.common import machine
from a3crepro.common.errors import RunError, UserError
from a3crepro.common.machine import allow_open_files, free_shared_memory, memory_bytes
from a3crepro.config import Config
from a3crepro.execution._worker_group import shares_gradient
from a3crepro.learner.shared_state import SharedState
from a3crepro.models.fast.model import why_not_fast
from a3crepro.models.fast.spec import spec_of

GIB = 2**30
MAX_ROLLOUT_BYTES = 4 * GIB
"""Largest rollout of an actor-learner; far more than any included environment needs."""
MIN_PROCESS_BYTES = 16 * 2**20
"""Memory of a process, apart from its network."""
FLOAT_BYTES = 4
SHORT_ROLLOUT = 200
"""Agent steps; the memory of shorter rollouts is negligible."""
FILES, FILES_PER_PROCESS = 40, 3
"""Open files of the main process: at least, and for each child process."""


def check_resources(config: Config, shared: SharedState) -> None:
    """Refuses a run that needs more than this machine has.

    Raises:
      UserError: it needs more memory than there is; the line names the key.
      RunError: there is too little shared memory, or the limit of open files is too low.
    """
    _check_memory(config, shared)
    _check_shared_memory(config, shared)
    _check_open_files(config)


def _check_memory(config: Config, shared: SharedState) -> None:
    steps_key = f"algo.{config.algo.rollout_key}"
    steps, step_bytes = config.max_update_steps, 0
    if steps > SHORT_ROLLOUT:
        step_bytes = _bytes_per_step(config)
        if steps * step_bytes > MAX_ROLLOUT_BYTES:
            raise UserError(
                f"{steps_key}: a rollout of {steps:,} steps takes {_size(steps * step_bytes)} of memory in each of "
                f"{config.threads} actor-learners; allowed: {_size(MAX_ROLLOUT_BYTES)}, here "
                f"{MAX_ROLLOUT_BYTES // step_bytes:,} steps"
            )
    processes = config.processes
    needs = {
        "network": shared.nbytes + (processes + _gradients(config)) * shared.parameters.nbytes,
        steps_key: config.threads * steps * step_bytes,
        "threads": processes * MIN_PROCESS_BYTES,
    }
    needed, available = sum(needs.values()), memory_bytes()
    if needed > available:
        key = max(needs, key=lambda key: needs[key])
        raise UserError(
            f"{key}: {config.threads} actor-learners take at least {_size(needed)} of memory, and this machine has "
            f"{_size(available)}"
        )


def _gradients(config: Config) -> int:
    """Number of gradients as long as θ: one for each actor-learner, or for each process if its actor-learners share it.

    The fast path keeps the gradients of the large weights of convolutional networks as factors, which are small.
    """
    shared = config.execution.makes_one_update and shares_gradient(config.algo)
    one_each = config.threads > config.processes and not shared and not _factors(config)
    return config.threads if one_each else config.processes


def _factors(config: Config) -> bool:
    """Whether the fast path runs the network and keeps the gradients of its large weights as factors."""
    if config.network.implementation != "fast":
        return False
    spec = spec_of(config.seeded_network(), config.env.spaces()[0])
    return spec is not None and spec.has_convolutions and why_not_fast(spec, config.max_update_steps) is None


def _bytes_per_step(config: Config) -> int:
    """Memory of a rollout per agent step: the observation, and the output and gradient of each layer."""
    space, module = config.env.spaces()[0], config.seeded_network()
    outputs: list[int] = []

    def count(_: nn.Module, __: object, output: Any) -> None:
        outputs.append((output[0] if isinstance(output, tuple) else output).numel())

    for layer in module.modules():
        if not list(layer.children()):
            layer.register_forward_hook(count)
    with torch.no_grad():
        module(torch.zeros(1, *space.shape), module.initial_state())  # type: ignore[operator]
    return math.prod(space.shape) * space.dtype.itemsize + 2 * FLOAT_BYTES * sum(outputs)


def _check_shared_memory(config: Config, shared: SharedState) -> None:
    processes = config.processes if config.execution.makes_one_update else 0
    needed = shared.nbytes + processes * shared.parameters.nbytes  # the gradients to be summed
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
    needed = FILES + FILES_PER_PROCESS * config.processes
    allowed = allow_open_files(needed)
    if allowed < needed:
        raise RunError(
            f"threads: the run opens up to {needed} files, but the limit is {allowed}; "
            f"raise it (ulimit -n {needed}) or use fewer threads"
        )


def _size(size: float) -> str:
    return f"{size / GIB:,.1f} GiB" if size >= GIB / 10 else f"{size / 2**20:,.0f} MiB"
