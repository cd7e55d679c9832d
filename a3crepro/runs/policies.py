"""The policies that `evaluate` and `play` run: networks, from a directory, and reference policies without training."""

import contextlib
import csv
import importlib
import math
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple, Protocol

import gymnasium as gym
import numpy as np
import torch
import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from safetensors import SafetensorError, safe_open

from a3crepro.common.errors import UserError
from a3crepro.config import Config, build
from a3crepro.environments._environment import Action, ActionSpace, random_action
from a3crepro.learner.normalisation import Normaliser
from a3crepro.learner.shared_state import PolicySnapshot, policy_snapshot
from a3crepro.models.make_model import make_model
from a3crepro.models.model import Sizes, Theta
from a3crepro.networks._network import parameter_count
from a3crepro.runs.arguments import Key, non_negative_number
from a3crepro.runs.checkpoint import Checkpoint, last_checkpoint
from a3crepro.runs.run_directory import stored_config

PARAMETERS = "parameters.safetensors"
"""The file of an agent's parameters."""
WHICH = ("last", "best")
"""Policies of a run: of the last checkpoint, or of the evaluation with the highest score."""


class EvaluationPolicy(Protocol):
    """Selects the actions of an episode one after another."""

    def start_episode(self, env: gym.Env[Any, Any]) -> None:
        """Resets a recurrent state; `env`, just reset, is for scripted policies, which see the true state."""

    def act(self, observation: np.ndarray, rng: np.random.Generator) -> Action:
        """The action for the observation."""


class PolicyStatistics:
    """The mean entropy of a policy, and how often it took each action."""

    def __init__(self) -> None:
        self.steps, self._entropy = 0, 0.0
        self._taken: Counter[int] = Counter()

    def add(self, entropy: float | None, action: Action) -> None:
        """Adds an agent step."""
        self.steps += 1
        self._entropy += math.nan if entropy is None else entropy
        if not isinstance(action, np.ndarray):
            self._taken[int(action)] += 1

    @property
    def entropy(self) -> float | None:
        """In nats; None without steps, or for a policy without entropy."""
        mean = self._entropy / self.steps if self.steps else math.nan
        return None if math.isnan(mean) else mean

    def frequencies(self, actions: ActionSpace) -> list[float]:
        """The share of each discrete action; empty for continuous ones."""
        if not isinstance(actions, gym.spaces.Discrete):
            return []
        return [self._taken[action] / max(1, self.steps) for action in range(int(actions.n))]


class NetworkPolicy:
    """A network with these parameters, acting as `algo` evaluates it; a `ValueError` if they are another network's."""

    def __init__(self, config: Config, snapshot: PolicySnapshot, statistics: PolicyStatistics | None = None) -> None:
        space, _ = config.env.spaces()
        module = config.seeded_network()
        theta = torch.from_numpy(snapshot.parameters.astype(np.float32))
        if theta.numel() != parameter_count(module):
            raise ValueError(f"{theta.numel()} parameters, but the network has {parameter_count(module)}")
        self.model = make_model(module, space, Theta(theta), Sizes(8, 0), config.network.implementation)
        self.algo, self.normaliser, self.statistics = config.algo, Normaliser(snapshot.sums), statistics
        self.state = self.model.initial_state()

    def start_episode(self, env: gym.Env[Any, Any] | None = None) -> None:
        self.state = self.model.initial_state()

    def act(self, observation: np.ndarray, rng: np.random.Generator) -> Action:
        outputs, self.state = self.model.forward(self.normaliser(observation), self.state)
        action = self.algo.act_in_evaluation(outputs, rng)
        if self.statistics is not None:
            batch = {name: output[None] for name, output in outputs.items()}
            self.statistics.add(self.algo.entropy(batch), action)
        return action


class RandomPolicy:
    """Draws actions uniformly."""

    def __init__(self, actions: ActionSpace) -> None:
        self.actions = actions

    def start_episode(self, env: gym.Env[Any, Any] | None = None) -> None:
        pass

    def act(self, observation: np.ndarray, rng: np.random.Generator) -> Action:
        return random_action(self.actions, rng)


class ConstantPolicy:
    """Always takes the same action; a vector with Gaussian noise of this standard deviation in each component."""

    def __init__(self, action: Action, noise: float = 0.0) -> None:
        self.action, self.noise = action, noise

    def start_episode(self, env: gym.Env[Any, Any] | None = None) -> None:
        pass

    def act(self, observation: np.ndarray, rng: np.random.Generator) -> Action:
        if not self.noise:
            return self.action
        return np.asarray(rng.normal(self.action, self.noise), np.float32)


def _constant_action(text: str, actions: ActionSpace) -> Action:
    """An action whose components are all this number."""
    if isinstance(actions, gym.spaces.Discrete):
        if not text.isdecimal():
            raise UserError(f"action: should be a whole number of at least 0, got {text!r}")
        if int(text) >= actions.n:
            raise UserError(f"action: should be at most {actions.n - 1}, got {text}")
        return int(text)
    try:
        action = np.full(actions.shape, float(text), np.float32)
    except ValueError as error:
        raise UserError(f"action: should be a number, got {text!r}") from error
    if not actions.contains(action):
        raise UserError(f"action: should be within {actions.low.max():g} and {actions.high.min():g}, got {text}")
    return action


POLICY_KEYS = {"policy": Key(), "action": Key(), "noise": non_negative_number()}
"""`policy`, and the keys of `policy=constant`."""


def refuse_policy_keys(own: SimpleNamespace) -> None:
    """Raises a `UserError` for `POLICY_KEYS` beside the directory of a run or an agent."""
    for key in POLICY_KEYS:
        if getattr(own, key) is not None:
            raise UserError(f"{key}: only valid with env=…, not with the directory of a run or an agent")


def reference_policy(config: Config, own: SimpleNamespace) -> EvaluationPolicy:
    """The policy that `policy=` names, e.g. `random`, or `expert` and `blind` where the environment has them.

    Raises:
      UserError: one line that names the key and what is allowed.
    """
    actions = config.env.spaces()[1]
    for key in ("action", "noise"):
        if getattr(own, key) is not None and own.policy != "constant":
            raise UserError(f"{key}: only valid with policy=constant")
    if own.policy == "random":
        return RandomPolicy(actions)
    if own.policy == "constant":
        if own.noise and isinstance(actions, gym.spaces.Discrete):
            raise UserError("noise: only valid with vector actions")
        return ConstantPolicy(_constant_action(own.action or "0", actions), own.noise or 0.0)
    scripted = config.env.scripted_policies()
    if own.policy not in scripted:
        got = "missing" if own.policy is None else f"got {own.policy!r}"
        allowed = ", ".join(["constant", "random", *scripted])
        raise UserError(f"policy: {got}; allowed for {config.env.title} without a run's directory: {allowed}")
    return scripted[own.policy]


# ---- Policies in the directory of a run or an agent; nothing in the files is executed --------------------------------


class StoredPolicy(NamedTuple):
    """A policy as stored in the directory of a run or an agent."""

    config: Config
    snapshot: PolicySnapshot
    frames: int
    """Environment frames that it was trained for."""


def stored_policy(directory: Path, which: str = "last") -> StoredPolicy:
    """Reads a run's directory or an agent's; arguments and errors as for `load_policy`."""
    config = stored_config(directory)
    if (directory / PARAMETERS).exists():
        if which != "last":
            raise UserError(f"which: {directory} is a trained agent's directory, which holds one policy")
        return StoredPolicy(config, *_read_parameters(directory / PARAMETERS))
    checkpoint = last_checkpoint(directory, lambda text: print(text, file=sys.stderr))
    if which == "best":
        return StoredPolicy(config, *_best_policy(directory, checkpoint))
    return StoredPolicy(config, policy_snapshot(checkpoint.arrays), checkpoint.frames)


def _best_policy(directory: Path, checkpoint: Checkpoint) -> tuple[PolicySnapshot, int]:
    """The policy with the highest score in an evaluation, the first of equals, and its frames.

    Evaluations that ended after the checkpoint are in `evaluations.csv` alone; their parameters were pending in the
    checkpoint, or are its own.
    """
    scores = _scores(directory / "evaluations.csv")
    stored = {frames: PolicySnapshot(*evaluation[:2]) for frames, evaluation in checkpoint.pending.items()}
    stored[checkpoint.frames] = policy_snapshot(checkpoint.arrays)
    found = [(scores[frames], -frames, snapshot) for frames, snapshot in stored.items() if frames in scores]
    if checkpoint.best:
        frames, score, *snapshot = checkpoint.best
        found.append((score, -frames, PolicySnapshot(*snapshot)))
    if not found:
        raise UserError(f"which: {directory} has no evaluation whose parameters are stored yet; allowed: last")
    score, minus_frames, best = max(found, key=lambda each: each[:2])
    if any(other > score for other in scores.values()):
        print(f"{directory}: the parameters of its best evaluation are not stored (yet)", file=sys.stderr)
    return best, -minus_frames


def _scores(path: Path) -> dict[int, float]:
    """The mean score of each evaluation, by frames; without damaged rows."""
    scores = {}
    with contextlib.suppress(OSError), open(path, newline="", errors="replace") as file:
        for row in csv.DictReader(file):
            with contextlib.suppress(KeyError, TypeError, ValueError):
                scores[int(row["frames"])] = float(row["score_mean"])
    return scores


def _read_parameters(path: Path) -> tuple[PolicySnapshot, int]:
    try:
        with safe_open(path, framework="numpy") as file:
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
            frames = int((file.metadata() or {})["frames"])
        return PolicySnapshot(**arrays), frames
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path} does not contain an agent's parameters: {' '.join(str(error).split())}") from error


def load_policy(directory: str | Path, which: str = "last") -> NetworkPolicy:
    """The policy of a run, finished or not, or of a trained agent, as evaluations use it.

    Args:
      directory: of the run or the agent.
      which: of a run, `last`: the policy of the last checkpoint, or `best`: of the evaluation with the highest score.

    Raises:
      UserError: the directory is neither a run's nor an agent's, or the run has no checkpoint yet or, for `best`, no
        evaluation.
      RunError: all checkpoints in it are damaged.
    """
    if which not in WHICH:
        raise UserError(f"which: allowed: {', '.join(WHICH)}; got {which!r}")
    stored = stored_policy(Path(directory), which)
    return NetworkPolicy(stored.config, stored.snapshot)


def policy_with_overrides(
    directory: Path, overrides: list[str], which: str = "last"
) -> tuple[Config, NetworkPolicy, int]:
    """The configuration with a few keys changed, the policy, and the frames it was trained for."""
    _import_named_module(overrides)
    stored = stored_policy(directory, which)
    config = with_overrides(stored.config, overrides)
    try:
        return config, NetworkPolicy(config, stored.snapshot), stored.frames
    except ValueError as error:
        raise UserError(f"network: {error}") from error


def _import_named_module(overrides: Iterable[str]) -> None:
    """Imports the module that `env.id=module:Name` names on a command line, which a stored configuration may then use.

    Raises:
      UserError: it cannot be imported.
    """
    for override in overrides:
        key, _, value = override.lstrip("+").partition("=")
        module = value.rpartition(":")[0]
        if key == "env.id" and module:
            try:
                importlib.import_module(module)
            except (ImportError, TypeError, ValueError) as error:
                raise UserError(f"env.id: cannot import {module!r} ({error})") from error


def with_overrides(config: Config, overrides: list[str]) -> Config:
    """Changes a few keys of a configuration; whole episodes stay whole, even if they become longer.

    Raises:
      UserError: one line that names the wrong override.
    """
    overrides = [override.lstrip("+") for override in overrides]
    values = OmegaConf.create(config.model_dump())
    for override in overrides:
        try:
            values.merge_with_dotlist([override])
        except (yaml.YAMLError, OmegaConfBaseException) as error:
            raise UserError(f"{override}: not a valid override ({' '.join(str(error).split())})") from error
    changed = build(values)
    steps, cut_off = changed.env.episode_steps, config.max_evaluation_steps < (config.env.episode_steps or 0)
    if steps is None or cut_off or any(override.startswith("evaluation.max_frames=") for override in overrides):
        return changed
    values.evaluation.max_frames = max(config.evaluation.max_frames, steps * changed.env.frames_per_step)
    return build(values)
