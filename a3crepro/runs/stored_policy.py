"""Loads the policy of a run's directory or a trained agent's. Nothing in the files is executed."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import NamedTuple

from omegaconf import OmegaConf
from safetensors import SafetensorError, safe_open

from a3crepro.common.errors import UserError
from a3crepro.config import Config, build
from a3crepro.learner.shared_state import PolicySnapshot, policy_snapshot
from a3crepro.runs.checkpoint import last_checkpoint
from a3crepro.runs.policies import NetworkPolicy
from a3crepro.runs.run_directory import stored_config

PARAMETERS = "parameters.safetensors"


class StoredPolicy(NamedTuple):
    """A policy as stored in the directory of a run or an agent."""

    config: Config
    snapshot: PolicySnapshot
    frames: int
    """Environment frames that it was trained for."""


def stored_policy(directory: Path) -> StoredPolicy:
    """Reads a run's directory or an agent's.

    Raises:
      UserError: it is neither, or the run has no checkpoint yet.
      RunError: all checkpoints in it are damaged.
    """
    config = stored_config(directory)
    if (directory / PARAMETERS).exists():
        return StoredPolicy(config, *_read_parameters(directory / PARAMETERS))
    checkpoint = last_checkpoint(directory, lambda text: print(text, file=sys.stderr))
    return StoredPolicy(config, policy_snapshot(checkpoint.arrays), checkpoint.frames)


def _read_parameters(path: Path) -> tuple[PolicySnapshot, int]:
    try:
        with safe_open(path, framework="numpy") as file:
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
            frames = int((file.metadata() or {})["frames"])
        return PolicySnapshot(**arrays), frames
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path} is no agent's parameters: {' '.join(str(error).split())}") from error


def load_policy(directory: str | Path) -> NetworkPolicy:
    """The policy of a run, finished or not, or of a trained agent, as evaluations use it.

    Raises:
      UserError: the directory is no run's and no agent's, or the run has no checkpoint yet.
      RunError: all checkpoints in it are damaged.
    """
    stored = stored_policy(Path(directory))
    return NetworkPolicy(stored.config, stored.snapshot)


def policy_with_overrides(directory: Path, overrides: list[str]) -> tuple[Config, NetworkPolicy, int]:
    """Loads a policy for an evaluation with a few keys changed.

    Returns:
      The changed configuration, the policy, and the frames it was trained for.

    Raises:
      UserError: the directory is no run's and no agent's, or an override does not fit.
    """
    stored = stored_policy(directory)
    config = with_overrides(stored.config, overrides)
    try:
        return config, NetworkPolicy(config, stored.snapshot), stored.frames
    except ValueError as error:
        raise UserError(f"network: {error}") from error


def with_overrides(config: Config, overrides: list[str]) -> Config:
    """Changes a few keys of a configuration; whole episodes stay whole, even if they become longer."""
    values = OmegaConf.create(config.model_dump())
    values.merge_with_dotlist(overrides)
    changed = build(values)
    steps, cut_off = changed.env.episode_steps, config.max_evaluation_steps < (config.env.episode_steps or 0)
    if steps is None or cut_off or any(override.startswith("evaluation.max_frames=") for override in overrides):
        return changed
    values.evaluation.max_frames = max(config.evaluation.max_frames, steps * changed.env.frames_per_step)
    return build(values)
