"""Any registered gymnasium environment with a discrete action space."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import Any

import gymnasium
import numpy as np
from pydantic import field_validator

from a3crepro.environments._environment import Environment, plain_attributes, set_attributes
from a3crepro.plain import Tree

PLAIN = ("gymnasium.envs.classic_control", "gymnasium.envs.toy_text")
"""Packages whose environments hold their state in plain attributes and one generator."""


class Gym(Environment):
    """An environment of gymnasium's registry, with the time limit that is registered with it."""

    id: str
    """The registered id, e.g. `CartPole-v1`; `module:Name-v0` imports the module first."""

    @field_validator("id")
    @classmethod
    def _is_usable(cls, env_id: str) -> str:
        module, _, name = env_id.rpartition(":")
        try:
            if module:
                importlib.import_module(module)
            gymnasium.spec(name)
            env = gymnasium.make(env_id)
        except (ImportError, TypeError, ValueError, gymnasium.error.Error) as error:
            raise ValueError(f"not an environment that can be made ({error})") from error
        try:
            if not isinstance(env.action_space, gymnasium.spaces.Discrete):
                raise ValueError(f"needs a discrete action space, has {env.action_space}")
        finally:
            env.close()
        return env_id

    def make(self, *, training: bool, render: bool = False) -> gymnasium.Env[Any, Any]:
        options: dict[str, Any] = {"render_mode": "rgb_array"} if render else {}  # some take no render_mode at all
        env: gymnasium.Env[Any, Any] = gymnasium.make(self.id, **options)
        actions = env.action_space
        if isinstance(actions, gymnasium.spaces.Discrete) and actions.start != 0:
            first = int(actions.start)
            env = gymnasium.wrappers.TransformAction(
                env, lambda action: action + first, gymnasium.spaces.Discrete(int(actions.n))
            )
        if not isinstance(env.observation_space, gymnasium.spaces.Box):
            env = gymnasium.wrappers.FlattenObservation(env)  # a discrete observation becomes one-hot
        # A rollout keeps its observations, and some environments write each into the same array.
        return gymnasium.wrappers.TransformObservation(env, np.array, env.observation_space)

    def state(self, env: gymnasium.Env[Any, Any]) -> Tree | None:
        if not type(env.unwrapped).__module__.startswith(PLAIN):
            return None
        random = env.unwrapped.np_random.bit_generator.state
        return {"layers": [plain_attributes(layer) for layer in _layers(env)], "random": random}

    def restore(self, env: gymnasium.Env[Any, Any], state: Tree) -> None:
        for layer, attributes in zip(_layers(env), state["layers"], strict=True):
            set_attributes(layer, attributes)
        env.unwrapped.np_random.bit_generator.state = state["random"]


def _layers(env: gymnasium.Env[Any, Any]) -> Iterator[gymnasium.Env[Any, Any]]:
    """The wrappers of an environment, from the outermost, and itself."""
    yield env
    while isinstance(env, gymnasium.Wrapper):
        env = env.env
        yield env
